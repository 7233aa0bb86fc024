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
