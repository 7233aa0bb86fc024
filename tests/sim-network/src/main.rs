//! Runs whole sidecars on a simulated network, seed by seed, and says what it has covered and what it has found.

use std::io::{Write as _, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use tidelog_sim_network::ledger::Ledger;
use tidelog_sim_network::mutants;
use tidelog_sim_network::seeds::Runner;

#[derive(Parser)]
#[command(about)]
struct Args {
    /// How many seeds.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them: how to go on where an earlier run has ended.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// This seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Seeds at the same time; as many as there are processors when 0.
    #[arg(long, default_value_t = 0)]
    jobs: usize,
    /// Keep in this file what was done, and go on from what it holds; --from must be the same.
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    resume: Option<PathBuf>,
    /// Runs the seeds with each of these bugs until one notices it, and fails when none does; all that have to be noticed when empty
    #[arg(long, value_name = "ID", value_delimiter = ',', num_args = 0.., conflicts_with_all = ["seed", "resume"])]
    mutants: Option<Vec<String>>,
}

/// Seeds after which it is written down how far it is.
const PORTION: u64 = 50;

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let here = std::env::current_exe().context("where is this program")?;
    let runner = Runner {
        program: here.with_file_name("tidelog-sim-network-seed"),
        jobs: match args.jobs {
            0 => std::thread::available_parallelism()?.get(),
            jobs => jobs,
        },
        mutant: None,
        stops: false,
    };
    if let Some(asked) = &args.mutants {
        return hunt(&args, asked, &runner);
    }
    let (from, count) = args.seed.map_or((args.from, args.seeds), |seed| (seed, 1));
    let mut ledger = Ledger::open(args.resume.as_deref(), from)?;
    if ledger.next > from {
        let _ = writeln!(stderr(), "going on at seed {}", ledger.next);
    }
    let end = from.saturating_add(count);
    while ledger.next < end {
        let portion = PORTION.min(end - ledger.next);
        let begun = Instant::now();
        let tally = runner.all(ledger.next, portion, |outcome| {
            let mark = if outcome.violations.is_empty() {
                '.'
            } else {
                'X'
            };
            // Somebody may watch; nobody has to.
            let _ = write!(stderr(), "{mark}");
        });
        ledger.tally.merge(tally);
        ledger.next += portion;
        ledger.elapsed += begun.elapsed();
        ledger.save(args.resume.as_deref())?;
    }
    let _ = writeln!(stderr());
    tell(&ledger, &runner)?;
    Ok(if ledger.tally.failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Looks which bugs are noticed.
fn hunt(args: &Args, asked: &[String], runner: &Runner) -> Result<ExitCode> {
    ensure!(
        cfg!(feature = "mutants"),
        "there are no mutants in this build; build it with `--features mutants` into a target directory of its own"
    );
    let all: Vec<String> = mutants::NOTICED.iter().map(ToString::to_string).collect();
    let asked = if asked.is_empty() { &all } else { asked };
    let mut alive = 0;
    for mutant in asked {
        let verdict = mutants::hunt(runner, mutant, args.from, args.seeds);
        let took = verdict.took.as_secs();
        let seeds = verdict.seeds;
        match verdict.noticed {
            Some((seed, what)) => {
                let what: String = what.chars().take(160).collect();
                let what = what.replace('\n', " ");
                writeln!(
                    stdout(),
                    "{mutant:<40} noticed by seed {seed} after {seeds} seeds, {took} s: {what}"
                )?;
            }
            None => {
                alive += 1;
                writeln!(stdout(), "{mutant:<40} ALIVE after {seeds} seeds, {took} s")?;
            }
        }
    }
    writeln!(
        stdout(),
        "{} of {} noticed",
        asked.len() - alive,
        asked.len()
    )?;
    Ok(if alive == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn tell(ledger: &Ledger, runner: &Runner) -> Result<()> {
    let Ledger { tally, from, .. } = ledger;
    let seconds = ledger.elapsed.as_secs_f64();
    let mut out = stdout().lock();
    let seeds = tally.seeds.max(1) as f64;
    writeln!(
        out,
        "{} seeds from {from} in {seconds:.0} s: {:.2} seeds/s, {:.0} simulated seconds, {:.1} faults per seed, {} failed",
        tally.seeds,
        tally.seeds as f64 / seconds,
        tally.simulated.as_secs_f64(),
        tally.faults() as f64 / seeds,
        tally.failed.len()
    )?;
    for (what, count) in &tally.counts {
        let covered = tally.covered.get(what).copied().unwrap_or_default();
        writeln!(out, "  {what:<32} {count:>9} in {covered} seeds")?;
    }
    for (seed, violations) in &tally.failed {
        writeln!(
            out,
            "seed {seed} failed; replay it with: {} {seed} --show",
            runner.program.display()
        )?;
        for violation in violations {
            writeln!(out, "  {violation}")?;
        }
    }
    Ok(())
}
