//! A location's database is put back to what it was some time ago, while its process is down. Nobody is told.

use anyhow::{Context as _, Result, ensure};
use rand::rngs::StdRng;

use super::hold;
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
