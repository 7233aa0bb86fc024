//! A loss that nobody noticed at the start: the database and its witness went back together.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidelog_core::{EdgeContext, Frame, FrameEvent, FrameOutcome, FrameWork, Work};
use tidelog_engine::PageError;
use tidelog_model::{
    ChainHash, Incarnation, Lineage, LineageEntry, LocationName, Position, PositionError,
    VectorTime, canonical,
};
use tidelog_store::{LogStore, MemoryStore};

use crate::rig::{Rig, request, wall};
use crate::streams::{foreign, frame};

fn received(event: &tidelog_model::Event) -> FrameEvent {
    FrameEvent::decode(&Bytes::from(canonical::encode(event))).unwrap()
}

#[tokio::test]
async fn a_loss_noticed_late_takes_back_what_was_appended_since_and_lets_the_lost_events_return() {
    let rig = Rig::new();
    let store = Rig::store();
    let log = rig.start(store.clone()).await;
    log.append(request("kept")).await.unwrap();
    let (copy, witness) = (store.snapshot(), std::fs::read(rig.witness()).unwrap());
    log.append(request("lost")).await.unwrap();
    log.append(request("lost")).await.unwrap();
    let lost: Vec<_> = [2, 3].map(|n| store.event(n)).into_iter().collect();
    let mut originals = Vec::new();
    for event in lost {
        originals.push(received(&event.await.unwrap().unwrap().event));
    }
    log.shut_down().await;

    std::fs::write(rig.witness(), witness).unwrap();
    let store = Arc::new(MemoryStore::restore(copy, Arc::new(wall)));
    let log = rig.start(store.clone()).await;
    let doubtful = log.append(request("doubtful")).await.unwrap();
    assert_eq!(
        doubtful.ids[0].to_string(),
        "eu#1/2",
        "the id is used twice: nothing could tell"
    );

    let mut epoch = log.epoch();
    epoch.mark_unchanged();
    log.report_loss(originals[1].clone()).await;
    tokio::time::timeout(Duration::from_secs(5), epoch.changed())
        .await
        .unwrap()
        .unwrap();
    assert!(log.wait_until_serving().await);

    let view = log.reader().view();
    assert_eq!((view.current().base, view.head), (0, 2));
    assert!(view.current().incarnation > Incarnation(1));
    assert!(
        i64::from(view.current().incarnation.0) * 1_000_000 <= wall(),
        "a start that knows nothing of it would draw the same number from the clock"
    );
    let again = store.event(2).await.unwrap().unwrap();
    assert_eq!(again.event.event_type, "doubtful");
    assert_eq!(
        again.event.id.origin.incarnation,
        view.current().incarnation
    );
    assert_eq!(view.voided.len(), 1);
    assert_eq!(view.voided[0].id.to_string(), "eu#1/2");
    assert!(matches!(
        log.reader().check(Position::new(Incarnation(1), 2)).await,
        Err(PageError::Position(
            PositionError::IncarnationChanged { .. }
        ))
    ));

    // The lost ones come back as ordinary events of the older incarnation; what was taken back under the same id does not.
    let mut covered = VectorTime::new();
    for event in &originals {
        covered.merge(&event.event.vector_time());
    }
    let events = originals.clone();
    let frame = Frame {
        stream: 1,
        incarnation: Incarnation(1),
        from: 0,
        to: 2,
        hash_from: ChainHash::ZERO,
        hash_to: ChainHash([7; 32]),
        events,
        covered,
        head: 2,
        filtered: 0,
    };
    let source = LocationName::new("us").unwrap();
    let edge = EdgeContext {
        source: source.clone(),
        lineage: Lineage::new(vec![LineageEntry {
            incarnation: Incarnation(1),
            base: 0,
        }])
        .unwrap(),
        behind: Arc::new(BTreeSet::from([source])),
    };
    let epoch = *log.epoch().borrow();
    let outcome = log
        .work(epoch, Work::Frame(Box::new(FrameWork { frame, edge })))
        .await;
    assert_eq!(
        outcome,
        FrameOutcome::Applied {
            stored: 2,
            redundant: 0
        }
    );
    assert_eq!(log.reader().view().head, 4);
    assert_eq!(
        store.event(3).await.unwrap().unwrap().digest,
        originals[0].digest
    );
}

#[tokio::test]
async fn a_loss_that_lies_below_the_last_start_takes_back_from_where_it_happened() {
    let rig = Rig::new();
    let store = Rig::store();
    let log = rig.start(store.clone()).await;
    log.append(request("kept")).await.unwrap();
    let (copy, witness) = (store.snapshot(), std::fs::read(rig.witness()).unwrap());
    log.append(request("lost")).await.unwrap();
    let lost = received(&store.event(2).await.unwrap().unwrap().event);
    log.shut_down().await;

    // Events of others take its place, and the next start proves these.
    std::fs::write(rig.witness(), witness).unwrap();
    let store = Arc::new(MemoryStore::restore(copy, Arc::new(wall)));
    let log = rig.start(store.clone()).await;
    let epoch = *log.epoch().borrow();
    let events = vec![foreign("us#1/1", ""), foreign("us#1/2", "us#1:1")];
    let work = frame("us", 0, 2, events, "us#1:2");
    assert!(matches!(
        log.work(epoch, work).await,
        FrameOutcome::Applied { stored: 2, .. }
    ));
    log.shut_down().await;
    let log = rig.start(store.clone()).await;
    assert_eq!(log.reader().view().current().incarnation, Incarnation(1));

    let mut epoch = log.epoch();
    epoch.mark_unchanged();
    log.report_loss(lost).await;
    tokio::time::timeout(Duration::from_secs(5), epoch.changed())
        .await
        .unwrap()
        .unwrap();
    assert!(log.wait_until_serving().await);
    assert_eq!(log.reader().view().current().base, 0);
    let kept = store.event(1).await.unwrap().unwrap();
    assert_eq!(kept.event.id.to_string(), "eu#1/1", "what lies below stays");
    // Whoever had read the lost event at 2 must not go on behind it.
    assert!(matches!(
        log.reader().check(Position::new(Incarnation(1), 2)).await,
        Err(PageError::Position(
            PositionError::IncarnationChanged { .. }
        ))
    ));
}
