//! Several locations over real sockets, in real processes, with faults; judged by [`tidelog-harness`'s checkers](../tidelog_harness/checker).
//!
//! There is nothing here but tests: see `tests/scenarios`.
