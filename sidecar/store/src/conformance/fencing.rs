//! A write checks the whole guard; a writer that was taken over never adds anything.

use std::time::Duration;

use tidelog_model::Incarnation;

use super::{Fixture, contents, started};
use crate::batch::{Guard, WriteBatch};
use crate::error::CommitError;
use crate::generate::{Writer, lease};
use crate::log_store::LogStore;
use crate::state::LeaseOutcome;

/// Commits a batch with changed guards, expects `Fenced`, and that nothing at all has changed; then the true one must pass.
async fn is_fenced_with(fixture: &dyn Fixture, changes: &[fn(&mut Guard)]) {
    let (store, mut writer) = started(fixture).await;
    let first = writer.append(3, |_, e| e.request_id = "first".into());
    store.commit(&first).await.expect("a commit");
    let before = contents(store.as_ref()).await;
    let frame = writer
        .clone()
        .receive("us", 4, Vec::new())
        .progress
        .expect("progress");
    let mut batch = writer.append(2, |i, e| {
        e.request_id = "second".into();
        e.request_index = i as u32;
        e.destinations = vec!["shop".into()];
    });
    batch.progress = Some(frame);
    for change in changes {
        let mut stale = batch.clone();
        change(&mut stale.guard);
        renumber(&mut stale);
        assert_eq!(store.commit(&stale).await, Err(CommitError::Fenced));
        assert_eq!(contents(store.as_ref()).await, before);
        let mut empty = stale;
        empty.events.clear();
        assert_eq!(store.commit(&empty).await, Err(CommitError::Fenced));
        assert_eq!(contents(store.as_ref()).await, before);
    }
    store.commit(&batch).await.expect("the true guard");
}

/// A batch always continues at the head of its own guard.
fn renumber(batch: &mut WriteBatch) {
    for (i, event) in batch.events.iter_mut().enumerate() {
        event.sequence = batch.guard.head + 1 + i as u64;
    }
}

/// The incarnation is part of the guard.
pub async fn another_incarnation_is_fenced_and_changes_nothing(fixture: &dyn Fixture) {
    is_fenced_with(
        fixture,
        &[
            |g| g.incarnation = Incarnation(2),
            |g| g.incarnation = Incarnation(0),
        ],
    )
    .await;
}

/// The nonce is part of the guard.
pub async fn another_nonce_is_fenced_and_changes_nothing(fixture: &dyn Fixture) {
    is_fenced_with(fixture, &[|g| g.nonce = 99, |g| g.nonce = 0]).await;
}

/// The head is part of the guard, lower or higher.
pub async fn another_head_is_fenced_and_changes_nothing(fixture: &dyn Fixture) {
    is_fenced_with(fixture, &[|g| g.head += 1, |g| g.head -= 1, |g| g.head = 0]).await;
}

/// A raise checks the same guard as a commit.
pub async fn a_raise_checks_the_whole_guard(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    store
        .commit(&writer.append(3, |_, _| {}))
        .await
        .expect("a commit");
    let before = contents(store.as_ref()).await;
    let raise = writer.raise(5);
    let changes: [fn(&mut Guard); 4] = [
        |g| g.incarnation = Incarnation(0),
        |g| g.nonce = 99,
        |g| g.head = 2,
        |g| g.head = 4,
    ];
    for change in changes {
        let mut stale = raise.clone();
        change(&mut stale.guard);
        stale.entry.base = stale.guard.head;
        assert_eq!(store.raise(&stale).await, Err(CommitError::Fenced));
        assert_eq!(contents(store.as_ref()).await, before);
    }
    store.raise(&raise).await.expect("the true guard");
}

/// Without anybody having taken the lease nothing can be written.
pub async fn nothing_is_written_without_a_lease(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let state = store.state().await.expect("the state");
    for nonce in [0, 1] {
        let mut writer = Writer::resume(&state, "eu", nonce);
        let batch = writer.clone().append(1, |_, _| {});
        assert_eq!(store.commit(&batch).await, Err(CommitError::Fenced));
        assert_eq!(
            store.raise(&writer.raise(1)).await,
            Err(CommitError::Fenced)
        );
    }
    assert_eq!(store.state().await.expect("the state"), state);
}

async fn is_shut_out(store: &dyn LogStore, mut old: Writer, mut new: Writer) {
    let before = contents(store).await;
    assert_eq!(
        store.commit(&old.clone().append(1, |_, _| {})).await,
        Err(CommitError::Fenced)
    );
    assert_eq!(store.raise(&old.raise(9)).await, Err(CommitError::Fenced));
    assert_eq!(contents(store).await, before);
    store
        .commit(&new.append(1, |_, _| {}))
        .await
        .expect("the successor writes");
}

/// Expiry of the lease is what lets a successor in; from then on the old nonce is dead, however long its holder was frozen.
pub async fn a_writer_that_was_taken_over_after_its_lease_ran_out_never_writes_again(
    fixture: &dyn Fixture,
) {
    let (store, mut old) = started(fixture).await;
    let short = lease("writer", old.nonce, Duration::from_millis(80));
    assert_eq!(store.renew_lease(&short).await, Ok(true));
    fixture.pass(Duration::from_millis(160)).await;
    // Run out, but nobody has taken it: the writer is still the last one.
    store
        .commit(&old.append(1, |_, _| {}))
        .await
        .expect("nobody else writes");
    let mut successor = lease("successor", 2, Duration::from_mins(1));
    successor.nonce = u64::MAX;
    let outcome = store.acquire_lease(&successor).await.expect("an answer");
    let LeaseOutcome::Acquired(state) = outcome else {
        unreachable!("the lease has run out: {outcome:?}")
    };
    assert_eq!(state.head, 1);
    let new = Writer::resume(&state, "eu", u64::MAX);
    is_shut_out(store.as_ref(), old, new).await;
}

/// A restarted process has the same owner and another nonce; it need not wait.
pub async fn a_writer_that_was_taken_over_by_its_own_owner_never_writes_again(
    fixture: &dyn Fixture,
) {
    let (store, mut old) = started(fixture).await;
    store
        .commit(&old.append(2, |_, _| {}))
        .await
        .expect("a commit");
    let new = Writer::start_as(store.as_ref(), "eu", 2).await;
    assert_eq!(new.head, 2);
    is_shut_out(store.as_ref(), old, new).await;
}

/// A retry of a batch that was committed meets a moved head.
pub async fn the_same_batch_twice_is_fenced(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let batch = writer.append(2, |_, _| {});
    store.commit(&batch).await.expect("a commit");
    let before = contents(store.as_ref()).await;
    assert_eq!(store.commit(&batch).await, Err(CommitError::Fenced));
    assert_eq!(contents(store.as_ref()).await, before);
}
