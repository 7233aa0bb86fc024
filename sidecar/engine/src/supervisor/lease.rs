//! Taking the lease, and knowing whether it was anybody else's in between.

use std::sync::atomic::{AtomicBool, Ordering};

use tidelog_store::{Lease, LeaseOutcome, StoreError};
use tokio::time::Instant;

use crate::options::LogOptions;

/// Takes the lease. True beside the outcome: nobody else has held it since it was taken under one of `mine`. That somebody may have is kept in `others` for the
/// next attempt: this one may take the lease and fail all the same, and the next one would find its own name.
pub(crate) async fn take_lease(
    options: &LogOptions,
    mine: &[u64],
    lease: &Lease,
    others: &AtomicBool,
) -> Result<(LeaseOutcome, bool), StoreError> {
    let since = Instant::now();
    if held_under(options, mine).await?.is_none() {
        others.store(true, Ordering::Relaxed);
    }
    let alone = !others.load(Ordering::Relaxed);
    let outcome = options.store.acquire_lease(lease).await?;
    // What was renewed has not run out before it was taken anew.
    let alone =
        alone && since.elapsed() < lease.ttl && matches!(outcome, LeaseOutcome::Acquired(_));
    Ok((outcome, alone))
}

/// The nonce of this process under which the lease is held, if nobody else has held it since. Then it holds on for its full time.
pub(super) async fn held_under(
    options: &LogOptions,
    nonces: &[u64],
) -> Result<Option<u64>, StoreError> {
    if nonces.is_empty() {
        return Ok(None);
    }
    let held = options.store.state().await?.lease;
    let Some(nonce) = held.map(|l| l.nonce).filter(|n| nonces.contains(n)) else {
        return Ok(None);
    };
    let lease = Lease {
        owner: options.owner.clone(),
        address: options.address.clone(),
        nonce,
        ttl: options.lease_ttl,
    };
    let renewed = options.store.renew_lease(&lease).await?;
    Ok(renewed.then_some(nonce))
}
