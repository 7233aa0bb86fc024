//! The rules that keep this repository as it is meant to be, as tests.
//!
//! A rule is a function from text or metadata to [`Finding`]s; `tests/tidy.rs` runs all of them over the checkout, and each
//! module shows with a bad sample that its rule can fail. Nothing here is needed to build or run Tidelog.
//!
//! | module | what it judges |
//! |---|---|
//! | [`arrows`] | which room may import which: the table of `docs/ARCHITECTURE.md` |
//! | [`purity`] | what a pure room must not link |
//! | [`manifests`] | the `Cargo.toml` of each room and of the workspace |
//! | [`lockfile`] | banned crates and foreign sources in `Cargo.lock` |
//! | [`sizes`] | code lines of a file |
//! | [`words`] | marks and words that do not belong into tracked files |
//! | [`links`] | relative links and anchors in Markdown |
//! | [`changelog`] | the shape of `CHANGELOG.md` |

pub mod arrows;
pub mod changelog;
pub mod finding;
pub mod links;
pub mod lockfile;
pub mod manifests;
pub mod purity;
pub mod sizes;
pub mod tree;
pub mod words;
pub mod workspace;

pub use finding::{Finding, Severity};
pub use tree::Tree;
pub use workspace::{Room, Workspace};
