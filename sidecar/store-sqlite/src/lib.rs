//! The event log on SQLite: for development, shops and shelves, one process at a time.
//!
//! ```text
//! logs/<log>/<location>/        the database and nothing else: a copy of the folder, taken while stopped, is a backup
//!     log.db  log.db-wal  log.db-shm
//! logs/<log>/<location>.lock    locked as long as a process has the database open; says which
//! ```
//! WAL with `synchronous=FULL`. One connection writes, a few read. A batch is one text of SQL that goes to the writer's thread in one hop:
//! guard, events, keys, request ids, progress and commit. The guard is a constraint on the head's row: when it does not hold the
//! first statement fails and nothing of the rest is run.
//!
//! | module | what it holds |
//! |---|---|
//! | `store` | [`SqliteStore`]: the contract, and who may use which connection |
//! | `open` | lock, folder, connections, schema, owner |
//! | `write`, `lease`, `retention` | what changes the database |
//! | `read`, `check`, `state` | what asks it |
//! | `backup` | a copy of a log in use |
//! | `codec`, `origins`, `row` | values as columns and back |
//! | `script` | several statements in one hop |
//! | `error` | SQLite's result codes, sorted by what the caller has to do |

mod backup;
mod check;
mod codec;
mod error;
mod lease;
mod lock;
mod migrations;
mod open;
mod origins;
mod read;
mod retention;
mod row;
mod script;
mod state;
mod store;
mod write;

pub use open::SqliteOptions;
pub use store::SqliteStore;
