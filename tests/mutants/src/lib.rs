//! Seeded bugs: the table of mutants and the program that looks who catches them.
//!
//! A mutant is one small change that makes the real code wrong: a condition left out, an order turned round, a check that always passes. Its
//! seam in the code is `mutant!("id")` ([`tidelog_model::mutant`](../tidelog_model/macro.mutant.html)), which is `false` and gone in every other
//! build. The [`table`] says of each what is wrong and who has to notice: a case of a test program or seeds of the simulation. For one
//! that nobody can notice it says why it changes nothing that was promised.
//!
//! ```text
//!   build once, all mutants inside ── killers without a mutant: all pass ── for each mutant its killers: one must fail
//! ```
//! A mutant that no test catches is alive, and then a test is missing.

mod ledger;
mod mutant;
mod programs;
mod report;
mod seams;
mod sweep;
pub mod table;

pub use ledger::Ledger;
pub use mutant::{Expected, Killer, Mutant, Program};
pub use programs::Programs;
pub use report::{Row, render};
pub use seams::{Seam, features_that_leak, seams};
pub use sweep::{Sweep, Verdict};
