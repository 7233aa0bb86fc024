//! What a process makes of a witness that an operator keeps.
//!
//! Three places tell of it. The **word** of the operator says what is recorded; the **mounted** file says it as well, and lags; the pod's **folder** outlives
//! the process but not the pod, and knows every commit. What is recorded is one chain ([`WitnessRecord::may_replace`]), and a start goes like this:
//!
//! 1. It looks at the newest record that it knows, and decides by that ([`Recorder::look`]).
//! 2. It wishes for a record of its own that follows exactly that one ([`Recorder::begin`]); where it raises, first for one that fixes the number
//!    ([`Recorder::fix`]), before the database knows it.
//! 3. Only when that is recorded does it serve in the incarnation that it has found. If something else is recorded, it has decided by the past, and looks
//!    again. If nobody answers, it serves all the same, in an incarnation of its own: no other process writes in that one.
//!
//! So nobody ever goes on in an incarnation in which somebody else has written since, whatever lags, dies or comes late: between the record that a start has
//! looked at and its own there is no other. What the folder holds was written by a process that stands on a record too, and counts as long as that is the newest.

use tidelog_model::{
    Incarnation, RecordName, RecordedHead, RecordedInstance, WitnessRecord, mutant,
};
use tidelog_store::InstanceId;

use crate::witness::{ProvenHead, Witness};

/// What the pod's folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The record that was the newest one when its writer began to serve: its own, unless nobody had answered.
    pub stands_on: Option<RecordName>,
    /// What its writer kept. It is the only one that knows a committed head.
    pub witness: Witness,
}

/// Whether a wish was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The operator has not spoken yet, or has not come to it.
    Waiting,
    /// It is recorded.
    Recorded,
    /// Something else is.
    Overtaken,
}

/// What was decided does not follow from what is recorded by now: look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another process of this location was recorded at the witness meanwhile")]
pub struct Outdated;

/// The witness of one process.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    process: u64,
    /// The operator's last word.
    word: Option<Word>,
    /// It was spoken after the last wish.
    answers: bool,
    /// What the last look has found, or what was recorded for this process since.
    basis: Option<WitnessRecord>,
    wish: Option<WitnessRecord>,
    /// The greatest revision that this process has ever wished for, now and at the last look.
    asked: u64,
    asked_before: u64,
}

/// What the operator has said.
#[derive(Debug, Clone)]
struct Word {
    /// `None`: nothing is recorded.
    recorded: Option<WitnessRecord>,
    /// What was mounted then: not newer.
    mounted: Option<RecordName>,
}

impl Word {
    fn name(&self) -> Option<RecordName> {
        self.recorded.as_ref().map(|r| r.name)
    }
}

impl Recorder {
    /// A process, drawn at random below 2^53 (so that JSON can hold it anywhere).
    pub fn new(process: u64) -> Self {
        Self {
            process,
            ..Self::default()
        }
    }

    /// What is to be recorded.
    pub fn wish(&self) -> Option<&WitnessRecord> {
        self.wish.as_ref()
    }

    /// The newest record that is known to be there.
    pub fn basis(&self) -> Option<&WitnessRecord> {
        self.basis.as_ref()
    }

    /// The operator says what is recorded. `mounted` is what the mounted file says at this moment.
    pub fn told(&mut self, recorded: Option<WitnessRecord>, mounted: Option<&WitnessRecord>) {
        let name = recorded.as_ref().map(|r| r.name);
        self.word = Some(Word {
            recorded: recorded.clone(),
            mounted: mounted.map(|m| m.name),
        });
        self.answers = true;
        let Some(recorded) = recorded else {
            return;
        };
        // A wish of this start: it followed what the start has looked at, so nobody else has come in between.
        let mine = recorded.name.process == self.process
            && recorded.name.revision > self.asked_before
            && recorded.name.revision <= self.asked;
        if !mine {
            return;
        }
        let is_last = self.wish.as_ref().is_some_and(|w| w.name == recorded.name);
        self.basis = Some(recorded);
        if !is_last && let Some(mut wish) = self.wish.take() {
            // An earlier one has come late; the last one goes on top of it.
            wish.follows = name;
            self.wish_for(wish);
        }
    }

    /// Looks at everything there is, for the decision of a start: what is mounted, and what the folder holds. What was wished for earlier is given up.
    pub fn look(&mut self, mounted: Option<WitnessRecord>, kept: Option<&Kept>) -> Option<Witness> {
        self.basis = self.newest(mounted);
        self.asked_before = self.asked;
        self.wish = None;
        self.answers = false;
        let record = self.basis.as_ref();
        let name = record.map(|r| r.name);
        let writer = record.and_then(|r| r.writer);
        // Of the writer that was recorded last, or of one that nobody has been recorded after. Not where that stood on nothing, or on what nobody could
        // read: a witness that was deleted looks like one that never was, and one that cannot be read like every other one.
        let counts = |kept: &&Kept| {
            (kept.stands_on.is_some_and(|on| on.revision > 0)
                || mutant!("deleted-witness-never-was"))
                && kept.stands_on == name
                || writer.is_some() && kept.witness.writer == writer
                || mutant!("folder-of-the-past-proves")
        };
        let known = kept.map(|kept| kept.witness.incarnation);
        let incarnation = known.max(record.map(|r| r.incarnation))?;
        let mut witness = match kept.filter(counts) {
            Some(kept) => {
                let mut witness = kept.witness.clone();
                witness.clean_stop = None;
                if writer.is_some() && witness.writer == writer {
                    witness.clean_stop = clean_stop(record);
                }
                witness
            }
            // The folder knows an incarnation that the record does not: with that number beside it the record would look as if it did.
            None if known > record.map(|r| r.incarnation)
                && !mutant!("record-of-before-an-incarnation-proves") =>
            {
                Witness::default()
            }
            None => Witness {
                incarnation,
                instance: record.and_then(|r| r.instance.clone()).map(instance),
                clean_stop: clean_stop(record),
                // It would lag.
                committed: None,
                writer,
            },
        };
        witness.incarnation = incarnation;
        Some(witness)
    }

    /// Wishes to have an incarnation recorded before anybody begins in it. Whoever gets the first record of a location knows that it is new; whoever gets
    /// any knows that the number was drawn above every recorded one. Recorded already is what this start has recorded.
    pub fn fix(&mut self, incarnation: Incarnation) {
        let fixed = self.basis.as_ref().is_some_and(|basis| {
            basis.incarnation >= incarnation
                && basis.name.process == self.process
                && basis.name.revision > self.asked_before
        });
        if fixed {
            self.wish.clone_from(&self.basis);
            self.answers = false;
            return;
        }
        let known = self.basis.clone().unwrap_or(WitnessRecord::UNREADABLE);
        // Nobody has served since what was looked at: as long as no new number begins, all of that stays true. A late raise is made on such a record, and
        // who follows one that dies in the middle of it has to find the same proof again.
        let stays =
            incarnation <= known.incarnation && !mutant!("late-raise-takes-its-proof-along");
        let record = if stays {
            known
        } else {
            WitnessRecord {
                incarnation: incarnation.max(known.incarnation),
                ..WitnessRecord::UNREADABLE
            }
        };
        self.wish_for(record);
    }

    /// Wishes to be recorded as the writer.
    pub fn begin(&mut self, writer: u64, incarnation: Incarnation, on: &InstanceId) {
        let known = self.basis.as_ref().map(|r| r.incarnation);
        let record = WitnessRecord {
            incarnation: incarnation.max(known.unwrap_or_default()),
            writer: Some(writer),
            instance: Some(RecordedInstance {
                system: on.system.clone(),
                timeline: on.timeline.clone(),
                started: on.started.clone(),
            }),
            ..WitnessRecord::UNREADABLE
        };
        self.wish_for(record);
    }

    /// Wishes that the stop of the writer that began last be recorded. Not where another one was recorded since, as far as is known.
    pub fn stop(&mut self, head: ProvenHead) -> Result<(), Outdated> {
        let begun = match &self.wish {
            Some(wish) => Some(wish.clone()),
            None => self.basis.clone(),
        };
        let Some(mut record) = begun.filter(|_| self.standing() != Standing::Overtaken) else {
            return Err(Outdated);
        };
        record.clean_stop = Some(RecordedHead {
            sequence: head.sequence,
            hash: head.hash,
        });
        self.wish_for(record);
        Ok(())
    }

    /// Where the wish stands.
    pub fn standing(&self) -> Standing {
        let Some(wish) = &self.wish else {
            return Standing::Waiting;
        };
        let basis = self.basis.as_ref().map(|b| b.name);
        let is_recorded = basis == Some(wish.name);
        let expected = if is_recorded { basis } else { wish.follows };
        let answer = self.word.as_ref().filter(|_| self.answers).map(Word::name);
        if answer.is_some_and(|answer| answer != expected) {
            if mutant!("later-record-passed-over") {
                return Standing::Recorded;
            }
            return Standing::Overtaken;
        }
        if is_recorded {
            Standing::Recorded
        } else {
            Standing::Waiting
        }
    }

    /// The newest of what was said and what is mounted.
    fn newest(&self, mounted: Option<WitnessRecord>) -> Option<WitnessRecord> {
        let Some(word) = &self.word else {
            return mounted;
        };
        let revision = word.name().map_or(0, |name| name.revision);
        match mounted {
            Some(mounted)
                if Some(mounted.name) != word.mounted && mounted.name.revision > revision =>
            {
                Some(mounted)
            }
            _ => word.recorded.clone(),
        }
    }

    /// Gives a wish its name, and the place that follows what was looked at.
    fn wish_for(&mut self, mut record: WitnessRecord) {
        let basis = self.basis.as_ref().map(|b| b.name);
        self.asked = self
            .asked
            .max(basis.map_or(0, |b| b.revision))
            .saturating_add(1);
        record.name = RecordName {
            revision: self.asked,
            process: self.process,
        };
        record.follows = basis;
        self.wish = Some(record);
        self.answers = false;
    }
}

fn instance(recorded: RecordedInstance) -> InstanceId {
    InstanceId {
        system: recorded.system,
        timeline: recorded.timeline,
        started: recorded.started,
    }
}

fn clean_stop(record: Option<&WitnessRecord>) -> Option<ProvenHead> {
    let head = record?.clean_stop?;
    Some(ProvenHead {
        sequence: head.sequence,
        hash: head.hash,
    })
}
