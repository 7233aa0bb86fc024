//! The writer's end of the published log: what readers may see, and when they must not look.
//!
//! ```text
//!   writer   commit ── publish ── commit ── publish ──── suspend ── raise ── reset ───── close
//!   epoch        0         0          0         0     │     1         1        2    │
//!   readers  ─────────── pages ───────────────────────┤  wait, throw away pages     ├── pages ── told
//! ```
//!
//! The epoch is a sequence lock over the history: a page is served only if the epoch at its end is the one at its beginning, so that a
//! page never mixes what was there before a raise with what replaced it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidelog_core::LogView;
use tidelog_model::{Origin, StoredEvent, mutant};
use tidelog_store::LogStore;
use tokio::sync::watch;

use crate::consumer::Consumers;
use crate::errors::Closed;
use crate::reader::{LogReader, Shared};
use crate::tail::Tail;

/// For each closed origin of which it is known: the last sequence that any location still holds, 0 for none.
pub type Ends = BTreeMap<Origin, u64>;

/// Microseconds since the Unix epoch, for the time at which a consumer was changed.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Limits of reading. Memory per reader is one page; memory per log is one page per reader and the tail.
#[derive(Clone)]
pub struct ReaderOptions {
    /// Bytes of the newest events that are kept in memory.
    pub tail_bytes_max: usize,
    /// Events in one page.
    pub page_events_max: usize,
    /// Bytes of payload in one page; a single larger event travels alone.
    pub page_bytes_max: usize,
    /// Events that are looked at for one page.
    pub page_scan_max: usize,
    /// A subscription that has nothing to say says so this often.
    pub heartbeat_every: Duration,
    /// How long a wait lasts for which the client has set no deadline.
    pub wait_default: Duration,
    /// The wall clock.
    pub clock: Clock,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self {
            tail_bytes_max: 16 * 1024 * 1024,
            page_events_max: 500,
            page_bytes_max: 1024 * 1024,
            page_scan_max: 16_384,
            heartbeat_every: Duration::from_secs(5),
            wait_default: Duration::from_secs(30),
            clock: Arc::new(wall_clock_micros),
        }
    }
}

impl fmt::Debug for ReaderOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReaderOptions")
            .field("tail_bytes_max", &self.tail_bytes_max)
            .field("page_events_max", &self.page_events_max)
            .field("page_bytes_max", &self.page_bytes_max)
            .field("page_scan_max", &self.page_scan_max)
            .field("heartbeat_every", &self.heartbeat_every)
            .field("wait_default", &self.wait_default)
            .finish_non_exhaustive()
    }
}

fn wall_clock_micros() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// What readers see, as one value that changes as a whole.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) view: Arc<LogView>,
    /// Rises when the history may have changed below the head.
    pub(crate) epoch: u64,
    pub(crate) phase: Phase,
    pub(crate) ends: Arc<Ends>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Pages are served.
    Open,
    /// The history is being changed: readers wait.
    Suspended,
    /// Readers are told why.
    Closed(Closed),
}

/// The writer's end. Dropping it closes the log for its readers.
#[derive(Debug)]
pub struct Publisher {
    state: watch::Sender<Snapshot>,
    shared: Arc<Shared>,
}

/// Begins to publish a log. `view` is the state that its writer took over. A log that has no incarnation yet is not served: readers wait for the
/// first [`Publisher::reset`], or are told by [`Publisher::close`].
pub fn published(
    store: Arc<dyn LogStore>,
    view: LogView,
    options: ReaderOptions,
) -> (Publisher, LogReader) {
    let tail = Tail::new(view.head, options.tail_bytes_max);
    let phase = match view.lineage.current() {
        Some(_) => Phase::Open,
        // Judged by an empty lineage, every position of a client would be a lost one.
        None => Phase::Suspended,
    };
    let (state, seen) = watch::channel(Snapshot {
        view: Arc::new(view),
        epoch: 0,
        phase,
        ends: Arc::default(),
    });
    let shared = Arc::new(Shared {
        store,
        tail,
        options,
        consumers: Consumers::default(),
    });
    (
        Publisher {
            state,
            shared: Arc::clone(&shared),
        },
        LogReader::new(seen, shared),
    )
}

impl Publisher {
    /// Shows what was just committed: `events` are those of the commit (none when only vectors or progress moved), `view` is the log after
    /// it. Wakes every reader; never waits for one.
    pub fn publish(&self, events: Vec<StoredEvent>, view: LogView) {
        self.state.send_modify(|now| {
            // Under the lock of the channel, so that the tail is never behind the view.
            if !mutant!("tail-not-fed") {
                self.shared.tail.extend(events, view.head);
            }
            now.view = Arc::new(view);
        });
    }

    /// Holds readers back before the history below the head may change (before the store's `raise`); they wait until [`Self::reset`]. Without
    /// it a page could be read from the new history and served as part of the old one.
    pub fn suspend(&self) {
        self.state.send_modify(|now| {
            if !mutant!("suspend-keeps-the-epoch") {
                now.epoch += 1;
            }
            if now.phase == Phase::Open && !mutant!("readers-not-held-back") {
                now.phase = Phase::Suspended;
            }
        });
    }

    /// Shows the log after a raise, or after the writer's lease was won again. Readers whose position the new lineage invalidates are told.
    /// Opens a log that was closed for another reason than the end of the process.
    pub fn reset(&self, view: LogView) {
        self.state.send_modify(|now| {
            self.shared.tail.reset(view.head);
            now.epoch += 1;
            now.view = Arc::new(view);
            if now.phase != Phase::Closed(Closed::ShuttingDown) {
                now.phase = Phase::Open;
            }
        });
    }

    /// Says what survives of closed origins, so that a wait for more than that ends at once.
    pub fn set_ends(&self, ends: Ends) {
        self.state.send_modify(|now| now.ends = Arc::new(ends));
    }

    /// Ends all reading. [`Closed::ShuttingDown`] is final.
    pub fn close(&self, reason: Closed) {
        self.state.send_modify(|now| {
            if now.phase != Phase::Closed(Closed::ShuttingDown) {
                now.phase = Phase::Closed(reason);
            }
        });
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.state.send_if_modified(|now| match now.phase {
            Phase::Closed(_) => false,
            Phase::Open | Phase::Suspended => {
                now.phase = Phase::Closed(Closed::ShuttingDown);
                true
            }
        });
    }
}
