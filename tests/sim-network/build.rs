//! Prepares the engine for a second compilation, with other primitives under it.
//!
//! The tests of interleavings run the engine itself, not a copy that somebody keeps alike: its sources are taken as they are, and only the
//! names of crates change. `tokio::` becomes `crate::tokio::`, a module of the tests that is tokio on the primitives of shuttle.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

const ENGINE: &str = "../../sidecar/engine/src";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={ENGINE}");
    let out = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);
    let engine = out.join("engine");
    match fs::remove_dir_all(&engine) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    take(Path::new(ENGINE), &engine)?;
    let root = engine.join("lib.rs");
    fs::write(
        out.join("engine.rs"),
        format!("#[path = \"{}\"]\npub mod engine;\n", root.display()),
    )
}

/// Takes a folder over, with the names changed.
fn take(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (path, target) = {
            let entry = entry?;
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            take(&path, &target)?;
            continue;
        }
        let text = fs::read_to_string(&path)?
            .replace("crate::", "crate::engine::")
            .replace("tokio::", "crate::tokio::")
            // Its own tests run where they belong.
            .replace("#[cfg(test)]", "#[cfg(any())]")
            // The channels of shuttle have no default.
            .replace(
                "watch::Sender::default()",
                "watch::channel(Stream::default()).0",
            );
        fs::write(target, text)?;
    }
    Ok(())
}
