//! Growing, jittered pauses.

use std::time::Duration;

use tidelog_engine::Random;
use tidelog_model::mutant;

/// Pauses between attempts: each up to twice the one before, drawn from its upper half, so that peers that lost each other at the
/// same moment do not come back at the same moment.
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    attempts: u32,
    random: Random,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration, random: Random) -> Self {
        Self {
            min,
            max: max.max(min),
            attempts: 0,
            random,
        }
    }

    /// The next pause.
    pub(crate) fn next(&mut self) -> Duration {
        let full = self
            .min
            .saturating_mul(1 << self.attempts.min(20))
            .min(self.max);
        if !mutant!("pauses-do-not-grow") {
            self.attempts = self.attempts.saturating_add(1);
        }
        let half = full / 2;
        let span = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1);
        if mutant!("pauses-without-jitter") {
            return full;
        }
        half + Duration::from_micros((self.random)() % span)
    }

    /// The next pause is the first one again.
    pub(crate) fn reset(&mut self) {
        if !mutant!("pauses-never-start-anew") {
            self.attempts = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn pauses_grow_to_the_maximum_within_their_jitter_and_start_anew_after_a_reset() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(10));
        let mut backoff = Backoff::new(min, max, Arc::new(|| u64::MAX / 3));
        let pauses: Vec<_> = (0..10).map(|_| backoff.next()).collect();
        for (i, pause) in pauses.iter().enumerate() {
            let full = min.saturating_mul(1 << i).min(max);
            assert!(*pause >= full / 2 && *pause <= full, "{i}: {pause:?}");
        }
        assert!(pauses[9] >= max / 2);
        backoff.reset();
        assert!(backoff.next() <= min);
    }

    #[test]
    fn two_that_lost_each_other_at_the_same_moment_do_not_come_back_at_the_same_moment() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(10));
        let mut one = Backoff::new(min, max, Arc::new(|| 7));
        let mut other = Backoff::new(min, max, Arc::new(|| 40_007));
        for _ in 0..10 {
            assert!(other.next() >= one.next() + Duration::from_millis(40));
        }
    }
}
