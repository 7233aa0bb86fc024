//! What the planner needs to know about a filter expression, and who tells it.

use crate::input::OnError;

/// What an expression looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterUses {
    /// It reads `source`.
    pub source: bool,
    /// It reads `target`.
    pub target: bool,
    /// It reads `event.payload`.
    pub payload: bool,
    /// Keys that may be absent and are read without `has(...)`.
    pub unguarded: Vec<String>,
}

impl FilterUses {
    /// Whether the same expression may decide differently on different edges.
    pub fn is_local(&self) -> bool {
        self.source || self.target
    }
}

/// Compiles an expression as the data plane would; the error is a message for people.
pub trait FilterCheck {
    /// What the expression looks at, or why it is refused.
    fn check(&self, name: &str, cel: &str, on_error: OnError) -> Result<FilterUses, String>;
}
