//! A target of our own on the wire: it checks with its own eyes that frames continue each other and carry the true hashes.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tidelog_harness::client::Client;
use tidelog_harness::manifests::{Link, Manifests};
use tidelog_harness::network::{Network, Storage};
use tidelog_harness::record::{FrameRecord, Id, hex};
use tidelog_model::{ChainHash, Digest, canonical};
use tidelog_proto::v1;
use tidelog_proto::v1::replication_message::Message;
use tidelog_proto::v1::replication_service_client::ReplicationServiceClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{SOON, append_each, on_both_stores};

on_both_stores!(
    frames_continue_each_other_over_kills_and_small_credits,
    a_target_with_another_past_is_sent_back
);

/// The target `probe` is in the manifests, and this test runs it.
fn manifests() -> Manifests {
    Manifests::new("orders", &["eu", "us", "probe"])
        .link(Link::both("l", "eu", "us"))
        .link(Link::one_way("p", "eu", "probe").batch(3))
}

async fn network(storage: Storage) -> Result<Network> {
    let mut network = Network::prepare(storage, manifests())?;
    for name in ["eu", "us"] {
        let command = network.dev_command(&[name])?;
        network.spawn_command(name, command)?;
    }
    for name in ["eu", "us"] {
        network.ready(name).await?;
    }
    Ok(network)
}

/// What a target keeps.
#[derive(Clone, Default)]
struct Probe {
    progress: u64,
    hash: Vec<u8>,
    lineage: Vec<v1::LineageEntry>,
    version_vector: v1::VectorTime,
    ids: Vec<Id>,
}

/// How a stream ended.
#[derive(Debug)]
enum End {
    Enough,
    Refused(v1::Refused),
    Broken(String),
}

impl Probe {
    fn open(&self, network: &Network, stream_id: u64, spec_hash: String) -> v1::Open {
        v1::Open {
            stream_id,
            log: network.manifests.log.clone(),
            target: "probe".to_owned(),
            source: "eu".to_owned(),
            position: self.progress,
            hash: if self.progress == 0 {
                vec![0; 32].into()
            } else {
                self.hash.clone().into()
            },
            source_lineage: self.lineage.clone(),
            version_vector: Some(self.version_vector.clone()),
            covered_vector: Some(self.version_vector.clone()),
            target_lineage: vec![v1::LineageEntry {
                incarnation: 1,
                base: 0,
            }],
            source_incarnation_known: self.lineage.last().map_or(0, |entry| entry.incarnation),
            spec_hash,
            application_name: "tests".to_owned(),
            application_version: "1.0".to_owned(),
            protocol_version: 1,
            canonical_version: 1,
            credit_bytes: 400,
            filter_hash: String::new(),
        }
    }

    /// Asks until the source refuses for good; whatever it serves instead is an error.
    async fn refused(&mut self, network: &Network, first_stream: u64) -> Result<v1::Refused> {
        let past = self.progress;
        let deadline = tokio::time::Instant::now() + SOON;
        for stream in first_stream.. {
            match self.pull(network, stream, u64::MAX).await? {
                End::Refused(refused) => return Ok(refused),
                End::Broken(why) => ensure!(
                    self.progress == past && tokio::time::Instant::now() < deadline,
                    "a target with another past at {past} stands at {} ({why})",
                    self.progress
                ),
                End::Enough => bail!("a target with another past at {past} was served"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the numbers of streams ran out")
    }

    /// Pulls until it has everything up to a position, over as many streams as it takes.
    async fn pull_all(&mut self, network: &Network, first_stream: u64, until: u64) -> Result<()> {
        let mut stream = first_stream;
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            let why = match self.pull(network, stream, until).await? {
                End::Enough => return Ok(()),
                End::Broken(why) => why,
                End::Refused(refused) => bail!("{refused:?}"),
            };
            ensure!(
                tokio::time::Instant::now() < deadline,
                "the probe stands at {} ({why})",
                self.progress
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream += 1;
        }
    }

    /// Pulls until it has everything up to a position, or the stream ends.
    async fn pull(&mut self, network: &Network, stream_id: u64, until: u64) -> Result<End> {
        let Ok(status) = network.client("eu")?.status().await else {
            return Ok(End::Broken("no answer".to_owned()));
        };
        let address = format!("http://{}", network.address("eu", "replication")?);
        let Ok(mut client) = ReplicationServiceClient::connect(address).await else {
            return Ok(End::Broken("no answer".to_owned()));
        };
        let (out, messages) = mpsc::channel(16);
        let message = v1::ReplicationMessage::from;
        out.send(message(Message::Open(self.open(
            network,
            stream_id,
            status.spec_hash,
        ))))
        .await?;
        let Ok(answer) = client.pull(ReceiverStream::new(messages)).await else {
            return Ok(End::Broken("no answer".to_owned()));
        };
        let mut answers = answer.into_inner();
        while self.progress < until {
            let next = tokio::time::timeout(SOON, answers.message())
                .await
                .context("the source is silent")?;
            let next = match next {
                Ok(Some(next)) => next,
                other => return Ok(End::Broken(format!("{other:?}"))),
            };
            match next.message.context("an empty message")? {
                Message::Opened(opened) => {
                    ensure!(
                        opened.stream_id == stream_id && opened.position == self.progress,
                        "{opened:?}"
                    );
                    self.lineage = opened.source_lineage;
                }
                // A source that is still becoming the writer says so; whoever asks comes again.
                Message::Refused(refused) if refused.reason() == v1::RefusalReason::NotReady => {
                    return Ok(End::Broken(refused.message));
                }
                Message::Refused(refused) => return Ok(End::Refused(refused)),
                Message::Frame(frame) => {
                    // What the source counts for it: a frame, its events, its vector.
                    let events: usize = frame.events.iter().map(|event| event.len() + 8).sum();
                    let covered = frame
                        .covered_vector
                        .as_ref()
                        .map_or(0, |vector| vector.entries.len());
                    let bytes = 256 + events + 32 * covered;
                    self.apply(network, &frame)?;
                    let credit = v1::Credit {
                        stream_id,
                        bytes: bytes as u64,
                        version_vector: Some(self.version_vector.clone()),
                        covered_vector: Some(self.version_vector.clone()),
                        progress: self.progress,
                    };
                    let _ = out.send(message(Message::Credit(credit))).await;
                }
                _ => {}
            }
        }
        Ok(End::Enough)
    }

    fn apply(&mut self, network: &Network, frame: &v1::Frame) -> Result<()> {
        let mut ids = Vec::new();
        for bytes in &frame.events {
            let event = canonical::decode(bytes).map_err(|error| anyhow::anyhow!("{error}"))?;
            ids.push(Id::new(
                event.id.origin.location.as_str(),
                event.id.origin.incarnation.0,
                event.id.sequence,
            ));
        }
        network.journal.pages().frames.push(FrameRecord {
            stream: frame.stream_id,
            source: "eu".to_owned(),
            from: frame.from,
            to: frame.to,
            hash_from: hex(&frame.hash_from),
            hash_to: hex(&frame.hash_to),
            ids: ids.clone(),
        });
        ensure!(
            frame.from == self.progress,
            "a frame from {} at progress {}",
            frame.from,
            self.progress
        );
        for id in ids {
            ensure!(
                !self.ids.contains(&id),
                "{id} was sent although it was declared as held"
            );
            let entries = &mut self.version_vector.entries;
            match entries
                .iter_mut()
                .find(|e| e.location == id.location && e.incarnation == id.incarnation)
            {
                Some(entry) => entry.sequence = entry.sequence.max(id.sequence),
                None => entries.push(v1::vector_time::Entry {
                    location: id.location.clone(),
                    incarnation: id.incarnation,
                    sequence: id.sequence,
                }),
            }
            self.ids.push(id);
        }
        self.progress = frame.to;
        self.hash = frame.hash_to.to_vec();
        Ok(())
    }
}

/// The hash chain of a log at each position, computed anew from what it lists.
async fn chain(client: &Client) -> Result<BTreeMap<u64, String>> {
    let mut hash = ChainHash::ZERO;
    let mut chain = BTreeMap::from([(0, hash.to_string())]);
    for (sequence, id, digest) in client.list().await? {
        let bytes: Vec<u8> = (0..32)
            .map(|at| u8::from_str_radix(&digest[2 * at..2 * at + 2], 16))
            .collect::<Result<_, _>>()?;
        let id: tidelog_model::EventId = id
            .to_string()
            .parse()
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        hash = hash.next(&id, &Digest::from_slice(&bytes).context("32 bytes")?);
        chain.insert(sequence, hash.to_string());
    }
    Ok(chain)
}

async fn frames_continue_each_other_over_kills_and_small_credits(storage: Storage) -> Result<()> {
    let mut network = network(storage).await?;
    let outcome = async {
        let mut probe = Probe::default();
        let mut eu = network.session("w-eu", "eu")?;
        let mut us = network.session("w-us", "us")?;
        for round in 1..=3 {
            append_each(&mut eu, 12, "k").await?;
            append_each(&mut us, 12, "k").await?;
            // In the middle of a stream that has little credit, the source is killed.
            let until = probe.progress + 9;
            probe.pull_all(&network, round * 1_000, until).await?;
            network.kill("eu").await?;
            network.restart("eu").await?;
        }
        network.converged(SOON).await?;
        let head = network.client("eu")?.describe().await?.head;
        ensure!(head == 72, "{head}");
        probe.pull_all(&network, 100_000, head).await?;
        // Everything came, once, in the order of the source.
        let listed: Vec<Id> = network
            .client("eu")?
            .list()
            .await?
            .into_iter()
            .map(|(_, id, _)| id)
            .collect();
        ensure!(
            probe.ids == listed,
            "the probe got another order than the source has"
        );
        let chain = chain(&network.client("eu")?).await?;
        let frames = network.journal.pages().frames.clone();
        ensure!(
            frames.len() > 10,
            "small frames are many, not {}",
            frames.len()
        );
        for frame in &frames {
            ensure!(
                chain.get(&frame.from) == Some(&frame.hash_from)
                    && chain.get(&frame.to) == Some(&frame.hash_to),
                "{frame:?}"
            );
        }
        network.judge().await?;
        Ok(())
    }
    .await;
    network.finish(outcome)
}

async fn a_target_with_another_past_is_sent_back(storage: Storage) -> Result<()> {
    let mut network = network(storage).await?;
    let outcome = async {
        let mut eu = network.session("w-eu", "eu")?;
        append_each(&mut eu, 10, "k").await?;
        let mut probe = Probe::default();
        probe.pull_all(&network, 1, 10).await?;
        let chain = chain(&network.client("eu")?).await?;
        for (position, hash) in [
            (10, vec![9; 32]),
            (4, probe.hash.clone()),
            (11, probe.hash.clone()),
        ] {
            let mut other = Probe {
                progress: position,
                hash,
                ..probe.clone()
            };
            let refused = other.refused(&network, 2).await?;
            ensure!(
                refused.reason() == v1::RefusalReason::PositionMismatch,
                "{refused:?}"
            );
            ensure!(
                refused.position <= position.min(10)
                    && chain.get(&refused.position) == Some(&hex(&refused.hash)),
                "{refused:?}"
            );
        }
        // A location that is no target of eu gets nothing.
        let status = network.client("eu")?.status().await?;
        let mut stranger = Probe::default().open(&network, 3, status.spec_hash);
        "mars".clone_into(&mut stranger.target);
        let address = format!("http://{}", network.address("eu", "replication")?);
        let open = v1::ReplicationMessage::from(Message::Open(stranger));
        let mut client = ReplicationServiceClient::connect(address).await?;
        match client.pull(tokio_stream::once(open)).await {
            Err(_) => {}
            Ok(answers) => {
                let mut answers = answers.into_inner();
                while let Ok(Some(next)) = tokio::time::timeout(SOON, answers.message()).await? {
                    ensure!(
                        !matches!(next.message, Some(Message::Opened(_) | Message::Frame(_))),
                        "a stranger was served: {next:?}"
                    );
                }
            }
        }
        network.judge().await?;
        Ok(())
    }
    .await;
    network.finish(outcome)
}
