//! A handful of seeds; the program runs as many as one likes.

use std::path::{Path, PathBuf};
use std::{fs, io};

use tidelog_sim_network::mutants::NOTICED;
use tidelog_sim_network::seeds::Runner;

fn runner() -> Runner {
    Runner {
        program: PathBuf::from(env!("CARGO_BIN_EXE_tidelog-sim-network-seed")),
        jobs: 2,
        mutant: None,
        stops: false,
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let runner = runner();
    for seed in [3, 5] {
        let (once, again) = (runner.one(seed).unwrap(), runner.one(seed).unwrap());
        assert_eq!(once, again, "seed {seed}");
    }
    assert_ne!(runner.one(3).unwrap().hash, runner.one(5).unwrap().hash);
}

#[test]
fn a_handful_of_seeds_keeps_every_promise() {
    let tally = runner().all(100, 6, |_| {});
    assert!(tally.failed.is_empty(), "{:#?}", tally.failed);
    // A run without faults, or without work, would prove nothing.
    assert_eq!(tally.seeds, 6);
    assert!(tally.faults() > 20, "{:?}", tally.counts);
    for what in ["append: taken", "weather: kill", "ack", "read"] {
        assert!(
            tally.counts.contains_key(what),
            "{what}: {:?}",
            tally.counts
        );
    }
}

/// Everything that is written in a folder.
fn text(folder: &Path, out: &mut String) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            text(&path, out)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push_str(&fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

#[test]
fn every_bug_that_has_to_be_noticed_can_be_built_in() {
    let mut product = String::new();
    text(Path::new("../../sidecar"), &mut product).unwrap();
    for mutant in NOTICED {
        let seam = format!("mutant!(\"{mutant}\")");
        assert!(product.contains(&seam), "nothing is broken by {mutant}");
    }
}
