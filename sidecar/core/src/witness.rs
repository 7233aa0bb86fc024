//! The witness: what is known about a location outside of its database's backup domain, and what it proves at start-up.

use serde::{Deserialize, Serialize};
use tidelog_model::{ChainHash, Incarnation, LineageEntry, mutant};
use tidelog_store::{InstanceId, LogState};

/// A head with its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProvenHead {
    /// Local sequence.
    pub sequence: u64,
    /// Hash chain there.
    pub hash: ChainHash,
}

/// What the witness says. Every field is optional but the incarnation: a witness may know a location without having seen it serve.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Witness {
    /// Greatest incarnation that was ever raised.
    pub incarnation: Incarnation,
    /// The database instance that was recorded before the last writer served.
    pub instance: Option<InstanceId>,
    /// The final head of a clean stop; cleared before a writer serves.
    pub clean_stop: Option<ProvenHead>,
    /// The head written after every commit and before its answer or any frame left (witness files only).
    pub committed: Option<ProvenHead>,
    /// The last writer, by the nonce of the lease under which it began; recorded before it served.
    pub writer: Option<u64>,
}

/// How continuity was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// The same running database as the last writer used.
    SameInstance,
    /// What a clean stop left is still there.
    CleanStop,
    /// What was last answered is still there.
    CommittedHead,
}

/// What a start-up decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartDecision {
    /// Everything that was ever acknowledged is there: go on in the same incarnation.
    Continue(Proof),
    /// A location that never was: the first incarnation.
    First(LineageEntry),
    /// Not proven: a new incarnation with the head as its base.
    Raise {
        /// The new incarnation.
        entry: LineageEntry,
        /// What could not be proven, for people.
        reason: String,
        /// The first append has to wait until the wall clock has reached this (microseconds since the Unix epoch), unless the
        /// witness has fixed the incarnation before that.
        not_before_micros: i64,
    },
}

/// Judges a database against the witness. `hash_at_witnessed` is the database's hash chain at the position of the witness's
/// committed head, `None` when that lies beyond the head.
///
/// In doubt it raises: a needless raise is safe and costs one vector entry.
pub fn decide_start(
    state: &LogState,
    witness: Option<&Witness>,
    instance: &InstanceId,
    hash_at_witnessed: Option<ChainHash>,
    now_micros: i64,
) -> StartDecision {
    let Some(current) = state.lineage.current() else {
        return match witness.filter(|_| !mutant!("empty-database-is-new")) {
            None => StartDecision::First(LineageEntry {
                incarnation: Incarnation(1),
                base: 0,
            }),
            Some(w) => raise(
                state,
                w.incarnation,
                now_micros,
                "the database is empty, but this location has existed before",
            ),
        };
    };
    let Some(witness) = witness else {
        return raise(
            state,
            current.incarnation,
            now_micros,
            "there is no witness of what this location has acknowledged",
        );
    };
    if witness.incarnation > current.incarnation && !mutant!("witnessed-incarnation-ignored") {
        let known = witness.incarnation;
        return raise(
            state,
            known,
            now_micros,
            "the database is older than the witness: it misses an incarnation",
        );
    }
    let known = current.incarnation.max(witness.incarnation);
    // Also on the same server: somebody of whom the witness does not know has served there, and an older copy of that may have been put into it.
    if witness.incarnation < current.incarnation
        && !mutant!("stale-witness-proves")
        && !(witness.instance.as_ref() == Some(instance)
            && mutant!("server-proves-an-unknown-incarnation"))
    {
        return raise(
            state,
            known,
            now_micros,
            "the witness is older than the database: it has not seen what this incarnation acknowledged",
        );
    }
    if (instance.started.is_some() || mutant!("instance-without-start-proves"))
        && witness.instance.as_ref() == Some(instance)
    {
        return StartDecision::Continue(Proof::SameInstance);
    }
    if witness.clean_stop
        == Some(ProvenHead {
            sequence: state.head,
            hash: state.hash,
        })
    {
        return StartDecision::Continue(Proof::CleanStop);
    }
    if mutant!("no-raise") {
        return StartDecision::Continue(Proof::CommittedHead);
    }
    match witness.committed {
        Some(head)
            if head.sequence <= state.head
                && (hash_at_witnessed == Some(head.hash)
                    || mutant!("witness-at-most-the-head-proves")) =>
        {
            StartDecision::Continue(Proof::CommittedHead)
        }
        Some(head) if head.sequence > state.head => raise(
            state,
            known,
            now_micros,
            &format!(
                "the database ends at {}, but {} was acknowledged",
                state.head, head.sequence
            ),
        ),
        Some(head) => raise(
            state,
            known,
            now_micros,
            &format!(
                "the database holds another history at {} than was acknowledged",
                head.sequence
            ),
        ),
        None => raise(
            state,
            known,
            now_micros,
            "nothing proves that the database still holds what was acknowledged",
        ),
    }
}

fn raise(state: &LogState, known: Incarnation, now_micros: i64, reason: &str) -> StartDecision {
    let incarnation = next_incarnation(known, now_micros);
    StartDecision::Raise {
        entry: LineageEntry {
            incarnation,
            base: state.head,
        },
        reason: reason.to_owned(),
        not_before_micros: i64::from(incarnation.0) * 1_000_000,
    }
}

/// An incarnation greater than every known one that cannot have been used before: a counter alone goes back with the database, and two
/// restores within one second would repeat the time.
pub fn next_incarnation(known: Incarnation, now_micros: i64) -> Incarnation {
    if mutant!("incarnation-is-a-counter") {
        return Incarnation(known.0.saturating_add(1));
    }
    let seconds = u32::try_from(now_micros.max(0) / 1_000_000).unwrap_or(u32::MAX - 1);
    Incarnation(
        known
            .0
            .saturating_add(1)
            .max(seconds.saturating_add(u32::from(!mutant!("incarnation-within-one-second")))),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use tidelog_model::{HybridTime, Lineage, VectorTime};

    use super::*;

    const NOW: i64 = 1_700_000_000_000_000;

    fn hash(n: u8) -> ChainHash {
        ChainHash([n; 32])
    }

    fn state(incarnations: &[(u32, u64)], head: u64) -> LogState {
        let entries = incarnations
            .iter()
            .map(|(i, b)| LineageEntry {
                incarnation: Incarnation(*i),
                base: *b,
            })
            .collect();
        LogState {
            lineage: Lineage::new(entries).unwrap(),
            head,
            hash: hash(head as u8),
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

    fn instance(started: Option<&str>) -> InstanceId {
        InstanceId {
            system: "s".into(),
            timeline: "1".into(),
            started: started.map(str::to_owned),
        }
    }

    fn at(sequence: u64) -> ProvenHead {
        ProvenHead {
            sequence,
            hash: hash(sequence as u8),
        }
    }

    fn raised(decision: &StartDecision) -> Option<u32> {
        match decision {
            StartDecision::Raise { entry, .. } => Some(entry.incarnation.0),
            _ => None,
        }
    }

    #[test]
    fn a_location_that_never_was_starts_with_incarnation_one() {
        let decision = decide_start(&state(&[], 0), None, &instance(None), None, NOW);
        assert_eq!(
            decision,
            StartDecision::First(LineageEntry {
                incarnation: Incarnation(1),
                base: 0
            })
        );
    }

    #[test]
    fn an_emptied_database_of_a_known_location_raises() {
        let witness = Witness {
            incarnation: Incarnation(1),
            ..Witness::default()
        };
        let decision = decide_start(&state(&[], 0), Some(&witness), &instance(None), None, NOW);
        assert_eq!(raised(&decision), Some(1_700_000_001));
    }

    #[test]
    fn an_incarnation_is_above_all_known_ones_and_above_the_clock() {
        assert_eq!(
            next_incarnation(Incarnation(1), NOW),
            Incarnation(1_700_000_001)
        );
        assert_eq!(
            next_incarnation(Incarnation(1_700_000_001), NOW),
            Incarnation(1_700_000_002)
        );
        assert_eq!(next_incarnation(Incarnation(7), -5), Incarnation(8));
    }

    #[test]
    fn without_a_witness_a_used_database_raises() {
        let decision = decide_start(&state(&[(1, 0)], 5), None, &instance(Some("t")), None, NOW);
        assert!(raised(&decision).is_some());
    }

    #[test]
    fn the_same_running_database_continues_unless_nothing_tells_when_it_started() {
        let mut witness = Witness {
            incarnation: Incarnation(1),
            ..Witness::default()
        };
        witness.instance = Some(instance(Some("t")));
        let s = state(&[(1, 0)], 5);
        let same = decide_start(&s, Some(&witness), &instance(Some("t")), None, NOW);
        assert_eq!(same, StartDecision::Continue(Proof::SameInstance));
        assert!(
            raised(&decide_start(
                &s,
                Some(&witness),
                &instance(Some("u")),
                None,
                NOW
            ))
            .is_some()
        );
        witness.instance = Some(instance(None));
        assert!(
            raised(&decide_start(
                &s,
                Some(&witness),
                &instance(None),
                None,
                NOW
            ))
            .is_some()
        );
    }

    #[test]
    fn a_server_that_holds_an_incarnation_that_the_witness_does_not_know_proves_nothing() {
        let witness = Witness {
            incarnation: Incarnation(1),
            instance: Some(instance(Some("t"))),
            ..Witness::default()
        };
        let found = decide_start(
            &state(&[(1, 0), (9, 2)], 5),
            Some(&witness),
            &instance(Some("t")),
            None,
            NOW,
        );
        assert_eq!(raised(&found), Some(1_700_000_001));
    }

    #[test]
    fn a_clean_stop_counts_only_when_its_final_head_is_the_head() {
        let mut witness = Witness {
            incarnation: Incarnation(1),
            ..Witness::default()
        };
        witness.clean_stop = Some(at(5));
        let go = |head| {
            decide_start(
                &state(&[(1, 0)], head),
                Some(&witness),
                &instance(None),
                None,
                NOW,
            )
        };
        assert_eq!(go(5), StartDecision::Continue(Proof::CleanStop));
        assert!(raised(&go(4)).is_some());
        assert!(raised(&go(6)).is_some());
    }

    #[test]
    fn a_committed_head_counts_when_its_hash_is_found_there() {
        let mut witness = Witness {
            incarnation: Incarnation(1),
            ..Witness::default()
        };
        witness.committed = Some(at(5));
        let go = |head, found| {
            decide_start(
                &state(&[(1, 0)], head),
                Some(&witness),
                &instance(None),
                found,
                NOW,
            )
        };
        assert_eq!(
            go(5, Some(hash(5))),
            StartDecision::Continue(Proof::CommittedHead)
        );
        assert_eq!(
            go(6, Some(hash(5))),
            StartDecision::Continue(Proof::CommittedHead)
        );
        assert!(raised(&go(4, None)).is_some());
        assert!(raised(&go(6, Some(hash(9)))).is_some());
    }

    #[test]
    fn a_raise_that_only_one_of_both_knows_raises_though_head_and_hash_agree() {
        // A raise leaves head and hash as they are: only the incarnation tells a copy of before it.
        for (in_witness, in_database) in [(9, &[(1, 0)][..]), (1, &[(1, 0), (9, 5)][..])] {
            let witness = Witness {
                incarnation: Incarnation(in_witness),
                committed: Some(at(5)),
                clean_stop: Some(at(5)),
                ..Witness::default()
            };
            let decision = decide_start(
                &state(in_database, 5),
                Some(&witness),
                &instance(None),
                Some(hash(5)),
                NOW,
            );
            assert_eq!(raised(&decision), Some(1_700_000_001));
        }
    }

    #[test]
    fn a_database_from_before_a_raise_raises_above_it() {
        let witness = Witness {
            incarnation: Incarnation(1_900_000_000),
            ..Witness::default()
        };
        let decision = decide_start(
            &state(&[(1, 0)], 5),
            Some(&witness),
            &instance(None),
            None,
            NOW,
        );
        assert_eq!(raised(&decision), Some(1_900_000_001));
    }
}
