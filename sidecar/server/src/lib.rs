//! One running location and its ports: the gRPC services, health, metrics.
//!
//! | module | what it holds |
//! |---|---|
//! | [`location`] | a running location: store, log, replication and every port from one configuration |
//! | [`service`] | decode, call the engine, encode: one file per service |
//! | [`answer`] | what the engine refuses, as errors of the API |
//! | [`describe`] | what a location says about itself |
//! | [`metrics`] | the table of metrics and their scrape |
//! | [`listen`] | sockets, bound before anything else starts |
//! | [`surroundings`] | clock, randomness, database and network, when they are not those of this machine |

pub mod answer;
mod clock;
pub mod describe;
mod dialler;
mod doors;
mod entrance;
pub mod forward;
mod gathered;
mod health;
mod http;
pub mod listen;
pub mod location;
pub mod metrics;
mod oversize;
mod recorded;
mod recovered;
mod render;
mod secured;
mod serve;
pub mod service;
mod status;
mod storage;
pub mod surroundings;
mod witness;

pub use doors::Addresses;
pub use listen::ListenError;
pub use location::{Applied, LocationOptions, RunningLocation, StartError};
pub use surroundings::{Network, Surroundings};
