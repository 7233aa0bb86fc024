//! Sizes and times. The defaults suit nearly everybody; what must be the same at every location is not here but in the model's limits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidelog_model::caps;

use crate::value::{ByteSize, Span};

/// The one writer of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Writer {
    /// How long its lease holds without being renewed: a fail-over takes so long, a frozen writer is fenced after it. 1 s to 1 h.
    pub lease: Span,
    /// After a loss, appends with a request id wait at most so long for lost events to come back from peers.
    pub recovering: Span,
    /// An append whose outcome stays unknown for so long is answered `OUTCOME_UNKNOWN`.
    pub resolve: Span,
    /// Events in one batch; a larger request goes alone.
    pub batch_events: u32,
    /// Bytes in one batch; a larger request goes alone.
    pub batch_bytes: ByteSize,
    /// Requests waiting for the writer; one more is refused with `QUEUE_FULL`.
    pub queue_requests: u32,
    /// Bytes waiting for the writer; a request beyond them is refused with `QUEUE_FULL`.
    pub queue_bytes: ByteSize,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            lease: Span::secs(5),
            recovering: Span::secs(30),
            resolve: Span::secs(10),
            batch_events: caps::BATCH_EVENTS_MAX as u32,
            batch_bytes: ByteSize::bytes(caps::BATCH_BYTES_MAX as u64),
            queue_requests: caps::QUEUE_REQUESTS_MAX as u32,
            queue_bytes: ByteSize::bytes(caps::QUEUE_BYTES_MAX as u64),
        }
    }
}

/// Reads and subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Reader {
    /// Bytes of the newest events that are kept in memory for live subscribers; slower ones are served from the database.
    pub tail_cache_bytes: ByteSize,
    /// Events in one message.
    pub page_events: u32,
    /// Bytes of payload in one message; a larger event travels alone.
    pub page_bytes: ByteSize,
    /// Events that are looked at for one message, matching or not.
    pub page_scan: u32,
    /// A subscription that has nothing to say says so this often.
    pub heartbeat: Span,
    /// How long a wait for a version lasts when the client sets no deadline.
    pub wait: Span,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            tail_cache_bytes: ByteSize::mib(16),
            page_events: 500,
            page_bytes: ByteSize::mib(1),
            page_scan: 16_384,
            heartbeat: Span::secs(5),
            wait: Span::secs(30),
        }
    }
}

/// Streams between locations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Replication {
    /// Bytes of frames in flight per edge: the bandwidth of an edge is this per round trip.
    pub window_bytes: ByteSize,
    /// Bytes in one frame; a larger event travels alone.
    pub frame_bytes: ByteSize,
    /// Events in one frame.
    pub frame_events: u32,
    /// Events that are looked at for one frame, admitted by the filters or not.
    pub scan_rows: u32,
    /// Either side speaks at least this often; three times as long without a word and the lag is unknown.
    pub heartbeat: Span,
    /// A connection that does not stand by then is given up.
    pub connect: Span,
    /// First pause before dialling again.
    pub backoff_min: Span,
    /// Longest pause before dialling again.
    pub backoff_max: Span,
}

impl Default for Replication {
    fn default() -> Self {
        Self {
            window_bytes: ByteSize::mib(8),
            frame_bytes: ByteSize::mib(1),
            frame_events: 1_000,
            scan_rows: 4_096,
            heartbeat: Span::secs(1),
            connect: Span::secs(5),
            backoff_min: Span::millis(100),
            backoff_max: Span::secs(10),
        }
    }
}
