//! `make bench`: the log beside the raw database, in one run on one machine. What counts are the ratios; absolute figures drift with the
//! machine. Every figure is checked after its run: what was acknowledged is there, counted, without gaps.

mod append;
mod caller;
mod engine;
mod follow;
mod load;
mod location;
mod memory;
mod payload;
mod raw;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use tidelog_harness::postgres::Postgres;
use tikv_jemallocator::Jemalloc;

use crate::append::{Stream, Unary, Way};
use crate::engine::InProcess;
use crate::load::{Load, in_turns};
use crate::location::{Location, Storage};
use crate::raw::Raw;
use crate::report::{Figure, Report};

/// The allocator of the sidecar: what the load generator wastes is missing where it is measured.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

const REST: &str = "sidecar at rest";
/// Requests of one stream that wait for their answers: while half of 1,000 are being committed the others arrive, and a batch has the 500 events of
/// one raw insert.
const IN_FLIGHT: [(usize, &str); 2] = [
    (256, "append, AppendStream, 256 in flight"),
    (1_000, "append, AppendStream, 1,000 in flight"),
];
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
    /// Directory of an earlier build of the programs: what it appends is measured in turns with this one and shown as one more ratio.
    #[arg(long, value_name = "DIR")]
    beside: Option<PathBuf>,
    /// Only the measurements whose line contains this, for example `AppendStream` or `128 callers (postgres)`. May be given more than
    /// once. The raw insert runs in turns with each figure that is a ratio to it.
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

/// What all measurements share.
struct Bench {
    args: Args,
    programs: PathBuf,
    postgres: Postgres,
    databases: usize,
    report: Report,
}

// One thread makes the load: on several, a client sends each request in a packet of its own and takes the processors from what it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let programs = match &args.programs {
        Some(dir) => dir.clone(),
        None => std::env::current_exe()?
            .parent()
            .map(PathBuf::from)
            .unwrap_or_default(),
    };
    report::note("PostgreSQL", "starting a private server");
    let mut bench = Bench {
        args,
        programs,
        postgres: Postgres::start(&[]).await?,
        databases: 0,
        report: Report::new(),
    };
    bench.in_process().await?;
    for kind in ["postgres", "sqlite"] {
        bench.one_location(kind).await?;
    }
    for kind in ["postgres", "sqlite"] {
        bench.two_locations(kind).await?;
    }
    if bench.args.wants(IDLE_DEV, "sqlite") {
        let mib = memory::idle_dev(&bench.programs).await.context(IDLE_DEV)?;
        bench.report.add(IDLE_DEV, "sqlite", Figure::of(mib, "MiB"));
    }
    bench.report.print(bench.args.json.as_deref())
}

impl Bench {
    fn database(&mut self) -> Result<String> {
        self.databases += 1;
        self.postgres
            .create_database(&format!("bench_{}", self.databases))
    }

    fn storage(&mut self, kind: &str) -> Result<Storage> {
        Ok(match kind {
            "postgres" => Storage::Postgres(self.database()?),
            _ => Storage::Sqlite,
        })
    }

    /// One row: a load in turns with the raw insert, and with the same load on an earlier build.
    async fn compare(
        &mut self,
        what: &str,
        storage: &str,
        ours: impl Load,
        earlier: Option<impl Load>,
    ) -> Result<()> {
        let raw = Raw::start(&self.database()?).await?;
        let mut loads: Vec<Box<dyn Load + '_>> = vec![Box::new(ours), Box::new(raw)];
        loads.extend(earlier.map(|load| Box::new(load) as Box<dyn Load + '_>));
        let rates = in_turns(self.args.span(), loads).await?;
        let rate_of = |n: usize| rates.get(n).copied();
        self.report.add(
            what,
            storage,
            Figure {
                value: rate_of(0).unwrap_or_default(),
                unit: "events/s",
                raw: rate_of(1),
                earlier: rate_of(2),
            },
        );
        Ok(())
    }

    /// The log without its sockets.
    async fn in_process(&mut self) -> Result<()> {
        for (what, in_flight, events) in [(IN_PROCESS, 256, 1), (IN_PROCESS_BATCHES, 4, 500)] {
            if self.args.wants(what, "postgres") {
                let uri = self.database()?;
                let log = InProcess::start(&uri, in_flight, events).await?;
                self.compare(what, "postgres", &log, None::<&InProcess>)
                    .await?;
                log.stop().await;
                raw::clear(&uri).await?;
            }
        }
        Ok(())
    }

    /// The figures of a location without peers.
    async fn one_location(&mut self, kind: &str) -> Result<()> {
        let storage = self.storage(kind)?;
        let location = Location::start(&self.programs, storage).await?;
        let earlier = match self.args.beside.clone() {
            Some(programs) => {
                let storage = self.storage(kind)?;
                Some(Location::start(&programs, storage).await?)
            }
            None => None,
        };
        if self.args.wants(REST, kind) {
            let mib = memory::rss_mib(location.pid())?;
            self.report.add(REST, kind, Figure::of(mib, "MiB"));
        }
        for (callers, way) in [
            (1, Way::Tcp(1)),
            (32, Way::Tcp(1)),
            (128, Way::Tcp(1)),
            (128, Way::Tcp(4)),
            (128, Way::Socket),
        ] {
            let of = match way {
                Way::Tcp(1) => String::new(),
                Way::Tcp(connections) => format!(" of {connections} connections"),
                Way::Socket => " by Unix socket".to_owned(),
            };
            let what = format!("append, unary, {callers} callers{of}");
            if self.args.wants(&what, kind) {
                let ours = Unary::new(&location, callers, way).await?;
                let theirs = match &earlier {
                    Some(earlier) => Some(Unary::new(earlier, callers, way).await?),
                    None => None,
                };
                self.compare(&what, kind, ours, theirs).await?;
            }
        }
        for (in_flight, what) in IN_FLIGHT {
            if self.args.wants(what, kind) {
                let stream = |location| Stream {
                    location,
                    in_flight,
                };
                let theirs = earlier.as_ref().map(stream);
                self.compare(what, kind, stream(&location), theirs).await?;
            }
        }
        if self.args.wants(SUBSCRIBER_P50, kind) || self.args.wants(SUBSCRIBER_P99, kind) {
            let (p50, p99) = follow::subscriber(&location, 500).await?;
            self.report.add(SUBSCRIBER_P50, kind, Figure::of(p50, "ms"));
            self.report.add(SUBSCRIBER_P99, kind, Figure::of(p99, "ms"));
        }
        if let Some(earlier) = earlier {
            earlier.stop().await?;
        }
        location.stop().await
    }

    /// The figures of a location that follows another one.
    async fn two_locations(&mut self, kind: &str) -> Result<()> {
        if ![CATCH_UP, PEER_P50, PEER_P99]
            .iter()
            .any(|what| self.args.wants(what, kind))
        {
            return Ok(());
        }
        let (source, target) = (self.storage(kind)?, self.storage(kind)?);
        let mut raw = Raw::start(&self.database()?).await?;
        // What is copied once has no turns: the raw insert runs before and after it.
        let around = Duration::from_secs(1);
        let before = raw.run(around).await?;
        let figures = follow::peers(&self.programs, source, target, 100_000).await?;
        let after = raw.run(around).await?;
        raw.check().await?;
        let catch_up = Figure {
            value: figures.catch_up,
            unit: "events/s",
            raw: Some(f64::midpoint(before.rate(), after.rate())),
            earlier: None,
        };
        self.report.add(CATCH_UP, kind, catch_up);
        self.report
            .add(PEER_P50, kind, Figure::of(figures.p50_ms, "ms"));
        self.report
            .add(PEER_P99, kind, Figure::of(figures.p99_ms, "ms"));
        Ok(())
    }
}
