//! A directory in which the commands of a page run as they would in a checkout, on ports that nobody else has.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use regex::{Captures, Regex};
use tempfile::TempDir;
use tidelog_harness::ports::Ports;
use tidelog_harness::postgres::Postgres;
use tidelog_harness::process;

use crate::root;

/// The port that pages show first, where `tidelog dev` begins by default.
const SHOWN_FIRST: u16 = 7440;
/// Blocks of ten ports: more than the largest example has locations.
const BLOCKS: u16 = 12;
/// PostgreSQL in pages.
const SHOWN_POSTGRES: &str = "postgres://postgres@localhost:5432";

/// Where a page runs.
pub struct Workplace {
    directory: TempDir,
    ports: Ports,
    port: Regex,
    path: String,
    postgres: Option<&'static Postgres>,
}

impl Workplace {
    /// Makes one; with what `page` needs beyond a checkout.
    pub async fn new(page: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let here = directory.path();
        let root = root().canonicalize()?;
        // Copies of what pages change, links to the rest.
        copy(&root.join("examples"), &here.join("examples"))?;
        for shared in ["crds", "docs", "sidecar", "operator", "Makefile"] {
            symlink(root.join(shared), here.join(shared))?;
        }
        let built = here.join("target/debug");
        fs::create_dir_all(&built)?;
        symlink(process::tidelog()?, built.join("tidelog"))?;
        let mut path = vec![built.display().to_string()];
        // Python first: its packages are in an environment of its own, the others may be where another Python is.
        for (shown, script) in [
            ("$ python3 ", "ensure-python-client.sh"),
            ("$ grpcurl ", "ensure-grpcurl.sh"),
            ("$ curl ", "ensure-curl.sh"),
        ] {
            if page.contains(shown) {
                path.push(tool(script)?);
            }
        }
        path.push(std::env::var("PATH").unwrap_or_default());
        let postgres = if page.contains(SHOWN_POSTGRES) {
            Some(Postgres::shared().await?)
        } else {
            None
        };
        Ok(Self {
            ports: Ports::take(BLOCKS)?,
            port: Regex::new(r":7[45]\d\d\b")?,
            path: path.join(":"),
            directory,
            postgres,
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A shell command as it is typed here, in the environment that `exported` adds to.
    pub fn command(&self, typed: &str, exported: &[String]) -> Command {
        let mut command = Command::new("bash");
        let typed = self.here(typed);
        command
            .args(["-c", &format!("{}\n{typed}", exported.join("\n"))])
            .current_dir(self.path())
            .env("PATH", &self.path)
            .env_remove("TIDELOG_DATA_DIR");
        command
    }

    /// `--base-port` for this place.
    pub fn base_port(&self) -> String {
        format!("--base-port {}", self.ports.first)
    }

    /// Addresses of the page as they are here.
    fn here(&self, typed: &str) -> String {
        let typed = self.port.replace_all(typed, |found: &Captures<'_>| {
            let shown: u16 = found[0][1..].parse().unwrap_or(SHOWN_FIRST);
            format!(":{}", self.ports.first + shown.saturating_sub(SHOWN_FIRST))
        });
        match self.postgres {
            // The tests' server is private: its own user, password and port.
            Some(postgres) => {
                let uri = postgres.uri("");
                typed.replace(SHOWN_POSTGRES, uri.trim_end_matches('/'))
            }
            None => typed.into_owned(),
        }
    }

    /// Output of this place as pages show it: paths relative, addresses from the default ports on.
    pub fn shown(&self, seen: &str) -> String {
        let path = format!("{}/", self.path().display());
        let last = self.ports.first + BLOCKS * 10;
        let mut text = seen.replace(&path, "");
        for port in self.ports.first..last {
            let shown = SHOWN_FIRST + port - self.ports.first;
            text = text.replace(&format!(":{port}"), &format!(":{shown}"));
        }
        text
    }
}

/// Runs a script that finds or installs a tool; the directory that it is in.
fn tool(script: &str) -> Result<String> {
    let script = root().join("tests/tools").join(script);
    let output = Command::new(&script)
        .output()
        .with_context(|| format!("run {}", script.display()))?;
    ensure!(
        output.status.success(),
        "{}:\n{}",
        script.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let program = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    let directory = program.parent().context("a program without a directory")?;
    Ok(directory.display().to_string())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
