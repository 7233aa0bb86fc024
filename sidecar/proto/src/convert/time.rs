//! Microseconds of the model and timestamps of the wire.

use pbjson_types::Timestamp;
use tidelog_model::HybridTime;

use super::FieldError;
use crate::v1;

const MICROS_PER_SECOND: i64 = 1_000_000;
const NANOS_PER_MICRO: i32 = 1_000;

/// Microseconds since the Unix epoch as a timestamp. Total: every value has one, also before the epoch.
pub fn timestamp_from_micros(micros: i64) -> Timestamp {
    Timestamp {
        seconds: micros.div_euclid(MICROS_PER_SECOND),
        nanos: micros.rem_euclid(MICROS_PER_SECOND) as i32 * NANOS_PER_MICRO,
    }
}

/// A timestamp as microseconds since the Unix epoch; what is finer is cut off (towards the past). The error has an empty field: it is the
/// timestamp itself.
pub fn micros_from_timestamp(timestamp: &Timestamp) -> Result<i64, FieldError> {
    if !(0..1_000_000_000).contains(&timestamp.nanos) {
        return Err(FieldError::new(
            "nanos",
            format!("is {}; expected 0 to 999999999", timestamp.nanos),
        ));
    }
    // In 128 bits: the earliest whole seconds alone lie beyond 64-bit microseconds, with their fraction they do not.
    let micros = i128::from(timestamp.seconds) * i128::from(MICROS_PER_SECOND)
        + i128::from(timestamp.nanos / NANOS_PER_MICRO);
    i64::try_from(micros).map_err(|_| {
        FieldError::new(
            "seconds",
            format!(
                "is {}; expected a time that fits 64-bit microseconds",
                timestamp.seconds
            ),
        )
    })
}

impl From<HybridTime> for v1::HybridTime {
    fn from(time: HybridTime) -> Self {
        Self {
            physical: Some(timestamp_from_micros(time.micros)),
            logical: time.logical,
        }
    }
}

impl TryFrom<v1::HybridTime> for HybridTime {
    type Error = FieldError;
    fn try_from(wire: v1::HybridTime) -> Result<Self, FieldError> {
        let physical = wire
            .physical
            .ok_or_else(|| FieldError::missing("physical"))?;
        Ok(Self {
            micros: micros_from_timestamp(&physical).map_err(|e| e.within("physical"))?,
            logical: wire.logical,
        })
    }
}
