//! What a reader wants to see, and what a writer makes its append depend on.

use crate::event::Event;
use crate::id::LocationName;
use crate::position::Position;

/// Which events of a log a reader wants. Keys AND types AND origins, any of each; an empty list matches all. (A CEL expression may
/// narrow it further; it is evaluated by the reader of the store, not by the store.)
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    /// Matched against the aggregate id and every destination.
    pub keys: Vec<String>,
    /// Matched against the type.
    pub types: Vec<String>,
    /// Matched against the location that wrote the event, in any incarnation.
    pub origins: Vec<LocationName>,
}

impl Selector {
    /// True when the event is wanted.
    pub fn matches(&self, event: &Event) -> bool {
        (self.keys.is_empty() || self.keys.iter().any(|k| event.has_key(k)))
            && (self.types.is_empty() || self.types.contains(&event.event_type))
            && (self.origins.is_empty() || self.origins.contains(&event.id.origin.location))
    }

    /// True when everything is wanted.
    pub fn is_all(&self) -> bool {
        self.keys.is_empty() && self.types.is_empty() && self.origins.is_empty()
    }
}

/// Optimistic concurrency: the append fails if an event that matches has a local sequence above `after`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Matched against the aggregate id and every destination; at least one.
    pub keys: Vec<String>,
    /// Matched against the type; empty matches all.
    pub types: Vec<String>,
    /// The last event that the writer has taken into account; 0 means "there is none".
    pub after: Position,
}

impl Condition {
    /// True when the event is one that the condition looks at.
    pub fn matches(&self, event: &Event) -> bool {
        self.keys.iter().any(|k| event.has_key(k))
            && (self.types.is_empty() || self.types.contains(&event.event_type))
    }
}
