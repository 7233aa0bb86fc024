//! The generated pages are what the code says.

use std::{env, fs};

use anyhow::{Result, ensure};
use tidelog_docs_tests::reference::{conditions, edges, errors, pages};
use tidelog_docs_tests::root;

#[test]
fn generated_pages_are_up_to_date() -> Result<()> {
    let update = env::var_os("UPDATE_EXPECT").is_some();
    let mut stale = Vec::new();
    for page in pages()? {
        let file = root().join(page.path);
        let held = fs::read_to_string(&file).unwrap_or_default();
        if held == page.text {
            continue;
        }
        if update {
            fs::write(&file, &page.text)?;
            continue;
        }
        let differs = held
            .lines()
            .zip(page.text.lines())
            .position(|(a, b)| a != b);
        let line = differs.map_or(held.lines().count(), |line| line) + 1;
        stale.push(format!("{} from line {line} on", page.path));
    }
    ensure!(
        stale.is_empty(),
        "stale: {}; run `make reference` and look at what it changes",
        stale.join(", ")
    );
    Ok(())
}

#[test]
fn every_reason_that_an_edge_gives_is_told() -> Result<()> {
    let (given, told) = (edges::given()?, edges::told());
    ensure!(
        given == told,
        "not told in operator/status/src/reasons/edge.rs: {:?}; told and never given: {:?}",
        given.difference(&told).collect::<Vec<_>>(),
        told.difference(&given).collect::<Vec<_>>()
    );
    Ok(())
}

#[test]
fn every_reason_that_a_condition_gives_is_told() -> Result<()> {
    let (given, told) = (conditions::given()?, conditions::told());
    ensure!(
        given == told,
        "in no table of operator/status/src/reasons: {:?}; told and never given: {:?}",
        given.difference(&told).collect::<Vec<_>>(),
        told.difference(&given).collect::<Vec<_>>()
    );
    Ok(())
}

#[test]
fn a_reason_is_either_answered_or_reserved() -> Result<()> {
    let (raised, reserved) = (errors::raised()?, errors::reserved());
    let both: Vec<_> = raised.intersection(&reserved).collect();
    ensure!(
        both.is_empty(),
        "answered, so no longer `is_reserved` in sidecar/proto/src/error/reason.rs: {both:?}"
    );
    let neither: Vec<_> = tidelog_proto::ErrorReason::ALL
        .iter()
        .map(|reason| reason.as_str())
        .filter(|reason| !raised.contains(reason) && !reserved.contains(reason))
        .collect();
    ensure!(
        neither.is_empty(),
        "answered by no call and not `is_reserved` in sidecar/proto/src/error/reason.rs: {neither:?}"
    );
    Ok(())
}

#[test]
fn every_page_says_that_it_is_generated() -> Result<()> {
    for page in pages()? {
        ensure!(page.text.starts_with("# "), "{} has no title", page.path);
        ensure!(
            page.text.contains("`make reference`"),
            "{} does not say where it comes from",
            page.path
        );
    }
    Ok(())
}
