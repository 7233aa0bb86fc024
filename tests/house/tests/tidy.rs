//! The rules of the house, over this checkout.

use std::collections::BTreeMap;
use std::io::Write;
use std::{env, fs, io};

use anyhow::{Context, Result, ensure};
use tidelog_house::arrows::{self, Rank, TABLE};
use tidelog_house::words::{self, Words};
use tidelog_house::{
    Finding, Severity, Tree, Workspace, changelog, links, lockfile, manifests, purity, sizes,
};

/// Shows warnings even when the test passes, and fails with all errors at once.
fn settle(findings: impl IntoIterator<Item = Finding>) -> Result<()> {
    let (warnings, errors): (Vec<_>, Vec<_>) = findings
        .into_iter()
        .partition(|finding| finding.severity == Severity::Warning);
    for warning in warnings {
        // Straight to the stream: libtest would keep the output of a passing test to itself.
        writeln!(io::stderr(), "{warning}")?;
    }
    let list: Vec<String> = errors.iter().map(ToString::to_string).collect();
    ensure!(
        list.is_empty(),
        "{} broken rules:\n{}",
        list.len(),
        list.join("\n")
    );
    Ok(())
}

#[test]
fn rooms_import_only_along_the_arrows() -> Result<()> {
    let tree = Tree::open()?;
    settle(arrows::check(&Workspace::load(tree.root())?, TABLE))
}

#[test]
fn the_table_of_arrows_keeps_the_architecture() -> Result<()> {
    settle(arrows::check_table(TABLE))
}

#[test]
fn architecture_shows_the_table_of_arrows() -> Result<()> {
    let tree = Tree::open()?;
    let file = tree.root().join("docs/ARCHITECTURE.md");
    let page = fs::read_to_string(&file).context("read docs/ARCHITECTURE.md")?;
    let map = arrows::render(&Workspace::load(tree.root())?, TABLE);
    let expected = arrows::insert_map(&page, &map)
        .context("docs/ARCHITECTURE.md has lost the marks of the map")?;
    if page != expected && env::var_os("UPDATE_EXPECT").is_some() {
        return Ok(fs::write(&file, expected)?);
    }
    ensure!(
        page == expected,
        "the map in docs/ARCHITECTURE.md is stale: run `make map`. It would be\n{map}"
    );
    Ok(())
}

#[test]
fn the_map_reads_within_one_sitting() -> Result<()> {
    let page = Tree::open()?
        .text("docs/ARCHITECTURE.md")?
        .unwrap_or_default();
    let lines = page.lines().count();
    ensure!(
        lines < 300,
        "docs/ARCHITECTURE.md has {lines} lines; below 300 it is read"
    );
    Ok(())
}

#[test]
fn pure_rooms_link_no_runtime_no_database_and_no_client() -> Result<()> {
    let tree = Tree::open()?;
    let workspace = Workspace::load(tree.root())?;
    let mut findings = Vec::new();
    for row in TABLE.iter().filter(|row| row.rank == Rank::Pure) {
        let room = workspace.rooms.iter().find(|room| room.folder == row.room);
        let room = room.with_context(|| format!("{} is no member", row.room))?;
        findings.extend(purity::check(
            row.room,
            &purity::linked(tree.root(), &room.package)?,
        ));
    }
    settle(findings)
}

#[test]
fn a_room_that_does_io_is_recognised() -> Result<()> {
    // The other way round: the look into a room's dependencies does see what a driver links.
    let tree = Tree::open()?;
    let linked = purity::linked(tree.root(), "tidelog-engine")?;
    ensure!(
        !purity::check("sidecar/engine", &linked).is_empty(),
        "tokio not seen in {linked:?}"
    );
    Ok(())
}

#[test]
fn manifests_take_versions_lints_and_licence_from_the_workspace() -> Result<()> {
    let tree = Tree::open()?;
    let mut findings = Vec::new();
    for (file, text) in tree.texts(&["/Cargo.toml"])? {
        findings.extend(manifests::check_room(&file, &text));
    }
    let root = tree.text("Cargo.toml")?.unwrap_or_default();
    findings.extend(manifests::check_workspace("Cargo.toml", &root));
    settle(findings)
}

#[test]
fn the_lockfile_has_no_banned_crate_and_one_source() -> Result<()> {
    let tree = Tree::open()?;
    let banned = lockfile::banned(&tree.text("deny.toml")?.unwrap_or_default())?;
    settle(lockfile::check(
        &tree.text("Cargo.lock")?.unwrap_or_default(),
        &banned,
    )?)
}

#[test]
fn files_stay_small() -> Result<()> {
    let files = Tree::open()?.texts(&[".rs"])?;
    settle(
        files
            .iter()
            .flat_map(|(file, text)| sizes::check(file, text)),
    )
}

#[test]
fn files_are_free_of_marks_and_words_that_do_not_belong() -> Result<()> {
    let words = Words::new()?;
    let files = Tree::open()?.texts(&[])?;
    settle(
        files
            .iter()
            .flat_map(|(file, text)| words.check(file, text)),
    )
}

#[test]
fn modules_have_names_of_their_own() -> Result<()> {
    let tree = Tree::open()?;
    settle(tree.files().iter().flat_map(|file| words::check_name(file)))
}

#[test]
fn links_in_markdown_lead_somewhere() -> Result<()> {
    let tree = Tree::open()?;
    let pages: BTreeMap<String, String> = tree.texts(&[".md"])?.into_iter().collect();
    settle(
        pages
            .keys()
            .flat_map(|file| links::check(file, &pages, tree.files())),
    )
}

#[test]
fn the_changelog_has_a_section_for_the_next_release() -> Result<()> {
    let text = Tree::open()?.text("CHANGELOG.md")?.unwrap_or_default();
    settle(changelog::check("CHANGELOG.md", &text))
}
