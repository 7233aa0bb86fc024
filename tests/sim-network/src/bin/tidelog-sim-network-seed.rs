//! One seed in a process of its own, whose clock and randomness are the seed's: prints its outcome as a line of JSON.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use rand_for_mad_turmoil::SeedableRng as _;
use tidelog_sim_network::run::run;

#[derive(Parser)]
#[command(about)]
struct Args {
    /// The seed.
    seed: u64,
    /// Tells the trace on standard error.
    #[arg(long)]
    show: bool,
    /// Tells the log of the product on standard error: a filter such as `debug`.
    #[arg(long)]
    log: Option<String>,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if let Some(filter) = &args.log {
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .without_time()
            .init();
    }
    // Whatever asks the system for time or randomness from here on, in the product or below it, is answered from the seed.
    let generator = rand_for_mad_turmoil::rngs::StdRng::seed_from_u64(args.seed);
    mad_turmoil::rand::set_rng(generator);
    let _clocks = mad_turmoil::time::SimClocksGuard::init();
    let outcome = run(args.seed, args.show)?;
    serde_json::to_writer(std::io::stdout().lock(), &outcome)?;
    writeln!(std::io::stdout())?;
    Ok(if outcome.violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
