//! Where a development network keeps its things.
//!
//! ```text
//! .tidelog/
//!   dev.json                 addresses and process ids      dev.lock   held while dev.json is edited
//!   logs/orders/eu/          the database and nothing else: a copy of it is a backup
//!   locks/orders/eu          held by the process that runs the location
//!   logs/orders/eu.sock      the Unix socket of the application API
//!   witness/orders/eu        outside of the copy on purpose: it tells an old copy from the present
//! ```

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use tidelog_model::LocationName;

/// The directory of a development network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// The directory at `path`; it need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Addresses and process ids.
    pub fn dev_file(&self) -> PathBuf {
        self.0.join("dev.json")
    }

    /// Held while `dev.json` is edited.
    pub fn dev_lock(&self) -> PathBuf {
        self.0.join("dev.lock")
    }

    /// The database of a location.
    pub fn database(&self, log: &str, location: &LocationName) -> PathBuf {
        self.0.join("logs").join(log).join(location.as_str())
    }

    /// What the location's last process knew.
    pub fn witness(&self, log: &str, location: &LocationName) -> PathBuf {
        self.0.join("witness").join(log).join(location.as_str())
    }

    /// Held by the process that runs the location.
    pub fn location_lock(&self, log: &str, location: &LocationName) -> PathBuf {
        self.0.join("locks").join(log).join(location.as_str())
    }

    /// The Unix socket of the location's application API, relative to this directory.
    pub fn socket(log: &str, location: &LocationName) -> PathBuf {
        Path::new("logs").join(log).join(format!("{location}.sock"))
    }

    /// Takes the lock of a location for as long as the result lives, or says who has it.
    pub fn lock_location(
        &self,
        log: &str,
        location: &LocationName,
    ) -> Result<LocationLock, LockError> {
        let path = self.location_lock(log, location);
        LocationLock::take(&path).map_err(|why| match why {
            Taken::Held(pid) => LockError::Held {
                log: log.to_owned(),
                location: location.clone(),
                pid,
            },
            Taken::Io(source) => LockError::Io { path, source },
        })
    }

    /// True while some process runs the location. Looks without getting in the way of one that starts.
    pub fn is_held(&self, log: &str, location: &LocationName) -> bool {
        let Ok(file) = File::open(self.location_lock(log, location)) else {
            return false;
        };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}

/// Why a location cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process runs it.
    #[error("{log}/{location} is run by {}", holder(*.pid))]
    Held {
        /// The log.
        log: String,
        /// The location.
        location: LocationName,
        /// The process, when it has written itself down.
        pid: Option<u32>,
    },
    /// The lock cannot be used.
    #[error("cannot lock {}: {source}", path.display())]
    Io {
        /// The lock.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

/// A lock that is held while this lives; the system lets go of it when the process dies, however it dies.
#[derive(Debug)]
pub struct LocationLock(File);

enum Taken {
    Held(Option<u32>),
    Io(io::Error),
}

impl From<io::Error> for Taken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl LocationLock {
    fn take(path: &Path) -> Result<Self, Taken> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                return Err(Taken::Held(text.trim().parse().ok()));
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())?;
        Ok(Self(file))
    }
}

impl Drop for LocationLock {
    fn drop(&mut self) {
        // Closing unlocks as well; this only keeps the order visible.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_run_by_one_process_and_the_second_is_told_which() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        let eu = LocationName::new("eu").unwrap();
        assert!(!data.is_held("orders", &eu));
        let lock = data.lock_location("orders", &eu).unwrap();
        assert!(data.is_held("orders", &eu));
        let error = data.lock_location("orders", &eu).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("orders/eu is run by process {}", std::process::id())
        );
        data.lock_location("other", &eu).unwrap();
        drop(lock);
        assert!(!data.is_held("orders", &eu));
        data.lock_location("orders", &eu).unwrap();
    }
}
