//! Checks values and whether they fit together.

use std::collections::BTreeMap;
use std::time::Duration;

use tidelog_model::{Identity, LocationName, Realm, Role, caps, limit};

use crate::config::Config;
use crate::edge::{Dial, Incoming, Outgoing};
use crate::error::Problem;
use crate::listen::Listen;
use crate::storage::Storage;
use crate::value::{ByteSize, Span};

/// Peers and edges of one location; each peer has at most one edge in each direction.
const PEERS_MAX: usize = 256;
const FILTERS_MAX: usize = 64;
const CONNECTIONS: std::ops::RangeInclusive<u32> = 3..=1_000;

/// Everything that is wrong.
pub(crate) fn problems(config: &Config) -> Vec<Problem> {
    let mut found = Found(Vec::new());
    found.identity(config);
    found.storage(config);
    found.listen(config);
    found.tls(config);
    found.peers(config);
    found.edges(config);
    found.tuning(config);
    found.0
}

struct Found(Vec<Problem>);

impl Found {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem::new(field, message));
    }

    fn check(&mut self, good: bool, field: &str, message: impl FnOnce() -> String) {
        if !good {
            self.add(field, message());
        }
    }

    fn identity(&mut self, c: &Config) {
        // A log is named as a location is: it becomes part of database, file and certificate names.
        self.check(LocationName::new(&c.log).is_ok(), "log", || {
            format!(
                "`{}` is not a log name (1 to {} of a-z, 0-9 and -, no - at the ends, for example orders)",
                c.log,
                caps::LOG_NAME_BYTES_MAX
            )
        });
        if let Err(error) = limit::text("name", &c.application.name, caps::KEY_BYTES_MAX) {
            self.add("application.name", error.to_string());
        }
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let good = c.spec_hash.len() <= 128 && c.spec_hash.bytes().all(hex);
        self.check(good, "specHash", || {
            "must be at most 128 lowercase hexadecimal digits".to_owned()
        });
        if let Some(filter) = &c.export_filter
            && let Err(error) = filter.compile()
        {
            self.add("exportFilter.cel", error.to_string());
        }
        let level = &c.logging.level;
        self.check(!level.trim().is_empty() && level.len() <= 1_024, "logging.level", || {
            "must be error, warn, info, debug, trace or a list of directives of at most 1024 bytes".to_owned()
        });
    }

    fn storage(&mut self, c: &Config) {
        let directory = match &c.storage {
            Storage::Sqlite(sqlite) => {
                let named = sqlite.path.file_name().is_some();
                self.check(named, "storage.sqlite.path", || {
                    "must name a folder".to_owned()
                });
                Some(sqlite.path.as_path())
            }
            Storage::Postgres(postgres) => {
                let one = postgres.uri.is_some() != postgres.uri_file.is_some();
                self.check(one, "storage.postgres", || {
                    "needs exactly one of uri, uriFile".to_owned()
                });
                let schemes = ["postgres://", "postgresql://"];
                let good = postgres
                    .uri
                    .as_ref()
                    .is_none_or(|uri| schemes.iter().any(|s| uri.reveal().starts_with(s)));
                self.check(good, "storage.postgres.uri", || {
                    "must begin with postgres:// (the value is not shown, it may hold a password)"
                        .to_owned()
                });
                let n = postgres.max_connections;
                self.check(
                    CONNECTIONS.contains(&n),
                    "storage.postgres.maxConnections",
                    || {
                        format!(
                            "is {n}, must be {} to {}",
                            CONNECTIONS.start(),
                            CONNECTIONS.end()
                        )
                    },
                );
                None
            }
            Storage::Memory(_) => None,
        };
        match &c.witness {
            None => self.check(matches!(c.storage, Storage::Memory(_)), "witness", || {
                "is needed: without it a lost or restored database would not be noticed; name a file outside of the database's folder"
                    .to_owned()
            }),
            Some(witness) => {
                let named = witness.file.file_name().is_some();
                self.check(named, "witness.file", || "must name a file".to_owned());
                let apart = directory
                    .filter(|d| !d.as_os_str().is_empty())
                    .is_none_or(|d| !witness.file.starts_with(d));
                if let Some(by) = &witness.operator {
                    let named = by.folder.file_name().is_some();
                    self.check(named, "witness.operator.folder", || "must name a folder".to_owned());
                    let (none, hour) = (Span::millis(0), Span::secs(3_600));
                    self.span("witness.operator.recordWait", by.record_wait, none, hour);
                    self.span("witness.operator.grantWait", by.grant_wait, none, hour);
                }
                self.check(apart, "witness.file", || {
                    "lies in the database's folder; a copy of that folder would take it along, and a loss would not be noticed"
                        .to_owned()
                });
            }
        }
    }

    fn listen(&mut self, c: &Config) {
        let mut taken: BTreeMap<_, &str> = BTreeMap::new();
        for (name, address) in c.listen.addresses() {
            let field = format!("listen.{name}");
            if address.port() != 0
                && let Some(other) = taken.insert(address, name)
            {
                self.add(&field, format!("{address} is that of listen.{other} too"));
            }
            let in_clear_for_all = matches!(name, "metrics" | "health");
            let encrypted = c.tls.is_some() && matches!(name, "replication" | "admin" | "clients");
            let good = in_clear_for_all || encrypted || c.insecure || address.ip().is_loopback();
            self.check(good, &field, || {
                let way_out = if name == "api" { "" } else { "give it certificates (tls), " };
                format!("{address} is beyond loopback and in plain text; use 127.0.0.1, {way_out}or allow it with insecure: true")
            });
        }
        let served = c.listen.advertised.is_none() || c.listen.clients.is_some();
        self.check(served, "listen.advertised", || {
            "says where listen.clients is reached, which is absent".to_owned()
        });
        if let Some(socket) = &c.listen.socket {
            let bytes = socket.as_os_str().len();
            let limit = Listen::SOCKET_PATH_BYTES_MAX;
            self.check((1..=limit).contains(&bytes), "listen.socket", || {
                format!("has {bytes} bytes, a socket's path has 1 to {limit}; use a shorter folder")
            });
        }
    }

    fn tls(&mut self, c: &Config) {
        let Some(tls) = &c.tls else {
            return;
        };
        let realm = Realm {
            trust_domain: tls.trust_domain.clone(),
            namespace: tls.namespace.clone(),
            log: c.log.clone(),
        };
        let identity = realm.at(&c.location, Role::Location).to_string();
        self.check(identity.parse::<Identity>().is_ok(), "tls", || {
            format!(
                "{identity} is no identity: trustDomain takes a-z, 0-9, '.', '-' and '_', namespace a-z, 0-9 and '-'"
            )
        });
        for (field, path) in [
            ("tls.certificateFile", &tls.certificate_file),
            ("tls.keyFile", &tls.key_file),
            ("tls.trustDirectory", &tls.trust_directory),
        ] {
            let named = path.file_name().is_some();
            self.check(named, field, || "must name a file or folder".to_owned());
        }
        let hour = Span::secs(3_600);
        self.span("tls.reload", tls.reload, Span::millis(100), hour);
        self.check(!c.insecure, "insecure", || {
            "is for plain text, and there is tls; take one of them out".to_owned()
        });
    }

    fn peers(&mut self, c: &Config) {
        let count = c.peers.len();
        self.check(count <= PEERS_MAX, "peers", || {
            format!("has {count} entries, the limit is {PEERS_MAX}")
        });
        let mut seen = BTreeMap::new();
        for (i, peer) in c.peers.iter().enumerate() {
            let field = format!("peers[{i}].name");
            self.other_location(c, &field, &peer.name, &mut seen);
        }
    }

    fn other_location<'c>(
        &mut self,
        c: &Config,
        field: &str,
        name: &'c LocationName,
        seen: &mut BTreeMap<&'c LocationName, String>,
    ) {
        self.check(*name != c.location, field, || {
            format!("`{name}` is this location itself")
        });
        if let Some(first) = seen.insert(name, field.to_owned()) {
            self.add(
                field,
                format!("`{name}` is that of {first} too; there is one of each"),
            );
        }
    }

    fn edges(&mut self, c: &Config) {
        let mut seen = BTreeMap::new();
        for (i, edge) in c.edges.incoming.iter().enumerate() {
            let at = format!("edges.incoming[{i}]");
            self.other_location(c, &format!("{at}.source"), &edge.source, &mut seen);
            self.incoming(c, &at, edge);
        }
        let mut seen = BTreeMap::new();
        for (i, edge) in c.edges.outgoing.iter().enumerate() {
            let at = format!("edges.outgoing[{i}]");
            self.other_location(c, &format!("{at}.target"), &edge.target, &mut seen);
            self.outgoing(c, &at, edge);
        }
        for (name, count) in [
            ("edges.incoming", c.edges.incoming.len()),
            ("edges.outgoing", c.edges.outgoing.len()),
        ] {
            self.check(count <= PEERS_MAX, name, || {
                format!("has {count} entries, the limit is {PEERS_MAX}")
            });
        }
    }

    fn incoming(&mut self, c: &Config, at: &str, edge: &Incoming) {
        let dials = edge.dial == Dial::Target;
        let known = c.incoming_endpoint(edge).is_some();
        self.endpoint(at, &edge.source, dials, known);
        let good = !edge.behind.contains(&c.location);
        self.check(good, &format!("{at}.behind"), || {
            "names this location; what lies behind the source does not".to_owned()
        });
    }

    fn outgoing(&mut self, c: &Config, at: &str, edge: &Outgoing) {
        let dials = edge.dial == Dial::Source;
        let known = c.outgoing_endpoint(edge).is_some();
        self.endpoint(at, &edge.target, dials, known);
        let good = !edge.behind.contains(&edge.target);
        self.check(good, &format!("{at}.behind"), || {
            "names the target; what lies behind this location does not".to_owned()
        });
        let count = edge.filters.len();
        self.check(count <= FILTERS_MAX, &format!("{at}.filters"), || {
            format!("has {count} entries, the limit is {FILTERS_MAX}")
        });
        for (n, filter) in edge.filters.iter().enumerate() {
            let compiled =
                tidelog_filter::Filter::compile(&filter.name, &filter.cel, filter.on_error);
            if let Err(error) = compiled {
                self.add(format!("{at}.filters[{n}].cel"), error.to_string());
            }
        }
        let frame = edge.batch;
        self.range(
            &format!("{at}.batch.maxEvents"),
            frame.max_events,
            1,
            100_000,
        );
        self.size(
            &format!("{at}.batch.maxBytes"),
            frame.max_bytes,
            ByteSize::kib(1),
            ByteSize::mib(64),
        );
    }

    fn endpoint(&mut self, at: &str, other: &LocationName, dials: bool, known: bool) {
        self.check(!dials || known, &format!("{at}.endpoint"), || {
            format!("is needed: this side dials, and peers has no endpoint of `{other}`; or let the other side dial")
        });
    }

    fn tuning(&mut self, c: &Config) {
        let (w, r, p) = (&c.writer, &c.reader, &c.replication);
        let hour = Span::secs(3_600);
        let milli = Span::millis(1);
        self.span("writer.lease", w.lease, Span::secs(1), hour);
        self.span("writer.recovering", w.recovering, Span::millis(0), hour);
        self.span("writer.resolve", w.resolve, Span::millis(100), hour);
        self.range("writer.batchEvents", w.batch_events, 1, 100_000);
        self.size(
            "writer.batchBytes",
            w.batch_bytes,
            ByteSize::kib(1),
            ByteSize::mib(256),
        );
        self.range("writer.queueRequests", w.queue_requests, 1, 1_000_000);
        // One request of the largest size must fit, or it could never be appended.
        let largest = ByteSize::bytes(caps::REQUEST_BYTES_MAX as u64);
        self.size(
            "writer.queueBytes",
            w.queue_bytes,
            largest,
            ByteSize::mib(16 * 1024),
        );
        let gib = ByteSize::mib(1024);
        self.size(
            "reader.tailCacheBytes",
            r.tail_cache_bytes,
            ByteSize::bytes(0),
            gib,
        );
        self.range("reader.pageEvents", r.page_events, 1, 100_000);
        self.size(
            "reader.pageBytes",
            r.page_bytes,
            ByteSize::kib(1),
            ByteSize::mib(64),
        );
        self.range("reader.pageScan", r.page_scan, 1, 1_000_000);
        self.span("reader.heartbeat", r.heartbeat, Span::millis(100), hour);
        self.span("reader.wait", r.wait, milli, hour);
        self.size(
            "replication.windowBytes",
            p.window_bytes,
            ByteSize::kib(64),
            gib,
        );
        self.size(
            "replication.frameBytes",
            p.frame_bytes,
            ByteSize::kib(1),
            ByteSize::mib(64),
        );
        self.range("replication.frameEvents", p.frame_events, 1, 100_000);
        self.range("replication.scanRows", p.scan_rows, 1, 1_000_000);
        self.span(
            "replication.heartbeat",
            p.heartbeat,
            Span::millis(50),
            Span::secs(60),
        );
        self.span("replication.connect", p.connect, Span::millis(100), hour);
        self.span("replication.backoffMin", p.backoff_min, milli, hour);
        self.span("replication.backoffMax", p.backoff_max, milli, hour);
        self.check(
            p.backoff_min <= p.backoff_max,
            "replication.backoffMin",
            || {
                format!(
                    "is {}, must not be above backoffMax, which is {}",
                    p.backoff_min, p.backoff_max
                )
            },
        );
        self.check(
            p.frame_bytes <= p.window_bytes,
            "replication.frameBytes",
            || {
                format!(
                    "is {}, must not be above windowBytes, which is {}",
                    p.frame_bytes, p.window_bytes
                )
            },
        );
    }

    fn range(&mut self, field: &str, value: u32, min: u32, max: u32) {
        self.check((min..=max).contains(&value), field, || {
            format!("is {value}, must be {min} to {max}")
        });
    }

    fn size(&mut self, field: &str, value: ByteSize, min: ByteSize, max: ByteSize) {
        self.check((min..=max).contains(&value), field, || {
            format!("is {value}, must be {min} to {max}")
        });
    }

    fn span(&mut self, field: &str, value: Span, min: Span, max: Span) {
        let good = (min.get()..=max.get()).contains(&Duration::from(value));
        self.check(good, field, || {
            format!("is {value}, must be {min} to {max}")
        });
    }
}
