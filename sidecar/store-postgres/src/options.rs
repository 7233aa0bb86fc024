//! Which database, and how it is reached.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use tidelog_model::{Digest, LocationName};
use tidelog_store::StoreError;

/// PostgreSQL cuts longer names off.
const NAME_BYTES_MAX: usize = 63;
/// Two dedicated connections (writer; lease and administration) and one reader.
const CONNECTIONS_MIN: u32 = 3;
const CONNECTIONS_DEFAULT: u32 = 8;
const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// More than the variants of the write statement and the reads together, so that none is prepared twice.
const STATEMENTS_MAX: usize = 256;

/// How to open a [`crate::PostgresStore`].
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=...`; `PG*` variables and `.pgpass` fill what is left out.
    pub uri: String,
    /// A file that holds the URI, read anew for each connection: user and password may be rotated while it runs. Another host, port or database is another
    /// log, and takes a restart.
    pub uri_file: Option<PathBuf>,
    /// The database, instead of the one in the URI.
    pub database: Option<String>,
    /// The log that lives there.
    pub log: String,
    /// The location whose copy it is.
    pub location: LocationName,
    /// Connections at most, at least 3: one writes, one is for the lease, the others read.
    pub max_connections: u32,
    /// How long to wait for a new connection.
    pub connect_timeout: Duration,
}

impl PostgresOptions {
    /// The database of the URI with the default limits.
    pub fn new(uri: impl Into<String>, log: impl Into<String>, location: LocationName) -> Self {
        Self {
            uri: uri.into(),
            uri_file: None,
            database: None,
            log: log.into(),
            location,
            max_connections: CONNECTIONS_DEFAULT,
            connect_timeout: CONNECT_TIMEOUT_DEFAULT,
        }
    }

    /// Another database on the same server.
    #[must_use]
    pub fn with_database(mut self, database: impl Into<String>) -> Self {
        self.database = Some(database.into());
        self
    }

    /// `log/location`, as it stands in messages.
    pub fn owner(&self) -> String {
        format!("{}/{}", self.log, self.location)
    }

    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if self.max_connections < CONNECTIONS_MIN {
            return Err(StoreError::Setting(format!(
                "max_connections is {}, the least is {CONNECTIONS_MIN}",
                self.max_connections
            )));
        }
        if self.connect_timeout.is_zero() {
            return Err(StoreError::Setting("connect_timeout is 0".into()));
        }
        Ok(())
    }

    pub(crate) fn connect_options(&self) -> Result<PgConnectOptions, StoreError> {
        self.connect_options_of(&self.uri)
    }

    /// What is to be connected with now, if the file says something else than the last time.
    pub(crate) fn rotated(&self, before: &PgConnectOptions) -> Option<PgConnectOptions> {
        let text = std::fs::read_to_string(self.uri_file.as_ref()?).ok()?;
        let next = self.connect_options_of(text.trim());
        let next = match next {
            Ok(next) if where_to(&next) == where_to(before) => next,
            Ok(next) => {
                let (next, before) = (place(&next), place(before));
                tracing::warn!(
                    next,
                    before,
                    "the storage URI names another database; that takes a restart"
                );
                return None;
            }
            Err(error) => {
                tracing::warn!(%error, "the storage URI cannot be read anew, going on with the one before");
                return None;
            }
        };
        Some(next)
    }

    fn connect_options_of(&self, uri: &str) -> Result<PgConnectOptions, StoreError> {
        let mut options = parse(uri)?;
        if let Some(database) = &self.database {
            options = options.database(database);
        }
        let mut name = format!("tidelog {}", self.owner());
        name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
        Ok(options.application_name(&name))
    }
}

/// Without the password.
impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.connect_options().map(|options| place(&options));
        f.debug_struct("PostgresOptions")
            .field("place", &place)
            .field("owner", &self.owner())
            .field("max_connections", &self.max_connections)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

pub(crate) fn parse(uri: &str) -> Result<PgConnectOptions, StoreError> {
    let wrong = |why: String| {
        StoreError::Setting(format!(
            "the storage URI is not of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE: {why}"
        ))
    };
    if !uri.starts_with("postgres://") && !uri.starts_with("postgresql://") {
        return Err(wrong(
            "it does not begin with postgres:// or postgresql://".into(),
        ));
    }
    let options = PgConnectOptions::from_str(uri).map_err(|e| wrong(e.to_string()))?;
    // Statements are long and their values are not for logs.
    Ok(options
        .statement_cache_capacity(STATEMENTS_MAX)
        .disable_statement_logging())
}

/// What does not change while it runs.
fn where_to(options: &PgConnectOptions) -> (String, u16, String) {
    let host = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => options.get_host().to_owned(),
    };
    // What is left out is that of the user's name.
    let database = options.get_database().unwrap_or(options.get_username());
    (host, options.get_port(), database.to_owned())
}

/// `PostgreSQL at HOST:PORT, database NAME, user NAME`.
pub(crate) fn place(options: &PgConnectOptions) -> String {
    let host = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let user = options.get_username();
    format!(
        "PostgreSQL at {host}:{}, database {}, user {user}",
        options.get_port(),
        options.get_database().unwrap_or(user),
    )
}

/// The database of a log at a location: `tidelog_<log>_<location>`. A name that would be cut off ends in a digest instead, so that two logs never
/// share a database.
pub fn database_name(log: &str, location: &LocationName) -> String {
    let name = format!("tidelog_{log}_{location}");
    if name.len() <= NAME_BYTES_MAX {
        return name;
    }
    let digest = Digest::of(name.as_bytes()).to_string();
    let keep = name.floor_char_boundary(NAME_BYTES_MAX - 17);
    format!("{}_{}", &name[..keep], &digest[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(name: &str) -> LocationName {
        LocationName::new(name).unwrap()
    }

    #[test]
    fn database_names_are_plain_while_they_fit_and_distinct_always() {
        assert_eq!(
            database_name("orders", &location("eu")),
            "tidelog_orders_eu"
        );
        let log = "l".repeat(63);
        let names: Vec<_> = ["a", "b", &"x".repeat(63)]
            .iter()
            .map(|l| database_name(&log, &location(l)))
            .collect();
        for name in &names {
            assert_eq!(name.len(), NAME_BYTES_MAX);
        }
        assert_ne!(names[0], names[1]);
        assert_ne!(names[1], names[2]);
    }

    #[test]
    fn the_password_is_never_shown() {
        let options = PostgresOptions::new("postgres://me:secret@db:5433/x", "o", location("eu"));
        let shown = format!("{options:?}");
        assert!(!shown.contains("secret"), "{shown}");
        assert!(
            shown.contains("PostgreSQL at db:5433, database x, user me"),
            "{shown}"
        );
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        let mut options = PostgresOptions::new("mysql://x", "o", location("eu"));
        let error = options.connect_options().unwrap_err().to_string();
        assert!(error.contains("postgres://USER"), "{error}");
        options.max_connections = 2;
        assert!(
            options
                .check()
                .unwrap_err()
                .to_string()
                .contains("max_connections is 2")
        );
    }
}
