//! From replay to live: every event once, in order, and one word that it has caught up.

use shuttle::future::{block_on, spawn};

use crate::engine::{LogHandle, SubscribeRequest, SubscriptionItem};
use crate::rig::{in_any_order, in_bad_order, options, request, store};

const BEFORE: u64 = 3;
const ALL: u64 = 8;

/// Follows from the first event to the last one.
async fn follow(log: LogHandle) {
    let request = SubscribeRequest::default();
    let mut subscription = log.reader().subscribe(request).await.unwrap();
    let (mut next, mut caught_up) = (1, 0);
    while next <= ALL || caught_up == 0 {
        match subscription.next().await.unwrap() {
            SubscriptionItem::Events { events, position } => {
                for stored in &events {
                    assert_eq!(stored.sequence, next, "a gap, or the same again");
                    next += 1;
                }
                assert_eq!(position.sequence, next - 1);
            }
            SubscriptionItem::CaughtUp { position, .. } => {
                assert_eq!(position.sequence, next - 1);
                caught_up += 1;
            }
            SubscriptionItem::Heartbeat { .. } => {}
        }
    }
    assert_eq!(caught_up, 1);
}

/// Two readers begin while a writer is at work; the newest events are kept in so many bytes.
fn run(tail_bytes: usize) {
    block_on(async {
        let log = LogHandle::start(options(store(), 100, tail_bytes));
        assert!(log.wait_until_serving().await);
        for number in 0..BEFORE {
            log.append(request(&number.to_string())).await.unwrap();
        }
        let writer = {
            let log = log.clone();
            spawn(async move {
                for number in BEFORE..ALL {
                    log.append(request(&number.to_string())).await.unwrap();
                }
            })
        };
        let readers = [(); 2].map(|()| spawn(follow(log.clone())));
        writer.await.unwrap();
        for reader in readers {
            reader.await.unwrap();
        }
        log.shut_down().await;
    });
}

#[test]
fn the_step_from_replay_to_live_leaves_out_and_repeats_nothing() {
    in_any_order(|| run(1 << 20));
    in_bad_order(|| run(1 << 20));
}

#[test]
fn a_reader_that_falls_out_of_the_newest_events_misses_nothing() {
    // Room for one event or two: pages come from the store and from memory in turn.
    in_any_order(|| run(900));
    in_any_order(|| run(1));
}
