//! The source of an edge: what it sends, and from where.
//!
//! The source trusts nothing that it remembers of a target from another stream. It reads its own log in order, filters, leaves out what
//! the target has declared on *this* stream, and covers every position it read with a frame, also when nothing of it is sent.

mod handshake;
mod stream;

use std::collections::BTreeSet;
use std::sync::Arc;

use tidelog_model::{ApplicationVersion, ChainHash, LocationName, mutant};
use tidelog_store::Page;

use crate::frame::{Frame, FrameEvent};
use crate::stream::{Credit, EdgeFilter, Heartbeat, Open, Opened, ProofQuestion, Refused};
use crate::view::LogView;
use stream::Stream;

/// An edge as its source knows it.
#[derive(Clone)]
pub struct SourceConfig {
    /// The log.
    pub log: String,
    /// This location.
    pub source: LocationName,
    /// The other one.
    pub target: LocationName,
    /// The plan that runs here.
    pub spec_hash: String,
    /// Name of the application.
    pub application_name: String,
    /// Version of the application here.
    pub application_version: ApplicationVersion,
    /// Identity of the edge's filter.
    pub filter_hash: String,
    /// Locations behind this one, seen from the target: the covered entries that the target takes over.
    pub behind: Arc<BTreeSet<LocationName>>,
    /// The filters.
    pub filter: Arc<dyn EdgeFilter>,
    /// Events in one frame.
    pub frame_events_max: usize,
    /// Canonical bytes in one frame; a larger event travels alone.
    pub frame_bytes_max: usize,
    /// Rows looked at for one frame.
    pub scan_rows_max: usize,
    /// A frame without events waits so long for company.
    pub empty_frame_delay_micros: i64,
    /// A peer's claim is looked into once per so many microseconds.
    pub proof_interval_micros: i64,
}

/// What the source is told.
#[derive(Debug)]
pub enum SourceInput {
    /// The target opens a stream; an earlier one of this edge is forgotten.
    Open(Box<Open>),
    /// The hash chain of this log at a position, as asked for.
    Hash {
        /// The position.
        position: u64,
        /// `None` beyond the head.
        hash: Option<ChainHash>,
    },
    /// The target applied something.
    Credit(Credit),
    /// The log moved on.
    View(Arc<LogView>),
    /// The page asked for.
    Page {
        /// As asked.
        after: u64,
        /// What was read.
        page: Page,
    },
    /// The page could not be read; the stream is closed and opened again later.
    ReadFailed(String),
    /// The peer's answer to a question for proof.
    Proof(Option<FrameEvent>),
    /// Time has passed.
    Tick,
}

/// What the driver of a source has to do.
#[derive(Debug)]
pub enum SourceEffect {
    /// Look up the hash chain at a position.
    NeedHash(u64),
    /// Read a page `(after, to]`, everything in it.
    Read {
        /// Exclusive.
        after: u64,
        /// Inclusive.
        to: u64,
    },
    /// Tell the target that the stream runs.
    Opened(Box<Opened>),
    /// Tell the target that it does not.
    Refused(Box<Refused>),
    /// Send a frame.
    Frame(Box<Frame>),
    /// Ask the target for proof of a loss here.
    AskProof(ProofQuestion),
    /// This location has lost events of its current incarnation: stop the writer and raise.
    LossProven(Box<FrameEvent>),
    /// End the stream.
    Close(String),
}

/// How far a running stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Applied by the target.
    pub acknowledged: u64,
    /// Sent to it.
    pub sent: u64,
    /// Why it does not go on: reason and message.
    pub stalled: Option<(String, String)>,
}

enum Phase {
    Closed,
    /// Waits for the hash at a position: the one opened with, or the one proposed in a refusal.
    Comparing {
        open: Box<Open>,
        position: u64,
        proposal: bool,
    },
    AwaitingProof {
        open: Box<Open>,
    },
    Streaming(Box<Stream>),
}

/// The source of one edge.
pub struct Source {
    config: SourceConfig,
    view: Arc<LogView>,
    phase: Phase,
    last_proof_micros: Option<i64>,
    filtered_total: u64,
}

impl Source {
    /// A source over a log.
    pub fn new(config: SourceConfig, view: Arc<LogView>) -> Self {
        Self {
            config,
            view,
            phase: Phase::Closed,
            last_proof_micros: None,
            filtered_total: 0,
        }
    }

    /// Events that the filter kept back on all streams of this source.
    pub fn filtered_total(&self) -> u64 {
        self.filtered_total
    }

    /// Takes another configuration over. The running stream ends; its counters stay.
    pub fn reconfigure(&mut self, config: SourceConfig) {
        self.config = config;
        self.phase = Phase::Closed;
    }

    /// Takes another plan over that leaves this edge as it is: the running stream goes on, and its heartbeats tell.
    pub fn set_spec_hash(&mut self, spec_hash: &str) {
        spec_hash.clone_into(&mut self.config.spec_hash);
    }

    /// The filter that is evaluated.
    pub fn filter_hash(&self) -> &str {
        &self.config.filter_hash
    }

    /// The connection is gone, and the stream with it.
    pub fn disconnected(&mut self) {
        self.phase = Phase::Closed;
    }

    /// When [`SourceInput::Tick`] is due: while something waits for company or for its turn. `None`: only other input leads on.
    pub fn wake_at_micros(&self) -> Option<i64> {
        let Phase::Streaming(stream) = &self.phase else {
            return None;
        };
        if stream.reading.is_some() || stream.credit <= 0 {
            return None;
        }
        let since = stream.idle_since_micros?;
        Some(since.saturating_add(self.config.empty_frame_delay_micros))
    }

    /// How far the running stream is.
    pub fn standing(&self) -> Option<Standing> {
        match &self.phase {
            Phase::Streaming(s) => Some(Standing {
                acknowledged: s.acknowledged,
                sent: s.sent,
                stalled: s.stalled.clone(),
            }),
            _ => None,
        }
    }

    /// The heartbeat of a running stream. `next_stored_at_micros` is that of the event after the acknowledged position.
    pub fn heartbeat(
        &self,
        now_micros: i64,
        next_stored_at_micros: Option<i64>,
    ) -> Option<Heartbeat> {
        let Phase::Streaming(stream) = &self.phase else {
            return None;
        };
        Some(Heartbeat {
            stream: stream.id,
            head: self.view.head,
            time_micros: now_micros,
            next_stored_at_micros,
            stalled: stream.stalled.clone(),
            sent: stream.sent,
            spec_hash: Some(self.config.spec_hash.clone()),
            filter_hash: Some(self.config.filter_hash.clone()),
        })
    }

    /// Takes an input and says what to do.
    pub fn handle(&mut self, input: SourceInput, now_micros: i64) -> Vec<SourceEffect> {
        let mut effects = Vec::new();
        match input {
            SourceInput::Open(open) => self.open(open, now_micros, &mut effects),
            SourceInput::Hash { position, hash } => self.compare(position, hash, &mut effects),
            SourceInput::Credit(credit) => self.credit(credit),
            SourceInput::View(view) => self.moved(view, &mut effects),
            SourceInput::Page { after, page } => self.page(after, &page, now_micros, &mut effects),
            SourceInput::ReadFailed(reason) => self.close(reason, &mut effects),
            SourceInput::Proof(event) => self.proof(event, &mut effects),
            SourceInput::Tick => {}
        }
        self.go_on(now_micros, &mut effects);
        effects
    }

    fn credit(&mut self, credit: Credit) {
        let Phase::Streaming(stream) = &mut self.phase else {
            return;
        };
        if credit.stream != stream.id && !mutant!("credits-of-other-streams") {
            return;
        }
        stream.credit = stream.credit.saturating_add_unsigned(credit.bytes);
        stream.acknowledged =
            stream
                .acknowledged
                .max(if mutant!("acknowledged-beyond-what-was-sent") {
                    credit.progress
                } else {
                    credit.progress.min(stream.sent)
                });
        if let Some(vector) = credit.version_vector {
            stream.version_vector = vector;
        }
        if let Some(vector) = credit.covered_vector {
            stream.covered_vector.merge(&vector);
        }
    }

    fn moved(&mut self, view: Arc<LogView>, effects: &mut Vec<SourceEffect>) {
        let raised = view.lineage != self.view.lineage;
        let cut = view.head < self.view.head;
        self.view = view;
        if (raised || cut) && !mutant!("source-stream-outlives-a-raise") {
            // Streams do not outlive an incarnation: what is in flight belongs to another history.
            self.close("the source raised its incarnation".to_owned(), effects);
        }
    }

    fn close(&mut self, reason: String, effects: &mut Vec<SourceEffect>) {
        if !matches!(self.phase, Phase::Closed) {
            self.phase = Phase::Closed;
            effects.push(SourceEffect::Close(reason));
        }
    }

    fn page(&mut self, after: u64, page: &Page, now_micros: i64, effects: &mut Vec<SourceEffect>) {
        let Phase::Streaming(stream) = &mut self.phase else {
            return;
        };
        if after != stream.scanned && !mutant!("page-of-another-place") {
            return;
        }
        let Some(view) = stream.reading.take() else {
            return;
        };
        match stream.scan(&self.config, &view, page, now_micros) {
            Ok(frame) => self.filtered_total += send(frame, effects),
            Err(reason) => self.close(reason, effects),
        }
    }

    /// Sends what has waited long enough and reads on, as far as credit and filters allow.
    fn go_on(&mut self, now_micros: i64, effects: &mut Vec<SourceEffect>) {
        let delay = self.config.empty_frame_delay_micros;
        let Phase::Streaming(stream) = &mut self.phase else {
            return;
        };
        if stream.reading.is_some() || stream.credit <= 0 {
            return;
        }
        // First of all, so that a log which moves on all the time cannot keep the target's progress waiting.
        if stream.sent < stream.scanned && stream.is_due(delay, now_micros) {
            let frame = stream.flush(&self.view, Vec::new());
            self.filtered_total += send(Some(frame), effects);
            if stream.credit <= 0 {
                return;
            }
        }
        if stream.stalled.is_none() && stream.scanned < self.view.head {
            stream.reading = Some(self.view.clone());
            effects.push(SourceEffect::Read {
                after: stream.scanned,
                to: self.view.head,
            });
        } else if stream.scanned == self.view.head && stream.sent == stream.scanned {
            stream.tell_covered(&self.view, &self.config, now_micros, effects);
        }
    }
}

/// Sends a frame. Returns how many events its filter kept back.
fn send(frame: Option<Frame>, effects: &mut Vec<SourceEffect>) -> u64 {
    frame.map_or(0, |frame| {
        let filtered = frame.filtered;
        effects.push(SourceEffect::Frame(Box::new(frame)));
        filtered
    })
}
