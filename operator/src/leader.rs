//! One of several replicas works, the others wait: a Lease decides.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Seconds after which somebody else may work, when the one that works is not heard of any more.
const LEASE_SECONDS: u64 = 15;
/// So many seconds before that the one that works renews it: clocks differ, and an answer may be late.
const RENEWED_BEFORE_SECONDS: u64 = 10;
/// Between two looks whether the lease was renewed; an answer may take as long.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// So long before its lease runs out a process ends that could not renew it: longer than two looks, so that it is gone when another one begins.
const ENDS_BEFORE: Duration = Duration::from_secs(5);

/// The lease of this process.
pub struct Leader {
    state: watch::Receiver<bool>,
    task: JoinHandle<kube_lease_manager::Result<LeaseManager>>,
    leases: Api<Lease>,
    name: String,
    identity: String,
}

impl Leader {
    /// Takes part in the election; two operators of different locations do not compete.
    pub async fn take_part(
        client: Client,
        namespace: &str,
        name: &str,
        identity: &str,
    ) -> Result<Self> {
        let manager = LeaseManagerBuilder::new(client.clone(), name)
            .with_namespace(namespace)
            .with_identity(identity)
            .with_field_manager(format!("tidelog-operator-{identity}"))
            .with_duration(LEASE_SECONDS)
            .with_grace(RENEWED_BEFORE_SECONDS)
            .build()
            .await
            .with_context(|| format!("take part in the election by lease {namespace}/{name}"))?;
        let (state, task) = manager.watch().await;
        Ok(Self {
            state,
            task,
            leases: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
        })
    }

    /// Returns when this process is the one that works.
    pub async fn elected(&mut self) -> Result<()> {
        if self.state.wait_for(|elected| *elected).await.is_err() {
            bail!("the election has ended");
        }
        Ok(())
    }

    /// Returns when it is not any more, or soon will not be because the lease was not renewed.
    pub async fn deposed(&mut self) {
        let Self {
            state,
            leases,
            name,
            identity,
            ..
        } = self;
        tokio::select! {
            _ = state.wait_for(|elected| !*elected) => {}
            () = runs_out(leases, name, identity) => {}
        }
    }

    /// Lets another one work at once.
    pub async fn resign(self) {
        let Self { state, task, .. } = self;
        drop(state);
        if let Ok(Ok(manager)) = task.await {
            let _ = manager.release().await;
        }
    }
}

/// Returns when a lease is about to run out. Whoever renews it tries for as long as nothing is answered, and says meanwhile that it is held.
async fn runs_out(leases: &Api<Lease>, name: &str, identity: &str) {
    let mut held_until = Instant::now() + Duration::from_secs(LEASE_SECONDS);
    while Instant::now() + ENDS_BEFORE < held_until {
        sleep(LOOK_EVERY).await;
        let asked = Instant::now();
        // No answer: what was known before still counts.
        if let Ok(Ok(lease)) = timeout(LOOK_EVERY, leases.get(name)).await {
            held_until = asked + left(&lease, identity, Timestamp::now());
        }
    }
}

/// How long a lease is still held by somebody, by the clock of whoever has renewed it.
fn left(lease: &Lease, identity: &str, now: Timestamp) -> Duration {
    let held = || {
        let spec = lease.spec.as_ref()?;
        if spec.holder_identity.as_deref() != Some(identity) {
            return None;
        }
        let lasting = i64::from(spec.lease_duration_seconds?);
        let ends = spec.renew_time.as_ref()?.0.as_millisecond() + lasting * 1_000;
        u64::try_from(ends - now.as_millisecond()).ok()
    };
    held().map_or(Duration::ZERO, Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::LeaseSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    use super::*;

    #[test]
    fn a_lease_is_held_by_its_holder_until_it_runs_out() {
        let at = |seconds: i64| Timestamp::from_second(1_700_000_000 + seconds).unwrap();
        let mut lease = Lease {
            spec: Some(LeaseSpec {
                holder_identity: Some("one".to_owned()),
                lease_duration_seconds: Some(15),
                renew_time: Some(MicroTime(at(0))),
                ..LeaseSpec::default()
            }),
            ..Lease::default()
        };
        assert_eq!(left(&lease, "one", at(5)), Duration::from_secs(10));
        assert_eq!(left(&lease, "one", at(16)), Duration::ZERO);
        assert_eq!(left(&lease, "two", at(5)), Duration::ZERO);
        lease.spec = None;
        assert_eq!(left(&lease, "one", at(5)), Duration::ZERO);
    }
}
