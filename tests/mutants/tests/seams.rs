//! The table and the code name the same mutants.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use tidelog_mutants::{Expected, Killer, features_that_leak, seams, table};

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

/// A killer that was given another name is found here, and not after half an hour of building.
#[test]
fn every_killer_is_a_test_that_somebody_has_written() -> Result<()> {
    let mut words = BTreeSet::new();
    for room in ["sidecar", "operator", "tests"] {
        collect_words(&root()?.join(room), &mut words)?;
    }
    let mut missing = BTreeSet::new();
    for mutant in table::all() {
        for killer in mutant.expected.killers() {
            let Killer::Case(_, case) = killer else {
                continue;
            };
            let name = case.rsplit("::").next().unwrap_or_default();
            if !name.is_empty() && !words.contains(name) {
                missing.insert(format!("{}: {case}", mutant.id));
            }
        }
    }
    ensure!(missing.is_empty(), "no such test: {missing:#?}");
    Ok(())
}

fn collect_words(folder: &Path, words: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") && !path.ends_with("tests/mutants") {
            collect_words(&path, words)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path)?;
            let found = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            words.extend(found.map(str::to_owned));
        }
    }
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
