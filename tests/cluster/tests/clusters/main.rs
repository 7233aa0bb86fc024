//! Two real clusters, real pods, PostgreSQL in a pod, and the network between them cut and healed. What breaks nodes, the network
//! or the operator is alone; the rest is played beside each other (`world`).
//! `make test-cluster` turns them on; otherwise there is nothing here.
#![cfg(feature = "clusters")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod beside;
mod callers;
mod faults;
mod leaving;
mod pages;
mod scene;
mod single;
mod tools;
mod two_locations;
mod upgrading;
mod world;
