//! The form of the file: read, refused with its place, rendered.

use proptest::prelude::*;
use tidelog_config::{
    ByteSize, Config, ConfigError, Dial, EdgeFilter, FILE_BYTES_MAX, Hash64, LogFormat, Memory,
    Peer, Postgres, Secret, Span, Sqlite, Storage, Witness,
};
use tidelog_filter::OnError;

use crate::fixture::{FULL, SMALL, load, location, outgoing, small};

#[test]
fn a_small_file_has_the_documented_defaults() {
    let c = small();
    assert_eq!(
        c,
        Config::new("orders", location("eu"), Storage::Memory(Memory {}))
    );
    let ports: Vec<u16> = c.listen.addresses().iter().map(|(_, a)| a.port()).collect();
    assert_eq!(ports, [7440, 7441, 7442, 7443, 7444]);
    assert!(
        c.listen
            .addresses()
            .iter()
            .all(|(_, a)| a.ip().is_loopback())
    );
    assert_eq!(c.writer.lease, Span::secs(5));
    assert_eq!(c.replication.heartbeat, Span::secs(1));
    assert_eq!(c.replication.window_bytes, ByteSize::mib(8));
    assert_eq!(c.replication.frame_bytes, ByteSize::mib(1));
    assert_eq!(c.replication.frame_events, 1_000);
    assert_eq!(c.reader.tail_cache_bytes, ByteSize::mib(16));
    assert_eq!(
        (c.replication.backoff_min, c.replication.backoff_max),
        (Span::millis(100), Span::secs(10))
    );
}

#[test]
fn every_field_is_read() {
    let c = load(FULL).unwrap();
    assert_eq!(c.application.version.as_str(), "1.10");
    let Storage::Postgres(postgres) = &c.storage else {
        panic!("{:?}", c.storage);
    };
    assert_eq!(
        postgres.uri.as_ref().unwrap().reveal(),
        "postgres://tidelog:secret@db/orders"
    );
    assert_eq!(postgres.max_connections, 20);
    assert!(!format!("{c:?}").contains("secret@"));
    assert_eq!(c.plan_id, Hash64(255));
    assert_eq!(c.export_filter.as_ref().unwrap().on_error, OnError::Drop);
    let [us, store] = c.edges.incoming.as_slice() else {
        panic!("{:?}", c.edges);
    };
    assert_eq!(
        c.incoming_endpoint(us).unwrap().to_string(),
        "us.example.com:7443"
    );
    assert_eq!(us.behind, [location("us"), location("ap")]);
    assert_eq!((us.lag_threshold.events, us.lag_threshold.seconds), (5, 60));
    assert_eq!(c.incoming_endpoint(store), None);
    assert!(store.paused);
    let [us, store] = c.edges.outgoing.as_slice() else {
        panic!("{:?}", c.edges);
    };
    assert_eq!(
        c.outgoing_endpoint(us).unwrap().to_string(),
        "10.0.0.1:7443"
    );
    assert_eq!(
        (us.batch.max_events, us.batch.max_bytes),
        (1_000, ByteSize::mib(2))
    );
    assert_eq!(c.outgoing_endpoint(store), None);
    assert!(store.filter_set().unwrap().uses().target);
    assert_eq!(c.writer.lease, Span::secs(3));
    assert_eq!(c.writer.batch_bytes, ByteSize::mib(4));
    assert_eq!(c.replication.backoff_max, Span::secs(60));
    assert_eq!(c.logging.format, LogFormat::Json);
}

#[test]
fn what_is_rendered_is_what_is_parsed() {
    for text in [SMALL, FULL] {
        let c = load(text).unwrap();
        let rendered = c.to_yaml().unwrap();
        assert_eq!(
            Config::from_yaml(&rendered, "rendered").unwrap(),
            c,
            "{rendered}"
        );
    }
}

#[test]
fn unknown_fields_and_wrong_types_are_refused_with_their_place() {
    for (line, text, parts) in [
        (4, "lokation: eu", ["lokation", "expected one of"]),
        (4, "listen: {apy: 1}", ["apy", "`api`"]),
        (
            4,
            "edges: {incoming: [{source: us, dial: Target, behnd: []}]}",
            ["behnd", "edges.incoming[0]"],
        ),
        (
            4,
            "edges: {incoming: [{source: US, dial: Target}]}",
            ["edges.incoming[0].source: `US`", "location name"],
        ),
        (
            4,
            "edges: {outgoing: [{target: us, dial: Both}]}",
            ["Both", "`Source`"],
        ),
        (4, "insecure: perhaps", ["insecure", "boolean"]),
        (4, "writer: {lease: 5}", ["writer.lease", "for example 5s"]),
        (4, "writer: {lease: 5 apples}", ["writer.lease", "5 apples"]),
        (4, "writer: {batchBytes: 4MB}", ["writer.batchBytes", "4MB"]),
        (
            4,
            "planId: '12'",
            ["planId", "16 lowercase hexadecimal digits"],
        ),
        (
            4,
            "peers: [{name: us, endpoint: 'us'}]",
            ["peers[0].endpoint", "HOST:PORT"],
        ),
        (
            4,
            "application: {version: v1}",
            ["application.version: `v1`", "dotted integers"],
        ),
        (4, "log: other", ["duplicate", "log"]),
    ] {
        let text = format!("{SMALL}{text}\n");
        let Err(ConfigError::Form {
            file,
            line: found,
            message,
            ..
        }) = load(&text)
        else {
            panic!("accepted: {text}");
        };
        assert_eq!(file, "sidecar.yaml");
        assert!(found.abs_diff(line) <= 3 && found > 0, "{found}: {message}");
        for part in parts {
            assert!(message.contains(part), "{message} lacks {part}");
        }
    }
    let two_lines = format!("{SMALL}peers:\n- name: us\n  nmae: ap\n");
    let error = load(&two_lines).unwrap_err();
    assert!(error.to_string().starts_with("sidecar.yaml:6:"), "{error}");
    for (text, part) in [
        ("log: a\n  location: [", "sidecar.yaml:"),
        ("", "missing field"),
        ("log: orders\nlocation: eu", "missing field `storage`"),
        ("log: orders\nlocation: eu\nstorage: {}", "exactly one"),
        (
            "log: orders\nlocation: eu\nstorage: {memory: {}, sqlite: {path: x}}",
            "exactly one",
        ),
        ("log: orders\nlocation: eu\nstorage: {mysql: {}}", "mysql"),
    ] {
        let error = load(text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn documents_made_to_explode_are_refused() {
    let long = format!("{SMALL}# {}\n", "x".repeat(FILE_BYTES_MAX));
    assert!(matches!(load(&long), Err(ConfigError::TooLong { .. })));
    let error = load(&format!("{SMALL}peers: {}", "[".repeat(100_000))).unwrap_err();
    assert!(error.to_string().starts_with("sidecar.yaml:4:"), "{error}");
    assert!(error.to_string().contains("brackets"), "{error}");
}

fn name() -> impl Strategy<Value = String> {
    "[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?"
}

fn any_config() -> impl Strategy<Value = Config> {
    let numbers = (
        any::<u64>(),
        any::<u64>(),
        any::<u32>(),
        0u64..1_000_000_000,
    );
    let texts = (
        any::<String>(),
        "[ -~]{0,40}",
        "[0-9]{1,3}(\\.[0-9]{1,3}){0,3}",
    );
    let edges = prop::collection::vec(
        (name(), any::<bool>(), any::<String>(), any::<bool>()),
        0..4,
    );
    (name(), numbers, texts, edges, 0..3).prop_map(
        |(log, (a, b, n, millis), (odd, plain, version), edges, kind)| {
            let path = std::path::PathBuf::from(&plain);
            let storage = match kind {
                0 => Storage::Memory(Memory {}),
                1 => Storage::Sqlite(Sqlite { path: path.clone() }),
                _ => Storage::Postgres(Postgres {
                    uri: Some(Secret::new(&odd)),
                    uri_file: None,
                    max_connections: n,
                }),
            };
            let mut c = Config::new(odd.clone(), location(&log), storage);
            c.plan_id = Hash64(a);
            c.spec_hash.clone_from(&plain);
            c.application.name.clone_from(&odd);
            c.application.version = version.parse().unwrap();
            c.writer.queue_bytes = ByteSize::bytes(b);
            c.writer.lease = Span::millis(millis);
            c.witness = Some(Witness {
                file: path,
                operator: None,
            });
            for (peer, dial, cel, on_error) in edges {
                let mut edge = outgoing(&peer, if dial { Dial::Source } else { Dial::Target });
                let on_error = if on_error {
                    OnError::Pass
                } else {
                    OnError::Drop
                };
                edge.endpoint = Some(
                    format!("{peer}.example.com:{}", 1 + n % 65_535)
                        .parse()
                        .unwrap(),
                );
                edge.filters = vec![EdgeFilter {
                    name: peer.clone(),
                    cel,
                    on_error,
                }];
                edge.filter_hash = Hash64(b);
                edge.batch.max_bytes = ByteSize::bytes(a);
                c.edges.outgoing.push(edge);
                c.peers.push(Peer {
                    name: location(&peer),
                    endpoint: None,
                });
            }
            c
        },
    )
}

proptest! {
    #[test]
    fn any_configuration_survives_rendering(config in any_config()) {
        let text = config.to_yaml().unwrap();
        prop_assert_eq!(Config::from_yaml(&text, "f").unwrap(), config, "{}", text);
    }

    #[test]
    fn no_text_makes_the_parser_panic(tail in any::<String>(), cut in 0usize..1_500) {
        let mut text: String = FULL.chars().take(cut).collect();
        text.push_str(&tail);
        if let Ok(config) = Config::from_yaml(&text, "f") {
            let _ = config.validate();
        }
    }
}
