//! Reading the published log: pages, identities, hashes, and waiting for it to move.
//!
//! Invariants: nothing beyond the published head is ever served, whatever the database already shows; one answer comes from one
//! history; a position that a raise has invalidated is refused by every operation, for good.

use std::fmt;
use std::sync::Arc;

use tidelog_core::LogView;
use tidelog_model::{ChainHash, Position, StoredEvent, VectorTime, mutant};
use tidelog_store::{IdRow, LogStore, ReadQuery};
use tokio::sync::watch;

use crate::consumer::Consumers;
use crate::errors::{Closed, PageError};
use crate::publish::{Phase, ReaderOptions, Snapshot};
use crate::selection::Selection;
use crate::tail::Tail;

/// What all readers of a log share.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn LogStore>,
    pub(crate) tail: Tail,
    pub(crate) options: ReaderOptions,
    pub(crate) consumers: Consumers,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("tail", &self.tail)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A reader of one local log; cloning it is cheap. Made by [`crate::published`].
#[derive(Debug, Clone)]
pub struct LogReader {
    pub(crate) state: watch::Receiver<Snapshot>,
    pub(crate) shared: Arc<Shared>,
}

/// What a page may hold. Bounds are those of [`ReadQuery`]; `to` beyond the head means the head.
#[derive(Debug, Clone)]
pub struct PageQuery {
    /// Inclusive.
    pub to: u64,
    /// At most so many events (at least 1).
    pub events_max: usize,
    /// At most so many bytes of payload, but at least one event.
    pub bytes_max: usize,
    /// At most so many events are looked at (at least 1).
    pub scan_max: usize,
    /// Which events are wanted.
    pub selection: Selection,
    /// Events that this vector covers are left out.
    pub uncovered_by: Option<Arc<VectorTime>>,
}

/// A page, with the view under which it was read.
#[derive(Debug, Clone)]
pub struct ReadPage {
    /// Wanted events in local order.
    pub events: Vec<StoredEvent>,
    /// Everything up to here was looked at, in the incarnation in force; continue after it.
    pub position: Position,
    /// The log when the page was read.
    pub view: Arc<LogView>,
    pub(crate) epoch: u64,
}

/// Identities of consecutive local sequences, with the view under which they were read.
#[derive(Debug, Clone)]
pub struct IdPage {
    /// One row per sequence, without gaps.
    pub rows: Vec<IdRow>,
    /// The last of them, in the incarnation in force; continue after it.
    pub position: Position,
    /// The log when they were read.
    pub view: Arc<LogView>,
    pub(crate) epoch: u64,
}

/// Bytes and number of events that the tail holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TailSize {
    /// Bytes, as they are counted against the bound.
    pub bytes: usize,
    /// Events.
    pub events: usize,
}

/// Events that are cloned out of the tail at a time while a selector is evaluated over them.
const TAIL_CHUNK_EVENTS: usize = 256;
/// Events that are read from the store at least, when not all of them will be wanted.
const NARROWED_EVENTS_MIN: usize = 256;

impl LogReader {
    pub(crate) fn new(state: watch::Receiver<Snapshot>, shared: Arc<Shared>) -> Self {
        Self { state, shared }
    }

    /// The log as it was last published. Also there when nothing is served any more.
    pub fn view(&self) -> Arc<LogView> {
        Arc::clone(&self.state.borrow().view)
    }

    /// The limits in force.
    pub fn options(&self) -> &ReaderOptions {
        &self.shared.options
    }

    /// How much the tail holds.
    pub fn tail_size(&self) -> TailSize {
        let (bytes, events) = self.shared.tail.size();
        TailSize { bytes, events }
    }

    /// Follows the view. Changes that come faster than they are taken are seen as one.
    pub fn watch(&self) -> ViewWatch {
        ViewWatch {
            state: self.state.clone(),
        }
    }

    /// Returns once the published head lies above `head`. Cancel safe.
    pub async fn wait_for_head_above(&self, head: u64) -> Result<Arc<LogView>, Closed> {
        self.served(|now| now.view.head > head)
            .await
            .map(|now| now.view)
    }

    /// Judges a position: `INCARNATION_CHANGED` or `POSITION_AHEAD`.
    pub async fn check(&self, position: Position) -> Result<Arc<LogView>, PageError> {
        let now = self.open().await?;
        now.view.lineage.check(position, now.view.head)?;
        Ok(now.view)
    }

    /// A page query with the limits of the log, up to the head, for everything.
    pub fn page_query(&self) -> PageQuery {
        let options = self.options();
        PageQuery {
            to: u64::MAX,
            events_max: options.page_events_max,
            bytes_max: options.page_bytes_max,
            scan_max: options.page_scan_max,
            selection: Selection::default(),
            uncovered_by: None,
        }
    }

    /// The events after a position: from memory when they are there, else from the store. Waits only while the history is being changed,
    /// not for events. Cancel safe.
    pub async fn page(&self, after: Position, query: &PageQuery) -> Result<ReadPage, PageError> {
        loop {
            let now = self.open().await?;
            let view = &now.view;
            view.lineage.check(after, view.head)?;
            let to = if mutant!("unpublished-events-served") {
                query.to
            } else {
                query.to.min(view.head)
            };
            let found = self.scan(after.sequence, to, query).await;
            if !self.unchanged_since(&now)? {
                continue;
            }
            let scan = found.map_err(|e| behind(e, view.head))?;
            let position = Position::new(view.current().incarnation, scan.to);
            return Ok(ReadPage {
                events: scan.events,
                position,
                epoch: now.epoch,
                view: now.view,
            });
        }
    }

    /// Identities after a position, at most `limit`. Cancel safe.
    pub async fn ids(&self, after: Position, limit: usize) -> Result<IdPage, PageError> {
        loop {
            let now = self.open().await?;
            let view = &now.view;
            view.lineage.check(after, view.head)?;
            let found = self.shared.store.ids(after.sequence, limit.max(1)).await;
            if !self.unchanged_since(&now)? {
                continue;
            }
            let mut rows = found?;
            rows.retain(|row| row.sequence <= view.head || mutant!("unpublished-ids-served"));
            let last = rows.last().map_or(after.sequence, |row| row.sequence);
            if last == after.sequence && last < view.head {
                return Err(PageError::Behind {
                    head: view.head,
                    found: last,
                });
            }
            let position = Position::new(view.current().incarnation, last);
            return Ok(IdPage {
                rows,
                position,
                epoch: now.epoch,
                view: now.view,
            });
        }
    }

    /// The hash chain at a sequence, with the view it belongs to. `None` beyond the head. Cancel safe.
    pub async fn hash_at(
        &self,
        sequence: u64,
    ) -> Result<(Option<ChainHash>, Arc<LogView>), PageError> {
        loop {
            let now = self.open().await?;
            if sequence == now.view.head {
                return Ok((Some(now.view.hash), now.view));
            }
            if sequence > now.view.head {
                return Ok((None, now.view));
            }
            let found = self.shared.store.hash_at(sequence).await;
            if self.unchanged_since(&now)? {
                return Ok((found?, now.view));
            }
        }
    }

    /// The last position that was stored before a time (0 when there is none), with the view it belongs to.
    pub(crate) async fn position_before(
        &self,
        stored_at_micros: i64,
    ) -> Result<(Position, Arc<LogView>), PageError> {
        loop {
            let now = self.open().await?;
            let found = self.shared.store.position_before(stored_at_micros).await;
            if self.unchanged_since(&now)? {
                let sequence = found?.min(now.view.head);
                let incarnation = now.view.current().incarnation;
                return Ok((Position::new(incarnation, sequence), now.view));
            }
        }
    }

    /// The state, once it may be read from.
    pub(crate) async fn open(&self) -> Result<Snapshot, Closed> {
        self.served(|_| true).await
    }

    /// The state, once it may be read from and is what is waited for.
    async fn served(&self, wanted: impl Fn(&Snapshot) -> bool) -> Result<Snapshot, Closed> {
        let ready = |now: &Snapshot| match &now.phase {
            Phase::Open => wanted(now),
            Phase::Suspended => false,
            Phase::Closed(_) => true,
        };
        {
            let now = self.state.borrow();
            if ready(&now) {
                return or_closed(&now);
            }
        }
        let mut state = self.state.clone();
        let now = state
            .wait_for(ready)
            .await
            .map_err(|_| Closed::ShuttingDown)?;
        or_closed(&now)
    }

    /// True when what was read since `then` is part of the history that `then` shows.
    fn unchanged_since(&self, then: &Snapshot) -> Result<bool, Closed> {
        let now = self.state.borrow();
        match &now.phase {
            Phase::Closed(reason) => Err(reason.clone()),
            Phase::Open | Phase::Suspended => {
                Ok(now.epoch == then.epoch || mutant!("page-of-two-histories"))
            }
        }
    }

    async fn scan(&self, after: u64, to: u64, query: &PageQuery) -> Result<Scan, PageError> {
        let mut scan = Scan {
            events: Vec::new(),
            to: after,
        };
        if after >= to {
            return Ok(scan);
        }
        if self.scan_tail(&mut scan, to, query).await {
            return Ok(scan);
        }
        let events_max = query.events_max.max(1);
        let narrowed = query.selection.predicate.is_some() || query.uncovered_by.is_some();
        let read = ReadQuery {
            after,
            to,
            // A small page of a narrow predicate must not become a query per event.
            events_max: if narrowed {
                events_max.max(NARROWED_EVENTS_MIN)
            } else {
                events_max
            },
            bytes_max: query.bytes_max,
            scan_max: query.scan_max.max(1),
            selector: query.selection.selector.clone(),
        };
        let page = self.shared.store.read(&read).await?;
        if page.scanned_to <= after {
            return Err(PageError::Behind {
                head: to,
                found: page.scanned_to,
            });
        }
        scan.to = page.scanned_to;
        if !narrowed {
            scan.events = page.events;
            return Ok(scan);
        }
        for stored in page.events {
            tokio::task::consume_budget().await;
            if query.admits(&stored) {
                let sequence = stored.sequence;
                scan.events.push(stored);
                if scan.events.len() == events_max {
                    scan.to = sequence;
                    break;
                }
            }
        }
        Ok(scan)
    }

    /// Fills the scan from the tail; false when the tail does not reach back to its start.
    async fn scan_tail(&self, scan: &mut Scan, to: u64, query: &PageQuery) -> bool {
        let (after, mut bytes) = (scan.to, 0_usize);
        loop {
            let scanned = usize::try_from(scan.to - after).unwrap_or(usize::MAX);
            let wanted = query
                .scan_max
                .max(1)
                .saturating_sub(scanned)
                .min(TAIL_CHUNK_EVENTS);
            let Some(chunk) = self.shared.tail.slice(scan.to, to, wanted) else {
                // Fell out of the tail midway: what was found so far is a page.
                return scan.to > after;
            };
            if chunk.is_empty() {
                return scan.to > after;
            }
            for stored in chunk {
                tokio::task::consume_budget().await;
                let sequence = stored.sequence;
                if query.selection.selector.matches(&stored.event) && query.admits(&stored) {
                    bytes = bytes.saturating_add(stored.event.payload.len());
                    if !scan.events.is_empty() && bytes > query.bytes_max {
                        return true;
                    }
                    scan.events.push(stored);
                }
                scan.to = sequence;
                if scan.events.len() >= query.events_max.max(1) {
                    return true;
                }
            }
        }
    }
}

/// What was found in `(after, to]`.
struct Scan {
    events: Vec<StoredEvent>,
    to: u64,
}

impl PageQuery {
    fn admits(&self, stored: &StoredEvent) -> bool {
        let covered = self
            .uncovered_by
            .as_ref()
            .is_some_and(|v| v.covers_id(&stored.event.id));
        !covered && self.selection.admits(&stored.event)
    }
}

fn or_closed(now: &Snapshot) -> Result<Snapshot, Closed> {
    match &now.phase {
        Phase::Closed(reason) => Err(reason.clone()),
        Phase::Open | Phase::Suspended => Ok(now.clone()),
    }
}

/// Names the published head instead of the end of the range that was asked for.
fn behind(error: PageError, head: u64) -> PageError {
    match error {
        PageError::Behind { found, .. } => PageError::Behind { head, found },
        other => other,
    }
}

/// Follows the view of a log.
#[derive(Debug)]
pub struct ViewWatch {
    state: watch::Receiver<Snapshot>,
}

impl ViewWatch {
    /// The next view that differs from the last one taken. While the history is being changed there is none. Cancel safe.
    pub async fn changed(&mut self) -> Result<Arc<LogView>, Closed> {
        loop {
            self.state
                .changed()
                .await
                .map_err(|_| Closed::ShuttingDown)?;
            let now = self.state.borrow_and_update();
            match &now.phase {
                Phase::Open => return Ok(Arc::clone(&now.view)),
                Phase::Suspended => {}
                Phase::Closed(reason) => return Err(reason.clone()),
            }
        }
    }
}
