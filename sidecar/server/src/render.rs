//! From the configuration to what each part is started with. Pure.

use std::sync::Arc;
use std::time::Duration;

use tidelog_config::Config;
use tidelog_core::{Stamp, WriterLimits};
use tidelog_engine::{FileWitness, LogOptions, ReaderOptions, WitnessKeeper};
use tidelog_model::{LocationName, caps};
use tidelog_replication::{ReplicationOptions, ReplicationSettings, Tuning};
use tidelog_store::{LogStore, RequestRetention};

use crate::location::StartError;
use crate::recorded::{Patience, RecordedWitness};
use crate::surroundings::Surroundings;
use crate::witness::MemoryWitness;

fn count(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn size(bytes: tidelog_config::ByteSize) -> usize {
    usize::try_from(bytes.get()).unwrap_or(usize::MAX)
}

/// Who asks for the lease, for people, and never the same in two processes: whoever has the same owner takes the lease over at once. The
/// number of a process alone is 1 in most containers, and a host name comes back with the next container of its name.
pub(crate) fn owner(location: &LocationName, host: &str, process: u32, run: u32) -> String {
    format!("{location} on {host} (process {process}, run {run:08x})")
}

pub(crate) fn stamp(config: &Config) -> Stamp {
    Stamp {
        application_version: config.application.version.clone(),
        plan_id: config.plan_id.0,
    }
}

/// The witness, where an operator keeps it.
pub(crate) fn recorded_witness(config: &Config, on: &Surroundings) -> Option<Arc<RecordedWitness>> {
    let witness = config.witness.as_ref()?;
    let by = witness.operator.as_ref()?;
    let patience = Patience {
        record: by.record_wait.get(),
        grant: by.grant_wait.get(),
    };
    let process = (on.random)();
    let witness = RecordedWitness::new(&witness.file, &by.folder, process, patience);
    Some(Arc::new(witness))
}

pub(crate) fn log_options(
    config: &Config,
    on: &Surroundings,
    store: Arc<dyn LogStore>,
    owner: &str,
    address: &str,
) -> LogOptions {
    let witness: Arc<dyn WitnessKeeper> = match (&on.witness, &config.witness) {
        (Some(witness), _) => witness.clone(),
        (None, Some(witness)) => Arc::new(FileWitness::new(&witness.file)),
        (None, None) => Arc::new(MemoryWitness::default()),
    };
    let writer = &config.writer;
    let reader = &config.reader;
    LogOptions {
        log: config.log.clone(),
        location: config.location.clone(),
        store,
        witness,
        stamp: stamp(config),
        limits: WriterLimits {
            batch_events_max: count(writer.batch_events),
            batch_bytes_max: size(writer.batch_bytes),
            queue_requests_max: count(writer.queue_requests),
            queue_bytes_max: size(writer.queue_bytes),
            resolve_micros_max: i64::try_from(writer.resolve.get().as_micros()).unwrap_or(i64::MAX),
        },
        reader: ReaderOptions {
            tail_bytes_max: size(reader.tail_cache_bytes),
            page_events_max: count(reader.page_events),
            page_bytes_max: size(reader.page_bytes),
            page_scan_max: count(reader.page_scan),
            heartbeat_every: reader.heartbeat.get(),
            wait_default: reader.wait.get(),
            clock: on.clock.clone(),
        },
        owner: owner.to_owned(),
        address: address.to_owned(),
        lease_ttl: writer.lease.get(),
        recovering_max: writer.recovering.get(),
        retention: RequestRetention {
            keep: Duration::from_millis(caps::REQUEST_ID_KEEP_MILLIS.unsigned_abs()),
            newest_min: caps::REQUEST_IDS_MIN,
            newest_max: caps::REQUEST_IDS_MAX,
        },
        random: on.random.clone(),
    }
}

pub(crate) fn replication_options(
    config: &Config,
    on: &Surroundings,
    settings: ReplicationSettings,
) -> ReplicationOptions {
    ReplicationOptions {
        log: config.log.clone(),
        location: config.location.clone(),
        settings,
        tuning: Tuning::from(&config.replication),
        clock: on.clock.clone(),
        random: on.random.clone(),
    }
}

pub(crate) fn replication_settings(config: &Config) -> Result<ReplicationSettings, StartError> {
    ReplicationSettings::try_from(config).map_err(|error| StartError::Config(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_containers_of_one_name_and_process_number_are_two_owners() {
        let location = LocationName::new("eu").unwrap();
        let of = |run| owner(&location, "orders-0", 1, run);
        assert_eq!(of(0x2f), "eu on orders-0 (process 1, run 0000002f)");
        assert_ne!(of(1), of(2));
    }
}
