//! Where the logs of a network are kept, and how a copy is put back.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::postgres::Postgres;
use crate::process::run;

/// Where logs are kept.
#[derive(Clone, Copy)]
pub enum Storage {
    /// Files below the data directory.
    Sqlite,
    /// A database of each location on a real server.
    Postgres(&'static Postgres),
}

impl Storage {
    /// The PostgreSQL server that all tests of this process share.
    pub async fn postgres() -> Result<Self> {
        Ok(Self::Postgres(Postgres::shared().await?))
    }

    /// What `--storage` takes, when it is not the default.
    pub fn uri(self) -> Option<String> {
        match self {
            Self::Sqlite => None,
            Self::Postgres(server) => Some(server.uri("").trim_end_matches('/').to_owned()),
        }
    }

    /// Databases are named after the log; networks on one server need logs of different names.
    pub(super) fn name_log(self, log: &mut String) {
        static NETWORKS: AtomicU32 = AtomicU32::new(1);
        if matches!(self, Self::Postgres(_)) {
            let number = NETWORKS.fetch_add(1, Ordering::Relaxed);
            let _ = write!(log, "-{number}");
        }
    }

    /// The database of a location on the server.
    pub fn database(log: &str, location: &str) -> String {
        format!("tidelog_{log}_{location}")
    }

    pub(super) async fn restore(
        self,
        data: &Path,
        log: &str,
        location: &str,
        copy: &Path,
    ) -> Result<()> {
        match self {
            Self::Sqlite => {
                let place = data.join("logs").join(log).join(location);
                ensure!(place.is_dir(), "{} is no directory", place.display());
                // The folder itself stays: it may be a link to a disk.
                for entry in std::fs::read_dir(&place)? {
                    let entry = entry?;
                    if entry.file_type()?.is_dir() {
                        std::fs::remove_dir_all(entry.path())?;
                    } else {
                        std::fs::remove_file(entry.path())?;
                    }
                }
                copy_directory(copy, &place)
            }
            Self::Postgres(server) => {
                let database = Self::database(log, location);
                server.sql(
                    "postgres",
                    &format!("DROP DATABASE IF EXISTS \"{database}\" WITH (FORCE)"),
                )?;
                server.create_database(&database)?;
                let mut command = server.program("pg_restore");
                command.args(["--no-owner", "--exit-on-error", "--dbname", &database]);
                command.arg(copy.join("tidelog.dump"));
                let output = run(command, Duration::from_mins(1)).await?;
                ensure!(
                    output.status.success(),
                    "pg_restore: {}",
                    String::from_utf8_lossy(&output.stderr)
                );
                Ok(())
            }
        }
    }
}

fn copy_directory(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
