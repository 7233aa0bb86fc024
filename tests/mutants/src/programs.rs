//! The programs that run: built once, with all mutants inside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use cargo_metadata::Message;

use crate::mutant::{Killer, Program};

/// The crate and the program of the simulation.
const SIMULATION: &str = "tidelog-sim";
/// Builds the mutants in.
const FEATURE: &str = "tidelog-model/mutants";

/// Where an executable is, and where it has to be started.
#[derive(Debug, Clone)]
pub struct Executable {
    /// The file.
    pub file: PathBuf,
    /// The folder of its crate.
    pub folder: PathBuf,
}

/// All programs that the killers need.
#[derive(Debug)]
pub struct Programs {
    tests: BTreeMap<(String, String), Executable>,
    simulation: Option<Executable>,
}

impl Programs {
    /// Builds what is needed into a target directory of its own: the mutants must not be in what anybody else builds.
    pub fn build(root: &Path, needed: &BTreeSet<Killer>) -> Result<Self> {
        let packages: BTreeSet<&str> = needed
            .iter()
            .filter_map(|killer| match killer {
                Killer::Case(program, _) => Some(program.package),
                Killer::Seeds { .. } => None,
            })
            .chain(["tidelog-model"])
            .collect();
        let mut arguments = vec!["test", "--no-run"];
        arguments.extend(packages.iter().flat_map(|package| ["-p", package]));
        let tests = cargo(root, &arguments)?
            .into_iter()
            .filter(|built| built.is_test)
            .map(|built| ((built.package, built.name), built.executable))
            .collect();
        let simulates = needed.iter().any(|k| matches!(k, Killer::Seeds { .. }));
        let simulation = if simulates {
            let built = cargo(root, &["build", "-p", SIMULATION, "-p", "tidelog-model"])?;
            let program = built.into_iter().find(|built| built.name == SIMULATION);
            Some(program.context("cargo built no simulation")?.executable)
        } else {
            None
        };
        Ok(Self { tests, simulation })
    }

    /// A test program.
    pub fn test(&self, program: Program) -> Result<&Executable> {
        let key = (program.package.to_owned(), program.name.to_owned());
        self.tests
            .get(&key)
            .with_context(|| format!("{} has no test program {}", program.package, program.name))
    }

    /// The simulation.
    pub fn simulation(&self) -> Result<&Executable> {
        self.simulation.as_ref().context("no simulation was built")
    }

    /// A digest over everything that was built: what was decided with other code is not decided.
    pub fn digest(&self) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        for executable in self.tests.values().chain(&self.simulation) {
            let file = File::open(&executable.file)?;
            hasher.update_reader(BufReader::with_capacity(1 << 20, file))?;
        }
        Ok(hasher.finalize().to_hex()[..16].to_owned())
    }
}

struct Built {
    package: String,
    name: String,
    is_test: bool,
    executable: Executable,
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<Vec<Built>> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut child = Command::new(program)
        .args(arguments)
        .args(["--features", FEATURE])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(root)
        .env("CARGO_TARGET_DIR", root.join("target/mutants"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("start cargo")?;
    let Some(output) = child.stdout.take() else {
        bail!("cargo has no output");
    };
    let mut built = Vec::new();
    for message in Message::parse_stream(BufReader::new(output)) {
        let Message::CompilerArtifact(artifact) = message.context("read what cargo says")? else {
            continue;
        };
        let Some(file) = artifact.executable else {
            continue;
        };
        let folder = artifact
            .manifest_path
            .parent()
            .unwrap_or(&artifact.manifest_path);
        let package = package_name(artifact.package_id.repr.as_str());
        built.push(Built {
            package,
            name: artifact.target.name,
            is_test: artifact.profile.test,
            executable: Executable {
                file: file.into_std_path_buf(),
                folder: folder.to_owned().into_std_path_buf(),
            },
        });
    }
    let status = child.wait()?;
    ensure!(status.success(), "cargo {} failed", arguments.join(" "));
    Ok(built)
}

/// `path+file:///src/sidecar/core#tidelog-core@0.1.0` is `tidelog-core`.
fn package_name(id: &str) -> String {
    let name = id.rsplit_once('#').map_or(id, |(_, name)| name);
    name.split('@').next().unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_known_by_its_name() {
        let id = "path+file:///src/sidecar/core#tidelog-core@0.1.0";
        assert_eq!(package_name(id), "tidelog-core");
    }
}
