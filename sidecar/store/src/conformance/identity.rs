//! An event id is stored at most once, and is found.

use tidelog_model::EventId;

use super::{Fixture, contents, started};
use crate::error::CommitError;
use crate::generate::{Peer, origin};
use crate::query::{CheckQuery, IdRow};

/// The second line of defence behind the version vector: whatever the batch holds, none of it is stored.
pub async fn an_id_that_is_stored_is_refused_and_leaves_nothing_behind(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let mut us = Peer::new("us");
    let first = us.write(|_| {});
    store
        .commit(&writer.receive("us", 1, vec![first.clone()]))
        .await
        .expect("a frame");
    let before = contents(store.as_ref()).await;

    let mut fresh = Peer::new("brand-new");
    let attempt = vec![
        fresh.write(|e| {
            e.request_id = "r".into();
            e.destinations = vec!["shop".into()];
        }),
        first,
        us.write(|_| {}),
    ];
    let batch = writer.clone().receive("us", 3, attempt);
    assert_eq!(
        store.commit(&batch).await,
        Err(CommitError::DuplicateIdentity)
    );
    assert_eq!(contents(store.as_ref()).await, before);
    let asked = CheckQuery {
        requests: vec!["r".into()],
        ..CheckQuery::default()
    };
    let answers = store.check(&asked).await.expect("answers");
    assert_eq!(answers.requests, [vec![]]);

    // The log goes on, also with the origin that only the refused batch had.
    let batch = writer.receive(
        "us",
        3,
        vec![Peer::new("brand-new").write(|_| {}), us.write(|_| {})],
    );
    store.commit(&batch).await.expect("the next commit");
    assert_eq!(contents(store.as_ref()).await.events[1..], batch.events);
}

/// Also within one batch.
pub async fn an_id_twice_in_one_batch_is_refused_and_leaves_nothing_behind(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let before = contents(store.as_ref()).await;
    let event = Peer::new("us").write(|_| {});
    let batch = writer
        .clone()
        .receive("us", 1, vec![event.clone(), event.clone()]);
    assert_eq!(
        store.commit(&batch).await,
        Err(CommitError::DuplicateIdentity)
    );
    assert_eq!(contents(store.as_ref()).await, before);
    store
        .commit(&writer.receive("us", 1, vec![event]))
        .await
        .expect("once is fine");
}

/// Location, incarnation and sequence together are the identity.
pub async fn the_same_sequence_of_another_incarnation_is_another_id(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let events = vec![
        Peer::new("us").write(|_| {}),
        Peer::with_incarnation("us", 2).write(|_| {}),
        Peer::new("ap").write(|_| {}),
    ];
    let batch = writer.receive("us", 3, events);
    store.commit(&batch).await.expect("three identities");
    for (i, id) in ["us#1/1", "us#2/1", "ap#1/1"].into_iter().enumerate() {
        let id: EventId = id.parse().expect("an id");
        let found = store.find(&[id]).await.expect("an answer");
        assert_eq!(found[0].as_ref().map(|r| r.sequence), Some(i as u64 + 1));
    }
}

/// Identities in `(after, after + limit]`, fewer at the head.
pub async fn ids_are_given_in_local_order(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let mut us = Peer::new("us");
    let mut rows = Vec::new();
    for i in 0..4 {
        let batch = if i % 2 == 0 {
            writer.append(3, |_, _| {})
        } else {
            writer.receive("us", i, us.write_many(2))
        };
        store.commit(&batch).await.expect("a commit");
        rows.extend(batch.events.iter().map(|e| IdRow {
            sequence: e.sequence,
            id: e.event.id.clone(),
            digest: e.digest,
        }));
    }
    assert_eq!(store.ids(0, 100).await.expect("ids"), rows);
    assert_eq!(store.ids(0, 4).await.expect("ids"), rows[..4]);
    assert_eq!(store.ids(4, 3).await.expect("ids"), rows[4..7]);
    assert_eq!(store.ids(9, 3).await.expect("ids"), rows[9..]);
    assert_eq!(store.ids(10, 3).await.expect("ids"), []);
    assert_eq!(store.ids(u64::MAX, 3).await.expect("ids"), []);
}

/// Present or not, each question has its answer at its place.
pub async fn ids_are_found_in_the_order_asked(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let mut us = Peer::new("us");
    let batch = writer.receive("us", 3, us.write_many(3));
    store.commit(&batch).await.expect("a frame");
    let id = |n: u64| batch.events[n as usize - 1].event.id.clone();
    let unknown = EventId::new(origin("nowhere", 1), 1);
    let beyond = EventId::new(origin("us", 1), 4);
    let other_life = EventId::new(origin("us", 2), 1);
    let largest = EventId::new(origin("us", 1), i64::MAX as u64);
    let asked = [
        id(3),
        unknown,
        id(1),
        beyond,
        id(2),
        other_life,
        id(1),
        largest,
    ];
    let found = store.find(&asked).await.expect("answers");
    let sequences: Vec<_> = found
        .iter()
        .map(|row| row.as_ref().map(|r| r.sequence))
        .collect();
    assert_eq!(
        sequences,
        [Some(3), None, Some(1), None, Some(2), None, Some(1), None]
    );
    for (row, id) in found.iter().zip(&asked) {
        if let Some(row) = row {
            assert_eq!(&row.id, id);
            assert_eq!(row.digest, batch.events[row.sequence as usize - 1].digest);
        }
    }
    assert_eq!(store.find(&[]).await.expect("no answers"), []);
}
