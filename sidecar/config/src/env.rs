//! The variables of the environment that change a configuration.

use crate::config::{Config, Witness};
use crate::error::Problem;
use crate::logging::LogFormat;
use crate::storage::{Postgres, Sqlite, Storage};
use crate::value::Secret;

/// A variable of the environment.
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// The field that it sets.
    pub field: &'static str,
    apply: fn(&mut Config, &str) -> Result<(), String>,
}

fn parse<T: std::str::FromStr>(value: &str, expected: &str) -> Result<T, String> {
    value
        .trim()
        .parse()
        .map_err(|_| format!("`{value}` is not {expected}"))
}

const ADDRESS: &str = "an address (IP:PORT, for example 127.0.0.1:7440)";

/// All variables, by name.
pub const VARIABLES: [Variable; 16] = [
    Variable {
        name: "TIDELOG_APPLICATION_VERSION",
        field: "application.version",
        apply: |c, v| {
            c.application.version = parse(
                v,
                "an application version (dotted integers, for example 1.3)",
            )?;
            Ok(())
        },
    },
    Variable {
        name: "TIDELOG_INSECURE",
        field: "insecure",
        apply: |c, v| {
            c.insecure = parse(v, "true or false")?;
            Ok(())
        },
    },
    Variable {
        name: "TIDELOG_LISTEN_ADMIN",
        field: "listen.admin",
        apply: |c, v| {
            c.listen.admin = parse(v, ADDRESS)?;
            Ok(())
        },
    },
    Variable {
        name: "TIDELOG_LISTEN_ADVERTISED",
        field: "listen.advertised",
        apply: |c, v| {
            let expected = "HOST:PORT, an IPv6 address in brackets or not";
            c.listen.advertised = match v.rsplit_once(':') {
                _ if v.is_empty() => None,
                // As the environment of a pod gives it.
                Some((host, port)) if host.contains(':') && !host.starts_with('[') => {
                    Some(parse(&format!("[{host}]:{port}"), expected)?)
                }
                _ => Some(parse(v, expected)?),
            };
            Ok(())
        },
    },
    Variable {
        name: "TIDELOG_LISTEN_API",
        field: "listen.api",
        apply: |c, v| {
            c.listen.api = parse(v, ADDRESS)?;
            Ok(())
        },
    },
    Variable {
        name: "TIDELOG_LISTEN_CLIENTS",
        field: "listen.clients",
        apply: |c, v| {
            c.listen.clients = Some(parse(v, ADDRESS)?);
            Ok(())
        },
    },
    Variable {
        name: "TIDELOG_LISTEN_HEALTH",
        field: "listen.health",
        apply: |c, v| {
            c.listen.health = parse(v, ADDRESS)?;
            Ok(())
        },
    },
    Variable {
        name: "TIDELOG_LISTEN_METRICS",
        field: "listen.metrics",
        apply: |c, v| {
            c.listen.metrics = parse(v, ADDRESS)?;
            Ok(())
        },
    },
    Variable {
        name: "TIDELOG_LISTEN_REPLICATION",
        field: "listen.replication",
        apply: |c, v| {
            c.listen.replication = parse(v, ADDRESS)?;
            Ok(())
        },
    },
    Variable {
        name: "TIDELOG_LISTEN_SOCKET",
        field: "listen.socket",
        apply: |c, v| {
            c.listen.socket = (!v.is_empty()).then(|| v.into());
            Ok(())
        },
    },
    Variable {
        name: "TIDELOG_LOG_FORMAT",
        field: "logging.format",
        apply: |c, v| {
            c.logging.format = match v {
                "Text" | "text" => LogFormat::Text,
                "Json" | "json" => LogFormat::Json,
                _ => return Err(format!("`{v}` is not Text or Json")),
            };
            Ok(())
        },
    },
    Variable {
        name: "TIDELOG_LOG_LEVEL",
        field: "logging.level",
        apply: |c, v| {
            v.clone_into(&mut c.logging.level);
            Ok(())
        },
    },
    Variable {
        name: "TIDELOG_POSTGRES_URI",
        field: "storage.postgres.uri",
        apply: |c, v| {
            let connections = match &c.storage {
                Storage::Postgres(postgres) => postgres.max_connections,
                _ => Postgres::CONNECTIONS,
            };
            c.storage = Storage::Postgres(Postgres {
                uri: Some(Secret::new(v)),
                uri_file: None,
                max_connections: connections,
            });
            Ok(())
        },
    },
    Variable {
        name: "TIDELOG_POSTGRES_URI_FILE",
        field: "storage.postgres.uriFile",
        apply: |c, v| {
            let connections = match &c.storage {
                Storage::Postgres(postgres) => postgres.max_connections,
                _ => Postgres::CONNECTIONS,
            };
            c.storage = Storage::Postgres(Postgres {
                uri: None,
                uri_file: Some(v.into()),
                max_connections: connections,
            });
            Ok(())
        },
    },
    Variable {
        name: "TIDELOG_SQLITE_PATH",
        field: "storage.sqlite.path",
        apply: |c, v| {
            c.storage = Storage::Sqlite(Sqlite { path: v.into() });
            Ok(())
        },
    },
    Variable {
        name: "TIDELOG_WITNESS_FILE",
        field: "witness.file",
        apply: |c, v| {
            c.witness = Some(Witness {
                file: v.into(),
                operator: None,
            });
            Ok(())
        },
    },
];

/// Takes over one variable; an unknown one is nobody's mistake (Kubernetes adds some for every Service).
pub(crate) fn apply(config: &mut Config, name: &str, value: &str) -> Result<(), Problem> {
    match VARIABLES.iter().find(|v| v.name == name) {
        Some(variable) => (variable.apply)(config, value).map_err(|e| Problem::new(name, e)),
        None => Ok(()),
    }
}
