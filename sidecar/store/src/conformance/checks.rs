//! What a writer asks before it decides about a batch.

use tidelog_model::{Cause, Event, EventId};

use super::{Fixture, started};
use crate::generate::{Peer, origin};
use crate::log_store::LogStore;
use crate::query::{CauseKey, CheckAnswers, CheckQuery, ConditionQuery};

fn request(id: &str, index: u32, count: u32) -> impl Fn(&mut Event) {
    move |e| {
        e.request_id = id.into();
        e.request_index = index;
        e.request_count = count;
    }
}

async fn answers(store: &dyn LogStore, query: CheckQuery) -> CheckAnswers {
    store.check(&query).await.expect("answers")
}

/// For each id asked, what is held of it.
async fn requests(store: &dyn LogStore, ids: &[&str]) -> Vec<Vec<(u32, u64)>> {
    let query = CheckQuery {
        requests: ids.iter().map(|id| (*id).to_string()).collect(),
        ..CheckQuery::default()
    };
    let answers = answers(store, query).await;
    assert_eq!(answers.requests.len(), ids.len());
    for (held, id) in answers.requests.iter().zip(ids) {
        assert!(held.iter().all(|e| e.event.request_id == *id));
    }
    answers
        .requests
        .iter()
        .map(|held| {
            held.iter()
                .map(|e| (e.event.request_index, e.sequence))
                .collect()
        })
        .collect()
}

/// Own and received events count; a prefix is what it is; without a request id there is nothing to find.
pub async fn a_request_is_answered_with_what_is_held_of_it(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let own = writer.append(3, |i, e| request("whole", i as u32, 3)(e));
    store.commit(&own).await.expect("a commit");
    let mut us = Peer::new("us");
    let prefix = vec![
        us.write(request("prefix", 0, 3)),
        us.write(|_| {}),
        us.write(request("prefix", 1, 3)),
    ];
    let frame = writer.receive("us", 3, prefix);
    store.commit(&frame).await.expect("a frame");
    assert_eq!(
        requests(store.as_ref(), &["prefix", "unknown", "whole", ""]).await,
        [
            vec![(0, 4), (1, 6)],
            vec![],
            vec![(0, 1), (1, 2), (2, 3)],
            vec![]
        ]
    );
    let query = CheckQuery {
        requests: vec!["whole".into()],
        ..CheckQuery::default()
    };
    assert_eq!(answers(store.as_ref(), query).await.requests, [own.events]);
}

/// A request that was retried at another location is held twice; the first copy answers.
pub async fn the_lowest_sequence_answers_for_each_index_of_a_request(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let mut us = Peer::new("us");
    let mut ap = Peer::new("ap");
    let copies = vec![
        us.write(request("r", 1, 3)),
        ap.write(request("r", 1, 3)),
        ap.write(request("r", 0, 3)),
    ];
    let frame = writer.receive("us", 3, copies);
    store.commit(&frame).await.expect("a frame");
    let frame = writer.receive(
        "us",
        5,
        vec![us.write(request("r", 0, 3)), us.write(request("r", 2, 3))],
    );
    store.commit(&frame).await.expect("a frame");
    assert_eq!(
        requests(store.as_ref(), &["r"]).await,
        [vec![(0, 3), (1, 1), (2, 5)]]
    );
}

/// Ids are compared by bytes: no case folding, trimming or pattern.
pub async fn request_ids_match_as_a_whole(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let ids = ["r", "R", "r ", "rr", "%", "ä", "a\u{308}"];
    let batch = writer.append(ids.len(), |i, e| request(ids[i], 0, 1)(e));
    store.commit(&batch).await.expect("a commit");
    for (i, id) in ids.iter().enumerate() {
        assert_eq!(
            requests(store.as_ref(), &[id]).await,
            [vec![(0, i as u64 + 1)]],
            "{id}"
        );
    }
    let asked: Vec<_> = ids.iter().rev().copied().collect();
    let wanted: Vec<_> = (1..=ids.len() as u64).rev().map(|s| vec![(0, s)]).collect();
    assert_eq!(requests(store.as_ref(), &asked).await, wanted);
}

fn cause(log: &str, sequence: u64, output_index: u32) -> Cause {
    Cause {
        log: log.into(),
        id: EventId::new(origin("ap", 1), sequence),
        output_index,
    }
}

fn cause_key(emitter: &str, cause: Cause) -> CauseKey {
    CauseKey {
        emitter_id: emitter.into(),
        cause,
    }
}

/// Emitter, log, event id and output index together are the key; the first output answers.
pub async fn a_cause_is_answered_with_its_first_output(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let keys = [
        ("saga", cause("orders", 1, 0)),
        ("saga", cause("orders", 1, 1)),
        ("saga", cause("orders", 2, 0)),
        ("saga", cause("stock", 1, 0)),
        ("other", cause("orders", 1, 0)),
        ("", cause("orders", i64::MAX as u64, u32::MAX)),
    ];
    for _ in 0..2 {
        let batch = writer.append(keys.len(), |i, e| {
            e.emitter_id = keys[i].0.into();
            e.caused_by = Some(keys[i].1.clone());
        });
        store.commit(&batch).await.expect("a commit");
    }
    // Without a cause there is nothing to find, whoever emits.
    let plain = writer.append(1, |_, e| e.emitter_id = "plain".into());
    store.commit(&plain).await.expect("a commit");
    let mut asked: Vec<_> = keys
        .iter()
        .map(|(emitter, c)| cause_key(emitter, c.clone()))
        .collect();
    asked.push(cause_key("plain", cause("orders", 1, 0)));
    asked.push(cause_key("saga", cause("orders", 3, 0)));
    asked.reverse();
    let query = CheckQuery {
        causes: asked,
        ..CheckQuery::default()
    };
    let found: Vec<_> = answers(store.as_ref(), query)
        .await
        .causes
        .iter()
        .map(|e| e.as_ref().map(|e| e.sequence))
        .collect();
    let wanted = [
        None,
        None,
        Some(6),
        Some(5),
        Some(4),
        Some(3),
        Some(2),
        Some(1),
    ];
    assert_eq!(found, wanted);
}

fn condition(keys: &[&str], types: &[&str], after: u64) -> ConditionQuery {
    ConditionQuery {
        keys: keys.iter().map(|k| (*k).to_string()).collect(),
        types: types.iter().map(|t| (*t).to_string()).collect(),
        after,
    }
}

async fn highest(store: &dyn LogStore, conditions: Vec<ConditionQuery>) -> Vec<Option<u64>> {
    let query = CheckQuery {
        conditions,
        ..CheckQuery::default()
    };
    answers(store, query).await.conditions
}

/// The highest match strictly above `after`.
pub async fn a_condition_is_answered_with_the_highest_match(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let keys = ["a", "b", "a", "c", "a", "b"];
    let batch = writer.append(keys.len(), |i, e| e.aggregate_id = keys[i].into());
    store.commit(&batch).await.expect("a commit");
    let found = highest(
        store.as_ref(),
        vec![
            condition(&["a"], &[], 0),
            condition(&["a"], &[], 4),
            condition(&["a"], &[], 5),
            condition(&["b"], &[], 5),
            condition(&["b"], &[], 6),
            condition(&["c", "a"], &[], 0),
            condition(&["c", "a"], &[], 3),
            condition(&["c"], &[], 4),
            condition(&["d"], &[], 0),
            condition(&["a"], &[], u64::MAX),
            condition(&[], &[], 0),
        ],
    )
    .await;
    assert_eq!(
        found,
        [
            Some(5),
            Some(5),
            None,
            Some(6),
            None,
            Some(5),
            Some(5),
            None,
            None,
            None,
            None
        ]
    );
}

/// A destination counts like the aggregate; types narrow.
pub async fn conditions_look_at_destinations_and_types(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let shapes: [(&str, &str, &[&str]); 5] = [
        ("Placed", "a", &["b", "c"]),
        ("Paid", "b", &[]),
        ("Placed", "c", &["a"]),
        ("Paid", "c", &["d", "a", "d"]),
        ("Shipped", "d", &[]),
    ];
    let batch = writer.append(shapes.len(), |i, e| {
        e.event_type = shapes[i].0.into();
        e.aggregate_id = shapes[i].1.into();
        e.destinations = shapes[i].2.iter().map(|d| (*d).to_string()).collect();
    });
    store.commit(&batch).await.expect("a commit");
    let found = highest(
        store.as_ref(),
        vec![
            condition(&["a"], &[], 0),
            condition(&["a"], &["Placed"], 0),
            condition(&["a"], &["Placed"], 3),
            condition(&["a"], &["Placed", "Paid"], 0),
            condition(&["b"], &["Placed"], 0),
            condition(&["b"], &["Placed"], 1),
            condition(&["d"], &["Paid"], 0),
            condition(&["d"], &["Nothing"], 0),
            condition(&["d", "b"], &["Placed"], 0),
        ],
    )
    .await;
    assert_eq!(
        found,
        [
            Some(4),
            Some(3),
            None,
            Some(4),
            Some(1),
            None,
            Some(4),
            None,
            Some(1)
        ]
    );
}

/// Many questions of all kinds at once, each answered at its place.
pub async fn answers_come_in_the_order_of_the_questions(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let batch = writer.append(200, |i, e| {
        request(&format!("r{i}"), 0, 1)(e);
        e.aggregate_id = format!("k{i}");
        e.caused_by = Some(cause("orders", i as u64 + 1, 0));
    });
    store.commit(&batch).await.expect("a commit");
    let order: Vec<usize> = (0..200).map(|i| (i * 73 + 11) % 200).collect();
    let query = CheckQuery {
        requests: order.iter().map(|i| format!("r{i}")).collect(),
        causes: order
            .iter()
            .map(|i| cause_key("", cause("orders", *i as u64 + 1, 0)))
            .collect(),
        conditions: order
            .iter()
            .map(|i| condition(&[&format!("k{i}")], &[], 0))
            .collect(),
    };
    let answers = answers(store.as_ref(), query).await;
    for (n, i) in order.iter().enumerate() {
        let event = batch.events[*i].clone();
        assert_eq!(answers.requests[n].first(), Some(&event));
        assert_eq!(answers.causes[n], Some(event));
        assert_eq!(answers.conditions[n], Some(*i as u64 + 1));
    }
    let nothing = store.check(&CheckQuery::default()).await;
    assert_eq!(nothing.expect("answers"), CheckAnswers::default());
}
