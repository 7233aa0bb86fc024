//! Runs whole sidecars on a simulated network, seed by seed, and says what it has covered and what it has found.

use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Parser;
use tidelog_sim_network::seeds::{Runner, Tally};

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
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let here = std::env::current_exe().context("where is this program")?;
    let runner = Runner {
        program: here.with_file_name("tidelog-sim-network-seed"),
        jobs: match args.jobs {
            0 => std::thread::available_parallelism()?.get(),
            jobs => jobs,
        },
    };
    let (from, count) = args.seed.map_or((args.from, args.seeds), |seed| (seed, 1));
    let begun = Instant::now();
    let tally = runner.all(from, count, |outcome| {
        let mark = if outcome.violations.is_empty() {
            '.'
        } else {
            'X'
        };
        // Somebody may watch; nobody has to.
        let _ = write!(stderr(), "{mark}");
    });
    let _ = writeln!(stderr());
    tell(&tally, begun.elapsed().as_secs_f64(), from, &runner)?;
    Ok(if tally.failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn tell(tally: &Tally, seconds: f64, from: u64, runner: &Runner) -> Result<()> {
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
