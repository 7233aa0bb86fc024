//! The steps for an EventLog.

mod attend;
mod first;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use serde_json::Value;
use tidelog_api::{EventLog, Location};
use tidelog_build::{
    CONFIG_KEY, Names, Place, Settings, Way, in_pod, objects, planned_endpoint, sidecar_config, way,
};
use tidelog_model::LocationName;
use tidelog_status::DRIFT_EVERY;
use tidelog_topology::{Plan, Planner};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::apply::{apply, exists};
use crate::attending::{self, Turn};
use crate::certificates::{self, Trusting};
use crate::context::{Context, LISTEN_FIRST, NOT_YET};
use crate::database;
use crate::error::Error;
use crate::prune::prune;
use crate::sidecars::Approach;

/// Tells of each log that is deleted what stays of it.
pub(crate) async fn part(mut deleted: UnboundedReceiver<EventLog>, context: Arc<Context>) {
    while let Some(log) = deleted.recv().await {
        // Only who has realised something of it.
        let here = context.options.location.of(&log);
        if context.attends_to(&log) == Some(true) && !here.is_empty() {
            first::tell_deleted(&context, &log).await;
        }
    }
}

/// Visits a log.
pub(crate) async fn reconcile(log: Arc<EventLog>, context: Arc<Context>) -> Result<Action, Error> {
    let begun = Instant::now();
    let visited = visit(log, Arc::clone(&context)).await;
    let metrics = &context.metrics;
    metrics.visited("EventLog", begun.elapsed(), visited.is_ok());
    visited
}

async fn visit(log: Arc<EventLog>, context: Arc<Context>) -> Result<Action, Error> {
    let uid = log.uid().ok_or(Error::Incomplete("a uid"))?;
    // 1. What is being deleted goes by itself: everything that is to go has an owner. And before all links are known nothing is planned without them.
    if log.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    if !context.knows_everything() {
        return Ok(Action::requeue(NOT_YET));
    }
    // 2. One operator of a cluster attends to it; the others touch nothing.
    let (key, here) = (Context::key_of(&log), context.options.location.of(&log));
    let turn = attending::turn(&context, &log, !here.is_empty()).await?;
    let attending = match turn {
        Turn::Mine(attending) => attending,
        Turn::StandBy => {
            if context.stand_by(&uid) {
                tracing::warn!(
                    log = log.name_any(),
                    "another operator of this cluster attends to this log; standing by"
                );
            }
            context.sidecars.keep_only(&key, &[]);
            return Ok(Action::requeue(attending::LOOK_EVERY));
        }
        Turn::Unclear => return Ok(Action::requeue(NOT_YET)),
    };
    let is_told = { log.status.as_ref() }.is_some_and(|status| !status.conditions.is_empty());
    context.attend(&uid, is_told);
    // 3. The plan, by all links of the log.
    let manifest = context.manifest(&log);
    let plan = manifest.plan(Planner::new());
    // 4. What only this cluster knows: how each location reaches its database, who it is, and who vouches for the others. What cannot be done for one location
    //    is told of it, and the rest is done all the same.
    let mut troubles = Troubles::default();
    let mut certified = BTreeMap::new();
    for location in &here {
        if let Err(error) = database::provide(&context, &log, location).await {
            troubles.add(Trouble::Storage, &location.name, error);
        }
        match certificates::provide(&context, &log, location).await {
            Ok(Some(known)) => {
                certified.insert(location.name.clone(), known);
            }
            Ok(None) => {}
            Err(error) => {
                troubles.add(Trouble::Certificates, &location.name, error);
                let left = certificates::left(&context, &log, location).await;
                certified.extend(left.map(|known| (location.name.clone(), known)));
            }
        }
    }
    if let Some(first) = certified.keys().next().cloned() {
        match certificates::exchange(&context, &log, &certified).await {
            Ok(trusting) => troubles.trusting = trusting,
            Err(error) => troubles.add(Trouble::Certificates, &first, error),
        }
    }
    // 5. What the locations of this cluster need is made so.
    let mut wanted = Vec::new();
    for location in &here {
        let objects = needed(&log, location, &plan, &context.options.settings)?;
        for object in &objects {
            match make(&context, &log, &plan, object).await {
                Ok(true) => tracing::info!(object = crate::apply::key(object), "applied"),
                Ok(false) => {}
                // Without it there is no Secret: that one is missing is no news.
                Err(error) if object["kind"] == "Certificate" => {
                    troubles.replace(Trouble::Certificates, &location.name, error);
                }
                Err(error) => troubles.add(Trouble::Objects, &location.name, error),
            }
        }
        wanted.extend(objects);
    }
    let mut kept = names_of(&wanted);
    for location in certified.keys() {
        let names = Names::new(&log.name_any(), location);
        kept.extend([names.trust(), names.vouching()].map(|name| ("ConfigMap".to_owned(), name)));
    }
    // 6. What an earlier spec needed goes.
    let generation = log.metadata.generation.unwrap_or_default();
    // Only after everything that is wanted is there.
    if troubles.last.is_none() && context.is_to_be_pruned(&uid, generation) {
        match prune(&context, &log, &kept).await {
            Ok(true) => context.set_pruned(&uid, generation),
            Ok(false) => {}
            Err(error) => troubles.last = Some(error),
        }
    }
    // 7. Its pods are heard; what they have to record is recorded, and what is in force for them is told.
    let names: Vec<&str> = here.iter().map(|location| location.name.as_str()).collect();
    context.sidecars.keep_only(&key, &names);
    // All that has to be recorded first: somebody waits for it.
    for location in &here {
        let known = certified.get(&location.name).map(|known| &known.admin);
        let approach = match known {
            Some(tls) => Approach::Secured(tls.clone()),
            None if way(&log) == Way::Insecure => Approach::Plain,
            None => Approach::NotYet,
        };
        match attend::attend(&context, &log, &key, location, approach).await {
            Ok(last_word) => {
                let word = last_word.map(|word| (location.name.clone(), word));
                troubles.last_words.extend(word);
            }
            Err(error) => troubles.add(Trouble::Objects, &location.name, error),
        }
    }
    for location in here.iter().filter(|_| plan.is_accepted()) {
        let heard = context.sidecars.heard(&key, &location.name);
        attend::configure(&context, &log, &location.name, &wanted, &heard).await;
    }
    // 8. What is there is told.
    report::report(&context, &log, &plan, (&here, &attending), &troubles).await?;
    if let Some(error) = troubles.last {
        return Err(error);
    }
    context.succeeded(&uid);
    // Numbers that drift are told now and then.
    let soon = if !attending.others.is_empty() {
        attending::LOOK_EVERY
    } else if here.is_empty() {
        context.options.resync
    } else if context.is_listening(&uid) {
        LISTEN_FIRST
    } else {
        DRIFT_EVERY
    };
    Ok(Action::requeue(soon))
}

/// What something could not be done for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    Storage,
    Certificates,
    Objects,
}

/// What could not be done.
#[derive(Default)]
struct Troubles {
    /// What a person has to mend, by location: a word and a sentence.
    refused: BTreeMap<(String, Trouble), (String, String)>,
    /// What sidecars that are not ready said when they ended, by location.
    last_words: BTreeMap<String, (String, String)>,
    /// Who vouches for whom.
    trusting: Trusting,
    /// Why the visit is to be made again.
    last: Option<Error>,
}

impl Troubles {
    fn add(&mut self, what: Trouble, location: &str, error: Error) {
        if let Some(reason) = error.refusal() {
            let refused = (reason.to_owned(), error.to_string());
            let key = (location.to_owned(), what);
            self.refused.entry(key).or_insert(refused);
        }
        self.last = Some(error);
    }

    /// What is behind a trouble that was told of before.
    fn replace(&mut self, what: Trouble, location: &str, error: Error) {
        if error.refusal().is_some() {
            self.refused.remove(&(location.to_owned(), what));
        }
        self.add(what, location, error);
    }

    fn of(&self, what: Trouble, location: &str) -> Option<(String, String)> {
        self.refused.get(&(location.to_owned(), what)).cloned()
    }
}

/// Makes an object what it should be. Where the links contradict each other the configuration for the next start stays what it is.
async fn make(
    context: &Context,
    log: &EventLog,
    plan: &Plan,
    object: &Value,
) -> Result<bool, Error> {
    let is_configuration = object["data"][CONFIG_KEY].is_string();
    if is_configuration && !plan.is_accepted() && exists(context, log, object).await? {
        return Ok(false);
    }
    apply(context, log, object).await
}

/// The objects of one location. One whose links contradict each other from the beginning begins without edges.
fn needed(
    log: &EventLog,
    location: &Location,
    plan: &Plan,
    settings: &Settings,
) -> Result<Vec<Value>, Error> {
    let mut plan = plan.clone();
    if !plan.is_accepted() {
        plan.edges.clear();
    }
    let Ok(name) = LocationName::new(&location.name) else {
        return Err(Error::Incomplete("a valid name of its location"));
    };
    let endpoint_of = |peer: &LocationName| planned_endpoint(&plan, peer);
    let config = sidecar_config(&plan, &name, in_pod(log), endpoint_of)?;
    let place = Place {
        log,
        location,
        config: &config,
    };
    Ok(objects(&place, settings))
}

fn names_of(objects: &[Value]) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    objects
        .iter()
        .map(|object| (text(&object["kind"]), text(&object["metadata"]["name"])))
        .collect()
}
