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
use tidelog_api::{EventLog, EventLogStatus, OTHER_OPERATORS_MAX};
use tidelog_status::Attending;

use crate::FIELD_MANAGER;
use crate::context::{Context, NOT_YET};
use crate::error::Error;

/// Between two looks of an operator that stands by.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Many logs name the same Lease.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Whose turn it is.
pub(crate) enum Turn {
    /// That of this operator.
    Mine(Attending),
    /// That of another one; when to look again.
    StandBy(Duration),
}

/// Whether this operator attends to a log. `wants`: it would have something to do.
pub(crate) async fn turn(context: &Context, log: &EventLog, wants: bool) -> Result<Turn, Error> {
    let nothing = EventLogStatus::default();
    let status = log.status.as_ref().unwrap_or(&nothing);
    let mine = context.options.lease.as_deref();
    if let Some(other) = status.operator.as_deref().filter(|o| Some(*o) != mine) {
        // It has found nothing to do, and said so.
        let is_idle = status.locations.is_empty() && !status.conditions.is_empty();
        if !(is_idle && wants) && context.pulses.beats(context, other).await {
            return stand_by(context, log, status, mine.filter(|_| wants)).await;
        }
        tracing::info!(log = log.name_any(), other, is_idle, "takes over");
    }
    let Some(mine) = mine else {
        return Ok(Turn::Mine(Attending::default()));
    };
    if status.operator.as_deref() != Some(mine) {
        let mut taken = status.clone();
        taken.operator = Some(mine.to_owned());
        // That nothing runs here was the other one's word, and is no word of this one.
        if taken.locations.is_empty() {
            taken.conditions.clear();
        }
        let taken = json!(taken);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let object = on_top_of(log, &taken);
        // The write itself brings the next visit.
        return write(context, log, &params, &Patch::Apply(&object), NOT_YET).await;
    }
    let mut others = status.other_operators.clone();
    others.retain(|other| other != mine);
    let mut there = Vec::new();
    for other in &others {
        if context.pulses.beats(context, other).await {
            there.push(other.clone());
        }
    }
    if there != status.other_operators {
        let left = (!there.is_empty()).then_some(&there);
        let object = on_top_of(log, &json!({"otherOperators": left}));
        let params = PatchParams::default();
        write(context, log, &params, &Patch::Merge(&object), NOT_YET).await?;
    }
    Ok(Turn::Mine(Attending {
        operator: Some(mine.to_owned()),
        others: there,
    }))
}

/// Writes that this operator is there too, if nobody knows yet.
async fn stand_by(
    context: &Context,
    log: &EventLog,
    status: &EventLogStatus,
    mine: Option<&str>,
) -> Result<Turn, Error> {
    let others = &status.other_operators;
    let is_known = |mine: &str| others.iter().any(|other| other == mine);
    let has_room = others.len() < OTHER_OPERATORS_MAX as usize;
    let Some(mine) = mine.filter(|mine| !is_known(mine) && has_room) else {
        return Ok(Turn::StandBy(LOOK_EVERY));
    };
    let other = status.operator.as_deref();
    tracing::warn!(
        log = log.name_any(),
        other,
        "another operator of this cluster attends to this log; standing by"
    );
    let mut others = others.clone();
    others.push(mine.to_owned());
    let object = on_top_of(log, &json!({"otherOperators": others}));
    let params = PatchParams::default();
    write(context, log, &params, &Patch::Merge(&object), LOOK_EVERY).await
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

/// Writes unless the log has changed meanwhile.
async fn write(
    context: &Context,
    log: &EventLog,
    params: &PatchParams,
    patch: &Patch<&Value>,
    next: Duration,
) -> Result<Turn, Error> {
    let (namespace, name) = (log.namespace().unwrap_or_default(), log.name_any());
    let api: Api<EventLog> = Api::namespaced(context.client.clone(), &namespace);
    match api.patch_status(&name, params, patch).await {
        Ok(_) => {
            context.metrics.wrote("status");
            Ok(Turn::StandBy(next))
        }
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Turn::StandBy(NOT_YET)),
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
    /// It may not be read, and that was told.
    is_told: bool,
}

impl Pulses {
    /// Whether the operator with this Lease is there. Who cannot be asked about is.
    async fn beats(&self, context: &Context, lease: &str) -> bool {
        // What a person has written there may be anything.
        let Some((namespace, name)) = lease.split_once('/') else {
            return false;
        };
        let gone_after = context.options.gone_after;
        if let Some(silent) = self.known(lease, Instant::now()) {
            return silent < gone_after;
        }
        let api: Api<Lease> = Api::namespaced(context.client.clone(), namespace);
        match api.get_opt(name).await {
            Ok(found) => {
                let said = found.and_then(|lease| lease.spec);
                let said = said.map(|spec| json!(spec).to_string());
                self.heard(lease, said, Instant::now()) < gone_after
            }
            Err(error) => {
                if self.is_news(lease) {
                    tracing::warn!(lease, %error, "cannot see whether another operator is there, and takes it that it is: allow `get` of this Lease, or, if it is gone, say so: \
                        kubectl patch evlog NAME --subresource=status --type=merge --patch '{{\"status\":{{\"operator\":null,\"otherOperators\":null}}}}'");
                }
                true
            }
        }
    }

    /// For how long it had been silent a moment ago.
    fn known(&self, lease: &str, now: Instant) -> Option<Duration> {
        let pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pulse = pulses.get(lease)?;
        let is_fresh = !pulse.is_told && now - pulse.looked < LOOK_AGAIN_AFTER;
        is_fresh.then(|| now - pulse.since)
    }

    /// Takes what a Lease says now; for how long it has said so.
    fn heard(&self, lease: &str, said: Option<String>, now: Instant) -> Duration {
        let mut pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = pulses
            .get(lease)
            .filter(|pulse| pulse.said == said && !pulse.is_told);
        let since = same.map_or(now, |pulse| pulse.since);
        let pulse = Pulse {
            said,
            since,
            looked: now,
            is_told: false,
        };
        pulses.insert(lease.to_owned(), pulse);
        now - since
    }

    /// True once for a Lease that cannot be read.
    fn is_news(&self, lease: &str) -> bool {
        let now = Instant::now();
        let mut pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pulse = pulses.entry(lease.to_owned()).or_insert(Pulse {
            said: None,
            since: now,
            looked: now,
            is_told: false,
        });
        !std::mem::replace(&mut pulse.is_told, true)
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
        assert!(pulses.is_news("a/b"));
        assert!(!pulses.is_news("a/b"));
        assert_eq!(pulses.known("a/b", begun), None);
        let later = begun + Duration::from_mins(1);
        assert_eq!(pulses.heard("a/b", None, later), Duration::ZERO);
    }
}
