//! Which events a reader wants: the selector that every store understands, narrowed further by a predicate.

use std::fmt;
use std::sync::Arc;

use tidelog_model::{Event, LimitError, Selector, caps, limit};

/// Decides about one event; must be pure. A compiled CEL expression, behind the smallest door it fits through.
pub type Predicate = Arc<dyn Fn(&Event) -> bool + Send + Sync>;

/// A selector and, optionally, a predicate; an event must pass both. The default wants everything.
#[derive(Clone, Default)]
pub struct Selection {
    /// Evaluated where the events are: by the store, or over the tail.
    pub selector: Selector,
    /// Evaluated by the reader over what the selector let pass.
    pub predicate: Option<Predicate>,
}

impl Selection {
    /// Checks the limits of the selector.
    pub fn check(&self) -> Result<(), LimitError> {
        let Selector {
            keys,
            types,
            origins,
        } = &self.selector;
        limit::count("select.keys", keys.len(), caps::SELECTOR_ITEMS_MAX)?;
        limit::count("select.types", types.len(), caps::SELECTOR_ITEMS_MAX)?;
        limit::count("select.origins", origins.len(), caps::SELECTOR_ITEMS_MAX)?;
        for (i, key) in keys.iter().enumerate() {
            limit::required(&format!("select.keys[{i}]"), key, caps::KEY_BYTES_MAX)?;
        }
        for (i, name) in types.iter().enumerate() {
            limit::required(&format!("select.types[{i}]"), name, caps::KEY_BYTES_MAX)?;
        }
        Ok(())
    }

    /// What is left to the predicate.
    pub(crate) fn admits(&self, event: &Event) -> bool {
        self.predicate.as_ref().is_none_or(|wanted| wanted(event))
    }
}

impl From<Selector> for Selection {
    fn from(selector: Selector) -> Self {
        Self {
            selector,
            predicate: None,
        }
    }
}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selection")
            .field("selector", &self.selector)
            .field("predicate", &self.predicate.is_some())
            .finish()
    }
}
