//! The wire types of `tidelog.v1`, and their conversion to the model.
//!
//! The `.proto` files below `proto/` are the API; this crate is what the compiler makes of them, plus what every server and
//! client would otherwise write again.
//!
//! | module | what it holds |
//! |---|---|
//! | [`v1`] | generated messages, clients and servers |
//! | `codec` | the buffers of a call |
//! | `seal` | the checksum of what locations say to each other |
//! | [`convert`] | between the wire and the model |
//! | [`error`] | reasons, details, statuses |
//! | [`json`] | events in JSON |

mod codec;
pub mod convert;
pub mod error;
pub mod json;
mod seal;
pub mod v1;

pub use convert::FieldError;
pub use error::{ApiError, ErrorReason};

/// The encoded `FileDescriptorSet` of everything in [`v1`], what it imports, and the details of errors, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/tidelog_descriptor.bin"));
