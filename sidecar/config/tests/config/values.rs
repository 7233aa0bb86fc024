//! Values, alone and together.

use tidelog_config::{ByteSize, Config, Dial, ExportFilter, Span, Sqlite, Storage, Tls, Witness};
use tidelog_filter::OnError;

use crate::fixture::{filter, incoming, location, outgoing, peers, postgres, problems, small};

#[test]
fn all_problems_are_reported_at_once() {
    let mut c = small();
    c.log = "Orders!".into();
    c.spec_hash = "XY".into();
    c.listen.admin = "0.0.0.0:7444".parse().unwrap();
    c.writer.lease = Span::millis(1);
    let found = problems(&c);
    let fields: Vec<&str> = found.iter().map(|p| p.split(':').next().unwrap()).collect();
    assert_eq!(fields, ["log", "specHash", "listen.admin", "writer.lease"]);
    let text = c.validate().unwrap_err().to_string();
    assert!(
        text.contains("4 error(s)") && text.contains("\n  listen.admin: 0.0.0.0:7444"),
        "{text}"
    );
}

#[test]
fn plain_text_beyond_loopback_must_be_asked_for_by_name() {
    for change in [
        (|c: &mut Config, a| c.listen.api = a) as fn(&mut Config, std::net::SocketAddr),
        |c, a| c.listen.replication = a,
        |c, a| c.listen.admin = a,
    ] {
        for (address, good) in [
            ("10.0.0.1:1", false),
            ("[::]:1", false),
            ("[::1]:1", true),
            ("127.0.0.9:1", true),
        ] {
            let mut c = small();
            change(&mut c, address.parse().unwrap());
            assert_eq!(problems(&c).is_empty(), good, "{address}");
            c.insecure = true;
            assert!(problems(&c).is_empty(), "{address}");
        }
    }
    let mut c = small();
    c.listen.metrics = "0.0.0.0:7441".parse().unwrap();
    c.listen.health = "0.0.0.0:7442".parse().unwrap();
    assert!(problems(&c).is_empty());
}

#[test]
fn certificates_open_the_ports_for_locations_and_administrators_beyond_loopback() {
    let mut c = small();
    c.tls = Some(tls());
    let everywhere = |port| std::net::SocketAddr::from(([0, 0, 0, 0], port));
    c.listen.replication = everywhere(7443);
    c.listen.admin = everywhere(7444);
    assert_eq!(problems(&c), [""; 0]);
    c.listen.api = everywhere(7440);
    assert!(problems(&c)[0].starts_with("listen.api: 0.0.0.0:7440 is beyond loopback"));
    c.listen.api = small().listen.api;
    c.insecure = true;
    assert!(problems(&c)[0].starts_with("insecure: "));
}

fn tls() -> Tls {
    let yaml =
        "{certificateFile: tls.crt, keyFile: tls.key, trustDirectory: trust, namespace: shop}";
    serde_json::from_value(serde_yaml::from_str(yaml).unwrap()).unwrap()
}

/// A change, and what the problem that it causes says; nothing when it causes none.
type Case = (fn(&mut Config), &'static [&'static str]);

#[test]
fn values_that_do_not_fit_together_are_refused() {
    let cases: &[Case] = &[
        (
            |c| c.listen.health = c.listen.metrics,
            &["listen.health", "listen.metrics too"],
        ),
        (
            |c| {
                for a in [&mut c.listen.health, &mut c.listen.metrics] {
                    a.set_port(0);
                }
            },
            &[],
        ),
        (
            |c| c.listen.socket = Some("x".repeat(101).into()),
            &["listen.socket", "100"],
        ),
        (|c| c.listen.socket = Some("x".repeat(100).into()), &[]),
        (
            |c| {
                c.storage = Storage::Sqlite(Sqlite {
                    path: "data".into(),
                });
            },
            &["witness", "is needed"],
        ),
        (
            |c| {
                c.storage = Storage::Sqlite(Sqlite {
                    path: "data".into(),
                });
                c.witness = Some(Witness {
                    file: "data/witness".into(),
                    operator: None,
                });
            },
            &["witness.file", "database's folder"],
        ),
        (
            |c| {
                c.storage = Storage::Sqlite(Sqlite {
                    path: "data".into(),
                });
                c.witness = Some(Witness {
                    file: "data2/witness".into(),
                    operator: None,
                });
            },
            &[],
        ),
        (
            |c| postgres(c, None, None, 10),
            &["storage.postgres", "exactly one of uri, uriFile"],
        ),
        (
            |c| postgres(c, Some("postgres://x"), Some("f"), 10),
            &["storage.postgres", "exactly one"],
        ),
        (
            |c| postgres(c, Some("mysql://u:geheim@x"), None, 10),
            &["storage.postgres.uri", "postgres://"],
        ),
        (
            |c| postgres(c, Some("postgres://x"), None, 2),
            &["maxConnections", "3 to 1000"],
        ),
        (|c| postgres(c, None, Some("f"), 3), &[]),
        (
            |c| peers(c, &["us", "us"]),
            &["peers[1].name", "peers[0].name too"],
        ),
        (
            |c| peers(c, &["eu"]),
            &["peers[0].name", "this location itself"],
        ),
        (|c| c.edges.incoming.push(incoming("us", Dial::Source)), &[]),
        (
            |c| c.edges.incoming.push(incoming("us", Dial::Target)),
            &["edges.incoming[0].endpoint", "is needed"],
        ),
        (
            |c| c.edges.outgoing.push(outgoing("us", Dial::Source)),
            &["edges.outgoing[0].endpoint", "is needed"],
        ),
        (
            |c| c.edges.incoming.push(incoming("eu", Dial::Source)),
            &["edges.incoming[0].source", "itself"],
        ),
        (
            |c| c.edges.outgoing = vec![outgoing("us", Dial::Target), outgoing("us", Dial::Target)],
            &["edges.outgoing[1].target", "one of each"],
        ),
        (
            |c| {
                c.edges.incoming.push(incoming("us", Dial::Source));
                c.edges.outgoing.push(outgoing("us", Dial::Target));
            },
            &[],
        ),
        (
            |c| {
                let mut edge = incoming("us", Dial::Source);
                edge.behind = vec![location("us"), location("eu")];
                c.edges.incoming.push(edge);
            },
            &["edges.incoming[0].behind", "names this location"],
        ),
        (
            |c| {
                let mut edge = outgoing("us", Dial::Target);
                edge.behind = vec![location("us")];
                c.edges.outgoing.push(edge);
            },
            &["edges.outgoing[0].behind", "names the target"],
        ),
        (
            |c| {
                let mut edge = outgoing("us", Dial::Target);
                edge.filters = vec![filter("true"), filter("evnt.type == 'x'")];
                c.edges.outgoing.push(edge);
            },
            &["edges.outgoing[0].filters[1].cel", "`evnt` is not declared"],
        ),
        (
            |c| {
                let mut edge = outgoing("us", Dial::Target);
                edge.batch.max_events = 0;
                c.edges.outgoing.push(edge);
            },
            &["edges.outgoing[0].batch.maxEvents", "1 to"],
        ),
        (
            |c| {
                let cel = "1".to_owned();
                c.export_filter = Some(ExportFilter {
                    cel,
                    on_error: OnError::Stall,
                });
            },
            &["exportFilter.cel", "true or false"],
        ),
        (|c| c.logging.level = String::new(), &["logging.level"]),
        (
            |c| c.replication.backoff_min = Span::secs(20),
            &["replication.backoffMin", "backoffMax"],
        ),
        (
            |c| c.replication.frame_bytes = ByteSize::mib(9),
            &["replication.frameBytes", "windowBytes"],
        ),
        (
            |c| c.writer.queue_bytes = ByteSize::mib(1),
            &["writer.queueBytes", "16Mi"],
        ),
        (
            |c| {
                let domain = "no/domain".to_owned();
                c.tls = Some(Tls {
                    trust_domain: domain,
                    ..tls()
                });
            },
            &["tls: spiffe://no/domain/tidelog/shop/orders/eu is no identity"],
        ),
        (
            |c| {
                c.tls = Some(Tls {
                    key_file: "".into(),
                    ..tls()
                });
            },
            &["tls.keyFile", "must name a file"],
        ),
        (
            |c| {
                c.tls = Some(Tls {
                    reload: Span::millis(1),
                    ..tls()
                });
            },
            &["tls.reload"],
        ),
        (
            |c| c.application.name = "a\0b".into(),
            &["application.name"],
        ),
    ];
    for (i, (change, expected)) in cases.iter().enumerate() {
        let mut c = small();
        change(&mut c);
        let found = problems(&c);
        assert_eq!(
            found.len(),
            usize::from(!expected.is_empty()),
            "case {i}: {found:?}"
        );
        for part in *expected {
            assert!(
                found[0].contains(part),
                "case {i}: {} lacks {part}",
                found[0]
            );
        }
        assert!(!found.concat().contains("geheim"), "{found:?}");
    }
}
