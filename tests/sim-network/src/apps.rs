//! All who use the network, on a host of their own; at the end they wait for rest and ask every location for everything.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use rand::Rng as _;
use tidelog_harness::record::Dump;
use tidelog_proto::v1;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::calls::Calls;
use crate::reader::Reader;
use crate::world::{World, dice, lock, now_micros};
use crate::writer::Writer;

/// The host that they live on.
pub const HOST: &str = "apps";

/// Simulated time in which a mended network must come to rest.
const REST_MAX: Duration = Duration::from_mins(1);

/// Runs them until the end.
pub async fn run(world: Arc<World>, locations: Vec<String>) -> turmoil::Result {
    let places: Vec<Calls> = locations
        .iter()
        .map(|name| Calls::to(name))
        .collect::<Result<_>>()?;
    let mut dice = dice(world.seed, "apps");
    let mut readers = Vec::new();
    let mut following = JoinSet::new();
    for calls in &places {
        for durable in [false, true] {
            let reader = Reader::new(calls, durable, &world);
            following.spawn(reader.clone().run());
            readers.push(reader);
        }
    }
    let mut writing = JoinSet::new();
    for number in 0..dice.random_range(2..8) {
        writing.spawn(Writer::new(number, &places, &world).run());
    }
    while let Some(ended) = writing.join_next().await {
        ended?;
    }
    world.say(now_micros(), &"the writers have ended");
    let heads = rest(&places).await?;
    world.say(now_micros(), &format!("at rest: {heads:?}"));
    for calls in &places {
        // Only to be counted: a connection may turn out to have been dead for long.
        let Ok(status) = calls.status().await else {
            continue;
        };
        for edge in status.edges.iter().filter(|edge| edge.redundant_total > 0) {
            world.say(now_micros(), &format!("{edge:?}"));
            world.count("edge: got what it held");
        }
    }
    let deadline = Instant::now() + REST_MAX;
    for reader in &readers {
        let head = heads.get(reader.location()).copied().unwrap_or_default();
        while reader.head() < head {
            let name = reader.record().name;
            let at = reader.head();
            ensure_in(deadline, || format!("{name} stands at {at}, not at {head}"))?;
            sleep(Duration::from_millis(50)).await;
        }
    }
    following.abort_all();
    for reader in readers {
        world.pages().subscriptions.push(reader.record());
    }
    for calls in &places {
        let dump = dump(calls).await?;
        let line = format!(
            "{} shows {} {:?}",
            calls.location,
            dump.head,
            dump.listed.last()
        );
        world.say(now_micros(), &line);
        lock(&world.dumps).insert(calls.location.clone(), dump);
    }
    Ok(())
}

/// Everything that a location shows; asked again where a connection turns out to have been dead for long.
async fn dump(calls: &Calls) -> Result<Dump> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match calls.dump().await {
            Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(200)).await,
            shown => return shown,
        }
    }
}

fn ensure_in(deadline: Instant, what: impl FnOnce() -> String) -> Result<()> {
    ensure!(
        Instant::now() < deadline,
        "I4: not at rest {REST_MAX:?} after everything was mended: {}",
        what()
    );
    Ok(())
}

/// Waits until every edge has copied all that its source has, twice in a row; the heads then.
async fn rest(places: &[Calls]) -> Result<BTreeMap<String, u64>> {
    let deadline = Instant::now() + REST_MAX;
    let mut before = None;
    loop {
        let mut statuses = Vec::new();
        for calls in places {
            if let Ok(status) = calls.status().await {
                statuses.push(status);
            }
        }
        let heads: BTreeMap<String, u64> = statuses
            .iter()
            .map(|status| (status.location.clone(), status.head))
            .collect();
        let still = statuses.len() == places.len() && unrest(&statuses).is_none();
        if still && before.as_ref() == Some(&heads) {
            return Ok(heads);
        }
        ensure_in(deadline, || told(&statuses))?;
        before = still.then_some(heads);
        sleep(Duration::from_millis(200)).await;
    }
}

/// An edge that has something left to copy.
fn unrest(statuses: &[v1::LocationStatus]) -> Option<&v1::EdgeStatus> {
    let source = |name: &str| statuses.iter().find(|status| status.location == name);
    let edges = statuses.iter().flat_map(|status| &status.edges);
    edges
        .filter(|edge| edge.direction() == v1::EdgeDirection::Incoming)
        .find(|edge| {
            source(&edge.source).is_none_or(|source| {
                // Of an empty source there is nothing to remember, not even its incarnation.
                edge.progress != source.head
                    || (source.head > 0 && edge.source_incarnation != source.incarnation)
            })
        })
}

fn told(statuses: &[v1::LocationStatus]) -> String {
    let mut text = String::new();
    for status in statuses {
        let _ = write!(
            text,
            "\n{}: head {} in {}, {:?} {}",
            status.location,
            status.head,
            status.incarnation,
            status.state(),
            status.message
        );
        for edge in &status.edges {
            let _ = write!(
                text,
                "\n  {}->{} {:?} {} {} progress {}/{} of {:?}, last error: {}",
                edge.source,
                edge.target,
                edge.state(),
                edge.reason,
                edge.message,
                edge.source_incarnation,
                edge.progress,
                edge.source_head,
                edge.last_error
            );
        }
    }
    text
}
