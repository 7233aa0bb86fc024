//! `tidelog-faults`: real processes under faults, and a verdict.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use rand::Rng as _;
use tidelog_faults::kind::{Kind, Store};
use tidelog_faults::ledger::Ledger;
use tidelog_faults::mutants;
use tidelog_faults::report::{Verdict, note};
use tidelog_faults::run::{Stop, Wanted, run};
use tokio::signal::unix::{SignalKind, signal};

/// A run in which a fault that was named did not demonstrably happen.
const VOID: u8 = 3;
/// One that was ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Breaks processes, databases and connections of five locations while they are written and read, and judges what they hold afterwards.
///
/// Ends with 0 when every promise was kept, 1 when one was broken, 3 when a fault that was named did not demonstrably happen, 130 when it was
/// interrupted and nothing was wrong until then. Ctrl-C ends it cleanly: what is broken is mended and judged, processes are ended, disks are
/// unmounted, and the report is written; a second one ends it at once. With --resume the same command goes on where it was.
///
/// With --mutants it ends with 0 when all of them were seen.
#[derive(Debug, Parser)]
struct Args {
    /// How long to run, all stores together.
    #[arg(long, default_value_t = 5.0, value_name = "N")]
    minutes: f64,
    /// So much longer, with each store, for faults that were named and have not happened in time.
    #[arg(long, default_value_t = 8.0, value_name = "N")]
    extra_minutes: f64,
    /// Where logs are kept.
    #[arg(long, value_enum, default_value_t = Choice::Both)]
    storage: Choice,
    /// What everything is drawn from; drawn anew when absent, and told.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Only these faults; all when absent.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND,...")]
    faults: Vec<Kind>,
    /// All but these.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND,...")]
    except: Vec<Kind>,
    /// Write the report as JSON to this file, after every network anew.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Add all operations to this file, in the form of Jepsen: EDN when its name ends with .edn, lines of JSON otherwise.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Keep journals, logs and data of networks that went wrong below this directory.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Keep in this file what was done, after every network anew, and go on from what it holds: minutes, counts, faults and violations of
    /// earlier runs are part of this one, and its seed is theirs. Everything but --minutes must be asked for alike.
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Show that a run can find something: give the sidecars these bugs of `make mutants ARGS=--list`, one after the other, each until it is
    /// seen or time is over. Needs a build with the feature tidelog-model/mutants.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "ID,...",
        conflicts_with = "resume"
    )]
    mutants: Vec<String>,
    /// Leave out the measurement of memory under stalls.
    #[arg(long)]
    no_stalls: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Choice {
    Postgres,
    Sqlite,
    Both,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let asked = args.seed;
    let mut wanted = wanted(&args);
    watch_for_the_end(wanted.stop.clone());
    let outcome = async {
        if !args.mutants.is_empty() {
            let seen = mutants::look(&wanted, &args.mutants).await?;
            let _ = write!(std::io::stdout(), "{}", mutants::text(&seen));
            let all = seen.len() == args.mutants.len();
            let caught = all && seen.iter().all(|seen| !seen.by.is_empty());
            return anyhow::Ok(ExitCode::from(u8::from(!caught)));
        }
        let ledger = Ledger::open(args.resume.as_deref(), &mut wanted, asked)?;
        note(&format!("seed {}", wanted.seed));
        let report = run(&wanted, ledger).await?;
        let _ = write!(std::io::stdout(), "{}", report.text());
        Ok(match report.verdict {
            Verdict::Passed => ExitCode::SUCCESS,
            Verdict::Failed => ExitCode::FAILURE,
            Verdict::Void => ExitCode::from(VOID),
            Verdict::Interrupted => ExitCode::from(INTERRUPTED),
        })
    };
    outcome.await.unwrap_or_else(|error| {
        note(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

fn wanted(args: &Args) -> Wanted {
    let minutes = |n: f64| Duration::from_secs_f64(n.clamp(0.0, 1e6) * 60.0);
    Wanted {
        length: minutes(args.minutes),
        extra: minutes(args.extra_minutes),
        stores: match args.storage {
            Choice::Postgres => vec![Store::Postgres],
            Choice::Sqlite => vec![Store::Sqlite],
            Choice::Both => vec![Store::Postgres, Store::Sqlite],
        },
        faults: args.faults.clone(),
        except: args.except.clone(),
        seed: args
            .seed
            .unwrap_or_else(|| rand::rng().random_range(0..1_000_000_000)),
        report: args.report.clone(),
        history: args.history.clone(),
        keep: args.keep.clone(),
        resume: args.resume.clone(),
        stalls: !args.no_stalls,
        ..Wanted::default()
    }
}

/// The first signal asks for the end, the second one does not wait for it: what watches over servers, disks and processes ends them then.
fn watch_for_the_end(stop: Stop) {
    tokio::spawn(async move {
        let Ok(mut terminate) = signal(SignalKind::terminate()) else {
            return;
        };
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            if stop.is_asked_for() {
                std::process::exit(i32::from(INTERRUPTED));
            }
            note("mending, judging and ending; once more to end at once");
            stop.ask();
        }
    });
}
