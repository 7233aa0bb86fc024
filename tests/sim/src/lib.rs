//! The real machines in a world of chance: 2 to 11 locations, memory for disks, and a network that loses, doubles, reorders and holds back.
//!
//! A run is its seed: the log core, the writer, the source and the target of each edge and the decision at start are those of the
//! product, and everything around them (who does what next, what a database answers, what the network does) is drawn from the seed. Each step
//! draws from its own part of the seed, so that a run from which steps are left out does the same in those that remain:
//! that is how a failing run is made short.
//!
//! | module | what it holds |
//! |---|---|
//! | [`run`] | one run, from a seed and the steps that are kept |
//! | [`fleet`] | many runs, and the sum of what they did |
//! | [`history`] | a run written down, operation by operation, so that it stays the same when the drawing of operations changes |
//! | [`shrink`] | the shortest part of a run that still fails |
//! | `step` | the operations, and how often each is drawn |
//! | `world` | locations, edges, clients, and what they do |
//! | `operator` | a witness that an operator keeps, late, away and out of date as it may be |
//! | `oracle` | the truth, and what the contract says about it |
//! | `filters` | what the edges let through, and since when |
//! | `topology` | who is linked to whom, as the planner accepts it or as it refuses it |

pub mod counts;
mod dice;
mod filters;
pub mod fleet;
mod heal;
pub mod history;
mod operator;
mod oracle;
pub mod run;
pub mod shrink;
mod site;
mod start;
mod step;
mod topology;
mod trace;
mod world;
