//! Drives the source machine of one outgoing edge over one connection at a time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tidelog_core::{
    EdgeState, Open, ProofQuestion, RefusalKind, Refused, Source, SourceConfig, SourceEffect,
    SourceInput,
};
use tidelog_engine::{LogReader, PageError};
use tidelog_model::{ChainHash, Incarnation, Lineage, LocationName, Origin, Position, mutant};
use tidelog_proto::v1::ReplicationMessage;
use tidelog_store::Page;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::connection::{Connection, rejection};
use crate::context::{Control, EdgeSpec, End, Pause, Shared, Signal, Signals};
use crate::options::{Filters, OutgoingEdge};
use crate::outbox::Outbox;
use crate::rules::Rules;
use crate::status::{Direction, EdgeId, Known};
use crate::wire::{Offer, Said};

type Lookup<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// The source of one edge and what is known about it.
pub(crate) struct SourceDriver {
    id: EdgeId,
    machine: Source,
    pub(crate) known: Known,
    revision: u64,
    /// That of the view which the machine was last shown.
    incarnation: Incarnation,
}

/// What belongs to one connection.
struct Run {
    outbox: Outbox,
    lookup: Lookup<SourceInput>,
    /// When the event after the acknowledged position was stored, for the heartbeat.
    next_stored: Lookup<Option<i64>>,
    stream: u64,
    question: Option<ProofQuestion>,
    heard: Instant,
    end: Option<End>,
    stall_told: bool,
}

impl SourceDriver {
    pub(crate) fn new(cx: &Shared, peer: LocationName, control: &Control) -> Option<Self> {
        let EdgeSpec::Outgoing(edge, export) = control.spec.as_ref() else {
            return None;
        };
        let config = config(cx, edge, export, control);
        Some(Self {
            id: (Direction::Outgoing, peer),
            machine: Source::new(config, cx.log.reader().view()),
            known: Known::new(cx.now()),
            revision: control.revision,
            incarnation: Incarnation(0),
        })
    }

    pub(crate) fn configure(&mut self, cx: &Shared, control: &Control) {
        if let EdgeSpec::Outgoing(edge, export) = control.spec.as_ref() {
            self.machine.reconfigure(config(cx, edge, export, control));
            self.revision = control.revision;
        }
    }

    pub(crate) fn publish(&mut self, cx: &Shared) {
        let now = cx.now();
        self.known.filtered_total = self.machine.filtered_total();
        self.known.filter_hash = self.machine.filter_hash().to_owned();
        if let Some(standing) = self.machine.standing() {
            self.known.progress = standing.acknowledged;
            let head = cx.log.reader().view().head;
            self.known.source_head = self.known.heard_micros.map(|heard| (head, heard));
            match &standing.stalled {
                Some((reason, message)) if reason == "VersionIncompatible" => {
                    self.known
                        .set(EdgeState::Incompatible, reason, message, now);
                }
                Some((reason, message)) => {
                    self.known.set(EdgeState::Stalled, reason, message, now);
                }
                None if standing.acknowledged < head => {
                    self.known.set(EdgeState::CatchingUp, "", "", now);
                }
                None => self.known.set(EdgeState::Streaming, "", "", now),
            }
        }
        self.known.stale = self
            .known
            .lag(now, cx.heard_bound_micros())
            .events
            .is_none();
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
            lookup: None,
            next_stored: None,
            stream: 0,
            question: None,
            heard: Instant::now(),
            end: None,
            stall_told: false,
        };
        if conn.dialled {
            let offer = Offer::new(&cx.log_name, cx.location.clone(), self.id.1.clone());
            run.outbox.push(Said::Offer(offer));
        }
        let mut views = cx.log.reader().watch();
        self.feed(cx, &mut run, SourceInput::View(cx.log.reader().view()));
        if let Some(first) = conn.first.take() {
            self.said(cx, &mut run, first);
        }
        let mut beat = interval(cx.tuning.heartbeat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = loop {
            self.publish(cx);
            if let Some(end) = run.end.take() {
                break end;
            }
            let wake = self.wake(cx, &run);
            tokio::select! {
                biased;
                // First, so that nothing is said under settings that have changed or in the name of a writer that is no more.
                signal = signals.next() => {
                    if let Some(end) = self.signal(cx, &mut run, signals, signal) {
                        break end;
                    }
                },
                _ = beat.tick() => {
                    if run.heard.elapsed() > cx.tuning.silence_max()
                        && !mutant!("silent-target-kept")
                    {
                        break End::new("the target is silent", Pause::Backoff);
                    }
                    self.prepare_beat(cx, &mut run);
                },
                permit = conn.sending.reserve(), if !run.outbox.is_empty() => match permit {
                    Ok(permit) => if let Some(said) = run.outbox.pop() {
                        permit.send(said.to_wire());
                    },
                    Err(_) => break End::new("the connection to the target is gone", Pause::Backoff),
                },
                received = conn.received.message(), if run.outbox.has_room() => match received {
                    Ok(Some(message)) => match Said::from_wire(message) {
                        Ok(said) => {
                            run.heard = Instant::now();
                            self.known.heard_micros = Some(cx.now());
                            self.said(cx, &mut run, said);
                        }
                        Err(error) => break End::new(format!("the target sent a malformed message: {error}"), Pause::Backoff),
                    },
                    Ok(None) => break End::new("the target ended the stream", Pause::Backoff),
                    Err(status) => {
                        if let Some(reason) = rejection(&status) {
                            self.known.set(EdgeState::Rejected, reason, status.message(), cx.now());
                        }
                        break End::new(format!("the connection to the target broke: {}", status.message()), Pause::Backoff);
                    }
                },
                // Nothing is read while something waits to be sent: that is what bounds memory.
                input = ready(&mut run.lookup), if run.outbox.is_empty() => {
                    run.lookup = None;
                    self.found(cx, &mut run, input);
                },
                next = ready(&mut run.next_stored) => {
                    run.next_stored = None;
                    self.beat(cx, &mut run, next);
                },
                view = views.changed() => match view {
                    Ok(view) => self.feed(cx, &mut run, SourceInput::View(view)),
                    Err(closed) => break End::new(closed.to_string(), Pause::Backoff),
                },
                () = sleep(wake.unwrap_or_default()), if wake.is_some() => {
                    self.feed(cx, &mut run, SourceInput::Tick);
                },
            }
        };
        flush(&mut run.outbox, &conn.sending).await;
        self.disconnected(cx, &end.why);
        end
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
                // The plan around this edge changed: the target compares it, so it learns of it now.
                self.machine.set_spec_hash(&control.common.spec_hash);
                self.prepare_beat(cx, run);
                None
            }
            Signal::Epoch => Some(End::new("the writer of the source changed", Pause::None)),
            Signal::Stop => Some(End::new("the source is stopping", Pause::None)),
            Signal::Accepted(next) => {
                let mut end = End::new("the target dialled again", Pause::None);
                end.next = Some(next).filter(|_| !mutant!("second-call-dropped"));
                Some(end)
            }
        }
    }

    /// How long until something that waits for company has waited enough.
    fn wake(&self, cx: &Shared, run: &Run) -> Option<Duration> {
        if !run.outbox.is_empty() {
            return None;
        }
        let due = self.machine.wake_at_micros()?;
        let wait = u64::try_from(due.saturating_sub(cx.now())).unwrap_or(0);
        // A clock that was set back must not make it wait for longer than the delay.
        Some(Duration::from_micros(wait).min(cx.tuning.empty_frame_delay))
    }

    fn said(&mut self, cx: &Shared, run: &mut Run, said: Said) {
        match said {
            Said::Open(open) => {
                run.stream = open.stream;
                run.lookup = None;
                run.question = None;
                run.stall_told = false;
                self.heard_open(cx, &open);
                self.look_up(cx, run);
                self.feed(cx, run, SourceInput::Open(open));
            }
            Said::Credit(credit) => {
                if let Some(covered) = &credit.covered_vector
                    && credit.stream == run.stream
                {
                    cx.recovery.heard(cx, &self.id, None, covered);
                }
                self.feed(cx, run, SourceInput::Credit(credit));
            }
            Said::Shown(stream, event) if stream == run.stream => {
                self.look_up(cx, run);
                self.feed(cx, run, SourceInput::Proof(Some(event)));
            }
            Said::Absent(stream, _) if stream == run.stream => {
                self.feed(cx, run, SourceInput::Proof(None));
            }
            Said::Refused(refused) => self.refused_by_target(cx, run, &refused),
            Said::Heartbeat(heartbeat) if heartbeat.stream == run.stream => {
                if let Some(spec_hash) = heartbeat.spec_hash {
                    self.known.peer_spec_hash = spec_hash;
                }
                if let Some(filter_hash) = heartbeat.filter_hash {
                    self.known.peer_filter_hash = filter_hash;
                }
            }
            // Everything else is not a target's to say, or belongs to another stream.
            _ => {}
        }
    }

    /// What a peer claims is judged by the log as it is now: it may know an event that was published after the view shown last.
    fn look_up(&mut self, cx: &Shared, run: &mut Run) {
        self.feed(cx, run, SourceInput::View(cx.log.reader().view()));
    }

    fn heard_open(&mut self, cx: &Shared, open: &Open) {
        self.known.peer_spec_hash.clone_from(&open.spec_hash);
        self.known.peer_filter_hash.clone_from(&open.filter_hash);
        if open.log == cx.log_name && open.source == cx.location {
            let vectors = open.version_vector.iter().chain(open.covered_vector.iter());
            let named = vectors
                .filter(|(origin, _)| origin.location == cx.location)
                .map(|(origin, _)| origin.incarnation)
                .fold(open.source_incarnation_known, Incarnation::max);
            cx.log.heard_incarnation(named);
        }
        let mut stored = open.version_vector.clone();
        if let Some(read) = open.source_lineage.current()
            && !mutant!("what-was-read-is-no-evidence")
        {
            // How far it had read here counts too: with events of others there may be no own one that it could name.
            let origin = Origin {
                location: cx.location.clone(),
                incarnation: read.incarnation,
            };
            stored.raise(&origin, open.position);
        }
        let covered = &open.covered_vector;
        cx.recovery.heard(cx, &self.id, Some(&stored), covered);
    }

    fn refused_by_target(&mut self, cx: &Shared, run: &mut Run, refused: &Refused) {
        self.show_refusal(cx, refused.kind, &refused.message);
        let pause = match refused.kind {
            RefusalKind::Paused | RefusalKind::NotReady => Pause::Short,
            // The target counts the hour; it may end earlier there, and then this side should not sleep on.
            _ => Pause::Backoff,
        };
        run.end = Some(End::new(refused.message.clone(), pause));
    }

    fn show_refusal(&mut self, cx: &Shared, kind: RefusalKind, message: &str) {
        let (state, reason) = match kind {
            RefusalKind::PositionMismatch | RefusalKind::NotReady => (EdgeState::Connecting, ""),
            RefusalKind::SourceBehind => (EdgeState::SourceReset, "SourceReset"),
            RefusalKind::WrongLocation => (EdgeState::Rejected, "DuplicateLocation"),
            RefusalKind::EdgeNotAllowed => (EdgeState::Rejected, "EdgeNotAllowed"),
            RefusalKind::Paused => (EdgeState::Paused, "PausedAtTarget"),
            RefusalKind::Incompatible => (EdgeState::Incompatible, "VersionIncompatible"),
            RefusalKind::ApplicationMismatch => (EdgeState::Incompatible, "ApplicationMismatch"),
            RefusalKind::Rejected => (EdgeState::Rejected, "Rejected"),
            RefusalKind::Cut => (EdgeState::Unreachable, "PeerUnreachable"),
        };
        self.known.set(state, reason, message, cx.now());
    }

    fn found(&mut self, cx: &Shared, run: &mut Run, input: SourceInput) {
        self.feed(cx, run, input);
        if self.machine.standing().is_some_and(|s| s.stalled.is_some()) {
            if !run.stall_told {
                run.stall_told = true;
                self.prepare_beat(cx, run);
            }
        } else {
            run.stall_told = false;
        }
    }

    fn prepare_beat(&mut self, cx: &Shared, run: &mut Run) {
        let Some(standing) = self.machine.standing() else {
            return;
        };
        let acknowledged = standing.acknowledged;
        if acknowledged >= cx.log.reader().view().head {
            self.beat(cx, run, None);
        } else if run.next_stored.is_none() {
            run.next_stored = Some(Box::pin(stored_at(cx.log.reader().clone(), acknowledged)));
        }
    }

    fn beat(&mut self, cx: &Shared, run: &mut Run, next_stored_at: Option<i64>) {
        let now = cx.now();
        self.known.behind = Some((next_stored_at.map_or(0, |at| (now - at).max(0)), now));
        if let Some(heartbeat) = self.machine.heartbeat(now, next_stored_at) {
            run.outbox.push(Said::Heartbeat(heartbeat));
        }
    }

    fn feed(&mut self, cx: &Shared, run: &mut Run, input: SourceInput) {
        if let SourceInput::View(view) = &input {
            self.incarnation = view.current().incarnation;
        }
        for effect in self.machine.handle(input, cx.now()) {
            self.carry_out(cx, run, effect);
        }
    }

    fn carry_out(&mut self, cx: &Shared, run: &mut Run, effect: SourceEffect) {
        let reader = cx.log.reader();
        match effect {
            SourceEffect::NeedHash(position) => {
                run.lookup = Some(Box::pin(hash_at(reader.clone(), position)));
            }
            SourceEffect::Read { after, to } => {
                let rows_max = cx.tuning.scan_rows_max;
                let read = read(reader.clone(), self.incarnation, after, to, rows_max);
                run.lookup = Some(Box::pin(read));
            }
            SourceEffect::Opened(opened) => {
                self.known.streams_total += 1;
                tracing::info!(log = %cx.log_name, source = %cx.location, target = %self.id.1, position = opened.position, "stream opened");
                run.outbox.push(Said::Opened(opened));
                self.prepare_beat(cx, run);
            }
            SourceEffect::Refused(refused) => {
                self.show_refusal(cx, refused.kind, &refused.message);
                tracing::info!(log = %cx.log_name, source = %cx.location, target = %self.id.1, kind = ?refused.kind, message = %refused.message, "stream refused");
                run.outbox.push(Said::Refused(refused));
            }
            SourceEffect::Frame(frame) => run.outbox.push(Said::Frame(frame)),
            SourceEffect::AskProof(question) => {
                run.outbox.push(Said::Wanted(run.stream, question.clone()));
                run.question = Some(question);
            }
            SourceEffect::LossProven(event) => {
                tracing::warn!(log = %cx.log_name, location = %cx.location, peer = %self.id.1, event = %event.event.id, "a peer holds an own event that is not here");
                let log = cx.log.clone();
                let why = format!("event {} proves a loss", event.event.id);
                // Told from a task of its own: the writer ends this stream while it is being told.
                tokio::spawn(async move { log.report_loss(*event).await });
                run.end = Some(End::new(why, Pause::Backoff));
            }
            SourceEffect::Close(why) => run.end = Some(End::new(why, Pause::Backoff)),
        }
    }

    fn disconnected(&mut self, cx: &Shared, why: &str) {
        self.machine.disconnected();
        self.known.behind = None;
        if !self.known.keeps_its_word() {
            self.known
                .set(EdgeState::Unreachable, "PeerUnreachable", why, cx.now());
        }
        self.known.source_head = None;
        self.known.stale = true;
        self.known.filtered_total = self.machine.filtered_total();
        cx.board.publish(&self.id, &self.known);
    }
}

/// Sends what is left, as far as the peer takes it: a refusal should arrive although the connection ends with it. Frames do not: perhaps it ends
/// because of what they were filtered by.
async fn flush(outbox: &mut Outbox, sending: &mpsc::Sender<ReplicationMessage>) {
    outbox.forget_frames();
    let send = async {
        while let Some(said) = outbox.pop() {
            if sending.send(said.to_wire()).await.is_err() {
                return;
            }
        }
    };
    let _ = timeout(Duration::from_millis(200), send).await;
}

/// The result of a lookup, never without one.
pub(crate) async fn ready<T>(lookup: &mut Lookup<T>) -> T {
    match lookup {
        Some(lookup) => lookup.await,
        None => std::future::pending().await,
    }
}

async fn hash_at(reader: LogReader, position: u64) -> SourceInput {
    match reader.hash_at(position).await {
        Ok((hash, _)) => SourceInput::Hash { position, hash },
        Err(error) => SourceInput::ReadFailed(error.to_string()),
    }
}

async fn read(
    reader: LogReader,
    incarnation: Incarnation,
    after: u64,
    to: u64,
    rows_max: usize,
) -> SourceInput {
    let mut query = reader.page_query();
    query.to = to;
    query.scan_max = rows_max.max(1);
    query.events_max = query.events_max.min(rows_max.max(1));
    let from = Position::new(incarnation, after);
    match reader.page(from, &query).await {
        Ok(page) => {
            let raised = page.view.current().incarnation != incarnation;
            if raised {
                return SourceInput::View(page.view);
            }
            SourceInput::Page {
                after,
                page: Page {
                    events: page.events,
                    scanned_to: page.position.sequence,
                },
            }
        }
        Err(error) => SourceInput::ReadFailed(error.to_string()),
    }
}

async fn stored_at(reader: LogReader, acknowledged: u64) -> Option<i64> {
    let mut query = reader.page_query();
    query.events_max = 1;
    query.scan_max = 1;
    let page: Result<_, PageError> = reader
        .page(Position::new(Incarnation(0), acknowledged), &query)
        .await;
    let events = page.ok()?.events;
    Some(events.first()?.stored_at_micros)
}

fn config(cx: &Shared, edge: &OutgoingEdge, export: &Filters, control: &Control) -> SourceConfig {
    let tuning = &cx.tuning;
    let micros = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
    SourceConfig {
        log: cx.log_name.clone(),
        source: cx.location.clone(),
        target: edge.target.clone(),
        spec_hash: control.common.spec_hash.clone(),
        application_name: control.common.application_name.clone(),
        application_version: control.common.application_version.clone(),
        filter_hash: edge.filter_hash.clone(),
        behind: edge.behind.clone(),
        filter: Arc::new(Rules {
            source: cx.location.clone(),
            target: edge.target.clone(),
            export: export.0.clone(),
            link: edge.filters.0.clone(),
        }),
        frame_events_max: edge
            .frame_events_max
            .unwrap_or(tuning.frame_events_max)
            .max(1),
        // Beside one event of the greatest size a frame has to fit one message.
        frame_bytes_max: edge
            .frame_bytes_max
            .unwrap_or(tuning.frame_bytes_max)
            .clamp(1, 8 * 1024 * 1024),
        scan_rows_max: tuning.scan_rows_max.max(1),
        empty_frame_delay_micros: micros(tuning.empty_frame_delay),
        proof_interval_micros: micros(tuning.proof_interval),
    }
}

/// A refusal before any stream, from the side that was dialled.
pub(crate) fn refusal(stream: u64, kind: RefusalKind, message: &str) -> Said {
    Said::Refused(Box::new(Refused {
        stream,
        kind,
        message: message.to_owned(),
        lineage: Lineage::default(),
        position: 0,
        hash: ChainHash::ZERO,
    }))
}

#[cfg(test)]
mod tests {
    use tidelog_core::Frame;
    use tidelog_model::VectorTime;
    use tidelog_proto::v1::replication_message::Message;

    use super::*;

    #[tokio::test]
    async fn what_is_said_at_the_end_of_a_stream_has_no_frames_in_it() {
        let mut outbox = Outbox::default();
        outbox.push(Said::Frame(Box::new(Frame {
            stream: 1,
            incarnation: Incarnation(1),
            from: 0,
            to: 0,
            hash_from: ChainHash::ZERO,
            hash_to: ChainHash::ZERO,
            events: Vec::new(),
            covered: VectorTime::new(),
            head: 0,
            filtered: 0,
        })));
        outbox.push(refusal(1, RefusalKind::Paused, "paused"));
        let (sending, mut sent) = mpsc::channel(4);
        flush(&mut outbox, &sending).await;
        drop(sending);
        let only = sent.recv().await.unwrap().message.unwrap();
        assert!(matches!(only, Message::Refused(_)), "{only:?}");
        assert!(sent.recv().await.is_none());
    }
}
