//! The suite that every store passes, and random traces beside the memory store.

use crate::fixture::Database;

tidelog_store::conformance_suite!(Database::new().await);
