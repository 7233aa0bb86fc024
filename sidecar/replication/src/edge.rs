//! One task per directed edge: finds a connection, runs streams on it, pauses, and again.

use std::sync::Arc;
use std::time::Duration;

use tidelog_core::{EdgeState, RefusalKind};
use tidelog_model::LocationName;
use tokio::time::{Instant, sleep, timeout};

use crate::backoff::Backoff;
use crate::connection::{Connection, DialError, dial};
use crate::context::{Control, EdgeSpec, End, Pause, Shared, Signal, Signals};
use crate::source::{SourceDriver, refusal};
use crate::status::EdgeId;
use crate::target::TargetDriver;

/// A pause after which somebody looks again whether a person has lifted what holds the edge.
const SHORT_MAX: Duration = Duration::from_secs(1);
/// The pause after a refusal that time alone does not lift.
const HOUR: Duration = Duration::from_hours(1);

enum Driver {
    Source(Box<SourceDriver>),
    Target(Box<TargetDriver>),
}

/// Why an edge does not run although its task does.
struct Hold {
    state: EdgeState,
    reason: &'static str,
    message: &'static str,
    refusal: RefusalKind,
}

/// The task of one edge. It ends when the edge is removed or replication stops.
pub(crate) struct EdgeTask {
    cx: Arc<Shared>,
    id: EdgeId,
    signals: Signals,
    driver: Driver,
    backoff: Backoff,
    revision: u64,
}

impl EdgeTask {
    pub(crate) fn new(cx: Arc<Shared>, id: EdgeId, signals: Signals) -> Option<Self> {
        let control = signals.control.borrow().clone();
        let peer: LocationName = id.1.clone();
        let driver = match control.spec.as_ref() {
            EdgeSpec::Incoming(_) => {
                Driver::Target(Box::new(TargetDriver::new(&cx, peer, &control)?))
            }
            EdgeSpec::Outgoing(..) => {
                Driver::Source(Box::new(SourceDriver::new(&cx, peer, &control)?))
            }
        };
        let backoff = Backoff::new(
            cx.tuning.backoff_min,
            cx.tuning.backoff_max,
            cx.random.clone(),
        );
        Some(Self {
            cx,
            id,
            signals,
            driver,
            backoff,
            revision: control.revision,
        })
    }

    pub(crate) async fn run(mut self) {
        self.show(EdgeState::Pending, "", "");
        while !self.cx.stopping.is_cancelled() {
            let control = self.signals.control.borrow_and_update().clone();
            if control.revision != self.revision {
                self.revision = control.revision;
                self.backoff.reset();
            }
            // Also without a new revision: what the edges share may have moved.
            match &mut self.driver {
                Driver::Source(driver) => {
                    driver.configure(&self.cx, &control);
                    // From now on nothing is sent under another filter; watchers need not wait for a stream to learn of it.
                    driver.publish(&self.cx);
                }
                Driver::Target(driver) => driver.configure(&self.cx, &control),
            }
            let goes_on = match hold(&control, self.cx.log.serving()) {
                Some(hold) => self.idle(&hold).await,
                None => self.attempt(&control).await,
            };
            if !goes_on {
                break;
            }
        }
        self.cx.board.remove(&self.id);
    }

    /// Waits until what holds the edge may have been lifted, refusing peers that dial. `false`: the edge is gone.
    async fn idle(&mut self, hold: &Hold) -> bool {
        self.show(hold.state, hold.reason, hold.message);
        // Whether the log serves is not announced to edges; it is looked at again after a while.
        let look_again = sleep(Duration::from_millis(50));
        tokio::pin!(look_again);
        loop {
            tokio::select! {
                signal = self.signals.next() => match signal {
                    Signal::Stop => return false,
                    Signal::Control | Signal::Epoch => {
                        self.backoff.reset();
                        return true;
                    }
                    Signal::Accepted(connection) => turn_away(*connection, hold.refusal, hold.message).await,
                },
                () = &mut look_again, if hold.refusal == RefusalKind::NotReady => return true,
            }
        }
    }

    /// One connection, with all streams on it, and the pause after it. `false`: the edge is gone.
    async fn attempt(&mut self, control: &Control) -> bool {
        let connection = match self.connect(control).await {
            Ok(connection) => connection,
            Err(Unconnected::Again) => return true,
            Err(Unconnected::Stop) => return false,
            Err(Unconnected::Failed(why)) => {
                match &why {
                    DialError::Certificate { .. } => {
                        self.show(EdgeState::Rejected, "CertificateRejected", &why.to_string());
                    }
                    _ => self.unreachable(&why.to_string()),
                }
                match self.rest(Pause::Backoff).await {
                    Rest::Over => return true,
                    Rest::Gone => return false,
                    Rest::Dialled(connection) => *connection,
                }
            }
        };
        let mut connection = connection;
        loop {
            let end = self.carry(connection).await;
            connection = match end.next {
                Some(next) => *next,
                None => match self.rest(end.pause).await {
                    Rest::Over => return true,
                    Rest::Gone => return false,
                    Rest::Dialled(next) => *next,
                },
            };
        }
    }

    /// All streams of one connection.
    async fn carry(&mut self, connection: Connection) -> End {
        let begun = Instant::now();
        let breaker = connection.breaker.clone();
        let end = self.stream(connection).await;
        tracing::debug!(log = %self.cx.log_name, location = %self.cx.location, edge = ?self.id, why = %end.why, "stream ended");
        if self.signals.control.borrow().cut
            && let Some(breaker) = breaker
        {
            breaker.break_connection();
        }
        if begun.elapsed() >= self.cx.tuning.stable_after {
            self.backoff.reset();
        }
        end
    }

    async fn stream(&mut self, connection: Connection) -> End {
        let (cx, signals) = (&self.cx, &mut self.signals);
        match &mut self.driver {
            Driver::Source(driver) => Box::pin(driver.run(cx, signals, connection)).await,
            Driver::Target(driver) => Box::pin(driver.run(cx, signals, connection)).await,
        }
    }

    /// A connection: dialled, or the peer's.
    async fn connect(&mut self, control: &Control) -> Result<Connection, Unconnected> {
        let cx = self.cx.clone();
        let direction = self.id.0;
        let peer = self.id.1.clone();
        let address = control.spec.dial().map(str::to_owned);
        if !self.keeps_its_word() {
            let message = match &address {
                Some(address) => format!("dialling {address}"),
                None => format!("waiting for {} to dial", self.id.1),
            };
            let (state, reason) = match address {
                Some(_) => (EdgeState::Connecting, ""),
                None => (EdgeState::Unreachable, "PeerUnreachable"),
            };
            self.show(state, reason, &message);
        }
        let dialling = async {
            match address {
                Some(address) => dial(&cx, direction, &peer, &address).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            dialled = dialling => dialled.map_err(Unconnected::Failed),
            signal = self.signals.next() => match signal {
                Signal::Accepted(connection) => Ok(*connection),
                Signal::Stop => Err(Unconnected::Stop),
                Signal::Control | Signal::Epoch => Err(Unconnected::Again),
            },
        }
    }

    /// Pauses. A change of settings, a command, a new writer or a peer that dials end it.
    async fn rest(&mut self, pause: Pause) -> Rest {
        let wait = match pause {
            Pause::None => return Rest::Over,
            Pause::Backoff => self.backoff.next(),
            Pause::Short => self.backoff.next().min(SHORT_MAX),
            Pause::Hour => HOUR,
        };
        let over = sleep(wait);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return Rest::Over,
                signal = self.signals.next() => match signal {
                    Signal::Stop => return Rest::Gone,
                    Signal::Control | Signal::Epoch => {
                        self.backoff.reset();
                        return Rest::Over;
                    }
                    Signal::Accepted(connection) if pause == Pause::Hour => {
                        let message = "refused for an hour, or until the settings change";
                        turn_away(*connection, RefusalKind::Rejected, message).await;
                    }
                    Signal::Accepted(connection) => return Rest::Dialled(connection),
                },
            }
        }
    }

    fn unreachable(&mut self, why: &str) {
        if self.keeps_its_word() {
            return;
        }
        self.show(EdgeState::Unreachable, "PeerUnreachable", why);
    }

    fn keeps_its_word(&self) -> bool {
        match &self.driver {
            Driver::Source(driver) => driver.known.keeps_its_word(),
            Driver::Target(driver) => driver.known.keeps_its_word(),
        }
    }

    fn show(&mut self, state: EdgeState, reason: &str, message: &str) {
        match &mut self.driver {
            Driver::Source(driver) => {
                driver.known.set(state, reason, message, self.cx.now());
                driver.publish(&self.cx);
            }
            Driver::Target(driver) => driver.show(&self.cx, state, reason, message),
        }
    }
}

/// How a pause ended.
enum Rest {
    Over,
    Gone,
    Dialled(Box<Connection>),
}

enum Unconnected {
    Again,
    Stop,
    Failed(DialError),
}

fn hold(control: &Control, serving: bool) -> Option<Hold> {
    if control.cut {
        return Some(Hold {
            state: EdgeState::Unreachable,
            reason: "Cut",
            message: "cut by command; heal it to go on",
            refusal: RefusalKind::Cut,
        });
    }
    if control.paused_by_command {
        return Some(Hold {
            state: EdgeState::Paused,
            reason: "Paused",
            message: "paused by command; resume it to go on",
            refusal: RefusalKind::Paused,
        });
    }
    if control.spec.paused() {
        return Some(Hold {
            state: EdgeState::Paused,
            reason: "Paused",
            message: "paused by the plan",
            refusal: RefusalKind::Paused,
        });
    }
    (!serving).then_some(Hold {
        state: EdgeState::Connecting,
        reason: "",
        message: "this process is not the writer of its log now",
        refusal: RefusalKind::NotReady,
    })
}

/// Tells a peer that dialled why there is no stream. A cut connection is broken instead.
async fn turn_away(connection: Connection, kind: RefusalKind, message: &str) {
    if kind == RefusalKind::Cut {
        if let Some(breaker) = &connection.breaker {
            breaker.break_connection();
        }
        return;
    }
    let stream = match &connection.first {
        Some(crate::wire::Said::Open(open)) => open.stream,
        _ => 0,
    };
    let said = refusal(stream, kind, message).to_wire();
    // A fresh connection has room for one message.
    let _ = timeout(Duration::from_millis(200), connection.sending.send(said)).await;
}
