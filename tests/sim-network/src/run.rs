//! One run: from a seed to a verdict.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use tidelog_harness::checker::check_all;
use tidelog_harness::history::History;
use turmoil::Builder;

use crate::apps;
use crate::site::Site;
use crate::topology::Topology;
use crate::weather::Weather;
use crate::world::{World, dice, lock};

/// Simulated time after which a run hangs.
const LENGTH_MAX: Duration = Duration::from_secs(400);

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// Of everything that happened. The same seed has the same hash.
    pub hash: String,
    /// Simulated milliseconds.
    pub millis: u64,
    /// What happened how often.
    pub counts: BTreeMap<String, u64>,
    /// What was violated; nothing when all is well.
    pub violations: Vec<String>,
}

/// Runs a seed. Clock and randomness of the process must come from the seed as well: see the program that does it.
pub fn run(seed: u64, show: bool) -> Result<Outcome> {
    let mut dice = dice(seed, "network");
    let topology = Topology::draw(&mut dice)?;
    let world = World::new(seed, topology.filtered, show);
    world.count(&format!("links: {}", topology.kind));
    let mut sim = Builder::new()
        .rng_seed(dice.random())
        .simulation_duration(LENGTH_MAX)
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(10))
        .tcp_capacity(4_096)
        .enable_random_order()
        .build();
    let sites: Vec<_> = topology
        .configs
        .iter()
        .map(|config| Site::new(config.clone(), &world))
        .collect();
    for site in &sites {
        let site = site.clone();
        sim.host(site.name.clone(), move || site.clone().live());
    }
    let names: Vec<String> = sites.iter().map(|site| site.name.clone()).collect();
    sim.client(apps::HOST, apps::run(world.clone(), names));
    let mut weather = Weather::new(&sites, &world);
    let ended = loop {
        match sim.step() {
            Ok(false) => weather.blow(&mut sim),
            Ok(true) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let violations = match ended {
        Ok(()) => judge(&world, &topology),
        Err(error) => vec![format!("the run ended early: {error}")],
    };
    Ok(Outcome {
        seed,
        hash: format!("{:016x}", world.hash()),
        millis: u64::try_from(sim.elapsed().as_millis()).unwrap_or(u64::MAX),
        counts: world.counts(),
        violations,
    })
}

fn judge(world: &World, topology: &Topology) -> Vec<String> {
    let history = History {
        pages: world.pages().clone(),
        dumps: lock(&world.dumps).clone(),
        topology: topology.truth.clone(),
    };
    let found = check_all(&history);
    let seen = lock(&world.breaches).clone();
    let found = found.iter().map(ToString::to_string);
    found.chain(seen).collect()
}
