//! Faults of a database server.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rand::Rng as _;
use rand::rngs::StdRng;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};
use tidelog_harness::postgres::Postgres;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{hold, taken_after};
use crate::site::{Site, state_of};
use crate::tally::Tally;

/// Another program may sit on the port for a moment while the server is down.
const STARTS: u32 = 40;
/// More connections than a server has.
const TAKEN_MAX: usize = 100;
const ALL_AT_ONCE: usize = 12;

/// SIGKILL to the server and all its backends.
pub(super) async fn kill(
    site: &mut Site,
    name: &str,
    tally: &Tally,
    random: &mut StdRng,
) -> Result<Option<String>> {
    let server = site.servers.of(name)?;
    let address = ("127.0.0.1", server.port());
    server.kill().await?;
    let killed_at = site.network.journal.now();
    let refused = tokio::net::TcpStream::connect(address).await.err();
    hold(random, 0..1_500).await;
    start_again(server).await?;
    let back = taken_after(site, name, killed_at).await;
    ensure!(
        back.is_some(),
        "{name} takes no append after its server was killed and started"
    );
    tally
        .counts()
        .back
        .entry("postgres".to_owned())
        .or_default()
        .extend(back);
    Ok(refused.map(|error| format!("127.0.0.1:{}: {error}", server.port())))
}

pub(super) async fn start_again(server: &Postgres) -> Result<()> {
    for _ in 0..STARTS {
        if server.start_again().await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    server.start_again().await
}

/// SIGSTOP to the server and all its backends.
pub(super) async fn freeze(
    site: &mut Site,
    name: &str,
    random: &mut StdRng,
) -> Result<Option<String>> {
    let server = site.servers.of(name)?;
    let frozen = server.freeze()?;
    hold(random, 500..7_000).await;
    let stopped = frozen
        .iter()
        .filter(|pid| state_of(**pid) == Some('T'))
        .count();
    let all = frozen.len();
    server.thaw()?;
    site.network.process(name)?.assert_well()?;
    Ok((stopped == all && all > 1).then(|| format!("{stopped} processes in state T")))
}

/// A clean stop and a start.
pub(super) async fn restart(site: &mut Site, name: &str) -> Result<Option<String>> {
    let server = site.servers.of(name)?;
    let before = server.sql("postgres", "SELECT pg_postmaster_start_time()")?;
    server.stop().await?;
    let stopped_at = site.network.journal.now();
    start_again(server).await?;
    let after = server.sql("postgres", "SELECT pg_postmaster_start_time()")?;
    let back = taken_after(site, name, stopped_at).await;
    ensure!(
        back.is_some(),
        "{name} takes no append after its server was restarted"
    );
    Ok((before != after).then(|| format!("started at {after}, before that at {before}")))
}

pub(super) fn terminate_all(database: &str) -> String {
    format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{database}' AND pid <> pg_backend_pid()"
    )
}

/// The server ends the sidecar's connections, a few times in a row.
pub(super) async fn terminate(
    site: &mut Site,
    name: &str,
    random: &mut StdRng,
) -> Result<Option<String>> {
    let server = site.servers.of(name)?;
    let mut ended = 0_u64;
    for _ in 0..random.random_range(1..4) {
        let count = server.sql("postgres", &terminate_all(&site.database(name)))?;
        ended += count.parse::<u64>().context("a count of backends")?;
        hold(random, 20..400).await;
    }
    site.network.process(name)?.assert_well()?;
    Ok((ended > 0).then(|| format!("{ended} backends ended")))
}

/// Takes so many connections at once; how many of them were refused because there are too many.
async fn take(uri: &str, taken: &mut Vec<PgConnection>, count: usize) -> Result<usize> {
    let mut dialling = JoinSet::new();
    for _ in 0..count {
        let uri = uri.to_owned();
        dialling.spawn(async move { PgConnection::connect(&uri).await });
    }
    let mut refused = 0;
    while let Some(dialled) = dialling.join_next().await {
        match dialled? {
            Ok(connection) => taken.push(connection),
            Err(error) => {
                let code = error
                    .as_database_error()
                    .and_then(sqlx::error::DatabaseError::code);
                ensure!(
                    code.as_deref() == Some("53300"),
                    "a connection too many: {error}"
                );
                refused += 1;
            }
        }
    }
    Ok(refused)
}

/// All connections of the server are taken, and those of the sidecar are ended.
pub(super) async fn exhaust(
    site: &mut Site,
    name: &str,
    random: &mut StdRng,
) -> Result<Option<String>> {
    let server = site.servers.of(name)?;
    let uri = server.uri("postgres");
    let mut taken = vec![PgConnection::connect(&uri).await?];
    let (mut refused, mut ended) = (0, 0);
    // Logging in takes time: all at once, until one is refused; only then it begins.
    while refused == 0 && taken.len() < TAKEN_MAX {
        refused += take(&uri, &mut taken, ALL_AT_ONCE).await?;
    }
    let until = Instant::now() + Duration::from_millis(random.random_range(1_500..4_000));
    while Instant::now() < until {
        let row = sqlx::query(sqlx::AssertSqlSafe(terminate_all(&site.database(name))))
            .fetch_one(&mut taken[0])
            .await?;
        ended += row.try_get::<i64, _>(0)?;
        // What became free is taken before the sidecar has it, mostly.
        refused += take(&uri, &mut taken, 4).await?;
    }
    let held = taken.len();
    for connection in taken {
        connection.close().await?;
    }
    let back = taken_after(site, name, site.network.journal.now()).await;
    ensure!(
        back.is_some(),
        "{name} takes no append although there are connections again"
    );
    site.network.process(name)?.assert_well()?;
    Ok((refused > 0 && ended > 0).then(|| {
        format!(
            "{held} connections held, {refused} refused with 53300, {ended} of the sidecar ended"
        )
    }))
}
