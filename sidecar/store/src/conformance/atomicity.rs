//! A batch is visible as a whole, durable when it returns, and nothing else changes.

use tidelog_model::{Incarnation, LineageEntry, Selector};

use super::{Fixture, contents, pages, query, reopened, started};
use crate::generate::{Peer, Writer, location};
use crate::query::CheckQuery;
use crate::state::{EdgeKey, LogState};

/// Before anything was done there is nothing, and asking does not create anything.
pub async fn a_new_log_is_empty(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let state = store.state().await.expect("the state");
    assert_eq!(state, empty_state());
    let everything = contents(store.as_ref()).await;
    assert!(everything.events.is_empty() && everything.consumers.is_empty());
    assert_eq!(store.checkpoint(7).await.expect("a checkpoint").0, 0);
    assert_eq!(
        store.position_before(i64::MAX).await.expect("a position"),
        0
    );
    assert_eq!(store.ids(0, 10).await.expect("ids"), []);
}

fn empty_state() -> LogState {
    LogState {
        lineage: tidelog_model::Lineage::default(),
        head: 0,
        hash: tidelog_model::ChainHash::ZERO,
        version_vector: tidelog_model::VectorTime::new(),
        covered_vector: tidelog_model::VectorTime::new(),
        clock: tidelog_model::HybridTime::default(),
        stored_at_micros: 0,
        progress: std::collections::BTreeMap::new(),
        voided: Vec::new(),
        paused: std::collections::BTreeSet::new(),
        lease: None,
    }
}

/// Events, head, hash, vectors, clock, time of storing, request ids and progress are there after the commit.
pub async fn a_batch_is_visible_as_a_whole_with_everything_it_changes(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let mut us = Peer::new("us");
    let mut drafts = vec![(false, us.write(|_| {}))];
    let mut own = writer.clone().append(1, |_, e| e.request_id = "r1".into());
    let mut event = (*own.events.remove(0).event).clone();
    event.id.sequence = 2;
    drafts.push((true, event));
    writer.clock.micros = 77;
    writer.clock.logical = 3;
    let frame = writer
        .clone()
        .receive("us", 9, Vec::new())
        .progress
        .expect("progress");
    writer
        .covered_vector
        .merge(&"ap#1:5".parse().expect("a vector"));
    let batch = writer.batch(drafts, Some(frame.clone()));
    store.commit(&batch).await.expect("a commit");

    let state = store.state().await.expect("the state");
    assert_eq!(state.head, 2);
    assert_eq!(state.hash, batch.hash);
    assert_eq!(state.version_vector, batch.version_vector);
    assert_eq!(state.covered_vector, batch.covered_vector);
    assert_eq!(state.clock, batch.clock);
    assert_eq!(state.stored_at_micros, batch.stored_at_micros);
    assert_eq!(state.progress, [frame].into_iter().collect());
    assert_eq!(state.incarnation(), Incarnation(1));
    let read = pages(store.as_ref(), &query(0, 2, Selector::default())).await;
    assert_eq!(read, batch.events);
    let answers = store
        .check(&CheckQuery {
            requests: vec!["r1".into()],
            ..CheckQuery::default()
        })
        .await
        .expect("answers");
    assert_eq!(answers.requests, [vec![batch.events[1].clone()]]);
}

/// A frame in which no event passed the filter moves progress and vectors, and the head stays.
pub async fn a_batch_without_events_moves_vectors_and_progress(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    store
        .commit(&writer.append(2, |_, _| {}))
        .await
        .expect("a commit");
    writer
        .covered_vector
        .merge(&"us#1:40".parse().expect("a vector"));
    let batch = writer.receive("us", 40, Vec::new());
    store.commit(&batch).await.expect("a commit");
    let state = store.state().await.expect("the state");
    assert_eq!(state.head, 2);
    assert_eq!(state.hash, writer.hash);
    assert_eq!(state.covered_vector, batch.covered_vector);
    assert_eq!(state.version_vector, batch.version_vector);
    assert_eq!(state.progress[&location("us")].position, 40);
    store
        .commit(&writer.append(1, |_, _| {}))
        .await
        .expect("the next commit");
}

/// Progress is kept by source.
pub async fn progress_of_one_source_leaves_the_others_alone(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let mut us = Peer::new("us");
    for position in [3, 9] {
        let batch = writer.receive("us", position, us.write_many(1));
        store.commit(&batch).await.expect("a frame of us");
    }
    let mut other = writer.receive("ap", 5, Vec::new());
    // A lineage is kept with its bases.
    let (_, progress) = other.progress.as_mut().expect("progress");
    progress
        .lineage
        .push(LineageEntry {
            incarnation: Incarnation(u32::MAX),
            base: 4,
        })
        .expect("a later incarnation");
    store.commit(&other).await.expect("a frame of ap");
    let state = store.state().await.expect("the state");
    assert_eq!(state.progress.len(), 2);
    assert_eq!(state.progress[&location("us")].position, 9);
    let (source, progress) = other.progress.expect("progress");
    assert_eq!(state.progress[&source], progress);
}

/// The largest batch is as good as the smallest.
pub async fn a_batch_of_a_thousand_events_is_one_batch(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let batch = writer.append(1_000, |i, e| {
        e.aggregate_id = format!("order-{}", i % 7);
        e.request_id = "large".into();
        e.request_index = i as u32;
        e.request_count = 1_000;
        e.destinations = vec![format!("shop-{}", i % 3), "all".into()];
    });
    store.commit(&batch).await.expect("a commit");
    let mut wanted = query(0, 1_000, Selector::default());
    wanted.events_max = 300;
    assert_eq!(pages(store.as_ref(), &wanted).await, batch.events);
    assert_eq!(store.state().await.expect("the state").hash, batch.hash);
    assert_eq!(
        store.hash_at(1_000).await.expect("a hash"),
        Some(batch.hash)
    );
    assert_eq!(
        store.ids(0, 5_000).await.expect("ids").len(),
        1_000,
        "all ids"
    );
}

/// What a commit, a raise, a consumer or a pause has acknowledged is there after closing and opening.
pub async fn what_was_written_is_there_after_reopening(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let mut us = Peer::new("us");
    for i in 0..5u64 {
        let own = writer.append(3, |n, e| {
            e.request_id = format!("r{i}");
            e.request_index = n as u32;
            e.request_count = 3;
            e.destinations = vec!["shop".into()];
        });
        store.commit(&own).await.expect("a commit");
        let frame = writer.receive("us", i + 1, us.write_many(2));
        store.commit(&frame).await.expect("a frame");
    }
    store.raise(&writer.raise(7)).await.expect("a raise");
    let consumer = crate::state::Consumer {
        name: "billing".into(),
        position: "7/12".parse().expect("a position"),
        updated_at_micros: 5,
    };
    let fence = writer.guard().fence();
    assert_eq!(store.put_consumer(&fence, &consumer).await, Ok(true));
    let edge = EdgeKey {
        source: location("us"),
        target: location("eu"),
    };
    store.set_paused(&edge, true).await.expect("a pause");

    let before = contents(store.as_ref()).await;
    let store = reopened(fixture, store).await;
    assert_eq!(contents(store.as_ref()).await, before);
    let mut writer = Writer::start_as(store.as_ref(), "eu", 2).await;
    assert_eq!(writer.head, 25);
    let batch = writer.append(1, |_, _| {});
    store
        .commit(&batch)
        .await
        .expect("the log goes on where it was");
    let checked = store
        .check(&CheckQuery {
            requests: vec!["r4".into()],
            ..CheckQuery::default()
        })
        .await
        .expect("answers");
    assert_eq!(checked.requests[0].len(), 3);
}
