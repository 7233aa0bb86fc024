//! What an edge lets through: the export filter of this location and the filters of the link.

use tidelog_core::{Admission, EdgeFilter};
use tidelog_filter::{FilterSet, Verdict};
use tidelog_model::{LocationName, StoredEvent, mutant};

/// The filters of one outgoing edge.
pub(crate) struct Rules {
    pub(crate) source: LocationName,
    pub(crate) target: LocationName,
    pub(crate) export: FilterSet,
    pub(crate) link: FilterSet,
}

impl EdgeFilter for Rules {
    fn admit(&self, stored: &StoredEvent) -> Admission {
        // Own events that came back from a peer were judged when they left the first time; the peer that sent them has them.
        let mine = stored.event.id.origin.location == self.source;
        let mut own = stored.appended_here && mine;
        if mutant!("export-filter-on-what-came-back") {
            own = mine;
        }
        if mutant!("export-filter-on-events-of-others") {
            own = true;
        }
        let export = if own {
            self.judge(&self.export, stored)
        } else {
            Admission::Pass
        };
        match export {
            Admission::Filtered if !mutant!("export-filter-ignored") => Admission::Filtered,
            Admission::Pass | Admission::Filtered => self.judge(&self.link, stored),
            // What the link keeps back for sure does not leave, so nobody has to decide about it.
            Admission::Stall(reason) => match self.judge(&self.link, stored) {
                Admission::Filtered if mutant!("stall-wins-over-a-filter") => {
                    Admission::Stall(reason)
                }
                Admission::Filtered => Admission::Filtered,
                _ => Admission::Stall(reason),
            },
        }
    }
}

impl Rules {
    fn judge(&self, set: &FilterSet, stored: &StoredEvent) -> Admission {
        if set.is_empty() {
            return Admission::Pass;
        }
        match set.evaluate(&stored.event, &self.source, &self.target) {
            Verdict::Pass => Admission::Pass,
            Verdict::Drop => Admission::Filtered,
            Verdict::Stall(reason) => {
                Admission::Stall(format!("filter `{}`: {}", reason.filter, reason.error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use tidelog_filter::{Filter, OnError};
    use tidelog_model::{Digest, Event, HybridTime, VectorTime};

    use super::*;

    fn filter(cel: &str) -> FilterSet {
        FilterSet::new([Filter::compile("f", cel, OnError::Stall).unwrap()])
    }

    fn rules(export: &str, link: &str) -> Rules {
        Rules {
            source: LocationName::new("eu").unwrap(),
            target: LocationName::new("us").unwrap(),
            export: filter(export),
            link: filter(link),
        }
    }

    fn event(id: &str, appended_here: bool) -> StoredEvent {
        StoredEvent {
            sequence: 9,
            stored_at_micros: 0,
            appended_here,
            digest: Digest::default(),
            event: Arc::new(Event {
                id: id.parse().unwrap(),
                context: VectorTime::new(),
                time: HybridTime::default(),
                event_type: "secret".into(),
                schema_version: 0,
                content_type: String::new(),
                payload: Bytes::new(),
                emitter_id: String::new(),
                aggregate_id: "a".into(),
                destinations: Vec::new(),
                metadata: [].into(),
                caused_by: None,
                delivery_id: String::new(),
                request_id: String::new(),
                request_index: 0,
                request_count: 0,
                application_version: "".parse().unwrap(),
                plan_id: 0,
            }),
        }
    }

    #[test]
    fn the_export_filter_judges_what_was_appended_here_and_nothing_else() {
        let rules = rules("event.type != 'secret'", "event.type != 'other'");
        assert_eq!(rules.admit(&event("eu#1/1", true)), Admission::Filtered);
        assert_eq!(rules.admit(&event("us#1/1", false)), Admission::Pass);
        // It was let out before it was lost here, or it would not have come back.
        assert_eq!(rules.admit(&event("eu#1/1", false)), Admission::Pass);
    }

    #[test]
    fn what_one_filter_keeps_back_for_sure_does_not_wait_for_the_other_one() {
        let unclear = "event.metadata.region == 'eu'";
        let never = "event.type != 'secret'";
        let own = event("eu#1/1", true);
        assert_eq!(rules(unclear, never).admit(&own), Admission::Filtered);
        assert_eq!(rules(never, unclear).admit(&own), Admission::Filtered);
        let stalls = rules(unclear, "event.type == 'secret'").admit(&own);
        assert!(matches!(stalls, Admission::Stall(_)), "{stalls:?}");
    }
}
