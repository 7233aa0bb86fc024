use tidelog_model::{ChainHash, Digest, Lineage, LineageEntry, VectorTime};

use super::*;

fn vector(text: &str) -> VectorTime {
    text.parse().unwrap()
}

fn lineage() -> Lineage {
    Lineage::new(vec![
        LineageEntry {
            incarnation: Incarnation(1),
            base: 0,
        },
        LineageEntry {
            incarnation: Incarnation(9),
            base: 40,
        },
    ])
    .unwrap()
}

fn id(text: &str) -> EventId {
    text.parse().unwrap()
}

/// Everything that can be said, with no field as it is by default.
fn everything() -> Vec<Said> {
    let version: ApplicationVersion = "1.4".parse().unwrap();
    let open = Open {
        stream: 7,
        log: "orders".into(),
        target: location("target", "us").unwrap(),
        source: location("source", "eu").unwrap(),
        position: 42,
        hash: ChainHash([1; 32]),
        source_lineage: lineage(),
        version_vector: vector("eu#1:40,us#1:7"),
        covered_vector: vector("eu#1:42,us#1:7"),
        target_lineage: lineage(),
        source_incarnation_known: Incarnation(9),
        spec_hash: "0a".into(),
        application_name: "shop".into(),
        application_version: version.clone(),
        protocol_version: PROTOCOL_VERSION,
        canonical_version: 1,
        credit_bytes: 4096,
        filter_hash: "0b".into(),
    };
    let opened = Opened {
        stream: 7,
        lineage: lineage(),
        position: 42,
        hash: ChainHash([2; 32]),
        head: 50,
        voided: vec![VoidedId {
            id: id("eu#1/41"),
            digest: Digest([3; 32]),
        }],
        spec_hash: "0a".into(),
        application_name: "shop".into(),
        application_version: version,
        filter_hash: "0b".into(),
    };
    let frame = Frame {
        stream: 7,
        incarnation: Incarnation(9),
        from: 42,
        to: 44,
        hash_from: ChainHash([2; 32]),
        hash_to: ChainHash([4; 32]),
        events: Vec::new(),
        covered: vector("eu#1:40,eu#9:2"),
        head: 50,
        filtered: 2,
    };
    let credit = Credit {
        stream: 7,
        bytes: 300,
        version_vector: Some(vector("eu#9:2")),
        covered_vector: Some(vector("eu#9:2,us#1:8")),
        progress: 44,
    };
    let heartbeat = Heartbeat {
        stream: 7,
        head: 50,
        time_micros: 1_700_000_000_000_001,
        next_stored_at_micros: Some(1_600_000_000_000_001),
        stalled: Some(("FilterError".into(), "event eu#9/3".into())),
        sent: 44,
        spec_hash: Some("0a".into()),
        filter_hash: Some("0b".into()),
    };
    let mut said = vec![
        Said::Open(Box::new(open)),
        Said::Opened(Box::new(opened)),
        Said::Frame(Box::new(frame)),
        Said::Credit(credit),
        Said::Heartbeat(heartbeat),
        Said::Wanted(7, id("us#1/3")),
        Said::Absent(7, id("us#1/3")),
        Said::Offer(Offer::new(
            "orders",
            location("source", "eu").unwrap(),
            location("target", "us").unwrap(),
        )),
    ];
    said.extend(
        [
            RefusalKind::PositionMismatch,
            RefusalKind::SourceBehind,
            RefusalKind::WrongLocation,
            RefusalKind::EdgeNotAllowed,
            RefusalKind::Paused,
            RefusalKind::Incompatible,
            RefusalKind::ApplicationMismatch,
            RefusalKind::NotReady,
            RefusalKind::Rejected,
            RefusalKind::Cut,
        ]
        .map(|kind| {
            Said::Refused(Box::new(Refused {
                stream: 7,
                kind,
                message: "no".into(),
                lineage: lineage(),
                position: 40,
                hash: ChainHash([5; 32]),
            }))
        }),
    );
    said
}

#[test]
fn what_one_side_says_is_what_the_other_one_hears() {
    for said in everything() {
        let heard = Said::from_wire(said.to_wire()).unwrap();
        assert_eq!(format!("{heard:?}"), format!("{said:?}"));
    }
}

#[test]
fn what_is_missing_is_refused_by_its_field() {
    let wire = |said: &Said| said.to_wire().message.unwrap();
    let mut refused = Vec::new();
    for said in everything() {
        let mut message = wire(&said);
        match &mut message {
            Message::Open(open) => open.covered_vector = None,
            Message::Opened(opened) => opened.voided[0].id = None,
            Message::Frame(frame) => frame.covered_vector = None,
            Message::Heartbeat(beat) => beat.time = None,
            Message::Proof(proof) => proof.content = None,
            Message::Offer(offer) => offer.target = "Not A Name".into(),
            Message::Refused(_) | Message::Credit(_) => continue,
        }
        refused.push(Said::from_wire(message.into()).unwrap_err().field);
    }
    let fields = [
        "open.covered_vector",
        "opened.voided.id",
        "frame.covered_vector",
        "heartbeat.time",
        "proof.content",
        "proof.content",
        "offer.target",
    ];
    assert_eq!(refused, fields);
}
