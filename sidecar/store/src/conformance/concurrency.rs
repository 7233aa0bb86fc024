//! Reads beside the writer, and futures that are dropped.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::{join, select};
use tidelog_model::Selector;

use super::{Fixture, contents, pages, query, started};
use crate::error::CommitError;
use crate::generate::Writer;
use crate::log_store::LogStore;
use crate::query::{CheckQuery, ConditionQuery};
use crate::state::Consumer;

/// Batches of seven while readers look: every page ends where a batch ended, and state and events agree.
pub async fn readers_see_whole_batches_only(fixture: &dyn Fixture) {
    const BATCHES: u64 = 60;
    let (store, mut writer) = started(fixture).await;
    let store = store.as_ref();
    let write = async {
        for _ in 0..BATCHES {
            let batch = writer.append(7, |_, _| {});
            store.commit(&batch).await.expect("a commit");
        }
    };
    let read = async {
        let mut last = 0;
        while last < BATCHES * 7 {
            let state = store.state().await.expect("the state");
            let vector = state.version_vector.iter().map(|(_, s)| s).max();
            assert_eq!(vector.unwrap_or(0), state.head, "vector and head agree");
            let hash = store.hash_at(state.head).await.expect("a hash");
            assert_eq!(hash, Some(state.hash), "hash and head agree");
            let page = store.read(&query(0, u64::MAX, Selector::default())).await;
            let page = page.expect("a page");
            assert_eq!(page.scanned_to % 7, 0, "half a batch");
            assert_eq!(page.events.len() as u64, page.scanned_to);
            assert!(page.scanned_to >= state.head, "what was seen stays");
            assert!(page.scanned_to >= last, "what was seen stays");
            last = page.scanned_to;
        }
    };
    join(write, join(read, ids_are_whole(store, BATCHES * 7))).await;
}

async fn ids_are_whole(store: &dyn LogStore, until: u64) {
    let mut seen = 0;
    while seen < until {
        let rows = store.ids(0, 10_000).await.expect("ids");
        assert_eq!(rows.len() % 7, 0, "half a batch");
        assert!(rows.len() as u64 >= seen);
        seen = rows.len() as u64;
    }
}

/// Lets a future run for a while, then drops it. Timers are too coarse for that: the time is spent polling.
async fn dropped_after(time: Duration, work: impl Future<Output = ()>) {
    let mut start = None;
    let wait = poll_fn(|context| {
        // From when the work has been polled once.
        if start.get_or_insert_with(Instant::now).elapsed() >= time {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    });
    select(pin!(work), wait).await;
}

/// Whatever became of a dropped write, the next one works, and the batch is there as a whole or not at all.
pub async fn dropped_writes_leave_a_working_store(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let store = store.as_ref();
    for round in 0..60u32 {
        let mut attempt = writer.clone();
        let batch = attempt.append(200, |_, e| e.payload = vec![1; 500].into());
        let write = async {
            store.commit(&batch).await.expect("nothing else goes wrong");
        };
        dropped_after(Duration::from_micros(u64::from(round) * 60), write).await;

        // The outcome is found out by taking the lease anew: after that no write of before can arrive.
        writer = Writer::start_as(store, "eu", u64::from(round) + 2).await;
        assert!(
            writer.head == batch.guard.head || writer.head == batch.head(),
            "half a batch: {}",
            writer.head
        );
        let rest = query(batch.guard.head, u64::MAX, Selector::default());
        let found = pages(store, &rest).await;
        assert_eq!(found.len() as u64, writer.head - batch.guard.head);
        let own = writer.append(1, |_, _| {});
        store.commit(&own).await.expect("the next write works");
    }
    for round in 0..10u32 {
        let renew = async {
            let consumer = Consumer {
                name: format!("c{round}"),
                position: tidelog_model::Position::default(),
                updated_at_micros: 0,
            };
            let fence = writer.guard().fence();
            assert_eq!(store.put_consumer(&fence, &consumer).await, Ok(true));
        };
        dropped_after(Duration::from_micros(u64::from(round) * 20), renew).await;
    }
    let raise = writer.clone().raise(2);
    let raising = async {
        let outcome = store.raise(&raise).await;
        assert!(outcome.is_ok(), "{outcome:?}");
    };
    dropped_after(Duration::ZERO, raising).await;
    let mut writer = Writer::start_as(store, "eu", 1_000).await;
    assert!(writer.incarnation.0 == 1 || writer.incarnation.0 == 2);
    let stale = writer.clone().append(1, |_, _| {});
    store
        .commit(&writer.append(1, |_, _| {}))
        .await
        .expect("the next write works");
    assert_eq!(store.commit(&stale).await, Err(CommitError::Fenced));
}

/// Reads that nobody waits for any more hold up neither readers nor the writer.
pub async fn dropped_reads_leave_a_working_store(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let store = store.as_ref();
    let batch = writer.append(1_000, |i, e| {
        e.payload = vec![1; 300].into();
        e.request_id = format!("r{i}");
    });
    store.commit(&batch).await.expect("a commit");
    let check = CheckQuery {
        requests: (0..500).map(|i| format!("r{i}")).collect(),
        ..CheckQuery::default()
    };
    for round in 0..40u64 {
        let time = Duration::from_micros(round * 50);
        let read = async {
            store
                .read(&query(0, u64::MAX, Selector::default()))
                .await
                .expect("a page");
        };
        dropped_after(time, read).await;
        let ask = async {
            store.check(&check).await.expect("answers");
        };
        dropped_after(time, ask).await;
        let look = async {
            store.state().await.expect("the state");
        };
        dropped_after(time / 10, look).await;
        let own = writer.append(1, |_, _| {});
        store.commit(&own).await.expect("the writer goes on");
    }
    assert_eq!(contents_head(store).await, 1_040);
}

async fn contents_head(store: &dyn LogStore) -> u64 {
    let head = store.state().await.expect("the state").head;
    let all = pages(store, &query(0, u64::MAX, Selector::default())).await;
    assert_eq!(all.len() as u64, head);
    head
}

/// All questions of a check look at the same log: each batch answers all of them alike.
pub async fn a_check_is_answered_from_one_snapshot(fixture: &dyn Fixture) {
    const BATCHES: u64 = 60;
    let (store, mut writer) = started(fixture).await;
    let store = store.as_ref();
    let write = async {
        for n in 0..BATCHES {
            let batch = writer.append(3, |i, e| {
                e.aggregate_id = format!("k{i}");
                e.request_id = format!("r{n}");
                e.request_index = i as u32;
                e.request_count = 3;
            });
            store.commit(&batch).await.expect("a commit");
        }
    };
    let condition = |key: &str| ConditionQuery {
        keys: vec![key.into()],
        types: Vec::new(),
        after: 0,
    };
    let asked = CheckQuery {
        requests: (0..BATCHES).map(|n| format!("r{n}")).collect(),
        causes: Vec::new(),
        conditions: ["k0", "k1", "k2"].map(condition).into(),
    };
    let ask = async {
        let mut batches = 0;
        while batches < BATCHES {
            let answers = store.check(&asked).await.expect("answers");
            assert!(
                answers
                    .requests
                    .iter()
                    .all(|r| r.is_empty() || r.len() == 3),
                "half a request"
            );
            let held = answers.requests.iter().filter(|r| !r.is_empty()).count() as u64;
            let highest: Vec<_> = answers.conditions.iter().map(|c| c.unwrap_or(0)).collect();
            if held == 0 {
                assert_eq!(highest, [0, 0, 0]);
            } else {
                assert_eq!(highest, [held * 3 - 2, held * 3 - 1, held * 3]);
            }
            assert!(held >= batches, "what was seen stays");
            batches = held;
        }
    };
    join(write, ask).await;
    assert_eq!(contents(store).await.state.head, BATCHES * 3);
}
