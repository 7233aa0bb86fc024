//! How a stream begins: what is asked for, what a refusal means, and how far to go back.

use std::collections::VecDeque;

use tidelog_model::{ChainHash, EventId, canonical, mutant};
use tidelog_store::Progress;

use super::{EdgeState, Phase, Retry, Stream, Target, TargetEffect, WentBack};
use crate::frame::{EdgeContext, FrameOutcome};
use crate::stream::{Open, Opened, PROTOCOL_VERSION, RefusalKind, Refused};

impl Target {
    pub(super) fn connected(&mut self, stream: u64, effects: &mut Vec<TargetEffect>) {
        let progress = self.held();
        let heard = self
            .view
            .version_vector
            .iter()
            .chain(self.view.covered_vector.iter())
            .filter(|(o, _)| o.location == self.config.source)
            .map(|(o, _)| o.incarnation)
            .chain(progress.lineage.current().map(|e| e.incarnation))
            .filter(|_| !mutant!("known-incarnation-untold"))
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
            source_lineage: progress.lineage.clone(),
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
        self.phase = Phase::Opening {
            stream,
            asked: progress,
            declared: self.view.clone(),
        };
        self.set_state(EdgeState::Connecting, "", "waiting for the source's answer");
    }

    pub(super) fn opened(
        &mut self,
        opened: Opened,
        now_micros: i64,
        effects: &mut Vec<TargetEffect>,
    ) {
        let Phase::Opening {
            stream,
            asked,
            declared,
        } = &self.phase
        else {
            return;
        };
        if opened.stream != *stream && !mutant!("consent-for-another-stream") {
            return;
        }
        let (stream, declared) = (*stream, declared.clone());
        if (opened.position != asked.position || opened.hash != asked.hash)
            && !mutant!("consent-for-another-position")
        {
            let asked = asked.position;
            return self.halt(
                "NoProgress",
                format!(
                    "the source opened at {}, asked was {asked}",
                    opened.position
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
            declared_version: (*declared.version_vector).clone(),
            declared_covered: (*declared.covered_vector).clone(),
        });
        if opened.voided.is_empty() || mutant!("voided-ids-not-looked-for") {
            self.begin(stream, effects);
        } else {
            effects.push(TargetEffect::FindVoided(opened.voided));
            self.phase = Phase::Checking(stream);
        }
    }

    fn begin(&mut self, stream: Box<Stream>, effects: &mut Vec<TargetEffect>) {
        self.phase = Phase::Streaming(stream);
        self.show_running();
        // The log may have moved since the stream was asked for.
        self.declare(0, 0, effects);
    }

    pub(super) fn voided(&mut self, held: Option<EventId>, effects: &mut Vec<TargetEffect>) {
        let stream = match std::mem::replace(&mut self.phase, Phase::Halted) {
            Phase::Checking(stream) => stream,
            other => {
                self.phase = other;
                return;
            }
        };
        match held {
            None => self.begin(stream, effects),
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

    pub(super) fn refused(&mut self, refused: &Refused, effects: &mut Vec<TargetEffect>) {
        let Phase::Opening { stream, .. } = &self.phase else {
            return;
        };
        if refused.stream != *stream && refused.stream != 0 {
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
        let held = self.held();
        let start = Progress {
            position: 0,
            hash: ChainHash::ZERO,
            lineage: refused.lineage.clone(),
        };
        if held.position == 0 && held.hash == start.hash {
            let message = format!("{}; this location is at 0 already", refused.message);
            return self.halt("NoProgress", message, Retry::Backoff, effects);
        }
        // Only the base at which both histories parted is certain to be shared. Where the lineages agree and the positions do not, the
        // source has lost what no raise tells of: anything but its start may be another history by now.
        let common = held.lineage.common_with(&refused.lineage);
        let shared = (common != u64::MAX || mutant!("goes-back-to-what-is-proposed"))
            && refused.position > 0
            && refused.position <= common
            && refused.position < held.position;
        let progress = if shared {
            Progress {
                position: refused.position,
                hash: refused.hash,
                lineage: refused.lineage.clone(),
            }
        } else {
            start
        };
        let message = format!(
            "{}; going back from {} to {}",
            refused.message, held.position, progress.position
        );
        self.set_state(EdgeState::SourceReset, "SourceReset", &message);
        self.phase = Phase::GoingBack {
            to: progress.clone(),
        };
        effects.push(TargetEffect::GoBack(progress));
    }

    pub(super) fn went_back(&mut self, outcome: FrameOutcome, effects: &mut Vec<TargetEffect>) {
        let to = match std::mem::replace(&mut self.phase, Phase::Halted) {
            Phase::GoingBack { to } => to,
            other => {
                self.phase = other;
                return;
            }
        };
        let retry = if matches!(outcome, FrameOutcome::Applied { .. }) {
            let from = self.shown();
            self.went_back = (from != to).then_some(WentBack { from, to });
            Retry::Now
        } else {
            Retry::Backoff
        };
        effects.push(TargetEffect::Close(
            "reopening at an earlier position".to_owned(),
            retry,
        ));
    }
}
