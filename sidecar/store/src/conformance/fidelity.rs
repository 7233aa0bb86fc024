//! What is read is bit for bit what was written.

use bytes::Bytes;
use tidelog_model::{
    Cause, ChainHash, Event, EventId, HybridTime, Incarnation, Lineage, LineageEntry, Selector,
    StoredEvent, VectorTime, canonical, caps,
};

use super::{Fixture, pages, query, reopened, started};
use crate::batch::WriteBatch;
use crate::error::{AlteredEvent, StoreError};
use crate::generate::{self, Peer, chained, location, origin};
use crate::query::{CauseKey, CheckQuery, ConditionQuery};
use crate::state::Progress;

fn assert_same(found: &[StoredEvent], written: &[StoredEvent]) {
    assert_eq!(found.len(), written.len());
    for (found, written) in found.iter().zip(written) {
        assert_eq!(found, written);
        // Versions compare by number; the text is kept as well.
        assert_eq!(
            canonical::encode(&found.event),
            canonical::encode(&written.event)
        );
    }
}

/// Commits, reads, reopens, reads.
async fn comes_back(fixture: &dyn Fixture, make: impl FnOnce(&mut generate::Writer) -> WriteBatch) {
    let (store, mut writer) = started(fixture).await;
    let batch = make(&mut writer);
    store.commit(&batch).await.expect("a commit");
    let everything = query(0, u64::MAX, Selector::default());
    assert_same(&pages(store.as_ref(), &everything).await, &batch.events);
    let store = reopened(fixture, store).await;
    assert_same(&pages(store.as_ref(), &everything).await, &batch.events);
    let state = store.state().await.expect("the state");
    assert_eq!(state.version_vector, batch.version_vector);
    assert_eq!(state.covered_vector, batch.covered_vector);
    assert_eq!(state.hash, batch.hash);
    assert_eq!(state.clock, batch.clock);
    assert_eq!(state.stored_at_micros, batch.stored_at_micros);
    if let Some((source, progress)) = &batch.progress {
        assert_eq!(&state.progress[source], progress);
    }
}

fn full(event: &mut Event) {
    event.context.merge(
        &"eu#1:3,us#1:70000,us#2:1,zz-9#4294967295:9223372036854775806"
            .parse()
            .expect("a vector"),
    );
    event.time = HybridTime {
        micros: 1_700_000_000_123_456,
        logical: 7,
    };
    event.event_type = "OrderPlaced".into();
    event.schema_version = 3;
    event.content_type = "application/json".into();
    event.payload = Bytes::from_static(b"{\"total\": 5}\0\xff\xfe");
    event.emitter_id = "order-actor-7".into();
    event.aggregate_id = "order-7".into();
    event.destinations = ["warehouse", "billing", "warehouse", ""]
        .map(String::from)
        .into();
    event.metadata = [
        ("traceparent", "00-ab-cd-01"),
        ("empty", ""),
        ("", "no key"),
    ]
    .map(|(k, v)| (k.to_string(), v.to_string()))
    .into();
    event.caused_by = Some(Cause {
        log: "shop".into(),
        id: "ap#3/99".parse().expect("an id"),
        output_index: 2,
    });
    event.delivery_id = "delivery-1".into();
    event.request_id = "request-1".into();
    event.request_index = 4;
    event.request_count = 9;
    event.application_version = "1.30.0".parse().expect("a version");
    event.plan_id = 0x0123_4567_89ab_cdef;
}

/// Every field set, appended here and received.
pub async fn every_field_comes_back_as_it_was_written(fixture: &dyn Fixture) {
    comes_back(fixture, |writer| {
        let frame = writer.clone().receive("us", 9, Vec::new());
        let mut own = (*writer.clone().append(1, |_, e| full(e)).events[0].event).clone();
        own.id = EventId::new(writer.origin(), 70_001);
        let received = Peer::with_incarnation("us", 2).write(full);
        writer.batch(vec![(true, own), (false, received)], frame.progress)
    })
    .await;
}

/// Every field that may be absent is absent.
pub async fn empty_fields_come_back_empty(fixture: &dyn Fixture) {
    comes_back(fixture, |writer| {
        writer.append(2, |_, e| {
            e.event_type = String::new();
            e.aggregate_id = String::new();
            e.context = VectorTime::new();
            e.time = HybridTime::default();
        })
    })
    .await;
}

/// Text is neither normalised, trimmed nor folded, and is found by what it is.
pub async fn all_of_unicode_comes_back(fixture: &dyn Fixture) {
    let low: Vec<char> = (1..0x1000).filter_map(char::from_u32).collect();
    let high: Vec<char> = (0x1000..0x11_0000)
        .step_by(509)
        .chain([
            0xd7ff, 0xe000, 0xfeff, 0xfffd, 0xfffe, 0xffff, 0x1_0000, 0x10_ffff,
        ])
        .filter_map(char::from_u32)
        .collect();
    let texts: Vec<String> = low
        .chunks(120)
        .chain(high.chunks(120))
        .map(|chunk| chunk.iter().collect())
        .collect();
    let (store, mut writer) = started(fixture).await;
    let cause = |text: &str, i: usize| Cause {
        log: text.into(),
        id: EventId::new(origin("ap", 1), i as u64 + 1),
        output_index: 0,
    };
    let batch = writer.append(texts.len(), |i, e| {
        let text = &texts[i];
        for field in [
            &mut e.event_type,
            &mut e.content_type,
            &mut e.emitter_id,
            &mut e.aggregate_id,
            &mut e.delivery_id,
            &mut e.request_id,
        ] {
            field.clone_from(text);
        }
        e.destinations = vec![format!("to {text}")];
        e.metadata = [(text.clone(), text.clone())].into();
        e.caused_by = Some(cause(text, i));
    });
    store.commit(&batch).await.expect("a commit");
    let everything = query(0, u64::MAX, Selector::default());
    assert_same(&pages(store.as_ref(), &everything).await, &batch.events);
    for (i, text) in texts.iter().enumerate() {
        let wanted = std::slice::from_ref(&batch.events[i]);
        for key in [text.clone(), format!("to {text}")] {
            let selector = Selector {
                keys: vec![key.clone()],
                types: vec![text.clone()],
                ..Selector::default()
            };
            let found = pages(store.as_ref(), &query(0, u64::MAX, selector)).await;
            assert_same(&found, wanted);
            let asked = CheckQuery {
                requests: vec![text.clone()],
                causes: vec![CauseKey {
                    emitter_id: text.clone(),
                    cause: cause(text, i),
                }],
                conditions: vec![ConditionQuery {
                    keys: vec![key],
                    types: vec![text.clone()],
                    after: 0,
                }],
            };
            let answers = store.check(&asked).await.expect("answers");
            assert_same(&answers.requests[0], wanted);
            assert_eq!(answers.causes[0].as_ref(), wanted.first());
            assert_eq!(answers.conditions, [Some(i as u64 + 1)]);
        }
    }
}

/// The ends of every number's range.
pub async fn extreme_numbers_come_back(fixture: &dyn Fixture) {
    comes_back(fixture, |writer| {
        let largest = origin("zz", u32::MAX);
        let id = EventId::new(largest.clone(), caps::SEQUENCE_MAX);
        let mut high = generate::event(id.clone());
        high.context.set(&largest, caps::SEQUENCE_MAX - 1);
        high.context.set(&origin("aa", 0), 1);
        high.time = HybridTime {
            micros: i64::MAX,
            logical: u32::MAX,
        };
        high.schema_version = u32::MAX;
        high.caused_by = Some(Cause {
            log: "l".into(),
            id,
            output_index: u32::MAX,
        });
        high.request_id = "r".into();
        high.request_index = u32::MAX;
        high.request_count = u32::MAX;
        high.plan_id = u64::MAX;
        high.application_version = "4294967295.0.0".parse().expect("a version");
        let mut low = generate::event(EventId::new(origin("aa", 0), 1));
        low.time = HybridTime {
            micros: i64::MIN,
            logical: 0,
        };
        let progress = Progress {
            position: caps::SEQUENCE_MAX,
            hash: ChainHash([0xff; 32]),
            lineage: Lineage::new(vec![LineageEntry {
                incarnation: Incarnation(u32::MAX),
                base: caps::SEQUENCE_MAX,
            }])
            .expect("a lineage"),
        };
        writer.clock = HybridTime {
            micros: i64::MAX,
            logical: u32::MAX,
        };
        writer.stored_at_micros = i64::MAX - 1_000;
        writer.batch(
            vec![(false, high), (false, low)],
            Some((location("zz"), progress)),
        )
    })
    .await;
}

/// Exactly as large as an event may be, among small ones.
pub async fn the_largest_event_comes_back(fixture: &dyn Fixture) {
    comes_back(fixture, |writer| {
        writer.append(3, |i, e| {
            if i == 1 {
                let overhead = canonical::encode(e).len() + 5;
                let bytes: Vec<u8> = (0..caps::EVENT_BYTES_MAX - overhead)
                    .map(|n| (n * 31 % 251) as u8)
                    .collect();
                e.payload = bytes.into();
                assert_eq!(canonical::encode(e).len(), caps::EVENT_BYTES_MAX);
            }
        })
    })
    .await;
}

/// Vectors of 256 entries with the longest names, and the longest lineage.
pub async fn the_largest_vectors_come_back(fixture: &dyn Fixture) {
    comes_back(fixture, |writer| {
        let vector: VectorTime = (0..caps::VECTOR_ENTRIES_MAX - 1)
            .map(|i| {
                let name = format!("{i:0>width$}", width = caps::LOCATION_NAME_BYTES_MAX);
                (
                    origin(&name, u32::MAX - i as u32),
                    caps::SEQUENCE_MAX - i as u64,
                )
            })
            .collect();
        writer.version_vector.merge(&vector);
        let entries = (0..caps::LINEAGE_ENTRIES_MAX as u32).map(|i| LineageEntry {
            incarnation: Incarnation(i + 1),
            base: u64::from(i) * 1_000_000_007,
        });
        let progress = Progress {
            position: 1,
            hash: ChainHash([7; 32]),
            lineage: Lineage::new(entries.collect()).expect("a lineage"),
        };
        let own = writer.clone().append(2, |_, _| {});
        let drafts = own
            .events
            .iter()
            .map(|e| (true, (*e.event).clone()))
            .collect::<Vec<_>>();
        assert_eq!(drafts[1].1.context.len(), caps::VECTOR_ENTRIES_MAX);
        writer.batch(drafts, Some((location("us"), progress)))
    })
    .await;
}

/// As many destinations and metadata entries as an event may have, each as long as it may be.
pub async fn the_largest_collections_come_back(fixture: &dyn Fixture) {
    let key = |i: usize| format!("{i:0>width$}", width = caps::KEY_BYTES_MAX);
    comes_back(fixture, |writer| {
        writer.append(2, |_, e| {
            e.destinations = (0..caps::DESTINATIONS_MAX).rev().map(key).collect();
            e.metadata = (0..caps::METADATA_ENTRIES_MAX)
                .map(|i| (key(i), "v".repeat(caps::METADATA_VALUE_BYTES_MAX)))
                .collect();
            e.request_id = key(1);
            e.emitter_id = key(2);
        })
    })
    .await;
}

/// A digest that does not fit the content is found out whenever the event is given back.
pub async fn content_that_does_not_fit_its_digest_is_corrupted(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let before = writer.hash;
    let mut batch = writer.append(3, |i, e| e.request_id = format!("r{i}"));
    let computed = batch.events[1].digest;
    batch.events[1].digest.0[31] ^= 1;
    let (id, recorded) = (batch.events[1].event.id.clone(), batch.events[1].digest);
    batch.hash = chained(before, &batch.events);
    store
        .commit(&batch)
        .await
        .expect("the store does not judge");
    let is_named = |error: Option<StoreError>| {
        let named = AlteredEvent {
            sequence: 2,
            id: id.clone(),
            recorded,
            computed,
        };
        assert_eq!(error, Some(StoreError::Altered(named.into())));
    };
    let everything = query(0, u64::MAX, Selector::default());
    is_named(store.read(&everything).await.err());
    is_named(store.event(2).await.err());
    let mut asked = CheckQuery {
        requests: vec!["r1".into()],
        ..CheckQuery::default()
    };
    is_named(store.check(&asked).await.err());
    asked.requests = vec!["r0".into(), "r2".into()];
    assert!(store.check(&asked).await.is_ok(), "the others are sound");
    assert!(store.event(1).await.is_ok());
    assert!(store.event(3).await.is_ok());
}
