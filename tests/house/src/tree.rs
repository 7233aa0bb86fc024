//! The files that the rules look at: what git tracks, plus what is new and not ignored.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The checkout: its root and the paths of its files, relative and with `/`.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
    files: BTreeSet<String>,
}

impl Tree {
    /// The checkout that this crate was built in.
    pub fn open() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .canonicalize()
            .context("find the root of the repository")?;
        let output = Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(&root)
            .output()
            .context("run git")?;
        ensure!(
            output.status.success(),
            "list the files of {}: {} (the rules of the house need a git checkout)",
            root.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let listed = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
        let files = listed
            .split('\0')
            .filter(|path| !path.is_empty() && root.join(path).exists())
            .map(str::to_owned)
            .collect();
        Ok(Self { root, files })
    }

    /// The root of the checkout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All files.
    pub fn files(&self) -> &BTreeSet<String> {
        &self.files
    }

    /// The text of a file; `None` when it is not UTF-8.
    pub fn text(&self, path: &str) -> Result<Option<String>> {
        let bytes = fs::read(self.root.join(path)).with_context(|| format!("read {path}"))?;
        Ok(String::from_utf8(bytes).ok())
    }

    /// Path and text of every text file whose name ends with one of `endings`; an empty list means all.
    pub fn texts(&self, endings: &[&str]) -> Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        for path in &self.files {
            if !endings.is_empty() && !endings.iter().any(|ending| path.ends_with(ending)) {
                continue;
            }
            if let Some(text) = self.text(path)? {
                found.push((path.clone(), text));
            }
        }
        Ok(found)
    }
}
