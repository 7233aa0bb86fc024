//! Pages: from memory and from the store the same, never beyond the published head, never of two histories.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidelog_core::LogView;
use tidelog_engine::{Closed, LogReader, PageError, PageQuery, ReaderOptions, Selection};
use tidelog_filter::SelectorFilter;
use tidelog_model::{Position, PositionError, Selector, StoredEvent};
use tidelog_store::{LogState, generate};
use tokio::time::timeout;

use crate::log::{Log, at, no_tail, sequences, small};

/// All pages up to the head, each judged against the bounds of the query.
async fn walk(reader: &LogReader, query: &PageQuery) -> Vec<(Vec<StoredEvent>, Position)> {
    let mut pages = Vec::new();
    let mut position = Position::default();
    loop {
        let page = reader.page(position, query).await.unwrap();
        assert!(page.events.len() <= query.events_max);
        assert!(page.position.sequence - position.sequence <= query.scan_max as u64);
        let bytes: usize = page.events.iter().map(|e| e.event.payload.len()).sum();
        assert!(
            bytes <= query.bytes_max || page.events.len() == 1,
            "{bytes}"
        );
        if page.position.sequence == position.sequence {
            return pages;
        }
        position = page.position;
        pages.push((page.events, position));
    }
}

fn all(pages: &[(Vec<StoredEvent>, Position)]) -> Vec<StoredEvent> {
    pages
        .iter()
        .flat_map(|(events, _)| events.clone())
        .collect()
}

#[tokio::test]
async fn pages_from_memory_and_from_the_store_are_the_same() {
    let plenty = ReaderOptions {
        tail_bytes_max: 1 << 24,
        ..small()
    };
    let mut log = Log::start(plenty).await;
    log.receive("us", 9, crate::log::peer_events("us", 9)).await;
    for _ in 0..20 {
        log.append_shaped(5, |i, event| {
            event.payload = Bytes::from(vec![1; i * 100]);
            event.aggregate_id = format!("order-{}", i % 3);
            event.event_type = if i % 2 == 0 { "Placed" } else { "Paid" }.into();
        })
        .await;
    }
    let from_memory = log.reader.clone();
    assert_eq!(from_memory.tail_size().events, 109);
    let (_keep, from_store) =
        tidelog_engine::published(log.store.clone(), log.stored_view().await, no_tail());
    assert_eq!(from_store.tail_size().events, 0);

    let selectors = [
        Selector::default(),
        Selector {
            keys: vec!["order-1".into(), "order-2".into()],
            ..Selector::default()
        },
        Selector {
            types: vec!["Paid".into()],
            ..Selector::default()
        },
        Selector {
            origins: vec![generate::location("us")],
            ..Selector::default()
        },
        Selector {
            keys: vec!["nobody".into()],
            ..Selector::default()
        },
    ];
    for selector in selectors {
        let expected: Vec<_> = log
            .stored()
            .await
            .into_iter()
            .filter(|e| selector.matches(&e.event))
            .collect();
        for (events_max, bytes_max, scan_max) in [
            (1, 1, 1),
            (3, 250, 100),
            (7, 10_000, 4),
            (1_000, 1_000, 1_000),
            (1_000, 1 << 30, 1_000),
        ] {
            let query = PageQuery {
                events_max,
                bytes_max,
                scan_max,
                selection: selector.clone().into(),
                ..from_memory.page_query()
            };
            assert_eq!(
                all(&walk(&from_memory, &query).await),
                expected,
                "{query:?}"
            );
            assert_eq!(all(&walk(&from_store, &query).await), expected, "{query:?}");
        }
    }
}

#[tokio::test]
async fn a_predicate_narrows_both_and_small_pages_stay_small() {
    for options in [small(), no_tail()] {
        let mut log = Log::start(options).await;
        log.append(100).await;
        let wanted = |sequence: u64| sequence % 10 == 3;
        let query = PageQuery {
            events_max: 2,
            scan_max: 1_000,
            selection: Selection {
                selector: Selector::default(),
                predicate: Some(Arc::new(move |event| wanted(event.id.sequence))),
            },
            ..log.reader.page_query()
        };
        let pages = walk(&log.reader, &query).await;
        let expected: Vec<u64> = (1..=100).filter(|n| wanted(*n)).collect();
        assert_eq!(sequences(&all(&pages)), expected);
        assert_eq!(pages[0].1, at(1, 13), "a full page ends at its last event");
    }
}

#[tokio::test]
async fn what_the_store_shows_but_is_not_published_is_never_served() {
    for options in [small(), no_tail()] {
        let mut log = Log::start(options).await;
        log.append(5).await;
        let batch = log.commit_only(3).await;
        assert_eq!(log.stored().await.len(), 8);

        let query = log.reader.page_query();
        let page = log.reader.page(at(1, 3), &query).await.unwrap();
        assert_eq!(sequences(&page.events), [4, 5]);
        assert_eq!(page.position, at(1, 5));
        let page = log.reader.page(at(1, 5), &query).await.unwrap();
        assert_eq!((page.events.len(), page.position), (0, at(1, 5)));
        let ahead = PositionError::Ahead {
            position: at(1, 6),
            head: 5,
        };
        assert_eq!(
            log.reader.page(at(1, 6), &query).await.unwrap_err(),
            ahead.into()
        );
        let ids = log.reader.ids(at(1, 0), 100).await.unwrap();
        assert_eq!(
            ids.rows.iter().map(|r| r.sequence).collect::<Vec<_>>(),
            [1, 2, 3, 4, 5]
        );
        assert_eq!(log.reader.hash_at(8).await.unwrap().0, None);
        assert_eq!(
            log.reader.hash_at(5).await.unwrap().0,
            Some(log.reader.view().hash)
        );

        log.publish(batch).await;
        let page = log.reader.page(at(1, 5), &query).await.unwrap();
        assert_eq!(sequences(&page.events), [6, 7, 8]);
    }
}

#[tokio::test]
async fn a_page_that_was_read_before_a_raise_is_not_served_after_it() {
    let mut log = Log::start(no_tail()).await;
    log.append(10).await;
    log.store.close_gate();
    let (reader, query) = (log.reader.clone(), log.reader.page_query());
    let held = tokio::spawn(async move { reader.page(at(1, 6), &query).await });
    log.store.reader_arrived().await;
    log.rewrite(7, 5).await;
    log.store.open_gate();
    let changed = PositionError::IncarnationChanged {
        position: at(1, 6),
        last_safe: at(7, 5),
    };
    assert_eq!(
        held.await.unwrap().unwrap_err(),
        PageError::Position(changed)
    );
}

#[tokio::test]
async fn a_page_that_crosses_the_base_of_a_raise_is_read_again() {
    let mut log = Log::start(no_tail()).await;
    log.append(10).await;
    log.store.close_gate();
    let (reader, query) = (log.reader.clone(), log.reader.page_query());
    let held = tokio::spawn(async move { reader.page(at(1, 4), &query).await });
    log.store.reader_arrived().await;
    log.rewrite(7, 5).await;
    log.store.open_gate();
    let page = held.await.unwrap().unwrap();
    let origins: Vec<_> = page
        .events
        .iter()
        .map(|e| e.event.id.origin.incarnation.0)
        .collect();
    assert_eq!(
        origins,
        [1, 7, 7, 7, 7, 7],
        "all of the history that the view shows"
    );
    assert_eq!(page.position, at(7, 10));
}

#[tokio::test]
async fn a_page_that_was_read_when_the_history_began_to_change_is_not_served() {
    let mut log = Log::start(no_tail()).await;
    log.append(10).await;
    log.store.close_gate();
    let (reader, query) = (log.reader.clone(), log.reader.page_query());
    let mut held = tokio::spawn(async move { reader.page(at(1, 6), &query).await });
    log.store.reader_arrived().await;
    log.publisher.suspend();
    log.store.open_gate();
    let early = timeout(Duration::from_millis(50), &mut held).await;
    assert!(early.is_err(), "it may be of another history: {early:?}");
    log.publisher.reset(log.stored_view().await);
    let page = held.await.unwrap().unwrap();
    assert_eq!(sequences(&page.events), [7, 8, 9, 10]);
}

#[tokio::test]
async fn while_the_history_changes_readers_wait() {
    let mut log = Log::start(no_tail()).await;
    log.append(10).await;
    log.publisher.suspend();
    log.rewrite_store(7, 5).await;
    let query = log.reader.page_query();
    let early = timeout(Duration::from_millis(30), log.reader.page(at(1, 7), &query)).await;
    assert!(
        early.is_err(),
        "the store shows another history by now: {early:?}"
    );
    log.publisher.reset(log.stored_view().await);
    let refused = log.reader.page(at(1, 7), &query).await.unwrap_err();
    assert!(matches!(
        refused,
        PageError::Position(PositionError::IncarnationChanged { .. })
    ));
}

#[tokio::test]
async fn memory_of_a_history_that_was_rewritten_is_forgotten() {
    let plenty = ReaderOptions {
        tail_bytes_max: 1 << 24,
        ..small()
    };
    let mut log = Log::start(plenty).await;
    log.append(10).await;
    log.rewrite(7, 5).await;
    let query = PageQuery {
        events_max: 100,
        scan_max: 100,
        ..log.reader.page_query()
    };
    let page = log.reader.page(at(1, 0), &query).await.unwrap();
    assert_eq!(page.events, log.stored().await);
    assert_eq!(page.events[9].event.id.origin.incarnation.0, 7);
}

#[tokio::test]
async fn a_database_that_lost_rows_is_told_instead_of_asked_forever() {
    let mut log = Log::start(no_tail()).await;
    log.append(5).await;
    let mut view = log.stored_view().await;
    view.head = 9;
    log.publisher.publish(Vec::new(), view);
    let query = log.reader.page_query();
    let behind = PageError::Behind { head: 9, found: 5 };
    assert_eq!(log.reader.page(at(1, 5), &query).await.unwrap_err(), behind);
    assert_eq!(log.reader.ids(at(1, 5), 10).await.unwrap_err(), behind);
}

#[tokio::test]
async fn a_closed_log_says_why_to_those_who_wait_and_those_who_come() {
    let mut log = Log::start(small()).await;
    log.append(1).await;
    let reader = log.reader.clone();
    let waiting = tokio::spawn(async move { reader.wait_for_head_above(1).await });
    tokio::task::yield_now().await;
    let reason = Closed::NotWriter {
        address: "eu-1:7440".into(),
    };
    log.publisher.close(reason.clone());
    assert_eq!(waiting.await.unwrap().unwrap_err(), reason);
    let query = log.reader.page_query();
    let refused = log.reader.page(at(1, 0), &query).await.unwrap_err();
    assert_eq!(refused, PageError::Closed(reason));
    assert_eq!(
        log.reader.view().head,
        1,
        "what it was can still be described"
    );

    log.publisher.reset(log.stored_view().await);
    assert!(
        log.reader.page(at(1, 0), &query).await.is_ok(),
        "the lease was won again"
    );
    let reader = log.reader.clone();
    drop(log);
    let refused = reader.page(at(1, 0), &query).await.unwrap_err();
    assert_eq!(refused, PageError::Closed(Closed::ShuttingDown));
}

#[tokio::test]
async fn the_view_is_followed_and_waits_end_when_the_head_has_moved() {
    let mut log = Log::start(small()).await;
    let mut watch = log.reader.watch();
    let reader = log.reader.clone();
    let waiting = tokio::spawn(async move { reader.wait_for_head_above(3).await });
    log.append(3).await;
    assert_eq!(watch.changed().await.unwrap().head, 3);
    assert!(!waiting.is_finished());
    log.append(1).await;
    assert_eq!(waiting.await.unwrap().unwrap().head, 4);
    log.raise(7).await;
    let view = watch.changed().await.unwrap();
    assert_eq!((view.head, view.current().incarnation.0), (4, 7));
    log.publisher.suspend();
    assert!(
        timeout(Duration::from_millis(20), watch.changed())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn before_a_log_has_an_incarnation_readers_wait_instead_of_losing_their_position() {
    let mut log = Log::start(small()).await;
    log.append(3).await;
    let empty = LogView::of(generate::location("eu"), &LogState::empty());
    let (publisher, reader) = tidelog_engine::published(log.store.clone(), empty, small());
    let query = reader.page_query();
    let early = timeout(Duration::from_millis(20), reader.page(at(1, 2), &query)).await;
    assert!(early.is_err(), "{early:?}");
    publisher.reset(log.stored_view().await);
    assert_eq!(
        sequences(&reader.page(at(1, 2), &query).await.unwrap().events),
        [3]
    );
}

#[tokio::test]
async fn a_cel_expression_narrows_as_any_predicate() {
    let mut log = Log::start(small()).await;
    log.append_shaped(20, |i, e| e.aggregate_id = format!("order-{}", i % 4))
        .await;
    let filter = SelectorFilter::compile("event.aggregate_id == 'order-2'").unwrap();
    let query = PageQuery {
        selection: Selection {
            selector: Selector::default(),
            predicate: Some(Arc::new(move |event| filter.matches(event))),
        },
        ..log.reader.page_query()
    };
    assert_eq!(
        sequences(&all(&walk(&log.reader, &query).await)),
        [3, 7, 11, 15, 19]
    );
}
