//! The operations of a run, and how often each is drawn.

use tidelog_core::{Input, SourceInput};

use crate::dice::{Dice, Part};
use crate::heal::one_round;
use crate::operator::Operated;
use crate::world::World;

/// Something that happens next. Says whether anything did.
type Operation = fn(&mut World, usize, usize) -> bool;

/// Each operation by name, with its weight. It gets a location and an edge that were drawn; when it does not apply there, nothing happens.
pub const OPERATIONS: &[(&str, usize, Operation)] = &[
    ("deliver a message", 250, |w, _, edge| {
        let edge = w.busy_edge(edge, |link| !link.messages.is_empty());
        w.deliver(edge)
    }),
    ("answer a store operation", 150, |w, site, _| {
        let site = w.busy_site(site, |process| process.operation.is_some());
        w.operate(site)
    }),
    ("answer a look into the log", 100, |w, _, edge| {
        let edge = w.looking_edge(edge);
        w.look(edge)
    }),
    ("let a writer begin", 90, |w, site, _| w.go(site)),
    ("append", 80, |w, site, _| w.append(site)),
    ("read in a session", 25, |w, site, _| w.read(site)),
    ("read on from a position", 15, |w, site, _| w.read_on(site)),
    ("try a request again", 15, |w, _, _| w.retry()),
    ("connect an edge", 75, |w, _, edge| {
        let edge = w.busy_edge(edge, |link| !link.up);
        w.connect(edge)
    }),
    ("notice the end of a stream", 10, |w, _, edge| {
        let edge = w.busy_edge(edge, |link| link.close_due);
        w.close(edge)
    }),
    ("show a view to an edge", 60, |w, site, edge| {
        w.show_view(site, edge)
    }),
    ("start a writer", 25, |w, site, _| {
        let site = w.resting_site(site);
        w.start(site)
    }),
    ("let everything run for a while", 6, |w, _, _| {
        let rounds = 1 + w.dice.below(12);
        (0..rounds).fold(false, |moved, _| moved | one_round(w))
    }),
    ("let time pass", 30, |w, site, edge| {
        w.now += i64::try_from(w.dice.below(15_000)).expect("small");
        w.source_input(edge, SourceInput::Tick);
        w.writer_input(site, Input::Tick);
        true
    }),
    ("break a connection", 10, |w, _, edge| w.disconnect(edge)),
    ("pause or resume an edge", 4, |w, _, edge| w.pause(edge)),
    ("remove or add an edge", 4, |w, _, edge| w.change_plan(edge)),
    ("change a filter", 3, |w, site, edge| {
        w.change_filter(site, edge)
    }),
    ("tell an edge of its filter", 25, |w, _, edge| {
        w.tell_filter(edge)
    }),
    ("crash a process", 7, |w, site, _| w.crash(site)),
    ("shut a writer down", 4, |w, site, _| w.shut_down(site)),
    ("stop a writer from outside", 3, |w, site, _| w.stop(site)),
    ("copy a database", 9, |w, site, _| w.backup(site)),
    ("restore an older copy", 4, |w, site, _| {
        w.restore(site, false)
    }),
    ("restore two locations at once", 1, |w, site, edge| {
        let other = w.topology.edges[edge].source;
        other != site && w.restore(site, false) & w.restore(other, false)
    }),
    ("fail a database over", 4, |w, site, _| w.fail_over(site)),
    ("wipe a database", 1, |w, site, _| w.wipe(site)),
    ("lose the witness", 2, |w, site, _| w.lose_witness(site)),
    ("put an older witness back", 1, |w, site, _| {
        w.stale_witness(site)
    }),
    ("let the witness be ahead", 1, |w, site, _| {
        w.witness_ahead(site)
    }),
    ("let another process take over", 4, |w, site, _| {
        w.take_over(site)
    }),
    (
        "put an older copy into the running server",
        5,
        |w, site, _| w.put_back(site),
    ),
    (
        "restore an older copy with its witness",
        12,
        |w, site, _| w.lose_unnoticed(site),
    ),
    ("clone a database", 3, |w, site, _| w.clone_database(site)),
    ("write at the original of a clone", 10, |w, site, _| {
        let site = w.cloned_site(site);
        w.write_at_the_original(site)
    }),
    ("end the original of a clone", 2, |w, site, _| {
        let site = w.cloned_site(site);
        w.end_the_original(site)
    }),
    ("restart a database server", 2, |w, site, _| {
        w.restart_server(site)
    }),
    ("wake a writer that was taken over", 2, |w, site, _| {
        w.wake_zombie(site)
    }),
    ("end a recovery", 3, |w, site, _| w.end_recovery(site)),
    ("change the application's version", 4, |w, site, _| {
        w.change_version(site)
    }),
    ("set a clock", 3, |w, site, _| w.set_clock(site)),
    ("notice another database", 7, |w, site, _| {
        w.keep_lease(site)
    }),
    // Without a weight: drawn only where operators keep witnesses.
    ("let the operator read a wish", 0, |w, site, _| {
        w.operator(site, |operator, _| operator.read_wish())
    }),
    (
        "let the operator write what it has read",
        0,
        |w, site, _| w.operator(site, |operator, _| operator.write()),
    ),
    ("let the operator say what is recorded", 0, |w, site, _| {
        w.operator(site, |operator, _| operator.tell())
    }),
    ("let the operator go away or come back", 0, |w, site, _| {
        w.operator(site, |operator, _| {
            operator.away = !operator.away;
            true
        })
    }),
    ("mount another record", 0, |w, site, _| {
        w.operator(site, Operated::mount)
    }),
    ("move a pod", 0, |w, site, _| w.move_pod(site)),
];

const OF_OPERATORS: usize = 6;

/// An operation of a run, with the location and the edge that were drawn for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    pub number: u32,
    /// In the table of operations.
    pub operation: usize,
    pub site: usize,
    pub edge: usize,
}

/// Draws one. Nothing that it does depends on how it was drawn.
pub fn choose(world: &mut World, seed: u64, number: u32) -> Chosen {
    world.dice = Dice::new(seed, Part::Choice(number));
    let site = world.dice.below(world.sites.len());
    let edge = world.dice.below(world.links.len());
    let chosen = |operation| Chosen {
        number,
        operation,
        site,
        edge,
    };
    if world.fails_over && world.dice.rarely(100) {
        // Copies of every moment, and a fail-over while frames are on their way to the writer: what a stream has left out may be gone.
        let now = world.frames_wait(site) && world.dice.chance(50);
        return chosen(if now { FAIL_OVER } else { COPY });
    }
    if world.operated && world.dice.chance(8) {
        let last = OPERATIONS.len() - 1;
        return chosen(last - world.dice.below(OF_OPERATORS));
    }
    let mut drawn = world.dice.below(TOTAL);
    for (operation, (_, weight, _)) in OPERATIONS.iter().enumerate() {
        if drawn < *weight {
            return chosen(operation);
        }
        drawn -= weight;
    }
    unreachable!("{drawn} is above all weights")
}

const COPY: usize = named("copy a database");
const FAIL_OVER: usize = named("fail a database over");

const fn named(name: &str) -> usize {
    let (mut i, name) = (0, name.as_bytes());
    loop {
        let other = OPERATIONS[i].0.as_bytes();
        let mut same = other.len() == name.len();
        let mut at = 0;
        while same && at < name.len() {
            same = other[at] == name[at];
            at += 1;
        }
        if same {
            return i;
        }
        i += 1;
    }
}

const TOTAL: usize = {
    let (mut total, mut i) = (0, 0);
    while i < OPERATIONS.len() {
        total += OPERATIONS[i].1;
        i += 1;
    }
    total
};

/// Carries one out.
pub fn carry_out(world: &mut World, seed: u64, chosen: Chosen) {
    let Chosen {
        number,
        operation,
        site,
        edge,
    } = chosen;
    world.dice = Dice::new(seed, Part::Step(number));
    let (name, _, run) = OPERATIONS[operation];
    world.trace.add((operation, site, edge));
    world.trace.say(|| {
        let e = &world.topology.edges[edge];
        let names = &world.topology.names;
        format!(
            "step {number}: {name}: {} {}->{}",
            names[site], names[e.source], names[e.target]
        )
    });
    world.chosen.push(chosen);
    if run(world, site, edge) {
        world.counts.add(name);
    } else {
        world.trace.say(|| "  (nothing to do)");
    }
    world.settle_filters();
}
