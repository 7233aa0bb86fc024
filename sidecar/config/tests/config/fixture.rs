//! Two files, one with the least and one with everything, and short forms.

use tidelog_config::{
    Batch, Config, ConfigError, Dial, EdgeFilter, Hash64, Incoming, LagThreshold, Outgoing, Peer,
    Postgres, Secret, Storage, Witness,
};
use tidelog_filter::OnError;
use tidelog_model::LocationName;

pub const SMALL: &str = "log: orders\nlocation: eu\nstorage: {memory: {}}\n";

pub const FULL: &str = r#"
log: orders
location: eu
application: {name: shop, version: "1.10"}
storage:
  postgres: {uri: "postgres://tidelog:secret@db/orders", maxConnections: 20}
witness: {file: /var/lib/witness/orders-eu}
listen:
  api: 127.0.0.1:9440
  socket: /run/tidelog/orders.sock
  metrics: 0.0.0.0:9441
  health: "[::]:9442"
  replication: 0.0.0.0:9443
  admin: 127.0.0.1:9444
insecure: true
exportFilter: {cel: "!has(event.metadata.residency)", onError: Drop}
planId: "00000000000000ff"
specHash: 0badcafe
peers:
- {name: us, endpoint: us.example.com:7443}
- {name: store-17}
edges:
  incoming:
  - {source: us, dial: Target, behind: [us, ap], lagThreshold: {events: 5}}
  - {source: store-17, dial: Source, paused: true}
  outgoing:
  - {target: us, dial: Source, endpoint: "10.0.0.1:7443", batch: {maxBytes: 2Mi}}
  - target: store-17
    dial: Target
    behind: [eu, us]
    filterHash: "0123456789abcdef"
    filters:
    - {name: own-store-only, cel: "has(event.metadata.store) && event.metadata.store == target"}
writer: {lease: 3s, batchBytes: 4194304}
replication: {heartbeat: 500ms, backoffMax: 1m}
logging: {level: "info,tidelog_replication=debug", format: Json}
"#;

pub fn location(name: &str) -> LocationName {
    LocationName::new(name).unwrap()
}

pub fn load(text: &str) -> Result<Config, ConfigError> {
    Config::load(text, "sidecar.yaml", Vec::<(String, String)>::new())
}

/// The problems of a configuration, one `field: message` each.
pub fn problems(config: &Config) -> Vec<String> {
    match config.validate() {
        Ok(()) => Vec::new(),
        Err(ConfigError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        Err(other) => panic!("{other}"),
    }
}

pub fn small() -> Config {
    load(SMALL).unwrap()
}

pub fn postgres(c: &mut Config, uri: Option<&str>, file: Option<&str>, max_connections: u32) {
    c.storage = Storage::Postgres(Postgres {
        uri: uri.map(Secret::new),
        uri_file: file.map(Into::into),
        max_connections,
    });
    c.witness = Some(Witness {
        file: "witness".into(),
        operator: None,
    });
}

pub fn peers(c: &mut Config, names: &[&str]) {
    let peer = |name: &&str| Peer {
        name: location(name),
        endpoint: None,
    };
    c.peers = names.iter().map(peer).collect();
}

pub fn incoming(source: &str, dial: Dial) -> Incoming {
    Incoming {
        source: location(source),
        dial,
        endpoint: None,
        behind: Vec::new(),
        paused: false,
        filter_hash: Hash64::default(),
        lag_threshold: LagThreshold::default(),
    }
}

pub fn outgoing(target: &str, dial: Dial) -> Outgoing {
    Outgoing {
        target: location(target),
        dial,
        endpoint: None,
        behind: Vec::new(),
        paused: false,
        filter_hash: Hash64::default(),
        filters: Vec::new(),
        batch: Batch::default(),
        lag_threshold: LagThreshold::default(),
    }
}

pub fn filter(cel: &str) -> EdgeFilter {
    EdgeFilter {
        name: "f".into(),
        cel: cel.into(),
        on_error: OnError::Stall,
    }
}
