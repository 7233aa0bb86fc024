//! Positions and lineages.

use tidelog_model::{Incarnation, Lineage, LineageEntry, Position, caps};

use super::FieldError;
use crate::v1;

impl From<Position> for v1::Position {
    fn from(position: Position) -> Self {
        Self {
            incarnation: position.incarnation.0,
            sequence: position.sequence,
        }
    }
}

impl TryFrom<v1::Position> for Position {
    type Error = FieldError;
    fn try_from(wire: v1::Position) -> Result<Self, FieldError> {
        if wire.sequence > caps::SEQUENCE_MAX {
            return Err(FieldError::new(
                "sequence",
                format!("is {}, the limit is {}", wire.sequence, caps::SEQUENCE_MAX),
            ));
        }
        Ok(Self::new(Incarnation(wire.incarnation), wire.sequence))
    }
}

/// A lineage as it travels: its entries, oldest first.
pub fn lineage_to_wire(lineage: &Lineage) -> Vec<v1::LineageEntry> {
    lineage
        .entries()
        .iter()
        .map(|entry| v1::LineageEntry {
            incarnation: entry.incarnation.0,
            base: entry.base,
        })
        .collect()
}

/// Reads a lineage: at most [`caps::LINEAGE_ENTRIES_MAX`] entries, incarnations from 1 and rising. `field` is its name in the message.
pub fn lineage_from_wire(field: &str, wire: &[v1::LineageEntry]) -> Result<Lineage, FieldError> {
    if wire.len() > caps::LINEAGE_ENTRIES_MAX {
        return Err(FieldError::new(
            field,
            format!(
                "has {} entries, the limit is {}",
                wire.len(),
                caps::LINEAGE_ENTRIES_MAX
            ),
        ));
    }
    let mut lineage = Lineage::default();
    for (i, entry) in wire.iter().enumerate() {
        let wrong = |name: &str, description: String| {
            FieldError::new(format!("{field}[{i}].{name}"), description)
        };
        if entry.incarnation == 0 {
            return Err(wrong(
                "incarnation",
                "is 0; incarnations count from 1".into(),
            ));
        }
        if entry.base > caps::SEQUENCE_MAX {
            return Err(wrong(
                "base",
                format!("is {}, the limit is {}", entry.base, caps::SEQUENCE_MAX),
            ));
        }
        lineage
            .push(LineageEntry {
                incarnation: Incarnation(entry.incarnation),
                base: entry.base,
            })
            .map_err(|error| wrong("incarnation", error.to_string()))?;
    }
    Ok(lineage)
}
