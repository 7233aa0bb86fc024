//! A bounded piece of what `tidelog-faults` does: with each store one short run with a few faults.

use anyhow::{Result, ensure};
use rand::Rng as _;
use tidelog_faults::kind::{Kind, Store};
use tidelog_faults::ledger::Ledger;
use tidelog_faults::report::{Report, Verdict};
use tidelog_faults::run::{Wanted, run};

/// Runs in which a named fault did not happen prove nothing and are run again, so often at most.
const RUNS_MAX: usize = 3;

async fn short(store: Store, faults: &[Kind]) -> Result<()> {
    for _ in 1..RUNS_MAX {
        let report = once(store, faults).await?;
        if report.verdict != Verdict::Void {
            return judge(&report);
        }
    }
    judge(&once(store, faults).await?)
}

fn judge(report: &Report) -> Result<()> {
    ensure!(report.verdict == Verdict::Passed, "{}", report.text());
    ensure!(report.acknowledged_requests > 50, "{}", report.text());
    Ok(())
}

async fn once(store: Store, faults: &[Kind]) -> Result<Report> {
    let mut wanted = Wanted::short(vec![store], faults.to_vec());
    wanted.seed = rand::rng().random_range(0..1_000_000_000);
    run(&wanted, Ledger::default()).await
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
