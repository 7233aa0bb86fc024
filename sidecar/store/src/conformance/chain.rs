//! The hash chain can be had at every position.

use tidelog_model::{ChainHash, Selector};

use super::{Fixture, pages, query, started};
use crate::generate::{Peer, Writer, chained};
use crate::log_store::LogStore;

async fn batches(store: &dyn LogStore, writer: &mut Writer, sizes: &[usize]) {
    let mut us = Peer::new("us");
    for (i, size) in sizes.iter().enumerate() {
        let batch = if i % 2 == 0 {
            writer.append(*size, |_, _| {})
        } else {
            writer.receive("us", i as u64, us.write_many(*size))
        };
        store.commit(&batch).await.expect("a commit");
    }
}

/// Between checkpoints it is computed, at them it is kept; both are the chain from 0.
pub async fn the_hash_at_every_position_is_the_chain(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    batches(store.as_ref(), &mut writer, &[3, 1, 7, 2, 0, 5]).await;
    let log = pages(store.as_ref(), &query(0, u64::MAX, Selector::default())).await;
    assert_eq!(log.len(), 18);
    for sequence in 0..=18usize {
        let wanted = chained(ChainHash::ZERO, &log[..sequence]);
        let found = store.hash_at(sequence as u64).await.expect("a hash");
        assert_eq!(found, Some(wanted), "at {sequence}");
    }
    assert_eq!(store.hash_at(18).await.expect("a hash"), Some(writer.hash));
    assert_eq!(store.hash_at(19).await.expect("an answer"), None);
}

/// At or below the position asked, true, and near enough that a hash is had in bounded time.
pub async fn checkpoints_lie_at_the_end_of_batches(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    batches(store.as_ref(), &mut writer, &[3, 1, 7]).await;
    let log = pages(store.as_ref(), &query(0, u64::MAX, Selector::default())).await;
    for (asked, wanted) in [
        (0, 0),
        (2, 0),
        (3, 3),
        (4, 4),
        (10, 4),
        (11, 11),
        (12, 11),
        (u64::MAX, 11),
    ] {
        let (at, hash) = store.checkpoint(asked).await.expect("a checkpoint");
        assert_eq!(at, wanted, "asked for {asked}");
        assert_eq!(hash, chained(ChainHash::ZERO, &log[..at as usize]));
    }
}

/// A base in the middle of a batch has its hash too, and no hash of what was replaced is left above it.
pub async fn hashes_below_a_base_survive_a_rewrite(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    batches(store.as_ref(), &mut writer, &[4, 3, 4]).await;
    let before = pages(store.as_ref(), &query(0, u64::MAX, Selector::default())).await;
    let base_hash = store.hash_at(2).await.expect("a hash").expect("below");
    let raise = writer.rewrite(5, base_hash, &before[2..]);
    store.raise(&raise).await.expect("a late raise");
    store
        .commit(&writer.append(2, |_, _| {}))
        .await
        .expect("a commit");
    let log = pages(store.as_ref(), &query(0, u64::MAX, Selector::default())).await;
    assert_eq!(log[..2], before[..2]);
    for sequence in 0..=log.len() {
        let wanted = chained(ChainHash::ZERO, &log[..sequence]);
        let found = store.hash_at(sequence as u64).await.expect("a hash");
        assert_eq!(found, Some(wanted), "at {sequence}");
    }
}
