//! Reasons of a ReplicationLink that the operator gives itself; those of edges and of the planner are beside it.

use tidelog_api::ConditionStatus::{False, True, Unknown};

use super::{ReasonRow, TypeRow};

/// Reasons of a ReplicationLink.
pub const REPLICATION_LINK_REASONS: &[ReasonRow] = &[
    ReasonRow {
        reason: "Accepted",
        conditions: &[("Accepted", True)],
        meaning: "The plan of all links of the log can run.",
        hint: "Nothing.",
    },
    ReasonRow {
        reason: "ResolvedRefs",
        conditions: &[("ResolvedRefs", True)],
        meaning: "The log is there.",
        hint: "Nothing.",
    },
    ReasonRow {
        reason: "LogNotFound",
        conditions: &[
            ("ResolvedRefs", False),
            ("Connected", Unknown),
            ("Synced", Unknown),
            ("Ready", False),
            ("Stalled", True),
        ],
        meaning: "There is no EventLog of the name in `eventLogRef` in this namespace.",
        hint: "Apply the EventLog, or correct `eventLogRef`.",
    },
    ReasonRow {
        reason: "PlanRejected",
        conditions: &[
            ("Accepted", False),
            ("Connected", Unknown),
            ("Synced", Unknown),
            ("Ready", False),
            ("Stalled", True),
        ],
        meaning: "This link is new or changed, and the plan of all links of its log cannot run because of another one, or of the log. What was in force before goes on.",
        hint: "Mend or delete the link that the message names; then this one comes into force by itself.",
    },
    ReasonRow {
        reason: "NotLocal",
        conditions: &[
            ("Connected", True),
            ("Synced", True),
            ("Ready", True),
            ("Reconciling", False),
            ("Stalled", False),
        ],
        meaning: "No edge of this link begins or ends at a location of this cluster.",
        hint: "Nothing, unless it should run here: compare `location.name` of the chart with `spec.locations`.",
    },
    ReasonRow {
        reason: "Connected",
        conditions: &[("Connected", True), ("Ready", True)],
        meaning: "Every edge of this link that touches a location here runs.",
        hint: "Nothing.",
    },
    ReasonRow {
        reason: "StatusUnknown",
        conditions: &[
            ("Connected", Unknown),
            ("Ready", Unknown),
            ("Synced", Unknown),
        ],
        meaning: "The sidecar here has not been heard of within three seconds.",
        hint: "Look at its pods (`kubectl get pods -l tidelog.dev/log=NAME`), and whether the operator reaches their port 7444.",
    },
    ReasonRow {
        reason: "CaughtUp",
        conditions: &[("Synced", True)],
        meaning: "Every edge that ends here is within `lagThreshold`.",
        hint: "Nothing.",
    },
    ReasonRow {
        reason: "Lagging",
        conditions: &[("Synced", False)],
        meaning: "An edge that ends here is further behind than `lagThreshold`. Nothing is lost.",
        hint: "Does the source write more than the network or this database takes? Otherwise it falls by itself.",
    },
    ReasonRow {
        reason: "Standstill",
        conditions: &[("Stalled", True)],
        meaning: "An edge is connected and behind, and has copied nothing for 60 s. Nothing is lost.",
        hint: "Look at both ends: does the target's database answer (`StorageReady`)? Does another edge into the target stand, whose events these follow? Is the network too slow for one event? It ends by itself with the next event that is copied.",
    },
    ReasonRow {
        reason: "HeadUnknown",
        conditions: &[("Synced", Unknown)],
        meaning: "The edge runs, and the head of its source is not known.",
        hint: "Nothing; if it lasts, look at the source.",
    },
    ReasonRow {
        reason: "Connecting",
        conditions: &[("Reconciling", True)],
        meaning: "An edge is about to run, or was not heard of.",
        hint: "Nothing; if it lasts, look at the message.",
    },
    ReasonRow {
        reason: "Done",
        conditions: &[("Reconciling", False)],
        meaning: "The plan is in force.",
        hint: "Nothing.",
    },
    ReasonRow {
        reason: "Refused",
        conditions: &[("Reconciling", False)],
        meaning: "Nothing of this link runs until its spec, or that of another link, is changed. What ran before goes on.",
        hint: "Look at `Stalled`.",
    },
    ReasonRow {
        reason: "Progressing",
        conditions: &[("Stalled", False)],
        meaning: "Nothing needs a person.",
        hint: "Nothing.",
    },
];

/// Conditions of a ReplicationLink, as they are written.
pub const REPLICATION_LINK_TYPES: &[TypeRow] = &[
    TypeRow {
        type_: "Accepted",
        says: "The planner lets all links of the log run together.",
    },
    TypeRow {
        type_: "ResolvedRefs",
        says: "The log that the link names is there.",
    },
    TypeRow {
        type_: "Connected",
        says: "Every edge that touches a location of this cluster runs.",
    },
    TypeRow {
        type_: "Synced",
        says: "Every edge that ends at a location of this cluster is within `lagThreshold`.",
    },
    TypeRow {
        type_: "Ready",
        says: "The summary: as `Connected`, and `False` for a link that is refused. Lag is no part of it.",
    },
    TypeRow {
        type_: "Reconciling",
        says: "Something is on its way, and nobody has to do anything.",
    },
    TypeRow {
        type_: "Stalled",
        says: "An edge, or the whole link, waits for a person, or an edge that runs makes no progress.",
    },
];
