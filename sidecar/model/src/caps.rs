//! Every limit of the event log, in one file. All are inclusive maxima, the same at every location and in every store:
//! a limit that differed between two locations would stall an edge on an event that was already acknowledged.

/// Bytes of a location name (a DNS label).
pub const LOCATION_NAME_BYTES_MAX: usize = 63;
/// Bytes of a log name (a DNS subdomain label, it becomes part of database and file names).
pub const LOG_NAME_BYTES_MAX: usize = 63;
/// Bytes of any key or id: aggregate, emitter, destination, delivery, request, type, metadata key, consumer name.
pub const KEY_BYTES_MAX: usize = 512;
/// Bytes of a content type.
pub const CONTENT_TYPE_BYTES_MAX: usize = 256;
/// Bytes of an application version (dotted integers).
pub const APPLICATION_VERSION_BYTES_MAX: usize = 64;
/// Destinations of one event.
pub const DESTINATIONS_MAX: usize = 64;
/// Metadata entries of one event.
pub const METADATA_ENTRIES_MAX: usize = 64;
/// Bytes of one metadata value.
pub const METADATA_VALUE_BYTES_MAX: usize = 8 * 1024;
/// Canonical bytes of one event, payload included.
pub const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Events of one append request.
pub const REQUEST_EVENTS_MAX: usize = 1_000;
/// Canonical bytes of all events of one append request.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A sequence fits a signed 64-bit column.
pub const SEQUENCE_MAX: u64 = i64::MAX as u64;
/// Entries of a vector.
pub const VECTOR_ENTRIES_MAX: usize = 256;
/// Entries of a vector from which on the log warns that entries need to be retired.
pub const VECTOR_ENTRIES_WARN: usize = VECTOR_ENTRIES_MAX / 2;
/// Entries of a lineage.
pub const LINEAGE_ENTRIES_MAX: usize = 4_096;
/// Keys, types or origins in a selector or condition.
pub const SELECTOR_ITEMS_MAX: usize = 256;
/// Bytes of a CEL expression.
pub const CEL_BYTES_MAX: usize = 4 * 1024;

/// Events in one write batch.
pub const BATCH_EVENTS_MAX: usize = 1_000;
/// Canonical bytes in one write batch (a single request or event may exceed it and then travels alone).
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Requests waiting for the writer; one more is refused with `QUEUE_FULL`.
pub const QUEUE_REQUESTS_MAX: usize = 10_000;
/// Bytes waiting for the writer; a request beyond them is refused with `QUEUE_FULL`.
pub const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Microseconds by which a received time may lie ahead of the local clock and still move it.
pub const CLOCK_AHEAD_MICROS_MAX: i64 = 60_000_000;

/// Milliseconds for which a request id is remembered.
pub const REQUEST_ID_KEEP_MILLIS: i64 = 24 * 3_600 * 1_000;
/// The newest request ids that are remembered whatever their age.
pub const REQUEST_IDS_MIN: u64 = 1_000_000;
/// Request ids beyond this many newest are forgotten whatever their age.
pub const REQUEST_IDS_MAX: u64 = 10_000_000;
