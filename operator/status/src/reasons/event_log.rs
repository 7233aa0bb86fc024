//! Reasons of an EventLog.

use tidelog_api::ConditionStatus::{self, False, True, Unknown};

use super::{ReasonRow, TypeRow};

/// What is not known while no sidecar has been heard.
const UNHEARD: &[(&str, ConditionStatus)] = &[
    ("Ready", Unknown),
    ("StorageReady", Unknown),
    ("Available", Unknown),
    ("CertificatesReady", Unknown),
    ("PeersAgree", Unknown),
    ("Recovered", Unknown),
    ("Reconciling", True),
];

/// No appends, for a while.
const NOT_NOW: &[(&str, ConditionStatus)] = &[
    ("Available", False),
    ("Ready", False),
    ("Reconciling", True),
];

/// Something about the database has to be mended.
const STORAGE: &[(&str, ConditionStatus)] = &[
    ("StorageReady", False),
    ("Stalled", True),
    ("Ready", False),
    ("Ready", Unknown),
    ("Available", Unknown),
    ("CertificatesReady", Unknown),
    ("PeersAgree", Unknown),
    ("Recovered", Unknown),
];

/// Something about the certificates has to be mended.
const CERTIFICATES: &[(&str, ConditionStatus)] = &[
    ("CertificatesReady", False),
    ("Stalled", True),
    ("Ready", Unknown),
    ("StorageReady", Unknown),
    ("Available", Unknown),
    ("PeersAgree", Unknown),
    ("Recovered", Unknown),
];

/// Something has to be mended, wherever it is.
const ANYWHERE: &[(&str, ConditionStatus)] = &[
    ("Stalled", True),
    ("StorageReady", False),
    ("CertificatesReady", False),
    ("Ready", False),
    ("Ready", Unknown),
    ("StorageReady", Unknown),
    ("Available", Unknown),
    ("CertificatesReady", Unknown),
    ("PeersAgree", Unknown),
    ("Recovered", Unknown),
];

const fn row(
    reason: &'static str,
    conditions: &'static [(&'static str, ConditionStatus)],
    meaning: &'static str,
    hint: &'static str,
) -> ReasonRow {
    ReasonRow {
        reason,
        conditions,
        meaning,
        hint,
    }
}

/// Reasons of an EventLog: what is well, what takes a while, what needs a person, by its cause.
pub const EVENT_LOG_REASONS: &[ReasonRow] = &[
    row(
        "Serving",
        &[("Ready", True), ("Available", True)],
        "The writer accepts appends.",
        "Nothing.",
    ),
    row(
        "NotLocal",
        &[
            ("Ready", True),
            ("StorageReady", True),
            ("Available", True),
            ("EndpointReady", True),
            ("CertificatesReady", True),
            ("PeersAgree", True),
            ("Recovered", True),
            ("Reconciling", False),
            ("Stalled", False),
        ],
        "The log has no active location that this operator realises; nothing of it runs in this cluster.",
        "Nothing, unless it should run here: compare `location.name` of the chart with `spec.locations`.",
    ),
    row(
        "StatusUnknown",
        UNHEARD,
        "No sidecar of the location has answered within three seconds.",
        "Look at its pods (`kubectl get pods -l tidelog.dev/log=NAME`), and whether the operator reaches their port 7444.",
    ),
    row(
        "Starting",
        NOT_NOW,
        "The sidecar proves what its database holds.",
        "Nothing; if it lasts, look at the message and at the log of the pod.",
    ),
    row(
        "AwaitingIncarnation",
        NOT_NOW,
        "The database is empty, and the sidecar waits to be told whether the location is new.",
        "Nothing: it is told within seconds while the operator runs, and begins a new incarnation after 30 s without it.",
    ),
    row(
        "Stopping",
        NOT_NOW,
        "The writer is about to end.",
        "Nothing; the pod comes back, or a standby takes over.",
    ),
    row(
        "StorageUnavailable",
        &[
            ("StorageReady", False),
            ("Available", False),
            ("Ready", False),
            ("Reconciling", True),
        ],
        "The database does not answer, refuses the login, or its disk is full. Appends are refused and nothing is lost.",
        "Look at the database, and at user and password in the Secret when the message says that the login is refused; it goes on by itself. A sidecar that cannot begin at all ends and is started again, after pauses that grow to 5 min: deleting its pod saves the rest of one.",
    ),
    row(
        "Connected",
        &[("StorageReady", True)],
        "The database answers.",
        "Nothing.",
    ),
    row(
        "SecretNotFound",
        STORAGE,
        "The Secret with the URI of the database does not exist.",
        "Create the Secret that the message names, or correct the manifest; it is looked for again every 30 s.",
    ),
    row(
        "SecretNotFound",
        CERTIFICATES,
        "A Secret with a certificate and its key does not exist: `tls.secretName`, the one of cert-manager, or `NAME-LOCATION-admin` beside either.",
        "Create the Secret that the message names, or correct the manifest; it is looked for again every 30 s.",
    ),
    row(
        "SecretInvalid",
        STORAGE,
        "The key holds no URI of the form `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.",
        "Correct the Secret that the message names; it is read again every 30 s.",
    ),
    row(
        "SecretInvalid",
        CERTIFICATES,
        "A Secret holds no certificate with its key (`tls.crt`, `tls.key`), no authority (`ca.crt`), or another identity than it should.",
        "Correct the Secret that the message names; it is read again every 30 s.",
    ),
    row(
        "Issuing",
        &[
            ("CertificatesReady", False),
            ("Ready", Unknown),
            ("StorageReady", Unknown),
            ("Available", Unknown),
            ("PeersAgree", Unknown),
            ("Recovered", Unknown),
            ("Reconciling", True),
        ],
        "cert-manager has not issued a certificate of the location yet.",
        "Nothing; if it lasts, look at the Certificate that the message names, at its issuer, and whether cert-manager runs.",
    ),
    row(
        "IssuingFailed",
        CERTIFICATES,
        "cert-manager could not issue a certificate of the location; it tries again after an hour and later.",
        "The message is that of cert-manager: correct the issuer, and have it try at once with `cmctl renew`.",
    ),
    row(
        "PasswordLost",
        STORAGE,
        "The Secret with the password of the managed database is gone, and its volume is there: it knows that password.",
        "Restore Secret `NAME-LOCATION-pg`; or set another password in the database (`ALTER ROLE tidelog PASSWORD`, with `psql` in its pod) and make the Secret with the keys `password` and `uri`.",
    ),
    row(
        "AuthorityLost",
        CERTIFICATES,
        "The Secret with the authority of the location is gone, and peers trust that authority. A new one would be a stranger to them.",
        "Restore Secret `NAME-LOCATION-ca`; or delete ConfigMap `NAME-LOCATION-authority`, so that a new one is made, and exchange trust again (`tidelog trust`).",
    ),
    row(
        "NameTaken",
        ANYWHERE,
        "An object of a name that the location needs exists, and belongs to something else. Nothing is written over it.",
        "Rename or delete that object; when it is meant for this location, label it with `tidelog.dev/log=NAME` and `tidelog.dev/location=LOCATION`.",
    ),
    row(
        "DuplicateLocation",
        &[("Stalled", True)],
        "Two operators of this cluster would attend to the log. The one in `status.operator` does, those in `status.otherOperators` stand by and write nothing else.",
        "Uninstall all but one release, or give each a namespace of its own (`watchNamespace`); for several locations in one cluster there is `location.name='*'`. Who is gone is taken off the list, or followed, within two minutes; where the operator may not read the Lease of the other one, say so: `kubectl patch evlog NAME --subresource=status --type=merge --patch '{\"status\":{\"operator\":null,\"otherOperators\":null}}'`.",
    ),
    row(
        "PlanRejected",
        &[("Stalled", True)],
        "The plan of all links of the log cannot run. Its locations go on with what was in force before, and nothing new comes into force: no link, no filter, no location.",
        "Mend or delete the link that the message names, or the locations of the log; `tidelog plan -f PATH` shows the same offline.",
    ),
    row(
        "Forbidden",
        ANYWHERE,
        "The API server does not let the operator do what the message says.",
        "Compare the operator's ClusterRole with that of the chart; is the namespace among `watchNamespace`?",
    ),
    row(
        "Invalid",
        ANYWHERE,
        "The API server refuses an object, for instance because of `spec.template`.",
        "The message is that of the API server: correct the field that it names.",
    ),
    row(
        "KindNotFound",
        ANYWHERE,
        "The cluster does not know a kind that the log asks for: a Certificate of cert-manager, or a TLSRoute of the Gateway API, version `v1`.",
        "Install the definitions of that kind, or change `tls.issuerRef` or `expose`.",
    ),
    row(
        "Offered",
        &[("EndpointReady", True)],
        "A Service, or the address of a load balancer, leads here. Whether others reach it is told by their links.",
        "Nothing.",
    ),
    row(
        "NotOffered",
        &[("EndpointReady", True)],
        "`expose: None`: somebody else leads the endpoint here.",
        "Nothing.",
    ),
    row(
        "DialsOut",
        &[("EndpointReady", True)],
        "The location has no endpoint: it dials the others.",
        "Nothing.",
    ),
    row(
        "AddressPending",
        &[("EndpointReady", False)],
        "The load balancer has no address yet.",
        "Look at Service `NAME-LOCATION-peers`; does anything in this cluster serve the type LoadBalancer?",
    ),
    row(
        "NoGateway",
        &[("EndpointReady", False)],
        "`expose: TLSRoute`, and the operator knows no Gateway.",
        "Set `gateway.name` and `gateway.namespace` of the chart.",
    ),
    row(
        "Valid",
        &[("CertificatesReady", True)],
        "Certificates are in force, and somebody vouches for each peer.",
        "Nothing.",
    ),
    row(
        "Insecure",
        &[("CertificatesReady", False)],
        "`tls.insecure: true`: whoever reaches the replication port can read and write the log.",
        "Take `insecure` out of the manifest; for a trial within one network it may stay.",
    ),
    row(
        "PeerNotTrusted",
        &[("CertificatesReady", False)],
        "Nobody here vouches for a peer that the location has an edge with.",
        "`tidelog trust --context A --context B --apply`, or name a bundle in `tls.trustBundles`.",
    ),
    row(
        "TrustBundleInvalid",
        &[("CertificatesReady", False)],
        "A bundle of `tls.trustBundles`, or an authority that was put here, is not there or holds no authority. The others are in force.",
        "Correct the ConfigMap or Secret that the message names.",
    ),
    row(
        "Expiring",
        &[("CertificatesReady", False)],
        "The certificate should have been replaced by now: less than seven days are left, or less than a sixth of its life where that is less.",
        "Of the operator: does it run? Of cert-manager: look at Certificate `NAME-LOCATION-tls`. Of a Secret: replace it.",
    ),
    row(
        "Expired",
        &[("CertificatesReady", False)],
        "The certificate has ended; no new connection to a peer is made.",
        "Of the operator: does it run? Of cert-manager: look at Certificate `NAME-LOCATION-tls`. Of a Secret: replace it.",
    ),
    row(
        "Unreadable",
        &[("CertificatesReady", False)],
        "Newer files cannot be read; what was in force before goes on.",
        "The message says which and why: correct that Secret or ConfigMap.",
    ),
    row(
        "SameSpec",
        &[("PeersAgree", True)],
        "No peer has told of another spec.",
        "Nothing.",
    ),
    row(
        "OtherSpec",
        &[("PeersAgree", False)],
        "A peer runs by another spec. Replication goes on.",
        "Apply the same manifests in the cluster of the peer that the message names.",
    ),
    row(
        "NeverLost",
        &[("Recovered", True)],
        "Nothing that was acknowledged here was ever lost.",
        "Nothing.",
    ),
    row(
        "PulledBack",
        &[("Recovered", True)],
        "The location has begun a new incarnation, and what peers had of the one before is here again.",
        "Nothing.",
    ),
    row(
        "PullingBack",
        &[("Recovered", False)],
        "The location has begun a new incarnation, and asks its peers for what it lacks.",
        "Nothing; if it lasts, look at the links of this location.",
    ),
    row(
        "PeersNotHeard",
        &[("Recovered", False)],
        "The location has begun a new incarnation, and a peer that may hold lost events has not been heard since.",
        "Bring back the link to the peer that the message names.",
    ),
    row(
        "CatchingUp",
        &[("Recovered", False)],
        "Lost events come back from peers.",
        "Nothing; the message names the peers that are waited for.",
    ),
    row(
        "FilteredEdges",
        &[("Recovered", False)],
        "Events were lost, and an edge of this location is filtered: nobody can tell whether all of them came back.",
        "See the guide on loss and recovery: the message names the ids that may be lacking.",
    ),
    row(
        "Unknown",
        &[("Recovered", False)],
        "The sidecar has not said why, or in a word that this operator cannot take.",
        "Look at the message; are operator and sidecar of the same version?",
    ),
    row(
        "Done",
        &[("Reconciling", False)],
        "Everything is as it was asked for.",
        "Nothing.",
    ),
    row(
        "Refused",
        &[("Reconciling", False)],
        "Nothing goes on until a person has mended what `Stalled` says.",
        "Look at `Stalled`.",
    ),
    row(
        "Progressing",
        &[("Stalled", False)],
        "Nothing needs a person.",
        "Nothing.",
    ),
    row(
        "Begun",
        &[],
        "An operator has met this EventLog for the first time; the note says what stays when it is deleted.",
        "Nothing. How to take a log back, and how to remove everything, is on the page about leaving.",
    ),
    row(
        "Deleted",
        &[],
        "The EventLog is deleted. The note says what stays of it.",
        "To take the log back, apply it again under the same name; how to remove everything is on the page about leaving.",
    ),
    row(
        "Readopted",
        &[],
        "Volumes, Secrets or the witness of an earlier EventLog of this name were there, belonged to nobody, and are used again. The note names them.",
        "Nothing, if that was meant. Otherwise delete the EventLog, and what the note names, before it is applied again.",
    ),
    row(
        "IncarnationRaised",
        &[],
        "The location has begun a new incarnation: events were lost, or nobody could prove that none were.",
        "Look at `Recovered`, and see the guide on loss and recovery.",
    ),
];

/// Conditions of an EventLog, as they are written.
pub const EVENT_LOG_TYPES: &[TypeRow] = &[
    TypeRow {
        type_: "Ready",
        says: "The summary: appends are accepted at every location of this cluster. Peers and their certificates are no part of it.",
    },
    TypeRow {
        type_: "StorageReady",
        says: "The database answers, and what leads to it is there.",
    },
    TypeRow {
        type_: "Available",
        says: "The writer accepts appends.",
    },
    TypeRow {
        type_: "EndpointReady",
        says: "The location is offered at its endpoint, or needs none.",
    },
    TypeRow {
        type_: "CertificatesReady",
        says: "Certificates are in force and not late (see `Expiring`), and somebody vouches for each peer.",
    },
    TypeRow {
        type_: "PeersAgree",
        says: "No peer that was heard runs by another spec.",
    },
    TypeRow {
        type_: "Recovered",
        says: "Nothing that was acknowledged is missing, or what peers had of it is here again.",
    },
    TypeRow {
        type_: "Reconciling",
        says: "Something is on its way, and nobody has to do anything.",
    },
    TypeRow {
        type_: "Stalled",
        says: "Nothing goes on until a person has mended something.",
    },
];
