//! Where the mutants are in the code, and who builds them in.

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context as _, Result};
use cargo_metadata::MetadataCommand;
use regex::Regex;

/// A place in the code at which a mutant makes a difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seam {
    /// The mutant.
    pub id: String,
    /// The file, from the root of the repository.
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: usize,
}

/// The file that defines the macro, and shows it in its comments.
const DEFINITION: &str = "sidecar/model/src/mutation.rs";

/// All seams of the product, by id.
pub fn seams(root: &Path) -> Result<Vec<Seam>> {
    let pattern = Regex::new(r#"mutant!\(\s*"([^"]*)"\s*\)"#)?;
    let mut files = Vec::new();
    for half in ["operator", "sidecar"] {
        sources(&root.join(half), &mut files)?;
    }
    let mut seams = Vec::new();
    for path in files {
        let file = path.strip_prefix(root)?.to_owned();
        if file == Path::new(DEFINITION) {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        for found in pattern.captures_iter(&text) {
            let start = found.get(0).map_or(0, |whole| whole.start());
            seams.push(Seam {
                id: found[1].to_owned(),
                file: file.clone(),
                line: text[..start].lines().count().max(1),
            });
        }
    }
    seams.sort();
    Ok(seams)
}

/// Rust files in folders `src`.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "tests") {
                sources(&path, files)?;
            }
        } else if path.extension().is_some_and(|e| e == "rs")
            && path.components().any(|part| part.as_os_str() == "src")
        {
            files.push(path);
        }
    }
    Ok(())
}

/// Manifests that build the mutants in without being asked to: there must be none.
pub fn features_that_leak(root: &Path) -> Result<Vec<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("ask cargo for the workspace")?;
    let tests = metadata.workspace_root.join("tests");
    let mut leaks = Vec::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            if dependency.name == "tidelog-model"
                && dependency.features.iter().any(|f| f == "mutants")
            {
                leaks.push(format!("{} depends on tidelog-model with it", package.name));
            }
        }
        let judges = package.manifest_path.starts_with(&tests);
        for (feature, enables) in &package.features {
            let builds_in = enables
                .iter()
                .any(|f| f == "tidelog-model/mutants" || f == "mutants");
            // A crate of tests may pass it on to whoever asks for it by name.
            if builds_in && (!judges || feature == "default") {
                leaks.push(format!(
                    "feature `{feature}` of {} enables it",
                    package.name
                ));
            }
        }
    }
    Ok(leaks)
}
