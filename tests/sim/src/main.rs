//! `tidelog-sim`: runs seeds of the simulation, and one of them again.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use tidelog_sim::fleet::{Fleet, Sum, is_fault};
use tidelog_sim::history::History;
use tidelog_sim::run::{More, Script, Violation, run};
use tidelog_sim::shrink::{from_text, shrink, to_text};

/// Two threads that do little but allocate: a fifth more seeds in the same time.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs the real state machines in a world of chance. A run is its seed; one that fails is told with the command that replays it.
#[derive(Debug, Parser)]
struct Args {
    /// How many seeds.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run this seed alone and show what it did.
    #[arg(long)]
    seed: Option<u64>,
    /// Of that seed only these steps, for example 3,9,40-52.
    #[arg(long, value_name = "STEPS", requires = "seed", value_parser = from_text_of)]
    steps: Option<Steps>,
    /// On graphs of links that the planner refuses: how many of them would have lost something.
    #[arg(long)]
    refused: bool,
    /// Ask for more than the contract promises, to see that the oracle looks: `filters-early`, `losses-beside-filters` or `late-losses`.
    #[arg(long, value_name = "WHAT", value_parser = more_of)]
    more: Option<More>,
    /// Operators keep the witnesses of locations with a server.
    #[arg(long)]
    operated: bool,
    /// How many seeds run at the same time; as many as there are processors when absent.
    #[arg(long)]
    threads: Option<u64>,
    /// Keep in this file how far it is, and go on from there.
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Stop after so many failing seeds.
    #[arg(long, default_value_t = 5)]
    failures: usize,
    /// Run the histories of this file again.
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    histories: Option<PathBuf>,
    /// Only say whether a seed fails, without making it short.
    #[arg(long)]
    no_shrink: bool,
}

fn more_of(text: &str) -> Result<More, String> {
    match text {
        "filters-early" => Ok(More::FiltersEarly),
        "losses-beside-filters" => Ok(More::LossesBesideFilters),
        "late-losses" => Ok(More::LateLosses),
        _ => Err(format!(
            "`{text}` is none of filters-early, losses-beside-filters and late-losses"
        )),
    }
}

#[derive(Debug, Clone)]
struct Steps(std::collections::BTreeSet<u32>);

fn from_text_of(text: &str) -> Result<Steps, String> {
    from_text(text).map(Steps)
}

/// Seeds after which it is written down how far it is.
const PORTION: u64 = 10_000;
/// Runs that are spent on making a failing one short.
const SHRINK_RUNS_MAX: usize = 1_500;

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    match (&args.histories, args.seed) {
        (Some(file), _) => histories(file),
        (None, Some(seed)) => replay(&args, seed),
        (None, None) => many(&args),
    }
}

fn histories(file: &Path) -> Result<ExitCode> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let histories = History::parse_all(&text).map_err(anyhow::Error::msg)?;
    let mut out = std::io::stdout().lock();
    let mut violated = 0;
    for history in &histories {
        let outcome = run(&Script {
            seed: history.seed,
            history: Some(history.clone()),
            ..Script::default()
        });
        let told = match &outcome.violation {
            None => "nothing is violated".to_owned(),
            Some(violation) => format!("VIOLATED: {} ({})", violation.message, violation.place),
        };
        violated += usize::from(outcome.violation.is_some());
        writeln!(out, "{}: {told}", history.title)?;
    }
    writeln!(out, "{violated} of {} histories failed", histories.len())?;
    Ok(if violated == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn replay(args: &Args, seed: u64) -> Result<ExitCode> {
    let outcome = run(&Script {
        seed,
        steps: args.steps.clone().map(|s| s.0),
        refused: args.refused,
        more: args.more,
        operated: args.operated,
        with_lines: true,
        ..Script::default()
    });
    let mut out = std::io::stdout().lock();
    for line in &outcome.lines {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "seed {seed}: trace {:016x}", outcome.hash)?;
    Ok(match outcome.violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            writeln!(out, "VIOLATED: {} ({})", violation.message, violation.place)?;
            ExitCode::FAILURE
        }
    })
}

fn many(args: &Args) -> Result<ExitCode> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let end = args.from + args.seeds;
    let mut from = match &args.resume {
        Some(file) => reached(file, args.from)?.clamp(args.from, end),
        None => args.from,
    };
    if from > args.from {
        say(&format!("going on at seed {from}"));
    }
    let mut all = Sum::default();
    let shown = Mutex::new(Instant::now());
    while from < end && all.failed.len() < args.failures {
        let to = end.min(from + PORTION);
        let fleet = Fleet {
            from,
            to,
            threads: args.threads.unwrap_or(cores),
            refused: args.refused,
            more: args.more,
            operated: args.operated,
        };
        let (before, failed) = (all.runs, all.failed.len());
        let sum = fleet.run(|runs, more| {
            if let Ok(mut shown) = shown.lock()
                && shown.elapsed() > Duration::from_secs(10)
            {
                *shown = Instant::now();
                say(&format!("{} of {} seeds", before + runs, end - args.from));
            }
            args.refused || failed + more < args.failures
        });
        all.runs += sum.runs;
        all.counts.merge(&sum.counts);
        all.elapsed += sum.elapsed;
        if !args.refused {
            // Long runs tell at once; the report comes at the end.
            for (seed, violation) in &sum.failed {
                say(&format!("seed {seed} VIOLATED: {}", violation.message));
            }
        }
        all.failed.extend(sum.failed);
        from = to;
        if let Some(file) = &args.resume
            && all.failed.is_empty()
        {
            std::fs::write(file, format!("{from}\n"))
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
    }
    report(args, &all)
}

fn reached(file: &Path, first: u64) -> Result<u64> {
    match std::fs::read_to_string(file) {
        Ok(text) => match text.trim().parse() {
            Ok(seed) => Ok(seed),
            Err(_) => bail!(
                "{} holds `{}` and not a seed; delete it to begin anew",
                file.display(),
                text.trim()
            ),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(first),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

fn report(args: &Args, all: &Sum) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "operations, and how often they were drawn:")?;
    for faults in [false, true] {
        for (name, count) in all.counts.iter().filter(|(n, _)| is_fault(n) == faults) {
            writeln!(out, "  {count:>12}  {name}")?;
        }
        if !faults {
            writeln!(out, "faults:")?;
        }
    }
    let seconds = all.elapsed.as_secs_f64();
    writeln!(
        out,
        "{} seeds in {seconds:.1} s: {:.0} seeds/s, {:.1} faults a seed",
        all.runs,
        all.runs as f64 / seconds.max(0.001),
        all.faults_per_run()
    )?;
    let violated = all.failed.len();
    if args.refused {
        writeln!(
            out,
            "{violated} of {} refused graphs lost something or broke an order",
            all.runs
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    for (seed, violation) in &all.failed {
        writeln!(
            out,
            "seed {seed} VIOLATED: {} ({})",
            violation.message, violation.place
        )?;
        let how = if args.operated {
            " ARGS=--operated"
        } else {
            ""
        };
        writeln!(out, "  replay with: make sim SEED={seed}{how}")?;
        if !args.no_shrink {
            tell_shrunk(&mut out, args, *seed, violation)?;
        }
    }
    let never = all.never(args.operated);
    if !never.is_empty() && all.runs >= 1_000 {
        writeln!(out, "never carried out: {}", never.join(", "))?;
        return Ok(ExitCode::FAILURE);
    }
    if violated > 0 {
        writeln!(out, "{violated} seeds failed")?;
        return Ok(ExitCode::FAILURE);
    }
    writeln!(out, "nothing was violated")?;
    Ok(ExitCode::SUCCESS)
}

fn tell_shrunk(
    out: &mut impl std::io::Write,
    args: &Args,
    seed: u64,
    violation: &Violation,
) -> Result<()> {
    let script = Script {
        seed,
        more: args.more,
        operated: args.operated,
        ..Script::default()
    };
    let steps = run(&script).steps;
    let shrunk = shrink(&script, steps, violation, SHRINK_RUNS_MAX);
    let text = to_text(&shrunk.steps);
    writeln!(
        out,
        "  {} of {steps} steps are enough (found in {} runs): make sim SEED={seed} STEPS={text}",
        shrunk.steps.len(),
        shrunk.runs
    )?;
    let outcome = run(&Script {
        steps: Some(shrunk.steps),
        with_lines: true,
        ..script
    });
    for line in outcome.lines {
        writeln!(out, "    {line}")?;
    }
    let mut history = outcome.history;
    history.title.clone_from(&violation.message);
    writeln!(out, "  for tests/sim/regressions.txt:\n{history}")?;
    Ok(())
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "sim: {text}");
}
