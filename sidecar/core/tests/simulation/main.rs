//! The real machines in a world of chance: 2 to 5 locations, memory for disks, and a network that loses, doubles, reorders and holds back.
//!
//! A run is its seed. `TIDELOG_SIM_SEEDS=100000` runs more of them, `TIDELOG_SIM_SEED=17` runs one. Losses are noticed here (a
//! witness tells); what is noticed late is best effort by design and has its own tests. What the oracle knows is written in
//! `oracle.rs`, and no vector of the system is believed.

mod dice;
mod oracle;
mod site;
mod topology;
mod world;

use std::env;

use tidelog_core::{Input, SourceInput, TargetInput};
use world::{DELAY, World};

/// Says which run failed.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with TIDELOG_SIM_SEED={}", self.0);
        }
    }
}

#[test]
fn the_invariants_hold_whatever_breaks() {
    if let Some(seed) = number("TIDELOG_SIM_SEED") {
        return run(seed);
    }
    let seeds = number("TIDELOG_SIM_SEEDS").unwrap_or(2_000);
    let threads = 2;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || (thread..seeds).step_by(threads as usize).for_each(run));
        }
    });
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

fn run(seed: u64) {
    let _replay = Replay(seed);
    let mut world = World::new(seed);
    for site in 0..world.sites.len() {
        world.start(site);
    }
    let steps = 200 + world.dice.below(1_200);
    for _ in 0..steps {
        step(&mut world);
    }
    heal(&mut world);
}

fn step(world: &mut World) {
    let site = world.dice.below(world.sites.len());
    let edge = world.dice.below(world.links.len());
    if world.fails_over && world.dice.rarely(100) {
        // Copies of every moment, and a fail-over while frames are on their way to the writer: what a stream has left out may be gone.
        if world.frames_wait(site) && world.dice.chance(50) {
            return world.fail_over(site);
        }
        return world.backup(site);
    }
    match world.dice.below(1000) {
        0..250 => {
            world.deliver(edge);
        }
        250..400 => {
            world.operate(site);
        }
        400..500 => {
            world.look(edge);
        }
        500..590 => {
            world.go(site);
        }
        590..670 => world.append(site),
        670..700 => world.read(site),
        700..715 => world.retry(),
        715..790 => {
            world.connect(edge);
        }
        790..800 => {
            world.close(edge);
        }
        800..860 => {
            world.show_view(site, edge);
        }
        860..880 => {
            world.start(site);
        }
        880..940 => {
            world.now += i64::try_from(world.dice.below(15_000)).expect("small");
            world.source_input(edge, SourceInput::Tick);
            world.writer_input(site, Input::Tick);
        }
        940..950 => world.disconnect(edge),
        950..955 => {
            let paused = world.links[edge].paused;
            world.links[edge].paused = !paused;
            if !paused {
                world.disconnect(edge);
            }
        }
        955..962 => world.crash(site),
        962..966 => world.writer_input(site, Input::ShutDown),
        966..975 => world.backup(site),
        975..979 if world.topology.shape.survives_restores() => world.restore(site, false),
        979..983 if world.topology.shape.survives_restores() => world.fail_over(site),
        983..985 if !world.clocks_step_back => world.sites[site].lose_witness(),
        985..987 => world.wake_zombie(site),
        987..990 => world.stop(site),
        990..993 => {
            if let Some(process) = &mut world.sites[site].process {
                process.writer.set_recovering(false);
            }
        }
        993..995 if world.clocks_step_back => {
            // A wall clock that steps back.
            world.now -= i64::try_from(world.dice.below(300_000)).expect("small");
        }
        _ => {
            world.keep_lease(site);
        }
    }
}

/// Everything works again: the whole state comes to rest, and then it is right.
fn heal(world: &mut World) {
    world.hostile = false;
    for site in 0..world.sites.len() {
        world.start(site);
        world.wake_zombie(site);
    }
    for edge in 0..world.links.len() {
        world.links[edge].paused = false;
        world.disconnect(edge);
    }
    let mut quiet = 0;
    let before = world.delivered;
    for round in 0.. {
        let mut moved = false;
        for edge in 0..world.links.len() {
            moved |= world.close(edge);
            moved |= world.connect(edge);
            moved |= world.deliver(edge);
            moved |= world.look(edge);
            for site in 0..world.sites.len() {
                moved |= world.show_view(site, edge);
            }
        }
        for site in 0..world.sites.len() {
            // A shutdown may have been under way, or a stop.
            moved |= world.keep_lease(site);
            moved |= world.start(site);
            moved |= world.go(site);
            moved |= world.operate(site);
        }
        quiet = if moved { 0 } else { quiet + 1 };
        if quiet > 3 {
            break;
        }
        if !moved {
            world.now += DELAY;
            for edge in 0..world.links.len() {
                world.source_input(edge, SourceInput::Tick);
            }
        }
        let rests = round < 20_000 && world.delivered - before < 10_000;
        if !rests {
            world.show();
        }
        assert!(rests, "does not come to rest");
    }
    if env::var("TIDELOG_SIM_SEED").is_ok() {
        world.show();
    }
    let states: Vec<_> = world.sites.iter().map(site::Site::state).collect();
    world.oracle.at_rest(&states);
    for edge in 0..world.links.len() {
        assert!(world.links[edge].up, "an edge stays closed");
        world.target_input(
            edge,
            TargetInput::Heartbeat(tidelog_core::Heartbeat::default()),
        );
    }
    for asked in &world.oracle.asked {
        assert!(
            asked.answered || asked.unknown,
            "a request was never answered"
        );
    }
}
