//! Pages: bounds, limits, selectors, and progress past what does not match.

use tidelog_model::{Event, Selector};

use super::{Fixture, pages, query, started};
use crate::generate::{Peer, Writer, location};
use crate::log_store::LogStore;
use crate::query::ReadQuery;

async fn log_of(store: &dyn LogStore, writer: &mut Writer, count: usize) {
    let batch = writer.append(count, |i, e| e.payload = vec![i as u8; 100].into());
    store.commit(&batch).await.expect("a commit");
}

async fn sequences(store: &dyn LogStore, query: &ReadQuery) -> Vec<u64> {
    let events = pages(store, query).await;
    events.iter().map(|e| e.sequence).collect()
}

/// `(after, to]`.
pub async fn after_is_exclusive_and_to_is_inclusive(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    log_of(store.as_ref(), &mut writer, 10).await;
    for (after, to, wanted) in [
        (0, 10, (1..=10).collect::<Vec<u64>>()),
        (3, 5, vec![4, 5]),
        (4, 5, vec![5]),
        (5, 5, vec![]),
        (6, 5, vec![]),
        (0, 0, vec![]),
        (8, u64::MAX, vec![9, 10]),
    ] {
        let page = store
            .read(&query(after, to, Selector::default()))
            .await
            .expect("a page");
        let found: Vec<_> = page.events.iter().map(|e| e.sequence).collect();
        assert_eq!(found, wanted, "({after}, {to}]");
        assert_eq!(page.scanned_to, to.min(10).max(after), "({after}, {to}]");
    }
}

/// At or beyond the head there is nothing to look at, and the position stays.
pub async fn beyond_the_head_is_empty(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    log_of(store.as_ref(), &mut writer, 3).await;
    for after in [3, 4, 1_000, i64::MAX as u64, u64::MAX] {
        let page = store
            .read(&query(after, u64::MAX, Selector::default()))
            .await
            .expect("a page");
        assert!(page.events.is_empty());
        assert_eq!(page.scanned_to, after);
        assert_eq!(
            store.hash_at(after).await.expect("an answer").is_some(),
            after == 3
        );
    }
}

/// `events_max` bounds the page; the next one continues where it ended.
pub async fn a_page_is_limited_by_events(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    log_of(store.as_ref(), &mut writer, 10).await;
    for events_max in [1, 3, 10, 11] {
        let mut wanted = query(0, 10, Selector::default());
        wanted.events_max = events_max;
        let page = store.read(&wanted).await.expect("a page");
        assert_eq!(page.events.len(), events_max.min(10));
        assert_eq!(page.scanned_to, events_max.min(10) as u64);
        assert_eq!(
            sequences(store.as_ref(), &wanted).await,
            (1..=10).collect::<Vec<_>>()
        );
    }
}

/// `bytes_max` counts payloads; an event larger than that travels alone.
pub async fn a_page_is_limited_by_payload_bytes_but_holds_one(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    log_of(store.as_ref(), &mut writer, 6).await;
    for (bytes_max, count) in [
        (0, 1),
        (1, 1),
        (100, 1),
        (199, 1),
        (200, 2),
        (599, 5),
        (600, 6),
        (usize::MAX, 6),
    ] {
        let mut wanted = query(0, 6, Selector::default());
        wanted.bytes_max = bytes_max;
        let page = store.read(&wanted).await.expect("a page");
        assert_eq!(page.events.len(), count, "{bytes_max} bytes");
        assert_eq!(page.scanned_to, count as u64, "{bytes_max} bytes");
        assert_eq!(
            sequences(store.as_ref(), &wanted).await,
            (1..=6).collect::<Vec<_>>()
        );
    }
}

/// `scan_max` bounds what is looked at, matching or not.
pub async fn a_page_is_limited_by_rows_looked_at(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    log_of(store.as_ref(), &mut writer, 10).await;
    for scan_max in [1, 4, 10, 100] {
        let mut wanted = query(2, 9, Selector::default());
        wanted.scan_max = scan_max;
        let page = store.read(&wanted).await.expect("a page");
        assert_eq!(page.events.len(), scan_max.min(7));
        assert_eq!(page.scanned_to, 2 + scan_max.min(7) as u64);
    }
}

/// A reader that matches nothing reaches the head in bounded pages.
pub async fn a_selector_that_matches_nothing_still_makes_progress(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    log_of(store.as_ref(), &mut writer, 10).await;
    let selectors = [
        Selector {
            keys: vec!["no such key".into()],
            ..Selector::default()
        },
        Selector {
            types: vec!["NoSuchType".into()],
            ..Selector::default()
        },
        Selector {
            origins: vec![location("nowhere")],
            ..Selector::default()
        },
    ];
    for selector in selectors {
        let mut wanted = query(0, 10, selector);
        wanted.scan_max = 4;
        let mut seen = Vec::new();
        while seen.last() != Some(&10) {
            let page = store.read(&wanted).await.expect("a page");
            assert!(page.events.is_empty());
            assert!(page.scanned_to > wanted.after, "no progress");
            wanted.after = page.scanned_to;
            seen.push(page.scanned_to);
        }
        assert_eq!(seen, [4, 8, 10]);
    }
}

/// A key is an aggregate id or any of the destinations, compared as a whole and by bytes.
pub async fn keys_match_aggregate_and_destinations(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let shapes: [(&str, &[&str]); 7] = [
        ("a", &[]),
        ("b", &["a"]),
        ("a", &["a", "a"]),
        ("A", &["a ", "aa"]),
        ("", &["b", "c", "a"]),
        ("ä", &["%"]),
        ("", &[]),
    ];
    let batch = writer.append(shapes.len(), |i, e| {
        e.aggregate_id = shapes[i].0.into();
        e.destinations = shapes[i].1.iter().map(|d| (*d).to_string()).collect();
    });
    store.commit(&batch).await.expect("a commit");
    for (keys, wanted) in [
        (vec!["a"], vec![1, 2, 3, 5]),
        (vec!["b"], vec![2, 5]),
        (vec!["c"], vec![5]),
        (vec!["A", "ä"], vec![4, 6]),
        (vec!["a", "b", "a"], vec![1, 2, 3, 5]),
        (vec!["%"], vec![6]),
        (vec!["a "], vec![4]),
        (vec![""], vec![5, 7]),
    ] {
        let selector = Selector {
            keys: keys.iter().map(|k| (*k).to_string()).collect(),
            ..Selector::default()
        };
        let found = sequences(store.as_ref(), &query(0, 10, selector)).await;
        assert_eq!(found, wanted, "{keys:?}");
    }
}

fn shape(i: usize, event: &mut Event) {
    event.aggregate_id = format!("k{}", i % 4);
    event.event_type = format!("T{}", i % 3);
    if i.is_multiple_of(5) {
        event.destinations = vec![format!("k{}", (i + 1) % 4), "all".into()];
    }
}

/// A log of own events and those of three origins, shaped in turn.
async fn mixed_log(fixture: &dyn Fixture) -> std::sync::Arc<dyn LogStore> {
    let (store, mut writer) = started(fixture).await;
    let mut peers = [
        Peer::new("us"),
        Peer::with_incarnation("us", 2),
        Peer::new("ap"),
    ];
    let mut i = 0;
    for round in 0..6 {
        let mut events = Vec::new();
        for peer in &mut peers {
            events.push(peer.write(|e| shape(i, e)));
            i += 1;
        }
        let frame = writer.receive("us", round + 1, events);
        store.commit(&frame).await.expect("a frame");
        let own = writer.append(2, |n, e| shape(i + n, e));
        i += 2;
        store.commit(&own).await.expect("a commit");
    }
    store
}

fn selectors() -> Vec<Selector> {
    let mut out = Vec::new();
    for keys in [vec![], vec!["k1"], vec!["k0", "k3"], vec!["all"]] {
        for types in [vec![], vec!["T0"], vec!["T1", "T2"]] {
            for origins in [vec![], vec!["us"], vec!["eu", "ap"], vec!["nowhere", "ap"]] {
                out.push(Selector {
                    keys: keys.iter().map(|k| (*k).to_string()).collect(),
                    types: types.iter().map(|t| (*t).to_string()).collect(),
                    origins: origins.iter().map(|o| location(o)).collect(),
                });
            }
        }
    }
    out
}

/// Keys AND types AND origins, any of each; an origin is a location in any incarnation.
pub async fn types_and_origins_narrow_and_combine(fixture: &dyn Fixture) {
    let store = mixed_log(fixture).await;
    let all = pages(store.as_ref(), &query(0, u64::MAX, Selector::default())).await;
    assert_eq!(all.len(), 30);
    let mut matched = 0;
    for selector in selectors() {
        let wanted: Vec<_> = all
            .iter()
            .filter(|e| selector.matches(&e.event))
            .cloned()
            .collect();
        matched += wanted.len();
        let found = pages(store.as_ref(), &query(0, u64::MAX, selector.clone())).await;
        assert_eq!(found, wanted, "{selector:?}");
    }
    assert!(matched > 100, "the selectors match something");
}

/// However small the pages are, together they are the log.
pub async fn a_selector_never_skips_an_event(fixture: &dyn Fixture) {
    let store = mixed_log(fixture).await;
    let all = pages(store.as_ref(), &query(0, u64::MAX, Selector::default())).await;
    for (i, selector) in selectors().into_iter().enumerate() {
        let mut wanted = query(1, 29, selector);
        wanted.events_max = 1 + i % 3;
        wanted.scan_max = 1 + i % 7;
        let expected: Vec<_> = all[1..29]
            .iter()
            .filter(|e| wanted.selector.matches(&e.event))
            .map(|e| e.sequence)
            .collect();
        assert_eq!(
            sequences(store.as_ref(), &wanted).await,
            expected,
            "{wanted:?}"
        );
    }
}

/// Sequence 0 and what lies beyond the head do not exist.
pub async fn one_event_is_read_by_its_sequence(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let batch = writer.append(3, |_, _| {});
    store.commit(&batch).await.expect("a commit");
    for sequence in 0..5u64 {
        let wanted = batch
            .events
            .iter()
            .find(|e| e.sequence == sequence)
            .cloned();
        assert_eq!(store.event(sequence).await.expect("an answer"), wanted);
    }
}

/// Strictly before; events of one batch share their time.
pub async fn the_position_before_a_time_is_the_last_stored_before_it(fixture: &dyn Fixture) {
    let (store, mut writer) = started(fixture).await;
    let mut times = Vec::new();
    for count in [3, 1, 4] {
        let batch = writer.append(count, |_, _| {});
        store.commit(&batch).await.expect("a commit");
        times.push(batch.stored_at_micros);
    }
    for (time, wanted) in [
        (i64::MIN, 0),
        (0, 0),
        (times[0], 0),
        (times[0] + 1, 3),
        (times[1], 3),
        (times[1] + 1, 4),
        (times[2], 4),
        (times[2] + 1, 8),
        (i64::MAX, 8),
    ] {
        let position = store.position_before(time).await.expect("a position");
        assert_eq!(position, wanted, "{time}");
    }
}
