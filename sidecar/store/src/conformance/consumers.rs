//! Consumers and paused edges.

use std::collections::BTreeSet;

use tidelog_model::Incarnation;

use super::{Fixture, reopened, started};
use crate::batch::Fence;
use crate::generate::{Writer, location};
use crate::state::{Consumer, EdgeKey};

fn consumer(name: &str, position: &str, at: i64) -> Consumer {
    Consumer {
        name: name.into(),
        position: position.parse().expect("a position"),
        updated_at_micros: at,
    }
}

/// The store keeps what it is told, also when the position goes back.
pub async fn consumers_are_created_replaced_and_deleted(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    // Moving the head is not a reason to refuse: the fence is the writer's, not the batch's.
    let fence = writer.guard().fence();
    store
        .commit(&writer.append(1, |_, _| {}))
        .await
        .expect("a commit");
    assert_eq!(store.consumer("b").await, Ok(None));
    assert_eq!(store.delete_consumer("b").await, Ok(false));
    let largest = Consumer {
        position: "4294967295/9223372036854775807"
            .parse()
            .expect("a position"),
        ..consumer(&"ü".repeat(256), "0/0", i64::MIN)
    };
    for c in [
        consumer("b", "1/5", 10),
        consumer("a", "1/0", 11),
        consumer("B", "2/7", 12),
        largest.clone(),
        consumer("b", "1/3", 13),
    ] {
        assert_eq!(store.put_consumer(&fence, &c).await, Ok(true));
    }
    assert_eq!(
        store.consumer("b").await,
        Ok(Some(consumer("b", "1/3", 13)))
    );
    let store = reopened(fixture, store).await;
    let mut all = store.consumers().await.expect("consumers");
    all.sort_by(|x, y| x.name.as_bytes().cmp(y.name.as_bytes()));
    assert_eq!(
        all,
        [
            consumer("B", "2/7", 12),
            consumer("a", "1/0", 11),
            consumer("b", "1/3", 13),
            largest
        ]
    );
    assert_eq!(store.delete_consumer("b").await, Ok(true));
    assert_eq!(store.delete_consumer("b").await, Ok(false));
    assert_eq!(store.consumer("b").await, Ok(None));
    assert_eq!(store.consumers().await.expect("consumers").len(), 3);
}

/// A process that was frozen after it had judged a position changes nothing when it thaws, neither an acknowledged position nor one that was
/// never stored.
pub async fn a_consumer_is_stored_by_the_writer_alone(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let stored = consumer("stored", "1/1", 10);
    for nonce in [0, 1] {
        let nobody = Fence {
            incarnation: Incarnation(0),
            nonce,
        };
        assert_eq!(store.put_consumer(&nobody, &stored).await, Ok(false));
    }
    let mut writer = Writer::start(store.as_ref()).await;
    let first = writer.guard().fence();
    assert_eq!(store.put_consumer(&first, &stored).await, Ok(true));
    store
        .raise(&writer.raise(7))
        .await
        .expect("a raise of the same writer");
    let raised = writer.guard().fence();
    let acknowledged = consumer("stored", "7/0", 11);
    assert_eq!(store.put_consumer(&raised, &acknowledged).await, Ok(true));
    let successor = Writer::start_as(store.as_ref(), "eu", u64::MAX).await;
    let second = successor.guard().fence();
    let latest = consumer("stored", "7/9", 12);
    assert_eq!(store.put_consumer(&second, &latest).await, Ok(true));

    let zero = Fence { nonce: 0, ..second };
    let elsewhere = Fence {
        incarnation: Incarnation(8),
        ..second
    };
    for stale in [first, raised, zero, elsewhere] {
        for late in [consumer("stored", "1/2", 13), consumer("new", "1/0", 13)] {
            assert_eq!(
                store.put_consumer(&stale, &late).await,
                Ok(false),
                "{stale:?}"
            );
        }
    }
    assert_eq!(store.consumers().await, Ok(vec![latest.clone()]));
    assert_eq!(store.put_consumer(&second, &latest).await, Ok(true));
}

/// Pausing and resuming twice is the same as once; directions are different edges.
pub async fn edges_are_paused_and_resumed(fixture: &dyn Fixture) {
    let (store, _) = started(fixture).await;
    let edge = |source: &str, target: &str| EdgeKey {
        source: location(source),
        target: location(target),
    };
    let there = edge("eu", "us");
    let back = edge("us", "eu");
    for _ in 0..2 {
        store.set_paused(&there, true).await.expect("a pause");
    }
    store.set_paused(&back, true).await.expect("a pause");
    let store = reopened(fixture, store).await;
    let state = store.state().await.expect("the state");
    assert_eq!(state.paused, BTreeSet::from([there.clone(), back.clone()]));
    for _ in 0..2 {
        store.set_paused(&there, false).await.expect("a resume");
    }
    let state = store.state().await.expect("the state");
    assert_eq!(state.paused, BTreeSet::from([back]));
}
