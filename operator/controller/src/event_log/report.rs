//! What is seen of a log's locations here, as its status.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::Api;
use kube::runtime::events::EventType;
use tidelog_api::{EventLog, EventLogStatus, Expose, Location};
use tidelog_build::{Names, Way, way};
use tidelog_status::{Attending, LocationHere, LogSeen, Offered, is_log_worth_a_write, log_status};
use tidelog_topology::Plan;

use super::{Trouble, Troubles, first};
use crate::apply::write_status;
use crate::context::Context;
use crate::error::Error;
use crate::seen;

pub(super) async fn report(
    context: &Context,
    log: &EventLog,
    plan: &Plan,
    (here, attending): (&[&Location], &Attending),
    troubles: &Troubles,
) -> Result<(), Error> {
    let mut seen = Vec::new();
    for location in here {
        let mut found = look(context, log, location).await?;
        let of = |what| troubles.of(what, &location.name);
        found.refused = of(Trouble::Objects);
        found.storage = of(Trouble::Storage);
        found.certificates = of(Trouble::Certificates);
        found.trust = trust(plan, &location.name, troubles);
        found.last_word = troubles.last_words.get(&location.name).cloned();
        seen.push(found);
    }
    let insecure = way(log) == Way::Insecure;
    let spec_hash = plan.spec_hash.to_string();
    let seen = LogSeen {
        attending,
        generation: log.metadata.generation,
        operator: context.options.location.as_str(),
        spec_hash: &spec_hash,
        here: &seen,
        rejected: plan.errors().next(),
        insecure,
    };
    let mut before = log.status.clone().unwrap_or_default();
    // Others write that.
    before.other_operators.clear();
    // What stands there was seen by the operator before this one: not heard yet is no news.
    let uid = log.uid().unwrap_or_default();
    let mut is_early = false;
    for at in seen.here {
        is_early |= !context.may_be_told(&uid, &at.name, at.seen.is_some());
    }
    if is_early && !before.conditions.is_empty() && troubles.refused.is_empty() {
        return Ok(());
    }
    let now = Time(Timestamp::now());
    let mut status = log_status(&seen, &before.conditions, &now);
    remember_incarnations(&mut status, &before);
    let since = context
        .written_at(&uid)
        .map_or(Duration::MAX, |at| at.elapsed());
    if is_log_worth_a_write(&before, &status, since) {
        // Nobody has said anything of it yet, this operator included: what was read may be older than what it wrote.
        let is_first = before.conditions.is_empty() && context.written_at(&uid).is_none();
        write_status(context, log, &status).await?;
        context.set_written(&uid);
        let changed = (&before.conditions[..], &status.conditions[..]);
        context.events.tell(&context.metrics, log, changed).await;
        raised(context, log, &before, &status).await;
        if is_first && !here.is_empty() {
            first::tell(context, log, here).await?;
        }
    }
    Ok(())
}

/// What is seen of a location: its pods from outside, and what they say.
async fn look(
    context: &Context,
    log: &EventLog,
    location: &Location,
) -> Result<LocationHere, Error> {
    let namespace = log.namespace().unwrap_or_default();
    let name = Names::new(&log.name_any(), &location.name).base();
    let api: Api<StatefulSet> = Api::namespaced(context.client.clone(), &namespace);
    let set = api.get_opt(&name).await;
    let set = set.map_err(Error::api(format!(
        "look at StatefulSet {namespace}/{name}"
    )))?;
    let ready = set
        .and_then(|set| set.status)
        .and_then(|status| status.ready_replicas)
        .unwrap_or_default();
    let heard = context
        .sidecars
        .heard(&Context::key_of(log), &location.name);
    let now = Timestamp::now();
    Ok(LocationHere {
        name: location.name.clone(),
        refused: None,
        storage: None,
        certificates: None,
        trust: None,
        offered: offered(context, log, location).await?,
        seen: heard.iter().find_map(|heard| seen::writer(heard, now)),
        pods: (ready, log.spec.replicas),
        last_word: None,
        endpoint: location
            .endpoint
            .as_ref()
            .map(|endpoint| format!("{}:{}", endpoint.host, endpoint.port)),
    })
}

/// How the Service for other locations offers this one.
async fn offered(context: &Context, log: &EventLog, location: &Location) -> Result<Offered, Error> {
    match log.spec.expose {
        Expose::None => return Ok(Offered::Nothing),
        Expose::ClusterIP | Expose::NodePort => return Ok(Offered::Service),
        Expose::TLSRoute if context.options.settings.gateway.is_none() => {
            return Ok(Offered::NoGateway);
        }
        Expose::TLSRoute => return Ok(Offered::Service),
        Expose::LoadBalancer => {}
    }
    let namespace = log.namespace().unwrap_or_default();
    let name = Names::new(&log.name_any(), &location.name).peers();
    let api: Api<Service> = Api::namespaced(context.client.clone(), &namespace);
    let found = api.get_opt(&name).await;
    let found = found.map_err(Error::api(format!("look at Service {namespace}/{name}")))?;
    let balancer = found.and_then(|service| service.status?.load_balancer?.ingress);
    let first = balancer.and_then(|all| all.into_iter().next());
    let address = first.and_then(|ingress| ingress.ip.or(ingress.hostname));
    Ok(address.map_or(Offered::Pending, Offered::At))
}

/// What is wrong with the trust in those that a location has edges with.
fn trust(plan: &Plan, location: &str, troubles: &Troubles) -> Option<(String, String)> {
    if let Some(wrong) = &troubles.trusting.wrong {
        return Some(("TrustBundleInvalid".to_owned(), wrong.clone()));
    }
    let peers: BTreeSet<&str> = plan
        .edges_at(location)
        .map(|edge| {
            if edge.source == location {
                edge.target.as_str()
            } else {
                edge.source.as_str()
            }
        })
        .collect();
    let unknown = &troubles.trusting.unknown;
    let unknown: Vec<&str> = peers
        .into_iter()
        .filter(|peer| unknown.iter().any(|u| u == peer))
        .collect();
    (!unknown.is_empty()).then(|| {
        let message = format!(
            "{location}: nobody vouches for {}; `tidelog trust` exchanges the authorities, or name them in tls.trustBundles",
            unknown.join(", ")
        );
        ("PeerNotTrusted".to_owned(), message)
    })
}

/// Of a location that is not heard the last incarnation stays: it never goes back, and that it has risen is told of also when nobody was heard meanwhile.
fn remember_incarnations(status: &mut EventLogStatus, before: &EventLogStatus) {
    for location in &mut status.locations {
        let same = before.locations.iter().find(|l| l.name == location.name);
        let last = same.and_then(|l| l.incarnation);
        location.incarnation = location.incarnation.filter(|i| *i > 0).or(last);
    }
    if let [one] = &status.locations[..] {
        status.incarnation = one.incarnation;
    }
}

/// An incarnation that has risen is told of by itself: something was lost, or nobody could prove that nothing was.
async fn raised(
    context: &Context,
    log: &EventLog,
    before: &EventLogStatus,
    after: &EventLogStatus,
) {
    for location in &after.locations {
        let same = before.locations.iter().find(|l| l.name == location.name);
        let was = same.and_then(|l| l.incarnation).unwrap_or_default();
        let is = location.incarnation.unwrap_or_default();
        if was > 0 && is > was {
            let note = format!(
                "{}: incarnation {is} follows {was}; `Recovered` says what came back",
                location.name
            );
            let reason = "IncarnationRaised".to_owned();
            let kind = EventType::Warning;
            context
                .events
                .publish(&context.metrics, log, kind, reason, note)
                .await;
        }
    }
}
