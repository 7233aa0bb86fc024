//! What a location says about itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidelog_config::Config;
use tidelog_engine::{LogCounters, LogHandle, LogPhase};
use tidelog_model::{ApplicationVersion, caps, mutant};
use tidelog_proto::convert::lineage_to_wire;
use tidelog_proto::error::{ApiError, ErrorReason, key};
use tidelog_proto::v1;
use tokio::sync::watch;

use crate::serve::MESSAGE_BYTES_MAX;

/// The parts that do not come from the log itself.
#[derive(Debug, Clone)]
pub struct About {
    /// The log.
    pub log: String,
    /// The location.
    pub location: String,
    /// Name of the application.
    pub application_name: String,
    /// Version of the application.
    pub application_version: ApplicationVersion,
}

/// Answers `Describe` and names the writer in errors.
#[derive(Clone)]
pub struct Describe {
    about: Arc<About>,
    limits: Arc<BTreeMap<String, u64>>,
    recovered: watch::Receiver<v1::Recovered>,
    log: LogHandle,
}

impl Describe {
    /// Describes one location.
    pub fn new(
        about: About,
        config: &Config,
        recovered: watch::Receiver<v1::Recovered>,
        log: LogHandle,
    ) -> Self {
        Self {
            about: Arc::new(about),
            limits: Arc::new(limits(config)),
            recovered,
            log,
        }
    }

    /// What is configured.
    pub fn about(&self) -> About {
        About::clone(&self.about)
    }

    /// Refuses a request for another log.
    pub fn check_log(&self, asked: &str) -> Result<(), ApiError> {
        let served = &self.about.log;
        if asked.is_empty() || asked == served || mutant!("answers-for-another-log") {
            return Ok(());
        }
        let message = format!("log `{asked}` is not served here; this address serves `{served}`");
        Err(ApiError::new(ErrorReason::LogNotFound, message))
    }

    /// Adds where the writer is, when it is somewhere else.
    pub fn with_writer(&self, error: ApiError) -> ApiError {
        match &self.log.status().borrow().phase {
            LogPhase::Standby { address, .. }
                if error.reason == ErrorReason::NotWriter && !address.is_empty() =>
            {
                error.with(key::WRITER_ADDRESS, address)
            }
            _ => error,
        }
    }

    /// Whether lost events are back.
    pub fn recovered(&self) -> v1::Recovered {
        self.recovered.borrow().clone()
    }

    /// The answer to `Describe`.
    pub fn describe(&self, log: &LogHandle) -> v1::DescribeResponse {
        let about = self.about();
        let view = log.reader().view();
        let status = log.status().borrow().clone();
        v1::DescribeResponse {
            location: about.location,
            log: about.log,
            incarnation: view.current().incarnation.0,
            lineage: lineage_to_wire(&view.lineage),
            database_identity: status.instance.map(|i| i.to_string()).unwrap_or_default(),
            head: view.head,
            hash: view.hash.0.to_vec().into(),
            version_vector: Some((&*view.version_vector).into()),
            covered_vector: Some((&*view.covered_vector).into()),
            counters: counters(log.counters()),
            limits: BTreeMap::clone(&self.limits),
            build: Some(build()),
            application_name: about.application_name,
            application_version: about.application_version.to_string(),
            recovered: Some(self.recovered()),
        }
    }
}

/// Names and values of the counters; the metrics use the same names.
pub fn counters(counters: &LogCounters) -> BTreeMap<String, u64> {
    [
        ("appended_events", &counters.appended_events),
        ("accepted_requests", &counters.accepted_requests),
        ("refused_requests", &counters.refused_requests),
        ("batches", &counters.batches),
        ("replicated_events", &counters.replicated_events),
        ("redundant_events", &counters.redundant_events),
        ("commit_microseconds", &counters.commit_micros),
        ("resolved_commits", &counters.resolved_commits),
        ("guard_hits", &counters.guard_hits),
        ("clock_ahead_events", &counters.clock_ahead),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.load(Ordering::Relaxed)))
    .collect()
}

/// Those that are the same everywhere, and those that the configuration sets.
fn limits(config: &Config) -> BTreeMap<String, u64> {
    let Config { writer, reader, .. } = config;
    let fixed = [
        ("event_bytes", caps::EVENT_BYTES_MAX),
        ("request_bytes", caps::REQUEST_BYTES_MAX),
        ("request_events", caps::REQUEST_EVENTS_MAX),
        ("key_bytes", caps::KEY_BYTES_MAX),
        ("destinations", caps::DESTINATIONS_MAX),
        ("metadata_entries", caps::METADATA_ENTRIES_MAX),
        ("metadata_value_bytes", caps::METADATA_VALUE_BYTES_MAX),
        ("vector_entries", caps::VECTOR_ENTRIES_MAX),
        ("selector_items", caps::SELECTOR_ITEMS_MAX),
        ("cel_bytes", caps::CEL_BYTES_MAX),
        ("message_bytes", MESSAGE_BYTES_MAX),
    ];
    let configured = [
        ("batch_events", u64::from(writer.batch_events)),
        ("batch_bytes", writer.batch_bytes.get()),
        ("queue_requests", u64::from(writer.queue_requests)),
        ("queue_bytes", writer.queue_bytes.get()),
        ("tail_cache_bytes", reader.tail_cache_bytes.get()),
        ("page_events", u64::from(reader.page_events)),
        ("page_bytes", reader.page_bytes.get()),
    ];
    fixed
        .into_iter()
        .map(|(name, value)| (name, value as u64))
        .chain(configured)
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// What is running.
pub fn build() -> v1::Build {
    v1::Build {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("TIDELOG_COMMIT").unwrap_or_default().to_owned(),
    }
}
