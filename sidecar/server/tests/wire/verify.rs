//! `Verify`: which event is named after somebody was at the database, by hand.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tidelog_model::{ChainHash, Digest, StoredEvent, canonical};
use tidelog_proto::v1;
use tidelog_proto::v1::verify_response::Outcome;
use tidelog_store::LogStore as _;
use tidelog_store_sqlite::{SqliteOptions, SqliteStore};

use crate::rig::{Site, Stopped, event, ok, soon, texts};

/// A log whose location is stopped, so that its database can be changed behind its back.
struct Opened {
    site: Stopped,
    events: Vec<StoredEvent>,
    connection: SqliteConnection,
}

impl Opened {
    /// A log of batches of so many events each.
    async fn of(batches: &[usize]) -> Self {
        let site = Site::sqlite().await;
        for events in batches {
            let request = v1::AppendRequest {
                events: vec![event("T"); *events],
                ..v1::AppendRequest::default()
            };
            ok(site.api().append(request)).await;
        }
        let site = site.stop().await;
        let folder: PathBuf = site.dir.path().join("data");
        let store = SqliteStore::open(
            &folder,
            SqliteOptions {
                log: "orders".to_owned(),
                location: site.config.location.clone(),
            },
        )
        .await
        .unwrap();
        let mut events = Vec::new();
        for sequence in 1..=batches.iter().sum::<usize>() {
            events.push(store.event(sequence as u64).await.unwrap().unwrap());
        }
        drop(store);
        let options = SqliteConnectOptions::new().filename(folder.join("log.db"));
        Self {
            site,
            events,
            connection: options.connect().await.unwrap(),
        }
    }

    /// Another payload of an event; the digest that it should have.
    async fn payload(&mut self, sequence: usize, payload: &'static [u8]) -> Digest {
        let stored = &mut self.events[sequence - 1];
        Arc::make_mut(&mut stored.event).payload = Bytes::from_static(payload);
        let digest = Digest::of(&canonical::encode(&stored.event));
        sqlx::query("UPDATE event SET payload = ? WHERE seq = ?")
            .bind(payload)
            .bind(sequence as i64)
            .execute(&mut self.connection)
            .await
            .unwrap();
        digest
    }

    /// The same with its digest.
    async fn rewrite(&mut self, sequence: usize) {
        let digest = self.payload(sequence, b"rewritten").await;
        self.events[sequence - 1].digest = digest;
        sqlx::query("UPDATE event SET digest = ? WHERE seq = ?")
            .bind(&digest.0[..])
            .bind(sequence as i64)
            .execute(&mut self.connection)
            .await
            .unwrap();
    }

    /// The hash of the chain as the events give it now.
    fn chain(&self, sequence: usize) -> ChainHash {
        self.events[..sequence]
            .iter()
            .fold(ChainHash::ZERO, |hash, stored| {
                hash.next(&stored.event.id, &stored.digest)
            })
    }

    /// That hash, recorded.
    async fn rechain(&mut self, sequence: usize) {
        sqlx::query("UPDATE event SET chain = ? WHERE seq = ?")
            .bind(&self.chain(sequence).0[..])
            .bind(sequence as i64)
            .execute(&mut self.connection)
            .await
            .unwrap();
    }

    async fn sql(&mut self, text: &'static str) {
        sqlx::query(text)
            .execute(&mut self.connection)
            .await
            .unwrap();
    }

    /// What `Verify` says once the location runs again.
    async fn verify(self) -> Outcome {
        self.connection.close().await.unwrap();
        let site = self.site.start().await;
        let mut answers = ok(site.admin().verify(v1::VerifyRequest::default())).await;
        let mut last = None;
        while let Some(answer) = soon(answers.message()).await.unwrap() {
            last = Some(answer);
        }
        let outcome = last.and_then(|last| last.outcome).expect("an outcome");
        site.running.shut_down().await;
        outcome
    }

    /// What it must complain about.
    async fn altered(self) -> v1::Altered {
        match self.verify().await {
            Outcome::Altered(altered) => altered,
            Outcome::Verified(_) => panic!("nothing was noticed"),
        }
    }
}

/// First and last sequence that come into question, and the id.
fn place(altered: &v1::Altered) -> (u64, u64, Vec<String>) {
    let ids: Vec<_> = altered.id.iter().cloned().collect();
    (altered.sequence, altered.last_sequence, texts(&ids))
}

fn exactly(sequence: u64, id: &str) -> (u64, u64, Vec<String>) {
    (sequence, sequence, vec![id.to_owned()])
}

#[tokio::test]
async fn a_log_that_nobody_touched_is_as_it_was() {
    let log = Opened::of(&[3, 1, 2]).await;
    let hash = log.chain(6).0.to_vec();
    let Outcome::Verified(verified) = log.verify().await else {
        panic!("altered")
    };
    assert_eq!(verified.hash, hash);
}

#[tokio::test]
async fn an_event_with_another_payload_is_named_with_both_digests() {
    for batches in [&[3][..], &[1, 1, 1]] {
        let mut log = Opened::of(batches).await;
        let recorded = log.events[0].digest;
        let computed = log.payload(1, b"altered").await;
        let altered = log.altered().await;
        assert_eq!(place(&altered), exactly(1, "eu#1/1"));
        assert_eq!(altered.recorded, &recorded.0[..]);
        assert_eq!(altered.computed, &computed.0[..]);
    }
}

#[tokio::test]
async fn an_event_rewritten_with_its_digest_is_named_when_it_is_a_batch() {
    let mut log = Opened::of(&[1, 1, 1]).await;
    let recorded = log.chain(1);
    log.rewrite(1).await;
    let computed = log.chain(1);
    let altered = log.altered().await;
    assert_eq!(place(&altered), exactly(1, "eu#1/1"));
    assert_eq!(altered.recorded, &recorded.0[..]);
    assert_eq!(altered.computed, &computed.0[..]);
}

#[tokio::test]
async fn an_event_rewritten_with_its_digest_is_named_to_its_batch() {
    let mut log = Opened::of(&[1, 3, 2]).await;
    let recorded = log.chain(4);
    log.rewrite(3).await;
    let computed = log.chain(4);
    let altered = log.altered().await;
    assert_eq!(place(&altered), (2, 4, Vec::new()));
    assert_eq!(altered.recorded, &recorded.0[..]);
    assert_eq!(altered.computed, &computed.0[..]);
}

#[tokio::test]
async fn a_rewritten_hash_of_the_chain_is_given_away_by_the_next_one() {
    let mut log = Opened::of(&[1, 1, 1]).await;
    log.rewrite(1).await;
    log.rechain(1).await;
    // The last one too, at which a walk looks first.
    log.rechain(3).await;
    let altered = log.altered().await;
    assert_eq!(place(&altered), exactly(2, "eu#1/2"));
}

#[tokio::test]
async fn whatever_is_rewritten_beside_the_events_the_head_knows_better() {
    let mut log = Opened::of(&[1, 1, 2]).await;
    let recorded = log.chain(4);
    log.rewrite(1).await;
    for sequence in [1, 2, 4] {
        log.rechain(sequence).await;
    }
    let altered = log.altered().await;
    assert_eq!((altered.sequence, altered.last_sequence), (3, 4));
    assert_eq!(altered.recorded, &recorded.0[..]);
}

#[tokio::test]
async fn the_first_of_several_is_named_although_it_is_the_better_forgery() {
    let mut log = Opened::of(&[1, 1, 1]).await;
    log.rewrite(1).await;
    log.payload(3, b"altered").await;
    let altered = log.altered().await;
    assert_eq!(place(&altered), exactly(1, "eu#1/1"));
}

#[tokio::test]
async fn an_event_that_is_gone_is_named_by_its_sequence() {
    let mut log = Opened::of(&[3]).await;
    log.sql("DELETE FROM event WHERE seq = 2").await;
    let altered = log.altered().await;
    assert_eq!(place(&altered), (2, 2, Vec::new()));
    assert!(altered.recorded.is_empty() && altered.computed.is_empty());
    assert!(altered.message.contains("missing"), "{}", altered.message);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_named_without_a_computed_digest() {
    let mut log = Opened::of(&[1, 2]).await;
    let recorded = log.events[1].digest;
    log.sql("UPDATE event SET envelope = x'ff' WHERE seq = 2")
        .await;
    let altered = log.altered().await;
    assert_eq!(place(&altered), exactly(2, "eu#1/2"));
    assert_eq!(altered.recorded, &recorded.0[..]);
    assert!(altered.computed.is_empty());
}
