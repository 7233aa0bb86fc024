//! What a pure room must not link: runtimes, sockets, databases, clients.
//!
//! `cargo metadata` unites the features of the whole workspace, which would blame a room for what another one switches on.
//! `cargo tree -p` resolves one room alone, as a build of that room does.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::finding::Finding;

/// Crates that do I/O or bring a runtime. A name stands for itself and for `name-*`.
pub const IMPURE: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "mio",
    "socket2",
    "hyper",
    "h2",
    "reqwest",
    "tower",
    "tonic",
    "axum",
    "sqlx",
    "libsqlite3-sys",
    "rusqlite",
    "rustls",
    "ring",
    "kube-client",
    "kube-runtime",
    "rand",
    "tracing-subscriber",
    "clap",
];

/// The crates that `package` links by itself: no tests, no build scripts, no macros.
pub fn linked(root: &Path, package: &str) -> Result<Vec<String>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "-p", package, "-e", "normal,no-proc-macro"])
        .args(["--prefix", "none", "--format", "{p}", "--locked"])
        .current_dir(root)
        .output()
        .context("run cargo tree")?;
    ensure!(
        output.status.success(),
        "cargo tree -p {package}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let mut names: Vec<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// Finds impure crates among those that a pure room links.
pub fn check(folder: &str, linked: &[String]) -> Vec<Finding> {
    let file = format!("{folder}/Cargo.toml");
    linked
        .iter()
        .filter(|name| {
            IMPURE.iter().any(|impure| {
                name.strip_prefix(impure)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            })
        })
        .map(|name| {
            let message = format!(
                "a pure room links `{name}`; `cargo tree -p <room> -e normal -i {name}` shows who brings it"
            );
            Finding::error(&file, None, message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn refuses_a_runtime_a_driver_and_a_client() {
        let linked = names(&["bytes", "tokio", "tokio-util", "sqlx-core", "kube-client"]);
        assert_eq!(check("sidecar/core", &linked).len(), 4);
    }

    #[test]
    fn accepts_values_and_names_that_only_begin_alike() {
        let linked = names(&["bytes", "kube-core", "kube", "towering", "http", "blake3"]);
        assert_eq!(check("sidecar/core", &linked), []);
    }
}
