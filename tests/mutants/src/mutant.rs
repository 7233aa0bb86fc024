//! What the table is made of.

use std::fmt;

/// One seeded bug.
#[derive(Debug, Clone, Copy)]
pub struct Mutant {
    /// As in `mutant!("id")`.
    pub id: &'static str,
    /// What the code does wrong with it.
    pub what: &'static str,
    /// What has to come of it.
    pub expected: Expected,
}

/// What has to come of a mutant.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    /// One of these fails. They are asked in turn, until one does.
    Caught(&'static [Killer]),
    /// Nothing that was promised changes.
    Equivalent {
        /// Why.
        because: &'static str,
        /// None of these fails: the argument is at least not refuted by them.
        passes: &'static [Killer],
    },
}

impl Expected {
    /// Everything that is run for the mutant.
    pub fn killers(&self) -> &'static [Killer] {
        match self {
            Self::Caught(killers) => killers,
            Self::Equivalent { passes, .. } => passes,
        }
    }
}

/// A test program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Program {
    /// The crate it belongs to.
    pub package: &'static str,
    /// Its name: that of a file or folder in `tests`, or of the crate for the tests beside the code.
    pub name: &'static str,
}

impl Program {
    /// A case of this program by its full name; an empty one means all of them.
    pub const fn case(self, name: &'static str) -> Killer {
        Killer::Case(self, name)
    }
}

/// Who may notice a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Killer {
    /// A case of a test program by its full name; all of them when it is empty.
    Case(Program, &'static str),
    /// Seeds of the simulation.
    Seeds {
        /// The first one.
        from: u64,
        /// How many.
        count: u64,
    },
}

impl fmt::Display for Killer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Case(program, "") => write!(f, "{} {}", program.package, program.name),
            Self::Case(program, case) => {
                write!(f, "{} {} {case}", program.package, program.name)
            }
            Self::Seeds { from, count } => write!(f, "simulation, {count} seeds from {from}"),
        }
    }
}
