//! What is accepted and what is not.

/// Of which kind the objects of a case are.
#[derive(Clone, Copy)]
pub enum Kind {
    Log,
    Link,
}

/// Objects that a rule, or another check of the schema, accepts and rejects.
pub struct Case {
    pub kind: Kind,
    /// Part of the rule's message, or of what the server says.
    pub says: &'static str,
    /// The field that is named.
    pub field: &'static str,
    /// What was applied before, for rules about changes.
    pub before: Option<&'static str>,
    /// Fields of the spec, a line each.
    pub accepts: &'static [&'static str],
    pub rejects: &'static [&'static str],
}

/// Rules about `metadata.name`: part of the message, accepted, rejected; with locations `eu` and `us`.
pub const NAMES: &[(&str, &[&str], &[&str])] = &[
    (
        "metadata.name of an EventLog takes lower-case letters",
        &["a", "orders-2", "x9"],
        &["2orders", "9-a"],
    ),
    (
        "may have 48 characters together",
        // 46 and two for the location.
        &["a23456789-123456789-123456789-123456789-123456"],
        &["a23456789-123456789-123456789-123456789-1234567"],
    ),
];

const fn new(
    kind: Kind,
    says: &'static str,
    field: &'static str,
    accepts: &'static [&'static str],
    rejects: &'static [&'static str],
) -> Case {
    Case {
        kind,
        says,
        field,
        before: None,
        accepts,
        rejects,
    }
}

const fn change(
    kind: Kind,
    says: &'static str,
    field: &'static str,
    before: &'static str,
    accepts: &'static [&'static str],
    rejects: &'static [&'static str],
) -> Case {
    Case {
        kind,
        says,
        field,
        before: Some(before),
        accepts,
        rejects,
    }
}

use Kind::{Link, Log};

/// Every case.
pub const CASES: &[Case] = &[
    // Rules of an EventLog.
    new(
        Log,
        "storage takes exactly one of managed, cloudNativePg, external",
        "spec.storage",
        &[
            "storage: {managed: {size: 20Gi}}",
            "storage: {managed: {}}",
            "storage: {cloudNativePg: {clusterName: orders-pg}}",
            "storage: {external: {uriSecretRef: {name: orders-pg, key: uri}}}",
        ],
        &[
            "storage: {}",
            "storage: {managed: {}, cloudNativePg: {clusterName: orders-pg}}",
        ],
    ),
    new(
        Log,
        "storage takes exactly one of managed, cloudNativePg, external",
        "spec.locations[0].storage",
        &["locations: [{name: eu, storage: {managed: {}}}]"],
        &["locations: [{name: eu, storage: {}}]"],
    ),
    new(
        Log,
        "tls takes at most one of issuerRef, secretName, insecure: true",
        "spec.tls",
        &[
            "tls: {}",
            "tls: {insecure: true}",
            "tls: {issuerRef: {name: ca}}",
            "tls: {secretName: orders-tls, insecure: false}",
        ],
        &[
            "tls: {insecure: true, secretName: orders-tls}",
            "tls: {issuerRef: {name: ca}, secretName: orders-tls}",
        ],
    ),
    change(
        Log,
        "a location leaves the list only after its state was set to Decommissioned",
        "spec",
        "locations: [{name: eu}, {name: us}, {name: ap, state: Decommissioned}]",
        &[
            "locations: [{name: us}, {name: eu}]",
            "locations: [{name: eu}, {name: us}, {name: ap, state: Decommissioned}, {name: sa}]",
            "locations: [{name: eu}, {name: us, state: Decommissioned}, {name: ap, state: Decommissioned}]",
        ],
        &[
            "locations: [{name: eu}, {name: ap, state: Decommissioned}]",
            "locations: [{name: us}]",
        ],
    ),
    change(
        Log,
        "a location that was decommissioned does not come back; use a new name",
        "spec.locations",
        "locations: [{name: eu}, {name: us, state: Decommissioned}]",
        &["locations: [{name: eu}, {name: us, state: Decommissioned}]\nreplicas: 2"],
        &[
            "locations: [{name: eu}, {name: us, state: Active}]",
            "locations: [{name: eu}, {name: us}]",
        ],
    ),
    change(
        Log,
        "application.name cannot be changed: it belongs to the log",
        "spec.application.name",
        "application: {name: shop, version: '1.3'}",
        &["application: {name: shop, version: '1.4'}"],
        &["application: {name: store, version: '1.3'}"],
    ),
    change(
        Log,
        "storage.managed.size of a location cannot be changed",
        "spec",
        "storage: {managed: {size: 20Gi}}\nlocations: [{name: eu}, {name: us, storage: {managed: {}}}]",
        &[
            "storage: {managed: {size: 20Gi}}\nlocations: [{name: eu}, {name: us, storage: {managed: {size: 10Gi}}}]\nreplicas: 2",
            // The same sizes, said elsewhere; another database; a location that was not there.
            "locations: [{name: eu, storage: {managed: {size: 20Gi}}}, {name: us}]",
            "storage: {cloudNativePg: {clusterName: orders-pg}}\nlocations: [{name: eu}, {name: us, storage: {managed: {}}}]",
            "storage: {managed: {size: 20Gi}}\nlocations: [{name: eu}, {name: us, storage: {managed: {}}}, {name: ap, storage: {managed: {size: 1Gi}}}]",
        ],
        &[
            "storage: {managed: {size: 30Gi}}\nlocations: [{name: eu}, {name: us, storage: {managed: {}}}]",
            "storage: {managed: {size: 20Gi}}\nlocations: [{name: eu}, {name: us, storage: {managed: {size: 11Gi}}}]",
            "storage: {managed: {size: 20Gi}}\nlocations: [{name: eu, storage: {managed: {size: 30Gi}}}, {name: us, storage: {managed: {}}}]",
            // Left out, it is the default, or that of the log.
            "locations: [{name: eu}, {name: us, storage: {managed: {}}}]",
            "storage: {managed: {size: 20Gi}}\nlocations: [{name: eu}, {name: us}]",
        ],
    ),
    change(
        Log,
        "tls.trustDomain cannot be changed while pods run with it",
        "spec",
        "tls: {trustDomain: example.com}",
        &[
            "tls: {trustDomain: example.com, secretName: orders-tls}",
            "tls: {trustDomain: example.com, insecure: true}",
        ],
        &[
            "tls: {trustDomain: example.org}",
            "tls: {}",
            "paused: false",
            "tls: {trustDomain: example.org, insecure: true}",
        ],
    ),
    change(
        Log,
        "tls.trustDomain cannot be changed while pods run with it",
        "spec",
        "paused: false",
        &[
            "tls: {trustDomain: tidelog}",
            "tls: {issuerRef: {name: ca}}",
        ],
        &["tls: {trustDomain: example.com}"],
    ),
    // Without certificates there was no trust.
    change(
        Log,
        "tls.trustDomain cannot be changed while pods run with it",
        "spec",
        "tls: {insecure: true}",
        &["tls: {trustDomain: example.com}"],
        &[],
    ),
    // What the schema of an EventLog says by itself.
    new(
        Log,
        "should be greater than or equal to 1",
        "spec.replicas",
        &["replicas: 1", "replicas: 5"],
        &["replicas: 0", "replicas: -1"],
    ),
    new(
        Log,
        "should be less than or equal to 5",
        "spec.replicas",
        &[],
        &["replicas: 6"],
    ),
    new(
        Log,
        "should have at least 1 items",
        "spec.locations",
        &["locations: [{name: eu}]"],
        &["locations: []"],
    ),
    new(
        Log,
        "Duplicate value",
        "spec.locations[1]",
        &[],
        &["locations: [{name: eu}, {name: eu}]"],
    ),
    new(
        Log,
        "should match",
        "spec.locations[0].name",
        &["locations: [{name: store-17}]"],
        &[
            "locations: [{name: Eu}]",
            "locations: [{name: 17-store}]",
            "locations: [{name: eu_1}]",
            "locations: [{name: eu-}]",
        ],
    ),
    new(
        Log,
        "should match",
        "spec.application.version",
        &[
            "application: {name: shop, version: '1'}",
            "application: {name: shop, version: '1.10.3'}",
        ],
        &[
            "application: {name: shop, version: 'v1.3'}",
            "application: {name: shop, version: '1.'}",
        ],
    ),
    new(
        Log,
        "must be of type string",
        "spec.application.version",
        &[],
        &["application: {name: shop, version: 1.3}"],
    ),
    new(
        Log,
        "should be less than or equal to 65535",
        "spec.locations[0].endpoint.port",
        &["locations: [{name: eu, endpoint: {host: 10.0.0.1, port: 65535}}]"],
        &["locations: [{name: eu, endpoint: {host: 10.0.0.1, port: 65536}}]"],
    ),
    new(
        Log,
        "should match",
        "spec.locations[0].endpoint.host",
        &[
            "locations: [{name: eu, endpoint: {host: 'fd00::1'}}]",
            "locations: [{name: eu, endpoint: {host: orders.eu.example.com}}]",
        ],
        &[
            "locations: [{name: eu, endpoint: {host: 'https://orders.eu'}}]",
            "locations: [{name: eu, endpoint: {host: 'orders.eu:7443'}}]",
        ],
    ),
    new(
        Log,
        "should match",
        "spec.storage.managed.size",
        &["storage: {managed: {size: 1Ti}}"],
        &[
            "storage: {managed: {size: big}}",
            "storage: {managed: {size: '-1Gi'}}",
        ],
    ),
    new(
        Log,
        "Unsupported value",
        "spec.expose",
        &[
            "expose: None",
            "expose: TLSRoute",
            "expose: NodePort",
            "expose: LoadBalancer",
        ],
        &["expose: Ingress"],
    ),
    new(Log, "unknown field", "spec.replica", &[], &["replica: 2"]),
    new(
        Log,
        "Required value",
        "spec.storage.external.uriSecretRef.key",
        &[],
        &["storage: {external: {uriSecretRef: {name: orders-pg}}}"],
    ),
    new(
        Log,
        "Required value",
        "spec.tls.trustBundles[0].locations",
        &["tls: {trustBundles: [{name: us-ca, key: ca.crt, locations: [us]}]}"],
        &["tls: {trustBundles: [{name: us-ca, key: ca.crt}]}"],
    ),
    // Rules of a ReplicationLink.
    new(
        Link,
        "topology takes exactly one of dense, hubAndSpoke, pointToPoint",
        "spec.topology",
        &[
            "topology: {dense: {locations: [eu, us]}}",
            "topology: {hubAndSpoke: {hub: eu, spokes: [us]}}",
            "topology: {pointToPoint: {source: eu, target: us}}",
        ],
        &[
            "topology: {}",
            "topology: {dense: {locations: [eu, us]}, pointToPoint: {source: eu, target: us}}",
        ],
    ),
    new(
        Link,
        "the hub is not one of its own spokes",
        "spec.topology.hubAndSpoke",
        &[
            "topology: {hubAndSpoke: {hub: eu, spokes: [store-17, us], dial: Spoke, direction: HubToSpokes}}",
        ],
        &["topology: {hubAndSpoke: {hub: eu, spokes: [us, eu]}}"],
    ),
    new(
        Link,
        "source and target are two locations",
        "spec.topology.pointToPoint",
        &["topology: {pointToPoint: {source: eu, target: us, direction: Both}}"],
        &["topology: {pointToPoint: {source: eu, target: eu}}"],
    ),
    change(
        Link,
        "eventLogRef cannot be changed; delete this link and create another",
        "spec.eventLogRef",
        "eventLogRef: {name: orders}",
        &["eventLogRef: {name: orders}\npaused: true"],
        &["eventLogRef: {name: audit}"],
    ),
    // What the schema of a ReplicationLink says by itself.
    new(
        Link,
        "should have at least 2 items",
        "spec.topology.dense.locations",
        &[],
        &["topology: {dense: {locations: [eu]}}"],
    ),
    new(
        Link,
        "Duplicate value",
        "spec.topology.dense.locations[1]",
        &[],
        &["topology: {dense: {locations: [eu, eu]}}"],
    ),
    new(
        Link,
        "Duplicate value",
        "spec.filters[1]",
        &["filters: [{name: a, cel: 'true'}, {name: b, cel: 'true'}]"],
        &["filters: [{name: a, cel: 'true'}, {name: a, cel: 'false'}]"],
    ),
    new(
        Link,
        "Unsupported value",
        "spec.filters[0].onError",
        &["filters: [{name: a, cel: 'true', onError: Drop}]"],
        &["filters: [{name: a, cel: 'true', onError: Ignore}]"],
    ),
    new(
        Link,
        "should be greater than or equal to 1",
        "spec.lagThreshold.seconds",
        &["lagThreshold: {events: 1, seconds: 1}"],
        &["lagThreshold: {seconds: 0}"],
    ),
    new(
        Link,
        "should match",
        "spec.batch.maxBytes",
        &["batch: {maxEvents: 10, maxBytes: 64Ki}"],
        &["batch: {maxBytes: '0'}", "batch: {maxBytes: 1.5Mi}"],
    ),
    new(Link, "Required value", "spec.topology", &[], &["topology:"]),
];
