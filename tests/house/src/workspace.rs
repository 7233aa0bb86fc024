//! The rooms of the workspace, as cargo sees them.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, MetadataCommand, Package, TargetKind};

/// One crate of the workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Room {
    /// Its folder, relative to the root: `sidecar/core`.
    pub folder: String,
    /// Its package: `tidelog-core`.
    pub package: String,
    /// The description in its manifest.
    pub description: String,
    /// Whether it builds a program.
    pub has_binary: bool,
    /// Folders of the rooms that its code and its build script import.
    pub imports: BTreeSet<String>,
    /// Folders of the rooms that only its tests import.
    pub test_imports: BTreeSet<String>,
}

/// All rooms, in the order of their folders.
#[derive(Debug, Clone, Default)]
pub struct Workspace {
    /// The rooms.
    pub rooms: Vec<Room>,
}

impl Workspace {
    /// Reads the manifests below `root`; dependencies from elsewhere are not looked at, so no network is needed.
    pub fn load(root: &Path) -> Result<Self> {
        let metadata = MetadataCommand::new()
            .manifest_path(root.join("Cargo.toml"))
            .no_deps()
            .exec()
            .context("run cargo metadata")?;
        let mut rooms = metadata
            .workspace_packages()
            .into_iter()
            .map(|package| room(root, package))
            .collect::<Result<Vec<_>>>()?;
        rooms.sort_by(|a, b| a.folder.cmp(&b.folder));
        Ok(Self { rooms })
    }
}

fn room(root: &Path, package: &Package) -> Result<Room> {
    let manifest_folder = package
        .manifest_path
        .parent()
        .context("a manifest without folder")?;
    let mut room = Room {
        folder: relative(root, manifest_folder.as_std_path())?,
        package: package.name.to_string(),
        description: package.description.clone().unwrap_or_default(),
        has_binary: package
            .targets
            .iter()
            .any(|target| target.kind.contains(&TargetKind::Bin)),
        ..Room::default()
    };
    for dependency in &package.dependencies {
        let Some(path) = &dependency.path else {
            continue;
        };
        let folder = relative(root, path.as_std_path())?;
        match dependency.kind {
            DependencyKind::Development => room.test_imports.insert(folder),
            _ => room.imports.insert(folder),
        };
    }
    Ok(room)
}

fn relative(root: &Path, folder: &Path) -> Result<String> {
    let inside = folder
        .strip_prefix(root)
        .with_context(|| format!("{} lies outside of {}", folder.display(), root.display()))?;
    Ok(inside.to_string_lossy().replace('\\', "/"))
}
