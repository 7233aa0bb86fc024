//! Drives one local log: its writer, and everything that reads it.
//!
//! The reading side knows the writer only through what it publishes. A [`Publisher`] shows each commit; a [`LogReader`] serves pages,
//! reads, subscriptions, consumers and waits from it, from memory where it can and from the store otherwise.
//!
//! | module | what it holds |
//! |---|---|
//! | [`log`] | a running log: the handle for everybody else |
//! | [`options`] | what a log needs to run |
//! | [`witness`] | where the witness is kept |
//! | [`publish`] | the writer's end: publish, suspend, reset, close |
//! | [`reader`] | pages, identities, hashes, following the view |
//! | [`read`] | finite reads |
//! | [`subscription`] | replay, caught up, live |
//! | [`consumer`] | durable named consumers |
//! | [`wait`] | waiting for a causal token |
//! | [`selection`] | which events a reader wants |
//! | [`errors`] | what each of them answers when it cannot |

pub mod consumer;
mod driver;
pub mod errors;
pub mod log;
pub mod options;
pub mod publish;
pub mod read;
pub mod reader;
pub mod selection;
pub mod subscription;
mod supervisor;
mod tail;
pub mod wait;
pub mod witness;

pub use consumer::ConsumerStatus;
pub use errors::{AwaitError, Closed, ConsumerError, PageError, ReadError, SubscribeError};
pub use log::{LogCounters, LogHandle, LogPhase, LogStatus, Pending};
pub use options::{LogOptions, Random};
pub use publish::{Clock, Ends, Publisher, ReaderOptions, published};
pub use read::{ReadItem, ReadRequest, Reading};
pub use reader::{IdPage, LogReader, PageQuery, ReadPage, TailSize, ViewWatch};
pub use selection::{Predicate, Selection};
pub use subscription::{Start, SubscribeRequest, Subscription, SubscriptionItem};
pub use witness::{FileWitness, Recorded, WitnessKeeper};
