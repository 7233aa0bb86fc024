//! Finite reads: the range is fixed at the call and is of one history.

use std::sync::Arc;
use std::time::Duration;

use tidelog_engine::{
    AwaitError, LogReader, PageError, ReadError, ReadItem, ReadRequest, Selection,
};
use tidelog_model::{LimitError, Position, PositionError, Selector};

use crate::log::{Log, at, no_tail, sequences, small, version};

async fn read(reader: &LogReader, request: ReadRequest) -> (Vec<u64>, Position, u64) {
    let mut reading = reader.read(request).await.unwrap();
    let (mut seen, mut last) = (Vec::new(), None);
    while let Some(item) = reading.next().await.unwrap() {
        seen.extend(sequences(&item.events));
        last = Some((item.position, item.head));
    }
    let (position, head) = last.expect("at least one item");
    (seen, position, head)
}

fn after(sequence: u64) -> ReadRequest {
    ReadRequest {
        after: at(1, sequence),
        ..ReadRequest::default()
    }
}

#[tokio::test]
async fn a_range_is_read_in_pages_and_ends_with_the_position_reached() {
    for options in [small(), no_tail()] {
        let mut log = Log::start(options).await;
        log.append(50).await;
        let expected = |from: u64, to: u64| (from..=to).collect::<Vec<_>>();
        let reader = &log.reader;
        assert_eq!(
            read(reader, after(0)).await,
            (expected(1, 50), at(1, 50), 50)
        );
        assert_eq!(
            read(reader, after(20)).await,
            (expected(21, 50), at(1, 50), 50)
        );
        let to = ReadRequest {
            to: 33,
            ..after(20)
        };
        assert_eq!(read(reader, to).await, (expected(21, 33), at(1, 33), 50));
        let beyond = ReadRequest {
            to: 99,
            ..after(45)
        };
        assert_eq!(
            read(reader, beyond).await,
            (expected(46, 50), at(1, 50), 50)
        );
        let limited = ReadRequest {
            limit: 9,
            ..after(20)
        };
        assert_eq!(
            read(reader, limited).await,
            (expected(21, 29), at(1, 29), 50)
        );
        assert_eq!(read(reader, after(50)).await, (vec![], at(1, 50), 50));
        let backwards = ReadRequest {
            to: 10,
            ..after(20)
        };
        assert_eq!(read(reader, backwards).await, (vec![], at(1, 20), 50));
    }
}

#[tokio::test]
async fn an_empty_log_is_read_in_one_empty_item() {
    let log = Log::start(small()).await;
    assert_eq!(
        read(&log.reader, ReadRequest::default()).await,
        (vec![], at(1, 0), 0)
    );
}

#[tokio::test]
async fn a_limit_counts_wanted_events_and_a_range_that_matches_nothing_ends() {
    for options in [small(), no_tail()] {
        let mut log = Log::start(options).await;
        log.append_shaped(60, |i, e| {
            e.event_type = if i % 20 == 5 { "Rare" } else { "Often" }.into();
        })
        .await;
        let of = |name: &str| Selector {
            types: vec![name.into()],
            ..Selector::default()
        };
        let rare = ReadRequest {
            limit: 2,
            selection: of("Rare").into(),
            ..after(0)
        };
        assert_eq!(read(&log.reader, rare).await, (vec![6, 26], at(1, 26), 60));
        let odd: Selection = Selection {
            selector: of("Rare"),
            predicate: Some(Arc::new(|e| e.id.sequence > 40)),
        };
        let one = ReadRequest {
            limit: 1,
            selection: odd,
            ..after(0)
        };
        assert_eq!(read(&log.reader, one).await, (vec![46], at(1, 46), 60));
        let never = ReadRequest {
            selection: of("Never").into(),
            ..after(0)
        };
        assert_eq!(read(&log.reader, never).await, (vec![], at(1, 60), 60));
    }
}

#[tokio::test]
async fn the_head_is_that_of_the_call_however_the_log_grows() {
    let mut log = Log::start(small()).await;
    log.append(20).await;
    let mut reading = log.reader.read(ReadRequest::default()).await.unwrap();
    let mut seen = Vec::new();
    while let Some(item) = reading.next().await.unwrap() {
        log.append(5).await;
        assert_eq!(item.head, 20);
        seen.extend(sequences(&item.events));
    }
    assert_eq!(seen, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn min_version_is_waited_for_before_the_head_is_looked_at() {
    let mut log = Log::start(small()).await;
    log.append(1).await;
    let reader = log.reader.clone();
    let request = ReadRequest {
        min_version: version("us#1:4"),
        ..ReadRequest::default()
    };
    let reading = tokio::spawn(async move { read(&reader, request).await });
    tokio::task::yield_now().await;
    log.receive("us", 4, crate::log::peer_events("us", 4)).await;
    assert_eq!(reading.await.unwrap(), (vec![1, 2, 3, 4, 5], at(1, 5), 5));

    let late = ReadRequest {
        min_version: version("us#1:9"),
        deadline: Some(Duration::from_millis(20)),
        ..ReadRequest::default()
    };
    let refused = log.reader.read(late).await.unwrap_err();
    assert!(matches!(
        &refused,
        ReadError::MinVersion(AwaitError::DeadlineExceeded { missing, .. }) if *missing == version("us#1:9")
    ));
}

#[tokio::test]
async fn positions_that_are_not_of_this_log_are_refused() {
    let mut log = Log::start(small()).await;
    log.append(10).await;
    let refused = log.reader.read(after(11)).await.unwrap_err();
    let ahead = PositionError::Ahead {
        position: at(1, 11),
        head: 10,
    };
    assert_eq!(refused, ReadError::Page(PageError::Position(ahead)));
    log.rewrite(7, 4).await;
    log.append(100).await;
    let refused = log.reader.read(after(5)).await.unwrap_err();
    let changed = PositionError::IncarnationChanged {
        position: at(1, 5),
        last_safe: at(7, 4),
    };
    assert_eq!(refused, ReadError::Page(PageError::Position(changed)));
    assert_eq!(read(&log.reader, after(4)).await.0.len(), 106);
}

/// Reads one item, lets the log be changed, and reads the rest.
async fn interrupted(log: &mut Log, to: u64, base: u64) -> (ReadItem, Result<Vec<u64>, ReadError>) {
    let mut reading = log
        .reader
        .read(ReadRequest { to, ..after(0) })
        .await
        .unwrap();
    let first = reading.next().await.unwrap().unwrap();
    log.rewrite(7, base).await;
    let mut rest = Vec::new();
    loop {
        match reading.next().await {
            Ok(Some(item)) => rest.extend(sequences(&item.events)),
            Ok(None) => return (first, Ok(rest)),
            Err(error) => return (first, Err(error)),
        }
    }
}

#[tokio::test]
async fn a_read_whose_range_is_rewritten_ends_instead_of_mixing_two_histories() {
    for (base, last_safe) in [(5, 5), (15, 15)] {
        let mut log = Log::start(small()).await;
        log.append(20).await;
        let (first, rest) = interrupted(&mut log, 0, base).await;
        assert_eq!(sequences(&first.events), [1, 2, 3, 4, 5, 6, 7]);
        let Err(ReadError::Page(PageError::Position(PositionError::IncarnationChanged {
            last_safe: told,
            ..
        }))) = rest
        else {
            panic!("base {base}: {rest:?}")
        };
        assert_eq!(told, at(7, last_safe));
    }
}

#[tokio::test]
async fn a_read_whose_range_lies_below_the_base_goes_on() {
    let mut log = Log::start(small()).await;
    log.append(20).await;
    let (_, rest) = interrupted(&mut log, 15, 15).await;
    assert_eq!(rest.unwrap(), (8..=15).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_selector_beyond_its_limits_is_refused_by_name() {
    let log = Log::start(small()).await;
    let many = Selector {
        keys: vec!["k".into(); 257],
        ..Selector::default()
    };
    let request = ReadRequest {
        selection: many.into(),
        ..ReadRequest::default()
    };
    let refused = log.reader.read(request).await.unwrap_err();
    let expected = LimitError::TooMany {
        field: "select.keys".into(),
        actual: 257,
        limit: 256,
    };
    assert_eq!(refused, ReadError::Invalid(expected));
}
