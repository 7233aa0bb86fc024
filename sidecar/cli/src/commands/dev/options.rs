//! Which locations run here, where the others are, and where ours listen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;

use tidelog_config::{Endpoint, Postgres, Secret};
use tidelog_model::LocationName;
use tidelog_store_postgres::database_name;
use tidelog_topology::Plan;
use url::Url;

use crate::failure::Failure;
use crate::place::PlaceName;

/// A location of a log.
pub type Key = (String, LocationName);

/// `[LOG/]L=HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceAddress {
    /// The location.
    pub place: PlaceName,
    /// The address.
    pub address: Endpoint,
}

impl FromStr for PlaceAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (place, address) = text.split_once('=').ok_or_else(|| {
            "expected L=HOST:PORT or LOG/L=HOST:PORT, for instance us=10.0.0.7:7443".to_owned()
        })?;
        Ok(Self {
            place: place.parse().map_err(|error| format!("{error}"))?,
            address: address.parse()?,
        })
    }
}

/// Where logs are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageChoice {
    /// Files in the data directory.
    Sqlite,
    /// A database of each location on this server.
    Postgres(PostgresServer),
}

/// A PostgreSQL server.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresServer(Url);

/// Without the password.
impl std::fmt::Debug for PostgresServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "PostgreSQL at {}",
            self.0.host_str().unwrap_or("a socket")
        )
    }
}

impl FromStr for StorageChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "sqlite" {
            return Ok(Self::Sqlite);
        }
        let form = || "expected sqlite, or postgres://USER:PASSWORD@HOST:PORT".to_owned();
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(form());
        }
        Url::parse(text)
            .map(|url| Self::Postgres(PostgresServer(url)))
            .map_err(|error| format!("{error}; {}", form()))
    }
}

impl PostgresServer {
    /// The server, with the database that was named, if any.
    pub fn uri(&self) -> &str {
        self.0.as_str()
    }

    /// The database of a location.
    pub fn database((log, location): &Key) -> String {
        database_name(log, location)
    }

    /// How to reach the database of a location.
    pub fn storage(&self, key: &Key) -> Postgres {
        let mut url = self.0.clone();
        url.set_path(&Self::database(key));
        Postgres {
            uri: Some(Secret::new(url.as_str())),
            uri_file: None,
            max_connections: CONNECTIONS,
        }
    }
}

/// Of each location. A server takes a hundred by default, and a network may have many locations.
const CONNECTIONS: u32 = 4;

/// What was said about locations, checked against the plans.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    only: Vec<PlaceName>,
    peers: BTreeMap<Key, Endpoint>,
    listen: BTreeMap<Key, SocketAddr>,
    insecure: BTreeSet<String>,
}

impl Selection {
    /// Checks what was said.
    pub fn new(
        only: &[PlaceName],
        peers: &[PlaceAddress],
        listen: &[PlaceAddress],
        plans: &[Plan],
        insecure: BTreeSet<String>,
    ) -> Result<Self, Failure> {
        for name in only {
            if matching(name, plans).is_empty() {
                return Err(unknown("--only", name, plans));
            }
        }
        let mut selection = Self {
            only: only.to_vec(),
            insecure,
            ..Self::default()
        };
        for PlaceAddress { place, address } in peers {
            let key = one("--peer", place, plans)?;
            if selection.runs(&key) {
                return Err(Failure::usage(format!(
                    "--peer {place}: this location runs in this process"
                ))
                .hint("choose with --only which ones do; --listen says where they listen"));
            }
            if selection.peers.insert(key, address.clone()).is_some() {
                return Err(Failure::usage(format!("--peer {place} was said twice")));
            }
        }
        for PlaceAddress { place, address } in listen {
            let key = one("--listen", place, plans)?;
            if !selection.runs(&key) {
                return Err(Failure::usage(format!(
                    "--listen {place}: this location does not run in this process"
                ))
                .hint("add it to --only; --peer says where another one is reached"));
            }
            let socket = (address.host().trim_matches(['[', ']']), address.port())
                .to_socket_addrs()
                .ok()
                .and_then(|mut found| found.next())
                .ok_or_else(|| {
                    Failure::usage(format!(
                        "--listen {place}: {} is not an address of this machine",
                        address.host()
                    ))
                })?;
            if !socket.ip().is_loopback() && !selection.is_insecure(&key) {
                return Err(Failure::usage(format!("--listen {place}: {socket} is beyond this machine and in plain text")).hint(
                    "everybody who reaches it could read and write the log; if the network is safe, say --insecure or write spec.tls.insecure: true",
                ));
            }
            if selection.listen.insert(key, socket).is_some() {
                return Err(Failure::usage(format!("--listen {place} was said twice")));
            }
        }
        Ok(selection)
    }

    /// Whether a location may be served in plain text beyond this machine.
    pub fn is_insecure(&self, (log, _): &Key) -> bool {
        self.insecure.contains(log)
    }

    /// Whether a location runs in this process.
    pub fn runs(&self, (log, location): &Key) -> bool {
        self.only.is_empty()
            || self.only.iter().any(|name| {
                name.location == *location && name.log.as_ref().is_none_or(|named| named == log)
            })
    }

    /// Where a location of another process was said to be.
    pub fn peer(&self, key: &Key) -> Option<&Endpoint> {
        self.peers.get(key)
    }

    /// Where other locations reach ours, when it was said.
    pub fn listen(&self, key: &Key) -> Option<SocketAddr> {
        self.listen.get(key).copied()
    }
}

fn matching(name: &PlaceName, plans: &[Plan]) -> Vec<Key> {
    plans
        .iter()
        .filter(|plan| name.log.as_ref().is_none_or(|log| *log == plan.log))
        .filter(|plan| plan.locations.contains_key(name.location.as_str()))
        .map(|plan| (plan.log.clone(), name.location.clone()))
        .collect()
}

fn unknown(option: &str, name: &PlaceName, plans: &[Plan]) -> Failure {
    let all: Vec<String> = plans
        .iter()
        .flat_map(|plan| {
            plan.locations
                .keys()
                .map(move |location| format!("{}/{location}", plan.log))
        })
        .collect();
    Failure::usage(format!("{option} {name}: there is no such location"))
        .hint(format!("there are {}", all.join(", ")))
}

/// An address belongs to one log: ports are not shared.
fn one(option: &str, name: &PlaceName, plans: &[Plan]) -> Result<Key, Failure> {
    let mut found = matching(name, plans);
    match (found.pop(), found.is_empty()) {
        (Some(key), true) => Ok(key),
        (None, _) => Err(unknown(option, name, plans)),
        (Some(last), false) => {
            let keys = found.iter().chain(std::iter::once(&last));
            let names: Vec<String> = keys
                .map(|(log, location)| format!("{log}/{location}"))
                .collect();
            Err(
                Failure::usage(format!("{option} {name} is a location of several logs"))
                    .hint(format!("say one of {}", names.join(", "))),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_manifest::Source;
    use tidelog_topology::Planner;

    fn plans() -> Vec<Plan> {
        let logs = include_str!("../../../../../examples/three-logs/logs.yaml");
        let links = include_str!("../../../../../examples/three-logs/links.yaml");
        let sources = [logs, links].map(|text| Source {
            file: String::new(),
            text: text.to_owned(),
        });
        tidelog_manifest::plan_all(&tidelog_manifest::parse(&sources).unwrap(), Planner::new())
    }

    fn select(
        only: &[&str],
        peers: &[&str],
        listen: &[&str],
        insecure: bool,
    ) -> Result<Selection, String> {
        let names: Vec<PlaceName> = only.iter().map(|text| text.parse().unwrap()).collect();
        let addresses = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| text.parse().unwrap())
                .collect::<Vec<PlaceAddress>>()
        };
        Selection::new(
            &names,
            &addresses(peers),
            &addresses(listen),
            &plans(),
            if insecure {
                BTreeSet::from(["m".to_owned()])
            } else {
                BTreeSet::new()
            },
        )
        .map_err(|failure| format!("{failure}; {}", failure.hint))
    }

    fn key(log: &str, location: &str) -> Key {
        (log.to_owned(), LocationName::new(location).unwrap())
    }

    #[test]
    fn everything_runs_unless_something_was_chosen() {
        assert!(select(&[], &[], &[], false).unwrap().runs(&key("m", "a")));
        let some = select(&["a", "m/c"], &[], &[], false).unwrap();
        let runs: Vec<bool> = [("m", "a"), ("n", "a"), ("m", "c"), ("n", "c"), ("m", "b")]
            .map(|(log, at)| some.runs(&key(log, at)))
            .to_vec();
        assert_eq!(runs, [true, true, true, false, false]);
    }

    #[test]
    fn addresses_belong_to_one_location_of_one_log() {
        let selection = select(
            &["m/a"],
            &["m/c=10.0.0.7:7443"],
            &["m/a=127.0.0.1:9000"],
            false,
        )
        .unwrap();
        assert_eq!(
            selection.peer(&key("m", "c")).unwrap().to_string(),
            "10.0.0.7:7443"
        );
        assert_eq!(selection.peer(&key("n", "c")), None);
        assert_eq!(selection.listen(&key("m", "a")).unwrap().port(), 9000);
        for (only, peers, listen, why) in [
            (
                &["x"][..],
                &[][..],
                &[][..],
                "--only x: there is no such location; there are m/a, m/b",
            ),
            (
                &["m/a"],
                &["c=h:1"],
                &[],
                "--peer c is a location of several logs; say one of m/c, n/c",
            ),
            (&[], &["m/c=h:1"], &[], "this location runs in this process"),
            (&["m/a"], &["m/c=h:1", "m/c=h:2"], &[], "was said twice"),
            (
                &["m/a"],
                &[],
                &["m/c=127.0.0.1:1"],
                "does not run in this process",
            ),
            (&["m/a"], &[], &["m/a=0.0.0.0:1"], "say --insecure"),
        ] {
            let error = select(only, peers, listen, false).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(select(&["m/a"], &[], &["m/a=0.0.0.0:1"], true).is_ok());
    }

    #[test]
    fn an_address_has_a_place_and_a_port() {
        for wrong in ["us", "us=", "us=host", "=h:1", "US=h:1", "us=h:0"] {
            assert!(wrong.parse::<PlaceAddress>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_location_has_a_database_on_the_server() {
        let choice: StorageChoice = "postgres://me:s%3Acret@db:5433/postgres?sslmode=disable"
            .parse()
            .unwrap();
        let StorageChoice::Postgres(server) = &choice else {
            panic!("{choice:?}")
        };
        let storage = server.storage(&key("orders", "eu"));
        assert_eq!(
            storage.uri.unwrap().reveal(),
            "postgres://me:s%3Acret@db:5433/tidelog_orders_eu?sslmode=disable"
        );
        assert!(!format!("{choice:?}").contains("cret"));
        assert_eq!("sqlite".parse(), Ok(StorageChoice::Sqlite));
        for wrong in ["mysql://h", "postgres", "postgres://h:port"] {
            assert!(wrong.parse::<StorageChoice>().is_err(), "{wrong}");
        }
    }
}
