//! Who may write: leases run by the database's clock.

use std::time::Duration;

use super::Fixture;
use crate::generate::lease;
use crate::log_store::LogStore;
use crate::state::{LeaseOutcome, StoredLease};

const LONG: Duration = Duration::from_mins(1);
const SHORT: Duration = Duration::from_millis(80);
const LONGER_THAN_SHORT: Duration = Duration::from_millis(160);

async fn held(store: &dyn LogStore) -> StoredLease {
    let state = store.state().await.expect("the state");
    state.lease.expect("somebody took it")
}

async fn is_granted(store: &dyn LogStore, owner: &str, nonce: u64, ttl: Duration) -> bool {
    let outcome = store.acquire_lease(&lease(owner, nonce, ttl)).await;
    matches!(outcome.expect("an answer"), LeaseOutcome::Acquired(_))
}

/// The answer to a free lease is the state, with the new lease in it.
pub async fn a_free_lease_is_granted_with_the_state(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let outcome = store.acquire_lease(&lease("a", 7, LONG)).await;
    let LeaseOutcome::Acquired(state) = outcome.expect("an answer") else {
        unreachable!("nobody holds it")
    };
    let lease = state.lease.expect("the lease just taken");
    assert_eq!((lease.owner.as_str(), lease.nonce), ("a", 7));
    assert_eq!(lease.address, "a.example:7700");
    assert!(lease.remaining > LONG / 2 && lease.remaining <= LONG);
    let stored = held(store.as_ref()).await;
    assert_eq!(stored.owner, "a");
    assert!(stored.remaining <= lease.remaining && stored.remaining > LONG / 2);
}

/// Who comes second is told who holds it and for how long, and changes nothing.
pub async fn a_held_lease_is_refused_and_names_its_holder(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    assert!(is_granted(store.as_ref(), "a", 1, LONG).await);
    let outcome = store.acquire_lease(&lease("b", 2, LONG)).await;
    let LeaseOutcome::Held(holder) = outcome.expect("an answer") else {
        unreachable!("a holds it")
    };
    assert_eq!((holder.owner.as_str(), holder.nonce), ("a", 1));
    assert_eq!(holder.address, "a.example:7700");
    assert!(holder.remaining > LONG / 2 && holder.remaining <= LONG);
    assert_eq!(held(store.as_ref()).await.nonce, 1);
    assert_eq!(store.renew_lease(&lease("a", 1, LONG)).await, Ok(true));
}

/// After its time a lease is anybody's, and says that nothing remains.
pub async fn a_lease_that_ran_out_is_granted_to_anybody(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    assert!(is_granted(store.as_ref(), "a", 1, SHORT).await);
    fixture.pass(LONGER_THAN_SHORT).await;
    assert_eq!(held(store.as_ref()).await.remaining, Duration::ZERO);
    assert!(is_granted(store.as_ref(), "b", 2, LONG).await);
    assert_eq!(held(store.as_ref()).await.owner, "b");
}

/// Renewal counts from now.
pub async fn a_renewed_lease_holds_longer(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    assert!(is_granted(store.as_ref(), "a", 1, SHORT).await);
    assert_eq!(store.renew_lease(&lease("a", 1, LONG)).await, Ok(true));
    fixture.pass(LONGER_THAN_SHORT).await;
    assert!(!is_granted(store.as_ref(), "b", 2, LONG).await);
}

/// A lease that somebody else has taken since stays theirs.
pub async fn a_lost_lease_cannot_be_renewed(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    assert!(is_granted(store.as_ref(), "a", 1, LONG).await);
    assert!(is_granted(store.as_ref(), "a", 2, SHORT).await);
    assert_eq!(store.renew_lease(&lease("a", 1, LONG)).await, Ok(false));
    fixture.pass(LONGER_THAN_SHORT).await;
    assert!(is_granted(store.as_ref(), "b", 3, LONG).await);
    assert_eq!(store.renew_lease(&lease("a", 2, LONG)).await, Ok(false));
    assert_eq!(held(store.as_ref()).await.nonce, 3);
}

/// A clean stop spares the successor the wait.
pub async fn a_released_lease_is_free_at_once(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    assert!(is_granted(store.as_ref(), "a", 1, LONG).await);
    store.release_lease(1).await.expect("a release");
    assert!(is_granted(store.as_ref(), "b", 2, LONG).await);
}

/// Only the holder can give a lease back.
pub async fn releasing_the_lease_of_somebody_else_does_nothing(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    assert!(is_granted(store.as_ref(), "a", 1, LONG).await);
    store.release_lease(2).await.expect("no error");
    assert!(!is_granted(store.as_ref(), "b", 3, LONG).await);
    assert_eq!(held(store.as_ref()).await.nonce, 1);
}
