//! Drives the target machine of one incoming edge over one connection at a time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tidelog_core::{
    EdgeState, FrameEvent, FrameOutcome, RefusalKind, Retry, Target, TargetConfig, TargetEffect,
    TargetInput, Work,
};
use tidelog_engine::{LogHandle, PageError, Selection};
use tidelog_model::{
    EventId, Incarnation, LocationName, Position, Selector, VectorTime, canonical, mutant,
};
use tidelog_store::{StoreError, VoidedId};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::connection::{Connection, rejection};
use crate::context::{Control, EdgeSpec, End, Pause, Shared, Signal, Signals};
use crate::options::IncomingEdge;
use crate::outbox::Outbox;
use crate::source::ready;
use crate::status::{Direction, EdgeId, Known};
use crate::wire::Said;

type Pending<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// Streams that may follow each other at once on one connection; beyond it pauses grow, so that two sides which cannot agree do not spin.
const RESTARTS_MAX: u32 = 3;
/// Ids looked up at a time.
const FIND_MAX: usize = 500;

/// The target of one edge and what is known about it.
pub(crate) struct TargetDriver {
    id: EdgeId,
    machine: Target,
    pub(crate) known: Known,
    revision: u64,
    behind_heard: Option<i64>,
    /// The writer for which a stream was opened last.
    epoch: Option<u64>,
}

/// What is being done in the writer.
enum Done {
    /// With the covered vector of the frame.
    Applied(FrameOutcome, VectorTime),
    WentBack(FrameOutcome),
}

/// What was looked up.
enum Found {
    Voided(Result<Option<EventId>, StoreError>),
    Proof(Said),
}

/// What belongs to one connection.
struct Run {
    outbox: Outbox,
    working: Pending<Done>,
    lookup: Pending<Found>,
    stream: u64,
    /// That of the log when it declared its vectors on the stream.
    epoch: u64,
    /// The source's head when the stream began, until it is reached: a source that is written to all the time has no lag of 0.
    goal: Option<u64>,
    restarts: u32,
    heard: Instant,
    end: Option<(String, Retry)>,
}

impl TargetDriver {
    pub(crate) fn new(cx: &Shared, peer: LocationName, control: &Control) -> Option<Self> {
        let EdgeSpec::Incoming(edge) = control.spec.as_ref() else {
            return None;
        };
        Some(Self {
            id: (Direction::Incoming, peer),
            machine: Target::new(config(cx, edge, control), cx.log.reader().view()),
            known: Known::new(cx.now()),
            revision: control.revision,
            behind_heard: None,
            epoch: None,
        })
    }

    pub(crate) fn configure(&mut self, cx: &Shared, control: &Control) {
        if let EdgeSpec::Incoming(edge) = control.spec.as_ref() {
            self.machine.reconfigure(config(cx, edge, control));
            self.revision = control.revision;
        }
    }

    /// Sets the state from outside of a stream.
    pub(crate) fn show(&mut self, cx: &Shared, state: EdgeState, reason: &str, message: &str) {
        self.machine.set_state(state, reason, message);
        self.publish(cx);
    }

    pub(crate) fn publish(&mut self, cx: &Shared) {
        let now = cx.now();
        let status = self.machine.status();
        let known = &mut self.known;
        // An attempt to open again does not hide why the stream before had to end; its result does.
        if !(status.state == EdgeState::Connecting && known.keeps_its_word()) {
            known.set(status.state, &status.reason, &status.message, now);
        }
        known.source_head = status.source_head;
        known.behind = status.behind_micros.zip(self.behind_heard);
        known.stored_total = status.stored_total;
        known.redundant_total = status.redundant_total;
        known.filtered_total = status.filtered_total;
        known.peer_spec_hash.clone_from(&status.peer_spec_hash);
        known.peer_filter_hash.clone_from(&status.peer_filter_hash);
        // It is the source that evaluates.
        known.filter_hash.clone_from(&status.peer_filter_hash);
        known.progress = self.machine.progress();
        let lag = known.lag(now, cx.heard_bound_micros());
        known.stale = lag.events.is_none();
        cx.board.publish(&self.id, &self.known);
    }

    /// Runs streams on a connection until it ends.
    pub(crate) async fn run(
        &mut self,
        cx: &Shared,
        signals: &mut Signals,
        mut conn: Connection,
    ) -> End {
        let mut run = Run {
            outbox: Outbox::default(),
            working: None,
            lookup: None,
            stream: 0,
            epoch: 0,
            goal: None,
            restarts: 0,
            heard: Instant::now(),
            end: None,
        };
        let mut views = cx.log.reader().watch();
        // An accepted connection begins with the source's offer, which was read to find this edge.
        conn.first = None;
        self.open(cx, &mut run);
        let mut beat = interval(cx.tuning.heartbeat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = loop {
            self.publish(cx);
            self.reach(cx, &mut run);
            if let Some((why, retry)) = run.end.take() {
                if retry == Retry::Now && run.restarts < RESTARTS_MAX && cx.log.serving() {
                    run.restarts += 1;
                    settle(cx, &mut run).await;
                    self.open(cx, &mut run);
                    continue;
                }
                break End::new(why, self.pause(retry));
            }
            tokio::select! {
                permit = conn.sending.reserve(), if !run.outbox.is_empty() => match permit {
                    Ok(permit) => if let Some(said) = run.outbox.pop() {
                        permit.send(said.to_wire());
                    },
                    Err(_) => break End::new("the connection to the source is gone", Pause::Backoff),
                },
                received = conn.received.message(), if run.outbox.has_room() => match received {
                    Ok(Some(message)) => match Said::from_wire(message) {
                        Ok(said) => {
                            run.heard = Instant::now();
                            self.known.heard_micros = Some(cx.now());
                            self.said(cx, &mut run, said);
                        }
                        Err(error) => {
                            let why = format!("the source sent a malformed message: {error}");
                            self.machine.set_state(EdgeState::Stalled, "Rejected", &why);
                            break End::new(why, Pause::Backoff);
                        }
                    },
                    Ok(None) => break End::new("the source ended the stream", Pause::Backoff),
                    Err(status) => {
                        if let Some(reason) = rejection(&status) {
                            self.machine.set_state(EdgeState::Rejected, reason, status.message());
                        }
                        break End::new(format!("the connection to the source broke: {}", status.message()), Pause::Backoff);
                    }
                },
                done = ready(&mut run.working) => {
                    run.working = None;
                    // The outcome speaks of a commit that the view shows already.
                    self.feed(cx, &mut run, TargetInput::View(cx.log.reader().view()));
                    if run.end.is_none() {
                        self.feed(cx, &mut run, match done {
                            Done::Applied(outcome, covered) => {
                                if matches!(outcome, FrameOutcome::Applied { .. }) {
                                    // Not before: what still waits in a frame is not here, and must not be counted as if it were.
                                    cx.recovery.heard(cx, &self.id, None, &covered);
                                }
                                TargetInput::Applied(outcome)
                            }
                            Done::WentBack(outcome) => TargetInput::WentBack(outcome),
                        });
                    }
                },
                // Proofs are as large as events: the next one is told when the one before has left.
                found = ready(&mut run.lookup), if run.outbox.is_empty() => {
                    run.lookup = None;
                    match found {
                        Found::Voided(Ok(held)) => self.feed(cx, &mut run, TargetInput::Voided(held)),
                        Found::Voided(Err(error)) => break End::new(error.to_string(), Pause::Backoff),
                        Found::Proof(said) => run.outbox.push(said),
                    }
                },
                // Declared as often as the source takes it, not as often as the log moves.
                view = views.changed(), if run.outbox.is_empty() => match view {
                    Ok(view) => self.feed(cx, &mut run, TargetInput::View(view)),
                    Err(closed) => break End::new(closed.to_string(), Pause::Backoff),
                },
                _ = beat.tick() => {
                    if run.heard.elapsed() > cx.tuning.silence_max()
                        && !mutant!("silent-source-kept")
                    {
                        break End::new("the source is silent", Pause::Backoff);
                    }
                    self.beat(cx, &mut run);
                },
                signal = signals.next() => {
                    if let Some(end) = self.signal(cx, &mut run, signals, signal) {
                        break end;
                    }
                },
            }
        };
        settle(cx, &mut run).await;
        self.machine
            .handle(TargetInput::Disconnected(end.why.clone()), cx.now());
        self.publish(cx);
        end
    }

    /// Opens a stream under an id that was never used; whatever still comes of another one is ignored.
    fn open(&mut self, cx: &Shared, run: &mut Run) {
        run.stream = cx.stream_id();
        run.end = None;
        run.lookup = None;
        run.goal = None;
        // Before the view, so that it is never newer than what is declared.
        run.epoch = *cx.log.epoch().borrow();
        if self.epoch != Some(run.epoch) {
            self.epoch = Some(run.epoch);
            self.machine.writer_changed();
        }
        self.machine
            .handle(TargetInput::View(cx.log.reader().view()), cx.now());
        self.feed(cx, run, TargetInput::Connected(run.stream));
    }

    /// What the source held when the stream began is here: all of our own that it could give back.
    fn reach(&self, cx: &Shared, run: &mut Run) {
        let runs = matches!(
            self.machine.status().state,
            EdgeState::Streaming | EdgeState::CatchingUp
        );
        if runs && run.goal.is_some_and(|goal| self.machine.progress() >= goal) {
            run.goal = None;
            cx.recovery.caught_up(cx, &self.id);
        }
    }

    fn pause(&self, retry: Retry) -> Pause {
        match retry {
            Retry::Now | Retry::Backoff => match self.machine.status().reason.as_str() {
                "PausedAtSource" | "NotReady" => Pause::Short,
                _ => Pause::Backoff,
            },
            Retry::Hour => Pause::Hour,
        }
    }

    fn beat(&self, cx: &Shared, run: &mut Run) {
        let beat = self.machine.heartbeat(run.stream, cx.now());
        run.outbox.push(Said::Heartbeat(beat));
    }

    fn signal(
        &mut self,
        cx: &Shared,
        run: &mut Run,
        signals: &mut Signals,
        signal: Signal,
    ) -> Option<End> {
        match signal {
            Signal::Control => {
                let control = signals.control.borrow_and_update().clone();
                if !control.lets_run(self.revision) {
                    return Some(End::new("the settings of the edge changed", Pause::None));
                }
                // The plan around this edge changed: the source compares it, so it learns of it now.
                self.machine.set_spec_hash(&control.common.spec_hash);
                self.beat(cx, run);
                None
            }
            Signal::Epoch => Some(End::new("the writer of the target changed", Pause::None)),
            Signal::Stop => Some(End::new("the target is stopping", Pause::None)),
            Signal::Accepted(next) => {
                let mut end = End::new("the source dialled again", Pause::None);
                end.next = Some(next);
                Some(end)
            }
        }
    }

    fn said(&mut self, cx: &Shared, run: &mut Run, said: Said) {
        match said {
            Said::Opened(opened) => {
                if opened.stream == run.stream {
                    self.known.streams_total += 1;
                    run.goal = Some(opened.head);
                    tracing::info!(log = %cx.log_name, source = %self.id.1, target = %cx.location, position = opened.position, "stream opened");
                }
                self.feed(cx, run, TargetInput::Opened(opened));
            }
            Said::Refused(refused) => {
                tracing::info!(log = %cx.log_name, source = %self.id.1, target = %cx.location, kind = ?refused.kind, message = %refused.message, "stream refused");
                if refused.kind == RefusalKind::Cut {
                    run.end = Some((refused.message.clone(), Retry::Backoff));
                }
                self.feed(cx, run, TargetInput::Refused(refused));
            }
            Said::Frame(frame) => self.feed(cx, run, TargetInput::Frame(frame)),
            Said::Heartbeat(heartbeat) => {
                if heartbeat.stream == run.stream {
                    self.behind_heard = Some(cx.now());
                }
                self.feed(cx, run, TargetInput::Heartbeat(heartbeat));
            }
            Said::Wanted(stream, id)
                if stream == run.stream
                    && id.origin.location == self.id.1
                    && run.lookup.is_none() =>
            {
                run.lookup = Some(Box::pin(prove(cx.log.clone(), stream, id)));
            }
            // Everything else is not a source's to say, or belongs to another stream.
            _ => {}
        }
    }

    fn feed(&mut self, cx: &Shared, run: &mut Run, input: TargetInput) {
        for effect in self.machine.handle(input, cx.now()) {
            self.carry_out(cx, run, effect);
        }
    }

    fn carry_out(&mut self, cx: &Shared, run: &mut Run, effect: TargetEffect) {
        let (log, epoch) = (cx.log.clone(), run.epoch);
        match effect {
            TargetEffect::Open(open) => run.outbox.push(Said::Open(open)),
            TargetEffect::Apply(work) => {
                let covered = work.frame.covered.clone();
                let work = Work::Frame(work);
                run.working = Some(Box::pin(async move {
                    Done::Applied(log.work(epoch, work).await, covered)
                }));
            }
            TargetEffect::GoBack(progress) => {
                tracing::warn!(log = %cx.log_name, source = %self.id.1, target = %cx.location, position = progress.position, "going back");
                let work = Work::GoBack(self.id.1.clone(), progress);
                run.working = Some(Box::pin(async move {
                    Done::WentBack(log.work(epoch, work).await)
                }));
            }
            TargetEffect::FindVoided(voided) => {
                run.lookup = Some(Box::pin(async move {
                    Found::Voided(held_of(&log, &voided).await)
                }));
            }
            TargetEffect::Credit(credit) => run.outbox.push(Said::Credit(credit)),
            TargetEffect::Close(why, retry) => run.end = Some((why, retry)),
        }
    }
}

/// Waits until the writer is done with what it was given, so that the next stream starts at what it left. Its outcome belongs to no stream.
async fn settle(cx: &Shared, run: &mut Run) {
    if run.working.is_some() {
        tokio::select! {
            _ = ready(&mut run.working) => {},
            () = cx.stopping.cancelled() => {},
        }
        run.working = None;
    }
}

/// The first of the voided ids that is held here with its voided content.
async fn held_of(log: &LogHandle, voided: &[VoidedId]) -> Result<Option<EventId>, StoreError> {
    for some in voided.chunks(FIND_MAX) {
        let ids: Vec<EventId> = some.iter().map(|v| v.id.clone()).collect();
        let rows = log.store().find(&ids).await?;
        let held = some
            .iter()
            .zip(rows)
            .find(|(v, row)| row.as_ref().is_some_and(|row| row.digest == v.digest));
        if let Some((voided, _)) = held {
            return Ok(Some(voided.id.clone()));
        }
    }
    Ok(None)
}

/// The event asked for, or the nearest later one of its origin.
async fn prove(log: LogHandle, stream: u64, wanted: EventId) -> Found {
    let found = find_from(&log, &wanted).await.unwrap_or_else(|error| {
        tracing::warn!(%error, %wanted, "cannot look for the event that proves a loss");
        None
    });
    Found::Proof(found.map_or(Said::Absent(stream, wanted), |event| {
        Said::Shown(stream, event)
    }))
}

async fn find_from(log: &LogHandle, wanted: &EventId) -> Result<Option<FrameEvent>, PageError> {
    let reader = log.reader();
    if reader.view().version_vector.get(&wanted.origin) < wanted.sequence {
        return Ok(None);
    }
    let row = log.store().find(std::slice::from_ref(wanted)).await?;
    let mut after = row
        .into_iter()
        .flatten()
        .next()
        .map_or(0, |row| row.sequence.saturating_sub(1));
    let mut query = reader.page_query();
    query.selection = Selection::from(Selector {
        origins: vec![wanted.origin.location.clone()],
        ..Selector::default()
    });
    loop {
        let page = reader
            .page(Position::new(Incarnation(0), after), &query)
            .await?;
        // Of one origin the local order is that of its sequences, so the first that is late enough is the nearest.
        let found = page.events.iter().find(|stored| {
            let id = &stored.event.id;
            id.origin == wanted.origin && id.sequence >= wanted.sequence
        });
        if let Some(stored) = found {
            return Ok(Some(FrameEvent {
                event: stored.event.clone(),
                digest: stored.digest,
                bytes: canonical::encode(&stored.event).len(),
            }));
        }
        if page.position.sequence <= after {
            return Ok(None);
        }
        after = page.position.sequence;
    }
}

fn config(cx: &Shared, edge: &IncomingEdge, control: &Control) -> TargetConfig {
    TargetConfig {
        log: cx.log_name.clone(),
        source: edge.source.clone(),
        target: cx.location.clone(),
        spec_hash: control.common.spec_hash.clone(),
        application_name: control.common.application_name.clone(),
        application_version: control.common.application_version.clone(),
        filter_hash: edge.filter_hash.clone(),
        behind: Arc::clone(&edge.behind),
        window_bytes: cx.tuning.window_bytes,
    }
}
