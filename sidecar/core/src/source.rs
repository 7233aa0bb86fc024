//! The source of an edge: what it sends, and from where.
//!
//! The source trusts nothing that it remembers of a target from another stream. It reads its own log in order, filters, leaves out what
//! the target has declared on *this* stream, and covers every position it read with a frame, also when nothing of it is sent.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidelog_model::{ApplicationVersion, ChainHash, EventId, LocationName, VectorTime, canonical};
use tidelog_store::Page;

use crate::frame::{Frame, FrameEvent};
use crate::stream::{
    Admission, Credit, EdgeFilter, Heartbeat, Open, Opened, PROTOCOL_VERSION, ProofQuestion,
    RefusalKind, Refused,
};
use crate::view::LogView;

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

/// Where one stream stands.
struct Stream {
    id: u64,
    /// Everything up to here is in frames that were sent.
    sent: u64,
    sent_hash: ChainHash,
    /// Everything up to here was looked at; between `sent` and here nothing passes.
    scanned: u64,
    scanned_hash: ChainHash,
    scanned_covered: VectorTime,
    scanned_filtered: u64,
    /// Since when `scanned` is ahead of `sent`.
    idle_since_micros: Option<i64>,
    acknowledged: u64,
    credit: i64,
    version_vector: VectorTime,
    covered_vector: VectorTime,
    application_version: ApplicationVersion,
    reading: Option<Arc<LogView>>,
    stalled: Option<(String, String)>,
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

    fn open(&mut self, open: Box<Open>, now_micros: i64, effects: &mut Vec<SourceEffect>) {
        self.phase = Phase::Closed;
        if let Some((kind, message)) = self.objection(&open) {
            return self.refuse(&open, kind, message, 0, ChainHash::ZERO, effects);
        }
        if let Some(question) = self.suspicion(&open) {
            let recently = self
                .last_proof_micros
                .is_some_and(|t| now_micros.saturating_sub(t) < self.config.proof_interval_micros);
            if recently {
                let message = format!(
                    "{} claims events of {} that it could not or did not show; asked at most once an hour",
                    open.target, question
                );
                return self.refuse(
                    &open,
                    RefusalKind::Rejected,
                    message,
                    0,
                    ChainHash::ZERO,
                    effects,
                );
            }
            self.last_proof_micros = Some(now_micros);
            let message = format!(
                "{} claims {question}, which {} does not hold",
                open.target, open.source
            );
            self.refuse(
                &open,
                RefusalKind::SourceBehind,
                message,
                0,
                ChainHash::ZERO,
                effects,
            );
            effects.push(SourceEffect::AskProof(question));
            self.phase = Phase::AwaitingProof { open };
            return;
        }
        let common = open.source_lineage.common_with(&self.view.lineage);
        // A target that was never here has nothing to compare; anything else must lie in the common part.
        let proposal = if open.position == 0 {
            0
        } else {
            open.position.min(common).min(self.view.head)
        };
        let agreed = proposal == open.position;
        effects.push(SourceEffect::NeedHash(proposal));
        self.phase = Phase::Comparing {
            open,
            position: proposal,
            proposal: !agreed,
        };
    }

    /// Reasons not to talk that have nothing to do with positions.
    fn objection(&self, open: &Open) -> Option<(RefusalKind, String)> {
        let c = &self.config;
        if open.log != c.log || open.source != c.source || open.target != c.target {
            let message = format!(
                "this is {}/{} serving {}, not {}/{} serving {}",
                c.log, c.source, c.target, open.log, open.source, open.target
            );
            return Some((RefusalKind::WrongLocation, message));
        }
        if open.protocol_version != PROTOCOL_VERSION {
            let message = format!(
                "stream protocol {} asked for, {PROTOCOL_VERSION} spoken here; upgrade the older side",
                open.protocol_version
            );
            return Some((RefusalKind::Incompatible, message));
        }
        if open.canonical_version < u32::from(canonical::VERSION) {
            let message = format!(
                "{} reads canonical bytes up to version {}, version {} is written here; upgrade it",
                open.target,
                open.canonical_version,
                canonical::VERSION
            );
            return Some((RefusalKind::Incompatible, message));
        }
        if open.application_name != c.application_name {
            let message = format!(
                "the log belongs to application `{}` here and to `{}` at {}",
                c.application_name, open.application_name, open.target
            );
            return Some((RefusalKind::ApplicationMismatch, message));
        }
        None
    }

    /// What the target knows of this location that this location does not know itself.
    fn suspicion(&self, open: &Open) -> Option<ProofQuestion> {
        let origin = self.view.origin();
        if open.source_incarnation_known > origin.incarnation {
            let mut later = origin;
            later.incarnation = open.source_incarnation_known;
            return Some(EventId::new(later, 1));
        }
        let written = self.view.version_vector.get(&origin);
        (open.version_vector.get(&origin) > written).then(|| EventId::new(origin, written + 1))
    }

    fn compare(&mut self, position: u64, hash: Option<ChainHash>, effects: &mut Vec<SourceEffect>) {
        let Phase::Comparing {
            open,
            position: wanted,
            proposal,
        } = std::mem::replace(&mut self.phase, Phase::Closed)
        else {
            return;
        };
        if wanted != position {
            self.phase = Phase::Comparing {
                open,
                position: wanted,
                proposal,
            };
            return;
        }
        match hash {
            Some(hash) if !proposal && hash == open.hash => {
                effects.push(SourceEffect::Opened(Box::new(
                    self.opened(&open, position, hash),
                )));
                self.phase = Phase::Streaming(Box::new(Stream::start(&open, position, hash)));
            }
            Some(hash) if proposal => {
                let message = format!(
                    "position {} is not shared; go back to {position}",
                    open.position
                );
                self.refuse(
                    &open,
                    RefusalKind::PositionMismatch,
                    message,
                    position,
                    hash,
                    effects,
                );
            }
            // The lineages agree and the hashes do not: in doubt from the start.
            _ => {
                let message = format!("the histories differ at position {position}; go back to 0");
                self.refuse(
                    &open,
                    RefusalKind::PositionMismatch,
                    message,
                    0,
                    ChainHash::ZERO,
                    effects,
                );
            }
        }
    }

    fn opened(&self, open: &Open, position: u64, hash: ChainHash) -> Opened {
        Opened {
            stream: open.stream,
            lineage: (*self.view.lineage).clone(),
            position,
            hash,
            head: self.view.head,
            voided: self.view.voided.to_vec(),
            spec_hash: self.config.spec_hash.clone(),
            application_name: self.config.application_name.clone(),
            application_version: self.config.application_version.clone(),
            filter_hash: self.config.filter_hash.clone(),
        }
    }

    fn refuse(
        &mut self,
        open: &Open,
        kind: RefusalKind,
        message: String,
        position: u64,
        hash: ChainHash,
        effects: &mut Vec<SourceEffect>,
    ) {
        self.phase = Phase::Closed;
        effects.push(SourceEffect::Refused(Box::new(Refused {
            stream: open.stream,
            kind,
            message,
            lineage: (*self.view.lineage).clone(),
            position,
            hash,
        })));
    }

    fn proof(&mut self, event: Option<FrameEvent>, effects: &mut Vec<SourceEffect>) {
        if !matches!(self.phase, Phase::AwaitingProof { .. }) {
            return;
        }
        let Phase::AwaitingProof { open } = std::mem::replace(&mut self.phase, Phase::Closed)
        else {
            return;
        };
        let origin = self.view.origin();
        let proven = event.filter(|e| {
            let id = &e.event.id;
            id.origin.location == origin.location
                && (id.origin.incarnation > origin.incarnation
                    || (id.origin == origin && id.sequence > self.view.version_vector.get(&origin)))
        });
        match proven {
            Some(event) => effects.push(SourceEffect::LossProven(Box::new(event))),
            None => effects.push(SourceEffect::Close(format!(
                "{} showed no proof of its claim",
                open.target
            ))),
        }
    }

    fn credit(&mut self, credit: Credit) {
        let Phase::Streaming(stream) = &mut self.phase else {
            return;
        };
        if credit.stream != stream.id {
            return;
        }
        stream.credit = stream.credit.saturating_add_unsigned(credit.bytes);
        stream.acknowledged = stream.acknowledged.max(credit.progress.min(stream.sent));
        if let Some(vector) = credit.version_vector {
            stream.version_vector = vector;
        }
        if let Some(vector) = credit.covered_vector {
            stream.covered_vector.merge(&vector);
        }
    }

    fn moved(&mut self, view: Arc<LogView>, effects: &mut Vec<SourceEffect>) {
        let raised = view.lineage != self.view.lineage;
        self.view = view;
        if raised {
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
        if after != stream.scanned {
            return;
        }
        let Some(view) = stream.reading.take() else {
            return;
        };
        if let Some(frame) = stream.scan(&self.config, &view, page, now_micros) {
            self.filtered_total += frame.filtered;
            effects.push(SourceEffect::Frame(Box::new(frame)));
        }
    }

    /// Reads on, or sends what waits, as far as credit and filters allow.
    fn go_on(&mut self, now_micros: i64, effects: &mut Vec<SourceEffect>) {
        let Phase::Streaming(stream) = &mut self.phase else {
            return;
        };
        if stream.reading.is_some() || stream.credit <= 0 {
            return;
        }
        if stream.stalled.is_none() && stream.scanned < self.view.head {
            stream.reading = Some(self.view.clone());
            effects.push(SourceEffect::Read {
                after: stream.scanned,
                to: self.view.head,
            });
            return;
        }
        let due = stream.idle_since_micros.is_some_and(|since| {
            now_micros.saturating_sub(since) >= self.config.empty_frame_delay_micros
        });
        if due {
            let frame = stream.flush(&self.view, Vec::new());
            self.filtered_total += frame.filtered;
            effects.push(SourceEffect::Frame(Box::new(frame)));
        } else if stream.scanned == self.view.head && stream.sent == stream.scanned {
            stream.tell_covered(&self.view, &self.config, now_micros, effects);
        }
    }
}

impl Stream {
    fn start(open: &Open, position: u64, hash: ChainHash) -> Self {
        Self {
            id: open.stream,
            sent: position,
            sent_hash: hash,
            scanned: position,
            scanned_hash: hash,
            scanned_covered: VectorTime::new(),
            scanned_filtered: 0,
            idle_since_micros: None,
            acknowledged: position,
            credit: i64::try_from(open.credit_bytes).unwrap_or(i64::MAX),
            version_vector: open.version_vector.clone(),
            covered_vector: open.covered_vector.clone(),
            application_version: open.application_version.clone(),
            reading: None,
            stalled: None,
        }
    }

    /// Walks a page in order. Returns a frame when there is something to send.
    fn scan(
        &mut self,
        config: &SourceConfig,
        view: &LogView,
        page: &Page,
        now_micros: i64,
    ) -> Option<Frame> {
        let mut events = Vec::new();
        let mut bytes = 0;
        for stored in &page.events {
            let event = &stored.event;
            if event.application_version > self.application_version {
                self.stalled = Some((
                    "VersionIncompatible".to_owned(),
                    format!(
                        "event {} was written by version {}, {} runs {}; upgrade it",
                        event.id,
                        event.application_version,
                        config.target,
                        self.application_version
                    ),
                ));
                break;
            }
            match config.filter.admit(stored) {
                Admission::Pass if self.version_vector.covers_id(&event.id) => {}
                Admission::Pass => {
                    let canonical = canonical::encode(event);
                    let full = events.len() >= config.frame_events_max
                        || bytes + canonical.len() > config.frame_bytes_max;
                    if full && !events.is_empty() {
                        break;
                    }
                    bytes += canonical.len();
                    events.push(FrameEvent {
                        event: event.clone(),
                        digest: stored.digest,
                        bytes: canonical.len(),
                    });
                }
                Admission::Filtered => self.scanned_filtered += 1,
                Admission::Stall(reason) => {
                    self.stalled = Some((
                        "FilterError".to_owned(),
                        format!(
                            "event {}: {reason}; change the filter or its onError",
                            event.id
                        ),
                    ));
                    break;
                }
            }
            self.scanned = stored.sequence;
            self.scanned_hash = self.scanned_hash.next(&event.id, &stored.digest);
            self.scanned_covered.merge(&event.context);
            self.scanned_covered
                .raise(&event.id.origin, event.id.sequence);
        }
        if self.scanned == self.sent {
            return None;
        }
        if events.is_empty() {
            // Nothing to send: wait a moment for company, so that a mesh does not answer every event with an empty frame.
            self.idle_since_micros.get_or_insert(now_micros);
            let many = self.scanned - self.sent >= config.scan_rows_max as u64;
            return (many || self.stalled.is_some()).then(|| self.flush(view, Vec::new()));
        }
        Some(self.flush(view, events))
    }

    /// A frame over everything scanned and not yet sent.
    fn flush(&mut self, view: &LogView, events: Vec<FrameEvent>) -> Frame {
        let mut covered = std::mem::take(&mut self.scanned_covered);
        // Head and covered vector come from one snapshot; only a frame that ends at that head may carry it.
        if self.scanned == view.head {
            covered.merge(&view.covered_vector);
        }
        let frame = Frame {
            stream: self.id,
            incarnation: view.current().incarnation,
            from: self.sent,
            to: self.scanned,
            hash_from: self.sent_hash,
            hash_to: self.scanned_hash,
            events,
            covered,
            head: view.head,
            filtered: std::mem::take(&mut self.scanned_filtered),
        };
        self.covered_vector.merge(&frame.covered);
        self.sent = self.scanned;
        self.sent_hash = self.scanned_hash;
        self.idle_since_micros = None;
        self.credit -= i64::try_from(frame.cost()).unwrap_or(i64::MAX);
        frame
    }

    /// A frame of vectors only, when the target would learn something from it and has not been told on this stream.
    fn tell_covered(
        &mut self,
        view: &LogView,
        config: &SourceConfig,
        now_micros: i64,
        effects: &mut Vec<SourceEffect>,
    ) {
        let news = view
            .covered_vector
            .filtered(|o| config.behind.contains(&o.location));
        if self.covered_vector.covers(&news) {
            self.idle_since_micros = None;
            return;
        }
        match self.idle_since_micros {
            None => self.idle_since_micros = Some(now_micros),
            Some(since) if now_micros.saturating_sub(since) >= config.empty_frame_delay_micros => {
                effects.push(SourceEffect::Frame(Box::new(self.flush(view, Vec::new()))));
            }
            Some(_) => {}
        }
    }
}
