//! Peers that break the contract, or messages that come twice, late or from elsewhere.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidelog_core::EdgeState;
use tidelog_model::{
    ApplicationVersion, ChainHash, Digest, Event, EventId, HybridTime, Incarnation, Origin,
    VectorTime, canonical,
};
use tidelog_proto::v1::{self, replication_message::Message};
use tidelog_proto::{ApiError, ErrorReason};
use tidelog_replication::{PeerLocation, RecoveryState};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::Streaming;

use crate::net::{Dial, Net, edge, eventually, name, new_event, pause, request_of, wall};

type Client = v1::replication_service_client::ReplicationServiceClient<tonic::transport::Channel>;

/// A peer that says what it is told to say.
pub struct Puppet {
    say: mpsc::Sender<v1::ReplicationMessage>,
    heard: Streaming<v1::ReplicationMessage>,
    /// Keeps the connection when the call ends.
    _client: Client,
}

impl Puppet {
    pub async fn dial(net: &Net, at: &str, push: bool) -> Self {
        let mut client = Client::connect(format!("http://{}", net.addresses[at]))
            .await
            .unwrap()
            .max_decoding_message_size(16 << 20);
        let (say, said) = mpsc::channel(64);
        let said = ReceiverStream::new(said);
        let heard = if push {
            client.push(said).await.unwrap()
        } else {
            client.pull(said).await.unwrap()
        };
        Self {
            say,
            heard: heard.into_inner(),
            _client: client,
        }
    }

    pub async fn say(&self, message: Message) {
        self.say.send(message.into()).await.unwrap();
    }

    /// The next message, whatever it is; nothing when the stream has ended.
    pub async fn hear_anything(&mut self) -> Option<Message> {
        self.heard.message().await.ok().flatten()?.message
    }

    /// The next message but heartbeats.
    pub async fn hear(&mut self) -> Option<Message> {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(10), self.heard.message());
            match next.await.expect("an answer") {
                Ok(Some(message)) => match message.message.unwrap() {
                    Message::Heartbeat(_) => {}
                    other => return Some(other),
                },
                Ok(None) | Err(_) => return None,
            }
        }
    }

    pub async fn frame(&mut self) -> v1::Frame {
        loop {
            match self.hear().await.expect("a frame") {
                Message::Frame(frame) => return frame,
                Message::Opened(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// True when no frame comes for a while.
    async fn silent(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(300), self.hear())
            .await
            .is_err()
    }

    /// Waits for an Open, skipping credits.
    async fn open(&mut self) -> v1::Open {
        loop {
            match self.hear().await.expect("an Open") {
                Message::Open(open) => return open,
                Message::Credit(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub async fn offer(net: &Net) -> (Self, v1::Open) {
        let mut puppet = Self::dial(net, "us", true).await;
        puppet
            .say(Message::Offer(v1::Offer {
                log: "orders".into(),
                source: "eu".into(),
                target: "us".into(),
                protocol_version: 1,
            }))
            .await;
        let open = puppet.open().await;
        (puppet, open)
    }

    pub async fn agree(&self, open: &v1::Open, head: u64) {
        self.say(Message::Opened(v1::Opened {
            stream_id: open.stream_id,
            source_lineage: vec![v1::LineageEntry {
                incarnation: 1,
                base: 0,
            }],
            position: open.position,
            hash: open.hash.clone(),
            head,
            application_name: "shop".into(),
            application_version: "1.0".into(),
            protocol_version: 1,
            ..v1::Opened::default()
        }))
        .await;
    }
}

fn event_of(location: &str, sequence: u64, context: &str) -> Event {
    Event {
        id: EventId::new(Origin::new(name(location), Incarnation(1)), sequence),
        context: context.parse().unwrap(),
        time: HybridTime {
            micros: 1,
            logical: 0,
        },
        event_type: format!("t{sequence}"),
        schema_version: 0,
        content_type: String::new(),
        payload: Bytes::new(),
        emitter_id: String::new(),
        aggregate_id: "a".into(),
        destinations: Vec::new(),
        metadata: std::collections::BTreeMap::new(),
        caused_by: None,
        delivery_id: String::new(),
        request_id: String::new(),
        request_index: 0,
        request_count: 0,
        application_version: ApplicationVersion::default(),
        plan_id: 0,
    }
}

fn event(sequence: u64) -> Event {
    let context = match sequence {
        1 => String::new(),
        n => format!("eu#1:{}", n - 1),
    };
    event_of("eu", sequence, &context)
}

/// The chain of a log that holds only these events, up to a position.
fn chain(to: u64) -> ChainHash {
    (1..=to).fold(ChainHash::ZERO, |hash, n| {
        let event = event(n);
        hash.next(&event.id, &Digest::of(&canonical::encode(&event)))
    })
}

fn frame(open: &v1::Open, from: u64, to: u64) -> v1::Frame {
    let covered: VectorTime = format!("eu#1:{to}").parse().unwrap();
    v1::Frame {
        stream_id: open.stream_id,
        source_incarnation: 1,
        from,
        to,
        hash_from: Bytes::copy_from_slice(&chain(from).0),
        hash_to: Bytes::copy_from_slice(&chain(to).0),
        events: (from + 1..=to)
            .map(|n| canonical::encode(&event(n)).into())
            .collect(),
        covered_vector: Some((&covered).into()),
        head: to,
        ..v1::Frame::default()
    }
}

/// `us` waits for `eu` to dial; a puppet will.
pub async fn waiting_target() -> Net {
    let edges = vec![edge("eu", "us").dialled_by(Dial::Source)];
    let mut net = Net::planned(&["eu", "us"], edges).await;
    net.start("us").await;
    net
}

async fn held(net: &Net) -> usize {
    net.ids("us").await.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_comes_twice_is_dropped_and_the_stream_goes_on() {
    let net = waiting_target().await;
    let (mut puppet, open) = Puppet::offer(&net).await;
    puppet.agree(&open, 3).await;
    for (from, to) in [(0, 2), (0, 2), (0, 1), (2, 3)] {
        puppet.say(Message::Frame(frame(&open, from, to))).await;
    }
    let mut last = 0;
    while last < 3 {
        match puppet.hear().await.unwrap() {
            Message::Credit(credit) => last = credit.progress,
            other => panic!("{other:?}"),
        }
    }
    net.settle(&["us"], 3).await;
    assert_eq!(net.status("us", "eu", "us").state, EdgeState::Streaming);
    assert_eq!(net.status("us", "eu", "us").streams_total, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_frame_covers_counts_when_it_is_applied_and_not_before() {
    let mut net = waiting_target().await;
    net.append("us", "own").await;
    let store = net.stop("us").await;
    std::fs::remove_file(net.dir.path().join("us")).unwrap();
    net.start_on("us", store).await;
    assert_eq!(net.log("us").lineage().entries().len(), 2, "raised");
    // The source is caught up with after the first frame. The second one speaks of more lost events, and is never applied.
    let (mut puppet, open) = Puppet::offer(&net).await;
    puppet.agree(&open, 1).await;
    let beyond = v1::Frame {
        covered_vector: Some((&"eu#1:6,us#1:9".parse::<VectorTime>().unwrap()).into()),
        ..frame(&open, 5, 6)
    };
    puppet.say(Message::Frame(frame(&open, 0, 1))).await;
    puppet.say(Message::Frame(beyond)).await;
    assert_eq!(puppet.open().await.position, 1, "opened anew");
    eventually("recovered", || async {
        net.replication("us").recovery().borrow().state == RecoveryState::Recovered
    })
    .await;
    let covered = net.log("us").reader().view().covered_vector.clone();
    assert_eq!(covered.to_string(), "eu#1:1,us#1:1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_of_another_stream_is_ignored() {
    let net = waiting_target().await;
    let (puppet, open) = Puppet::offer(&net).await;
    puppet.agree(&open, 2).await;
    let mut foreign = frame(&open, 0, 1);
    foreign.stream_id = open.stream_id.wrapping_add(1);
    puppet.say(Message::Frame(foreign)).await;
    pause(200).await;
    assert_eq!(held(&net).await, 0);
    puppet.say(Message::Frame(frame(&open, 0, 2))).await;
    net.settle(&["us"], 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_do_not_continue_reopen_the_stream_under_a_new_id_and_nothing_is_lost() {
    let net = waiting_target().await;
    let (mut puppet, open) = Puppet::offer(&net).await;
    puppet.agree(&open, 9).await;
    puppet.say(Message::Frame(frame(&open, 0, 2))).await;
    // A gap, and behind it a frame that must not be taken because the one before it was not.
    puppet.say(Message::Frame(frame(&open, 4, 5))).await;
    puppet.say(Message::Frame(frame(&open, 2, 3))).await;
    let again = puppet.open().await;
    assert_ne!(again.stream_id, open.stream_id);
    assert_eq!(again.position, 2);
    assert_eq!(held(&net).await, 2);
    // What is still on its way of the stream before is void, also when it would fit.
    puppet.agree(&again, 9).await;
    puppet.say(Message::Frame(frame(&open, 2, 3))).await;
    pause(200).await;
    assert_eq!(held(&net).await, 2);
    // Another history under the same numbers.
    let mut other = frame(&again, 2, 3);
    other.hash_from = Bytes::from_static(&[7; 32]);
    puppet.say(Message::Frame(other)).await;
    let third = puppet.open().await;
    assert_eq!((third.position, held(&net).await), (2, 2));
    puppet.agree(&third, 9).await;
    puppet.say(Message::Frame(frame(&third, 2, 5))).await;
    net.settle(&["us"], 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn breaches_stall_the_edge_and_store_nothing() {
    type Breach = fn(&v1::Open) -> v1::Frame;
    let breaches: [(&str, Breach); 4] = [
        ("covered", |open| v1::Frame {
            covered_vector: Some(v1::VectorTime::default()),
            ..frame(open, 0, 2)
        }),
        ("holds", |open| v1::Frame {
            to: 1,
            ..frame(open, 0, 2)
        }),
        ("events[1]", |open| {
            let mut bad = frame(open, 0, 2);
            let mut bytes = bad.events[1].to_vec();
            bytes.push(0);
            bad.events[1] = bytes.into();
            bad
        }),
        ("hash_to", |open| v1::Frame {
            hash_to: Bytes::from_static(&[1; 31]),
            ..frame(open, 0, 2)
        }),
    ];
    for (word, breach) in breaches {
        let net = waiting_target().await;
        let (puppet, open) = Puppet::offer(&net).await;
        puppet.agree(&open, 2).await;
        puppet.say(Message::Frame(breach(&open))).await;
        let stalled = net.until("us", "eu", "us", EdgeState::Stalled).await;
        assert_eq!(stalled.reason, "Rejected");
        assert!(stalled.message.contains(word), "{}", stalled.message);
        assert_eq!(held(&net).await, 0, "{word}");
        // The log itself is not disturbed.
        net.append("us", "own").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reused_id_stalls_for_a_person() {
    let net = waiting_target().await;
    let (puppet, open) = Puppet::offer(&net).await;
    puppet.agree(&open, 3).await;
    puppet.say(Message::Frame(frame(&open, 0, 3))).await;
    net.settle(&["us"], 3).await;
    drop(puppet);
    // A second contact, in which the source says that it took one of its ids back.
    let (puppet, open) = Puppet::offer(&net).await;
    let digest = Digest::of(&canonical::encode(&event(3)));
    puppet
        .say(Message::Opened(v1::Opened {
            stream_id: open.stream_id,
            source_lineage: vec![v1::LineageEntry {
                incarnation: 1,
                base: 0,
            }],
            position: open.position,
            hash: open.hash.clone(),
            head: 3,
            voided: vec![v1::VoidedId {
                id: Some((&event(3).id).into()),
                digest: Bytes::copy_from_slice(&digest.0),
            }],
            ..v1::Opened::default()
        }))
        .await;
    let stalled = net.until("us", "eu", "us", EdgeState::Stalled).await;
    assert_eq!(stalled.reason, "IdentityReused");
    // Not before an hour: a source that dials again is turned away.
    let mut puppet = Puppet::dial(&net, "us", true).await;
    puppet
        .say(Message::Offer(v1::Offer {
            log: "orders".into(),
            source: "eu".into(),
            target: "us".into(),
            protocol_version: 1,
        }))
        .await;
    let Some(Message::Refused(refused)) = puppet.hear().await else {
        panic!("refused");
    };
    assert_eq!(refused.reason(), v1::RefusalReason::Rejected);
    // A change of the settings ends the hour.
    let mut net = net;
    net.edges[0].filter = Some(("true", tidelog_filter::OnError::Stall));
    net.apply();
    eventually("asks again", || async {
        let (_puppet, open) = Puppet::offer(&net).await;
        open.position == 3
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_come_while_voided_ids_are_looked_up_are_not_lost() {
    let net = waiting_target().await;
    let (puppet, open) = Puppet::offer(&net).await;
    let voided = (100..2_000)
        .map(|n| v1::VoidedId {
            id: Some((&event(n).id).into()),
            digest: Bytes::from_static(&[3; 32]),
        })
        .collect();
    puppet
        .say(Message::Opened(v1::Opened {
            stream_id: open.stream_id,
            source_lineage: vec![v1::LineageEntry {
                incarnation: 1,
                base: 0,
            }],
            hash: open.hash.clone(),
            head: 3,
            voided,
            ..v1::Opened::default()
        }))
        .await;
    for n in 0..3 {
        puppet.say(Message::Frame(frame(&open, n, n + 1))).await;
    }
    net.settle(&["us"], 3).await;
    assert_eq!(net.status("us", "eu", "us").streams_total, 1);
}

/// A puppet that pulls from `eu`.
pub async fn pull(net: &Net, stream: u64, version_vector: &str, credit: u64) -> Puppet {
    let puppet = Puppet::dial(net, "eu", false).await;
    puppet
        .say(open_of_us(stream, &version_vector.parse().unwrap(), credit))
        .await;
    puppet
}

/// What `us` says to begin a stream at the start of the log of `eu`.
pub fn open_of_us(stream: u64, vector: &VectorTime, credit: u64) -> Message {
    Message::Open(v1::Open {
        stream_id: stream,
        log: "orders".into(),
        target: "us".into(),
        source: "eu".into(),
        hash: Bytes::from_static(&[0; 32]),
        version_vector: Some(vector.into()),
        covered_vector: Some(vector.into()),
        application_name: "shop".into(),
        application_version: "1.0".into(),
        protocol_version: 1,
        canonical_version: 1,
        credit_bytes: credit,
        ..v1::Open::default()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incarnation_that_a_target_has_named_is_not_used_again() {
    let net = serving_source(1).await;
    let named = u32::try_from(wall() / 1_000_000).unwrap() + 3_600;
    let mut puppet = Puppet::dial(&net, "eu", false).await;
    let Message::Open(mut open) = open_of_us(1, &VectorTime::new(), 0) else {
        unreachable!("an Open");
    };
    open.source_incarnation_known = named;
    puppet.say(Message::Open(open)).await;
    let answer = puppet.hear().await;
    assert!(matches!(answer, Some(Message::Refused(_))), "{answer:?}");
    let lost = canonical::encode(&event(2)).into();
    let lost = tidelog_core::FrameEvent::decode(&lost).unwrap();
    net.log("eu").report_loss(lost).await;
    eventually("raised", || async {
        net.log("eu").lineage().entries().len() == 2
    })
    .await;
    let raised = net.log("eu").lineage().current().unwrap().incarnation;
    assert!(raised > Incarnation(named), "{raised}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_knows_the_newest_event_is_not_suspected() {
    let net = serving_source(1).await;
    let log = net.log("eu").clone();
    let writing = tokio::spawn(async move {
        loop {
            log.append(request_of(new_event("x"))).await.unwrap();
        }
    });
    // Without credit: nothing is sent, all that the source does is to judge.
    let mut puppet = pull(&net, 1, "", 0).await;
    for stream in 2..=5_000 {
        let shown = net.log("eu").reader().view().version_vector.clone();
        puppet.say(open_of_us(stream, &shown, 0)).await;
    }
    // One that is asked for before the one before it was answered takes its place.
    loop {
        match puppet.hear().await.expect("an answer") {
            Message::Opened(opened) if opened.stream_id == 5_000 => break,
            Message::Opened(_) => {}
            other => panic!("{other:?}"),
        }
    }
    writing.abort();
}

pub async fn serving_source(events: usize) -> Net {
    let mut net = Net::planned(&["eu", "us"], vec![edge("eu", "us")]).await;
    net.tuning.frame_events_max = 1;
    net.start("eu").await;
    for _ in 0..events {
        net.append("eu", "x").await;
    }
    net
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_remembers_nothing_of_what_a_target_declared_on_another_stream() {
    let net = serving_source(3).await;
    let mut first = pull(&net, 1, "eu#1:3", 1 << 20).await;
    let empty = first.frame().await;
    assert_eq!((empty.to, empty.events.len()), (3, 0));
    let mut second = pull(&net, 2, "", 1 << 20).await;
    for n in 1..=3 {
        let frame = second.frame().await;
        assert_eq!((frame.stream_id, frame.to, frame.events.len()), (2, n, 1));
    }
    assert!(first.hear().await.is_none(), "one stream per edge");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_sends_no_more_than_the_credit_of_this_very_stream() {
    let net = serving_source(3).await;
    let mut puppet = pull(&net, 5, "", 1).await;
    assert_eq!(puppet.frame().await.to, 1);
    assert!(puppet.silent().await, "the credit is used up");
    let credit = |stream, bytes, vector: Option<&str>| {
        let vector: Option<VectorTime> = vector.map(|v| v.parse().unwrap());
        Message::Credit(v1::Credit {
            stream_id: stream,
            bytes,
            version_vector: vector.as_ref().map(Into::into),
            covered_vector: None,
            progress: 1,
        })
    };
    puppet.say(credit(4, 1 << 20, Some("eu#1:3"))).await;
    assert!(puppet.silent().await, "the credit of another stream");
    puppet.say(credit(5, 400, None)).await;
    let next = puppet.frame().await;
    assert_eq!((next.from, next.to, next.events.len()), (1, 2, 1));
    // What the target has declared meanwhile is not sent.
    puppet.say(credit(5, 1 << 20, Some("eu#1:3"))).await;
    let last = puppet.frame().await;
    assert_eq!((last.from, last.to, last.events.len()), (2, 3, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_begins_with_the_wrong_message_or_for_another_location_is_refused() {
    let net = serving_source(1).await;
    let mut wrong = Puppet::dial(&net, "eu", false).await;
    wrong.say(Message::Credit(v1::Credit::default())).await;
    let status = wrong.heard.message().await.unwrap_err();
    let error = ApiError::from_status(&status).unwrap();
    assert_eq!(error.reason, ErrorReason::InvalidRequest);

    let mut stranger = Puppet::dial(&net, "eu", true).await;
    stranger
        .say(Message::Offer(v1::Offer {
            log: "orders".into(),
            source: "ap".into(),
            target: "eu".into(),
            protocol_version: 1,
        }))
        .await;
    let Some(Message::Refused(refused)) = stranger.hear().await else {
        panic!("refused");
    };
    assert_eq!(refused.reason(), v1::RefusalReason::EdgeNotAllowed);
    let mut lost = Puppet::dial(&net, "eu", true).await;
    lost.say(Message::Offer(v1::Offer {
        log: "payments".into(),
        source: "us".into(),
        target: "eu".into(),
        protocol_version: 1,
    }))
    .await;
    let Some(Message::Refused(refused)) = lost.hear().await else {
        panic!("refused");
    };
    assert_eq!(refused.reason(), v1::RefusalReason::WrongLocation);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_speaks_only_for_the_location_that_its_certificate_names() {
    let mut net = serving_source(1).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    net.addresses.insert("eu", listener.local_addr().unwrap());
    let vouched = Arc::new(std::sync::Mutex::new("ap"));
    let says = vouched.clone();
    let service = tonic::service::interceptor::InterceptedService::new(
        net.replication("eu").api().into_server(),
        move |mut request: tonic::Request<()>| {
            let peer = PeerLocation(name(*says.lock().unwrap()));
            request.extensions_mut().insert(peer);
            Ok(request)
        },
    );
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let mut puppet = pull(&net, 1, "", 1 << 20).await;
    let status = puppet.heard.message().await.unwrap_err();
    let error = ApiError::from_status(&status).unwrap();
    assert_eq!(error.reason, ErrorReason::LocationNotVouched);
    // A real location is told why, and says so.
    net.start("us").await;
    let rejected = net.until("us", "eu", "us", EdgeState::Rejected).await;
    assert_eq!(rejected.reason, "CertificateRejected");
    assert!(rejected.message.contains("ap"), "{}", rejected.message);
    net.stop("us").await;
    *vouched.lock().unwrap() = "us";
    let mut puppet = pull(&net, 2, "", 1 << 20).await;
    assert_eq!(puppet.frame().await.to, 1);
}
