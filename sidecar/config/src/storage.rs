//! Where the local copy of the log is kept.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::Secret;

/// The database. Exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub enum Storage {
    /// A SQLite file.
    Sqlite(Sqlite),
    /// A PostgreSQL database.
    Postgres(Postgres),
    /// Nothing survives a restart.
    Memory(Memory),
}

/// A SQLite database in a folder of its own, opened by one process at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sqlite {
    /// The folder of the database: it holds the database and nothing else, and is created when it does not exist.
    pub path: PathBuf,
}

/// A PostgreSQL database that belongs to this location alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Postgres {
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`. Either this or `uriFile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<Secret>,
    /// A file that holds the URI, such as a mounted Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri_file: Option<PathBuf>,
    /// Connections at most, 3 to 1000: one writes, one keeps the lease, the others read.
    #[serde(default = "default_connections")]
    pub max_connections: u32,
}

impl Postgres {
    /// Connections when nothing is said.
    pub const CONNECTIONS: u32 = 10;
}

fn default_connections() -> u32 {
    Postgres::CONNECTIONS
}

/// The log is kept in memory: for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Memory {}

/// The form in the file: one key per kind.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Fields {
    /// A SQLite file.
    #[serde(skip_serializing_if = "Option::is_none")]
    sqlite: Option<Sqlite>,
    /// A PostgreSQL database.
    #[serde(skip_serializing_if = "Option::is_none")]
    postgres: Option<Postgres>,
    /// `{}`: in memory, nothing survives a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Memory>,
}

impl TryFrom<Fields> for Storage {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        match (fields.sqlite, fields.postgres, fields.memory) {
            (Some(sqlite), None, None) => Ok(Self::Sqlite(sqlite)),
            (None, Some(postgres), None) => Ok(Self::Postgres(postgres)),
            (None, None, Some(memory)) => Ok(Self::Memory(memory)),
            _ => Err("storage needs exactly one of sqlite, postgres, memory"),
        }
    }
}

impl From<Storage> for Fields {
    fn from(storage: Storage) -> Self {
        let mut fields = Self {
            sqlite: None,
            postgres: None,
            memory: None,
        };
        match storage {
            Storage::Sqlite(sqlite) => fields.sqlite = Some(sqlite),
            Storage::Postgres(postgres) => fields.postgres = Some(postgres),
            Storage::Memory(memory) => fields.memory = Some(memory),
        }
        fields
    }
}
