//! One scenario per file. Each starts a network of real processes, does something to it, and lets every judge look at the run.

mod bad_input;
mod conditions;
mod converge_dense;
mod disk_full;
mod filtered_spoke;
mod frames;
mod isolate_and_heal;
mod kill_and_restart;
mod link_change_live;
mod many_locations;
mod one_writer;
mod restore_older_copy;
mod storm;
mod transitive_forwarding;

use std::time::Duration;

use anyhow::Result;
use tidelog_harness::manifests::Manifests;
use tidelog_harness::network::{Network, Storage};
use tidelog_harness::record::{Answer, Id};
use tidelog_harness::session::{Draft, Session};

/// Runs scenarios on SQLite and on PostgreSQL.
macro_rules! on_both_stores {
    ($($scenario:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test]
                async fn $scenario() -> anyhow::Result<()> {
                    super::$scenario(tidelog_harness::network::Storage::Sqlite).await
                }
            )+
        }
        mod on_postgres {
            $(
                #[tokio::test]
                async fn $scenario() -> anyhow::Result<()> {
                    super::$scenario(tidelog_harness::network::Storage::postgres().await?).await
                }
            )+
        }
    };
}
use on_both_stores;

/// Long enough for anything that should happen at once, also while the machine builds something else.
const SOON: Duration = Duration::from_secs(30);

/// Runs a scenario over a network, and shows what its processes said when it fails.
async fn with(
    storage: Storage,
    manifests: Manifests,
    scenario: impl AsyncFnOnce(&mut Network) -> Result<()>,
) -> Result<()> {
    let mut network = Network::start(storage, manifests).await?;
    let outcome = scenario(&mut network).await;
    network.finish(outcome)
}

/// Appends `count` events, one per request, each acknowledged.
async fn append_each(session: &mut Session, count: usize, key: &str) -> Result<Vec<Id>> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.extend(acknowledged(session.append(vec![Draft::of(key)]).await)?);
    }
    Ok(ids)
}

/// The ids of an append that must have been taken at the first try.
fn acknowledged(answer: Answer) -> Result<Vec<Id>> {
    match answer {
        Answer::Ok { ids, .. } => Ok(ids),
        other => anyhow::bail!("the append was not taken: {other:?}"),
    }
}

/// The reason of an append that must have been refused.
fn refused(answer: Answer) -> Result<String> {
    match answer {
        Answer::Refused { reason, .. } => Ok(reason),
        other => anyhow::bail!("the append was not refused: {other:?}"),
    }
}
