//! What one location's process has for itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Network, Storage};

/// What one location's process has for itself; the rest is that of the network.
#[derive(Clone, Default)]
pub struct Place {
    /// Where its log is kept.
    pub storage: Option<Storage>,
    /// Where it dials other locations, by name, for instance through a proxy.
    pub peers: BTreeMap<String, String>,
    /// Variables of its environment.
    pub environment: BTreeMap<String, String>,
}

impl Network {
    /// Where logs are kept, unless a location has a place of its own.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Gives a location something for itself, from its next start on.
    pub fn settle_at(&mut self, location: &str, place: Place) {
        self.places.insert(location.to_owned(), place);
    }

    /// Where the log of a location is kept.
    pub fn storage_of(&self, location: &str) -> Storage {
        let place = self.places.get(location);
        place
            .and_then(|place| place.storage)
            .unwrap_or(self.storage)
    }

    /// Starts every location, each in its own process, and waits until all serve.
    pub async fn start_all(&mut self) -> anyhow::Result<()> {
        for name in self.names() {
            let command = self.dev_command(&[&name])?;
            self.spawn_command(&name, command)?;
        }
        for name in self.names() {
            self.ready(&name).await?;
        }
        Ok(())
    }

    /// Puts a copy in the place of the database of a location, whether it runs or not. Only with a server: a file that is open cannot be
    /// replaced under a process.
    pub async fn restore_under(&self, location: &str, copy: &Path) -> anyhow::Result<()> {
        let storage = self.storage_of(location);
        anyhow::ensure!(
            matches!(storage, Storage::Postgres(_)),
            "the database of {location} is a file"
        );
        storage
            .restore(&self.data(), &self.manifests.log, location, copy)
            .await
    }

    /// Keeps the directory of this network, and says where it is.
    pub fn keep(&mut self) -> Option<PathBuf> {
        self.directory.take().map(tempfile::TempDir::keep)
    }

    pub(super) fn dress(&self, location: &str, command: &mut Command) {
        let Some(place) = self.places.get(location) else {
            return;
        };
        for (peer, address) in &place.peers {
            command.args(["--peer", &format!("{peer}={address}")]);
        }
        command.envs(&place.environment);
    }
}
