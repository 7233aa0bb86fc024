//! Laws of the vocabulary, checked on random values.
#![expect(clippy::unwrap_used, reason = "a generator that fails fails its test")]

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use tidelog_model::vector_time::compare;
use tidelog_model::{
    Causality, Cause, Event, EventId, HlcClock, HybridTime, Incarnation, Lineage, LineageEntry,
    LocationName, Origin, Position, VectorTime, canonical, caps,
};

fn origin() -> impl Strategy<Value = Origin> {
    ("[a-d]", 1u32..4)
        .prop_map(|(l, i)| Origin::new(LocationName::new(&l).unwrap(), Incarnation(i)))
}

fn vector() -> impl Strategy<Value = VectorTime> {
    prop::collection::vec((origin(), 1u64..20), 0..8).prop_map(|v| v.into_iter().collect())
}

fn text() -> impl Strategy<Value = String> {
    prop::string::string_regex("[a-zA-Z0-9 äß漢\\-_.]{0,12}").unwrap()
}

fn event() -> impl Strategy<Value = Event> {
    let head = (
        origin(),
        1u64..1000,
        vector(),
        any::<i64>(),
        any::<u32>(),
        text(),
        0u32..3,
    );
    let body = (
        text(),
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(text(), 0..4),
        prop::collection::btree_map(text(), text(), 0..4),
        prop::option::of((text(), origin(), 1u64..9, any::<u32>())),
        (
            text(),
            0u32..3,
            0u32..3,
            any::<u64>(),
            "[0-9]{1,3}(\\.[0-9]{1,3}){0,2}",
        ),
    );
    (head, body).prop_map(
        |(
            (origin, sequence, context, micros, logical, kind, schema),
            (s, payload, destinations, metadata, cause, tail),
        )| Event {
            id: EventId::new(origin, sequence),
            context,
            time: HybridTime { micros, logical },
            event_type: kind,
            schema_version: schema,
            content_type: s.clone(),
            payload: Bytes::from(payload),
            emitter_id: s.clone(),
            aggregate_id: s.clone(),
            destinations,
            metadata,
            caused_by: cause.map(|(log, o, n, output_index)| Cause {
                log,
                id: EventId::new(o, n),
                output_index,
            }),
            delivery_id: s,
            request_id: tail.0,
            request_index: tail.1,
            request_count: tail.2,
            plan_id: tail.3,
            application_version: tail.4.parse().unwrap(),
        },
    )
}

proptest! {
    #[test]
    fn merge_is_a_join(a in vector(), b in vector(), c in vector()) {
        prop_assert_eq!(a.merged(&b), b.merged(&a));
        prop_assert_eq!(a.merged(&b).merged(&c), a.merged(&b.merged(&c)));
        prop_assert_eq!(a.merged(&a), a.clone());
        let join = a.merged(&b);
        prop_assert!(join.covers(&a) && join.covers(&b));
        // Least: whatever covers both covers the join.
        if c.covers(&a) && c.covers(&b) {
            prop_assert!(c.covers(&join));
        }
    }

    #[test]
    fn covers_is_a_partial_order(a in vector(), b in vector(), c in vector()) {
        prop_assert!(a.covers(&a));
        if a.covers(&b) && b.covers(&a) {
            prop_assert_eq!(&a, &b);
        }
        if a.covers(&b) && b.covers(&c) {
            prop_assert!(a.covers(&c));
        }
        prop_assert_eq!(a.missing(&b).is_empty(), a.covers(&b));
    }

    #[test]
    fn vectors_have_one_text_form(a in vector()) {
        prop_assert_eq!(a.to_string().parse::<VectorTime>().unwrap(), a);
    }

    #[test]
    fn what_is_encoded_is_decoded_and_encodes_back(e in event()) {
        let bytes = Bytes::from(canonical::encode(&e));
        let back = canonical::decode(&bytes).unwrap();
        prop_assert_eq!(&back, &e);
        prop_assert_eq!(canonical::encode(&back), bytes.to_vec());
    }

    #[test]
    fn whatever_the_decoder_accepts_encodes_back_to_the_same_bytes(e in event(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = canonical::encode(&e);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(decoded) = canonical::decode(&Bytes::from(bytes.clone())) {
            prop_assert_eq!(canonical::encode(&decoded), bytes);
        }
    }

    #[test]
    fn the_decoder_survives_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = canonical::decode(&Bytes::from(bytes));
    }

    #[test]
    fn compare_never_contradicts_itself(x in event(), y in event()) {
        let there = compare(&x, &y);
        let back = compare(&y, &x);
        let mirrored = match there {
            Causality::Before => matches!(back, Causality::After | Causality::Before),
            Causality::After => back == Causality::Before,
            Causality::Concurrent => back == Causality::Concurrent,
            Causality::Equal => back == Causality::Equal,
        };
        prop_assert!(mirrored, "{there:?} {back:?}");
    }

    #[test]
    fn compare_is_a_strict_order_on_a_real_history(steps in prop::collection::vec((0usize..3, 0usize..3), 1..40)) {
        // Three locations write and read from each other; the true past is kept beside.
        let names = ["a", "b", "c"].map(|n| Origin::new(LocationName::new(n).unwrap(), Incarnation(1)));
        let mut seen = [VectorTime::new(), VectorTime::new(), VectorTime::new()];
        let mut past: [Vec<usize>; 3] = Default::default();
        let mut next = [0u64; 3];
        let mut history: Vec<(Event, Vec<usize>)> = Vec::new();
        for (writer, reader) in steps {
            next[writer] += 1;
            let template = blank(EventId::new(names[writer].clone(), next[writer]), seen[writer].clone());
            seen[writer].merge(&template.vector_time());
            history.push((template, past[writer].clone()));
            past[writer].push(history.len() - 1);
            if reader != writer {
                let from = seen[writer].clone();
                seen[reader].merge(&from);
                next[reader] = next[reader].max(seen[reader].get(&names[reader]));
                let merged: std::collections::BTreeSet<_> = past[reader].iter().chain(&past[writer]).copied().collect();
                past[reader] = merged.into_iter().collect();
            }
        }
        for (i, (x, x_past)) in history.iter().enumerate() {
            for (j, (y, y_past)) in history.iter().enumerate() {
                let expected = if i == j { Causality::Equal }
                    else if y_past.contains(&i) { Causality::Before }
                    else if x_past.contains(&j) { Causality::After }
                    else { Causality::Concurrent };
                prop_assert_eq!(compare(x, y), expected, "{:?} {:?}", x.id, y.id);
            }
        }
    }

    #[test]
    fn the_clock_never_runs_backwards(steps in prop::collection::vec((any::<bool>(), -1_000_000_000i64..1_000_000_000, 0u32..5), 1..60)) {
        let mut clock = HlcClock::default();
        let mut last = clock.last();
        for (local, micros, logical) in steps {
            if local {
                let t = clock.tick(micros);
                prop_assert!(t > last);
            } else {
                let received = HybridTime { micros, logical };
                let taken = clock.observe(received, 0);
                prop_assert_eq!(taken, micros <= last.micros.max(caps::CLOCK_AHEAD_MICROS_MAX));
                if taken {
                    prop_assert!(clock.tick(0) > received);
                }
            }
            prop_assert!(clock.last() >= last);
            last = clock.last();
        }
    }

    #[test]
    fn a_position_is_valid_iff_no_later_incarnation_began_below_it(
        bases in prop::collection::vec(0u64..50, 1..6), inc in 1u32..8, sequence in 0u64..60, head in 0u64..60,
    ) {
        let entries: Vec<_> = bases.iter().enumerate()
            .map(|(i, b)| LineageEntry { incarnation: Incarnation(i as u32 + 1), base: if i == 0 { 0 } else { *b } }).collect();
        let lineage = Lineage::new(entries.clone()).unwrap();
        let known = entries.iter().any(|e| e.incarnation.0 == inc);
        let valid = sequence <= head && (sequence == 0 || (known
            && entries.iter().filter(|e| e.incarnation.0 > inc).all(|e| sequence <= e.base)));
        prop_assert_eq!(lineage.check(Position::new(Incarnation(inc), sequence), head).is_ok(), valid);
    }
}

fn blank(id: EventId, context: VectorTime) -> Event {
    Event {
        id,
        context,
        time: HybridTime::default(),
        event_type: "t".into(),
        schema_version: 0,
        content_type: String::new(),
        payload: Bytes::new(),
        emitter_id: String::new(),
        aggregate_id: String::new(),
        destinations: Vec::new(),
        metadata: BTreeMap::new(),
        caused_by: None,
        delivery_id: String::new(),
        request_id: String::new(),
        request_index: 0,
        request_count: 0,
        application_version: "1".parse().unwrap(),
        plan_id: 0,
    }
}

fn field(tag: u8, value: &[u8]) -> Vec<u8> {
    [&[tag], &(value.len() as u32).to_be_bytes()[..], value].concat()
}

fn origin_bytes(location: &str, sequence: u64) -> Vec<u8> {
    let name = location.as_bytes();
    let parts: [&[u8]; 4] = [
        &[name.len() as u8],
        name,
        &1u32.to_be_bytes(),
        &sequence.to_be_bytes(),
    ];
    parts.concat()
}

fn texts(texts: &[&str]) -> Vec<u8> {
    let item = |text: &&str| {
        let length = (text.len() as u32).to_be_bytes();
        [&length[..], text.as_bytes()].concat()
    };
    texts.iter().flat_map(item).collect()
}

/// An event of these fields besides its id.
fn encoded(fields: &[Vec<u8>]) -> Bytes {
    let id = field(1, &origin_bytes("eu", 7));
    [vec![canonical::VERSION], id, fields.concat()]
        .concat()
        .into()
}

#[test]
fn what_says_the_same_in_other_bytes_is_refused() {
    let (ap, us) = (origin_bytes("ap", 1), origin_bytes("us", 2));
    let time = [&1i64.to_be_bytes()[..], &0u32.to_be_bytes()].concat();
    let kind = field(4, b"T");
    let schema = field(5, &1u32.to_be_bytes());
    let pairs = [
        (
            "a vector",
            field(2, &[ap.clone(), us.clone()].concat()),
            field(2, &[us, ap.clone()].concat()),
        ),
        (
            "an origin twice",
            field(2, &ap),
            field(2, &[ap.clone(), ap].concat()),
        ),
        (
            "a zero of four bytes",
            schema.clone(),
            field(5, &0u32.to_be_bytes()),
        ),
        (
            "a zero of eight bytes",
            field(18, &1u64.to_be_bytes()),
            field(18, &0u64.to_be_bytes()),
        ),
        (
            "a map",
            field(11, &texts(&["a", "x", "b", "y"])),
            field(11, &texts(&["b", "y", "a", "x"])),
        ),
        (
            "a key twice",
            field(11, &texts(&["a", "x"])),
            field(11, &texts(&["a", "x", "a", "x"])),
        ),
        (
            "bytes behind a time",
            field(3, &time),
            field(3, &[&time[..], &[0]].concat()),
        ),
        (
            "fields in another order",
            [kind.clone(), schema.clone()].concat(),
            [schema, kind.clone()].concat(),
        ),
        ("a field twice", kind.clone(), [kind.clone(), kind].concat()),
        ("an empty field", Vec::new(), field(4, b"")),
    ];
    for (what, right, wrong) in pairs {
        let right = encoded(&[right]);
        let event = canonical::decode(&right);
        assert_eq!(
            event.map(|e| canonical::encode(&e)),
            Ok(right.to_vec()),
            "{what}"
        );
        assert!(canonical::decode(&encoded(&[wrong])).is_err(), "{what}");
    }
}
