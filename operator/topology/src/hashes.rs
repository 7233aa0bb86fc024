//! Hashes over what locations must agree on, each over bytes that say one thing only: every text carries its length,
//! every list its count, and what has no order is sorted.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::input::{DialSide, HubDirection, Link, Log, OnError, PointDirection, Topology};
use crate::plan::{Edge, Predicate};

/// Version of the filter evaluator; part of every predicate, so that a change of its meaning is a change of the filter.
pub const EVALUATOR_VERSION: u32 = 1;

/// First byte of everything that is hashed here; changes with the encoding.
const ENCODING: u8 = 1;

/// A BLAKE3 hash; as text 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight digits, for people.
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from(self.0).to_hex())
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Stamp of a log's link filters, carried by every event: the first eight bytes of their hash, as a big-endian number.
/// JSON has it as a decimal string, as it has every 64-bit integer; people read 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanId(u64);

impl PlanId {
    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for PlanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Hash of log, locations with endpoint and export filter, application name, shapes and filters of the links. Not in it:
/// application version, names of links and filters, `paused`, batch and lag limits, all of which may differ for a while.
pub(crate) fn spec_hash(log: &Log, links: &[Link]) -> Digest {
    let mut bytes = Bytes::new("spec");
    bytes.text(&log.name);
    bytes.text(&log.application.name);
    bytes.sorted(log.locations.iter().map(|location| {
        let mut item = Bytes::default();
        item.text(&location.name);
        item.optional(location.endpoint.as_ref(), |item, endpoint| {
            item.text(&endpoint.host);
            item.number(u64::from(endpoint.port));
        });
        item.optional(location.export_filter.as_ref(), |item, filter| {
            item.text(filter.cel.trim());
            item.on_error(filter.on_error);
        });
        item
    }));
    bytes.sorted(links.iter().map(|link| {
        let mut item = Bytes::default();
        topology(&mut item, &link.topology);
        item.sorted(link.filters.iter().map(|filter| {
            let mut item = Bytes::default();
            item.optional(filter.sources.as_deref(), Bytes::names);
            item.optional(filter.targets.as_deref(), Bytes::names);
            item.text(filter.cel.trim());
            item.on_error(filter.on_error);
            item
        }));
        item
    }));
    bytes.digest()
}

/// Hash of an edge's predicates, which are sorted already.
pub(crate) fn filter_hash<'a>(predicates: impl Iterator<Item = &'a Predicate>) -> Digest {
    let mut bytes = Bytes::new("filter");
    bytes.predicates(predicates);
    bytes.digest()
}

/// Stamp of all link filters of a plan. Edges without filters are left out: adding one changes nothing for old events.
/// Export filters are not in it: they are asked once, where an event is appended.
pub(crate) fn plan_id<'a>(edges: impl Iterator<Item = &'a Edge>) -> PlanId {
    let mut bytes = Bytes::new("plan");
    bytes.sorted(edges.filter(|edge| !edge.filters.is_empty()).map(|edge| {
        let mut item = Bytes::default();
        item.text(&edge.source);
        item.text(&edge.target);
        item.predicates(edge.predicates());
        item
    }));
    let digest = bytes.digest();
    let mut first = [0; 8];
    first.copy_from_slice(&digest.0[..8]);
    PlanId(u64::from_be_bytes(first))
}

fn topology(bytes: &mut Bytes, topology: &Topology) {
    match topology {
        Topology::Dense { locations } => {
            bytes.text("dense");
            bytes.names(locations);
        }
        Topology::HubAndSpoke {
            hub,
            spokes,
            direction,
            dial,
        } => {
            bytes.text("hubAndSpoke");
            bytes.text(hub);
            bytes.names(spokes);
            bytes.number(match direction {
                HubDirection::Both => 0,
                HubDirection::HubToSpokes => 1,
                HubDirection::SpokesToHub => 2,
            });
            bytes.number(match dial {
                DialSide::Auto => 0,
                DialSide::Spoke => 1,
            });
        }
        Topology::PointToPoint {
            source,
            target,
            direction,
        } => {
            bytes.text("pointToPoint");
            bytes.text(source);
            bytes.text(target);
            bytes.number(match direction {
                PointDirection::OneWay => 0,
                PointDirection::Both => 1,
            });
        }
    }
}

#[derive(Default, PartialEq, Eq, PartialOrd, Ord)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn new(what: &str) -> Self {
        let mut bytes = Self(vec![ENCODING]);
        bytes.text(what);
        bytes
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn names(&mut self, names: &[String]) {
        self.sorted(names.iter().map(|name| {
            let mut item = Self::default();
            item.text(name);
            item
        }));
    }

    fn optional<T: ?Sized>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.number(u64::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn sorted(&mut self, items: impl Iterator<Item = Self>) {
        let mut items: Vec<Self> = items.collect();
        items.sort();
        items.dedup();
        self.number(items.len() as u64);
        for item in items {
            self.0.extend_from_slice(&item.0);
        }
    }

    fn on_error(&mut self, on_error: OnError) {
        self.text(on_error.as_str());
    }

    fn predicates<'a>(&mut self, predicates: impl Iterator<Item = &'a Predicate>) {
        self.sorted(predicates.map(|predicate| {
            let mut item = Self::default();
            item.text(&predicate.cel);
            item.on_error(predicate.on_error);
            item.number(u64::from(predicate.evaluator));
            item
        }));
    }

    fn digest(&self) -> Digest {
        Digest(*blake3::hash(&self.0).as_bytes())
    }
}
