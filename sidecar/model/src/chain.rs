//! Digests and the hash chain: `h(0) = 0`, `h(n) = BLAKE3(h(n-1), id, digest)`.
//!
//! The chain runs over one local log, in local order. Two logs with the same hash at a position hold the same events up to
//! there; that is what a replication stream is continued on, and what makes the log tamper-evident.

use std::fmt;

use crate::{id::EventId, mutant};

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// Wraps 32 bytes; `None` for any other length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0[..4].iter().try_for_each(|b| write!(f, "{b:02x}"))?;
                f.write_str("…")
            }
        }
    };
}

hash_type! {
    /// BLAKE3 over the canonical bytes of an event.
    Digest
}
hash_type! {
    /// The hash chain at a position of a local log.
    ChainHash
}

impl Digest {
    /// The digest of canonical bytes.
    pub fn of(canonical: &[u8]) -> Self {
        Self(*blake3::hash(canonical).as_bytes())
    }
}

impl ChainHash {
    /// The chain before the first event.
    pub const ZERO: Self = Self([0; 32]);

    /// The chain after one more event.
    #[must_use]
    pub fn next(self, id: &EventId, digest: &Digest) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0);
        let location = id.origin.location.as_str().as_bytes();
        hasher.update(&[location.len() as u8]);
        hasher.update(location);
        hasher.update(&id.origin.incarnation.0.to_be_bytes());
        if !mutant!("chain-without-sequence") {
            hasher.update(&id.sequence.to_be_bytes());
        }
        hasher.update(&digest.0);
        Self(*hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_of_the_chain_depends_on_all_of_its_parts() {
        let id: EventId = "eu#1/7".parse().unwrap();
        let link =
            |id: &str, digest| ChainHash::ZERO.next(&id.parse().unwrap(), &Digest([digest; 32]));
        let usual = link("eu#1/7", 1);
        for other in [
            link("us#1/7", 1),
            link("eu#2/7", 1),
            link("eu#1/8", 1),
            link("eu#1/7", 2),
            usual.next(&id, &Digest([1; 32])),
        ] {
            assert_ne!(other, usual);
        }
    }
}
