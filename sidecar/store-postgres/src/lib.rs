//! The event log on PostgreSQL (14 or newer).
//!
//! [`PostgresStore`] keeps the contract of [`tidelog_store::LogStore`]; this is how:
//!
//! - **One statement per batch** (`write`): fence, sequence and rows in one round trip and one flush.
//! - **The writer has a connection of its own** (`session`): no ping, no queue behind readers. One that was left in the middle of a statement
//!   is never used again, and the server process behind it is ended before anybody is told what the log holds.
//! - **Nobody waits for a dead connection** (`watch`): whoever waits long has the server asked whether it works on it at all.
//! - **Every error is sorted** (`error`) into definite and unknown; what was lost in between is never guessed.
//! - **Durability is forced** for each connection, and a server that is set up to lose data is refused.
//! - **Compact rows** (`codec`, `origins`): origins are local integers, also in contexts and vectors; what is absent costs a bit.
//! - **SQL lives in this crate only**, the schema in `migrations/`.

mod admin;
mod backup;
mod check;
mod codec;
mod error;
mod lease;
mod migrations;
mod options;
mod origins;
mod read;
mod row;
mod schema;
mod session;
mod state;
mod statement;
mod store;
mod watch;
mod write;

pub use options::{PostgresOptions, database_name};
pub use schema::create_database;
pub use store::PostgresStore;
