//! Consumers and paused edges.

use std::collections::BTreeSet;

use super::{Fixture, reopened, started};
use crate::generate::location;
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
    let (store, _) = started(fixture).await;
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
        store.put_consumer(&c).await.expect("a consumer");
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
