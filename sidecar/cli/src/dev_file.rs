//! `dev.json`: which locations a development network has, where they are reached, and which process runs each.
//!
//! Several processes share it: every change is made under a lock, to a copy that replaces the file at once. Entries stay when a
//! location stops, because they keep its ports. Whether a location runs is not read here but from its lock, which cannot be stale.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tidelog_model::LocationName;

use crate::data_dir::DataDir;

mod ports;

pub use ports::{Block, PortError, Service, base_port};

const VERSION: u32 = 1;
/// More than any network that fits the ports of one machine.
const BYTES_MAX: u64 = 4 << 20;

/// The content of `dev.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DevFile {
    version: u32,
    /// Logs by name, their locations by name.
    pub logs: BTreeMap<String, BTreeMap<LocationName, DevLocation>>,
}

/// One location of one log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DevLocation {
    /// Its number in the network, from 0; kept from the first start on.
    pub index: u32,
    /// The first of its ten ports.
    pub ports: u16,
    /// The process that runs it, or ran it last and had no time to say goodbye; absent after a clean stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Application API.
    pub api: String,
    /// Admin API.
    pub admin: String,
    /// Where other locations dial.
    pub replication: String,
    /// Metrics and the two health pages over HTTP.
    pub metrics: String,
    /// Health over gRPC.
    pub health: String,
    /// The Unix socket of the application API, relative to the data directory; absent when its path is too long for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
}

impl Default for DevFile {
    fn default() -> Self {
        Self {
            version: VERSION,
            logs: BTreeMap::new(),
        }
    }
}

/// Why `dev.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DevFileError {
    /// It cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what this program wrote.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A later program wrote it.
    #[error("{} has version {version}, this program knows {VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
}

impl DevFileError {
    /// What to do about it.
    pub fn way_out(&self) -> String {
        match self {
            Self::Io { .. } => "choose another directory with --data-dir".to_owned(),
            Self::Damaged { path, .. } => {
                let path = path.display();
                format!(
                    "events are not in this file and nothing was deleted: move it away (mv {path} {path}.damaged) and start again; \
                     ports are then assigned anew"
                )
            }
            Self::Version { .. } => {
                "use the program that wrote it, or another --data-dir".to_owned()
            }
        }
    }
}

impl DevFile {
    /// The file of a data directory; `None` when there is none yet.
    pub fn load(data_dir: &DataDir) -> Result<Option<Self>, DevFileError> {
        let path = data_dir.dev_file();
        let fail = |action| {
            let path = path.clone();
            move |source| DevFileError::Io {
                action,
                path,
                source,
            }
        };
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail("read")(error)),
        };
        if metadata.len() > BYTES_MAX {
            return Err(DevFileError::Damaged {
                path,
                why: format!("it has {} bytes, the limit is {BYTES_MAX}", metadata.len()),
            });
        }
        let bytes = fs::read(&path).map_err(fail("read"))?;
        Self::parse(path, &bytes).map(Some)
    }

    fn parse(path: PathBuf, bytes: &[u8]) -> Result<Self, DevFileError> {
        let damaged = |why: String| DevFileError::Damaged {
            path: path.clone(),
            why,
        };
        // The version first: a later form may not fit the types at all.
        let value: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => return Err(DevFileError::Version { path, version }),
            None => return Err(damaged("it has no version".to_owned())),
        }
        // From the text again, because only that gives line and column.
        let file: Self =
            serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        file.check().map_err(damaged)?;
        Ok(file)
    }

    /// Numbers that no start gives out: ports are computed with them.
    fn check(&self) -> Result<(), String> {
        for (log, location, entry) in self.iter() {
            let wrong = |field: &str, value: u32, limit: u32| {
                format!("{field} of {log}/{location} is {value}, the limit is {limit}")
            };
            if entry.index > ports::INDEX_MAX {
                return Err(wrong("index", entry.index, ports::INDEX_MAX));
            }
            if entry.ports > ports::FIRST_MAX {
                let (value, limit) = (u32::from(entry.ports), u32::from(ports::FIRST_MAX));
                return Err(wrong("ports", value, limit));
            }
        }
        Ok(())
    }

    /// Changes the file while no other process does. Nothing is written when `change` fails.
    pub fn edit<T, E: From<DevFileError>>(
        data_dir: &DataDir,
        change: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let lock_path = data_dir.dev_lock();
        let fail = |action, path: &Path| {
            let path = path.to_owned();
            move |source| DevFileError::Io {
                action,
                path,
                source,
            }
        };
        fs::create_dir_all(data_dir.path()).map_err(fail("create", data_dir.path()))?;
        let lock = File::create(&lock_path).map_err(fail("create", &lock_path))?;
        lock.lock().map_err(fail("lock", &lock_path))?;
        let before = Self::load(data_dir)?;
        let mut file = before.clone().unwrap_or_default();
        let result = change(&mut file)?;
        if before.as_ref() != Some(&file) {
            file.write(data_dir)
                .map_err(fail("write", &data_dir.dev_file()))?;
        }
        Ok(result)
    }

    fn write(&self, data_dir: &DataDir) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(data_dir.path())?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(data_dir.dev_file())?;
        Ok(())
    }

    /// The entry of a location.
    pub fn get(&self, log: &str, location: &LocationName) -> Option<&DevLocation> {
        self.logs.get(log)?.get(location)
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &LocationName, &DevLocation)> {
        self.logs.iter().flat_map(|(log, locations)| {
            locations
                .iter()
                .map(move |(name, location)| (log.as_str(), name, location))
        })
    }

    /// Writes down that a location runs.
    pub fn put(&mut self, log: &str, location: &LocationName, entry: DevLocation) {
        self.logs
            .entry(log.to_owned())
            .or_default()
            .insert(location.clone(), entry);
    }

    /// Writes down that a location was stopped by `pid`, unless another process runs it by now.
    pub fn stopped(&mut self, log: &str, location: &LocationName, pid: u32) {
        if let Some(entry) = self.logs.get_mut(log).and_then(|log| log.get_mut(location))
            && entry.pid == Some(pid)
        {
            entry.pid = None;
        }
    }
}

#[cfg(test)]
mod tests;
