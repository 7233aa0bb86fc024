//! Forgetting request ids.

use std::time::Duration;

use super::{Fixture, started};
use crate::generate::Writer;
use crate::log_store::LogStore;
use crate::query::{CheckQuery, RequestRetention};

const HOUR: i64 = 3_600 * 1_000_000;
const DAY: Duration = Duration::from_hours(24);

/// Ten requests of one event, one each hour; returns the time of the last.
async fn ten_hours(store: &dyn LogStore, writer: &mut Writer) -> i64 {
    for i in 0..10 {
        request(store, writer, &format!("r{i}"), 1).await;
        writer.stored_at_micros += HOUR - 1_000;
    }
    writer.stored_at_micros - (HOUR - 1_000)
}

async fn request(store: &dyn LogStore, writer: &mut Writer, id: &str, events: u32) {
    let batch = writer.append(events as usize, |i, e| {
        e.request_id = id.into();
        e.request_index = i as u32;
        e.request_count = events;
    });
    store.commit(&batch).await.expect("a commit");
}

async fn held(store: &dyn LogStore, ids: &[String]) -> Vec<usize> {
    let query = CheckQuery {
        requests: ids.to_vec(),
        ..CheckQuery::default()
    };
    let answers = store.check(&query).await.expect("answers");
    answers.requests.iter().map(Vec::len).collect()
}

/// Which of the ten are held.
async fn remembered(store: &dyn LogStore) -> Vec<usize> {
    let ids: Vec<_> = (0..10).map(|i| format!("r{i}")).collect();
    let held = held(store, &ids).await;
    (0..10).filter(|i| held[*i] > 0).collect()
}

fn retention(keep: Duration, newest_min: u64, newest_max: u64) -> RequestRetention {
    RequestRetention {
        keep,
        newest_min,
        newest_max,
    }
}

/// Nothing is old enough.
pub async fn young_request_ids_are_kept(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let now = ten_hours(store.as_ref(), &mut writer).await;
    let pruned = store.prune_requests(now, retention(DAY, 0, 1_000)).await;
    assert_eq!(pruned, Ok(0));
    assert_eq!(
        remembered(store.as_ref()).await,
        (0..10).collect::<Vec<_>>()
    );
}

/// What is as old as `keep` is forgotten; the events stay.
pub async fn old_request_ids_are_forgotten(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let now = ten_hours(store.as_ref(), &mut writer).await;
    // The last is 0 hours old, r5 four hours: exactly as old as what is not kept any more.
    let four_hours = Duration::from_hours(4);
    let pruned = store
        .prune_requests(now, retention(four_hours, 0, 1_000))
        .await;
    assert_eq!(pruned, Ok(6));
    assert_eq!(remembered(store.as_ref()).await, [6, 7, 8, 9]);
    let again = store
        .prune_requests(now, retention(four_hours, 0, 1_000))
        .await;
    assert_eq!(again, Ok(0));
    let event = store.event(1).await.expect("an answer").expect("the event");
    assert_eq!(event.event.request_id, "r0");
}

/// `newest_min` protects against age.
pub async fn the_newest_are_kept_whatever_their_age(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let now = ten_hours(store.as_ref(), &mut writer).await + 1_000 * HOUR;
    let pruned = store.prune_requests(now, retention(DAY, 3, 1_000)).await;
    assert_eq!(pruned, Ok(7));
    assert_eq!(remembered(store.as_ref()).await, [7, 8, 9]);
    let pruned = store
        .prune_requests(now, retention(DAY, 1_000, 2_000))
        .await;
    assert_eq!(pruned, Ok(0));
}

/// `newest_max` forgets the young as well.
pub async fn beyond_the_maximum_nothing_is_kept(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let now = ten_hours(store.as_ref(), &mut writer).await;
    let pruned = store.prune_requests(now, retention(DAY, 2, 4)).await;
    assert_eq!(pruned, Ok(6));
    assert_eq!(remembered(store.as_ref()).await, [6, 7, 8, 9]);
}

/// Half a request would look like a prefix that has to be completed.
pub async fn a_request_is_never_forgotten_in_part(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    for id in ["a", "b", "c"] {
        request(store.as_ref(), &mut writer, id, 4).await;
    }
    let ids = ["a", "b", "c"].map(String::from);
    let now = writer.stored_at_micros;
    // The sixth newest is in the middle of b.
    let pruned = store.prune_requests(now, retention(DAY, 0, 6)).await;
    assert_eq!(pruned, Ok(4));
    assert_eq!(held(store.as_ref(), &ids).await, [0, 4, 4]);
    let pruned = store.prune_requests(now, retention(DAY, 0, 4)).await;
    assert_eq!(pruned, Ok(4));
    assert_eq!(held(store.as_ref(), &ids).await, [0, 0, 4]);
    let pruned = store
        .prune_requests(now + 100 * HOUR, retention(DAY, 0, 6))
        .await;
    assert_eq!(pruned, Ok(4));
    assert_eq!(held(store.as_ref(), &ids).await, [0, 0, 0]);
}

/// After that the id is new.
pub async fn a_forgotten_request_id_can_be_used_again(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    request(store.as_ref(), &mut writer, "a", 2).await;
    let later = writer.stored_at_micros + 100 * HOUR;
    let pruned = store.prune_requests(later, retention(DAY, 0, 10)).await;
    assert_eq!(pruned, Ok(2));
    request(store.as_ref(), &mut writer, "a", 3).await;
    let query = CheckQuery {
        requests: vec!["a".into()],
        ..CheckQuery::default()
    };
    let answers = store.check(&query).await.expect("answers");
    let sequences: Vec<_> = answers.requests[0].iter().map(|e| e.sequence).collect();
    assert_eq!(sequences, [3, 4, 5]);
}
