//! For how long edges have made no progress. A sidecar tells how far an edge is, not since when: each visit compares that with the one before.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// An edge of a link: uid of the link, source, target.
pub(crate) type EdgeOf = (String, String, String);

/// How far an edge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The source's positions up to this are copied.
    pub(crate) position: u64,
    /// In this incarnation of the source.
    pub(crate) incarnation: u32,
    /// Events that the filter kept back: to look at one is progress as well.
    pub(crate) filtered: u64,
}

/// What was seen last of each edge that is behind, and since when it has been so.
#[derive(Debug, Default)]
pub(crate) struct Motion(HashMap<EdgeOf, (Progress, Instant)>);

impl Motion {
    /// For how long an edge stands that is behind and is here now; `None`: it is not behind, does not run, or nobody has heard.
    pub(crate) fn still(
        &mut self,
        edge: EdgeOf,
        behind: Option<Progress>,
        now: Instant,
    ) -> Duration {
        let Some(progress) = behind else {
            self.0.remove(&edge);
            return Duration::ZERO;
        };
        let (last, since) = self.0.entry(edge).or_insert((progress, now));
        if *last != progress {
            (*last, *since) = (progress, now);
        }
        now.saturating_duration_since(*since)
    }

    /// Forgets links that are gone.
    pub(crate) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|(link, _, _), _| is_there(link));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge() -> EdgeOf {
        ("1".to_owned(), "us".to_owned(), "eu".to_owned())
    }

    fn at(position: u64) -> Progress {
        Progress {
            position,
            incarnation: 1,
            filtered: 0,
        }
    }

    #[test]
    fn an_edge_stands_since_it_was_first_seen_behind_where_it_is_now() {
        let (mut motion, begun) = (Motion::default(), Instant::now());
        let filtered = Progress {
            filtered: 1,
            ..at(8)
        };
        let anew = Progress {
            incarnation: 2,
            ..filtered
        };
        for (second, behind, still) in [
            (0, Some(at(7)), 0),
            (30, Some(at(7)), 30),
            (90, Some(at(7)), 90),
            // It moves, by an event, by one that is kept back, and in another incarnation of its source.
            (100, Some(at(8)), 0),
            (120, Some(at(8)), 20),
            (130, Some(filtered), 0),
            (150, Some(anew), 0),
            (160, Some(anew), 10),
            // Not behind, or not heard: what was before counts no more.
            (170, None, 0),
            (180, Some(anew), 0),
            (240, Some(anew), 60),
        ] {
            let now = begun + Duration::from_secs(second);
            let found = motion.still(edge(), behind, now);
            assert_eq!(found, Duration::from_secs(still), "{second}");
        }
        motion.retain(|link| link != "1");
        assert!(motion.0.is_empty());
    }
}
