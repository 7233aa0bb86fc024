//! Clusters by the contexts of a kubeconfig, for people: with their rights, not with those of an operator.
//!
//! | module | what it holds |
//! |---|---|
//! | `cluster` | a cluster, and what is there |
//! | `read` | what a person may read there, and what the person may do |
//! | `forward` | connections to pods, through the API server |
//! | `trust` | which authorities each cluster has to know of the others |

mod cluster;
mod forward;
mod read;
pub mod trust;

pub use cluster::{AccessError, Chosen, Cluster, Port};
pub use read::{Deed, Kind, Tail, kinds};
