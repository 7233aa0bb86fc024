//! `make bench`: the log beside the raw database, in one run on one machine. What counts are the ratios; absolute figures drift with the
//! machine. Every figure is checked after its run: what was acknowledged is there, counted, without gaps.

mod append;
mod engine;
mod follow;
mod location;
mod memory;
mod payload;
mod raw;
mod report;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use tidelog_harness::postgres::Postgres;

use crate::location::{Location, Storage};
use crate::raw::Raw;
use crate::report::Report;

const REST: &str = "sidecar at rest";
const STREAM: &str = "append, AppendStream, 256 in flight";
const IN_PROCESS: &str = "append in process, 256 in flight";
const IN_PROCESS_BATCHES: &str = "append in process, batches of 500, 4 in flight";
const SUBSCRIBER_P50: &str = "append to subscriber, p50";
const SUBSCRIBER_P99: &str = "append to subscriber, p99";
const CATCH_UP: &str = "replication catch-up, 100,000 events";
const PEER_P50: &str = "append to peer, p50";
const PEER_P99: &str = "append to peer, p99";
const IDLE_DEV: &str = "idle dev with 5 locations";

/// Measures appends, replication and memory beside the raw database.
#[derive(Debug, Parser)]
struct Args {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Write the figures as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Directory of the programs under test; the folder of this program when absent.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Only the measurements whose line contains this, for example `AppendStream` or `128 callers (postgres)`. May be given more than
    /// once. The raw insert always runs, before and after each
    /// figure that is a ratio to it.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
}

impl Args {
    fn span(&self) -> Duration {
        Duration::from_secs(self.seconds.max(1))
    }

    fn wants(&self, what: &str, storage: &str) -> bool {
        let line = report::line(what, storage);
        self.only.is_empty() || self.only.iter().any(|part| line.contains(part.as_str()))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let programs = match &args.programs {
        Some(dir) => dir.clone(),
        None => std::env::current_exe()?
            .parent()
            .map(PathBuf::from)
            .unwrap_or_default(),
    };
    let mut report = Report::new();
    report::note("PostgreSQL", "starting a private server");
    let postgres = Postgres::start(&[]).await?;

    let mut raw = Raw::start(&postgres, args.span()).await?;
    for (what, in_flight, events) in [(IN_PROCESS, 256, 1), (IN_PROCESS_BATCHES, 4, 500)] {
        if args.wants(what, "postgres") {
            let uri = postgres.create_database(&format!("process_{in_flight}"))?;
            let rate = engine::append(&uri, in_flight, events, args.span()).await?;
            report.add(what, "postgres", rate, "events/s", Some(raw.again().await?));
        }
    }
    for storage in [
        Storage::Postgres(postgres.create_database("bench")?),
        Storage::Sqlite,
    ] {
        one_location(&args, &programs, storage, &mut raw, &mut report).await?;
    }
    for kind in ["postgres", "sqlite"] {
        let what = [CATCH_UP, PEER_P50, PEER_P99];
        if !what.iter().any(|what| args.wants(what, kind)) {
            continue;
        }
        let storage = |n: &str| -> Result<Storage> {
            Ok(match kind {
                "postgres" => Storage::Postgres(postgres.create_database(n)?),
                _ => Storage::Sqlite,
            })
        };
        let (source, target) = (storage("peer_a")?, storage("peer_b")?);
        let figures = follow::peers(&programs, source, target, 100_000).await?;
        let beside = raw.again().await?;
        report.add(CATCH_UP, kind, figures.catch_up, "events/s", Some(beside));
        report.add(PEER_P50, kind, figures.p50_ms, "ms", None);
        report.add(PEER_P99, kind, figures.p99_ms, "ms", None);
    }
    if args.wants(IDLE_DEV, "sqlite") {
        let mib = memory::idle_dev(&programs).await.context(IDLE_DEV)?;
        report.add(IDLE_DEV, "sqlite", mib, "MiB", None);
    }
    let (lowest, median, highest) = raw.spread();
    for (which, rate) in [("lowest", lowest), ("median", median), ("highest", highest)] {
        let what = format!("raw UNNEST insert, 500 a batch, {which}");
        report.add(&what, "postgres", rate, "events/s", None);
    }
    report.print(args.json.as_deref())
}

/// The figures of a location without peers.
async fn one_location(
    args: &Args,
    programs: &Path,
    storage: Storage,
    raw: &mut Raw<'_>,
    report: &mut Report,
) -> Result<()> {
    let name = storage.name();
    let wants = |what: &str| args.wants(what, name);
    let location = Location::start(programs, storage).await?;
    if wants(REST) {
        let mib = memory::rss_mib(location.pid())?;
        report.add(REST, name, mib, "MiB", None);
    }
    let span = args.span();
    for (callers, connections) in [(1, 1), (32, 1), (128, 1), (128, 4)] {
        let of = if connections == 1 {
            String::new()
        } else {
            format!(" of {connections} connections")
        };
        let what = format!("append, unary, {callers} callers{of}");
        if wants(&what) {
            let rate = append::unary(&location, callers, connections, span).await?;
            report.add(&what, name, rate, "events/s", Some(raw.again().await?));
        }
    }
    if wants(STREAM) {
        let rate = append::stream(&location, 256, span).await?;
        report.add(STREAM, name, rate, "events/s", Some(raw.again().await?));
    }
    if wants(SUBSCRIBER_P50) || wants(SUBSCRIBER_P99) {
        let (p50, p99) = follow::subscriber(&location, 500).await?;
        report.add(SUBSCRIBER_P50, name, p50, "ms", None);
        report.add(SUBSCRIBER_P99, name, p99, "ms", None);
    }
    location.stop().await
}
