//! No room for what is written, or no writing at all: the kernel says so where there may be disks for it, otherwise a trigger or the library
//! before the C library does.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{Rng as _, RngCore as _};
use tidelog_harness::disk::{Disk, FileSystem};
use tidelog_harness::postgres::{Disks, Postgres};
use tidelog_harness::session::Draft;
use tokio::time::Instant;

use super::database::{start_again, terminate_all};
use super::{hold, refused_since, taken_after};
use crate::kind::{Kind, Store};
use crate::site::Site;

/// Files have some room left inside, and logs are written anew from their beginning: so long it is tried.
const SEEN: Duration = Duration::from_secs(20);
/// Larger events find the end of the room sooner. They do not compress.
const PAYLOAD: usize = 200 * 1024;
/// A server's log grows by so many bytes at a time, so often at most: more than the part of it that is kept.
const GROW_BY: u32 = 8_000_000;
const GROWS_MAX: u32 = 60;
/// What appends may be told while their database has no room, or is not there.
const TOLD: [&str; 3] = ["STORAGE_FULL", "STORAGE_UNAVAILABLE", "NOT_WRITER"];

pub(super) async fn play(
    site: &mut Site,
    kind: Kind,
    name: &str,
    random: &mut StdRng,
) -> Result<Option<String>> {
    let server = match site.store {
        Store::Postgres => Some(site.servers.of(name)?),
        Store::Sqlite => None,
    };
    let both = server.and_then(Postgres::disks);
    let witness = match (kind, both, server) {
        (Kind::WalFull, Some(Disks { wal, .. }), Some(server)) => {
            wal_full(site, name, wal, server, random).await?
        }
        (Kind::WalFull, ..) => return Ok(None),
        (Kind::DiskFull, Some(Disks { data, .. }), _) => full(site, name, data, random).await?,
        (_, Some(disks), Some(server)) if disks.data.kind() == FileSystem::Ext4 => {
            read_only_server(site, name, disks, server, random).await?
        }
        _ => match site.disks.get(name) {
            Some(disk) if kind == Kind::DiskFull => full(site, name, disk, random).await?,
            Some(disk) if disk.kind() == FileSystem::Ext4 => {
                read_only_file(site, name, random).await?
            }
            _ => emulated(site, kind, name, random).await?,
        },
    };
    let back = taken_after(site, name, site.network.journal.now()).await;
    site.network.process(name)?.assert_well()?;
    ensure!(
        back.is_some(),
        "{name} takes no append although its disk can be written again"
    );
    Ok(witness)
}

/// Appends large events until some append was refused, at least for a while; how many were.
async fn press(site: &Site, name: &str, reasons: &[&str], random: &mut StdRng) -> Result<usize> {
    let since = site.network.journal.now();
    let mut session = site
        .network
        .session(&format!("press-{name}-{since}"), name)?;
    let least = Instant::now() + Duration::from_millis(random.random_range(500..2_500));
    let last = Instant::now() + SEEN;
    let mut refused = 0;
    while Instant::now() < last && (refused == 0 || Instant::now() < least) {
        if refused == 0 {
            let mut payload = vec![0; PAYLOAD];
            random.fill_bytes(&mut payload);
            let draft = Draft {
                payload,
                ..Draft::of("press")
            };
            session.append(vec![draft]).await;
        } else {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        refused = refused_since(site, name, since, reasons);
    }
    Ok(refused)
}

async fn full(site: &Site, name: &str, disk: &Disk, random: &mut StdRng) -> Result<Option<String>> {
    let taken = disk.fill()?;
    let refused = press(site, name, &["STORAGE_FULL"], random).await;
    disk.free()?;
    let refused = refused?;
    Ok((refused > 0).then(|| {
        format!(
            "{refused} appends were answered STORAGE_FULL, {} MiB of ballast on a file system of its own",
            taken >> 20
        )
    }))
}

/// A server that cannot go on in its log panics. It must start again as soon as there is room. Until then appends wait for it, and their
/// outcome may be unknown.
async fn wal_full(
    site: &Site,
    name: &str,
    disk: &Disk,
    server: &Postgres,
    random: &mut StdRng,
) -> Result<Option<String>> {
    let taken = disk.fill()?;
    let since = site.network.journal.now();
    // What was written long ago is written over first: the log has to grow by more than that.
    let grow = format!("SELECT pg_logical_emit_message(true, 'fault', repeat('x', {GROW_BY}))");
    for _ in 0..GROWS_MAX {
        if server.sql("postgres", &grow).is_err() {
            break;
        }
    }
    hold(random, 1_000..6_000).await;
    let refused = refused_since(site, name, since, &TOLD);
    let said = server.log();
    disk.free()?;
    revive(server).await?;
    let panicked = said
        .lines()
        .find(|line| line.contains("PANIC") && line.contains("No space left"));
    Ok(panicked.map(|line| {
        format!(
            "{} MiB of ballast beside the log, {refused} appends were answered {}, the server: {line}",
            taken >> 20,
            TOLD.join(" or ")
        )
    }))
}

/// Waits until a server that panicked has recovered by itself, and starts it when it has ended.
async fn revive(server: &Postgres) -> Result<()> {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        if !server.is_running() {
            start_again(server).await?;
        }
        let Err(error) = server.sql("postgres", "SELECT 1") else {
            return Ok(());
        };
        if Instant::now() >= deadline {
            return Err(error.context("the server does not come back although there is room"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn read_only_server(
    site: &Site,
    name: &str,
    disks: &Disks,
    server: &Postgres,
    random: &mut StdRng,
) -> Result<Option<String>> {
    for disk in disks.both() {
        disk.refuse_writes()?;
    }
    let refused = press(site, name, &TOLD, random).await;
    let options = disks.wal.is_read_only();
    // What a machine does that finds its file systems so: it starts anew.
    if server.is_running() {
        server.kill().await?;
    }
    for disk in disks.both() {
        disk.repair().await?;
    }
    start_again(server).await?;
    Ok(seen(refused?, options))
}

async fn read_only_file(
    site: &mut Site,
    name: &str,
    random: &mut StdRng,
) -> Result<Option<String>> {
    let disk = site.disks.get(name).context("a disk")?;
    disk.refuse_writes()?;
    let refused = press(site, name, &TOLD, random).await;
    let options = disk.is_read_only();
    // A process that gave up is started again as well.
    site.network.kill(name).await?;
    disk.repair().await?;
    site.network.restart(name).await?;
    Ok(seen(refused?, options))
}

fn seen(refused: usize, options: Option<String>) -> Option<String> {
    let options = options?;
    (refused > 0).then(|| {
        format!(
            "{refused} appends were answered {}, mounted {options}",
            TOLD.join(" or ")
        )
    })
}

async fn emulated(
    site: &Site,
    kind: Kind,
    name: &str,
    random: &mut StdRng,
) -> Result<Option<String>> {
    let reasons: &[&str] = match kind {
        Kind::DiskFull => &["STORAGE_FULL"],
        _ => &TOLD,
    };
    let mended = begin(site, kind, name)?;
    let refused = press(site, name, reasons, random).await;
    hold(random, 100..500).await;
    mended.end(site)?;
    let refused = refused?;
    Ok((refused > 0).then(|| {
        format!(
            "{refused} appends were answered {}; EMULATED",
            reasons.join(" or ")
        )
    }))
}

/// How it is undone.
enum Undo {
    File(std::path::PathBuf),
    Sql {
        location: String,
        database: String,
        statements: Vec<String>,
    },
}

fn begin(site: &Site, kind: Kind, name: &str) -> Result<Undo> {
    if site.store == Store::Sqlite {
        let flag = match kind {
            Kind::DiskFull => "full",
            _ => "read-only",
        };
        let flag = site.flag(name, flag);
        std::fs::write(&flag, "")?;
        return Ok(Undo::File(flag));
    }
    let server = site.servers.of(name)?;
    let database = site.database(name);
    let location = name.to_owned();
    match kind {
        // The statement is refused by the server, with the error that it gives when its disk is full.
        Kind::DiskFull => {
            let schema = server.sql(
                &database,
                "SELECT schemaname FROM pg_tables WHERE tablename = 'events'",
            )?;
            server.sql(
                &database,
                &format!(
                    "SET lock_timeout = '20s'; CREATE OR REPLACE FUNCTION {schema}.full_disk() RETURNS trigger LANGUAGE plpgsql AS \
                     $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$; \
                     CREATE TRIGGER full_disk BEFORE INSERT ON {schema}.events EXECUTE FUNCTION {schema}.full_disk()"
                ),
            )?;
            Ok(Undo::Sql {
                location,
                database,
                statements: vec![format!("DROP TRIGGER full_disk ON {schema}.events")],
            })
        }
        // As a server is that has become a standby.
        Kind::ReadOnly => {
            let set = "default_transaction_read_only";
            let alter = format!("ALTER DATABASE \"{database}\"");
            let end = terminate_all(&database);
            for statement in [format!("{alter} SET {set} = on"), end.clone()] {
                server.sql("postgres", &statement)?;
            }
            Ok(Undo::Sql {
                location,
                database: "postgres".to_owned(),
                statements: vec![format!("{alter} RESET {set}"), end],
            })
        }
        kind => bail!("{} cannot be emulated", kind.name()),
    }
}

impl Undo {
    fn end(self, site: &Site) -> Result<()> {
        match self {
            Self::File(flag) => std::fs::remove_file(flag)?,
            Self::Sql {
                location,
                database,
                statements,
            } => {
                for statement in statements {
                    site.servers.of(&location)?.sql(&database, &statement)?;
                }
            }
        }
        Ok(())
    }
}
