//! The steps for a ReplicationLink.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use tidelog_api::{EdgeState, EdgeStatus, EventLog, ReplicationLink};
use tidelog_status::{DRIFT_EVERY, LinkSeen, SeenEdge, link_status, write_in};
use tidelog_topology::{Finding, Plan, Planner};

use crate::apply::write_status;
use crate::attending::LOOK_EVERY;
use crate::context::{Context, LISTEN_FIRST, NOT_YET};
use crate::error::Error;
use crate::seen;

/// Visits a link. Its edges run by what its log does with the plan; here only what is seen of them is told.
pub(crate) async fn reconcile(
    link: Arc<ReplicationLink>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let begun = Instant::now();
    let visited = visit(link, Arc::clone(&context)).await;
    let metrics = &context.metrics;
    metrics.visited("ReplicationLink", begun.elapsed(), visited.is_ok());
    visited
}

async fn visit(link: Arc<ReplicationLink>, context: Arc<Context>) -> Result<Action, Error> {
    let uid = link.uid().ok_or(Error::Incomplete("a uid"))?;
    if link.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    if !context.knows_everything() {
        return Ok(Action::requeue(NOT_YET));
    }
    // 1. Its log, if this operator attends to that, and the plan by all links of it.
    let log = context.log_of(&link);
    match log.as_ref().map(|log| context.attends_to(log)) {
        None | Some(Some(true)) => {}
        Some(Some(false)) => return Ok(Action::requeue(LOOK_EVERY)),
        Some(None) => return Ok(Action::requeue(NOT_YET)),
    }
    let plan = log
        .as_ref()
        .map(|log| context.manifest(log).plan(Planner::new()));
    let here: Vec<String> = log
        .as_ref()
        .map(|log| context.options.location.of(log))
        .unwrap_or_default()
        .into_iter()
        .map(|location| location.name.clone())
        .collect();
    // 2. What is wrong with it, and the edges that end here.
    let name = link.name_any();
    let findings = plan
        .as_ref()
        .map(|plan| about(plan, &name))
        .unwrap_or_default();
    let beside = plan.as_ref().and_then(|plan| beside(plan, &name));
    let edges = match (&log, &plan) {
        (Some(log), Some(plan)) => edges(&context, log, plan, (&name, &uid), &here),
        _ => Vec::new(),
    };
    // 3. That is told.
    let told = LinkSeen {
        generation: link.metadata.generation,
        topology: &link.spec.topology,
        lag_threshold: &link.spec.lag_threshold,
        has_log: log.is_some(),
        here: &here,
        findings: &findings,
        beside,
        edges: &edges,
    };
    let before = link.status.clone().unwrap_or_default();
    let of_log = log.as_ref().and_then(|log| log.uid()).unwrap_or_default();
    let mut is_early = false;
    for edge in &edges {
        is_early |= !context.may_be_told(&of_log, &edge.here, !edge.stale);
    }
    if is_early && !before.conditions.is_empty() {
        return Ok(Action::requeue(LISTEN_FIRST));
    }
    let status = link_status(&told, &before.conditions, &Time(Timestamp::now()));
    let since = context
        .written_at(&uid)
        .map_or(Duration::MAX, |at| at.elapsed());
    let wait = write_in(&before, &status, since);
    if wait.is_some_and(|wait| wait.is_zero()) {
        write_status(&context, &*link, &status).await?;
        context.set_written(&uid);
        let changed = (&before.conditions[..], &status.conditions[..]);
        context.events.tell(&context.metrics, &*link, changed).await;
    }
    context.succeeded(&uid);
    let soon = if edges.is_empty() {
        context.options.resync
    } else {
        // What was held back is written when its time has come, if it is still so.
        wait.filter(|wait| !wait.is_zero()).unwrap_or(DRIFT_EVERY)
    };
    Ok(Action::requeue(soon))
}

/// What the planner has found about this link.
fn about(plan: &Plan, link: &str) -> Vec<Finding> {
    let findings = plan.findings.iter();
    let mine = findings.filter(|finding| finding.links.is_empty() || finding.links.contains(link));
    mine.cloned().collect()
}

/// What forbids to run the plan, when it is not about this link.
fn beside<'a>(plan: &'a Plan, link: &str) -> Option<&'a Finding> {
    let mut errors = plan.errors();
    errors.find(|finding| !finding.links.is_empty() && !finding.links.contains(link))
}

/// The edges of this link that begin or end at a location of this cluster, each as its end here speaks of it.
fn edges(
    context: &Context,
    log: &EventLog,
    plan: &Plan,
    (link, uid): (&str, &str),
    here: &[String],
) -> Vec<SeenEdge> {
    let key = Context::key_of(log);
    let mine = plan.edges.values().filter(|edge| edge.link == link);
    let mut seen = Vec::new();
    for edge in mine {
        // Where both ends are here the target knows more.
        let end = [&edge.target, &edge.source]
            .into_iter()
            .find(|end| here.contains(end));
        let Some(end) = end else {
            continue;
        };
        // Of the writer: a standby replicates nothing.
        let heard = context.sidecars.heard(&key, end);
        let writer = heard.iter().find(|heard| heard.is_writer());
        let says = writer.and_then(|heard| {
            let edges = heard.status.edges.iter();
            let mut same = edges.filter(|e| e.source == edge.source && e.target == edge.target);
            same.next()
        });
        seen.push(match says {
            // What a refused plan has, and nobody runs, will not run.
            None if writer.is_some() && !plan.is_accepted() => {
                context.still(uid, (&edge.source, &edge.target), None);
                continue;
            }
            Some(says) => {
                let behind = seen::behind(says);
                let still = context.still(uid, (&edge.source, &edge.target), behind);
                SeenEdge {
                    still,
                    ..seen::edge(says, end)
                }
            }
            None => {
                context.still(uid, (&edge.source, &edge.target), None);
                silent(&edge.source, &edge.target, end)
            }
        });
    }
    seen
}

/// An edge of which nobody has spoken lately.
fn silent(source: &str, target: &str, here: &str) -> SeenEdge {
    SeenEdge {
        status: EdgeStatus {
            source: source.to_owned(),
            target: target.to_owned(),
            state: EdgeState::Pending,
            source_head: None,
            progress: None,
            lag_events: None,
            lag_seconds: None,
            filtered_total: None,
            last_error: None,
            last_transition: None,
        },
        reason: String::new(),
        message: String::new(),
        here: here.to_owned(),
        stale: true,
        synced: false,
        still: Duration::ZERO,
    }
}
