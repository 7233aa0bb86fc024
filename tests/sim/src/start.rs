//! How a location begins to serve: the lease, the proof that nothing is missing, or another incarnation. The decisions are those of the
//! product; carried out they are in the order in which its engine carries them out.

use tidelog_core::{
    FrameEvent, Identity, LogCore, LogView, ProvenHead, Recall, RecordStanding, Stamp,
    StartDecision, Witness, Writer, decide_start, next_incarnation, plan_late_raise, proven_until,
};
use tidelog_model::{Incarnation, LineageEntry, VectorTime};
use tidelog_store::{Guard, InstanceId, LogState, LogStore, Raise};

use crate::dice::Dice;
use crate::site::{Remembered, Site, now};

/// What begins.
pub struct Started {
    pub writer: Writer,
    pub view: LogView,
    pub nonce: u64,
    /// Where continuity was last proven.
    pub proven: ProvenHead,
    pub raised: bool,
    /// It goes on as before a writer of which nobody knew.
    pub passes_over: bool,
}

/// How an attempt ended.
enum Try {
    Started(Box<Started>),
    Died,
    /// It had decided by a record that was not the newest; whether it has raised.
    Outdated(bool),
}

impl Site {
    /// Proves continuity, also by what the last writer of a process that lives on remembers, or raises; returns the writer, its view and the
    /// nonce of its lease. `None`: it died on the way.
    pub fn start(
        &mut self,
        now_micros: &mut i64,
        remembered: &Remembered,
        dies: impl Fn(&mut Dice) -> bool,
        dice: &mut Dice,
    ) -> Option<Started> {
        if let Some(operated) = &mut self.operated {
            operated.come(&remembered.place, dice);
        }
        let mut raised = false;
        loop {
            match self.try_to_start(now_micros, remembered, raised, &dies, dice) {
                Try::Started(started) => return Some(*started),
                Try::Died => return None,
                Try::Outdated(also_raised) => raised |= also_raised,
            }
        }
    }

    fn try_to_start(
        &mut self,
        now_micros: &mut i64,
        remembered: &Remembered,
        already_raised: bool,
        dies: &impl Fn(&mut Dice) -> bool,
        dice: &mut Dice,
    ) -> Try {
        let found = self.state().lease.map(|lease| lease.nonce);
        let (nonce, mut state) = self.take_lease();
        let mut memory = remembered.memory;
        if found != Some(remembered.nonce) {
            memory.not_alone();
        }
        let witness = match &mut self.operated {
            Some(operated) => operated.look(),
            None => self.witness.clone(),
        };
        let committed = witness.as_ref().and_then(|w| w.committed);
        let hash = committed.and_then(|head| self.hash_at(head.sequence));
        let instance = InstanceId {
            system: "simulation".into(),
            timeline: String::new(),
            started: self.server.then(|| self.generation.to_string()),
        };
        let witness = witness.as_ref();
        let hash_at = memory.position().and_then(|at| self.hash_at(at));
        let proven = remembered.proven;
        let proven = proven.filter(|p| self.hash_at(p.sequence).is_none_or(|h| h == p.hash));
        let loss = remembered.loss.as_ref();
        let late = loss.filter(|loss| self.lacks(&state, loss)).map(|loss| {
            let proven = proven.map(|p| p.sequence);
            self.plan_late(nonce, &state, loss, proven, witness, *now_micros)
        });
        let decision = match memory.recall(&state, remembered.served, hash_at, witness) {
            Recall::Unchanged => None,
            Recall::Lost(reason) => {
                let known = witness.map_or(Incarnation(0), |w| w.incarnation);
                let incarnation = next_incarnation(
                    known.max(state.incarnation()).max(remembered.served),
                    *now_micros,
                );
                Some(StartDecision::Raise {
                    entry: LineageEntry {
                        incarnation,
                        base: state.head,
                    },
                    reason,
                    not_before_micros: i64::from(incarnation.0) * 1_000_000,
                })
            }
            Recall::Nothing => {
                let decision = decide_start(&state, witness, &instance, hash, *now_micros);
                Some(decision)
            }
        };
        let (entry, mut raised) = match decision {
            _ if late.is_some() => {
                let entry = late.as_ref().map(|raise| raise.entry);
                let drawn = entry.map_or(0, |e| i64::from(e.incarnation.0) * 1_000_000);
                if drawn - *now_micros <= 1_000_000 {
                    *now_micros = (*now_micros).max(drawn);
                }
                (entry, true)
            }
            None | Some(StartDecision::Continue(_)) => (None, false),
            Some(StartDecision::First(entry)) => {
                let fixed = self
                    .operated
                    .as_mut()
                    .map(|o| o.fix(entry.incarnation, dice));
                let is_new = fixed.is_none_or(|fixed| fixed == RecordStanding::Recorded);
                if is_new {
                    (Some(entry), false)
                } else {
                    let incarnation = next_incarnation(Incarnation(0), *now_micros);
                    *now_micros = (*now_micros).max(i64::from(incarnation.0) * 1_000_000);
                    let base = 0;
                    (Some(LineageEntry { incarnation, base }), true)
                }
            }
            Some(StartDecision::Raise {
                entry,
                not_before_micros,
                ..
            }) => {
                *now_micros = (*now_micros).max(not_before_micros);
                (Some(entry), true)
            }
        };
        if let Some(entry) = entry {
            // A late raise is fixed in the database first.
            let order = [
                late.is_none() || self.operated.is_some(),
                late.is_some() && self.operated.is_none(),
            ];
            for witness_first in order {
                if let Some(operated) = self.operated.as_mut().filter(|_| witness_first) {
                    let fixed = if late.is_some() {
                        state.incarnation()
                    } else {
                        entry.incarnation
                    };
                    if operated.fix(fixed, dice) == RecordStanding::Overtaken {
                        return Try::Outdated(false);
                    }
                } else if witness_first {
                    let known = self.witness.get_or_insert_with(Witness::default);
                    known.incarnation = known.incarnation.max(entry.incarnation);
                } else {
                    let guard = Guard {
                        incarnation: state.incarnation(),
                        nonce,
                        head: state.head,
                    };
                    let raise = late.clone().unwrap_or(Raise {
                        guard,
                        entry,
                        rewrite: None,
                    });
                    now(self.store.raise(&raise)).expect("the lease was just taken");
                    if late.is_some() {
                        self.rewrote.clone_from(&late);
                    }
                }
                if dies(dice) {
                    return Try::Died;
                }
            }
        }
        state = self.state();
        if self.operated.is_some() {
            let in_time = self.be_recorded(nonce, &state, instance, &mut raised, now_micros, dice);
            if !in_time {
                return Try::Outdated(raised);
            }
            state = self.state();
            if dies(dice) {
                return Try::Died;
            }
        } else {
            self.witness = Some(Witness {
                incarnation: state.incarnation(),
                instance: Some(instance),
                clean_stop: None,
                committed: (!self.server).then_some(ProvenHead {
                    sequence: state.head,
                    hash: state.hash,
                }),
                writer: Some(nonce),
            });
            self.witnesses.extend(self.witness.clone());
        }
        let unrecorded = self.operated.as_ref().map(|o| o.unrecorded);
        let passes_over = !raised && unrecorded.is_some_and(|u| u > state.incarnation());
        raised |= already_raised;
        self.started_in = self.generation;
        let identity = Identity {
            location: self.name.clone(),
            nonce,
        };
        let core = LogCore::new(identity, &state);
        let stamp = Stamp {
            application_version: self.application_version(),
            plan_id: 0,
        };
        let mut writer = Writer::new(core, stamp, self.limits);
        writer.set_recovering(raised);
        assert_ne!(state.incarnation(), Incarnation(0));
        let view = LogView::of(self.name.clone(), &state);
        assert_eq!(view, writer.core().view(), "two ways to one view");
        let head = ProvenHead {
            sequence: state.head,
            hash: state.hash,
        };
        Try::Started(Box::new(Started {
            writer,
            view,
            nonce,
            proven: proven.filter(|_| !raised).unwrap_or(head),
            raised,
            passes_over,
        }))
    }

    /// Makes the writer known to the operator, or gives it an incarnation of its own. What the pod keeps is kept from here on. False: it has decided by
    /// the past.
    fn be_recorded(
        &mut self,
        nonce: u64,
        state: &LogState,
        instance: InstanceId,
        raised: &mut bool,
        now_micros: &mut i64,
        dice: &mut Dice,
    ) -> bool {
        let Some(operated) = &mut self.operated else {
            return true;
        };
        let mut incarnation = state.incarnation();
        let mut standing = operated.begin(nonce, incarnation, &instance, dice);
        if standing == RecordStanding::Waiting && !*raised {
            incarnation = next_incarnation(incarnation, *now_micros);
            *now_micros = (*now_micros).max(i64::from(incarnation.0) * 1_000_000);
            if operated.fix(incarnation, dice) == RecordStanding::Overtaken {
                return false;
            }
            let guard = Guard {
                incarnation: state.incarnation(),
                nonce,
                head: state.head,
            };
            let entry = LineageEntry {
                incarnation,
                base: state.head,
            };
            let raise = Raise {
                guard,
                entry,
                rewrite: None,
            };
            now(self.store.raise(&raise)).expect("the lease was just taken");
            *raised = true;
            standing = operated.begin(nonce, incarnation, &instance, dice);
        }
        let in_time = standing != RecordStanding::Overtaken;
        if in_time {
            let head = ProvenHead {
                sequence: state.head,
                hash: state.hash,
            };
            operated.begun(nonce, incarnation, instance, head);
        }
        in_time
    }

    /// Whether an event that was taken for the proof of a loss proves it still.
    fn lacks(&self, state: &LogState, event: &FrameEvent) -> bool {
        let id = &event.event.id;
        let found = now(self.store.find(std::slice::from_ref(id))).expect("memory can be read");
        let held = found.into_iter().flatten().next();
        id.origin.incarnation >= state.incarnation()
            && held.is_none_or(|row| row.digest != event.digest)
    }

    fn plan_late(
        &self,
        nonce: u64,
        state: &LogState,
        loss: &FrameEvent,
        proven: Option<u64>,
        witness: Option<&Witness>,
        now_micros: i64,
    ) -> Raise {
        let id = &loss.event.id;
        let known = witness.map_or(Incarnation(0), |w| w.incarnation);
        let known = known.max(state.incarnation()).max(id.origin.incarnation);
        let proven = proven_until(state, proven, id);
        let rows = |after, to| match to {
            0 => Vec::new(),
            _ => self.page(after, to, usize::MAX).events,
        };
        let mut vector = VectorTime::new();
        for stored in rows(0, proven) {
            vector.merge(&stored.event.vector_time());
        }
        let identity = Identity {
            location: self.name.clone(),
            nonce,
        };
        let core = LogCore::new(identity, state);
        let hash = self.hash_at(proven).unwrap_or_default();
        plan_late_raise(
            &core,
            next_incarnation(known, now_micros),
            proven,
            &rows(proven, state.head),
            vector,
            hash,
        )
    }
}
