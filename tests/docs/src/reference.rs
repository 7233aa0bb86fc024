//! The pages below `docs/reference`: written from what they describe, so that they cannot say anything else.
//!
//! A page has a head, which is text, and a body, which comes from types, tables or programs. Where words are kept beside something that the
//! compiler does not tie them to (reasons of edges), a test compares both.

pub mod api;
pub mod cli;
pub mod conditions;
pub mod crds;
pub mod edges;
pub mod errors;
pub mod limits;
pub mod manifests;
pub mod rbac;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::root;

/// The first line of every page after its title.
const GENERATED: &str =
    "<!-- Written by `make reference` from the code that it describes. Do not edit. -->";

/// A generated page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its path below the root.
    pub path: &'static str,
    /// Its text.
    pub text: String,
}

/// All generated pages.
pub fn pages() -> Result<Vec<Page>> {
    Ok(vec![
        page("docs/reference/manifests.md", &manifests::page()?),
        page("docs/reference/cli.md", &cli::page()?),
        page("docs/reference/api.md", &api::page()?),
        page("docs/reference/errors.md", &errors::page()),
        page(
            "docs/reference/configuration.md",
            &tidelog_config::reference(),
        ),
        page("docs/reference/metrics.md", &metrics()),
        page("docs/reference/limits.md", &limits::page()?),
        page("docs/reference/edge-states.md", &edges::page()),
        page("docs/reference/conditions.md", &conditions::page()?),
        page("docs/reference/crds.md", &crds::page()?),
        page("docs/reference/rbac.md", &rbac::page()?),
    ])
}

fn page(path: &'static str, text: &str) -> Page {
    let (title, rest) = text.split_once('\n').unwrap_or((text, ""));
    Page {
        path,
        text: format!("{title}\n\n{GENERATED}\n{rest}"),
    }
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
        .replace('\n', " ")
        .trim()
        .to_owned()
}

fn metrics() -> String {
    format!(
        "# Metrics\n\n\
         `GET /metrics` on the metrics port (7441; in a development network the base port + 10 × location + 1) answers in the OpenMetrics text \
         format. Values are read from what runs at the moment of the request. A number that is not known is absent, never 0: \
         an edge that was not heard of lately has no lag.\n\n{}\n\
         ## Of the operator\n\n\
         `GET /metrics` on port 8080 of the operator, in the same format.\n\n{}",
        tidelog_server::metrics::reference(),
        tidelog_controller::metrics_reference()
    )
}

/// The code at a place below the root, file by file, without its tests.
fn code(place: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    collect(&root().join(place), &mut found)?;
    Ok(found)
}

fn collect(place: &Path, found: &mut Vec<String>) -> Result<()> {
    if place.is_dir() {
        for entry in fs::read_dir(place)? {
            collect(&entry?.path(), found)?;
        }
        return Ok(());
    }
    if place.file_name().is_some_and(|name| name == "tests.rs") {
        return Ok(());
    }
    let text = fs::read_to_string(place).with_context(|| format!("read {}", place.display()))?;
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    found.push(code.to_owned());
    Ok(())
}
