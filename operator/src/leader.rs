//! One of several replicas works, the others wait: a Lease decides.

use anyhow::{Context as _, Result, bail};
use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Seconds after which somebody else may work, when the one that works is not heard of any more.
const LEASE_SECONDS: u64 = 15;
/// So many seconds before that the one that works renews it: clocks differ, and an answer may be late.
const RENEWED_BEFORE_SECONDS: u64 = 10;

/// The lease of this process.
pub struct Leader {
    state: watch::Receiver<bool>,
    task: JoinHandle<kube_lease_manager::Result<LeaseManager>>,
}

impl Leader {
    /// Takes part in the election; two operators of different locations do not compete.
    pub async fn take_part(
        client: Client,
        namespace: &str,
        name: &str,
        identity: &str,
    ) -> Result<Self> {
        let manager = LeaseManagerBuilder::new(client, name)
            .with_namespace(namespace)
            .with_identity(identity)
            .with_field_manager(format!("tidelog-operator-{identity}"))
            .with_duration(LEASE_SECONDS)
            .with_grace(RENEWED_BEFORE_SECONDS)
            .build()
            .await
            .with_context(|| format!("take part in the election by lease {namespace}/{name}"))?;
        let (state, task) = manager.watch().await;
        Ok(Self { state, task })
    }

    /// Returns when this process is the one that works.
    pub async fn elected(&mut self) -> Result<()> {
        if self.state.wait_for(|elected| *elected).await.is_err() {
            bail!("the election has ended");
        }
        Ok(())
    }

    /// Returns when it is not any more.
    pub async fn deposed(&mut self) {
        let _ = self.state.wait_for(|elected| !*elected).await;
    }

    /// Lets another one work at once.
    pub async fn resign(self) {
        let Self { state, task } = self;
        drop(state);
        if let Ok(Ok(manager)) = task.await {
            let _ = manager.release().await;
        }
    }
}
