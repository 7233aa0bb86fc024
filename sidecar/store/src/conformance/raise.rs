//! New incarnations: plain, and late ones that write everything above their base anew.

use tidelog_model::{ChainHash, EventId, Incarnation, LineageEntry, Selector, StoredEvent};

use super::{Fixture, contents, pages, query, started};
use crate::batch::{Raise, VoidedId};
use crate::error::CommitError;
use crate::generate::{Peer, Writer};
use crate::log_store::LogStore;
use crate::query::{CauseKey, CheckQuery, ConditionQuery};
use crate::state::Progress;

/// Lineage and incarnation change; head, hash, vectors and events stay.
pub async fn a_raise_adds_to_the_lineage_and_changes_nothing_else(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    store
        .commit(&writer.append(4, |_, _| {}))
        .await
        .expect("a commit");
    let before = contents(store.as_ref()).await;
    store
        .raise(&writer.raise(1_700_000_000))
        .await
        .expect("a raise");
    store.raise(&writer.raise(u32::MAX)).await.expect("a raise");
    let mut after = contents(store.as_ref()).await;
    let entry = |incarnation, base| LineageEntry {
        incarnation: Incarnation(incarnation),
        base,
    };
    assert_eq!(
        after.state.lineage.entries(),
        [entry(1, 0), entry(1_700_000_000, 4), entry(u32::MAX, 4)]
    );
    assert_eq!(after.state.incarnation(), Incarnation(u32::MAX));
    after.state.lineage = before.state.lineage.clone();
    assert_eq!(after, before);
    store
        .commit(&writer.append(1, |_, _| {}))
        .await
        .expect("a commit of the new incarnation");
}

/// A lineage rises; what would break it is refused and changes nothing.
pub async fn a_raise_must_be_greater_than_all_before(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    store.raise(&writer.raise(5)).await.expect("a raise");
    let before = contents(store.as_ref()).await;
    for incarnation in [0, 1, 4, 5] {
        let refused = store.raise(&writer.clone().raise(incarnation)).await;
        assert!(
            matches!(refused, Err(CommitError::Failed(_))),
            "{incarnation}: {refused:?}"
        );
        assert_eq!(contents(store.as_ref()).await, before);
    }
    store.raise(&writer.raise(6)).await.expect("a raise");
}

/// What the old incarnation had in memory does not pass any more.
pub async fn the_writer_of_before_a_raise_is_fenced(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let mut old = writer.clone();
    store.raise(&writer.raise(2)).await.expect("a raise");
    assert_eq!(
        store.commit(&old.append(1, |_, _| {})).await,
        Err(CommitError::Fenced)
    );
    store
        .commit(&writer.append(1, |_, _| {}))
        .await
        .expect("a commit");
}

/// Own events of two requests and frames of a peer: ten events, the last six above base 4.
async fn log_to_rewrite(
    fixture: &dyn Fixture,
) -> (
    std::sync::Arc<dyn LogStore>,
    Writer,
    Vec<StoredEvent>,
    Raise,
) {
    let (store, mut writer) = started(fixture).await;
    let mut us = Peer::new("us");
    for round in 0..2u32 {
        let own = writer.append(3, |i, e| {
            e.aggregate_id = format!("own-{round}");
            e.destinations = vec![format!("to-{round}")];
            e.request_id = format!("request-{round}");
            e.request_index = i as u32;
            e.request_count = 3;
            e.caused_by = Some(tidelog_model::Cause {
                log: "orders".into(),
                id: EventId::new(crate::generate::origin("ap", 1), u64::from(round) + 1),
                output_index: i as u32,
            });
        });
        store.commit(&own).await.expect("a commit");
        let frame = writer.receive("us", u64::from(round) + 1, us.write_many(2));
        store.commit(&frame).await.expect("a frame");
    }
    // Progress of a source that gave nothing above the base goes back as well.
    let vectors = writer.receive("ap", 7, Vec::new());
    store.commit(&vectors).await.expect("a frame");
    let log = pages(store.as_ref(), &query(0, u64::MAX, Selector::default())).await;
    let base_hash = store.hash_at(4).await.expect("a hash").expect("below");
    let raise = writer.rewrite(9, base_hash, &log[4..]);
    (store, writer, log, raise)
}

/// State and events afterwards are those of the rewrite.
pub async fn a_rewrite_replaces_everything_above_its_base(fixture: &dyn Fixture) {
    let (store, mut writer, log, mut raise) = log_to_rewrite(fixture).await;
    // The base may be lower: it is what peers and readers go back to.
    raise.entry.base = 2;
    let before = store.state().await.expect("the state");
    store.raise(&raise).await.expect("a late raise");
    let rewrite = raise.rewrite.expect("a rewrite");
    let after = contents(store.as_ref()).await;
    assert_eq!(after.events[..4], log[..4]);
    assert_eq!(after.events[4..], rewrite.events);
    assert_eq!(after.state.head, 10);
    assert_eq!(after.state.hash, rewrite.hash);
    assert_eq!(after.state.version_vector, rewrite.version_vector);
    assert_eq!(after.state.covered_vector, rewrite.covered_vector);
    assert_eq!(
        after.state.lineage.current(),
        Some(LineageEntry {
            incarnation: Incarnation(9),
            base: 2
        })
    );
    let start = before.progress.into_iter().map(|(source, taken)| {
        let back = Progress {
            position: 0,
            hash: ChainHash::ZERO,
            lineage: taken.lineage,
        };
        (source, back)
    });
    assert_eq!(after.state.progress, start.collect());
    assert_eq!(after.state.progress.len(), 2);
    assert_eq!(after.state.clock, before.clock);
    let mut wanted = rewrite.voided.clone();
    wanted.sort();
    assert_eq!(after.state.voided, wanted);
    assert_eq!(wanted.len(), 3, "three own events lay above the base");

    // Ids of a second rewrite are added; those voided already are not doubled.
    store
        .commit(&writer.append(1, |_, _| {}))
        .await
        .expect("a commit");
    let tail = store.event(11).await.expect("an event").expect("the last");
    let mut second = writer.rewrite(10, rewrite.hash, std::slice::from_ref(&tail));
    let again = second.rewrite.as_mut().expect("a rewrite");
    again.voided.push(wanted[0].clone());
    store.raise(&second).await.expect("a late raise");
    wanted.push(VoidedId {
        id: tail.event.id.clone(),
        digest: tail.digest,
    });
    wanted.sort();
    assert_eq!(contents(store.as_ref()).await.state.voided, wanted);
}

/// Neither ids, keys, request ids nor causes of what was replaced answer any more.
pub async fn a_rewrite_forgets_what_it_replaced(fixture: &dyn Fixture) {
    let (store, _, log, mut raise) = log_to_rewrite(fixture).await;
    // The rewrite changes what can be asked for, so that the old answers would be told apart.
    let rewrite = raise.rewrite.as_mut().expect("a rewrite");
    for stored in &mut rewrite.events {
        let mut event = (*stored.event).clone();
        if stored.appended_here {
            event.aggregate_id = "anew".into();
            event.destinations = vec!["to-anew".into()];
            event.request_id = "request-anew".into();
            event.caused_by = None;
        }
        *stored = crate::generate::stored(
            stored.sequence,
            stored.stored_at_micros,
            stored.appended_here,
            event,
        );
    }
    rewrite.hash = crate::generate::chained(
        store.hash_at(4).await.expect("a hash").expect("below"),
        &rewrite.events,
    );
    let rewritten = rewrite.events.clone();
    store.raise(&raise).await.expect("a late raise");
    let gone: Vec<_> = log[4..]
        .iter()
        .filter(|e| e.appended_here)
        .map(|e| e.event.id.clone())
        .collect();
    let found = store.find(&gone).await.expect("answers");
    assert!(found.iter().all(Option::is_none), "{found:?}");
    let ids: Vec<_> = rewritten.iter().map(|e| e.event.id.clone()).collect();
    let found = store.find(&ids).await.expect("answers");
    assert!(found.iter().all(Option::is_some));

    let condition = |key: &str| ConditionQuery {
        keys: vec![key.into()],
        types: Vec::new(),
        after: 0,
    };
    let asked = CheckQuery {
        requests: vec![
            "request-0".into(),
            "request-1".into(),
            "request-anew".into(),
        ],
        causes: log
            .iter()
            .filter_map(|e| {
                e.event.caused_by.clone().map(|cause| CauseKey {
                    emitter_id: String::new(),
                    cause,
                })
            })
            .collect(),
        conditions: vec![
            condition("own-0"),
            condition("to-0"),
            condition("own-1"),
            condition("to-1"),
            condition("anew"),
            condition("to-anew"),
        ],
    };
    let answers = store.check(&asked).await.expect("answers");
    let held: Vec<_> = answers.requests.iter().map(Vec::len).collect();
    assert_eq!(held, [3, 0, 3]);
    let causes: Vec<_> = answers.causes.iter().map(Option::is_some).collect();
    assert_eq!(causes, [true, true, true, false, false, false]);
    let last_own = rewritten
        .iter()
        .rfind(|e| e.appended_here)
        .map(|e| e.sequence);
    assert_eq!(
        answers.conditions,
        [Some(3), Some(3), None, None, last_own, last_own]
    );
}

/// Identities, request ids and keys below the base answer as before.
pub async fn a_rewrite_keeps_what_lies_below_its_base(fixture: &dyn Fixture) {
    let (store, mut writer, log, raise) = log_to_rewrite(fixture).await;
    store.raise(&raise).await.expect("a late raise");
    let ids: Vec<_> = log[..4].iter().map(|e| e.event.id.clone()).collect();
    let found: Vec<_> = store
        .find(&ids)
        .await
        .expect("answers")
        .into_iter()
        .map(|row| row.map(|r| r.sequence))
        .collect();
    assert_eq!(found, [Some(1), Some(2), Some(3), Some(4)]);
    let asked = CheckQuery {
        requests: vec!["request-0".into(), "request-1".into()],
        ..CheckQuery::default()
    };
    let answers = store.check(&asked).await.expect("answers");
    assert_eq!(answers.requests[0], log[..3]);
    assert_eq!(
        answers.requests[1].len(),
        3,
        "the rewritten events carry their request ids"
    );
    store
        .commit(&writer.append(2, |_, _| {}))
        .await
        .expect("the log goes on");
}

/// Nothing says that as many events come back as were there.
pub async fn a_rewrite_to_fewer_events_lowers_the_head(fixture: &dyn Fixture) {
    let (store, mut writer, log, mut raise) = log_to_rewrite(fixture).await;
    let rewrite = raise.rewrite.as_mut().expect("a rewrite");
    rewrite.events.truncate(1);
    rewrite.hash = crate::generate::chained(
        store.hash_at(4).await.expect("a hash").expect("below"),
        &rewrite.events,
    );
    writer.head = 5;
    writer.hash = rewrite.hash;
    store.raise(&raise).await.expect("a late raise");
    let after = contents(store.as_ref()).await;
    assert_eq!(after.state.head, 5);
    assert_eq!(after.events.len(), 5);
    assert_eq!(after.events[..4], log[..4]);
    assert_eq!(store.hash_at(6).await.expect("an answer"), None);
    store
        .commit(&writer.append(3, |_, _| {}))
        .await
        .expect("the log goes on");
    assert_eq!(contents(store.as_ref()).await.state.head, 8);
}

/// A rewrite that meets a stored id, or a stale guard, leaves all of the old events.
pub async fn a_refused_rewrite_changes_nothing(fixture: &dyn Fixture) {
    let (store, _, log, raise) = log_to_rewrite(fixture).await;
    let before = contents(store.as_ref()).await;
    let mut duplicate = raise.clone();
    let events = &mut duplicate.rewrite.as_mut().expect("a rewrite").events;
    let below = (*log[0].event).clone();
    let last = events.len() - 1;
    events[last] = crate::generate::stored(
        events[last].sequence,
        events[last].stored_at_micros,
        true,
        below,
    );
    assert_eq!(
        store.raise(&duplicate).await,
        Err(CommitError::DuplicateIdentity)
    );
    assert_eq!(contents(store.as_ref()).await, before);
    let mut stale = raise.clone();
    stale.guard.nonce += 1;
    assert_eq!(store.raise(&stale).await, Err(CommitError::Fenced));
    assert_eq!(contents(store.as_ref()).await, before);
    store.raise(&raise).await.expect("the true one");
}
