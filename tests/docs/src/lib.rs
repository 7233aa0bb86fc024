//! The pages for people, judged: commands shown in README and guides are run in order against a real development network, and the
//! reference is written from the code that it describes.
//!
//! | module | what it holds |
//! |---|---|
//! | [`page`] | the console blocks of a page, as steps |
//! | [`expect`] | what counts as the same output |
//! | [`workplace`] | a directory that looks like a checkout, with ports of its own |
//! | [`runner`] | a page from its first command to its last |
//! | [`mod@reference`] | the generated pages |

pub mod expect;
pub mod page;
pub mod reference;
pub mod runner;
pub mod workplace;

use std::path::PathBuf;

/// Pages whose commands are run on two real clusters, by `make test-cluster`.
pub const CLUSTER_PAGES: [&str; 7] = [
    "docs/guides/kubernetes/application.md",
    "docs/guides/kubernetes/gitops.md",
    "docs/guides/kubernetes/install.md",
    "docs/guides/kubernetes/security.md",
    "docs/guides/kubernetes/two-clusters.md",
    "docs/guides/kubernetes/uninstall.md",
    "docs/guides/kubernetes/upgrade.md",
];

/// The checkout that this crate was built in.
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
