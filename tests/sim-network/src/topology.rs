//! Who is linked to whom: drawn from the seed, planned by the planner of the product, rendered for each location.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use rand::Rng as _;
use rand::rngs::StdRng;
use tidelog_config::{
    Application, Config, Dial, EdgeFilter, Endpoint, Hash64, Incoming, LagThreshold, Memory,
    Outgoing, Peer, Storage,
};
use tidelog_harness::history::Topology as Truth;
use tidelog_model::LocationName;
use tidelog_topology::{
    DialSide, Edge, HubDirection, Link, LinkFilter, Location, Log, OnError, Plan, Planner,
    PointDirection, Side, Topology as Shape,
};

use crate::tuning;
use crate::wire::REPLICATION;

const NAMES: [&str; 5] = ["eu", "us", "ap", "sa", "af"];

/// Lets an event pass to the location that it names.
const OWN: &str = "has(event.metadata.store) && event.metadata.store == target";

/// The network of a run.
pub struct Topology {
    /// What it is called in the counts.
    pub kind: &'static str,
    /// The configurations of its locations.
    pub configs: Vec<Config>,
    /// What belongs where, in words of its own.
    pub truth: Truth,
    /// Some of its links let only some events pass.
    pub filtered: bool,
}

impl Topology {
    /// Draws one.
    pub fn draw(dice: &mut StdRng) -> Result<Self> {
        let names = &NAMES[..dice.random_range(3..=5)];
        let (kind, shapes, filtered) = shapes(names, dice);
        let links: Vec<Link> = shapes
            .into_iter()
            .enumerate()
            .map(|(number, topology)| Link {
                name: format!("link-{number}"),
                topology,
                filters: filtered.then(own).into_iter().collect(),
                batch: tidelog_topology::Batch::default(),
                lag_threshold: tidelog_topology::LagThreshold::default(),
                paused: false,
            })
            .collect();
        let plan = plan(names, &links);
        let errors: Vec<String> = plan
            .errors()
            .map(|finding| format!("{finding:?}"))
            .collect();
        ensure!(errors.is_empty(), "the planner refuses: {errors:?}");
        let mut truth = Truth::default();
        for edge in plan.edges.values() {
            let target = edge.target.clone();
            if edge.filters.is_empty() {
                truth.edge(&edge.source, &edge.target);
            } else {
                let named = Arc::new(move |fact: &tidelog_harness::record::Fact| {
                    fact.metadata.get("store") == Some(&target)
                });
                truth.filtered(&edge.source, &edge.target, named);
            }
        }
        let configs = names
            .iter()
            .map(|name| config(&plan, name, filtered, dice))
            .collect::<Result<_>>()?;
        Ok(Self {
            kind,
            configs,
            truth,
            filtered,
        })
    }
}

fn own() -> LinkFilter {
    LinkFilter {
        name: "own".into(),
        sources: None,
        targets: None,
        cel: OWN.into(),
        on_error: OnError::Drop,
    }
}

fn shapes(names: &[&str], dice: &mut StdRng) -> (&'static str, Vec<Shape>, bool) {
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let between = |source: &str, target: &str, direction| Shape::PointToPoint {
        source: source.to_owned(),
        target: target.to_owned(),
        direction,
    };
    let hub = |direction, dial| Shape::HubAndSpoke {
        hub: names[0].to_owned(),
        spokes: owned(&names[1..]),
        direction,
        dial,
    };
    let next = |at: usize| names[(at + 1) % names.len()];
    match dice.random_range(0..6) {
        0 | 1 => {
            let locations = owned(names);
            ("dense", vec![Shape::Dense { locations }], false)
        }
        2 => (
            "hub, spokes dial",
            vec![hub(HubDirection::Both, DialSide::Spoke)],
            false,
        ),
        3 => (
            "hub with filters",
            vec![hub(HubDirection::Both, DialSide::Auto)],
            true,
        ),
        4 => {
            let steps = names.windows(2);
            let both = PointDirection::Both;
            let links = steps.map(|pair| between(pair[0], pair[1], both)).collect();
            ("chain", links, false)
        }
        _ => {
            let places = names.iter().enumerate();
            let one_way = PointDirection::OneWay;
            let links = places
                .map(|(at, name)| between(name, next(at), one_way))
                .collect();
            ("ring, one way", links, false)
        }
    }
}

fn plan(names: &[&str], links: &[Link]) -> Plan {
    let location = |name: &&str| Location {
        name: (*name).to_owned(),
        endpoint: Some(tidelog_topology::Endpoint {
            host: (*name).to_owned(),
            port: REPLICATION,
        }),
        export_filter: None,
    };
    let log = Log {
        name: "orders".into(),
        application: tidelog_topology::Application {
            name: "shop".into(),
            version: "1.0".into(),
        },
        locations: names.iter().map(location).collect(),
    };
    Planner::new().plan(&log, links)
}

fn config(plan: &Plan, name: &str, filtered: bool, dice: &mut StdRng) -> Result<Config> {
    let location = LocationName::new(name)?;
    let mut config = Config::new(
        plan.log.clone(),
        location,
        Storage::Memory(Memory::default()),
    );
    config.application = Application {
        name: plan.application.name.clone(),
        version: plan.application.version.parse()?,
    };
    config.plan_id = Hash64(plan.plan_id.get());
    config.spec_hash = plan.spec_hash.to_string();
    tuning::draw(&mut config, filtered, dice);
    for edge in plan.edges_at(name) {
        let other = if edge.target == name {
            config.edges.incoming.push(incoming(edge)?);
            &edge.source
        } else {
            config.edges.outgoing.push(outgoing(edge)?);
            &edge.target
        };
        let peer = Peer {
            name: LocationName::new(other)?,
            endpoint: Some(endpoint(other)?),
        };
        if !config.peers.contains(&peer) {
            config.peers.push(peer);
        }
    }
    config.validate()?;
    Ok(config)
}

fn endpoint(name: &str) -> Result<Endpoint> {
    let text = format!("{name}:{REPLICATION}");
    text.parse().map_err(anyhow::Error::msg)
}

fn dial(edge: &Edge) -> Result<Dial> {
    let dial = edge.dial.as_ref().context("an edge that nobody dials")?;
    Ok(match dial.by {
        Side::Source => Dial::Source,
        Side::Target => Dial::Target,
    })
}

fn behind(edge: &Edge) -> Result<Vec<LocationName>> {
    let names = edge.behind.iter().map(|name| LocationName::new(name));
    Ok(names.collect::<Result<_, _>>()?)
}

fn incoming(edge: &Edge) -> Result<Incoming> {
    Ok(Incoming {
        source: LocationName::new(&edge.source)?,
        dial: dial(edge)?,
        endpoint: None,
        behind: behind(edge)?,
        paused: false,
        filter_hash: Hash64(edge.filter_hash.get()),
        lag_threshold: LagThreshold::default(),
    })
}

fn outgoing(edge: &Edge) -> Result<Outgoing> {
    let filters = edge.filters.iter().map(|filter| EdgeFilter {
        name: filter.name.clone(),
        cel: filter.predicate.cel.clone(),
        on_error: filter.predicate.on_error,
    });
    Ok(Outgoing {
        target: LocationName::new(&edge.target)?,
        dial: dial(edge)?,
        endpoint: None,
        behind: behind(edge)?,
        paused: false,
        filter_hash: Hash64(edge.filter_hash.get()),
        filters: filters.collect(),
        batch: tidelog_config::Batch {
            max_events: edge.batch.max_events,
            max_bytes: tidelog_config::ByteSize::bytes(edge.batch.max_bytes),
        },
        lag_threshold: LagThreshold::default(),
    })
}
