//! Selectors and conditions.

use tidelog_model::limit::{self, LimitError};
use tidelog_model::{Condition, LocationName, Selector, caps};

use super::{FieldError, optional_field};
use crate::v1;

/// What a reader asked for: the part that stores evaluate, and the expression that narrows it further.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Keys, types and origins.
    pub selector: Selector,
    /// A CEL expression of at most [`caps::CEL_BYTES_MAX`] bytes, not compiled yet; empty matches all.
    pub cel: String,
}

fn check_texts(field: &str, items: &[String]) -> Result<(), LimitError> {
    limit::count(field, items.len(), caps::SELECTOR_ITEMS_MAX)?;
    for (i, item) in items.iter().enumerate() {
        limit::required(&format!("{field}[{i}]"), item, caps::KEY_BYTES_MAX)?;
    }
    Ok(())
}

impl From<&Selection> for v1::Selector {
    fn from(selection: &Selection) -> Self {
        let selector = &selection.selector;
        Self {
            keys: selector.keys.clone(),
            types: selector.types.clone(),
            origins: selector
                .origins
                .iter()
                .map(|origin| origin.as_str().to_owned())
                .collect(),
            cel: selection.cel.clone(),
        }
    }
}

impl TryFrom<v1::Selector> for Selection {
    type Error = FieldError;
    fn try_from(wire: v1::Selector) -> Result<Self, FieldError> {
        check_texts("keys", &wire.keys)?;
        check_texts("types", &wire.types)?;
        limit::count("origins", wire.origins.len(), caps::SELECTOR_ITEMS_MAX)?;
        limit::text("cel", &wire.cel, caps::CEL_BYTES_MAX)?;
        let origins = wire
            .origins
            .iter()
            .enumerate()
            .map(|(i, name)| {
                LocationName::new(name)
                    .map_err(|e| FieldError::new(format!("origins[{i}]"), e.to_string()))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            selector: Selector {
                keys: wire.keys,
                types: wire.types,
                origins,
            },
            cel: wire.cel,
        })
    }
}

impl From<&Condition> for v1::Condition {
    fn from(condition: &Condition) -> Self {
        Self {
            keys: condition.keys.clone(),
            types: condition.types.clone(),
            after: Some(condition.after.into()),
        }
    }
}

impl TryFrom<v1::Condition> for Condition {
    type Error = FieldError;
    fn try_from(wire: v1::Condition) -> Result<Self, FieldError> {
        if wire.keys.is_empty() {
            return Err(FieldError::new(
                "keys",
                "is empty; a condition names at least one key",
            ));
        }
        check_texts("keys", &wire.keys)?;
        check_texts("types", &wire.types)?;
        Ok(Self {
            keys: wire.keys,
            types: wire.types,
            after: optional_field("after", wire.after)?.unwrap_or_default(),
        })
    }
}
