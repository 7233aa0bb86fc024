//! Every command shown in README and guides, run in order against a real development network; those about Kubernetes are run by the tests of whole clusters.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use tidelog_docs_tests::{CLUSTER_PAGES, page, root, runner};

/// One test per page, so that they run beside each other and fail apart.
macro_rules! pages {
    ($( $test:ident: $page:literal, )*) => {
        const PAGES: &[&str] = &[$( $page, )*];
        $(
            #[tokio::test]
            async fn $test() -> Result<()> {
                runner::run($page).await
            }
        )*
    };
}

pages! {
    the_commands_of_the_readme_work: "README.md",
    the_commands_of_append_read_subscribe_work: "docs/guides/append-read-subscribe.md",
    the_commands_of_topology_and_filters_work: "docs/guides/topology-and-filters.md",
    the_commands_of_development_network_work: "docs/guides/development-network.md",
    the_commands_of_loss_and_recovery_work: "docs/guides/loss-and-recovery.md",
    the_commands_of_observing_work: "docs/guides/observing.md",
}

#[test]
fn no_page_shows_a_command_that_is_not_run() -> Result<()> {
    let root = root();
    let mut found = BTreeSet::new();
    for place in [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs",
        "examples",
    ] {
        collect(&root, &root.join(place), &mut found)?;
    }
    let run = PAGES
        .iter()
        .chain(&CLUSTER_PAGES)
        .map(ToString::to_string)
        .collect::<BTreeSet<_>>();
    ensure!(
        found == run,
        "pages with console blocks: {found:?}\npages that are run: {run:?}"
    );
    Ok(())
}

/// Adds the pages at `place` that show commands; a block in an unknown language is an error, since it might hide one.
fn collect(root: &Path, place: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    if place.is_dir() {
        for entry in fs::read_dir(place)? {
            collect(root, &entry?.path(), found)?;
        }
    } else if place.extension().is_some_and(|end| end == "md") {
        let name = place.strip_prefix(root)?.display().to_string();
        let steps = page::steps(&fs::read_to_string(place)?).with_context(|| name.clone())?;
        if !steps.is_empty() {
            found.insert(name);
        }
    }
    Ok(())
}
