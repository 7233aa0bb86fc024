//! The hybrid logical clock: sortable by people, consistent with causality, never backwards at a location.
//!
//! Algorithm: Kulkarni, Demirbas, Madappa, Avva, Leone, "Logical Physical Clocks" (OPODIS 2014), with a bound on how far a
//! received time may drag the local clock.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{caps, mutant};

/// Microseconds since the Unix epoch with a logical counter; ordered by the first, then the second.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct HybridTime {
    /// Microseconds since the Unix epoch.
    pub micros: i64,
    /// Counter within one microsecond.
    pub logical: u32,
}

impl fmt::Display for HybridTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.micros, self.logical)
    }
}

/// The clock of a location: its high water mark, which is stored in the append's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HlcClock {
    last: HybridTime,
}

impl HlcClock {
    /// A clock that continues above a stored high water mark.
    pub fn starting_at(last: HybridTime) -> Self {
        Self { last }
    }

    /// The high water mark.
    pub fn last(&self) -> HybridTime {
        self.last
    }

    /// The time of a new local event, above everything told before, however the wall clock steps.
    pub fn tick(&mut self, now_micros: i64) -> HybridTime {
        self.last = if now_micros > self.last.micros {
            HybridTime {
                micros: now_micros,
                logical: 0,
            }
        } else if self.last.logical == u32::MAX {
            HybridTime {
                micros: self.last.micros + 1,
                logical: 0,
            }
        } else {
            HybridTime {
                logical: self.last.logical + 1,
                ..self.last
            }
        };
        self.last
    }

    /// Takes note of a received event's time. Returns false when it lies too far ahead: then it does not move the clock
    /// (one wrong clock must not drag all others), and order by time is not causal for that event.
    pub fn observe(&mut self, received: HybridTime, now_micros: i64) -> bool {
        // Against the wall clock, not against what was received before: otherwise the bound would creep with each wrong time.
        let bound = now_micros
            .saturating_add(caps::CLOCK_AHEAD_MICROS_MAX)
            .max(self.last.micros);
        if received.micros > bound && !mutant!("any-time-drags-the-clock") {
            return false;
        }
        self.last = if mutant!("clock-follows-what-it-receives") {
            received
        } else {
            self.last.max(received)
        };
        true
    }
}
