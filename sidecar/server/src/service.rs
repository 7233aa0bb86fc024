//! One file per gRPC service.

pub mod admin;
pub mod log;
