//! The target of an edge: what it asks for, and what it hands to its writer.
//!
//! The target keeps no progress of its own: progress is what the writer's last commit says. A frame is applied in the writer's transaction or
//! not at all; nothing later of a stream is applied after a failure.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use tidelog_model::{
    ApplicationVersion, EventId, Incarnation, LocationName, VectorTime, canonical,
};
use tidelog_store::{Progress, VoidedId};

use crate::frame::{EdgeContext, Frame, FrameOutcome};
use crate::log::FrameWork;
use crate::stream::{Credit, Heartbeat, Open, Opened, PROTOCOL_VERSION, RefusalKind, Refused};
use crate::view::LogView;

/// An edge as its target knows it.
#[derive(Debug, Clone)]
pub struct TargetConfig {
    /// The log.
    pub log: String,
    /// The other location.
    pub source: LocationName,
    /// This one.
    pub target: LocationName,
    /// The plan that runs here.
    pub spec_hash: String,
    /// Name of the application.
    pub application_name: String,
    /// Version of the application here.
    pub application_version: ApplicationVersion,
    /// Identity of the edge's filter in the plan here.
    pub filter_hash: String,
    /// Locations behind the source, seen from here.
    pub behind: Arc<BTreeSet<LocationName>>,
    /// Bytes in flight.
    pub window_bytes: u64,
}

/// What the target is told.
#[derive(Debug)]
pub enum TargetInput {
    /// A connection to the source stands; the stream gets this random id (not 0).
    Connected(u64),
    /// The source agreed.
    Opened(Box<Opened>),
    /// The source refused.
    Refused(Box<Refused>),
    /// A frame arrived.
    Frame(Box<Frame>),
    /// The source is alive.
    Heartbeat(Heartbeat),
    /// The writer is done with the frame.
    Applied(FrameOutcome),
    /// The writer is done with going back.
    WentBack(FrameOutcome),
    /// Which of the voided ids asked about is held here.
    Voided(Option<EventId>),
    /// The log moved on (also by other streams).
    View(Arc<LogView>),
    /// The connection is gone.
    Disconnected(String),
}

/// How long to wait before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// At once.
    Now,
    /// With growing, jittered pauses.
    Backoff,
    /// Not before an hour, or a change of configuration.
    Hour,
}

/// What the driver of a target has to do.
#[derive(Debug)]
pub enum TargetEffect {
    /// Open the stream.
    Open(Box<Open>),
    /// Hand a frame to the writer; answer with [`TargetInput::Applied`].
    Apply(Box<FrameWork>),
    /// Go back in the writer; answer with [`TargetInput::WentBack`].
    GoBack(Progress),
    /// Look whether one of these is held; answer with [`TargetInput::Voided`].
    FindVoided(Vec<VoidedId>),
    /// Tell the source.
    Credit(Credit),
    /// End the connection and try again.
    Close(String, Retry),
}

/// State of an edge, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EdgeState {
    /// Not started.
    Pending,
    /// Dialling or shaking hands.
    Connecting,
    /// Runs, behind the source's head.
    CatchingUp,
    /// Runs, at the source's head.
    Streaming,
    /// Paused by plan or command.
    Paused,
    /// Does not go on until somebody acts.
    Stalled,
    /// No connection.
    Unreachable,
    /// Versions do not fit.
    Incompatible,
    /// Refused by rule.
    Rejected,
    /// Goes back because the source lost events.
    SourceReset,
}

/// What is known about an edge at its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStatus {
    /// The state.
    pub state: EdgeState,
    /// One CamelCase word; empty when all is well.
    pub reason: String,
    /// For people.
    pub message: String,
    /// The source's head as last heard, with the local time of hearing. `None` before.
    pub source_head: Option<(u64, i64)>,
    /// The source's clock minus `stored_at` of the oldest event not yet copied, as last heard.
    pub behind_micros: Option<i64>,
    /// Events received and found here already.
    pub redundant_total: u64,
    /// Events received and stored.
    pub stored_total: u64,
    /// Events that the source's filter kept back, as far as frames told.
    pub filtered_total: u64,
    /// The plan that the source runs.
    pub peer_spec_hash: String,
    /// The filter that the source evaluates.
    pub peer_filter_hash: String,
}

enum Phase {
    Disconnected,
    Opening {
        stream: u64,
    },
    GoingBack,
    /// Consent is there; the voided ids are being looked up.
    Checking(Box<Stream>),
    Streaming(Box<Stream>),
    /// Nothing is applied until the connection ends.
    Halted,
}

struct Stream {
    id: u64,
    edge: EdgeContext,
    queue: VecDeque<Frame>,
    queued_cost: u64,
    applying: Option<u64>,
    declared_version: VectorTime,
    declared_covered: VectorTime,
}

/// The target of one edge.
pub struct Target {
    config: TargetConfig,
    view: Arc<LogView>,
    phase: Phase,
    status: TargetStatus,
    /// The greatest incarnation of the source that was ever heard of here.
    source_incarnation_known: Incarnation,
}

impl Target {
    /// A target over a log.
    pub fn new(config: TargetConfig, view: Arc<LogView>) -> Self {
        Self {
            config,
            view,
            phase: Phase::Disconnected,
            status: TargetStatus {
                state: EdgeState::Pending,
                reason: String::new(),
                message: String::new(),
                source_head: None,
                behind_micros: None,
                redundant_total: 0,
                stored_total: 0,
                filtered_total: 0,
                peer_spec_hash: String::new(),
                peer_filter_hash: String::new(),
            },
            source_incarnation_known: Incarnation(0),
        }
    }

    /// What is known about the edge.
    pub fn status(&self) -> &TargetStatus {
        &self.status
    }

    /// Sets the state from outside: pausing, cutting, dialling.
    pub fn set_state(&mut self, state: EdgeState, reason: &str, message: &str) {
        self.status.state = state;
        reason.clone_into(&mut self.status.reason);
        message.clone_into(&mut self.status.message);
    }

    /// Position up to which the source was taken over.
    pub fn progress(&self) -> u64 {
        self.view
            .progress
            .get(&self.config.source)
            .map_or(0, |p| p.position)
    }

    /// Takes an input and says what to do.
    pub fn handle(&mut self, input: TargetInput, now_micros: i64) -> Vec<TargetEffect> {
        let mut effects = Vec::new();
        match input {
            TargetInput::Connected(stream) => self.connected(stream, &mut effects),
            TargetInput::Opened(opened) => self.opened(*opened, now_micros, &mut effects),
            TargetInput::Refused(refused) => self.refused(&refused, &mut effects),
            TargetInput::Frame(frame) => self.frame(*frame, now_micros, &mut effects),
            TargetInput::Heartbeat(heartbeat) => self.heartbeat(heartbeat, now_micros),
            TargetInput::Applied(outcome) => self.applied(outcome, &mut effects),
            TargetInput::WentBack(outcome) => self.went_back(outcome, &mut effects),
            TargetInput::Voided(held) => self.voided(held, &mut effects),
            TargetInput::View(view) => self.moved(view, &mut effects),
            TargetInput::Disconnected(reason) => self.disconnected(&reason),
        }
        self.apply_next(&mut effects);
        effects
    }

    fn connected(&mut self, stream: u64, effects: &mut Vec<TargetEffect>) {
        let progress = self
            .view
            .progress
            .get(&self.config.source)
            .cloned()
            .unwrap_or_default();
        let heard = self
            .view
            .version_vector
            .iter()
            .chain(self.view.covered_vector.iter())
            .filter(|(o, _)| o.location == self.config.source)
            .map(|(o, _)| o.incarnation)
            .chain(progress.lineage.current().map(|e| e.incarnation))
            .max()
            .unwrap_or_default();
        self.source_incarnation_known = self.source_incarnation_known.max(heard);
        let c = &self.config;
        effects.push(TargetEffect::Open(Box::new(Open {
            stream,
            log: c.log.clone(),
            target: c.target.clone(),
            source: c.source.clone(),
            position: progress.position,
            hash: progress.hash,
            source_lineage: progress.lineage,
            version_vector: (*self.view.version_vector).clone(),
            covered_vector: (*self.view.covered_vector).clone(),
            target_lineage: (*self.view.lineage).clone(),
            source_incarnation_known: self.source_incarnation_known,
            spec_hash: c.spec_hash.clone(),
            application_name: c.application_name.clone(),
            application_version: c.application_version.clone(),
            protocol_version: PROTOCOL_VERSION,
            canonical_version: u32::from(canonical::VERSION),
            credit_bytes: c.window_bytes,
            filter_hash: c.filter_hash.clone(),
        })));
        self.phase = Phase::Opening { stream };
        self.set_state(EdgeState::Connecting, "", "waiting for the source's answer");
    }

    fn opened(&mut self, opened: Opened, now_micros: i64, effects: &mut Vec<TargetEffect>) {
        let Phase::Opening { stream } = self.phase else {
            return;
        };
        if opened.stream != stream {
            return;
        }
        let progress = self
            .view
            .progress
            .get(&self.config.source)
            .cloned()
            .unwrap_or_default();
        if opened.position != progress.position || opened.hash != progress.hash {
            return self.halt(
                "NoProgress",
                format!(
                    "the source opened at {}, asked was {}",
                    opened.position, progress.position
                ),
                Retry::Backoff,
                effects,
            );
        }
        if let Some(current) = opened.lineage.current() {
            self.source_incarnation_known = self.source_incarnation_known.max(current.incarnation);
        }
        self.status.source_head = Some((opened.head, now_micros));
        self.status.peer_spec_hash.clone_from(&opened.spec_hash);
        self.status.peer_filter_hash.clone_from(&opened.filter_hash);
        let stream = Box::new(Stream {
            id: stream,
            edge: EdgeContext {
                source: self.config.source.clone(),
                lineage: opened.lineage,
                behind: self.config.behind.clone(),
            },
            queue: VecDeque::new(),
            queued_cost: 0,
            applying: None,
            declared_version: (*self.view.version_vector).clone(),
            declared_covered: (*self.view.covered_vector).clone(),
        });
        if opened.voided.is_empty() {
            self.phase = Phase::Streaming(stream);
            self.show_running();
        } else {
            effects.push(TargetEffect::FindVoided(opened.voided));
            self.phase = Phase::Checking(stream);
        }
    }

    fn voided(&mut self, held: Option<EventId>, effects: &mut Vec<TargetEffect>) {
        let Phase::Checking(stream) = std::mem::replace(&mut self.phase, Phase::Halted) else {
            return;
        };
        match held {
            None => {
                self.phase = Phase::Streaming(stream);
                self.show_running();
            }
            Some(id) => self.halt(
                "IdentityReused",
                format!(
                    "event {id} is stored here, but {} took it back after a loss; what depends on it needs a person",
                    self.config.source
                ),
                Retry::Hour,
                effects,
            ),
        }
    }

    fn refused(&mut self, refused: &Refused, effects: &mut Vec<TargetEffect>) {
        let Phase::Opening { stream } = self.phase else {
            return;
        };
        if refused.stream != stream && refused.stream != 0 {
            return;
        }
        let message = refused.message.clone();
        let (state, reason, retry) = match refused.kind {
            RefusalKind::PositionMismatch => return self.go_back(refused, effects),
            RefusalKind::SourceBehind => {
                // The connection stays open: the source asks for proof on it.
                self.set_state(EdgeState::SourceReset, "SourceReset", &message);
                return;
            }
            RefusalKind::Incompatible => (
                EdgeState::Incompatible,
                "VersionIncompatible",
                Retry::Backoff,
            ),
            RefusalKind::ApplicationMismatch => (
                EdgeState::Incompatible,
                "ApplicationMismatch",
                Retry::Backoff,
            ),
            RefusalKind::Paused => (EdgeState::Paused, "PausedAtSource", Retry::Backoff),
            RefusalKind::NotReady => (EdgeState::Connecting, "NotReady", Retry::Backoff),
            RefusalKind::Cut => (EdgeState::Unreachable, "PeerUnreachable", Retry::Backoff),
            RefusalKind::Rejected => (EdgeState::Rejected, "Rejected", Retry::Hour),
            RefusalKind::WrongLocation => {
                (EdgeState::Rejected, "DuplicateLocation", Retry::Backoff)
            }
            RefusalKind::EdgeNotAllowed => (EdgeState::Rejected, "EdgeNotAllowed", Retry::Backoff),
        };
        self.set_state(state, reason, &message);
        self.phase = Phase::Halted;
        effects.push(TargetEffect::Close(message, retry));
    }

    /// The source does not share the position: go back to what both tellings of its history have in common.
    fn go_back(&mut self, refused: &Refused, effects: &mut Vec<TargetEffect>) {
        let held = self
            .view
            .progress
            .get(&self.config.source)
            .cloned()
            .unwrap_or_default();
        let common = held.lineage.common_with(&refused.lineage);
        let agreed = refused.position < held.position && refused.position <= common;
        let progress = if agreed {
            Progress {
                position: refused.position,
                hash: refused.hash,
                lineage: refused.lineage.clone(),
            }
        } else {
            Progress {
                position: 0,
                hash: tidelog_model::ChainHash::ZERO,
                lineage: refused.lineage.clone(),
            }
        };
        let message = format!(
            "{}; going back from {} to {}",
            refused.message, held.position, progress.position
        );
        self.set_state(EdgeState::SourceReset, "SourceReset", &message);
        self.phase = Phase::GoingBack;
        effects.push(TargetEffect::GoBack(progress));
    }

    fn went_back(&mut self, outcome: FrameOutcome, effects: &mut Vec<TargetEffect>) {
        if !matches!(self.phase, Phase::GoingBack) {
            return;
        }
        self.phase = Phase::Halted;
        let retry = if matches!(outcome, FrameOutcome::Applied { .. }) {
            Retry::Now
        } else {
            Retry::Backoff
        };
        effects.push(TargetEffect::Close(
            "reopening at an earlier position".to_owned(),
            retry,
        ));
    }

    fn frame(&mut self, frame: Frame, now_micros: i64, effects: &mut Vec<TargetEffect>) {
        let Phase::Streaming(stream) = &mut self.phase else {
            return;
        };
        if frame.stream != stream.id {
            return;
        }
        if stream.edge.lineage.current().map(|e| e.incarnation) != Some(frame.incarnation) {
            let message = format!(
                "frame of incarnation {} on a stream of another",
                frame.incarnation
            );
            return self.halt("SourceReset", message, Retry::Backoff, effects);
        }
        stream.queued_cost += frame.cost();
        // One frame may overdraw the window, a peer that ignores it is cut off.
        if stream.queued_cost > self.config.window_bytes.saturating_mul(2) + 2 * 4_194_304 {
            let message = "the source sends beyond its credit".to_owned();
            return self.halt("Rejected", message, Retry::Backoff, effects);
        }
        self.status.source_head = Some((frame.head, now_micros));
        self.status.filtered_total += frame.filtered;
        stream.queue.push_back(frame);
    }

    fn heartbeat(&mut self, heartbeat: Heartbeat, now_micros: i64) {
        let Phase::Streaming(stream) = &self.phase else {
            return;
        };
        if heartbeat.stream != stream.id {
            return;
        }
        self.status.source_head = Some((heartbeat.head, now_micros));
        self.status.behind_micros = Some(
            heartbeat
                .next_stored_at_micros
                .map_or(0, |stored| (heartbeat.time_micros - stored).max(0)),
        );
        if let Some((reason, message)) = heartbeat.stalled {
            let state = if reason == "VersionIncompatible" {
                EdgeState::Incompatible
            } else {
                EdgeState::Stalled
            };
            self.set_state(state, &reason, &message);
        } else {
            self.show_running();
        }
    }

    fn apply_next(&mut self, effects: &mut Vec<TargetEffect>) {
        let Phase::Streaming(stream) = &mut self.phase else {
            return;
        };
        if stream.applying.is_some() {
            return;
        }
        let Some(frame) = stream.queue.pop_front() else {
            return;
        };
        stream.applying = Some(frame.cost());
        effects.push(TargetEffect::Apply(Box::new(FrameWork {
            frame,
            edge: stream.edge.clone(),
        })));
    }

    fn applied(&mut self, outcome: FrameOutcome, effects: &mut Vec<TargetEffect>) {
        let Phase::Streaming(stream) = &mut self.phase else {
            return;
        };
        let Some(cost) = stream.applying.take() else {
            return;
        };
        stream.queued_cost = stream.queued_cost.saturating_sub(cost);
        match outcome {
            FrameOutcome::Applied { stored, redundant } => {
                self.status.stored_total += stored as u64;
                self.status.redundant_total += redundant as u64;
                self.declare(cost, effects);
                self.show_running();
            }
            FrameOutcome::Dropped => self.declare(cost, effects),
            FrameOutcome::Discontinuous => {
                let message = "a frame does not continue the progress; reopening".to_owned();
                self.halt("", message, Retry::Now, effects);
                self.set_state(EdgeState::Connecting, "", "reopening the stream");
            }
            FrameOutcome::Stalled(fault) => {
                let reason = match &fault {
                    crate::FrameFault::IdentityReused { .. } => "IdentityReused",
                    crate::FrameFault::Limit { .. } => "EventTooLarge",
                    crate::FrameFault::VectorFull { .. } => "VectorFull",
                    crate::FrameFault::NotCovered { .. } | crate::FrameFault::Malformed { .. } => {
                        "Rejected"
                    }
                };
                self.halt(reason, fault.to_string(), Retry::Backoff, effects);
            }
            FrameOutcome::LossProven(event) => {
                let message = format!("event {} proves a loss at this location", event.event.id);
                self.halt("SourceReset", message, Retry::Backoff, effects);
            }
            FrameOutcome::Failed(reason) => {
                self.phase = Phase::Halted;
                self.set_state(EdgeState::Connecting, "StorageUnavailable", &reason);
                effects.push(TargetEffect::Close(reason, Retry::Backoff));
            }
        }
    }

    /// Gives credit back and declares the vectors anew where they moved.
    fn declare(&mut self, bytes: u64, effects: &mut Vec<TargetEffect>) {
        let progress = self.progress();
        let Phase::Streaming(stream) = &mut self.phase else {
            return;
        };
        let version = (stream.declared_version != *self.view.version_vector).then(|| {
            stream
                .declared_version
                .clone_from(&self.view.version_vector);
            stream.declared_version.clone()
        });
        let covered = (stream.declared_covered != *self.view.covered_vector).then(|| {
            stream
                .declared_covered
                .clone_from(&self.view.covered_vector);
            stream.declared_covered.clone()
        });
        if bytes == 0 && version.is_none() && covered.is_none() {
            return;
        }
        effects.push(TargetEffect::Credit(Credit {
            stream: stream.id,
            bytes,
            version_vector: version,
            covered_vector: covered,
            progress,
        }));
    }

    /// The log moved, perhaps by another stream: what this source need not send any more is declared at once.
    fn moved(&mut self, view: Arc<LogView>, effects: &mut Vec<TargetEffect>) {
        let raised = view.lineage != self.view.lineage;
        self.view = view;
        if raised && !matches!(self.phase, Phase::Disconnected) {
            self.phase = Phase::Halted;
            effects.push(TargetEffect::Close(
                "this location raised its incarnation".into(),
                Retry::Now,
            ));
            return;
        }
        self.declare(0, effects);
    }

    fn disconnected(&mut self, reason: &str) {
        self.phase = Phase::Disconnected;
        self.status.behind_micros = None;
        let keeps_its_word = matches!(
            self.status.state,
            EdgeState::Stalled
                | EdgeState::Incompatible
                | EdgeState::Rejected
                | EdgeState::SourceReset
                | EdgeState::Paused
        );
        if !keeps_its_word {
            self.set_state(EdgeState::Unreachable, "PeerUnreachable", reason);
        }
    }

    fn halt(
        &mut self,
        reason: &str,
        message: String,
        retry: Retry,
        effects: &mut Vec<TargetEffect>,
    ) {
        self.set_state(EdgeState::Stalled, reason, &message);
        self.phase = Phase::Halted;
        effects.push(TargetEffect::Close(message, retry));
    }

    fn show_running(&mut self) {
        let behind = self
            .status
            .source_head
            .is_some_and(|(head, _)| head > self.progress());
        let state = if behind {
            EdgeState::CatchingUp
        } else {
            EdgeState::Streaming
        };
        self.set_state(state, "", "");
    }
}
