//! The cases.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream;
use tidelog_model::{ChainHash, Digest, VectorTime, canonical};
use tidelog_proto::v1;
use tidelog_proto::v1::replication_message::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::rig::{Memory, Peer, Rig, flood};

fn open(stream_id: u64, credit_bytes: u64) -> Message {
    open_of("orders", stream_id, credit_bytes)
}

fn open_of(log: &str, stream_id: u64, credit_bytes: u64) -> Message {
    Message::Open(v1::Open {
        stream_id,
        log: log.into(),
        target: "ap".into(),
        source: "eu".into(),
        hash: vec![0; 32].into(),
        version_vector: Some(v1::VectorTime::default()),
        covered_vector: Some(v1::VectorTime::default()),
        protocol_version: 1,
        canonical_version: 1,
        application_name: "shop".into(),
        application_version: "1.4".into(),
        credit_bytes,
        ..v1::Open::default()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_opens_for_ever_and_reads_nothing_is_not_listened_to() {
    let rig = Rig::start().await;
    let peer = target(&rig, 1).await;
    // Refused at once, and the refusal says what was asked for.
    let opens: Vec<v1::ReplicationMessage> = (2..=1000)
        .map(|n| open_of(&"x".repeat(1000), n, 1).into())
        .collect();
    let memory = Memory::now();
    let sent = flood(&peer.say, &opens, 200_000).await;
    memory.grew_by_less_than(100, &format!("{sent} of Open"));
    assert!(sent.held_back);
    assert!(sent.messages > 0, "it was listened to at first");
    // An honest one is served on a call of its own.
    target(&rig, 7_000).await;
    rig.end().await;
}

/// A target whose stream was opened.
#[expect(clippy::panic, reason = "a helper of tests")]
async fn target(rig: &Rig, stream_id: u64) -> Peer {
    // A few times: a location that has just begun to serve ends what came before.
    for _ in 0..10 {
        let mut peer = Peer::dial(rig, false).await;
        peer.say(open(stream_id, 1)).await;
        let opened = |message| matches!(message, Message::Opened(o) if o.stream_id == stream_id);
        let heard = peer.hear_or_end(|message| opened(message).then_some(()));
        if heard.await.is_some() {
            return peer;
        }
    }
    panic!("no stream was opened");
}

/// A source that was let in, and the stream that it agreed to.
async fn source(rig: &Rig) -> (Peer, u64) {
    let (peer, open) = loop {
        let mut peer = Peer::dial(rig, true).await;
        peer.say(Message::Offer(v1::Offer {
            log: "orders".into(),
            source: "us".into(),
            target: "eu".into(),
            protocol_version: 1,
        }))
        .await;
        let open = peer.hear_or_end(|message| match message {
            Message::Open(open) => Some(open),
            _ => None,
        });
        if let Some(open) = open.await {
            break (peer, open);
        }
    };
    peer.say(Message::Opened(v1::Opened {
        stream_id: open.stream_id,
        source_lineage: vec![v1::LineageEntry {
            incarnation: 1,
            base: 0,
        }],
        position: open.position,
        hash: open.hash.clone(),
        head: 1,
        application_name: "shop".into(),
        application_version: "1.4".into(),
        protocol_version: 1,
        ..v1::Opened::default()
    }))
    .await;
    (peer, open.stream_id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_asks_for_proof_for_ever_and_reads_nothing_gets_a_few() {
    let rig = Rig::start().await;
    let (mut peer, stream_id) = source(&rig).await;
    let mut event = tidelog_fuzz::sample::plain("us#1/1", "");
    event.payload = vec![7; 2 * 1024 * 1024].into();
    event.application_version = "1.4".parse().expect("a version");
    let bytes = canonical::encode(&event);
    let hash = ChainHash::ZERO.next(&event.id, &Digest::of(&bytes));
    peer.say(Message::Frame(v1::Frame {
        stream_id,
        source_incarnation: 1,
        to: 1,
        hash_from: vec![0; 32].into(),
        hash_to: hash.0.to_vec().into(),
        events: vec![bytes.into()],
        covered_vector: Some((&event.vector_time()).into()),
        head: 1,
        ..v1::Frame::default()
    }))
    .await;
    peer.hear(|message| matches!(message, Message::Credit(c) if c.progress == 1).then_some(()))
        .await;
    let wanted = v1::Proof {
        stream_id,
        content: Some(v1::proof::Content::Wanted((&event.id).into())),
    };
    let memory = Memory::now();
    let sent = flood(&peer.say, &[Message::Proof(wanted).into()], 100_000).await;
    memory.grew_by_less_than(60, &format!("{sent} of Wanted"));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_grants_absurd_credit_and_reads_nothing_costs_a_few_frames() {
    let rig = Rig::start().await;
    rig.fill(100).await;
    let memory = Memory::now();
    let peers = join_all((0..4).map(|_| Peer::dial(&rig, false))).await;
    for (n, peer) in (1..).zip(&peers) {
        peer.say(open(n, u64::MAX)).await;
        peer.say(Message::Credit(v1::Credit {
            stream_id: n,
            bytes: u64::MAX,
            ..v1::Credit::default()
        }))
        .await;
    }
    // Time to send everything, if nothing held it back.
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        rig.append(1).await;
    }
    memory.grew_by_less_than(
        60,
        "four targets with all the credit there is, a log of 100 MiB",
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_sends_without_credit_is_cut_off() {
    let rig = Rig::start().await;
    let (peer, stream_id) = source(&rig).await;
    // Frames that say nothing, with a vector that is as long as may be.
    let covered: VectorTime = (1..=200)
        .map(|n| (tidelog_fuzz::sample::origin("us", n), 1))
        .collect();
    let frame = v1::Frame {
        stream_id,
        source_incarnation: 1,
        hash_from: vec![0; 32].into(),
        hash_to: vec![0; 32].into(),
        covered_vector: Some((&covered).into()),
        ..v1::Frame::default()
    };
    let memory = Memory::now();
    let sent = flood(&peer.say, &[Message::Frame(frame).into()], 100_000).await;
    memory.grew_by_less_than(150, &format!("{sent} of Frame"));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_opens_streams_for_ever_and_says_nothing_has_some_of_them() {
    let rig = Rig::start().await;
    let peer = rig.peer().await;
    let memory = Memory::now();
    let calls: Vec<_> = (0..5_000)
        .map(|_| {
            let mut peer = peer.clone();
            tokio::spawn(async move {
                let silent = stream::pending::<v1::ReplicationMessage>();
                let call = peer.pull(silent).await;
                std::future::pending::<()>().await;
                drop(call);
            })
        })
        .collect();
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        rig.append(1).await;
    }
    memory.grew_by_less_than(100, "5,000 calls of one connection");
    for call in calls {
        call.abort();
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_appends_for_ever_and_reads_nothing_is_held_back() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    let (say, said) = mpsc::channel(8);
    let answers = client.append_stream(ReceiverStream::new(said)).await;
    let answers = answers.expect("a stream");
    // Refused, so that the log does not grow: it has seen what nobody has.
    let ahead: VectorTime = "us#1:9".parse().expect("a vector");
    let request = v1::AppendRequest {
        events: vec![v1::NewEvent {
            r#type: "Own".into(),
            payload: vec![7; 64 * 1024].into(),
            ..v1::NewEvent::default()
        }],
        context: Some((&ahead).into()),
        ..v1::AppendRequest::default()
    };
    let memory = Memory::now();
    let sent = flood(&say, &[request], 100_000).await;
    memory.grew_by_less_than(200, &format!("{sent} of 64 KiB"));
    assert!(sent.held_back);
    drop(answers);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_that_read_nothing_cost_a_page_each() {
    let rig = Rig::start().await;
    rig.fill(60).await;
    let client = rig.client().await;
    let memory = Memory::now();
    let streams = join_all((0..200).map(|_| {
        let mut client = client.clone();
        async move { client.subscribe(v1::SubscribeRequest::default()).await }
    }))
    .await;
    assert!(streams.iter().all(Result::is_ok));
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        rig.append(1).await;
    }
    memory.grew_by_less_than(800, "200 subscribers of one connection, a log of 60 MiB");
    drop(streams);
    rig.end().await;
}
