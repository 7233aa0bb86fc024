//! The status of a location and its edges, as the API tells it.

use std::sync::Arc;

use tidelog_config::{Config, Endpoint, LagThreshold};
use tidelog_core::{EdgeState, LogView};
use tidelog_engine::LogPhase;
use tidelog_model::caps;
use tidelog_proto::convert::{lineage_to_wire, timestamp_from_micros};
use tidelog_proto::v1;
use tidelog_replication::{Direction, EdgeStatus};
use tidelog_store::EdgeKey;
use tidelog_tls::{Tls, late_from};

use crate::describe::build;
use crate::location::Shared;

/// Everything that is known about a location.
pub(crate) fn location(shared: &Shared) -> v1::LocationStatus {
    let about = shared.describe.about();
    let context = Context::of(shared);
    let view = shared.log.reader().view();
    let status = shared.log.status().borrow().clone();
    let witness = shared.witness.as_ref().map(|w| w.exchange());
    let (mut state, mut message) = state(&status.phase, status.recovering);
    if witness.as_ref().is_some_and(|w| w.asks_whether_new) {
        state = v1::LocationState::AwaitingIncarnation;
        "the database is empty: waiting to be told whether this location has ever existed"
            .clone_into(&mut message);
    }
    let here = matches!(status.phase, LogPhase::Serving);
    let writer = match &status.phase {
        LogPhase::Serving => Some(v1::Writer {
            owner: shared.owner.clone(),
            address: shared.address.clone(),
            here,
            expires_at: None,
            since: status.writer_since_micros.map(timestamp_from_micros),
        }),
        LogPhase::Standby { owner, address } => Some(v1::Writer {
            owner: owner.clone(),
            address: address.clone(),
            here: false,
            expires_at: None,
            since: None,
        }),
        _ => None,
    };
    let known = shared.replication.status();
    let edges: Vec<_> = known.iter().map(|e| context.edge(e)).collect();
    let mut warnings = warnings(shared, &edges);
    warnings.extend(known.iter().filter_map(|e| context.lagging(e)));
    v1::LocationStatus {
        location: about.location,
        log: about.log,
        pid: std::process::id(),
        state: state.into(),
        message,
        head: view.head,
        hash: view.hash.0.to_vec().into(),
        incarnation: view.current().incarnation.0,
        lineage: lineage_to_wire(&view.lineage),
        version_vector: Some((&*view.version_vector).into()),
        covered_vector: Some((&*view.covered_vector).into()),
        writer,
        recovered: Some(shared.describe.recovered()),
        warnings,
        edges,
        spec_hash: context.config.spec_hash.clone(),
        application_name: about.application_name,
        application_version: about.application_version.to_string(),
        database_identity: status.instance.map(|i| i.to_string()).unwrap_or_default(),
        storage: shared.storage.clone(),
        build: Some(build()),
        started_at: Some(timestamp_from_micros(shared.started_at_micros)),
        certificates: shared.tls.as_ref().map(certificates),
        witness: witness.map(|exchange| {
            let (revision, record) = exchange.wanted.unwrap_or_default();
            v1::WitnessRecord {
                revision,
                record,
                recorded_revision: exchange.recorded,
            }
        }),
    }
}

fn certificates(tls: &Tls) -> v1::Certificates {
    let now = tls.certificates().borrow().clone();
    let at = |seconds: i64| Some(timestamp_from_micros(seconds.saturating_mul(1_000_000)));
    v1::Certificates {
        identity: tls.owner().to_string(),
        not_before: at(now.not_before),
        not_after: at(now.not_after),
        rotations: now.rotations,
        error: now.error.map(|e| e.to_string()).unwrap_or_default(),
    }
}

fn state(phase: &LogPhase, recovering: bool) -> (v1::LocationState, String) {
    match phase {
        LogPhase::Starting => (v1::LocationState::Starting, String::new()),
        LogPhase::Standby { owner, .. } => {
            (v1::LocationState::Standby, format!("{owner} is the writer"))
        }
        LogPhase::Serving if recovering => (
            v1::LocationState::Recovering,
            "lost events are expected back from peers".to_owned(),
        ),
        LogPhase::Serving => (v1::LocationState::Serving, String::new()),
        LogPhase::Failing(why) => (v1::LocationState::StorageUnavailable, why.clone()),
        LogPhase::Stopped => (v1::LocationState::Stopping, String::new()),
    }
}

fn warnings(shared: &Shared, edges: &[v1::EdgeStatus]) -> Vec<String> {
    let mut out = Vec::new();
    let entries = shared.log.reader().view().version_vector.len();
    if entries >= caps::VECTOR_ENTRIES_WARN {
        out.push(format!(
            "the version vector has {entries} entries, the limit is {}; retire locations or incarnations",
            caps::VECTOR_ENTRIES_MAX
        ));
    }
    let counters = crate::describe::counters(shared.log.counters());
    if let Some(hits @ 1..) = counters.get("guard_hits").copied() {
        out.push(format!(
            "{hits} duplicates were caught by the unique key only; please report this"
        ));
    }
    if let Some(ahead @ 1..) = counters.get("clock_ahead_events").copied() {
        out.push(format!("{ahead} events came with a clock more than a minute ahead; look at the clocks of their origins"));
    }
    if let Some(tls) = &shared.tls {
        out.extend(expiry(tls, (shared.clock)()));
    }
    out.extend(edges.iter().filter_map(disagreement));
    out
}

/// A certificate that should have been replaced by now, or that could not be.
fn expiry(tls: &Tls, now_micros: i64) -> Vec<String> {
    let now = tls.certificates().borrow().clone();
    let seconds = now_micros / 1_000_000;
    let left = now.not_after.saturating_sub(seconds);
    let mut out = Vec::new();
    if left <= 0 {
        out.push(format!(
            "the certificate has expired {} s ago: no new connection is possible",
            -left
        ));
    } else if seconds >= late_from(now.not_before, now.not_after) {
        out.push(format!("the certificate expires in {left} s"));
    }
    if let Some(error) = now.error {
        out.push(format!("new certificates are not in force: {error}"));
    }
    out
}

/// A peer that runs another plan, or a filter that is not in force yet.
fn disagreement(edge: &v1::EdgeStatus) -> Option<String> {
    let incoming = edge.direction() == v1::EdgeDirection::Incoming;
    let peer = if incoming { &edge.source } else { &edge.target };
    if !edge.peer_spec_hash.is_empty() && !edge.spec_agrees {
        return Some(format!(
            "{peer} runs another specification of this log; apply the same manifests there"
        ));
    }
    let unlike = !edge.peer_filter_hash.is_empty() && !edge.filter_agrees;
    unlike.then(|| {
        format!(
            "the filter of {}->{} is not that of the plan at both ends yet; a changed filter is in force when every edge of its component agrees",
            edge.source, edge.target
        )
    })
}

/// What the configuration says of an edge.
#[derive(Default)]
struct Planned {
    paused: bool,
    filter_hash: String,
    address: String,
    threshold: LagThreshold,
}

/// Whole seconds, begun ones included.
fn seconds(micros: i64) -> u64 {
    micros.max(0).unsigned_abs().div_ceil(1_000_000)
}

/// What an edge's status needs besides the edge: configuration and commands.
pub(crate) struct Context {
    config: Config,
    paused: Vec<EdgeKey>,
    cut: Vec<EdgeKey>,
    view: Arc<LogView>,
}

impl Context {
    pub(crate) fn of(shared: &Shared) -> Self {
        Self {
            config: shared.config(),
            paused: shared.replication.paused_edges(),
            cut: shared.replication.cut_edges(),
            view: shared.log.reader().view(),
        }
    }

    /// What the plan here says of an edge; nothing of one that it has no more.
    fn planned(&self, edge: &EdgeStatus) -> Option<Planned> {
        let text = |e: Option<&Endpoint>| e.map(ToString::to_string).unwrap_or_default();
        let edges = &self.config.edges;
        match edge.direction {
            Direction::Incoming => edges
                .incoming
                .iter()
                .find(|e| e.source == edge.edge.source)
                .map(|e| Planned {
                    paused: e.paused,
                    filter_hash: e.filter_hash.to_string(),
                    address: text(self.config.incoming_endpoint(e)),
                    threshold: e.lag_threshold,
                }),
            Direction::Outgoing => edges
                .outgoing
                .iter()
                .find(|e| e.target == edge.edge.target)
                .map(|e| Planned {
                    paused: e.paused,
                    filter_hash: e.filter_hash.to_string(),
                    address: text(self.config.outgoing_endpoint(e)),
                    threshold: e.lag_threshold,
                }),
        }
    }

    /// A target that is too far behind. Its source sees the same lag, so only the target says so.
    fn lagging(&self, edge: &EdgeStatus) -> Option<String> {
        if edge.direction == Direction::Outgoing {
            return None;
        }
        let most = self.planned(edge)?.threshold;
        let (events, age) = (edge.lag.events?, edge.lag.micros.map(seconds));
        let beyond = events > most.events || age.is_some_and(|age| age > most.seconds.into());
        beyond.then(|| {
            format!(
                "{} is {events} events and {} s behind {}; lagThreshold of the link is {} events, {} s",
                edge.edge.target,
                age.map_or_else(|| "?".to_owned(), |age| age.to_string()),
                edge.edge.source,
                most.events,
                most.seconds
            )
        })
    }

    /// How far the source is copied, and in which of its incarnations that counts. What is copied to here is in the log, so it is known
    /// before the first stream as well.
    fn progress(&self, edge: &EdgeStatus) -> (u64, u32) {
        match edge.direction {
            Direction::Outgoing => (edge.progress, self.view.current().incarnation.0),
            Direction::Incoming => {
                self.view
                    .progress
                    .get(&edge.edge.source)
                    .map_or((0, 0), |held| {
                        let current = held.lineage.current();
                        (held.position, current.map_or(0, |e| e.incarnation.0))
                    })
            }
        }
    }

    /// One edge.
    pub(crate) fn edge(&self, edge: &EdgeStatus) -> v1::EdgeStatus {
        let direction = match edge.direction {
            Direction::Incoming => v1::EdgeDirection::Incoming,
            Direction::Outgoing => v1::EdgeDirection::Outgoing,
        };
        let planned = self.planned(edge);
        let (progress, source_incarnation) = self.progress(edge);
        let lag_seconds = edge.lag.micros.map(seconds);
        let same_plan = edge.peer_spec_hash == self.config.spec_hash;
        let filter_agrees = planned.as_ref().is_some_and(|planned| {
            edge.filter_hash == planned.filter_hash && edge.peer_filter_hash == planned.filter_hash
        });
        let synced = planned.as_ref().is_some_and(|planned| {
            let within = |lag: Option<u64>, most: u64| lag.is_some_and(|lag| lag <= most);
            within(edge.lag.events, planned.threshold.events)
                && within(lag_seconds, planned.threshold.seconds.into())
        });
        let Planned {
            paused: paused_by_spec,
            address,
            ..
        } = planned.unwrap_or_default();
        v1::EdgeStatus {
            source: edge.edge.source.to_string(),
            target: edge.edge.target.to_string(),
            direction: direction.into(),
            state: edge_state(edge.state).into(),
            reason: edge.reason.clone(),
            message: edge.message.clone(),
            progress,
            source_incarnation,
            source_head: edge.source_head,
            lag_events: edge.lag.events,
            lag_seconds,
            filtered_total: edge.filtered_total,
            redundant_total: edge.redundant_total,
            received_total: edge.stored_total,
            last_error: edge.last_error.clone(),
            last_transition: Some(timestamp_from_micros(edge.since_micros)),
            paused_by_spec,
            paused_by_command: self.paused.contains(&edge.edge),
            cut: self.cut.contains(&edge.edge),
            filter_hash: edge.filter_hash.clone(),
            peer_spec_hash: edge.peer_spec_hash.clone(),
            spec_agrees: edge.peer_spec_hash.is_empty() || same_plan,
            address,
            peer_filter_hash: edge.peer_filter_hash.clone(),
            filter_agrees,
            synced,
        }
    }
}

fn edge_state(state: EdgeState) -> v1::EdgeState {
    match state {
        EdgeState::Pending => v1::EdgeState::Pending,
        EdgeState::Connecting => v1::EdgeState::Connecting,
        EdgeState::CatchingUp => v1::EdgeState::CatchingUp,
        EdgeState::Streaming => v1::EdgeState::Streaming,
        EdgeState::Paused => v1::EdgeState::Paused,
        EdgeState::Stalled => v1::EdgeState::Stalled,
        EdgeState::Unreachable => v1::EdgeState::Unreachable,
        EdgeState::Incompatible => v1::EdgeState::Incompatible,
        EdgeState::Rejected => v1::EdgeState::Rejected,
        EdgeState::SourceReset => v1::EdgeState::SourceReset,
    }
}
