//! What a process remembers of its log from one of its writers to the next, and what that proves.
//!
//! It proves more than a witness may, and other things: the database may be the same running server as before and yet hold an older copy that
//! somebody has put back into it.

use tidelog_model::{ChainHash, Incarnation, mutant};
use tidelog_store::LogState;

use crate::witness::{ProvenHead, Witness};
use crate::writer::StopReason;

/// What the last writer of a process left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// The last thing it acknowledged. `None` once another writer may have acknowledged more: then it proves nothing.
    pub head: Option<ProvenHead>,
    /// The same, whoever has written since: a database that does not hold it any more has lost it.
    pub left: Option<ProvenHead>,
    /// What the witness was told of the writer before it served.
    pub writer: u64,
}

/// What a memory says about a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recall {
    /// Nothing that counts: the witness decides.
    Nothing,
    /// It is as the last writer left it.
    Unchanged,
    /// It has lost what the last writer left: the incarnation has to be raised. The reason is for people.
    Lost(String),
}

impl Memory {
    /// Of a writer that stopped at a head.
    pub fn after(reason: &StopReason, head: ProvenHead, writer: u64) -> Self {
        match reason {
            StopReason::ShutDown => Self::default(),
            StopReason::Fenced => Self {
                head: None,
                left: (!mutant!("fenced-writer-forgets-what-it-left")).then_some(head),
                writer,
            },
            StopReason::StateChanged(_) | StopReason::CutOff(_) | StopReason::LossProven(_) => {
                Self {
                    head: Some(head),
                    left: Some(head),
                    writer,
                }
            }
        }
    }

    /// Somebody else may have held the lease since: more may have been acknowledged, and a fail-over may have lost it. An equal head proves
    /// nothing any more.
    pub fn not_alone(&mut self) {
        if !mutant!("memory-outlives-another-writer") {
            self.head = None;
        }
    }

    /// Where the hash chain of the database has to be looked up for [`Self::recall`].
    pub fn position(&self) -> Option<u64> {
        self.head.or(self.left).map(|left| left.sequence)
    }

    /// Judges a database. `served` is the incarnation in which the last writer served; `hash_at` the database's hash chain at
    /// [`Self::position`], `None` when that lies beyond its head; `witness` what is known outside of the database.
    pub fn recall(
        &self,
        state: &LogState,
        served: Incarnation,
        hash_at: Option<ChainHash>,
        witness: Option<&Witness>,
    ) -> Recall {
        let is_empty = state.lineage.current().is_none();
        if is_empty && served > Incarnation(0) && !mutant!("emptied-database-is-new") {
            return Recall::Lost("the database is empty, and this process has served it".into());
        }
        let Some(left) = self.head.or(self.left) else {
            return Recall::Nothing;
        };
        // A raise leaves head and hash as they are: a database that has lost one is judged by the witness, which knows it.
        if state.incarnation() < served && !mutant!("continues-in-an-incarnation-it-has-left") {
            return Recall::Nothing;
        }
        // The running writer's memory: what it last saw committed is still the head. Not unless the witness still names it: another process may
        // have served while this one stood still, and its lease may have gone away together with what it acknowledged.
        if self.head.is_some() && (state.head, state.hash) == (left.sequence, left.hash) {
            let last = witness.and_then(|witness| witness.writer);
            return if last == Some(self.writer) || mutant!("memory-before-the-witness") {
                Recall::Unchanged
            } else {
                Recall::Nothing
            };
        }
        // Another writer that has raised meanwhile may have written the history anew.
        let comparable = self.head.is_some() || state.incarnation() == served;
        if comparable && hash_at != Some(left.hash) && !mutant!("memory-of-another-history-ignored")
        {
            return Recall::Lost(format!(
                "the database no longer holds position {} as this process left it",
                left.sequence
            ));
        }
        Recall::Nothing
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use tidelog_model::{HybridTime, Lineage, LineageEntry, VectorTime};

    use super::*;

    const FIRST: Incarnation = Incarnation(1);

    fn at(sequence: u64) -> ProvenHead {
        ProvenHead {
            sequence,
            hash: ChainHash([sequence as u8; 32]),
        }
    }

    fn database(head: u64) -> LogState {
        let entry = LineageEntry {
            incarnation: FIRST,
            base: 0,
        };
        LogState {
            lineage: Lineage::new(vec![entry]).unwrap(),
            head,
            hash: at(head).hash,
            version_vector: VectorTime::new(),
            covered_vector: VectorTime::new(),
            clock: HybridTime::default(),
            stored_at_micros: 0,
            progress: BTreeMap::new(),
            voided: Vec::new(),
            paused: BTreeSet::new(),
            lease: None,
        }
    }

    fn naming(writer: Option<u64>) -> Witness {
        Witness {
            incarnation: FIRST,
            writer,
            ..Witness::default()
        }
    }

    #[test]
    fn an_empty_database_is_not_new_to_a_process_that_has_served_it() {
        let empty = LogState {
            lineage: Lineage::default(),
            ..database(0)
        };
        let recall = |served| Memory::default().recall(&empty, served, None, None);
        assert!(matches!(recall(FIRST), Recall::Lost(_)));
        assert_eq!(recall(Incarnation(0)), Recall::Nothing);
    }

    #[test]
    fn an_unchanged_head_proves_nothing_unless_the_witness_names_the_writer_that_left_it() {
        let memory = Memory::after(&StopReason::StateChanged(String::new()), at(3), 7);
        let state = database(3);
        let recall =
            |witness: Option<&Witness>| memory.recall(&state, FIRST, Some(at(3).hash), witness);
        assert_eq!(recall(Some(&naming(Some(7)))), Recall::Unchanged);
        for silent in [None, Some(&naming(None)), Some(&naming(Some(8)))] {
            assert_eq!(recall(silent), Recall::Nothing, "{silent:?}");
        }
    }
}
