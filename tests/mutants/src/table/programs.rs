//! The test programs that catch mutants.

use crate::mutant::Program;

/// Cases for one machine of the log core each.
pub const MACHINES: Program = Program {
    package: "tidelog-core",
    name: "machines",
};
/// Cases beside the code of the log core.
pub const CORE: Program = Program {
    package: "tidelog-core",
    name: "tidelog_core",
};
/// Who comes in with which certificate.
pub const HANDSHAKES: Program = Program {
    package: "tidelog-tls",
    name: "handshakes",
};
/// Cases beside the code of the model.
pub const MODEL: Program = Program {
    package: "tidelog-model",
    name: "tidelog_model",
};
/// The algebra of vectors, order and clocks.
pub const ALGEBRA: Program = Program {
    package: "tidelog-model",
    name: "algebra",
};
/// The contract of stores, kept by the one in memory.
pub const MEMORY: Program = Program {
    package: "tidelog-store",
    name: "memory",
};
/// The contract of stores, kept by the one in SQLite, and its files.
pub const SQLITE: Program = Program {
    package: "tidelog-store-sqlite",
    name: "sqlite",
};
/// What a SQLite file that fails does.
pub const SQLITE_WRITES: Program = Program {
    package: "tidelog-store-sqlite",
    name: "tidelog_store_sqlite",
};
/// Bits that turn over in what stores have written.
pub const FLIPPED_BITS: Program = Program {
    package: "tidelog-fuzz",
    name: "flipped_bits",
};
/// The contract of stores, kept by the one in PostgreSQL, and its server.
pub const POSTGRES: Program = Program {
    package: "tidelog-store-postgres",
    name: "postgres",
};
/// Readers of the log.
pub const READING: Program = Program {
    package: "tidelog-engine",
    name: "reading",
};
/// The life of a writer.
pub const WRITING: Program = Program {
    package: "tidelog-engine",
    name: "writing",
};
/// Cases beside the code of the engine.
pub const ENGINE: Program = Program {
    package: "tidelog-engine",
    name: "tidelog_engine",
};
/// The language of filters.
pub const FILTER: Program = Program {
    package: "tidelog-filter",
    name: "filter",
};
/// Cases beside the code of replication.
pub const RULES: Program = Program {
    package: "tidelog-replication",
    name: "tidelog_replication",
};
/// Plans.
pub const PLANS: Program = Program {
    package: "tidelog-topology",
    name: "plans",
};
/// Cases beside the code of the planner.
pub const TOPOLOGY: Program = Program {
    package: "tidelog-topology",
    name: "tidelog_topology",
};
/// Locations in one process, with real sockets between them.
pub const STREAMS: Program = Program {
    package: "tidelog-replication",
    name: "streams",
};
/// Cases beside the code of the wire types.
pub const PROTO: Program = Program {
    package: "tidelog-proto",
    name: "tidelog_proto",
};
/// One location and its clients.
pub const SERVER_WIRE: Program = Program {
    package: "tidelog-server",
    name: "wire",
};
/// Locations by their configuration.
pub const LOCATION: Program = Program {
    package: "tidelog-server",
    name: "location",
};
/// Streams without an end.
pub const ENDLESS: Program = Program {
    package: "tidelog-fuzz",
    name: "endless",
};
/// Hostile and broken input.
pub const PROPERTIES: Program = Program {
    package: "tidelog-fuzz",
    name: "properties",
};
