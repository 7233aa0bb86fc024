//! A consistent copy of the running database, made by `pg_dump` in one snapshot.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use tidelog_store::StoreError;
use tokio::process::Command;

use crate::session::SCHEMA;
use crate::statement::Statement;
use crate::store::PostgresStore;

/// The file in the backup's directory.
const FILE: &str = "tidelog.dump";

impl PostgresStore {
    /// Restored with `createdb NEW` and `pg_restore --no-owner --dbname=NEW tidelog.dump`.
    pub(crate) async fn dump(&self, directory: &Path) -> Result<String, StoreError> {
        prepare_directory(directory)?;
        let rows = self
            .control
            .fetch(&Statement::new(
                "SELECT current_setting('server_version_num')::int8 / 10000",
            ))
            .await?;
        let row = rows
            .first()
            .ok_or_else(|| StoreError::Unavailable("PostgreSQL does not say its version".into()))?;
        let server_major = crate::row::Cursor::new(row, 0, "server_version_num").i64()?;
        let pg_dump = find_pg_dump(server_major).await?;
        let file = directory.join(FILE);
        let unfinished = directory.join(format!("{FILE}.part"));
        let mut command = Command::new(&pg_dump);
        command
            .args(["--format=custom", "--no-owner", "--no-privileges"])
            .arg(format!("--schema={SCHEMA}"))
            .arg("--file")
            .arg(&unfinished)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        // Through the environment: command lines are for everybody to read.
        for (name, value) in environment(&self.connector.options()) {
            command.env(name, value);
        }
        let output = command.output().await.map_err(|e| {
            StoreError::Unavailable(format!("{} does not start: {e}", pg_dump.display()))
        })?;
        if !output.status.success() {
            // What is there is of no use to anybody.
            let _ = std::fs::remove_file(&unfinished);
            let said = String::from_utf8_lossy(&output.stderr);
            let said = format!("{} failed: {}", pg_dump.display(), said.trim());
            return Err(if said.contains("No space left") {
                StoreError::Full(said)
            } else {
                StoreError::Unavailable(said)
            });
        }
        std::fs::rename(&unfinished, &file).map_err(|e| io(&file, &e))?;
        Ok(format!(
            "{} (restore: `createdb NEW && pg_restore --no-owner --dbname=NEW {}`)",
            file.display(),
            file.display()
        ))
    }
}

fn io(path: &Path, error: &std::io::Error) -> StoreError {
    let said = format!("{}: {error}", path.display());
    if error.kind() == std::io::ErrorKind::StorageFull {
        StoreError::Full(said)
    } else {
        StoreError::Unavailable(said)
    }
}

fn prepare_directory(directory: &Path) -> Result<(), StoreError> {
    std::fs::create_dir_all(directory).map_err(|e| io(directory, &e))?;
    let mut entries = std::fs::read_dir(directory).map_err(|e| io(directory, &e))?;
    if entries.next().is_some() {
        return Err(StoreError::Setting(format!(
            "{} is not empty; a backup needs a directory of its own",
            directory.display()
        )));
    }
    Ok(())
}

/// `pg_dump` on the path or where distributions put it, at least as new as the server: an older one refuses.
async fn find_pg_dump(server_major: i64) -> Result<PathBuf, StoreError> {
    let mut places = vec![PathBuf::from("pg_dump")];
    for parent in ["/usr/lib/postgresql", "/opt/homebrew/opt"] {
        let versions = std::fs::read_dir(parent).into_iter().flatten().flatten();
        places.extend(versions.map(|v| v.path().join("bin/pg_dump")));
    }
    places.extend(["/usr/local/pgsql/bin/pg_dump", "/usr/local/bin/pg_dump"].map(PathBuf::from));
    let mut found = Vec::new();
    for place in places {
        let Ok(output) = Command::new(&place).arg("--version").output().await else {
            continue;
        };
        match major_of(&String::from_utf8_lossy(&output.stdout)) {
            Some(major) if major >= server_major => return Ok(place),
            Some(major) => found.push(format!("{} {major}", place.display())),
            None => {}
        }
    }
    let found = if found.is_empty() {
        "none was found".to_owned()
    } else {
        format!("found: {}", found.join(", "))
    };
    Err(StoreError::Unsupported(format!(
        "backup needs pg_dump {server_major} or newer, {found}; install postgresql-client-{server_major}"
    )))
}

/// `pg_dump (PostgreSQL) 15.18 (Debian ...)` is 15.
fn major_of(version: &str) -> Option<i64> {
    let number = version.split_whitespace().nth(2)?;
    number
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// How libpq is told what our own connections use.
fn environment(options: &PgConnectOptions) -> Vec<(&'static str, String)> {
    let url = options.to_url_lossy();
    let host = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let mut environment = vec![
        ("PGHOST", host),
        ("PGPORT", options.get_port().to_string()),
        ("PGUSER", options.get_username().to_owned()),
        (
            "PGDATABASE",
            options
                .get_database()
                .unwrap_or(options.get_username())
                .to_owned(),
        ),
    ];
    if let Some(password) = url.password() {
        let password = percent_encoding::percent_decode_str(password).decode_utf8_lossy();
        environment.push(("PGPASSWORD", password.into_owned()));
    }
    for (key, value) in url.query_pairs() {
        let name = match key.as_ref() {
            "sslmode" => "PGSSLMODE",
            "sslrootcert" => "PGSSLROOTCERT",
            "sslcert" => "PGSSLCERT",
            "sslkey" => "PGSSLKEY",
            _ => continue,
        };
        environment.push((name, value.into_owned()));
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_what_the_uri_says() {
        let options =
            crate::options::parse("postgres://me:p%40ss%2F@db:5433/x?sslmode=require").unwrap();
        let environment = environment(&options);
        for wanted in [
            ("PGHOST", "db"),
            ("PGPORT", "5433"),
            ("PGUSER", "me"),
            ("PGDATABASE", "x"),
            ("PGPASSWORD", "p@ss/"),
            ("PGSSLMODE", "require"),
        ] {
            assert!(
                environment.contains(&(wanted.0, wanted.1.to_owned())),
                "{wanted:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_server_newer_than_every_pg_dump_is_an_error_that_names_it() {
        let error = find_pg_dump(999).await.unwrap_err().to_string();
        assert!(error.contains("pg_dump 999 or newer"), "{error}");
    }
}
