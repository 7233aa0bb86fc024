//! The target of an edge: what it asks for, and what it hands to its writer.
//!
//! The target keeps no progress of its own: progress is what the writer's last commit says. A frame is applied in the writer's transaction or
//! not at all; nothing later of a stream is applied after a failure.

mod handshake;
mod message;

use std::collections::VecDeque;
use std::sync::Arc;

use tidelog_model::{Incarnation, VectorTime, mutant};
use tidelog_store::Progress;

pub use message::{EdgeState, Retry, TargetConfig, TargetEffect, TargetInput, TargetStatus};

use crate::frame::{EdgeContext, Frame, FrameFault, FrameOutcome};
use crate::log::FrameWork;
use crate::stream::{Credit, Heartbeat};
use crate::view::LogView;

enum Phase {
    Disconnected,
    Opening {
        stream: u64,
        /// Where the stream was asked to start.
        asked: Progress,
        /// What was declared when it was asked for.
        declared: Arc<LogView>,
    },
    GoingBack {
        to: Progress,
    },
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
    applying: Option<Applying>,
    declared_version: VectorTime,
    declared_covered: VectorTime,
}

/// The frame that is in the writer's hands.
struct Applying {
    cost: u64,
    to: u64,
}

/// A progress that the writer has changed while the view does not show it yet.
struct WentBack {
    from: Progress,
    to: Progress,
}

/// The target of one edge.
pub struct Target {
    config: TargetConfig,
    view: Arc<LogView>,
    phase: Phase,
    status: TargetStatus,
    /// The greatest incarnation of the source that was ever heard of here.
    source_incarnation_known: Incarnation,
    went_back: Option<WentBack>,
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
            went_back: None,
        }
    }

    /// Takes another configuration over. The running stream ends; its counters stay.
    pub fn reconfigure(&mut self, config: TargetConfig) {
        self.config = config;
        self.phase = Phase::Disconnected;
    }

    /// The next stream declares what another writer holds: a fail-over may have brought back what had been gone back from.
    pub fn writer_changed(&mut self) {
        self.went_back = None;
    }

    /// Takes another plan over that leaves this edge as it is: the running stream goes on.
    pub fn set_spec_hash(&mut self, spec_hash: &str) {
        spec_hash.clone_into(&mut self.config.spec_hash);
    }

    /// The heartbeat of a stream.
    pub fn heartbeat(&self, stream: u64, now_micros: i64) -> Heartbeat {
        let status = &self.status;
        Heartbeat {
            stream,
            head: self.view.head,
            time_micros: now_micros,
            stalled: (!status.reason.is_empty())
                .then(|| (status.reason.clone(), status.message.clone())),
            spec_hash: Some(self.config.spec_hash.clone()),
            filter_hash: Some(self.config.filter_hash.clone()),
            ..Heartbeat::default()
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
        self.held().position
    }

    /// The progress as the writer last left it, also when the view does not show it yet.
    fn held(&self) -> Progress {
        let shown = self.shown();
        match &self.went_back {
            Some(back) if back.from == shown => back.to.clone(),
            _ => shown,
        }
    }

    fn shown(&self) -> Progress {
        let shown = self.view.progress.get(&self.config.source);
        shown.cloned().unwrap_or_default()
    }

    /// Takes an input and says what to do.
    pub fn handle(&mut self, input: TargetInput, now_micros: i64) -> Vec<TargetEffect> {
        let mut effects = Vec::new();
        match input {
            TargetInput::Connected(stream) => self.connected(stream, &mut effects),
            TargetInput::Opened(opened) => self.opened(*opened, now_micros, &mut effects),
            TargetInput::Refused(refused) => self.refused(&refused, &mut effects),
            TargetInput::Frame(frame) => self.frame(*frame, now_micros, &mut effects),
            TargetInput::Heartbeat(heartbeat) => self.heard(heartbeat, now_micros),
            TargetInput::Applied(outcome) => self.applied(outcome, &mut effects),
            TargetInput::WentBack(outcome) => self.went_back(outcome, &mut effects),
            TargetInput::Voided(held) => self.voided(held, &mut effects),
            TargetInput::View(view) => self.moved(view, &mut effects),
            TargetInput::Disconnected(reason) => self.disconnected(&reason),
        }
        self.apply_next(&mut effects);
        effects
    }

    fn frame(&mut self, frame: Frame, now_micros: i64, effects: &mut Vec<TargetEffect>) {
        // The source sends as soon as it has agreed: what comes while the voided ids are looked up waits in the queue.
        let (Phase::Streaming(stream) | Phase::Checking(stream)) = &mut self.phase else {
            return;
        };
        if frame.stream != stream.id && !mutant!("frames-of-other-streams") {
            return;
        }
        if stream.edge.lineage.current().map(|e| e.incarnation) != Some(frame.incarnation)
            && !mutant!("frames-of-other-incarnations")
        {
            let message = format!(
                "frame of incarnation {} on a stream of another",
                frame.incarnation
            );
            return self.halt("SourceReset", message, Retry::Backoff, effects);
        }
        stream.queued_cost += frame.cost();
        // One frame may overdraw the window, a peer that ignores it is cut off.
        if stream.queued_cost > self.config.window_bytes.saturating_mul(2) + 2 * 4_194_304
            && !mutant!("window-unbounded")
        {
            let message = "the source sends beyond its credit".to_owned();
            return self.halt("Rejected", message, Retry::Backoff, effects);
        }
        self.status.source_head = Some((frame.head, now_micros));
        self.status.filtered_total = self.status.filtered_total.saturating_add(frame.filtered);
        stream.queue.push_back(frame);
    }

    fn heard(&mut self, heartbeat: Heartbeat, now_micros: i64) {
        let Phase::Streaming(stream) = &self.phase else {
            return;
        };
        if heartbeat.stream != stream.id {
            return;
        }
        if let Some(spec_hash) = heartbeat.spec_hash {
            self.status.peer_spec_hash = spec_hash;
        }
        if let Some(filter_hash) = heartbeat.filter_hash {
            self.status.peer_filter_hash = filter_hash;
        }
        self.status.source_head = Some((heartbeat.head, now_micros));
        self.status.behind_micros = Some(heartbeat.next_stored_at_micros.map_or(0, |stored| {
            heartbeat.time_micros.saturating_sub(stored).max(0)
        }));
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
        if stream.applying.is_some() && !mutant!("two-frames-with-the-writer") {
            return;
        }
        let Some(frame) = stream.queue.pop_front() else {
            return;
        };
        stream.applying = Some(Applying {
            cost: frame.cost(),
            to: frame.to,
        });
        effects.push(TargetEffect::Apply(Box::new(FrameWork {
            frame,
            edge: stream.edge.clone(),
        })));
    }

    fn applied(&mut self, outcome: FrameOutcome, effects: &mut Vec<TargetEffect>) {
        let Phase::Streaming(stream) = &mut self.phase else {
            return;
        };
        let Some(Applying { cost, to }) = stream.applying.take() else {
            return;
        };
        stream.queued_cost = stream.queued_cost.saturating_sub(cost);
        match outcome {
            FrameOutcome::Applied { stored, redundant } => {
                self.status.stored_total += stored as u64;
                self.status.redundant_total += redundant as u64;
                self.declare(cost, to, effects);
                self.show_running();
            }
            FrameOutcome::Dropped if mutant!("dropped-frame-keeps-its-credit") => {}
            FrameOutcome::Dropped => self.declare(cost, 0, effects),
            FrameOutcome::Discontinuous => {
                // The writer knows better, also where a fail-over brought back what had been gone back from.
                if !mutant!("went-back-outlives-the-writer") {
                    self.went_back = None;
                }
                let message = "a frame does not continue the progress; reopening".to_owned();
                self.halt("", message, Retry::Now, effects);
                self.set_state(EdgeState::Connecting, "", "reopening the stream");
            }
            FrameOutcome::Stalled(fault) => {
                let reason = match &fault {
                    FrameFault::IdentityReused { .. } => "IdentityReused",
                    FrameFault::Limit { .. } => "EventTooLarge",
                    FrameFault::VectorFull { .. } | FrameFault::CoveredFull { .. } => "VectorFull",
                    FrameFault::NotCovered { .. }
                    | FrameFault::NeverWritten { .. }
                    | FrameFault::OutOfOrder { .. }
                    | FrameFault::Malformed { .. } => "Rejected",
                };
                self.halt(reason, fault.to_string(), Retry::Backoff, effects);
            }
            FrameOutcome::LossProven(event) => {
                let message = format!("event {} proves a loss at this location", event.event.id);
                self.halt("SourceReset", message, Retry::Backoff, effects);
            }
            FrameOutcome::Failed(reason) => {
                if mutant!("goes-on-after-a-failed-frame") {
                    return;
                }
                self.phase = Phase::Halted;
                self.set_state(EdgeState::Connecting, "StorageUnavailable", &reason);
                effects.push(TargetEffect::Close(reason, Retry::Backoff));
            }
        }
    }

    /// Gives credit back and declares the vectors anew where they moved. `applied` is where the progress is at least.
    fn declare(&mut self, bytes: u64, applied: u64, effects: &mut Vec<TargetEffect>) {
        let progress = self.progress().max(applied);
        let Phase::Streaming(stream) = &mut self.phase else {
            return;
        };
        let version = (stream.declared_version != *self.view.version_vector
            && !mutant!("vector-never-declared-anew"))
        .then(|| {
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
        let shown = self.shown();
        self.went_back.take_if(|back| back.from != shown);
        if raised && !mutant!("target-stream-outlives-a-raise") {
            self.went_back = None;
            if !matches!(self.phase, Phase::Disconnected | Phase::Halted) {
                self.phase = Phase::Halted;
                let reason = "this location raised its incarnation".to_owned();
                effects.push(TargetEffect::Close(reason, Retry::Now));
            }
            return;
        }
        // While a frame is with the writer its answer is about to declare the same.
        let running = matches!(&self.phase, Phase::Streaming(stream) if stream.applying.is_none());
        if running {
            self.declare(0, 0, effects);
            if self.status.state == EdgeState::CatchingUp {
                self.show_running();
            }
        }
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
