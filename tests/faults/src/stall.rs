//! Memory while a peer or a subscriber does not take what is for it: more is appended than the sidecar may keep, and its memory is watched.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tidelog_harness::client::Client;
use tidelog_harness::manifests::{Link, Manifests};
use tidelog_harness::network::{Network, PATIENCE, Place, Storage};
use tidelog_harness::record::Answer;
use tidelog_harness::session::Draft;
use tidelog_proto::v1;
use tokio::task::JoinSet;

use crate::kind::Store;
use crate::links::Links;
use crate::site::{Servers, metric, resident_mib};
use crate::tally::{Stalled, Tally};

const PAYLOAD: usize = 64 * 1024;
/// Appended first, so that everything that is kept for good is there before memory is looked at.
const WARM: u64 = 48 << 20;
/// Appended while something stands still: several times what may be kept.
const VOLUME: u64 = 192 << 20;
const CALLERS: usize = 8;

/// What the memory of a sidecar may grow by, in MiB: the newest events (16), the window of an edge (8), one page for a subscriber (1), a batch
/// being written and the next one (2 x 8), with what encodes them once more (16), and what an allocator keeps for itself.
pub const BOUND_MIB: f64 = 64.0;
/// What may be on its way to one that stands still, in MiB: the window of its edge (8), and what the kernel buffers on three sockets.
pub const IN_FLIGHT_BOUND_MIB: f64 = 24.0;
const MIB: f64 = 1_048_576.0;

/// Watches both kinds of stall at one location.
pub async fn run(store: Store, servers: &Servers, tally: &Tally, log: &str) -> Result<()> {
    let manifests = Manifests::new(log, &["eu", "us"]).link(Link::both("both", "eu", "us"));
    let mut network = Network::prepare(Storage::Sqlite, manifests)?;
    let outcome = watched(&mut network, store, servers, tally).await;
    if store == Store::Postgres {
        for name in network.names() {
            let _ = network.kill(&name).await;
            let database = Storage::database(log, &name);
            let statement = format!("DROP DATABASE IF EXISTS \"{database}\" WITH (FORCE)");
            servers.of(&name)?.sql("postgres", &statement)?;
        }
    }
    network.finish(outcome)
}

async fn watched(
    network: &mut Network,
    store: Store,
    servers: &Servers,
    tally: &Tally,
) -> Result<()> {
    let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    let links = Links::start([pair("eu", "us"), pair("us", "eu")]).await?;
    for name in network.names() {
        let storage = match store {
            Store::Postgres => Some(Storage::Postgres(servers.of(&name)?)),
            Store::Sqlite => None,
        };
        let peers = links.peers(&name);
        network.settle_at(
            &name,
            Place {
                storage,
                peers,
                ..Place::default()
            },
        );
    }
    network.start_all().await?;
    for name in network.names() {
        links.route(&name, &network.address(&name, "replication")?)?;
    }
    append(network, WARM).await?;
    covered(network).await?;

    let passed = |links: &Links| links.counted().values().map(|did| did.passed).sum::<u64>();
    network.process("us")?.freeze()?;
    let before = passed(&links);
    let mut peer = look_on(network, "a peer (SIGSTOP)").await?;
    peer.in_flight_mib = (passed(&links) - before) as f64 / MIB;
    network.process("us")?.thaw()?;
    covered(network).await?;
    let in_flight = peer.in_flight_mib;
    bounded(tally, peer)?;
    ensure!(
        in_flight <= IN_FLIGHT_BOUND_MIB,
        "{in_flight:.1} MiB went to a peer that takes nothing, the bound is {IN_FLIGHT_BOUND_MIB} MiB"
    );

    let after = network.client("eu")?.describe().await?.head;
    let request = v1::SubscribeRequest {
        log: network.manifests.log.clone(),
        start: Some(v1::subscribe_request::Start::After(v1::Position {
            incarnation: 0,
            sequence: after,
        })),
        ..v1::SubscribeRequest::default()
    };
    let mut stream = network
        .client("eu")?
        .log()
        .subscribe(request)
        .await?
        .into_inner();
    let subscriber = look_on(network, "a subscriber that reads nothing").await?;
    // Nothing was dropped for it meanwhile.
    let head = network.client("eu")?.describe().await?.head;
    let mut stands = after;
    while stands < head {
        let message = tokio::time::timeout(PATIENCE, stream.message())
            .await
            .context("a stalled subscriber that reads again gets nothing")??
            .context("the stream of a stalled subscriber ended")?;
        if let Some(v1::subscribe_response::Content::Events(batch)) = message.content {
            for event in batch.events {
                ensure!(
                    event.sequence == stands + 1,
                    "I6: a stalled subscriber got {} after {stands}",
                    event.sequence
                );
                stands = event.sequence;
            }
        }
    }
    covered(network).await?;
    bounded(tally, subscriber)
}

fn bounded(tally: &Tally, stalled: Stalled) -> Result<()> {
    let grew = stalled.most_mib - stalled.before_mib;
    let said = format!(
        "memory grew by {grew:.1} MiB over {}: {stalled:?}",
        stalled.what
    );
    tally.counts().stalled.push(stalled);
    ensure!(grew <= BOUND_MIB, "{said}; the bound is {BOUND_MIB} MiB");
    Ok(())
}

/// Appends more than may be kept, and looks at memory meanwhile.
async fn look_on(network: &mut Network, what: &str) -> Result<Stalled> {
    let pid = network.process("eu")?.id();
    let metrics = network.address("eu", "metrics")?;
    let before_mib = resident_mib(pid).context("the memory of eu")?;
    let (mut most_mib, mut tail_mib) = (before_mib, 0.0_f64);
    let watching = async {
        loop {
            most_mib = most_mib.max(resident_mib(pid).unwrap_or(0.0));
            tail_mib =
                tail_mib.max(metric(&metrics, "tidelog_tail_bytes").await.unwrap_or(0.0) / MIB);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = watching => {}
        appended = append(network, VOLUME) => appended?,
    }
    Ok(Stalled {
        what: what.to_owned(),
        appended_mib: VOLUME as f64 / MIB,
        before_mib,
        most_mib,
        bound_mib: BOUND_MIB,
        tail_mib,
        in_flight_mib: 0.0,
    })
}

async fn append(network: &Network, bytes: u64) -> Result<()> {
    let left = Arc::new(AtomicU64::new(bytes / PAYLOAD as u64));
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let mut session = network
            .session(&format!("c{caller}-{}", network.journal.now()), "eu")?
            .without_request_ids();
        let left = Arc::clone(&left);
        callers.spawn(async move {
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                })
                .is_ok()
            {
                let draft = Draft {
                    payload: vec![7; PAYLOAD],
                    ..Draft::of("k")
                };
                let answer = session.append(vec![draft]).await;
                ensure!(
                    matches!(answer, Answer::Ok { .. }),
                    "an append was not taken while something else stood still: {answer:?}"
                );
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    Ok(())
}

async fn covered(network: &Network) -> Result<()> {
    let token = network.client("eu")?.describe().await?.version_vector;
    let token = token.context("a version vector")?;
    let client: Client = network.client("us")?;
    for _ in 0..4 {
        if client
            .await_token(token.clone(), Duration::from_secs(19))
            .await
            .is_ok()
        {
            return Ok(());
        }
    }
    anyhow::bail!("us does not get what eu has:{}", network.edges().await)
}
