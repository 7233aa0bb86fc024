//! `make bench`: the log beside the raw database, in one run on one machine. What counts are the ratios; absolute figures drift with the
//! machine. Every figure is checked after its run: what was acknowledged is there, counted, without gaps.

mod append;
mod follow;
mod location;
mod memory;
mod payload;
mod raw;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use tidelog_harness::postgres::Postgres;

use crate::location::{Location, Storage};
use crate::report::Report;

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
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let span = Duration::from_secs(args.seconds.max(1));
    let programs = match args.programs {
        Some(dir) => dir,
        None => std::env::current_exe()?
            .parent()
            .map(PathBuf::from)
            .unwrap_or_default(),
    };
    let mut report = Report::new();
    report::note("PostgreSQL", "starting a private server");
    let postgres = Postgres::start(&[]).await?;

    let uri = postgres.create_database("raw")?;
    let raw = raw::insert(&uri, span).await?;
    report.add(
        "raw UNNEST insert, 500 a batch",
        "postgres",
        raw,
        "events/s",
        None,
    );

    for storage in [
        Storage::Postgres(postgres.create_database("bench")?),
        Storage::Sqlite,
    ] {
        let name = storage.name();
        let location = Location::start(&programs, storage).await?;
        report.add(
            "sidecar at rest",
            name,
            memory::rss_mib(location.pid())?,
            "MiB",
            None,
        );
        for callers in [1, 32, 128] {
            let rate = append::unary(&location, callers, span).await?;
            report.add(
                &format!("append, unary, {callers} callers"),
                name,
                rate,
                "events/s",
                Some(raw),
            );
        }
        let rate = append::stream(&location, 256, span).await?;
        report.add(
            "append, AppendStream, 256 in flight",
            name,
            rate,
            "events/s",
            Some(raw),
        );
        let (p50, p99) = follow::subscriber(&location, 500).await?;
        report.add("append to subscriber, p50", name, p50, "ms", None);
        report.add("append to subscriber, p99", name, p99, "ms", None);
        location.stop().await?;
    }

    for kind in ["postgres", "sqlite"] {
        let storage = |n: &str| -> Result<Storage> {
            Ok(match kind {
                "postgres" => Storage::Postgres(postgres.create_database(n)?),
                _ => Storage::Sqlite,
            })
        };
        let (source, target) = (storage("peer_a")?, storage("peer_b")?);
        let figures = follow::peers(&programs, source, target, 100_000).await?;
        report.add(
            "replication catch-up, 100,000 events",
            kind,
            figures.catch_up,
            "events/s",
            Some(raw),
        );
        report.add("append to peer, p50", kind, figures.p50_ms, "ms", None);
        report.add("append to peer, p99", kind, figures.p99_ms, "ms", None);
    }

    match memory::idle_dev(&programs).await {
        Ok(mib) => report.add("idle dev with 5 locations", "sqlite", mib, "MiB", None),
        Err(error) => report::note(
            "idle dev with 5 locations",
            &format!("not measured: {error:#}"),
        ),
    }
    report.print(args.json.as_deref())
}
