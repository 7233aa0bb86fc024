//! From a plan to the configuration of one location: the struct that the sidecar parses, so that the two cannot drift apart. Addresses and folders are
//! arguments: a development network has others than a pod.

use std::collections::BTreeSet;

use tidelog_config::{
    Application, Batch, ByteSize, Config, Dial, EdgeFilter, Edges, Endpoint, ExportFilter, Hash64,
    Incoming, LagThreshold, Listen, Outgoing, Peer, Storage, Tls, Witness,
};
use tidelog_model::LocationName;
use tidelog_topology::{Edge, Plan, Side};

/// What the plan does not say: where things are on this machine.
#[derive(Debug, Clone)]
pub struct Local {
    /// The database.
    pub storage: Storage,
    /// The record outside of it.
    pub witness: Witness,
    /// Addresses to listen on.
    pub listen: Listen,
    /// Certificates.
    pub tls: Option<Tls>,
    /// Plain text beyond loopback.
    pub insecure: bool,
}

/// The plan has a value that the reader of manifests should have refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{log}/{location}: {why}")]
pub struct RenderError {
    log: String,
    location: LocationName,
    why: String,
}

/// The configuration of a location of the plan. `endpoint_of` says where another location is reached, if anybody knows.
pub fn sidecar_config(
    plan: &Plan,
    location: &LocationName,
    local: Local,
    endpoint_of: impl Fn(&LocationName) -> Option<Endpoint>,
) -> Result<Config, RenderError> {
    let fail = |why: String| RenderError {
        log: plan.log.clone(),
        location: location.clone(),
        why,
    };
    let version = plan
        .application
        .version
        .parse()
        .map_err(|error| fail(format!("application version: {error}")))?;
    let mut config = Config::new(plan.log.clone(), location.clone(), local.storage);
    config.application = Application {
        name: plan.application.name.clone(),
        version,
    };
    config.witness = Some(local.witness);
    config.listen = local.listen;
    config.tls = local.tls;
    config.insecure = local.insecure;
    config.plan_id = Hash64(plan.plan_id.get());
    config.spec_hash = plan.spec_hash.to_string();
    config.export_filter = plan
        .locations
        .get(location.as_str())
        .and_then(|planned| planned.export_filter.as_ref())
        .map(|filter| ExportFilter {
            cel: filter.cel.clone(),
            on_error: filter.on_error,
        });
    let mut edges = Edges::default();
    let mut peers = BTreeSet::new();
    for edge in plan.edges_at(location.as_str()) {
        let (other, incoming) = if edge.target == location.as_str() {
            (&edge.source, true)
        } else {
            (&edge.target, false)
        };
        let other = name(other).map_err(fail)?;
        peers.insert(other.clone());
        if incoming {
            edges
                .incoming
                .push(self::incoming(edge, other).map_err(fail)?);
        } else {
            edges.outgoing.push(outgoing(edge, other).map_err(fail)?);
        }
    }
    config.edges = edges;
    config.peers = peers
        .into_iter()
        .map(|name| Peer {
            endpoint: endpoint_of(&name),
            name,
        })
        .collect();
    Ok(config)
}

/// Where the plan says that a location is reached.
pub fn planned_endpoint(plan: &Plan, name: &LocationName) -> Option<Endpoint> {
    let endpoint = plan.locations.get(name.as_str())?.endpoint.as_ref()?;
    // Manifests write an IPv6 address without brackets.
    let host = &endpoint.host;
    let host = if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host.clone()
    };
    format!("{host}:{}", endpoint.port).parse().ok()
}

fn incoming(edge: &Edge, source: LocationName) -> Result<Incoming, String> {
    Ok(Incoming {
        source,
        dial: dial(edge)?,
        endpoint: None,
        behind: behind(edge)?,
        paused: edge.paused,
        filter_hash: Hash64(edge.filter_hash.get()),
        lag_threshold: lag_threshold(edge),
    })
}

fn outgoing(edge: &Edge, target: LocationName) -> Result<Outgoing, String> {
    Ok(Outgoing {
        target,
        dial: dial(edge)?,
        endpoint: None,
        behind: behind(edge)?,
        paused: edge.paused,
        filter_hash: Hash64(edge.filter_hash.get()),
        filters: edge
            .filters
            .iter()
            .map(|filter| EdgeFilter {
                name: filter.name.clone(),
                cel: filter.predicate.cel.clone(),
                on_error: filter.predicate.on_error,
            })
            .collect(),
        batch: Batch {
            max_events: edge.batch.max_events,
            max_bytes: ByteSize::bytes(edge.batch.max_bytes),
        },
        lag_threshold: lag_threshold(edge),
    })
}

fn dial(edge: &Edge) -> Result<Dial, String> {
    match &edge.dial {
        Some(dial) => Ok(match dial.by {
            Side::Source => Dial::Source,
            Side::Target => Dial::Target,
        }),
        None => Err(format!("nobody can open the connection of {}", edge.id())),
    }
}

fn behind(edge: &Edge) -> Result<Vec<LocationName>, String> {
    edge.behind.iter().map(|text| name(text)).collect()
}

fn lag_threshold(edge: &Edge) -> LagThreshold {
    LagThreshold {
        events: edge.lag_threshold.events,
        seconds: edge.lag_threshold.seconds,
    }
}

fn name(text: &str) -> Result<LocationName, String> {
    LocationName::new(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use tidelog_config::Sqlite;
    use tidelog_manifest::{Source, parse};
    use tidelog_topology::Planner;

    const MANIFESTS: &str = include_str!("sidecar_config/manifests.yaml");

    fn plan() -> Plan {
        let manifests = parse(&[Source {
            file: "manifests.yaml".to_owned(),
            text: MANIFESTS.to_owned(),
        }])
        .unwrap();
        let planner = Planner::new().with_every_location_reachable();
        let plan = tidelog_manifest::plan_all(&manifests, planner).remove(0);
        assert!(plan.is_accepted(), "{:?}", plan.findings);
        plan
    }

    fn rendered(location: &str) -> Config {
        let location = LocationName::new(location).unwrap();
        let local = Local {
            storage: Storage::Sqlite(Sqlite {
                path: format!("logs/orders/{location}/log.db").into(),
            }),
            witness: Witness {
                file: format!("witness/orders/{location}").into(),
                operator: None,
            },
            listen: Listen::default(),
            tls: None,
            insecure: false,
        };
        let known = |name: &LocationName| {
            (name.as_str() != "store-17").then(|| "127.0.0.1:7443".parse().unwrap())
        };
        sidecar_config(&plan(), &location, local, known).unwrap()
    }

    /// The part that the plan decides.
    fn check(location: &str, expected: &Expect) {
        let config = rendered(location);
        config.validate().unwrap();
        let mut shown = String::new();
        for field in ["application", "exportFilter", "peers", "edges"] {
            let value = serde_json::to_value(&config).unwrap()[field].take();
            if !value.is_null() {
                shown = format!("{shown}{field}: {value:#}\n");
            }
        }
        expected.assert_eq(&shown);
    }

    #[test]
    fn a_hub_has_its_spokes_as_peers_and_filters_what_it_sends() {
        check(
            "eu",
            &expect![[r#"
            application: {
              "name": "shop",
              "version": "1.3"
            }
            exportFilter: {
              "cel": "event.type != 'Draft'",
              "onError": "Drop"
            }
            peers: [
              {
                "name": "store-17"
              },
              {
                "endpoint": "127.0.0.1:7443",
                "name": "us"
              }
            ]
            edges: {
              "incoming": [
                {
                  "behind": [
                    "store-17"
                  ],
                  "dial": "Source",
                  "filterHash": "62c6fcb56d59a771",
                  "lagThreshold": {
                    "events": 5,
                    "seconds": 7
                  },
                  "paused": false,
                  "source": "store-17"
                },
                {
                  "behind": [
                    "us"
                  ],
                  "dial": "Target",
                  "filterHash": "62c6fcb56d59a771",
                  "lagThreshold": {
                    "events": 1000,
                    "seconds": 60
                  },
                  "paused": true,
                  "source": "us"
                }
              ],
              "outgoing": [
                {
                  "batch": {
                    "maxBytes": "64Ki",
                    "maxEvents": 10
                  },
                  "behind": [
                    "eu",
                    "us"
                  ],
                  "dial": "Target",
                  "filterHash": "5085dd9efc7ca290",
                  "filters": [
                    {
                      "cel": "has(event.metadata.store) && event.metadata.store == target",
                      "name": "own-store-only",
                      "onError": "Stall"
                    }
                  ],
                  "lagThreshold": {
                    "events": 5,
                    "seconds": 7
                  },
                  "paused": false,
                  "target": "store-17"
                },
                {
                  "batch": {
                    "maxBytes": "4Mi",
                    "maxEvents": 1000
                  },
                  "behind": [
                    "eu",
                    "store-17"
                  ],
                  "dial": "Target",
                  "filterHash": "62c6fcb56d59a771",
                  "filters": [],
                  "lagThreshold": {
                    "events": 1000,
                    "seconds": 60
                  },
                  "paused": true,
                  "target": "us"
                }
              ]
            }
        "#]],
        );
    }

    #[test]
    fn a_spoke_dials_and_knows_what_lies_behind_its_hub() {
        check(
            "store-17",
            &expect![[r#"
            application: {
              "name": "shop",
              "version": "1.3"
            }
            peers: [
              {
                "endpoint": "127.0.0.1:7443",
                "name": "eu"
              }
            ]
            edges: {
              "incoming": [
                {
                  "behind": [
                    "eu",
                    "us"
                  ],
                  "dial": "Target",
                  "filterHash": "5085dd9efc7ca290",
                  "lagThreshold": {
                    "events": 5,
                    "seconds": 7
                  },
                  "paused": false,
                  "source": "eu"
                }
              ],
              "outgoing": [
                {
                  "batch": {
                    "maxBytes": "64Ki",
                    "maxEvents": 10
                  },
                  "behind": [
                    "store-17"
                  ],
                  "dial": "Source",
                  "filterHash": "62c6fcb56d59a771",
                  "filters": [],
                  "lagThreshold": {
                    "events": 5,
                    "seconds": 7
                  },
                  "paused": false,
                  "target": "eu"
                }
              ]
            }
        "#]],
        );
    }

    #[test]
    fn both_ends_of_an_edge_agree() {
        let plan = plan();
        for edge in plan.edges.values() {
            let (source, target) = (rendered(&edge.source), rendered(&edge.target));
            let outgoing = source
                .edges
                .outgoing
                .iter()
                .find(|one| one.target.as_str() == edge.target)
                .unwrap();
            let incoming = target
                .edges
                .incoming
                .iter()
                .find(|one| one.source.as_str() == edge.source)
                .unwrap();
            assert_eq!(outgoing.dial, incoming.dial, "{}", edge.id());
            assert_eq!(outgoing.behind, incoming.behind);
            assert_eq!(outgoing.filter_hash, incoming.filter_hash);
            assert_eq!(
                outgoing.filter_hash.0,
                outgoing.filter_set().unwrap().hash(),
                "{}",
                edge.id()
            );
            assert!(incoming.behind.contains(&incoming.source));
            assert_eq!(
                (&source.spec_hash, source.plan_id),
                (&target.spec_hash, target.plan_id)
            );
        }
    }

    #[test]
    fn a_location_without_edges_stands_alone() {
        let config = rendered("lonely");
        assert_eq!((config.peers.len(), config.edges), (0, Edges::default()));
    }
}
