//! The configuration of a sidecar: the struct that is rendered by whoever plans and parsed by whoever runs, so that the two cannot drift.
//!
//! ```
//! use tidelog_config::Config;
//!
//! let text = "
//! log: orders
//! location: eu
//! storage: {sqlite: {path: data/logs/orders/eu}}
//! witness: {file: witness/eu}
//! edges:
//!   outgoing:
//!   - {target: us, dial: Source, endpoint: 'us.example.com:7443'}
//! ";
//! let config = Config::load(text, "sidecar.yaml", [("TIDELOG_LISTEN_API", "127.0.0.1:9000")])?;
//! assert_eq!(config.listen.api.port(), 9000);
//! assert_eq!(Config::from_yaml(&config.to_yaml()?, "again")?, config);
//! # Ok::<(), tidelog_config::ConfigError>(())
//! ```
//!
//! Precedence: defaults, file, environment ([`VARIABLES`]), flags. Form and values are checked apart: [`Config::from_yaml`] refuses unknown
//! fields and wrong types with their line; [`Config::validate`] reports every value that is wrong at once. [`reference()`] renders the
//! documentation from the same types.

mod config;
mod edge;
mod env;
mod error;
mod listen;
mod logging;
mod reference;
mod storage;
mod tls;
mod tuning;
mod validate;
mod value;

pub use config::{Application, Config, FILE_BYTES_MAX, Witness, WitnessByOperator};
pub use edge::{
    Batch, Dial, EdgeFilter, Edges, ExportFilter, Incoming, LagThreshold, Outgoing, Peer,
};
pub use env::{VARIABLES, Variable};
pub use error::{ConfigError, Problem};
pub use listen::Listen;
pub use logging::{LogFormat, Logging};
pub use reference::{FieldReference, fields, reference};
pub use storage::{Memory, Postgres, Sqlite, Storage};
pub use tls::Tls;
pub use tuning::{Reader, Replication, Writer};
pub use value::{ByteSize, Endpoint, Hash64, Secret, Span};
