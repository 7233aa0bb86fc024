//! A location, and clients that say much and read nothing.

use std::time::Duration;
use std::{fmt, fs};

use futures_util::StreamExt as _;
use tidelog_config::Config;
use tidelog_proto::v1;
use tidelog_proto::v1::log_service_client::LogServiceClient;
use tidelog_proto::v1::replication_message::Message;
use tidelog_proto::v1::replication_service_client::ReplicationServiceClient;
use tidelog_server::RunningLocation;
use tokio::sync::{Mutex, MutexGuard, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

/// Longer than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// Whoever cannot send for so long is held back.
const HELD_BACK: Duration = Duration::from_secs(2);
const MEBI: u64 = 1024 * 1024;

/// One case at a time: they are measured.
static ALONE: Mutex<()> = Mutex::const_new(());

/// A location that serves, alone in this process.
pub struct Rig {
    running: RunningLocation,
    _alone: MutexGuard<'static, ()>,
}

impl Rig {
    pub async fn start() -> Self {
        let alone = ALONE.lock().await;
        let config = Config::from_yaml(tidelog_fuzz::calls::CONFIG, "endless");
        let config = config.expect("a configuration");
        let running = RunningLocation::start(config).await.expect("free ports");
        let ready = running.wait_until_ready(PATIENCE).await;
        ready.expect("a location in memory serves");
        Self {
            running,
            _alone: alone,
        }
    }

    /// A connection of a client.
    pub async fn client(&self) -> LogServiceClient<Channel> {
        LogServiceClient::new(dial(&self.running.addresses().api.to_string()).await)
    }

    /// A connection of a peer.
    pub async fn peer(&self) -> ReplicationServiceClient<Channel> {
        let address = self.running.addresses().replication.to_string();
        ReplicationServiceClient::new(dial(&address).await)
    }

    /// Appends one event with so many bytes of payload; must be taken.
    pub async fn append(&self, bytes: usize) -> v1::AppendResponse {
        let request = v1::AppendRequest {
            events: vec![v1::NewEvent {
                r#type: "Own".into(),
                payload: vec![7; bytes].into(),
                ..v1::NewEvent::default()
            }],
            ..v1::AppendRequest::default()
        };
        let mut client = self.client().await;
        let answer = tokio::time::timeout(PATIENCE, client.append(request)).await;
        let answer = answer.expect("an append is answered");
        answer.expect("an append is taken").into_inner()
    }

    /// Fills the log with so many MiB.
    pub async fn fill(&self, mebi: u64) {
        for _ in 0..mebi {
            self.append(1024 * 1024).await;
        }
    }

    /// Stops it, which nobody may hold up.
    pub async fn end(self) {
        self.append(1).await;
        let stopped = tokio::time::timeout(PATIENCE, self.running.shut_down()).await;
        stopped.expect("nobody holds up a stop");
    }
}

async fn dial(address: &str) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    endpoint.connect().await.expect("the location listens")
}

/// What a flood has sent.
pub struct Flood {
    pub messages: usize,
    /// It could not send more: nobody took it.
    pub held_back: bool,
}

impl fmt::Display for Flood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.held_back {
            ", then held back"
        } else {
            ""
        };
        write!(f, "{} messages{end}", self.messages)
    }
}

/// Sends until nobody takes it, at most so many.
pub async fn flood<T: Clone>(say: &mpsc::Sender<T>, messages: &[T], at_most: usize) -> Flood {
    for (sent, message) in messages.iter().cycle().take(at_most).enumerate() {
        match tokio::time::timeout(HELD_BACK, say.send(message.clone())).await {
            Ok(Ok(())) => {}
            // The other side has ended it.
            Ok(Err(_)) | Err(_) => {
                return Flood {
                    messages: sent,
                    held_back: true,
                };
            }
        }
    }
    Flood {
        messages: at_most,
        held_back: false,
    }
}

/// A stream of a peer.
pub struct Peer {
    pub say: mpsc::Sender<v1::ReplicationMessage>,
    heard: Option<Streaming<v1::ReplicationMessage>>,
    _client: ReplicationServiceClient<Channel>,
}

impl Peer {
    /// As a source that offers, or as a target.
    pub async fn dial(rig: &Rig, push: bool) -> Self {
        let mut client = rig.peer().await;
        let (say, said) = mpsc::channel(8);
        let said = ReceiverStream::new(said);
        let heard = if push {
            client.push(said).await
        } else {
            client.pull(said).await
        };
        Self {
            say,
            heard: Some(heard.expect("a stream").into_inner()),
            _client: client,
        }
    }

    pub async fn say(&self, message: Message) {
        self.say.send(message.into()).await.expect("a stream");
    }

    /// The next message for which `wanted` gives something.
    pub async fn hear<T>(&mut self, wanted: impl Fn(Message) -> Option<T>) -> T {
        self.hear_or_end(wanted).await.expect("an answer")
    }

    /// The same, or nothing when the stream is ended: a location that has just begun to serve ends what came before.
    pub async fn hear_or_end<T>(&mut self, wanted: impl Fn(Message) -> Option<T>) -> Option<T> {
        let heard = self.heard.as_mut().expect("a stream");
        let search = async {
            loop {
                let next = heard.next().await?.expect("an answer");
                if let Some(found) = next.message.and_then(&wanted) {
                    return Some(found);
                }
            }
        };
        tokio::time::timeout(PATIENCE, search)
            .await
            .expect("an answer")
    }
}

/// Memory of this process.
pub struct Memory(u64);

impl Memory {
    pub fn now() -> Self {
        Self(resident())
    }

    /// Fails when more has come than so many MiB.
    pub fn grew_by_less_than(&self, mebi: u64, what: &str) {
        let grown = resident().saturating_sub(self.0) / MEBI;
        eprintln!("{what}: {grown} MiB more, the bound is {mebi}");
        assert!(grown < mebi, "{what}: {grown} MiB more");
    }
}

/// Bytes that are in memory.
fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = text.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok());
    pages.expect("a number of pages") * 4096
}
