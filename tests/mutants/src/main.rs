//! Looks who catches the seeded bugs. Fails while one is alive.

use std::collections::BTreeSet;
use std::io::{Write as _, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use tidelog_mutants::{
    Expected, Killer, Ledger, Mutant, Programs, Row, Sweep, render, seams, table,
};

/// Looks who catches the seeded bugs: builds them all in, runs for each the tests that have to fail, and fails while one is alive.
#[derive(Debug, Parser)]
struct Args {
    /// Only these mutants
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    only: Vec<String>,
    /// Show the table and run nothing
    #[arg(long)]
    list: bool,
    /// Mutants that are looked at at the same time
    #[arg(long, default_value_t = jobs())]
    jobs: usize,
    /// Keep what is decided in this file, and do not decide it again
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Ask so many seeds of the simulation instead of the table: shows what it sees, and fails for nothing
    #[arg(long, value_name = "SEEDS", conflicts_with = "resume")]
    simulation: Option<u64>,
    /// Seconds after which a killer counts as failed
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    time_limit: u64,
}

fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let mutants = chosen(&args.only)?;
    if args.list {
        for mutant in &mutants {
            writeln!(stdout(), "{:<40} {}", mutant.id, mutant.what)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().context("find the checkout")?;
    if let Some(count) = args.simulation {
        let seen = run(&args, &root, &simulated(&root, &mutants, count)?)?;
        write!(stdout(), "{}", render(&seen))?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = run(&args, &root, &mutants)?;
    write!(stdout(), "{}", render(&rows))?;
    Ok(if rows.iter().all(|row| row.verdict.is_good()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn chosen(only: &[String]) -> Result<Vec<Mutant>> {
    let all: Vec<Mutant> = table::all().copied().collect();
    for id in only {
        ensure!(
            all.iter().any(|mutant| mutant.id == id),
            "there is no mutant `{id}`; --list shows them all"
        );
    }
    Ok(all
        .into_iter()
        .filter(|mutant| only.is_empty() || only.iter().any(|id| id == mutant.id))
        .collect())
}

/// Mutants of what the simulation runs, with its seeds as their only killer.
fn simulated(root: &Path, mutants: &[Mutant], count: u64) -> Result<Vec<Mutant>> {
    let rooms = ["sidecar/core", "sidecar/model", "sidecar/store/"];
    let seams = seams(root)?;
    let inside = |id: &str| {
        seams.iter().any(|seam| {
            let file = seam.file.to_string_lossy();
            seam.id == id && rooms.iter().any(|room| file.starts_with(room))
        })
    };
    Ok(mutants
        .iter()
        .filter(|mutant| inside(mutant.id))
        .map(|mutant| Mutant {
            expected: Expected::Caught(Box::leak(Box::new([Killer::Seeds { from: 0, count }]))),
            ..*mutant
        })
        .collect())
}

fn run(args: &Args, root: &Path, mutants: &[Mutant]) -> Result<Vec<Row>> {
    let killers: BTreeSet<Killer> = mutants
        .iter()
        .flat_map(|mutant| mutant.expected.killers())
        .copied()
        .collect();
    let programs = Programs::build(root, &killers)?;
    let ledger = match &args.resume {
        Some(path) => Ledger::open(path, &programs.digest()?)?,
        None => Ledger::none(),
    };
    let sweep = Sweep::new(programs, Duration::from_secs(args.time_limit), args.jobs);
    let (known, open): (Vec<Mutant>, Vec<Mutant>) = mutants
        .iter()
        .partition(|mutant| ledger.known(mutant.id).is_some());
    let asked: BTreeSet<Killer> = open
        .iter()
        .flat_map(|mutant| mutant.expected.killers())
        .copied()
        .collect();
    writeln!(
        stderr(),
        "{} mutants, {} of them decided before; {} killers have to pass first",
        mutants.len(),
        known.len(),
        asked.len()
    )?;
    sweep.check_killers(&asked)?;
    let verdicts = sweep.decide(&open, |mutant, verdict| {
        if !verdict.is_good() {
            writeln!(stderr(), "{}: {verdict:?}", mutant.id)?;
        }
        ledger.keep(mutant, verdict)
    })?;
    let places = seams(root)?;
    let place = |id: &str| {
        let seam = places.iter().find(|seam| seam.id == id);
        seam.map_or_else(String::new, |s| format!("{}:{}", s.file.display(), s.line))
    };
    let fresh = open.iter().zip(verdicts);
    let kept = known
        .iter()
        .filter_map(|mutant| Some((mutant, ledger.known(mutant.id)?.clone())));
    Ok(fresh
        .chain(kept)
        .map(|(mutant, verdict)| Row {
            id: mutant.id,
            what: mutant.what,
            place: place(mutant.id),
            verdict,
        })
        .collect())
}
