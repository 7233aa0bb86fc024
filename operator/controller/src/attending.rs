//! One operator attends to a log in a cluster: the one that its status names, for as long as the Lease of that one is renewed.
//!
//! Several may have a log in sight: two releases for one location, or one for `*` beside one for `eu`. All would apply the same names under one field
//! manager, and write one status. So the first one writes its Lease into the status, upon the version that it has read, and of two only one can. Whoever
//! comes later writes its own beside it, once, and stands by: the first one tells of it. Clocks are not compared: a Lease that has not changed for
//! `Options::gone_after` by the own clock is of somebody who is gone.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use tidelog_api::{EventLog, EventLogStatus, LocationState, OTHER_OPERATORS_MAX};
use tidelog_status::Attending;

use crate::FIELD_MANAGER;
use crate::context::Context;
use crate::error::Error;

/// Between two looks of an operator that stands by.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Many logs name the same Lease.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Whose turn it is.
pub(crate) enum Turn {
    /// That of this operator.
    Mine(Attending),
    /// That of another one.
    StandBy,
    /// To be seen once what was written, by this operator or somebody else, has come back.
    Unclear,
}

/// Whether this operator attends to a log. `wants`: it would have something to do.
pub(crate) async fn turn(context: &Context, log: &EventLog, wants: bool) -> Result<Turn, Error> {
    let nothing = EventLogStatus::default();
    let status = log.status.as_ref().unwrap_or(&nothing);
    let mine = context.options.lease.as_deref();
    let mut is_idle = false;
    if let Some(other) = status.operator.as_deref().filter(|o| Some(*o) != mine) {
        // It has found nothing to do in this spec, and said so.
        let is_said =
            !status.conditions.is_empty() && status.observed_generation == log.metadata.generation;
        is_idle = wants && is_said && status.locations.is_empty();
        if !is_idle && context.pulses.beats(context, other).await {
            return stand_by(context, log, status, (mine, wants)).await;
        }
        tracing::info!(log = log.name_any(), other, is_idle, "takes over");
    } else if status.operator.is_none() && !wants && is_served(log, status) {
        // By one that has no Lease, or knows nothing of all this.
        return Ok(Turn::StandBy);
    }
    let Some(mine) = mine else {
        return Ok(Turn::Mine(Attending::default()));
    };
    if status.operator.as_deref() != Some(mine) {
        let mut taken = status.clone();
        taken.operator = Some(mine.to_owned());
        // That nothing runs here was the other one's word, and is no word of this one.
        if is_idle {
            taken.conditions.clear();
        }
        let taken = json!(taken);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let object = on_top_of(log, &taken);
        write(context, log, &params, &Patch::Apply(&object)).await?;
        return Ok(Turn::Unclear);
    }
    let mut there = Vec::new();
    for other in status.other_operators.iter().filter(|o| *o != mine) {
        if context.pulses.beats(context, other).await {
            there.push(other.clone());
        }
    }
    if there != status.other_operators
        && let Err(error) = tell_others(context, log, &there).await
    {
        tracing::warn!(log = log.name_any(), %error, "those that are gone stay on the list for now");
    }
    Ok(Turn::Mine(Attending {
        operator: Some(mine.to_owned()),
        others: there,
    }))
}

/// Whether somebody has told of a location that the spec still asks for.
fn is_served(log: &EventLog, status: &EventLogStatus) -> bool {
    let active = log.spec.locations.iter();
    let mut active = active.filter(|l| l.state == LocationState::Active);
    active.any(|l| status.locations.iter().any(|told| told.name == l.name))
}

/// Writes that this operator is there too, or is not any more, if it is not known yet.
async fn stand_by(
    context: &Context,
    log: &EventLog,
    status: &EventLogStatus,
    (mine, wants): (Option<&str>, bool),
) -> Result<Turn, Error> {
    let Some(mine) = mine else {
        return Ok(Turn::StandBy);
    };
    let mut others = status.other_operators.clone();
    let is_known = others.iter().any(|other| other == mine);
    let has_room = others.len() < OTHER_OPERATORS_MAX as usize;
    if wants && !is_known && has_room {
        others.push(mine.to_owned());
    } else if !wants && is_known {
        others.retain(|other| other != mine);
    } else {
        return Ok(Turn::StandBy);
    }
    tell_others(context, log, &others).await?;
    Ok(Turn::StandBy)
}

/// Replaces the list of those that stand by.
async fn tell_others(context: &Context, log: &EventLog, others: &[String]) -> Result<(), Error> {
    let left = (!others.is_empty()).then_some(others);
    let object = on_top_of(log, &json!({"otherOperators": left}));
    let params = PatchParams::default();
    write(context, log, &params, &Patch::Merge(&object)).await
}

/// A status for the version of a log that was read.
fn on_top_of(log: &EventLog, status: &Value) -> Value {
    json!({
        "apiVersion": <EventLog as kube::Resource>::api_version(&()),
        "kind": <EventLog as kube::Resource>::kind(&()),
        "metadata": {
            "name": log.name_any(),
            "uid": log.metadata.uid,
            "resourceVersion": log.metadata.resource_version,
        },
        "status": status,
    })
}

/// Writes unless the log has changed meanwhile; then the next visit is about to come.
async fn write(
    context: &Context,
    log: &EventLog,
    params: &PatchParams,
    patch: &Patch<&Value>,
) -> Result<(), Error> {
    let (namespace, name) = (log.namespace().unwrap_or_default(), log.name_any());
    let api: Api<EventLog> = Api::namespaced(context.client.clone(), &namespace);
    match api.patch_status(&name, params, patch).await {
        Ok(_) => {
            context.metrics.wrote("status");
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => {
            let what = format!("write who attends to EventLog {namespace}/{name}");
            Err(Error::api(what)(error))
        }
    }
}

/// What was seen of the Leases of others.
#[derive(Default)]
pub(crate) struct Pulses(Mutex<HashMap<String, Pulse>>);

/// One Lease.
struct Pulse {
    /// What stood in it; nothing when it was not there.
    said: Option<String>,
    /// Since when it has said so.
    since: Instant,
    /// When it was looked at.
    looked: Instant,
    /// It may not be read.
    is_refused: bool,
}

impl Pulses {
    /// Whether the operator with this Lease is there. Who cannot be asked about is.
    async fn beats(&self, context: &Context, lease: &str) -> bool {
        // What a person has written there may be anything.
        let Some((namespace, name)) = lease.split_once('/') else {
            return false;
        };
        if namespace.is_empty() || name.is_empty() {
            return false;
        }
        let gone_after = context.options.gone_after;
        // Of one that is gone it is asked each time: it may just have come back.
        if { self.known(lease, Instant::now()) }.is_some_and(|silent| silent < gone_after) {
            return true;
        }
        let api: Api<Lease> = Api::namespaced(context.client.clone(), namespace);
        match api.get_opt(name).await {
            Ok(found) => {
                let said = found.and_then(|lease| lease.spec);
                let said = said.map(|spec| json!(spec).to_string());
                self.heard(lease, said, Instant::now()) < gone_after
            }
            Err(kube::Error::Api(status)) if status.code == 403 => {
                if self.refused(lease, Instant::now()) {
                    tracing::warn!(
                        lease,
                        "may not see whether another operator is there, and takes it that it is: allow `get` of this Lease, or, if it is gone, say so: \
                        kubectl patch evlog NAME --subresource=status --type=merge --patch '{{\"status\":{{\"operator\":null,\"otherOperators\":null}}}}'"
                    );
                }
                true
            }
            Err(error) => {
                tracing::debug!(lease, %error, "could not ask whether another operator is there");
                true
            }
        }
    }

    /// For how long it had been silent a moment ago.
    fn known(&self, lease: &str, now: Instant) -> Option<Duration> {
        let pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pulse = pulses.get(lease)?;
        (now - pulse.looked < LOOK_AGAIN_AFTER).then(|| now - pulse.since)
    }

    /// Takes what a Lease says now; for how long it has said so.
    fn heard(&self, lease: &str, said: Option<String>, now: Instant) -> Duration {
        let mut pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = pulses
            .get(lease)
            .filter(|pulse| pulse.said == said && !pulse.is_refused);
        let since = same.map_or(now, |pulse| pulse.since);
        let pulse = Pulse {
            said,
            since,
            looked: now,
            is_refused: false,
        };
        pulses.insert(lease.to_owned(), pulse);
        now - since
    }

    /// One that may not be read is as if it were renewed all the time. True the first time.
    fn refused(&self, lease: &str, now: Instant) -> bool {
        let mut pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pulse = Pulse {
            said: None,
            since: now,
            looked: now,
            is_refused: true,
        };
        let before = pulses.insert(lease.to_owned(), pulse);
        before.is_none_or(|pulse| !pulse.is_refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_by_the_own_clock_since_the_first_look() {
        let (pulses, begun) = (Pulses::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        let heard = |said: &str, seconds| {
            let silent = pulses.heard("a/b", Some(said.to_owned()), at(seconds));
            silent.as_secs()
        };
        // However old it may be: nobody knows yet.
        assert_eq!(heard("one", 0), 0);
        assert_eq!(pulses.known("a/b", at(4)), Some(Duration::from_secs(4)));
        assert_eq!(pulses.known("a/b", at(5)), None);
        assert_eq!(heard("one", 29), 29);
        assert_eq!(heard("two", 30), 0);
        assert_eq!(heard("two", 60), 30);
        // One that is gone may be written anew.
        assert_eq!(pulses.heard("a/b", None, at(70)), Duration::ZERO);
        assert_eq!(pulses.heard("a/b", None, at(80)), Duration::from_secs(10));
    }

    #[test]
    fn what_cannot_be_read_is_told_once_and_says_nothing_of_the_time_before() {
        let (pulses, begun) = (Pulses::default(), Instant::now());
        assert_eq!(pulses.heard("a/b", None, begun), Duration::ZERO);
        let later = begun + Duration::from_mins(1);
        assert!(pulses.refused("a/b", begun));
        assert!(!pulses.refused("a/b", later));
        assert_eq!(pulses.known("a/b", later), Some(Duration::ZERO));
        assert_eq!(pulses.heard("a/b", None, later), Duration::ZERO);
    }
}
