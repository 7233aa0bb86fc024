//! From resources to planner input. What the schema has checked is not checked again.

use tidelog_api as api;
use tidelog_topology as topology;

/// A log; locations that have left are left out, so that a link that still names one is found.
pub(crate) fn log(resource: &api::EventLog) -> topology::Log {
    let spec = &resource.spec;
    topology::Log {
        name: resource.metadata.name.clone().unwrap_or_default(),
        application: topology::Application {
            name: spec.application.name.clone(),
            version: spec.application.version.clone(),
        },
        locations: spec
            .locations
            .iter()
            .filter(|location| location.state == api::LocationState::Active)
            .map(|location| topology::Location {
                name: location.name.clone(),
                endpoint: location
                    .endpoint
                    .as_ref()
                    .map(|endpoint| topology::Endpoint {
                        host: endpoint.host.clone(),
                        port: u16::try_from(endpoint.port).unwrap_or_default(),
                    }),
                export_filter: location.export_filter.as_ref().map(|filter| {
                    topology::ExportFilter {
                        cel: filter.cel.clone(),
                        on_error: on_error(filter.on_error),
                    }
                }),
            })
            .collect(),
    }
}

/// A link; it is paused when its log is.
pub(crate) fn link(resource: &api::ReplicationLink, log: &api::EventLog) -> topology::Link {
    let spec = &resource.spec;
    topology::Link {
        name: resource.metadata.name.clone().unwrap_or_default(),
        topology: shape(&spec.topology),
        filters: spec
            .filters
            .iter()
            .map(|filter| topology::LinkFilter {
                name: filter.name.clone(),
                sources: filter.sources.clone(),
                targets: filter.targets.clone(),
                cel: filter.cel.clone(),
                on_error: on_error(filter.on_error),
            })
            .collect(),
        batch: topology::Batch {
            max_events: u32::try_from(spec.batch.max_events).unwrap_or(1),
            max_bytes: bytes(&spec.batch.max_bytes),
        },
        lag_threshold: topology::LagThreshold {
            events: u64::try_from(spec.lag_threshold.events).unwrap_or(1),
            seconds: u32::try_from(spec.lag_threshold.seconds).unwrap_or(1),
        },
        paused: spec.paused || log.spec.paused,
    }
}

fn shape(topology: &api::Topology) -> topology::Topology {
    if let Some(hub) = &topology.hub_and_spoke {
        return topology::Topology::HubAndSpoke {
            hub: hub.hub.clone(),
            spokes: hub.spokes.clone(),
            direction: match hub.direction {
                api::HubDirection::Both => topology::HubDirection::Both,
                api::HubDirection::HubToSpokes => topology::HubDirection::HubToSpokes,
                api::HubDirection::SpokesToHub => topology::HubDirection::SpokesToHub,
            },
            dial: match hub.dial {
                api::DialSide::Auto => topology::DialSide::Auto,
                api::DialSide::Spoke => topology::DialSide::Spoke,
            },
        };
    }
    if let Some(point) = &topology.point_to_point {
        return topology::Topology::PointToPoint {
            source: point.source.clone(),
            target: point.target.clone(),
            direction: match point.direction {
                api::PointDirection::OneWay => topology::PointDirection::OneWay,
                api::PointDirection::Both => topology::PointDirection::Both,
            },
        };
    }
    // Exactly one of the three is there; without any the planner would name the empty shape.
    let locations = topology
        .dense
        .as_ref()
        .map(|dense| dense.locations.clone())
        .unwrap_or_default();
    topology::Topology::Dense { locations }
}

fn on_error(on_error: api::OnError) -> topology::OnError {
    match on_error {
        api::OnError::Stall => topology::OnError::Stall,
        api::OnError::Drop => topology::OnError::Drop,
        api::OnError::Pass => topology::OnError::Pass,
    }
}

/// A quantity of bytes, of the form that the schema allows.
fn bytes(quantity: &str) -> u64 {
    let digits = quantity.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &quantity[digits.len()..] {
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => 1,
    };
    digits
        .parse::<u64>()
        .unwrap_or(u64::MAX)
        .saturating_mul(unit)
}

/// What a network on one machine does not do: each field once, however many locations have it.
pub(crate) fn not_realised(resource: &api::EventLog) -> Vec<String> {
    let spec = &resource.spec;
    let storage = spec.storage.is_some()
        || spec
            .locations
            .iter()
            .any(|location| location.storage.is_some());
    [
        (
            "deletionPolicy",
            spec.deletion_policy != api::DeletionPolicy::default(),
        ),
        ("expose", spec.expose != api::Expose::default()),
        ("replicas", spec.replicas > 1),
        ("storage", storage),
        ("template", spec.template.is_some()),
        ("tls", spec.tls.is_some()),
    ]
    .into_iter()
    .filter(|(_, written)| *written)
    .map(|(field, _)| field.to_owned())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn quantities_are_bytes() {
        for (quantity, expected) in [
            ("7", 7),
            ("4Mi", 4 << 20),
            ("3k", 3_000),
            ("2G", 2_000_000_000),
            ("999999999999999Ti", u64::MAX),
        ] {
            assert_eq!(bytes(quantity), expected, "{quantity}");
        }
    }
}
