//! Origins, event ids and vectors.

use tidelog_model::{EventId, Incarnation, LocationName, Origin, VectorTime, caps};

use super::FieldError;
use crate::v1;

fn origin_from_wire(location: &str, incarnation: u32) -> Result<Origin, FieldError> {
    let location = LocationName::new(location)
        .map_err(|error| FieldError::new("location", error.to_string()))?;
    if incarnation == 0 {
        return Err(FieldError::new(
            "incarnation",
            format!("is 0; incarnations count from 1, for example {location}#1"),
        ));
    }
    Ok(Origin::new(location, Incarnation(incarnation)))
}

fn sequence_from_wire(sequence: u64, zero: &str) -> Result<u64, FieldError> {
    match sequence {
        0 => Err(FieldError::new("sequence", format!("is 0; {zero}"))),
        1..=caps::SEQUENCE_MAX => Ok(sequence),
        _ => Err(FieldError::new(
            "sequence",
            format!("is {sequence}, the limit is {}", caps::SEQUENCE_MAX),
        )),
    }
}

impl From<&Origin> for v1::Origin {
    fn from(origin: &Origin) -> Self {
        Self {
            location: origin.location.as_str().to_owned(),
            incarnation: origin.incarnation.0,
        }
    }
}

impl TryFrom<v1::Origin> for Origin {
    type Error = FieldError;
    fn try_from(wire: v1::Origin) -> Result<Self, FieldError> {
        origin_from_wire(&wire.location, wire.incarnation)
    }
}

impl From<&EventId> for v1::EventId {
    fn from(id: &EventId) -> Self {
        Self {
            location: id.origin.location.as_str().to_owned(),
            incarnation: id.origin.incarnation.0,
            sequence: id.sequence,
        }
    }
}

impl TryFrom<v1::EventId> for EventId {
    type Error = FieldError;
    fn try_from(wire: v1::EventId) -> Result<Self, FieldError> {
        Ok(Self::new(
            origin_from_wire(&wire.location, wire.incarnation)?,
            sequence_from_wire(wire.sequence, "events count from 1")?,
        ))
    }
}

impl From<&VectorTime> for v1::VectorTime {
    fn from(vector: &VectorTime) -> Self {
        Self {
            entries: vector
                .iter()
                .map(|(origin, sequence)| v1::vector_time::Entry {
                    location: origin.location.as_str().to_owned(),
                    incarnation: origin.incarnation.0,
                    sequence,
                })
                .collect(),
        }
    }
}

impl TryFrom<v1::VectorTime> for VectorTime {
    type Error = FieldError;
    fn try_from(wire: v1::VectorTime) -> Result<Self, FieldError> {
        if wire.entries.len() > caps::VECTOR_ENTRIES_MAX {
            return Err(FieldError::new(
                "entries",
                format!(
                    "has {} entries, the limit is {}",
                    wire.entries.len(),
                    caps::VECTOR_ENTRIES_MAX
                ),
            ));
        }
        let mut vector = Self::new();
        for (i, entry) in wire.entries.iter().enumerate() {
            let place = |e: FieldError| e.within(&format!("entries[{i}]"));
            let origin = origin_from_wire(&entry.location, entry.incarnation).map_err(place)?;
            let sequence = sequence_from_wire(
                entry.sequence,
                "leave out the entry of an origin of which nothing was seen",
            )
            .map_err(place)?;
            if vector.get(&origin) != 0 {
                return Err(place(FieldError::new(
                    "",
                    format!("names {origin} a second time; each origin has one entry"),
                )));
            }
            vector.set(&origin, sequence);
        }
        Ok(vector)
    }
}
