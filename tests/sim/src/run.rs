//! One run, from a seed.

use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::counts::Counts;
use crate::dice::{Dice, Part};
use crate::heal::heal;
use crate::history::History;
use crate::step::{carry_out, choose};
use crate::topology::Topology;
use crate::world::World;

/// What is to be run.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// Everything is drawn from it.
    pub seed: u64,
    /// The steps that are kept; all when absent.
    pub steps: Option<BTreeSet<u32>>,
    /// A graph of links that the planner refuses, to show what it is for.
    pub refused: bool,
    /// Lines for people.
    pub with_lines: bool,
    /// The oracle asks for more than the contract promises, to show that it looks.
    pub more: Option<More>,
    /// Operators keep the witnesses of locations with a server.
    pub operated: bool,
    /// Instead of what the seed draws: a graph and operations that were written down.
    pub history: Option<History>,
}

/// What the contract does not promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum More {
    /// A changed filter is in force when all edges but one report it.
    FiltersEarly,
    /// What a location beside filtered links has lost comes back everywhere.
    LossesBesideFilters,
    /// What had seen an id in doubt is where everything else is.
    LateLosses,
}

/// What a run did.
#[derive(Debug)]
pub struct Outcome {
    /// How many steps its seed has drawn.
    pub steps: u32,
    /// Of everything it did. The same script has the same hash.
    pub hash: u64,
    /// What happened how often.
    pub counts: Counts,
    /// What it did, to be written down.
    pub history: History,
    /// Lines for people, when they were asked for.
    pub lines: Vec<String>,
    /// What was violated, if something was.
    pub violation: Option<Violation>,
}

/// What a run did that it must not do.
#[derive(Debug, Clone)]
pub struct Violation {
    /// The words of the oracle, or of a panic in the product.
    pub message: String,
    /// Where it was noticed.
    pub place: String,
}

impl Violation {
    /// Whether it is the same kind of thing: numbers and names may differ.
    pub fn resembles(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

/// Runs a script to its end.
pub fn run(script: &Script) -> Outcome {
    catch_panics();
    let mut dice = Dice::new(script.seed, Part::Topology);
    let topology = match &script.history {
        Some(history) => history.topology(),
        None if script.refused => Topology::refused(&mut dice),
        None => Topology::accepted(&mut dice),
    };
    let steps = 200 + dice.below(1_200) as u32;
    let drawn = topology.shape.name();
    let mut world = World::new(topology, script.seed, script.with_lines);
    world.oracle.more = script.more;
    if script.operated || script.history.as_ref().is_some_and(|h| h.operated) {
        world.employ_operators();
    }
    world.counts.add(drawn);
    let ended = panic::catch_unwind(AssertUnwindSafe(|| live(&mut world, script, steps)));
    let violation = ended.err().map(|_| {
        LAST.with_borrow_mut(Option::take)
            .unwrap_or_else(|| Violation {
                message: "a panic without words".into(),
                place: String::new(),
            })
    });
    if violation.is_some() && script.with_lines {
        let shown = panic::catch_unwind(AssertUnwindSafe(|| world.show()));
        drop(shown);
    }
    Outcome {
        steps,
        hash: world.trace.hash(),
        history: History::of(script.seed, &world),
        counts: std::mem::take(&mut world.counts),
        lines: world.trace.take_lines(),
        violation,
    }
}

fn live(world: &mut World, script: &Script, steps: u32) {
    for site in 0..world.sites.len() {
        world.start(site);
    }
    if let Some(history) = &script.history {
        for chosen in history.steps() {
            carry_out(world, script.seed, chosen);
        }
    } else {
        for number in 0..steps {
            if script.steps.as_ref().is_none_or(|s| s.contains(&number)) {
                let chosen = choose(world, script.seed, number);
                carry_out(world, script.seed, chosen);
            }
        }
    }
    world.dice = Dice::new(script.seed, Part::End);
    heal(world);
}

thread_local! {
    static LAST: RefCell<Option<Violation>> = const { RefCell::new(None) };
}

/// A violation is a panic, of an oracle or of the product. It is caught and told by whoever runs the seeds.
fn catch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let text = info.payload_as_str().unwrap_or("a panic without words");
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            if std::env::var_os("RUST_BACKTRACE").is_some_and(|wish| wish == "full") {
                eprintln!("{}", Backtrace::force_capture());
            }
            LAST.with_borrow_mut(|last| {
                *last = Some(Violation {
                    message: text.to_owned(),
                    place,
                });
            });
        }));
    });
}
