//! Conditions of an EventLog, as one operator sees it: the locations that its cluster realises.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidelog_api::{
    Condition, ConditionStatus, EVENT_LOG_CONDITIONS, EventLogStatus, LocationStatus, VectorEntry,
    WriterStatus,
};
use tidelog_topology::Finding;

use crate::fact::{Fact, with_history};
use crate::link::sentence_of;
use crate::reasons::is_passing;

/// What a location is doing, by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// It proves what is there.
    Starting,
    /// Its database is empty, and nobody has said whether it is new.
    Awaiting,
    /// It serves.
    Serving,
    /// Its database does not answer, or is full.
    StorageUnavailable,
    /// It is about to end.
    Stopping,
}

/// Whether lost events are back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// They are, or nothing was ever lost.
    pub recovered: bool,
    /// A word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// A certificate that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Seconds that it still counts, negative when it does not any more.
    pub seconds_left: i64,
    /// It should have been replaced by now, by its own length.
    pub is_late: bool,
    /// Why newer files are not in force; empty when they are.
    pub error: String,
}

/// What the writer of a location says.
#[derive(Debug, Clone, PartialEq)]
pub struct WriterSeen {
    /// The pod that it is in, and since when it writes.
    pub writer: Option<WriterStatus>,
    /// What it is doing.
    pub doing: Doing,
    /// Why, for people.
    pub message: String,
    /// Highest local sequence.
    pub head: i64,
    /// The incarnation in force; 0 while there is none.
    pub incarnation: i64,
    /// What is stored.
    pub version_vector: Vec<VectorEntry>,
    /// Whether lost events are back.
    pub recovery: Recovery,
    /// Its certificate; absent without TLS.
    pub certificate: Option<Certificate>,
    /// Peers with another spec.
    pub disagreeing: Vec<String>,
}

/// How a location is offered to the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offered {
    /// Not at all, or by somebody else.
    Nothing,
    /// By a Service, at once.
    Service,
    /// By a load balancer that has no address yet.
    Pending,
    /// By a load balancer at this address.
    At(String),
    /// By a route, and the operator knows no Gateway.
    NoGateway,
}

/// What an operator sees of one location here.
#[derive(Debug, Clone, PartialEq)]
pub struct LocationHere {
    /// Its name.
    pub name: String,
    /// What could not be done for it, if something could not: a word and a sentence.
    pub refused: Option<(String, String)>,
    /// What is wrong with what leads to its database.
    pub storage: Option<(String, String)>,
    /// What is wrong with its own certificates.
    pub certificates: Option<(String, String)>,
    /// What is wrong with the trust in its peers.
    pub trust: Option<(String, String)>,
    /// How it is offered to others.
    pub offered: Offered,
    /// What its writer says, if it was heard within three intervals.
    pub seen: Option<WriterSeen>,
    /// Pods that are ready, and pods that are wanted.
    pub pods: (i32, i32),
    /// What a sidecar that has ended and is not ready again said last: a word, which may be empty, and a sentence.
    pub last_word: Option<(String, String)>,
    /// Where others reach it, if anywhere.
    pub endpoint: Option<String>,
}

impl LocationHere {
    /// What could not be done first.
    fn undone(&self) -> Option<&(String, String)> {
        let any = self.storage.as_ref().or(self.certificates.as_ref());
        any.or(self.refused.as_ref())
    }

    /// What a person has to mend first.
    fn wrong(&self) -> Option<&(String, String)> {
        let all = [&self.storage, &self.certificates, &self.refused];
        let mut all = all.into_iter().flatten();
        all.find(|(reason, _)| !is_passing(reason))
    }
}

/// Who attends to a log in this cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attending {
    /// The operator itself, by its Lease, if it has one.
    pub operator: Option<String>,
    /// Others that would do so too, and stand by.
    pub others: Vec<String>,
}

impl Attending {
    /// What a person has to mend: one log in one cluster is for one operator.
    fn wrong(&self) -> Option<(String, String)> {
        if self.others.is_empty() {
            return None;
        }
        let this = self.operator.as_deref().unwrap_or("without a Lease");
        let message = format!(
            "operator {this} attends to this log, and in the same cluster {} would too and stands by: uninstall all but one release, or give each a namespace of its own (watchNamespace)",
            self.others.join(", ")
        );
        Some(("DuplicateLocation".to_owned(), message))
    }
}

/// What an operator sees of a log.
#[derive(Debug, Clone)]
pub struct LogSeen<'a> {
    /// Who attends to it.
    pub attending: &'a Attending,
    /// Generation of the spec that was looked at.
    pub generation: Option<i64>,
    /// The location of this operator; `*` for all.
    pub operator: &'a str,
    /// Hash of what all locations must agree on.
    pub spec_hash: &'a str,
    /// The log's locations that run here.
    pub here: &'a [LocationHere],
    /// Why the plan of all its links is refused, if it is: nothing of it comes into force then.
    pub rejected: Option<&'a Finding>,
    /// No TLS, by the resource's own word.
    pub insecure: bool,
}

/// The status to be written.
pub fn log_status(seen: &LogSeen<'_>, before: &[Condition], now: &Time) -> EventLogStatus {
    // With several locations here there is no one writer, and no one vector: they are told where one is all there is.
    let single = match seen.here {
        [one] => one.seen.as_ref(),
        _ => None,
    };
    EventLogStatus {
        observed_generation: seen.generation,
        location: Some(seen.operator.to_owned()),
        operator: seen.attending.operator.clone(),
        // Theirs to write, and taken off by the controller.
        other_operators: Vec::new(),
        head: seen
            .here
            .iter()
            .filter_map(|l| Some(l.seen.as_ref()?.head))
            .max(),
        version_vector: single
            .map(|s| bounded(&s.version_vector))
            .unwrap_or_default(),
        incarnation: single.map(|s| s.incarnation),
        writer: single.and_then(|s| s.writer.clone()),
        spec_hash: Some(seen.spec_hash.to_owned()).filter(|hash| !hash.is_empty()),
        locations: seen.here.iter().map(location).collect(),
        conditions: with_history(facts(seen), before, seen.generation, now),
    }
}

/// The entries that a status has room for.
fn bounded(vector: &[VectorEntry]) -> Vec<VectorEntry> {
    vector.iter().take(256).cloned().collect()
}

fn location(here: &LocationHere) -> LocationStatus {
    let seen = here.seen.as_ref();
    LocationStatus {
        name: here.name.clone(),
        ready: seen.is_some_and(|s| s.doing == Doing::Serving),
        head: seen.map(|s| s.head),
        incarnation: seen.map(|s| s.incarnation),
    }
}

/// All conditions, in the order in which they are written.
fn facts(seen: &LogSeen<'_>) -> Vec<Fact> {
    if seen.here.is_empty() {
        let message = match seen.operator {
            "*" => "the log has no active location".to_owned(),
            name => format!(
                "the log has no active location {name}; nothing is done for it in this cluster"
            ),
        };
        let elsewhere = |type_| Fact::yes(type_, "NotLocal", message.clone());
        let states = ["Reconciling", "Stalled"];
        let summaries = EVENT_LOG_CONDITIONS.iter().filter(|t| !states.contains(t));
        let mut facts: Vec<Fact> = summaries.map(|type_| elsewhere(type_)).collect();
        facts.push(Fact::no("Reconciling", "NotLocal", message.clone()));
        facts.push(Fact::no("Stalled", "NotLocal", message));
        return facts;
    }
    let each = |of: fn(&LocationHere, &LogSeen<'_>) -> Fact| {
        let facts = seen.here.iter().map(|here| of(here, seen));
        worst(facts)
    };
    let storage = each(storage);
    let available = each(available);
    let endpoint = each(endpoint);
    let certificates = each(certificates);
    let agree = each(agree);
    let recovered = each(recovered);
    // What an application needs of its log: peers and their certificates are no part of it.
    let ready = [&available, &storage]
        .into_iter()
        .find(|fact| fact.status != ConditionStatus::True)
        .map_or_else(
            || Fact::yes("Ready", "Serving", "appends are accepted"),
            |fact| Fact {
                type_: "Ready",
                ..fact.clone()
            },
        );
    let refused = seen.here.iter().find_map(LocationHere::wrong).cloned();
    let refused = refused.or_else(|| seen.attending.wrong());
    let rejected = || {
        let why = sentence_of(seen.rejected?);
        let message = format!("nothing new comes into force, and what runs goes on: {why}");
        Some(("PlanRejected".to_owned(), message))
    };
    let refused = refused.or_else(rejected);
    let stalled = match &refused {
        Some((reason, message)) => Fact::yes("Stalled", reason, message.clone()),
        None => Fact::no("Stalled", "Progressing", "nothing needs a person"),
    };
    let reconciling = match &refused {
        Some(_) => Fact::no("Reconciling", "Refused", "waiting for a person"),
        None if ready.status == ConditionStatus::True => {
            Fact::no("Reconciling", "Done", "everything is as it was asked for")
        }
        None => Fact::yes("Reconciling", &ready.reason.clone(), ready.message.clone()),
    };
    vec![
        ready,
        storage,
        available,
        endpoint,
        certificates,
        agree,
        recovered,
        reconciling,
        stalled,
    ]
}

/// One fact for all locations: that of the one that is worst off.
fn worst(facts: impl Iterator<Item = Fact>) -> Fact {
    let badness = |fact: &Fact| match fact.status {
        ConditionStatus::True => 0,
        ConditionStatus::Unknown => 1,
        ConditionStatus::False => 2,
    };
    let mut worst: Option<Fact> = None;
    for fact in facts {
        if worst.as_ref().is_none_or(|w| badness(&fact) > badness(w)) {
            worst = Some(fact);
        }
    }
    worst.unwrap_or_else(|| Fact::unknown("Ready", "NotLocal", ""))
}

/// What is said of a location whose writer nobody has heard.
fn unheard(type_: &'static str, here: &LocationHere) -> Fact {
    if let Some((reason, message)) = here.undone() {
        return Fact::unknown(type_, reason, message.clone());
    }
    let (ready, wanted) = here.pods;
    let mut message = format!(
        "{}: no sidecar has answered; {ready} of {wanted} pods are ready",
        here.name
    );
    if let Some((_, said)) = &here.last_word {
        message = format!("{message}; one has ended, and is started again: {said}");
    }
    Fact::unknown(type_, "StatusUnknown", message)
}

fn storage(here: &LocationHere, _: &LogSeen<'_>) -> Fact {
    if let Some((reason, message)) = &here.storage {
        return Fact::no("StorageReady", reason, message.clone());
    }
    let Some(seen) = &here.seen else {
        return match &here.last_word {
            Some((word, said)) if word == "StorageUnavailable" => {
                Fact::no("StorageReady", word, said.clone())
            }
            _ => unheard("StorageReady", here),
        };
    };
    match seen.doing {
        Doing::StorageUnavailable => {
            let message = format!("{}: {}", here.name, seen.message);
            Fact::no("StorageReady", "StorageUnavailable", message)
        }
        _ => Fact::yes("StorageReady", "Connected", "the database answers"),
    }
}

fn available(here: &LocationHere, _: &LogSeen<'_>) -> Fact {
    let Some(seen) = &here.seen else {
        return unheard("Available", here);
    };
    let message = |what: &str| match seen.message.as_str() {
        "" => format!("{} {what}", here.name),
        why => format!("{} {what}: {why}", here.name),
    };
    let no = |reason, what| Fact::no("Available", reason, message(what));
    match seen.doing {
        Doing::Serving => Fact::yes("Available", "Serving", "the writer accepts appends"),
        Doing::Starting => no("Starting", "starts"),
        Doing::Awaiting => no("AwaitingIncarnation", "waits to be told whether it is new"),
        Doing::StorageUnavailable => no("StorageUnavailable", "refuses appends"),
        Doing::Stopping => no("Stopping", "stops"),
    }
}

fn endpoint(here: &LocationHere, _: &LogSeen<'_>) -> Fact {
    let name = &here.name;
    match (&here.offered, &here.endpoint) {
        (_, None) => Fact::yes(
            "EndpointReady",
            "DialsOut",
            format!("{name} has no endpoint: it dials the others"),
        ),
        (Offered::Pending, Some(endpoint)) => Fact::no(
            "EndpointReady",
            "AddressPending",
            format!("{name}: the load balancer behind {endpoint} has no address yet"),
        ),
        (Offered::NoGateway, Some(endpoint)) => Fact::no(
            "EndpointReady",
            "NoGateway",
            format!("{name}: {endpoint} is to be a route, and the operator was given no Gateway"),
        ),
        (Offered::At(address), Some(endpoint)) => Fact::yes(
            "EndpointReady",
            "Offered",
            format!("others reach it at {endpoint}; the load balancer has the address {address}"),
        ),
        (Offered::Service, Some(endpoint)) => Fact::yes(
            "EndpointReady",
            "Offered",
            format!("others reach it at {endpoint}, by a Service"),
        ),
        (Offered::Nothing, Some(endpoint)) => Fact::yes(
            "EndpointReady",
            "NotOffered",
            format!("others reach it at {endpoint}, which somebody else leads here"),
        ),
    }
}

fn certificates(here: &LocationHere, log: &LogSeen<'_>) -> Fact {
    if log.insecure {
        let message = "insecure: whoever reaches the replication port can read and write the log";
        return Fact::no("CertificatesReady", "Insecure", message);
    }
    let wrong = here.certificates.as_ref().or(here.trust.as_ref());
    if let Some((reason, message)) = wrong {
        return Fact::no("CertificatesReady", reason, message.clone());
    }
    let Some(seen) = &here.seen else {
        return unheard("CertificatesReady", here);
    };
    match &seen.certificate {
        None => Fact::unknown(
            "CertificatesReady",
            "StatusUnknown",
            format!("{} says nothing of its certificate", here.name),
        ),
        Some(certificate) if certificate.seconds_left <= 0 => Fact::no(
            "CertificatesReady",
            "Expired",
            format!("the certificate of {} has expired", here.name),
        ),
        Some(certificate) if !certificate.error.is_empty() => Fact::no(
            "CertificatesReady",
            "Unreadable",
            format!("{}: {}", here.name, certificate.error),
        ),
        Some(certificate) if certificate.is_late => {
            let left = soon(certificate.seconds_left);
            Fact::no(
                "CertificatesReady",
                "Expiring",
                format!("the certificate of {} ends in {left}", here.name),
            )
        }
        Some(_) => Fact::yes("CertificatesReady", "Valid", "certificates are in force"),
    }
}

/// How long something lasts yet, rounded down to the largest unit of which there are two.
fn soon(seconds: i64) -> String {
    let units = [(86_400, "days"), (3_600, "hours"), (60, "minutes")];
    let unit = units.iter().find(|(unit, _)| seconds >= 2 * unit);
    unit.map_or_else(
        || format!("{seconds} seconds"),
        |(unit, name)| format!("{} {name}", seconds / unit),
    )
}

fn agree(here: &LocationHere, _: &LogSeen<'_>) -> Fact {
    let Some(seen) = &here.seen else {
        return unheard("PeersAgree", here);
    };
    if seen.disagreeing.is_empty() {
        return Fact::yes("PeersAgree", "SameSpec", "no peer has told of another spec");
    }
    let peers = seen.disagreeing.join(", ");
    Fact::no(
        "PeersAgree",
        "OtherSpec",
        format!("{peers} run by another spec than {}", here.name),
    )
}

fn recovered(here: &LocationHere, _: &LogSeen<'_>) -> Fact {
    let Some(seen) = &here.seen else {
        return unheard("Recovered", here);
    };
    let Recovery {
        recovered,
        reason,
        message,
    } = &seen.recovery;
    if *recovered {
        let nothing = "nothing that was acknowledged here is missing".to_owned();
        let message = Some(message.clone()).filter(|said| !said.is_empty());
        return Fact::yes("Recovered", reason, message.unwrap_or(nothing));
    }
    Fact::no("Recovered", reason, format!("{}: {message}", here.name))
}
