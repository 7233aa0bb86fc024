//! The pages below `docs/reference`: written from what they describe, so that they cannot say anything else.
//!
//! A page has a head, which is text, and a body, which comes from types, tables or programs. Where words are kept beside something that the
//! compiler does not tie them to (reasons of edges), a test compares both.

pub mod api;
pub mod cli;
pub mod edges;
pub mod limits;
pub mod manifests;

use anyhow::Result;

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
        page("docs/reference/errors.md", &errors()),
        page(
            "docs/reference/configuration.md",
            &tidelog_config::reference(),
        ),
        page("docs/reference/metrics.md", &metrics()),
        page("docs/reference/limits.md", &limits::page()?),
        page("docs/reference/edge-states.md", &edges::page()),
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

fn errors() -> String {
    format!(
        "# Errors\n\n\
         A call that fails answers with a gRPC status. Its details hold a `google.rpc.ErrorInfo` with the `reason` below, the domain \
         `tidelog.dev` and the metadata named in the table, as far as they are known; where it helps also `BadRequest` (one violation per \
         field), `RetryInfo` (how long to wait) and `PreconditionFailure`. The message is for people: it names the field, the value, the limit \
         and the way out, and may change. Programs decide by `reason`.\n\n\
         An append that failed is not in the log, with one exception: after `OUTCOME_UNKNOWN` it may be. A connection that breaks before the \
         answer leaves the same doubt. Repeat the request with the same request id: it is answered with the first answer, or appended now.\n\n\
         *Retry unchanged* says whether the same request may succeed later.\n\n{}",
        tidelog_proto::error::reference()
    )
}

fn metrics() -> String {
    format!(
        "# Metrics\n\n\
         `GET /metrics` on the metrics port (7441; in a development network the base port + 10 × location + 1) answers in the OpenMetrics text \
         format. Values are read from what runs at the moment of the request. A number that is not known is absent, never 0: \
         an edge that was not heard of lately has no lag.\n\n{}",
        tidelog_server::metrics::reference()
    )
}
