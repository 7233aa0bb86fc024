//! Notices that manifests were changed: paths, sizes and times of modification, looked at again and again.
//!
//! Looking is cheaper than a service of the operating system that tells, works on every file system, and a second is soon enough.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// More levels of directories than the reader of manifests takes.
const DEPTH_MAX: usize = 20;

/// What files looked like; equal ones have, as far as anybody can tell, the same content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(Vec<(PathBuf, u64, Option<SystemTime>)>);

impl Fingerprint {
    /// Looks at files, and at all files in directories.
    pub fn of(paths: &[PathBuf]) -> Self {
        let mut found = Vec::new();
        for path in paths {
            visit(path, 0, &mut found);
        }
        found.sort();
        Self(found)
    }
}

/// What cannot be looked at is not there: the reader of manifests says why.
fn visit(path: &Path, depth: usize, found: &mut Vec<(PathBuf, u64, Option<SystemTime>)>) {
    let Ok(metadata) = fs::metadata(path) else {
        return;
    };
    if !metadata.is_dir() {
        found.push((path.to_owned(), metadata.len(), metadata.modified().ok()));
        return;
    }
    let hidden = |path: &Path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'))
    };
    if depth < DEPTH_MAX
        && let Ok(entries) = fs::read_dir(path)
    {
        for entry in entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| !hidden(path))
        {
            visit(&entry, depth + 1, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_content_and_files_are_noticed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("log.yaml"), "one").unwrap();
        let look = || Fingerprint::of(&[dir.path().to_owned()]);
        let first = look();
        assert_eq!(first, look());
        fs::write(dir.path().join(".swap"), "editors write these").unwrap();
        assert_eq!(first, look());
        fs::write(inner.join("log.yaml"), "one and two").unwrap();
        let second = look();
        assert_ne!(first, second);
        fs::write(dir.path().join("links.yaml"), "").unwrap();
        assert_ne!(second, look());
        fs::remove_file(dir.path().join("links.yaml")).unwrap();
        assert_eq!(second, look());
    }
}
