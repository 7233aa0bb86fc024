//! What to do about a reason: one table for all of them, whoever gives them. The command line shows it, and `tests/hints.rs` looks into the code of operator and
//! sidecar for reasons that have no row.

/// What a person is told about a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// All is well.
    Well,
    /// It is on its way, or asked for: what it takes, and when to look.
    Wait(&'static str),
    /// A person has to do something.
    Do(&'static str),
}

impl Hint {
    /// For people; empty when all is well.
    pub fn text(self) -> &'static str {
        match self {
            Self::Well => "",
            Self::Wait(text) | Self::Do(text) => text,
        }
    }
}

use Hint::{Do, Wait, Well};

/// Every reason of every condition, by name.
pub const HINTS: &[(&str, Hint)] = &[
    ("Accepted", Well),
    (
        "AddressPending",
        Wait(
            "look at Service LOG-LOCATION-peers: its load balancer has no address yet; `kubectl describe` of it says why",
        ),
    ),
    (
        "ApplicationMismatch",
        Do("the two ends name different applications for one log: correct spec.application.name"),
    ),
    (
        "AwaitingIncarnation",
        Wait(
            "the database is empty, and the operator says within seconds whether the location is new; if it lasts, is the operator running?",
        ),
    ),
    (
        "CatchingUp",
        Wait("it copies what it missed; `tidelog status` shows how the lag falls"),
    ),
    ("CaughtUp", Well),
    (
        "CertificateRejected",
        Do(
            "one side does not accept the other's certificate, the message says which: `tidelog trust --context A --context B --apply`, or mend the bundle of that side",
        ),
    ),
    ("Connected", Well),
    (
        "Connecting",
        Wait("if it lasts, look at the message, the endpoint of the peer and the network between"),
    ),
    ("Cut", Do("cut by a command: `tidelog edge heal`")),
    ("DialsOut", Well),
    (
        "Disconnected",
        Do(
            "some locations have no link to the others: add one, if they are to hold the same events",
        ),
    ),
    ("Done", Well),
    (
        "DuplicateEdge",
        Do("two links carry the same direction between the same locations: take one of them away"),
    ),
    ("DuplicateLink", Do("two links have one name: rename one")),
    (
        "DuplicateLocation",
        Do(
            "a location is there twice, in the list or at an address: list it once, and correct the endpoint that the message names",
        ),
    ),
    (
        "EdgeNotAllowed",
        Do("the peer has no link for this edge: apply the same manifests in its cluster"),
    ),
    (
        "EventTooLarge",
        Do("the next event is beyond a limit of the target: upgrade the target"),
    ),
    (
        "Expired",
        Do(
            "the certificate has ended. Of the operator: is it running? Of cert-manager: look at its Certificate; otherwise replace the Secret",
        ),
    ),
    (
        "Expiring",
        Do(
            "the certificate ends within a week and was not replaced. Of the operator: is it running? Of cert-manager: look at its Certificate; otherwise replace the Secret",
        ),
    ),
    (
        "FilterError",
        Do(
            "the filter failed on an event, the message names it: guard the key with has(...), or choose onError: Drop or Pass",
        ),
    ),
    (
        "FilteredCycle",
        Do(
            "`tidelog plan -f FILES` shows which event would be lost: the same filters on every edge of the component, an exportFilter, or fewer links",
        ),
    ),
    (
        "FilteredEdges",
        Do(
            "beside filtered edges not everything that was lost can come back by itself: the guide on loss and recovery says what to compare",
        ),
    ),
    (
        "Forbidden",
        Do(
            "the API server refuses something to the operator: compare its role with that of the chart, `helm upgrade` puts it right",
        ),
    ),
    (
        "HeadUnknown",
        Wait(
            "the source has not told its head lately, so nobody knows the lag; look at the source if it lasts",
        ),
    ),
    (
        "IdentityReused",
        Do(
            "two histories have one id for different events: a person decides which stands; restore the other location from a copy, or begin it anew under another name",
        ),
    ),
    (
        "IncarnationRaised",
        Do(
            "the location could not prove that it holds all that it acknowledged: the condition Recovered says what came back",
        ),
    ),
    (
        "Insecure",
        Wait(
            "whoever reaches the replication port can read and write the log: take tls.insecure out of the spec, unless this is a trial",
        ),
    ),
    (
        "Invalid",
        Do(
            "the API server refuses an object, the message says why: correct spec.template, or the field that it names",
        ),
    ),
    (
        "InvalidFilter",
        Do(
            "a filter does not parse or names something unknown: `tidelog filter test` shows what it does",
        ),
    ),
    (
        "InvalidTopology",
        Do("the shape contradicts itself, such as a hub among its own spokes: correct it"),
    ),
    (
        "KindNotFound",
        Do(
            "the cluster does not know a kind that this spec needs: install cert-manager for tls.issuerRef, the Gateway API for expose: TLSRoute",
        ),
    ),
    (
        "Lagging",
        Wait(
            "is the source writing more than the network carries? Look at the load of both ends; lagThreshold of the link is the bound",
        ),
    ),
    (
        "LogNotFound",
        Do("apply the EventLog that eventLogRef names, in the same namespace"),
    ),
    ("NeverLost", Well),
    (
        "NoEndpoint",
        Do(
            "nobody can open the connection: give one of the two locations an endpoint, or let the other side dial",
        ),
    ),
    (
        "NoGateway",
        Do("expose: TLSRoute needs a Gateway: set gateway.name of the chart"),
    ),
    (
        "NoProgress",
        Do(
            "it is tried again; if it lasts, compare the logs with `tidelog diff` and `tidelog verify`",
        ),
    ),
    (
        "NotLocal",
        Wait(
            "no active location of it is this cluster's, so nothing runs here; if one should, compare location.name of the chart with spec.locations",
        ),
    ),
    ("NotOffered", Well),
    (
        "NotReady",
        Wait("the source answers and does not serve yet; look at its pods if it lasts"),
    ),
    ("Offered", Well),
    (
        "OtherSpec",
        Do(
            "apply the same EventLog and ReplicationLinks in the cluster of the peer; replication goes on meanwhile",
        ),
    ),
    (
        "Paused",
        Wait(
            "paused on purpose: `tidelog edge resume`, or take paused out of the manifest; both may hold",
        ),
    ),
    (
        "PausedAtSource",
        Wait("paused at the source: resume it there"),
    ),
    (
        "PausedAtTarget",
        Wait("paused at the target: resume it there"),
    ),
    (
        "PeerNotTrusted",
        Do(
            "nobody here vouches for a peer: `tidelog trust --context A --context B --apply`, or name its authority in tls.trustBundles",
        ),
    ),
    (
        "PeerUnreachable",
        Do(
            "nobody answers at the peer's address: look at its cluster, EndpointReady of its EventLog, DNS and firewalls between; both sides go on accepting appends",
        ),
    ),
    (
        "PeersNotHeard",
        Wait(
            "lost events come back from the peers as soon as those are reached: look at the links",
        ),
    ),
    (
        "Pending",
        Wait("it has not been tried yet; look again in some seconds"),
    ),
    ("Progressing", Well),
    ("PulledBack", Well),
    (
        "PullingBack",
        Wait("lost events are coming back from the peers; it ends by itself"),
    ),
    (
        "Refused",
        Do("what the conditions beside it say has to be mended first"),
    ),
    (
        "Rejected",
        Do(
            "the peer breaks the contract between locations, the message names the event: look at the log of the peer and at its version",
        ),
    ),
    ("ResolvedRefs", Well),
    ("SameSpec", Well),
    (
        "SecretInvalid",
        Do(
            "the Secret that the message names does not hold what it should: correct it; one that the operator makes is made again when it is deleted, the authority (-ca) aside: restore that",
        ),
    ),
    (
        "SecretNotFound",
        Do(
            "create the Secret that the message names, or correct the spec; it is looked for again by itself",
        ),
    ),
    ("Serving", Well),
    (
        "SinglePointOfFailure",
        Wait(
            "one location connects some others with the rest: meant, or add a second link around it",
        ),
    ),
    (
        "SourceReset",
        Wait(
            "the source has lost events and the edge goes back to what both share; it goes on by itself. The guide on loss and recovery tells what that means",
        ),
    ),
    (
        "Starting",
        Wait("the sidecar starts; look at the log of its pod if it lasts"),
    ),
    (
        "StatusUnknown",
        Do(
            "no sidecar of the location has answered the operator: look at the pods, `kubectl get pods -l tidelog.dev/log=LOG`, and whether the operator runs",
        ),
    ),
    (
        "Stopping",
        Wait("the sidecar stops; the next one takes over"),
    ),
    (
        "StorageUnavailable",
        Do(
            "the database does not answer or its disk is full: look at it; nothing is lost, and it goes on when the database is back",
        ),
    ),
    ("Streaming", Well),
    (
        "TrustBundleInvalid",
        Do(
            "a bundle of tls.trustBundles is not there or holds no authority, the message names it; the others are in force",
        ),
    ),
    (
        "UnguardedKey",
        Do("a filter reads a key that may be absent: guard it with has(event.metadata.KEY)"),
    ),
    (
        "Unknown",
        Wait(
            "the sidecar gives a reason that this operator cannot write: are both of one version?",
        ),
    ),
    (
        "UnknownLocation",
        Do(
            "the link names a location that the log does not have: add it to spec.locations, or correct the name",
        ),
    ),
    (
        "Unreadable",
        Do(
            "newer files of the certificate are not in force, the message says why: correct the Secret; what was before still counts",
        ),
    ),
    (
        "UnusedFilter",
        Do("a filter is on no edge of its link: correct its sources and targets, or take it away"),
    ),
    ("Valid", Well),
    (
        "VectorFull",
        Do(
            "too many locations and incarnations for one log: begin a new log, or ask what invents them; `tidelog status` warns at half the limit",
        ),
    ),
    (
        "VersionIncompatible",
        Do(
            "the other side runs a newer application or protocol: raise spec.application.version, or upgrade the older of the two",
        ),
    ),
];

/// What to do about a reason; `None` for one that another version of Tidelog gives.
pub fn hint(reason: &str) -> Option<Hint> {
    let at = HINTS.binary_search_by_key(&reason, |(name, _)| name);
    at.ok().map(|at| HINTS[at].1)
}
