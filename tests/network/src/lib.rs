//! Several locations over real sockets, in real processes, with faults, judged by the checkers of the harness.
//!
//! There is nothing here but tests: see `tests/scenarios`, and the README for what was broken on purpose.
