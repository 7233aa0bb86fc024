//! What the tests of several rooms share: real databases, real processes, and an oracle that trusts neither.
//!
//! | module | what it holds |
//! |---|---|
//! | [`postgres`] | a private PostgreSQL server |
//! | [`proxy`] | connections that are broken on purpose |
//! | [`process`], [`ports`] | the programs under test as child processes, on ports of their own |
//! | [`client`], [`session`] | the wire API, and writers who remember what they have seen |
//! | [`manifests`], [`network`] | several locations, with faults |
//! | [`record`], [`journal`] | what happened, written down outside of the product |
//! | [`checker`] | one judge per invariant over that record |

pub mod checker;
pub mod client;
pub mod disk;
pub mod history;
pub mod journal;
pub mod manifests;
pub mod network;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod record;
pub mod session;
pub mod subscriber;
