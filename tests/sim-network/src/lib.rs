//! Whole sidecars in one process on a simulated network, and interleavings of what is shared.
//!
//! A seed is a run: 3 to 5 locations with everything that runs in earnest (gRPC, HTTP/2, batching, replication, leases), on a network, a
//! clock, disks and random numbers that come from the seed. Writers and readers talk to them over the same network; the weather cuts, holds
//! and delays it, kills locations and brings them back, and sets one back to an older copy of its database. Then everything is mended, and the
//! judges of the harness look at what writers and readers wrote down.
//!
//! | module | what it holds |
//! |---|---|
//! | [`run`] | one run, from a seed to a verdict |
//! | [`seeds`] | many of them, each in a process of its own |
//! | [`ledger`] | what a long run keeps to go on later |
//! | [`mutants`] | the same with a bug in the product: which of them are noticed |
//! | [`topology`] | who is linked to whom: drawn, and planned by the planner |
//! | [`tuning`] | bounds and pauses of each location |
//! | [`site`], [`watch`] | a location: what it is started with, what survives it, what it says of itself |
//! | [`disk`] | its database, with delays and failures |
//! | [`wire`] | the simulated network as the product's and the clients' |
//! | [`weather`] | what breaks, and when |
//! | [`calls`], [`writer`], [`request`], [`reader`] | those who use the log, and what they write down |
//! | [`apps`] | all of them together, and the end: at rest, shown, judged |
//! | [`world`] | what all of them share: the seed's dice, the trace, the record |

pub mod apps;
pub mod calls;
pub mod disk;
pub mod ledger;
pub mod mutants;
pub mod reader;
pub mod request;
pub mod run;
pub mod seeds;
pub mod site;
pub mod topology;
pub mod tuning;
pub mod watch;
pub mod weather;
pub mod wire;
pub mod world;
pub mod writer;
