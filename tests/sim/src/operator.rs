//! A witness that an operator keeps, of one location: what is recorded, what is mounted, and what the folder of each pod holds.
//!
//! The operator may be away, may have read what a process wished for and come to write it only much later, and may say what is recorded at any time. What is
//! mounted is any record that ever was. A pod that goes away takes its folder along.

use tidelog_core::{Kept, ProvenHead, RecordStanding, Recorder, Witness};
use tidelog_model::{Incarnation, RecordName, WitnessRecord};
use tidelog_store::InstanceId;

use crate::dice::Dice;

/// Everything about the witness of a location.
#[derive(Default)]
pub struct Operated {
    /// All that was ever recorded, the newest at the end; `None` where it was deleted.
    chain: Vec<Option<WitnessRecord>>,
    mounted: usize,
    /// Nobody answers.
    pub away: bool,
    /// It is never away nor late: nothing else knows which incarnations there were, where clocks step back.
    pub reliable: bool,
    in_hand: Option<WitnessRecord>,
    /// The newest incarnation in which somebody has served of whom nobody knew.
    pub unrecorded: Incarnation,
    processes: u64,
    /// The pod of the process that serves, or served last.
    pub pod: Pod,
}

/// A pod: its folder, and what its process knows.
#[derive(Default, Clone)]
pub struct Pod {
    pub recorder: Recorder,
    pub kept: Option<Kept>,
}

/// In which pod a process is.
#[derive(Default, Clone)]
pub enum Place {
    /// It is a new process: in the pod of the last one, if that is still there, or in another one.
    #[default]
    New,
    /// It is the last one.
    Here,
    /// It waits elsewhere.
    There(Box<Pod>),
}

impl Operated {
    fn recorded(&self) -> Option<&WitnessRecord> {
        self.chain.last().and_then(Option::as_ref)
    }

    /// Whether anything is recorded.
    pub fn knows(&self) -> bool {
        self.recorded().is_some()
    }

    fn mounted(&self) -> Option<WitnessRecord> {
        self.chain.get(self.mounted).cloned().flatten()
    }

    /// A process is about to begin.
    pub fn come(&mut self, place: &Place, dice: &mut Dice) {
        match place {
            Place::Here => {}
            Place::There(pod) => self.pod = Pod::clone(pod),
            Place::New => {
                self.processes += 1;
                let stays = dice.chance(60);
                self.pod.recorder = Recorder::new(self.processes);
                self.pod.kept = self.pod.kept.take().filter(|_| stays);
            }
        }
    }

    pub fn look(&mut self) -> Option<Witness> {
        let mounted = self.mounted();
        self.pod.recorder.look(mounted, self.pod.kept.as_ref())
    }

    /// Fixes an incarnation before the database knows it.
    pub fn fix(&mut self, incarnation: Incarnation, dice: &mut Dice) -> RecordStanding {
        self.pod.recorder.fix(incarnation);
        self.answer(dice)
    }

    /// Makes a writer known.
    pub fn begin(
        &mut self,
        writer: u64,
        incarnation: Incarnation,
        on: &InstanceId,
        dice: &mut Dice,
    ) -> RecordStanding {
        self.pod.recorder.begin(writer, incarnation, on);
        self.answer(dice)
    }

    /// The writer serves from here on.
    pub fn begun(
        &mut self,
        writer: u64,
        incarnation: Incarnation,
        on: InstanceId,
        head: ProvenHead,
    ) {
        if self.pod.recorder.standing() == RecordStanding::Waiting {
            self.unrecorded = incarnation;
        }
        self.pod.kept = Some(Kept {
            stands_on: self.pod.recorder.basis().map(|b| b.name),
            witness: Witness {
                incarnation,
                instance: Some(on),
                clean_stop: None,
                committed: Some(head),
                writer: Some(writer),
            },
        });
    }

    pub fn committed(&mut self, head: ProvenHead) {
        if let Some(kept) = &mut self.pod.kept {
            kept.witness.committed = Some(head);
        }
    }

    pub fn stopped(&mut self, head: ProvenHead, dice: &mut Dice) {
        if self.pod.recorder.stop(head).is_ok() {
            self.answer(dice);
        }
    }

    /// The operator comes to a wish, unless it is away or too slow for the one who waits.
    fn answer(&mut self, dice: &mut Dice) -> RecordStanding {
        if !self.away || self.reliable {
            if self.reliable || dice.chance(90) {
                self.read_wish();
                self.write();
                self.tell();
            } else if dice.chance(50) {
                self.read_wish();
            }
        }
        self.pod.recorder.standing()
    }

    pub fn read_wish(&mut self) -> bool {
        self.in_hand = self.pod.recorder.wish().cloned();
        self.in_hand.is_some()
    }

    /// Writes what it has read, if that may be.
    pub fn write(&mut self) -> bool {
        let written = self.in_hand.take();
        let written = written.filter(|wish| {
            let there: Option<RecordName> = self.recorded().map(|r| r.name);
            there != Some(wish.name) && wish.may_replace(self.recorded())
        });
        let any = written.is_some();
        if any {
            self.chain.push(written);
        }
        any
    }

    pub fn tell(&mut self) -> bool {
        let mounted = self.mounted();
        let recorded = self.recorded().cloned();
        self.pod.recorder.told(recorded, mounted.as_ref());
        true
    }

    /// Any record that ever was may be the mounted one, a later one sooner.
    pub fn mount(&mut self, dice: &mut Dice) -> bool {
        let before = self.mounted;
        let from = if dice.chance(80) { before } else { 0 };
        self.mounted = from + dice.below(self.chain.len().saturating_sub(from).max(1));
        self.mounted != before
    }

    pub fn delete(&mut self) {
        self.chain.push(None);
    }
}
