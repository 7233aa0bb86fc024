//! The table and the code name the same mutants.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use tidelog_mutants::{Expected, features_that_leak, seams, table};

fn root() -> Result<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().context("find the checkout")
}

#[test]
fn every_mutant_has_exactly_one_seam_and_every_seam_its_mutant() -> Result<()> {
    let mut problems = Vec::new();
    let seams = seams(&root()?)?;
    let mut ids = BTreeSet::new();
    for mutant in table::all() {
        if !ids.insert(mutant.id) {
            problems.push(format!("{} is twice in the table", mutant.id));
        }
        let places: Vec<_> = seams.iter().filter(|seam| seam.id == mutant.id).collect();
        if places.len() != 1 {
            problems.push(format!(
                "{} has {} seams: {places:?}",
                mutant.id,
                places.len()
            ));
        }
    }
    for seam in &seams {
        if !ids.contains(seam.id.as_str()) {
            let (file, line) = (seam.file.display(), seam.line);
            problems.push(format!("{file}:{line}: {} is not in the table", seam.id));
        }
    }
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

#[test]
fn every_mutant_says_what_is_wrong_and_who_notices_or_why_nobody_can() {
    for mutant in table::all() {
        assert!(!mutant.what.is_empty(), "{}", mutant.id);
        match mutant.expected {
            Expected::Caught(killers) => assert!(!killers.is_empty(), "{}", mutant.id),
            Expected::Equivalent { because, passes } => {
                assert!(!because.is_empty() && !passes.is_empty(), "{}", mutant.id);
            }
        }
    }
}

#[test]
fn nothing_builds_mutants_in_without_being_asked_to() -> Result<()> {
    let leaks = features_that_leak(&root()?)?;
    ensure!(
        leaks.is_empty(),
        "the feature `mutants` of tidelog-model is named on the command line of a test and nowhere else: {}",
        leaks.join("; ")
    );
    Ok(())
}
