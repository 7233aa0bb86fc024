//! The word of the pods: what each sidecar says of itself, heard over its `AdminService` and nowhere else.
//!
//! One task per pod keeps a stream open, with a message a second. What is heard is kept here; a visit of the log is asked for when it differs in more than
//! numbers that drift, or when a pod has fallen silent.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use tidelog_model::LocationName;
use tidelog_proto::v1;
use tidelog_proto::v1::admin_service_client::AdminServiceClient;
use tidelog_tls::Tls;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// Between two messages of a pod.
const INTERVAL: Duration = Duration::from_secs(1);
/// What was said longer ago than three intervals says nothing of now.
const STALE: Duration = Duration::from_secs(3);
/// For a connection, and for one call.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between attempts to reach a pod.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// A log, by namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LogKey {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// A pod of a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) uid: String,
    pub(crate) name: String,
    /// Where its administration is, HOST:PORT.
    pub(crate) address: String,
}

/// What a pod has said, not longer ago than it counts.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) pod: Pod,
    pub(crate) status: v1::LocationStatus,
    pub(crate) client: AdminServiceClient<Channel>,
}

impl Heard {
    /// Whether this process writes.
    pub(crate) fn is_writer(&self) -> bool {
        self.status
            .writer
            .as_ref()
            .is_some_and(|writer| writer.here)
    }
}

/// How a pod is spoken to.
#[derive(Debug, Clone)]
pub(crate) enum Approach {
    /// In plain text: the log has asked for that.
    Plain,
    /// With a certificate of its administrators.
    Secured(Tls),
    /// Not before there is such a certificate.
    NotYet,
}

/// The last word of a pod, and when it was heard.
type Last = Arc<Mutex<Option<(Instant, Heard)>>>;

struct Watched {
    log: LogKey,
    /// The next connection is made this way.
    approach: Arc<Mutex<Approach>>,
    location: String,
    pod: Pod,
    last: Last,
    task: AbortHandle,
    /// What it was told last: of its configuration, and of its witness.
    told: HashMap<&'static str, u64>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// All pods that are listened to.
pub(crate) struct Sidecars {
    watched: Mutex<HashMap<String, Watched>>,
    moved: mpsc::UnboundedSender<LogKey>,
}

impl Sidecars {
    /// And the logs to be visited, as they come.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<LogKey>) {
        let (moved, visits) = mpsc::unbounded_channel();
        let watched = Mutex::default();
        (Self { watched, moved }, visits)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens to these pods of a location, and to no others of it.
    pub(crate) fn attend(&self, log: &LogKey, location: &str, pods: &[Pod], approach: Approach) {
        let mut watched = self.lock();
        watched.retain(|_, w| w.log != *log || w.location != location || pods.contains(&w.pod));
        for pod in pods {
            if let Some(known) = watched.get(&pod.uid) {
                let mut next = known
                    .approach
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *next = approach.clone();
                continue;
            }
            watched.entry(pod.uid.clone()).or_insert_with(|| {
                let last = Arc::default();
                let approach = Arc::new(Mutex::new(approach.clone()));
                let listening = listen(
                    log.clone(),
                    location.to_owned(),
                    pod.clone(),
                    (Arc::clone(&approach), Arc::clone(&last)),
                    self.moved.clone(),
                );
                Watched {
                    log: log.clone(),
                    approach,
                    location: location.to_owned(),
                    pod: pod.clone(),
                    last,
                    task: tokio::spawn(listening).abort_handle(),
                    told: HashMap::new(),
                }
            });
        }
    }

    /// Listens to no pod of other locations of this log.
    pub(crate) fn keep_only(&self, log: &LogKey, locations: &[&str]) {
        self.lock()
            .retain(|_, w| w.log != *log || locations.contains(&w.location.as_str()));
    }

    /// Listens to no pod of other logs.
    pub(crate) fn forget_all_but(&self, logs: &HashSet<LogKey>) {
        self.lock().retain(|_, w| logs.contains(&w.log));
    }

    /// How many pods have been heard lately.
    pub(crate) fn count_heard(&self) -> usize {
        let is_heard = |pod: &&Watched| {
            let last = pod.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.as_ref().is_some_and(|(at, _)| at.elapsed() < STALE)
        };
        self.lock().values().filter(is_heard).count()
    }

    /// What the pods of a location say now, the writer first.
    pub(crate) fn heard(&self, log: &LogKey, location: &str) -> Vec<Heard> {
        let watched = self.lock();
        let pods = watched
            .values()
            .filter(|w| w.log == *log && w.location == location);
        let mut heard: Vec<Heard> = pods
            .filter_map(|pod| {
                let last = pod.last.lock().unwrap_or_else(PoisonError::into_inner);
                let (at, heard) = last.as_ref()?;
                (at.elapsed() < STALE).then(|| heard.clone())
            })
            .collect();
        heard.sort_by(|one, other| {
            let place = |heard: &Heard| (!heard.is_writer(), heard.pod.name.clone());
            place(one).cmp(&place(other))
        });
        heard
    }

    /// Whether a pod is to be told something that it was not told last.
    pub(crate) fn is_news(&self, pod: &Pod, what: &'static str, fingerprint: u64) -> bool {
        let watched = self.lock();
        let told = watched.get(&pod.uid).and_then(|w| w.told.get(what));
        told != Some(&fingerprint)
    }

    /// It was told.
    pub(crate) fn set_told(&self, pod: &Pod, what: &'static str, fingerprint: u64) {
        if let Some(watched) = self.lock().get_mut(&pod.uid) {
            watched.told.insert(what, fingerprint);
        }
    }
}

/// An answer of a pod, or an error when it takes too long.
pub(crate) async fn in_time<T>(
    call: impl Future<Output = Result<T, tonic::Status>>,
) -> Result<T, tonic::Status> {
    let answered = timeout(PATIENCE, call).await;
    answered.unwrap_or_else(|_| Err(tonic::Status::deadline_exceeded("it does not answer")))
}

/// Listens to a pod until it is aborted.
async fn listen(
    log: LogKey,
    location: String,
    pod: Pod,
    (approach, last): (Arc<Mutex<Approach>>, Last),
    moved: mpsc::UnboundedSender<LogKey>,
) {
    let mut pause = INTERVAL;
    loop {
        let begun = Instant::now();
        let how = approach
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let ended = match connect(&pod.address, &location, how).await {
            Ok(channel) => follow(&log, &location, &pod, channel, &last, &moved).await,
            Err(why) => why,
        };
        // Silence is news as well, once.
        let was_heard = last.lock().unwrap_or_else(PoisonError::into_inner).take();
        if was_heard.is_some() {
            tracing::info!(namespace = log.namespace, pod = pod.name, error = %ended, "a sidecar is not heard any more");
            let _ = moved.send(log.clone());
        } else {
            tracing::debug!(namespace = log.namespace, pod = pod.name, error = %ended, "a sidecar is not heard");
        }
        pause = if begun.elapsed() > PAUSE_MAX {
            INTERVAL
        } else {
            (pause * 2).min(PAUSE_MAX)
        };
        tokio::time::sleep(pause).await;
    }
}

/// A connection to the administration of a pod, which has to be of this location.
async fn connect(address: &str, location: &str, approach: Approach) -> Result<Channel, String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(in_words)?;
    let endpoint = endpoint.connect_timeout(PATIENCE);
    let tls = match approach {
        Approach::Plain => return endpoint.connect().await.map_err(in_words),
        Approach::NotYet => return Err("there is no certificate to speak to it yet".to_owned()),
        Approach::Secured(tls) => tls,
    };
    let to = LocationName::new(location).map_err(in_words)?;
    let host = address.to_owned();
    let connector = service_fn(move |_: Uri| {
        let (tls, to, host) = (tls.clone(), to.clone(), host.clone());
        let dialling = async move {
            let socket = TcpStream::connect(host).await?;
            socket.set_nodelay(true)?;
            let stream = tls.connect(socket, &to).await.map_err(io::Error::other)?;
            Ok::<_, io::Error>(TokioIo::new(stream))
        };
        // Of a handshake nobody else keeps the time.
        async { timeout(PATIENCE, dialling).await? }
    });
    let connecting = endpoint.connect_with_connector(connector);
    connecting.await.map_err(in_words)
}

/// An error with all that is behind it.
fn in_words(error: impl std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(words, ": {error}");
        cause = error.source();
    }
    words
}

/// Follows one stream to its end; why it ended.
async fn follow(
    log: &LogKey,
    location: &str,
    pod: &Pod,
    channel: Channel,
    last: &Mutex<Option<(Instant, Heard)>>,
    moved: &mpsc::UnboundedSender<LogKey>,
) -> String {
    let mut client = AdminServiceClient::new(channel);
    let request = v1::WatchStatusRequest {
        log: log.name.clone(),
        interval_millis: u32::try_from(INTERVAL.as_millis()).unwrap_or(1_000),
    };
    let opened = timeout(PATIENCE, client.watch_status(request));
    let mut stream = match opened.await {
        Ok(Ok(stream)) => stream.into_inner(),
        Ok(Err(status)) => return status.message().to_owned(),
        Err(_) => return "it does not answer".to_owned(),
    };
    let mut before = None;
    loop {
        let status = match timeout(STALE, stream.message()).await {
            Ok(Ok(Some(message))) => message.status.unwrap_or_default(),
            Ok(Ok(None)) => return "it has ended the stream".to_owned(),
            Ok(Err(status)) => return status.message().to_owned(),
            Err(_) => return "it has fallen silent".to_owned(),
        };
        if status.log != log.name || status.location != location {
            return format!("{}/{} answers there", status.log, status.location);
        }
        let now = Some(steady(&status));
        let heard = Heard {
            pod: pod.clone(),
            status,
            client: client.clone(),
        };
        *last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), heard));
        if now != before {
            before = now;
            let _ = moved.send(log.clone());
        }
    }
}

/// A status without the numbers that drift.
fn steady(status: &v1::LocationStatus) -> v1::LocationStatus {
    let mut steady = status.clone();
    steady.head = 0;
    steady.hash.clear();
    steady.version_vector = None;
    steady.covered_vector = None;
    steady.warnings.clear();
    if let Some(writer) = &mut steady.writer {
        writer.expires_at = None;
    }
    for edge in &mut steady.edges {
        edge.progress = 0;
        edge.source_head = None;
        edge.lag_events = edge
            .lag_events
            .map(|lag| u64::from(64 - lag.leading_zeros()));
        edge.lag_seconds = edge
            .lag_seconds
            .map(|lag| u64::from(64 - lag.leading_zeros()));
        edge.filtered_total = 0;
        edge.redundant_total = 0;
        edge.received_total = 0;
        edge.message.clear();
    }
    steady
}
