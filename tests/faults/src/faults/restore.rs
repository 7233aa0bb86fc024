//! A location's database is put back to what it was some time ago, while its process is down or while it runs. Nobody is told.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rand::rngs::StdRng;

use super::{hold, taken_after};
use crate::site::Site;
use crate::weather::Sky;

pub(super) async fn play(
    site: &mut Site,
    name: &str,
    sky: &Sky,
    random: &mut StdRng,
) -> Result<Option<String>> {
    let copy = format!("copy-{name}-{}", site.network.journal.now());
    let copy = site.network.backup(name, &copy).await?;
    hold(random, 1_500..4_000).await;
    // What comes back comes over links; that is measured elsewhere, with links that break.
    let _calm = sky.lock().await;
    let before = site.network.client(name)?.describe().await?;
    site.network.kill(name).await?;
    let alone = site.network.held_only_at(name).await?;
    let lost = alone.len();
    site.network.journal.forgive(alone);
    site.network.restore(name, &copy).await?;
    site.network.restart(name).await?;
    let after = site.network.client(name)?.describe().await?;
    let base = after
        .lineage
        .last()
        .map(|entry| entry.base)
        .context("a lineage")?;
    std::fs::remove_dir_all(&copy)?;
    ensure!(
        base > before.head || after.incarnation > before.incarnation,
        "I9: {name} was put back from {} to {base} and goes on in incarnation {}",
        before.head,
        after.incarnation
    );
    let happened = base < before.head && after.lineage.len() > before.lineage.len();
    Ok(happened.then(|| {
        format!(
            "put back from {} to {base}, incarnation {} after {}, {lost} events held nowhere else",
            before.head, after.incarnation, before.incarnation
        )
    }))
}

/// The same under a process that runs: it loses its connections, and finds another history when it has new ones.
pub(super) async fn swap(
    site: &mut Site,
    name: &str,
    sky: &Sky,
    random: &mut StdRng,
) -> Result<Option<String>> {
    let copy = format!("copy-{name}-{}", site.network.journal.now());
    let copy = site.network.backup(name, &copy).await?;
    hold(random, 1_500..4_000).await;
    let _calm = sky.lock().await;
    let before = site.network.client(name)?.describe().await?;
    let pid = site.network.process(name)?.id();
    let server = site.servers.of(name)?;
    let statement = format!("DROP DATABASE \"{}\" WITH (FORCE)", site.database(name));
    server.sql("postgres", &statement)?;
    // From here on nothing is acknowledged; what was is written down as soon as its writer has heard of it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let alone = site.network.held_only_at(name).await?;
    let lost = alone.len();
    site.network.journal.forgive(alone);
    site.network.restore_under(name, &copy).await?;
    let restored_at = site.network.journal.now();
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    let mut started_again = "";
    let back = loop {
        if !site.network.process(name)?.is_running() {
            // As whatever watches over it would.
            site.network.kill(name).await?;
            site.network.restart(name).await?;
            started_again = ", it ended and was started again";
        }
        tokio::select! {
            back = taken_after(site, name, restored_at) => break back,
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
        }
        if tokio::time::Instant::now() > deadline {
            break None;
        }
    };
    std::fs::remove_dir_all(&copy)?;
    ensure!(
        back.is_some(),
        "{name} takes no append a minute after its database was put back under it"
    );
    let after = site.network.client(name)?.describe().await?;
    ensure!(
        after.incarnation > before.incarnation,
        "I9: {name} was put back under process {pid} and goes on in incarnation {}",
        after.incarnation
    );
    let base = after
        .lineage
        .last()
        .map(|entry| entry.base)
        .context("a lineage")?;
    Ok((base < before.head).then(|| {
        format!(
            "put back from {} to {base} under process {pid}, incarnation {} after {}, {lost} events held nowhere else{started_again}",
            before.head, after.incarnation, before.incarnation
        )
    }))
}
