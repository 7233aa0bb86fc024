//! The end of each run: everything works again, the whole state comes to rest, and then it is right.

use tidelog_core::{Heartbeat, SourceInput, TargetInput};

use crate::site;
use crate::world::{DELAY, World};

/// Rounds and messages after which a network that still moves will not come to rest.
const ROUNDS_MAX: usize = 20_000;

pub fn heal(world: &mut World) {
    world.trace.say(|| "everything works again");
    world.hostile = false;
    world.newest_version_everywhere();
    for site in 0..world.sites.len() {
        world.operator(site, |operator, _| {
            operator.away = false;
            true
        });
        world.end_the_original(site);
        world.start(site);
        world.wake_zombie(site);
    }
    for edge in 0..world.links.len() {
        world.links[edge].paused = false;
        world.add_edge(edge);
        world.tell_filter(edge);
        world.disconnect(edge);
    }
    world.settle_filters();
    come_to_rest(world);
    if world.oracle.may_stall() {
        // What a source has taken back is looked for when a stream is opened; it may have come along another edge since.
        for edge in 0..world.links.len() {
            world.disconnect(edge);
        }
        come_to_rest(world);
    }
    let states: Vec<_> = world.sites.iter().map(site::Site::state).collect();
    let oracle = &world.oracle;
    oracle.at_rest(&states, |edge| world.stands_still(edge));
    for state in &states {
        world.trace.add((state.head, state.hash.0));
    }
    for edge in 0..world.links.len() {
        if world.stands_still(edge) {
            world.counts.add("an edge waits for a person");
            continue;
        }
        assert!(world.links[edge].up, "O13: an edge stays closed");
        world.target_input(edge, TargetInput::Heartbeat(Heartbeat::default()));
    }
    for (number, asked) in world.oracle.asked.iter().enumerate() {
        assert!(
            asked.answered || asked.unknown,
            "I7: request {number} was never answered"
        );
    }
}

fn come_to_rest(world: &mut World) {
    let messages_max = 10_000 * world.links.len() as u64;
    let before = world.delivered;
    let mut quiet = 0;
    for round in 0.. {
        let moved = one_round(world);
        quiet = if moved { 0 } else { quiet + 1 };
        if quiet > 3 {
            return;
        }
        if !moved {
            world.now += DELAY;
            for edge in 0..world.links.len() {
                world.source_input(edge, SourceInput::Tick);
            }
        }
        assert!(
            round < ROUNDS_MAX && world.delivered - before < messages_max,
            "O13: does not come to rest"
        );
    }
}

/// Everybody does what there is to do, once.
pub fn one_round(world: &mut World) -> bool {
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
    moved
}
