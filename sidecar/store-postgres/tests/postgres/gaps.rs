//! Rows that cannot be found: a broken page, an index that leads nowhere, a hand that slipped.

use tidelog_model::Selector;
use tidelog_store::generate::Writer;
use tidelog_store::{LogStore, ReadQuery, StoreError};

use crate::fixture::Database;

#[tokio::test]
async fn a_row_that_is_gone_is_named_and_not_passed_over() {
    let database = Database::new().await;
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    store.commit(&writer.append(5, |_, _| {})).await.unwrap();
    for (gone, last) in [(5, 4), (3, 2), (1, 0)] {
        database.sql(&format!("DELETE FROM events WHERE seq = {gone}"));
        for (after, to) in [(0, 5), (gone - 1, gone), (gone - 1, 5)] {
            let query = ReadQuery {
                after,
                to,
                events_max: 100,
                bytes_max: usize::MAX,
                scan_max: 100,
                selector: Selector::default(),
            };
            let place = match store.read(&query).await {
                Err(StoreError::Corrupted { place, .. }) => place,
                other => panic!("({after}, {to}] without {gone}: {other:?}"),
            };
            assert_eq!(place, format!("event {gone}"), "({after}, {to}]");
        }
        // What comes before it is there.
        assert!(last == 0 || store.event(last).await.unwrap().is_some());
    }
    store.close().await;
}

#[tokio::test]
async fn a_payload_that_is_gone_is_named_and_not_waited_for() {
    let database = Database::new().await;
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    store.commit(&writer.append(3, |_, _| {})).await.unwrap();
    database.sql("ALTER TABLE events ALTER COLUMN payload DROP NOT NULL");
    database.sql("UPDATE events SET payload = NULL WHERE seq = 2");
    match store.event(2).await {
        Err(StoreError::Corrupted { place, .. }) => assert_eq!(place, "event 2"),
        other => panic!("{other:?}"),
    }
    assert!(store.event(3).await.unwrap().is_some());
    store.close().await;
}
