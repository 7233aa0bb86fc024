//! A condition without its history, and the history it gets.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidelog_api::{Condition, ConditionStatus};

/// Longest message of a condition, in characters: four bytes each keep within the 4,096 bytes of the schema.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// One aspect, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Which one, for example `Ready`.
    pub type_: &'static str,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// A word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

impl Fact {
    /// It holds.
    pub fn yes(type_: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self::new(type_, ConditionStatus::True, reason, message)
    }

    /// It does not hold.
    pub fn no(type_: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self::new(type_, ConditionStatus::False, reason, message)
    }

    /// Nobody knows.
    pub fn unknown(type_: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self::new(type_, ConditionStatus::Unknown, reason, message)
    }

    fn new(
        type_: &'static str,
        status: ConditionStatus,
        reason: &str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            type_,
            status,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}

/// The conditions to be written: the time of the last transition stays where the status stays.
pub fn with_history(
    facts: Vec<Fact>,
    before: &[Condition],
    generation: Option<i64>,
    now: &Time,
) -> Vec<Condition> {
    let history = |fact: Fact| {
        let old = before.iter().find(|c| c.type_ == fact.type_);
        let same = old.filter(|c| c.status == fact.status);
        Condition {
            type_: fact.type_.to_owned(),
            status: fact.status,
            observed_generation: generation,
            last_transition_time: same
                .map_or_else(|| now.clone(), |c| c.last_transition_time.clone()),
            reason: fact.reason,
            message: fact.message.chars().take(MESSAGE_CHARS_MAX).collect(),
        }
    };
    facts.into_iter().map(history).collect()
}
