//! How a stream begins: who asks, where both histories agree, and what the target knows better.

use tidelog_model::{ChainHash, EventId, Incarnation, canonical, mutant};

use super::{Phase, Source, SourceEffect, Stream};
use crate::frame::FrameEvent;
use crate::stream::{Open, Opened, PROTOCOL_VERSION, ProofQuestion, RefusalKind, Refused};

/// Signs that this location has lost something of its own.
enum Suspicion {
    /// The target stores what this location does not: it can show it.
    Provable(ProofQuestion),
    /// The target has heard of a later incarnation, and stores nothing of it.
    Bare(Incarnation),
}

impl Source {
    pub(super) fn open(
        &mut self,
        open: Box<Open>,
        now_micros: i64,
        effects: &mut Vec<SourceEffect>,
    ) {
        self.phase = Phase::Closed;
        if let Some((kind, message)) = self.objection(&open) {
            return self.refuse(&open, kind, message, 0, ChainHash::ZERO, effects);
        }
        match self.suspicion(&open) {
            Some(Suspicion::Provable(question)) => {
                return self.ask_for_proof(open, question, now_micros, effects);
            }
            Some(Suspicion::Bare(incarnation)) => {
                let message = format!(
                    "{} knows incarnation {incarnation} of {}, in which nothing was written and which {} has lost; it needs a person",
                    open.target, open.source, open.source
                );
                let kind = RefusalKind::Rejected;
                return self.refuse(&open, kind, message, 0, ChainHash::ZERO, effects);
            }
            None => {}
        }
        let mut common = open.source_lineage.common_with(&self.view.lineage);
        if mutant!("lineages-not-compared") {
            common = u64::MAX;
        }
        // Shared for certain is what lies below the base at which the histories parted. Beyond the head without such a base this log has
        // been cut and has perhaps grown again: nothing is certain but its start, the head least of all.
        let proposal = match open.position.min(common) {
            shared if shared <= self.view.head => shared,
            _ if mutant!("head-proposed-beyond-the-head") => self.view.head,
            _ => 0,
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
    fn suspicion(&self, open: &Open) -> Option<Suspicion> {
        let mine = self.view.origin();
        let stored_there = open.version_vector.iter();
        let later = stored_there
            .filter(|(o, _)| o.location == mine.location && o.incarnation > mine.incarnation)
            .map(|(o, _)| o)
            .max();
        if let Some(later) = later {
            return Some(Suspicion::Provable(EventId::new(later.clone(), 1)));
        }
        let written = self.view.version_vector.get(&mine);
        if open.version_vector.get(&mine) > written && !mutant!("no-late-detection") {
            let first = EventId::new(mine, written + 1);
            return Some(Suspicion::Provable(first));
        }
        let known = open.source_incarnation_known;
        (known > mine.incarnation && !mutant!("later-incarnation-ignored"))
            .then_some(Suspicion::Bare(known))
    }

    /// Asks for an event that would prove a loss here, once per peer and hour: a bare claim never makes a location raise.
    fn ask_for_proof(
        &mut self,
        open: Box<Open>,
        question: ProofQuestion,
        now_micros: i64,
        effects: &mut Vec<SourceEffect>,
    ) {
        let recently = self
            .last_proof_micros
            .is_some_and(|t| now_micros.saturating_sub(t) < self.config.proof_interval_micros);
        if recently && !mutant!("claims-without-end") {
            let message = format!(
                "{} claims events of {question} that it could not or did not show; asked at most once an hour",
                open.target
            );
            let kind = RefusalKind::Rejected;
            return self.refuse(&open, kind, message, 0, ChainHash::ZERO, effects);
        }
        self.last_proof_micros = Some(now_micros);
        let message = format!(
            "{} claims {question}, which {} does not hold",
            open.target, open.source
        );
        let kind = RefusalKind::SourceBehind;
        self.refuse(&open, kind, message, 0, ChainHash::ZERO, effects);
        effects.push(SourceEffect::AskProof(question));
        self.phase = Phase::AwaitingProof { open };
    }

    pub(super) fn compare(
        &mut self,
        position: u64,
        hash: Option<ChainHash>,
        effects: &mut Vec<SourceEffect>,
    ) {
        let (open, wanted, proposal) = match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Comparing {
                open,
                position,
                proposal,
            } => (open, position, proposal),
            other => {
                self.phase = other;
                return;
            }
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
            Some(hash) if !proposal && (hash == open.hash || mutant!("hash-at-open-ignored")) => {
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

    pub(super) fn proof(&mut self, event: Option<FrameEvent>, effects: &mut Vec<SourceEffect>) {
        let open = match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::AwaitingProof { open } => open,
            other => {
                self.phase = other;
                return;
            }
        };
        let origin = self.view.origin();
        let proven = event.filter(|e| {
            if mutant!("any-event-proves-a-loss") {
                return true;
            }
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
}
