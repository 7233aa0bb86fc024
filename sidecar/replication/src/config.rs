//! From the configuration of a sidecar.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tidelog_config::{Config, ExportFilter, Incoming, Outgoing};
use tidelog_filter::{FilterError, FilterSet};
use tidelog_model::LocationName;

use crate::options::{Filters, IncomingEdge, OutgoingEdge, ReplicationSettings, Tuning};

impl TryFrom<&Config> for ReplicationSettings {
    type Error = FilterError;

    /// Compiles the filters; everything else is taken as it is.
    fn try_from(config: &Config) -> Result<Self, FilterError> {
        let export = config.export_filter.as_ref();
        let export = export.map(ExportFilter::compile).transpose()?;
        Ok(Self {
            spec_hash: config.spec_hash.clone(),
            application_name: config.application.name.clone(),
            application_version: config.application.version.clone(),
            export_filter: FilterSet::new(export).into(),
            incoming: config
                .edges
                .incoming
                .iter()
                .map(|edge| incoming(config, edge))
                .collect(),
            outgoing: config
                .edges
                .outgoing
                .iter()
                .map(|edge| outgoing(config, edge))
                .collect::<Result<_, _>>()?,
        })
    }
}

fn behind(names: &[LocationName]) -> Arc<BTreeSet<LocationName>> {
    Arc::new(names.iter().cloned().collect())
}

fn incoming(config: &Config, edge: &Incoming) -> IncomingEdge {
    IncomingEdge {
        source: edge.source.clone(),
        dial: config.incoming_endpoint(edge).map(ToString::to_string),
        behind: behind(&edge.behind),
        filter_hash: edge.filter_hash.to_string(),
        paused: edge.paused,
    }
}

fn outgoing(config: &Config, edge: &Outgoing) -> Result<OutgoingEdge, FilterError> {
    let bytes_max = edge.batch.max_bytes.min(config.replication.frame_bytes);
    let events_max = edge.batch.max_events.min(config.replication.frame_events);
    Ok(OutgoingEdge {
        target: edge.target.clone(),
        dial: config.outgoing_endpoint(edge).map(ToString::to_string),
        behind: behind(&edge.behind),
        filter_hash: edge.filter_hash.to_string(),
        filters: Filters(edge.filter_set()?),
        paused: edge.paused,
        frame_events_max: Some(usize::try_from(events_max).unwrap_or(usize::MAX)),
        frame_bytes_max: Some(usize::try_from(bytes_max.get()).unwrap_or(usize::MAX)),
    })
}

impl From<&tidelog_config::Replication> for Tuning {
    fn from(config: &tidelog_config::Replication) -> Self {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Self {
            window_bytes: config.window_bytes.get(),
            frame_events_max: size(u64::from(config.frame_events)),
            frame_bytes_max: size(config.frame_bytes.get()),
            scan_rows_max: size(u64::from(config.scan_rows)),
            heartbeat: Duration::from(config.heartbeat),
            backoff_min: Duration::from(config.backoff_min),
            backoff_max: Duration::from(config.backoff_max),
            connect_timeout: Duration::from(config.connect),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_configuration_gives_the_default_tuning() {
        let config = tidelog_config::Replication::default();
        assert_eq!(Tuning::from(&config), Tuning::default());
    }

    #[test]
    fn edges_take_over_who_dials_where_and_what_passes() {
        let text = r#"
log: orders
location: eu
storage: {memory: {}}
application: {name: shop, version: "1.3"}
specHash: "0a"
exportFilter: {cel: "event.type != 'Local'", onError: Drop}
peers: [{name: us, endpoint: "us.example:7443"}]
edges:
  incoming: [{source: us, dial: Target, behind: [us, ap]}]
  outgoing: [{target: us, dial: Target, behind: [eu], filters: [{name: f, cel: "event.type == 'A'"}], batch: {maxEvents: 5}}]
"#;
        let config = Config::from_yaml(text, "test").unwrap();
        let settings = ReplicationSettings::try_from(&config).unwrap();
        assert_eq!(settings.application_version.as_str(), "1.3");
        assert_eq!(settings.export_filter.0.filters().len(), 1);
        let incoming = &settings.incoming[0];
        assert_eq!(incoming.dial.as_deref(), Some("us.example:7443"));
        assert_eq!(incoming.behind.len(), 2);
        let outgoing = &settings.outgoing[0];
        assert_eq!(outgoing.dial, None);
        assert_eq!(outgoing.frame_events_max, Some(5));
        assert_eq!(outgoing.frame_bytes_max, Some(1024 * 1024));
        assert_eq!(outgoing.filters.0.filters()[0].cel(), "event.type == 'A'");
    }
}
