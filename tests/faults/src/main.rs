//! `tidelog-faults`: real processes under faults, and a verdict.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use rand::Rng as _;
use tidelog_faults::kind::{Kind, Store};
use tidelog_faults::report::{Verdict, note};
use tidelog_faults::run::{Wanted, run};

/// A run in which a fault that was named did not demonstrably happen.
const VOID: u8 = 3;

/// Breaks processes, databases and connections of five locations while they are written and read, and judges what they hold afterwards.
///
/// Ends with 0 when every promise was kept, 1 when one was broken, 3 when a fault that was named did not demonstrably happen.
#[derive(Debug, Parser)]
struct Args {
    /// How long to run, all stores together.
    #[arg(long, default_value_t = 5.0, value_name = "N")]
    minutes: f64,
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
    let wanted = Wanted {
        length: Duration::from_secs_f64(args.minutes.clamp(0.1, 1e6) * 60.0),
        stores: match args.storage {
            Choice::Postgres => vec![Store::Postgres],
            Choice::Sqlite => vec![Store::Sqlite],
            Choice::Both => vec![Store::Postgres, Store::Sqlite],
        },
        faults: args.faults,
        except: args.except,
        seed: args
            .seed
            .unwrap_or_else(|| rand::rng().random_range(0..1_000_000_000)),
        report: args.report,
        history: args.history,
        keep: args.keep,
        stalls: !args.no_stalls,
    };
    note(&format!("seed {}", wanted.seed));
    match run(&wanted).await {
        Ok(report) => {
            let _ = write!(std::io::stdout(), "{}", report.text());
            match report.verdict {
                Verdict::Passed => ExitCode::SUCCESS,
                Verdict::Failed => ExitCode::FAILURE,
                Verdict::Void => ExitCode::from(VOID),
            }
        }
        Err(error) => {
            note(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
