//! The whole configuration.

use std::collections::BTreeSet;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidelog_model::{ApplicationVersion, LocationName};

use crate::edge::{Dial, Edges, ExportFilter, Incoming, Outgoing, Peer};
use crate::error::ConfigError;
use crate::listen::Listen;
use crate::logging::Logging;
use crate::storage::{Fields, Storage};
use crate::tls::Tls;
use crate::tuning::{Reader, Replication, Writer};
use crate::value::{Endpoint, Hash64, Span};
use crate::{env, validate};

/// Bytes of a configuration file.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Brackets that are open at once. The YAML library takes time by the square of them; quotes are not looked at, so this is generous.
const BRACKETS_MAX: usize = 500;

/// Fields that a running process takes over ([`Config::with_live_fields_of`]); every other difference takes a restart.
const LIVE: [&str; 5] = ["edges", "peers", "exportFilter", "planId", "specHash"];

/// The configuration of one sidecar: one location of one log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Name of the log: 1 to 63 of a-z, 0-9 and -, no - at the ends.
    pub log: String,
    /// Name of this location; a key of every clock, never reused for another place.
    #[schemars(with = "String")]
    pub location: LocationName,
    /// The application whose events the log holds.
    #[serde(default)]
    pub application: Application,
    /// The database. Exactly one of `sqlite`, `postgres`, `memory`.
    #[schemars(with = "Fields")]
    pub storage: Storage,
    /// The record outside of the database that tells whether it was lost or set back; needed unless the storage is `memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<Witness>,
    /// Addresses to listen on, `IP:PORT`. Port 0 takes any free port. `api` is plain text, `replication`, `admin` and `clients` are without `tls`: beyond
    /// loopback plain text needs `insecure`.
    #[serde(default)]
    pub listen: Listen,
    /// Certificates for the ports `replication` and `admin`, and for dialling; absent means plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Allows plain text beyond loopback. Everybody who reaches the ports can then read and write the log.
    #[serde(default)]
    pub insecure: bool,
    /// Which of the events appended here may leave; absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export_filter: Option<ExportFilter>,
    /// The filters of the plan, stamped on every event.
    #[serde(default)]
    pub plan_id: Hash64,
    /// Hash of what all locations must agree on, for them to compare: lowercase hexadecimal digits, empty when unknown.
    #[serde(default)]
    pub spec_hash: String,
    /// The other locations of the log that this one has edges with.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// The edges of the plan that touch this location.
    #[serde(default)]
    pub edges: Edges,
    /// The writer.
    #[serde(default)]
    pub writer: Writer,
    /// Reads and subscriptions.
    #[serde(default)]
    pub reader: Reader,
    /// Streams between locations.
    #[serde(default)]
    pub replication: Replication,
    /// What is logged.
    #[serde(default)]
    pub logging: Logging,
}

/// The application whose events the log holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Application {
    /// Its name, the same at every location; at most 512 bytes.
    pub name: String,
    /// Its version here, dotted integers in quotes (YAML takes 1.10 for 1.1). Events of newer writers are not taken in.
    #[schemars(with = "String")]
    pub version: ApplicationVersion,
}

/// A record outside of the database's backup domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Witness {
    /// The file, outside of the database's folder: whoever copies or restores the one must not take the other along.
    pub file: PathBuf,
    /// An operator writes the file, and this process only reads it: it is mounted, and may lag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<WitnessByOperator>,
}

/// A witness that an operator writes where the next process finds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WitnessByOperator {
    /// A folder that outlives the process but not the pod: what it holds tells a process that was killed that nothing is missing.
    pub folder: PathBuf,
    /// How long a start waits for the operator's word that it is recorded; without it this location begins a new incarnation. 0 s to 1 h.
    #[serde(default = "record_wait")]
    pub record_wait: Span,
    /// How long an empty database waits for the operator's word that this location has never existed; without it it begins in a later incarnation
    /// than the first. 0 s to 1 h.
    #[serde(default = "grant_wait")]
    pub grant_wait: Span,
}

fn record_wait() -> Span {
    Span::secs(10)
}

fn grant_wait() -> Span {
    Span::secs(30)
}

impl Config {
    /// A configuration with defaults for everything else.
    pub fn new(log: impl Into<String>, location: LocationName, storage: Storage) -> Self {
        Self {
            log: log.into(),
            location,
            application: Application::default(),
            storage,
            witness: None,
            listen: Listen::default(),
            tls: None,
            insecure: false,
            export_filter: None,
            plan_id: Hash64::default(),
            spec_hash: String::new(),
            peers: Vec::new(),
            edges: Edges::default(),
            writer: Writer::default(),
            reader: Reader::default(),
            replication: Replication::default(),
            logging: Logging::default(),
        }
    }

    /// Defaults, then the file, then the environment, then everything checked. What flags change afterwards takes another
    /// [`validate`](Self::validate).
    pub fn load<K, V>(
        text: &str,
        file: &str,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, ConfigError>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let mut config = Self::from_yaml(text, file)?;
        config.apply_env(variables)?;
        config.validate()?;
        Ok(config)
    }

    /// Reads the form; values are judged by [`validate`](Self::validate).
    pub fn from_yaml(text: &str, file: &str) -> Result<Self, ConfigError> {
        if text.len() > FILE_BYTES_MAX {
            return Err(ConfigError::TooLong {
                file: file.to_owned(),
                actual: text.len(),
            });
        }
        if let Some(line) = too_many_brackets(text) {
            return Err(ConfigError::Form {
                file: file.to_owned(),
                line,
                column: 1,
                message: format!("more than {BRACKETS_MAX} brackets are open"),
            });
        }
        serde_yaml::from_str(text).map_err(|error| {
            let (line, column) = error
                .location()
                .map_or((0, 0), |place| (place.line(), place.column()));
            let message = error.to_string();
            let suffix = format!(" at line {line} column {column}");
            ConfigError::Form {
                file: file.to_owned(),
                line,
                column,
                message: message.strip_suffix(&suffix).unwrap_or(&message).to_owned(),
            }
        })
    }

    /// The file that gives this configuration, every value written out.
    pub fn to_yaml(&self) -> Result<String, ConfigError> {
        serde_yaml::to_string(self).map_err(|error| ConfigError::Form {
            file: "configuration".into(),
            line: 0,
            column: 0,
            message: error.to_string(),
        })
    }

    /// Takes over the variables that are documented in [`VARIABLES`](crate::VARIABLES); others are left alone.
    pub fn apply_env<K, V>(
        &mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), ConfigError>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let problems: Vec<_> = variables
            .into_iter()
            .filter_map(|(name, value)| env::apply(self, name.as_ref(), value.as_ref()).err())
            .collect();
        problems
            .is_empty()
            .then_some(())
            .ok_or(ConfigError::Invalid(problems))
    }

    /// Checks every value and whether they fit together; reports all that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let problems = validate::problems(self);
        problems
            .is_empty()
            .then_some(())
            .ok_or(ConfigError::Invalid(problems))
    }

    /// Where this location dials for an incoming edge; `None` when the source dials.
    pub fn incoming_endpoint<'a>(&'a self, edge: &'a Incoming) -> Option<&'a Endpoint> {
        (edge.dial == Dial::Target)
            .then(|| {
                edge.endpoint
                    .as_ref()
                    .or_else(|| self.endpoint_of(&edge.source))
            })
            .flatten()
    }

    /// Where this location dials for an outgoing edge; `None` when the target dials.
    pub fn outgoing_endpoint<'a>(&'a self, edge: &'a Outgoing) -> Option<&'a Endpoint> {
        (edge.dial == Dial::Source)
            .then(|| {
                edge.endpoint
                    .as_ref()
                    .or_else(|| self.endpoint_of(&edge.target))
            })
            .flatten()
    }

    fn endpoint_of(&self, location: &LocationName) -> Option<&Endpoint> {
        self.peers
            .iter()
            .find(|peer| peer.name == *location)
            .and_then(|peer| peer.endpoint.as_ref())
    }

    /// What a running process makes of a new configuration: it takes over what it can, and leaves as it was what takes a restart.
    #[must_use]
    pub fn with_live_fields_of(&self, new: &Self) -> Self {
        Self {
            edges: new.edges.clone(),
            peers: new.peers.clone(),
            export_filter: new.export_filter.clone(),
            plan_id: new.plan_id,
            spec_hash: new.spec_hash.clone(),
            ..self.clone()
        }
    }

    /// The fields in which a new configuration differs and that a running process cannot take over, sorted.
    pub fn restart_needed(&self, new: &Self) -> Vec<String> {
        let mut fields = BTreeSet::new();
        let json = |config| serde_json::to_value(config).unwrap_or_default();
        differences("", &json(self), &json(new), &mut fields);
        let live = |field: &String| {
            // Where this very process is reached is not in what all processes of a location are told.
            field == "listen.advertised"
                || LIVE.contains(&field.split('.').next().unwrap_or_default())
        };
        fields.into_iter().filter(|f| !live(f)).collect()
    }
}

/// The line on which more brackets are open than allowed.
fn too_many_brackets(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (number, line) in text.lines().enumerate() {
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.saturating_sub(1),
                _ => {}
            }
            if open > BRACKETS_MAX {
                return Some(number + 1);
            }
        }
    }
    None
}

/// Paths of the leaves that differ.
fn differences(path: &str, old: &Value, new: &Value, found: &mut BTreeSet<String>) {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()) {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned();
                differences(
                    &path,
                    &of(a).unwrap_or_default(),
                    &of(b).unwrap_or_default(),
                    found,
                );
            }
        }
        (a, b) if a != b => {
            found.insert(path.to_owned());
        }
        _ => {}
    }
}
