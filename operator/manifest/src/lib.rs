//! Reads manifests as a cluster would, without one.
//!
//! Files, directories and multi-document YAML or JSON go in; resources, planner input and notes come out, or everything that
//! is wrong, each with file, line, column and field. What is allowed is not written down here: fields, types, limits and
//! rules come from the schema that the API server gets, so that both refuse the same things with the same words.
//!
//! Absent on purpose: templating, patches, and access to a cluster. Inputs are bounded (bytes, files, nesting, nodes after
//! aliases), because manifests also come from strangers.

mod convert;
mod document;
mod manifests;
mod node;
mod problem;
mod read;
mod rules;
mod schema;
mod source;
mod yaml;

pub use manifests::{LogManifest, Manifests, plan_all};
pub use problem::{ManifestError, Note, Place, Problem};
pub use read::{parse, read};
pub use source::{BYTES_MAX, FILE_BYTES_MAX, FILES_MAX, Source};
pub use yaml::{DEPTH_MAX, NODES_MAX};
