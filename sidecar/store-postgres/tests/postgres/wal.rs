//! What an event costs in the write-ahead log: a figure to look at, without noise from the clock.

use tidelog_store::LogStore;
use tidelog_store::generate::{Peer, Writer};

use crate::fixture::Database;

/// Aim: at most 720 bytes for 256 bytes of payload in batches, with digest, context and hash.
#[tokio::test]
async fn the_cost_of_an_event_is_printed() {
    for (what, batch_size, with_requests) in [
        ("batches of 500", 500, false),
        ("batches of 500 with request ids", 500, true),
        ("batches of 10", 10, false),
        ("one by one", 1, false),
    ] {
        let database = Database::new().await;
        let store = database.open().await;
        let mut writer = Writer::start(&store).await;
        // A context of three origins.
        for (n, peer) in ["us", "ap"].into_iter().enumerate() {
            let events = Peer::new(peer).write_many(300 + n);
            store
                .commit(&writer.receive(peer, 300, events))
                .await
                .unwrap();
        }
        let position = || database.sql("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn");
        // Pages that were not touched since a checkpoint are written whole; not what is measured here.
        let mut measured = None;
        for round in 0..2 {
            let before: u64 = position().parse().unwrap();
            let events = if batch_size == 1 { 500 } else { 5_000 };
            for n in 0..events / batch_size {
                let batch = writer.append(batch_size, |i, e| {
                    let noise = (n * batch_size + i + round) as u32;
                    e.payload = (0..256u32)
                        .map(|b| ((b + noise).wrapping_mul(2_654_435_761) >> 24) as u8)
                        .collect::<Vec<u8>>()
                        .into();
                    e.event_type = "OrderPlaced".into();
                    e.aggregate_id = format!("order-{}", noise.wrapping_mul(7_919) % 10_000);
                    e.content_type = "application/json".into();
                    e.application_version = "1.3".parse().unwrap();
                    e.schema_version = 1;
                    e.plan_id = 0x0123_4567_89ab_cdef;
                    if with_requests {
                        e.request_id = format!("{:036x}-{round}", n * batch_size + i);
                        e.request_count = 1;
                    }
                });
                store.commit(&batch).await.unwrap();
            }
            let after: u64 = position().parse().unwrap();
            measured = Some((after - before) / events as u64);
        }
        let measured = measured.unwrap();
        println!("{what}: {measured} bytes of WAL per event");
        assert!(measured > 256 && measured < 4_000);
        store.close().await;
    }
}
