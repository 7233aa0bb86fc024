//! The vocabulary of Tidelog: pure values, no I/O, no clock, no randomness.
//!
//! Everything that two locations must agree on bit by bit lives here: the text forms, the limits, the canonical
//! bytes of an event and the hash chain over them. Every other room depends on this one; it depends on none.
//!
//! | module | what it holds |
//! |---|---|
//! | [`caps`] | every limit, in one place |
//! | [`id`] | locations, incarnations, origins, event ids |
//! | [`identity`] | who holds a certificate |
//! | [`vector_time`] | causal contexts, version and covered vectors, tokens |
//! | [`mutation`] | seeded bugs for the tests of the tests; nothing in a program that anybody runs |
//! | [`position`] | positions in a local log and the lineage that judges them |
//! | [`hlc`] | the hybrid logical clock |
//! | [`event`] | the envelope |
//! | [`canonical`] | the bytes that are digested, stored and forwarded |
//! | [`chain`] | digests and the hash chain |
//! | [`select`] | selectors and append conditions |
//! | [`version`] | application versions |
//! | [`witness_record`] | what an operator records of a location |

pub mod canonical;
pub mod caps;
pub mod chain;
pub mod event;
pub mod hlc;
pub mod id;
pub mod identity;
pub mod limit;
pub mod mutation;
pub mod position;
pub mod select;
mod text;
pub mod vector_time;
pub mod version;
pub mod witness_record;

pub use canonical::CanonicalError;
pub use chain::{ChainHash, Digest};
pub use event::{Cause, Event, NewEvent, StoredEvent};
pub use hlc::{HlcClock, HybridTime};
pub use id::{EventId, Incarnation, LocationName, Origin, ParseError};
pub use identity::{Identity, Realm, Role};
pub use limit::LimitError;
pub use position::{Lineage, LineageEntry, Position, PositionError};
pub use select::{Condition, Selector};
pub use vector_time::{Causality, VectorTime};
pub use version::ApplicationVersion;
pub use witness_record::{RecordName, RecordedHead, RecordedInstance, WitnessRecord};
