//! Reads go through the index that is meant for them, however large the log is.

use tidelog_model::{Cause, EventId, Selector};
use tidelog_store::conformance::{pages, query};
use tidelog_store::generate::{Writer, origin};
use tidelog_store::{CauseKey, CheckQuery, ConditionQuery, LogStore, ReadQuery};

use crate::fixture::Database;

const EVENTS: u64 = 20_000;

/// Rows of the large tables that were read: by scanning them, and in all.
fn rows_read(database: &Database<'_>) -> (i64, i64) {
    let statement =
        "SELECT pg_stat_clear_snapshot(), sum(seq_tup_read), sum(seq_tup_read + coalesce(idx_tup_fetch, 0))
                     FROM pg_stat_user_tables WHERE relname IN ('events', 'requests', 'destinations')";
    let text = database.sql(statement);
    let mut numbers = text.split('|').skip(1).map(|n| n.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[tokio::test]
async fn every_question_reads_about_as_many_rows_as_it_answers() {
    let database = Database::new().await;
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    while writer.head < EVENTS {
        let head = writer.head;
        let batch = writer.append(1_000, |i, e| {
            let n = head + i as u64;
            e.aggregate_id = format!("order-{}", n % 2_000);
            e.event_type = if n.is_multiple_of(5_000) {
                "Rare"
            } else {
                "Common"
            }
            .into();
            if n.is_multiple_of(4) {
                e.destinations = vec![format!("shop-{}", n % 1_000)];
            }
            if n.is_multiple_of(7) {
                e.caused_by = Some(Cause {
                    log: "carts".into(),
                    id: EventId::new(origin("us", 1), n + 1),
                    output_index: 0,
                });
            }
            e.request_id = format!("r{n}");
        });
        store.commit(&batch).await.unwrap();
    }
    store.close().await;
    database.sql("ANALYZE");
    let page = |after: u64, keys: &[&str], types: &[&str]| ReadQuery {
        events_max: 100,
        scan_max: 65_536,
        ..query(
            after,
            u64::MAX,
            Selector {
                keys: keys.iter().map(|k| (*k).to_string()).collect(),
                types: types.iter().map(|t| (*t).to_string()).collect(),
                origins: Vec::new(),
            },
        )
    };
    let check = CheckQuery {
        requests: (0..50).map(|n| format!("r{}", n * 321)).collect(),
        causes: (0..50)
            .map(|n| CauseKey {
                emitter_id: String::new(),
                cause: Cause {
                    log: "carts".into(),
                    id: EventId::new(origin("us", 1), n * 70 + 1),
                    output_index: 0,
                },
            })
            .collect(),
        conditions: (0..50)
            .map(|n| ConditionQuery {
                keys: vec![format!("order-{n}"), format!("shop-{}", n * 4)],
                types: vec!["Common".into()],
                after: if n % 2 == 0 { 0 } else { EVENTS - 10 },
            })
            .collect(),
    };
    // (what, rows allowed, the question asked often enough that a prepared statement has got its final plan)
    let limits = [
        ("a page", 250),
        ("a page by key", 250),
        ("a page by several keys", 700),
        ("a page by destination", 250),
        ("a page by key and type", 700),
        ("identities", 150),
        ("found identities", 150),
        ("a checkpoint", 1_100),
        ("the position before a time", 40),
        ("a check", 2_000),
    ];
    for (what, rows_max) in limits {
        let store = database.open().await;
        let before = rows_read(&database);
        const TIMES: i64 = 8;
        for n in 0..TIMES as u64 {
            let after = n * 1_000;
            match what {
                "a page" => drop(store.read(&page(after, &[], &[])).await.unwrap()),
                "a page by key" => {
                    let found = store.read(&page(after, &["order-7"], &[])).await.unwrap();
                    assert!(found.events.len() >= 5);
                }
                "a page by several keys" => {
                    let keys = ["order-1", "order-2", "order-3", "shop-4"];
                    store.read(&page(after, &keys, &[])).await.unwrap();
                }
                "a page by destination" => {
                    let found = store.read(&page(after, &["shop-8"], &[])).await.unwrap();
                    assert!(found.events.len() >= 10);
                }
                "a page by key and type" => {
                    let keys = ["order-0", "shop-0"];
                    let found = store.read(&page(0, &keys, &["Rare"])).await.unwrap();
                    assert_eq!(found.events.len(), 4);
                }
                "identities" => drop(store.ids(after, 100).await.unwrap()),
                "found identities" => {
                    let ids: Vec<_> = (1..=50)
                        .map(|n| EventId::new(origin("eu", 1), n * 300))
                        .collect();
                    let found = store.find(&ids).await.unwrap();
                    assert!(found.iter().all(Option::is_some));
                }
                "a checkpoint" => {
                    assert_eq!(store.checkpoint(after + 999).await.unwrap().0, after);
                }
                "the position before a time" => {
                    store
                        .position_before(1_700_000_000_000_000 + n as i64 * 3_000)
                        .await
                        .unwrap();
                }
                _ => {
                    let answers = store.check(&check).await.unwrap();
                    assert!(answers.requests.iter().all(|r| r.len() == 1));
                    assert!(answers.causes.iter().all(Option::is_some));
                    assert!(answers.conditions[0].is_some() && answers.conditions[1].is_none());
                }
            }
        }
        // A session reports its counts when it ends.
        store.close().await;
        let mut after = rows_read(&database);
        for _ in 0..100 {
            if after.1 > before.1 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            after = rows_read(&database);
        }
        assert_eq!(after.0, before.0, "{what} scanned the table");
        let read = (after.1 - before.1) / TIMES;
        println!("{what}: {read} rows read");
        assert!(read > 0 && read <= rows_max, "{what} read {read} rows");
    }
}

#[tokio::test]
async fn a_page_of_large_events_fetches_only_what_fits() {
    let database = Database::new().await;
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    for _ in 0..6 {
        let batch = writer.append(5, |i, e| {
            let noise: Vec<u8> = (0..1_000_000u32)
                .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 ^ i as u8)
                .collect();
            e.payload = noise.into();
        });
        store.commit(&batch).await.unwrap();
    }
    let mut wanted = query(0, u64::MAX, Selector::default());
    wanted.bytes_max = 2_500_000;
    let chunks = || -> i64 {
        database
            .sql("SELECT pg_stat_clear_snapshot(), tidx_blks_hit + tidx_blks_read + toast_blks_hit + toast_blks_read FROM pg_statio_user_tables WHERE relname = 'events'")
            .split('|').nth(1).unwrap().parse().unwrap()
    };
    store.close().await;
    let store = database.open().await;
    let before = chunks();
    let page = store.read(&wanted).await.unwrap();
    assert_eq!((page.events.len(), page.scanned_to), (2, 2));
    store.close().await;
    let mut fetched = 0;
    for _ in 0..100 {
        fetched = chunks() - before;
        if fetched > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // A payload of 1 MB is some 500 chunks in some 130 pages; 30 of them would be 30 times that.
    assert!(
        fetched > 100 && fetched < 3_000,
        "{fetched} pages for two payloads"
    );
    let store = database.open().await;
    assert_eq!(pages(&store, &wanted).await.len(), 30);
}
