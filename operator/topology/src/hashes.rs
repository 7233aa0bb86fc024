//! Hashes over what locations must agree on, each over bytes that say one thing only: every text carries its length,
//! every list its count, and what has no order is sorted.

use std::fmt;

use serde::{Serialize, Serializer};

use tidelog_filter::OnError;

use crate::input::{DialSide, HubDirection, Link, Log, PointDirection, Topology};

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

/// Stamp of a log's filters, carried by every event. JSON has it as a decimal string, as it has every 64-bit integer; people read
/// 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanId(pub(crate) u64);

/// Hash of the filters of one edge, in the same forms as [`PlanId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilterHash(pub(crate) u64);

macro_rules! number {
    ($($name:ident)+) => {$(
        impl $name {
            /// The number.
            pub fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }
    )+};
}

number!(PlanId FilterHash);

/// Hash of log, locations with endpoint and export filter, application name, shapes and filters of the links. Not in it:
/// application version, names of links and filters, `paused`, batch and lag limits, all of which may differ for a while.
pub(crate) fn spec_hash(log: &Log, links: &[Link]) -> Digest {
    let mut bytes = Bytes(vec![ENCODING]);
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
        self.text(&on_error.to_string());
    }

    fn digest(&self) -> Digest {
        Digest(*blake3::hash(&self.0).as_bytes())
    }
}
