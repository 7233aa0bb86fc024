//! No room for what is written, or no writing at all.

use std::time::Duration;

use anyhow::{Result, ensure};
use rand::Rng as _;
use rand::rngs::StdRng;
use tokio::time::Instant;

use super::{refused_since, taken_after};
use crate::kind::{Kind, Store};
use crate::site::Site;

pub(super) async fn play(
    site: &mut Site,
    kind: Kind,
    name: &str,
    random: &mut StdRng,
) -> Result<Option<String>> {
    let since = site.network.journal.now();
    let reasons: &[&str] = match kind {
        Kind::DiskFull => &["STORAGE_FULL"],
        _ => &["STORAGE_FULL", "STORAGE_UNAVAILABLE", "NOT_WRITER"],
    };
    let mended = begin(site, kind, name)?;
    let least = Instant::now() + Duration::from_millis(random.random_range(500..2_500));
    let last = Instant::now() + Duration::from_secs(10);
    let mut refused = 0;
    while Instant::now() < last && (refused == 0 || Instant::now() < least) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        refused = refused_since(site, name, since, reasons);
    }
    mended.end(site)?;
    let back = taken_after(site, name, site.network.journal.now()).await;
    site.network.process(name)?.assert_well()?;
    ensure!(
        back.is_some(),
        "{name} takes no append although its disk can be written again"
    );
    Ok((refused > 0).then(|| format!("{refused} appends were answered {}", reasons.join(" or "))))
}

/// How it is undone.
enum Undo {
    File(std::path::PathBuf),
    Sql { location: String, statement: String },
}

fn begin(site: &Site, kind: Kind, name: &str) -> Result<Undo> {
    if site.store == Store::Sqlite {
        let flag = site.flag(
            name,
            if kind == Kind::DiskFull {
                "full"
            } else {
                "read-only"
            },
        );
        std::fs::write(&flag, "")?;
        return Ok(Undo::File(flag));
    }
    // The statement is refused by the server, with the error that it gives when its disk is full.
    let server = site.servers.of(name)?;
    let database = site.database(name);
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
        location: name.to_owned(),
        statement: format!("DROP TRIGGER full_disk ON {schema}.events"),
    })
}

impl Undo {
    fn end(self, site: &Site) -> Result<()> {
        match self {
            Self::File(flag) => std::fs::remove_file(flag)?,
            Self::Sql {
                location,
                statement,
            } => {
                site.servers
                    .of(&location)?
                    .sql(&site.database(&location), &statement)?;
            }
        }
        Ok(())
    }
}
