//! Mutual TLS between locations, and from a location's own people and applications.
//!
//! Who somebody is stands in the one URI of the certificate ([`tidelog_model::Identity`]); names of hosts count for nothing, so an address may change
//! without a new certificate. A certificate counts when an authority that may vouch for its location signed it: that of `eu` cannot make a
//! certificate for `us`, unless it was given that location too. TLS 1.3 only.
//!
//! [`Tls`] holds what was read from the files, and reads them again; connections that stand are not touched by that, the next ones use what is new.
//! Files that do not fit together (a new certificate beside the old key, in the middle of a rotation) are left for the next look.
//!
//! | module | what it holds |
//! |---|---|
//! | `files` | where certificate, key and authorities are, and reading them |
//! | `vouch` | whether a certificate counts, and whose it is |
//! | `verifier` | the same in the form that the TLS library asks for |
//! | `life` | when a certificate should have been replaced |
//! | `tls` | what is in force; both ends of a handshake |
//! | `begun` | a connection on which the other side has spoken already |

mod begun;
mod files;
mod life;
mod tls;
mod verifier;
mod vouch;

pub use begun::Begun;
pub use files::{Files, LoadError, Pems};
pub use life::late_from;
pub use tls::{Certificates, HandshakeError, Tls};
pub use vouch::Rejected;
