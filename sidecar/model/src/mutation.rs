//! Seeded bugs for the tests of the tests.
//!
//! `if mutant!("id") { .. }` is `false`, and gone, unless this crate is built with the feature `mutants`. With it, one build holds all
//! mutants, and the environment variable `TIDELOG_MUTANT` names the one that is active. The table of them all, with who has to catch
//! them, is in `tests/mutants`.

/// Whether the mutant is the one that was chosen at run time.
#[cfg(feature = "mutants")]
#[macro_export]
macro_rules! mutant {
    ($id:literal) => {
        $crate::mutation::is_active($id)
    };
}

/// Whether the mutant is the one that was chosen at run time: in this build there are none.
#[cfg(not(feature = "mutants"))]
#[macro_export]
macro_rules! mutant {
    ($id:literal) => {
        false
    };
}

/// Whether the environment variable `TIDELOG_MUTANT` names this mutant.
#[cfg(feature = "mutants")]
#[must_use]
pub fn is_active(id: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| std::env::var("TIDELOG_MUTANT").ok());
    chosen.as_deref() == Some(id)
}
