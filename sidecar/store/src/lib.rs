//! Where a local log is kept: the contract that every store keeps, and the memory store.
//!
//! [`LogStore`] is the page to read. SQL lives in `store-postgres` and `store-sqlite`; what is decided about an event before it
//! is stored lives in `core`. A store decides nothing: it checks the guard, writes all or nothing, and gives back exactly
//! what was written.
//!
//! The suite in `conformance` (feature `test-util`) judges every store with the same cases, `differential` compares stores on random
//! traces, and `generate` makes the histories for both.

pub mod batch;
#[cfg(feature = "test-util")]
pub mod conformance;
#[cfg(feature = "test-util")]
pub mod differential;
pub mod error;
#[cfg(feature = "test-util")]
pub mod generate;
pub mod log_store;
pub mod memory;
pub mod query;
pub mod state;

pub use batch::{Fence, Guard, Raise, Rewrite, VoidedId, WriteBatch};
pub use error::{AlteredEvent, CommitError, StoreError};
pub use log_store::LogStore;
pub use memory::{MemorySnapshot, MemoryStore};
pub use query::{
    CauseKey, CheckAnswers, CheckQuery, ConditionQuery, IdRow, Page, ReadQuery, RequestRetention,
};
pub use state::{
    Consumer, EdgeKey, InstanceId, Lease, LeaseOutcome, LogState, Progress, StoredLease, head_sum,
};
