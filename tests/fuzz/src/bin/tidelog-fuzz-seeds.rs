//! Writes the seeds of every target: `tidelog-fuzz-seeds DIR` makes `DIR/TARGET/seed-N`. What is there stays.

use std::path::PathBuf;
use std::{env, fs, io};

use tidelog_fuzz::TARGETS;

fn main() -> io::Result<()> {
    let folder = env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("corpus"), PathBuf::from);
    for target in TARGETS {
        let corpus = folder.join(target.name);
        fs::create_dir_all(&corpus)?;
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            fs::write(corpus.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
