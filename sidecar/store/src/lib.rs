//! Where a local log is kept: the contract that every store keeps, and the memory store.
//!
//! [`LogStore`] is the page to read. SQL lives in `store-postgres` and `store-sqlite`; what is decided about an event before it
//! is stored lives in `core`. A store decides nothing: it checks the guard, writes all or nothing, and gives back exactly
//! what was written.
//!
//! The suite in `conformance` (feature `test-util`) judges every store with the same cases.

pub mod batch;
pub mod error;
pub mod log_store;
pub mod query;
pub mod state;

pub use batch::{Guard, Raise, Rewrite, VoidedId, WriteBatch};
pub use error::{CommitError, StoreError};
pub use log_store::LogStore;
pub use query::{
    CauseKey, CheckAnswers, CheckQuery, ConditionQuery, IdRow, Page, ReadQuery, RequestRetention,
};
pub use state::{
    Consumer, EdgeKey, InstanceId, Lease, LeaseOutcome, LogState, Progress, StoredLease,
};
