//! A bounded piece of what `tidelog-faults` does: with each store one short run with a few faults.

use std::time::Duration;

use anyhow::{Result, ensure};
use rand::Rng as _;
use tidelog_faults::kind::{Kind, Store};
use tidelog_faults::report::Verdict;
use tidelog_faults::run::{Wanted, run};

async fn short(store: Store, faults: &[Kind]) -> Result<()> {
    let wanted = Wanted {
        length: Duration::from_secs(30),
        stores: vec![store],
        faults: faults.to_vec(),
        except: Vec::new(),
        seed: rand::rng().random_range(0..1_000_000_000),
        report: None,
        history: None,
        keep: None,
        stalls: false,
    };
    let report = run(&wanted).await?;
    ensure!(report.verdict == Verdict::Passed, "{}", report.text());
    ensure!(report.acknowledged_requests > 50, "{}", report.text());
    Ok(())
}

#[tokio::test]
async fn five_locations_on_postgresql_keep_their_promises_while_things_break() -> Result<()> {
    let faults = [
        Kind::LinkReset,
        Kind::LinkBlackHole,
        Kind::LinkHalfOpen,
        Kind::Isolation,
        Kind::KillSidecar,
        Kind::KillPostgres,
        Kind::TerminateBackends,
        Kind::ConnectionsExhausted,
    ];
    short(Store::Postgres, &faults).await
}

#[tokio::test]
async fn five_locations_on_sqlite_keep_their_promises_while_things_break() -> Result<()> {
    let faults = [
        Kind::LinkDelay,
        Kind::LinkCutAfterBytes,
        Kind::LinkStall,
        Kind::Partition,
        Kind::KillSidecar,
        Kind::DiskFull,
        Kind::ClockJump,
        Kind::RestoreOlderCopy,
    ];
    short(Store::Sqlite, &faults).await
}
