//! Each judge accepts a good run and turns red on a bad one.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::history::Topology;
use crate::record::*;

fn id(location: &str, sequence: u64) -> Id {
    Id::new(location, 1, sequence)
}

fn fact(id: Id, sequence: u64, context: &[(&str, u64)]) -> Fact {
    Fact {
        tag: format!("tag of {id}"),
        digest: format!("digest of {id}"),
        context: Vector(context.iter().map(|(o, s)| ((*o).to_owned(), *s)).collect()),
        kind: "T".to_owned(),
        keys: vec!["k".to_owned()],
        metadata: [].into(),
        request_id: String::new(),
        request_index: 0,
        time: (0, 0),
        stored_at: i64::try_from(sequence).unwrap(),
        sequence,
        id,
    }
}

fn dump(location: &str, facts: Vec<Fact>) -> Dump {
    let mut version_vector = Vector::default();
    for fact in &facts {
        version_vector.merge(&fact.vector_time());
    }
    Dump {
        location: location.to_owned(),
        listed: facts
            .iter()
            .map(|f| (f.sequence, f.id.clone(), f.digest.clone()))
            .collect(),
        head: facts.len() as u64,
        incarnation: 1,
        lineage: vec![(1, 0)],
        covered_vector: version_vector.clone(),
        version_vector,
        edges: Vec::new(),
        warnings: Vec::new(),
        facts,
    }
}

fn attempt(id: &Id, seen: Seen) -> Attempt {
    Attempt {
        session: "writer".to_owned(),
        location: id.location.clone(),
        request_id: format!("request of {id}"),
        tags: vec![format!("tag of {id}")],
        seen,
        condition: None,
        started_at: 10,
        ended_at: 11,
        answer: Answer::Ok {
            ids: vec![id.clone()],
            token: Vector::default(),
            replayed: false,
        },
    }
}

fn progress(source: &str, target: &str, progress: u64) -> Progress {
    Progress {
        at: 0,
        source: source.to_owned(),
        target: target.to_owned(),
        source_incarnation: 1,
        target_incarnation: 1,
        progress,
    }
}

/// a writes 1; b reads it, writes 1; a third event of c knows of nothing. a and b hold all, in different orders.
fn good() -> History {
    let (a, b, c) = (id("a", 1), id("b", 2), id("c", 1));
    let at_a = vec![
        fact(a.clone(), 1, &[]),
        fact(c.clone(), 2, &[]),
        fact(b.clone(), 3, &[("a#1", 1)]),
    ];
    let at_b = vec![
        fact(a.clone(), 1, &[]),
        fact(b.clone(), 2, &[("a#1", 1)]),
        fact(c.clone(), 3, &[]),
    ];
    let at_c = vec![
        fact(c.clone(), 1, &[]),
        fact(a.clone(), 2, &[]),
        fact(b.clone(), 3, &[("a#1", 1)]),
    ];
    let mut history = History::default();
    for (name, facts) in [("a", at_a), ("b", at_b), ("c", at_c)] {
        history.pages.subscriptions.push(Subscription {
            name: format!("s-{name}"),
            location: name.to_owned(),
            events: facts
                .iter()
                .map(|f| Delivered {
                    incarnation: 1,
                    fact: f.clone(),
                })
                .collect(),
            ..Subscription::default()
        });
        let mut dump = dump(name, facts);
        for other in ["a", "b", "c"] {
            if other != name {
                dump.edges.push(progress(other, name, 3));
                history.topology.edge(other, name);
            }
        }
        history.dumps.insert(name.to_owned(), dump);
    }
    history.pages.attempts = vec![
        attempt(&a, Seen::Everything),
        attempt(&b, Seen::Only([a.clone()].into())),
        attempt(&c, Seen::Only(BTreeSet::new())),
    ];
    history.pages.lives = vec![Life {
        at: 1,
        location: "a".to_owned(),
        incarnation: 1,
    }];
    history.pages.progress = vec![progress("a", "b", 1), progress("a", "b", 3)];
    history.pages.frames = vec![
        frame(0, 2, "0", "2"),
        frame(2, 2, "2", "2"),
        frame(2, 3, "2", "3"),
    ];
    history
}

fn frame(from: u64, to: u64, hash_from: &str, hash_to: &str) -> FrameRecord {
    FrameRecord {
        stream: 7,
        source: "a".to_owned(),
        from,
        to,
        hash_from: hash_from.to_owned(),
        hash_to: hash_to.to_owned(),
        ids: Vec::new(),
    }
}

/// Exactly the named judges turn red.
#[track_caller]
fn red(history: &History, expected: &[&str]) {
    let found = check_all(history);
    let invariants: BTreeSet<&str> = found.iter().map(|v| v.invariant).collect();
    assert_eq!(
        invariants,
        expected.iter().copied().collect::<BTreeSet<_>>(),
        "{found:#?}"
    );
}

fn at<'a>(history: &'a mut History, location: &str) -> &'a mut Dump {
    history.dumps.get_mut(location).unwrap()
}

/// Puts other events into a location, and gives its subscriber the same, so that only the named rule is broken.
fn replace(history: &mut History, location: &str, facts: Vec<Fact>) {
    let edges = std::mem::take(&mut at(history, location).edges);
    let subscription = history
        .pages
        .subscriptions
        .iter_mut()
        .find(|s| s.location == location)
        .unwrap();
    subscription.events = facts
        .iter()
        .map(|f| Delivered {
            incarnation: 1,
            fact: f.clone(),
        })
        .collect();
    *at(history, location) = Dump {
        edges,
        ..dump(location, facts)
    };
}

#[test]
fn a_good_run_is_accepted() {
    red(&good(), &[]);
}

#[test]
fn i1_sees_an_acknowledged_event_that_is_nowhere() {
    let mut history = good();
    history
        .pages
        .attempts
        .push(attempt(&id("a", 9), Seen::Everything));
    red(&history, &["I1"]);
    history.pages.may_be_lost.insert(id("a", 9));
    red(&history, &[]);
}

#[test]
fn i1_sees_an_acknowledged_event_that_its_origin_forgot() {
    let mut history = good();
    let facts = vec![fact(id("c", 1), 1, &[]), fact(id("b", 2), 2, &[("a#1", 1)])];
    replace(&mut history, "a", facts);
    at(&mut history, "a").edges.clear();
    for target in ["b", "c"] {
        at(&mut history, target)
            .edges
            .retain(|edge| edge.source != "a");
    }
    red(&history, &["I1", "I4", "I11"]);
}

#[test]
fn i2_sees_an_event_that_is_stored_twice() {
    let mut history = good();
    let mut facts = at(&mut history, "a").facts.clone();
    facts.push(fact(id("c", 1), 4, &[]));
    replace(&mut history, "a", facts);
    red(&history, &["I2"]);
}

#[test]
fn i2_sees_a_retry_that_became_a_second_event() {
    let mut history = good();
    for location in ["a", "b", "c"] {
        let mut facts = at(&mut history, location).facts.clone();
        let context = [("a#1", 1), ("b#1", 2), ("c#1", 1)];
        facts.push(Fact {
            tag: "tag of a#1/1".to_owned(),
            ..fact(id("a", 4), 4, &context)
        });
        replace(&mut history, location, facts);
    }
    red(&history, &["I2"]);
}

#[test]
fn i2_sees_what_only_the_last_guard_stopped() {
    let mut history = good();
    let warning = "1 duplicates were caught by the unique key only".to_owned();
    at(&mut history, "a").warnings.push(warning);
    red(&history, &["I2"]);
}

#[test]
fn i3_sees_an_effect_before_its_cause() {
    let mut history = good();
    let facts = vec![
        fact(id("c", 1), 1, &[]),
        fact(id("b", 2), 2, &[("a#1", 1)]),
        fact(id("a", 1), 3, &[]),
    ];
    replace(&mut history, "c", facts);
    red(&history, &["I3"]);
}

#[test]
fn i3_sees_an_effect_before_its_cause_through_an_event_that_is_not_there() {
    let mut history = good();
    // c1 -> a1 -> b2, and a1 is kept away from the target d.
    let seen = Seen::Only([id("c", 1)].into());
    history.pages.attempts[0] = attempt(&id("a", 1), seen);
    for location in ["a", "b", "c"] {
        let context: &[(&str, u64)] = &[("c#1", 1)];
        let facts = vec![
            fact(id("c", 1), 1, &[]),
            fact(id("a", 1), 2, context),
            fact(id("b", 2), 3, &[("a#1", 1), ("c#1", 1)]),
        ];
        replace(&mut history, location, facts);
    }
    let b = fact(id("b", 2), 1, &[("a#1", 1), ("c#1", 1)]);
    history
        .dumps
        .insert("d".to_owned(), dump("d", vec![b, fact(id("c", 1), 2, &[])]));
    history
        .topology
        .filtered("a", "d", Arc::new(|fact| fact.id.location != "a"));
    red(&history, &["I3"]);
}

#[test]
fn i3_sees_a_vector_that_calls_an_effect_concurrent() {
    let mut history = good();
    for location in ["a", "b", "c"] {
        let mut facts = at(&mut history, location).facts.clone();
        for fact in facts.iter_mut().filter(|f| f.id.location == "b") {
            fact.context = Vector::default();
        }
        replace(&mut history, location, facts);
    }
    red(&history, &["I3", "I12"]);
}

#[test]
fn i3_sees_it_for_writers_who_gave_no_context() {
    let mut history = good();
    history.pages.attempts[1].seen = Seen::Everything;
    red(&history, &[]);
    let facts = vec![
        fact(id("c", 1), 1, &[]),
        fact(id("b", 2), 2, &[("a#1", 1)]),
        fact(id("a", 1), 3, &[]),
    ];
    replace(&mut history, "c", facts);
    red(&history, &["I3"]);
}

#[test]
fn i4_sees_an_event_that_did_not_arrive() {
    let mut history = good();
    let mut facts = at(&mut history, "b").facts.clone();
    facts.pop();
    replace(&mut history, "b", facts);
    at(&mut history, "b").edges.clear();
    for target in ["a", "c"] {
        at(&mut history, target)
            .edges
            .retain(|edge| edge.source != "b");
    }
    red(&history, &["I4"]);
}

#[test]
fn i4_asks_for_no_more_than_filters_admit() {
    let mut history = good();
    let mut facts = at(&mut history, "b").facts.clone();
    facts.pop();
    replace(&mut history, "b", facts);
    at(&mut history, "b").edges.clear();
    for target in ["a", "c"] {
        at(&mut history, target)
            .edges
            .retain(|edge| edge.source != "b");
    }
    for edge in history
        .topology
        .edges
        .iter_mut()
        .filter(|edge| edge.target == "b")
    {
        edge.admits = Arc::new(|fact| fact.id.location != "c");
    }
    red(&history, &[]);
}

#[test]
fn i5_sees_a_gap() {
    let mut history = good();
    let mut facts = at(&mut history, "a").facts.clone();
    facts[2].sequence = 4;
    replace(&mut history, "a", facts);
    history.pages.subscriptions.retain(|s| s.location != "a");
    red(&history, &["I5"]);
}

#[test]
fn i5_sees_vectors_that_do_not_agree_with_the_log() {
    let mut history = good();
    at(&mut history, "a").version_vector.raise("b#1", 7);
    red(&history, &["I5"]);
    let mut history = good();
    at(&mut history, "a").covered_vector = Vector::default();
    red(&history, &["I5"]);
}

#[test]
fn i5_sees_progress_beyond_the_head_of_the_source() {
    let mut history = good();
    at(&mut history, "a").edges[0].progress = 4;
    red(&history, &["I5"]);
}

#[test]
fn i5_sees_an_origin_out_of_its_order() {
    let mut history = good();
    for location in ["a", "b", "c"] {
        let mut facts = at(&mut history, location).facts.clone();
        facts.push(fact(id("d", 2), 4, &[]));
        facts.push(fact(id("d", 1), 5, &[]));
        replace(&mut history, location, facts);
        history.topology.edge("d", location);
    }
    red(&history, &["I5"]);
}

#[test]
fn i6_sees_a_subscriber_that_missed_one() {
    let mut history = good();
    history.pages.subscriptions[0].events.remove(1);
    red(&history, &["I6"]);
}

#[test]
fn i6_sees_a_subscriber_that_got_another_order() {
    let mut history = good();
    let events = &mut history.pages.subscriptions[0].events;
    let (second, third) = (events[1].fact.clone(), events[2].fact.clone());
    events[1].fact = Fact {
        sequence: 2,
        ..third
    };
    events[2].fact = Fact {
        sequence: 3,
        ..second
    };
    red(&history, &["I6"]);
}

#[test]
fn i6_sees_a_list_of_ids_that_differs_from_a_read() {
    let mut history = good();
    at(&mut history, "b").listed.pop();
    red(&history, &["I6"]);
}

#[test]
fn i6_passes_on_what_a_subscriber_complains_of() {
    let mut history = good();
    history.pages.subscriptions[0]
        .complaints
        .push("caught up twice".to_owned());
    red(&history, &["I6"]);
}

#[test]
fn i6_sees_a_position_that_means_two_events() {
    let mut history = good();
    let other = Fact {
        tag: "other".to_owned(),
        ..fact(id("d", 1), 3, &[])
    };
    let shadow = Subscription {
        name: "shadow".to_owned(),
        location: "a".to_owned(),
        voided: vec![vec![Delivered {
            incarnation: 1,
            fact: other,
        }]],
        ..Subscription::default()
    };
    history.pages.subscriptions.push(shadow);
    history.topology.edge("d", "a");
    red(&history, &["I6"]);
}

#[test]
fn i7_sees_a_refused_append_in_a_log() {
    let mut history = good();
    history.pages.attempts[2].answer = Answer::Refused {
        reason: "CONDITION_FAILED".to_owned(),
        message: String::new(),
    };
    red(&history, &["I7"]);
    let unknown = Attempt {
        answer: Answer::Unknown {
            message: "reset".to_owned(),
        },
        ..history.pages.attempts[2].clone()
    };
    history.pages.attempts.push(unknown);
    red(&history, &[]);
}

#[test]
fn i8_sees_a_write_under_an_incarnation_that_was_over() {
    let mut history = good();
    history.pages.lives.push(Life {
        at: 2,
        location: "a".to_owned(),
        incarnation: 5,
    });
    red(&history, &["I8"]);
}

#[test]
fn i8_sees_a_number_that_was_given_twice() {
    let mut history = good();
    let mut twin = history.pages.attempts[0].clone();
    twin.request_id = "another".to_owned();
    history.pages.attempts.push(twin);
    red(&history, &["I8"]);
}

#[test]
fn i9_sees_an_id_with_two_contents() {
    let mut history = good();
    let mut facts = at(&mut history, "b").facts.clone();
    facts[0].digest = "another".to_owned();
    replace(&mut history, "b", facts);
    red(&history, &["I9"]);
}

#[test]
fn i9_sees_an_id_that_was_acknowledged_for_something_else() {
    let mut history = good();
    let mut twin = history.pages.attempts[2].clone();
    twin.tags = vec!["what was lost".to_owned()];
    history.pages.attempts.push(twin);
    red(&history, &["I1", "I9"]);
}

#[test]
fn i10_sees_an_event_that_no_path_admits() {
    let mut history = good();
    for edge in history
        .topology
        .edges
        .iter_mut()
        .filter(|edge| edge.target == "b")
    {
        edge.admits = Arc::new(|fact| fact.id.location != "c");
    }
    red(&history, &["I10"]);
    let all = Topology::default().edge("c", "b").edges.clone();
    history.topology.former = all;
    red(&history, &[]);
}

#[test]
fn i11_sees_a_vector_that_counts_what_is_not_held() {
    let mut history = good();
    let facts = vec![fact(id("a", 1), 1, &[]), fact(id("b", 2), 2, &[("a#1", 1)])];
    replace(&mut history, "b", facts);
    at(&mut history, "b").edges.clear();
    for target in ["a", "c"] {
        at(&mut history, target)
            .edges
            .retain(|edge| edge.source != "b");
    }
    at(&mut history, "b").version_vector.raise("c#1", 1);
    at(&mut history, "b").covered_vector.raise("c#1", 1);
    red(&history, &["I4", "I5", "I11"]);
}

#[test]
fn i11_sees_progress_over_what_is_not_held() {
    let mut history = good();
    let mut facts = at(&mut history, "b").facts.clone();
    facts.pop();
    replace(&mut history, "b", facts);
    for target in ["a", "c"] {
        at(&mut history, target)
            .edges
            .retain(|edge| edge.source != "b");
    }
    red(&history, &["I4", "I11"]);
}

#[test]
fn i12_sees_a_context_that_is_ahead_of_its_log() {
    let mut history = good();
    history.pages.attempts[0].seen = Seen::Everything;
    for location in ["a", "b", "c"] {
        let mut facts = at(&mut history, location).facts.clone();
        for fact in facts.iter_mut().filter(|f| f.id.location == "a") {
            fact.context.raise("c#1", 1);
        }
        replace(&mut history, location, facts);
    }
    // The log of a held nothing when a1 was written.
    let found = i12_contexts_are_what_was_seen(&history);
    assert!(
        found.iter().any(|v| v.message.contains("c#1:1")),
        "{found:#?}"
    );
}

#[test]
fn i12_sees_a_context_that_says_more_than_the_writer_had_seen() {
    let mut history = good();
    history.pages.attempts[1].seen = Seen::Only(BTreeSet::new());
    red(&history, &["I12"]);
}

#[test]
fn i13_sees_a_hole_between_two_frames() {
    let mut history = good();
    history.pages.frames.push(frame(4, 5, "4", "5"));
    red(&history, &["I13"]);
}

#[test]
fn i13_sees_another_past_behind_the_same_number() {
    let mut history = good();
    history.pages.frames.push(frame(3, 4, "another 3", "4"));
    red(&history, &["I13"]);
}

#[test]
fn i13_sees_progress_that_goes_back() {
    let mut history = good();
    history.pages.progress.push(progress("a", "b", 2));
    red(&history, &["I13"]);
}

#[test]
fn conditions_see_somebody_who_was_faster() {
    let mut history = good();
    history.pages.attempts[1].condition = Some(Condition {
        keys: vec!["k".to_owned()],
        types: Vec::new(),
        after: 0,
    });
    red(&history, &["conditions"]);
    history.pages.attempts[1].condition = Some(Condition {
        keys: vec!["k".to_owned()],
        types: Vec::new(),
        after: 1,
    });
    red(&history, &[]);
}

#[test]
fn an_event_that_came_back_to_its_old_number_was_not_written_there() {
    let mut history = good();
    // Location a lost everything, and got its event back behind that of c, by chance under its old number.
    history.pages.attempts[0] = attempt(&id("a", 2), Seen::Only(BTreeSet::new()));
    history.pages.attempts[0].condition = Some(Condition {
        keys: vec!["k".to_owned()],
        types: Vec::new(),
        after: 0,
    });
    history.pages.attempts[1].seen = Seen::Only([id("a", 2)].into());
    for location in ["a", "b", "c"] {
        let facts = vec![
            fact(id("c", 1), 1, &[]),
            fact(id("a", 2), 2, &[]),
            fact(id("b", 2), 3, &[("a#1", 2)]),
        ];
        replace(&mut history, location, facts);
    }
    history.pages.subscriptions.clear();
    red(&history, &["conditions"]);
    let dump = at(&mut history, "a");
    dump.lineage = vec![(1, 0), (5, 0)];
    dump.incarnation = 5;
    for target in ["b", "c"] {
        at(&mut history, target).edges.clear();
    }
    red(&history, &[]);
}

#[test]
fn thousands_of_events_are_judged_in_a_moment() {
    let mut history = History::default();
    let count: u64 = 8_000;
    let facts: Vec<Fact> = (1..=count)
        .map(|at| fact(id("a", at), at, &[]))
        .map(|mut fact| {
            fact.context.raise("a#1", fact.sequence - 1);
            fact
        })
        .collect();
    history.pages.attempts = facts
        .iter()
        .map(|fact| attempt(&fact.id, Seen::Everything))
        .collect();
    let delivered = facts.iter().map(|fact| Delivered {
        incarnation: 1,
        fact: fact.clone(),
    });
    history.pages.subscriptions.push(Subscription {
        name: "s".to_owned(),
        location: "a".to_owned(),
        events: delivered.collect(),
        ..Subscription::default()
    });
    history.dumps.insert("a".to_owned(), dump("a", facts));
    let begun = std::time::Instant::now();
    red(&history, &[]);
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}
