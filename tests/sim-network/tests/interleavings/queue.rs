//! The append queue and the stop: every request is answered once, and the answer is the truth.

use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::future::{block_on, spawn, yield_now};
use tidelog_core::Refusal;

use crate::engine::LogHandle;
use crate::rig::{called, in_any_order, in_bad_order, options, request, store};

static FULL: AtomicUsize = AtomicUsize::new(0);
static STOPPED: AtomicUsize = AtomicUsize::new(0);
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Three clients with three requests each in flight, on a queue of two; whether somebody stops the log meanwhile.
fn run(stop_meanwhile: bool) {
    block_on(async {
        let store = store();
        let log = LogHandle::start(options(store.clone(), 2, 1 << 20));
        assert!(log.wait_until_serving().await);
        let clients: Vec<_> = (0..3)
            .map(|client| {
                let log = log.clone();
                spawn(async move {
                    let mut pending = Vec::new();
                    for number in 0..3 {
                        let kind = format!("{client}-{number}");
                        pending.push((kind.clone(), log.submit(request(&kind)).await));
                    }
                    let mut taken = Vec::new();
                    for (kind, pending) in pending {
                        match pending.answer().await {
                            Ok(accepted) => taken.push((accepted.last_sequence, kind)),
                            Err(Refusal::QueueFull { .. }) => {
                                FULL.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(Refusal::ShuttingDown) if stop_meanwhile => {
                                STOPPED.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(other) => panic!("{kind}: {other:?}"),
                        }
                    }
                    taken
                })
            })
            .collect();
        let stop = stop_meanwhile.then(|| {
            let log = log.clone();
            spawn(async move {
                for _ in 0..3 {
                    yield_now().await;
                }
                log.shut_down().await;
            })
        });
        let mut taken = Vec::new();
        for client in clients {
            let of_one = client.await.unwrap();
            // In the order of handing in.
            assert!(of_one.is_sorted(), "{of_one:?}");
            taken.extend(of_one);
        }
        match stop {
            Some(stop) => stop.await.unwrap(),
            None => log.shut_down().await,
        }
        TAKEN.fetch_add(taken.len(), Ordering::Relaxed);
        taken.sort();
        let expected: Vec<String> = taken.into_iter().map(|(_, kind)| kind).collect();
        assert_eq!(called(&store).await, expected);
        // Whoever comes after the stop hears of it.
        let late = log.append(request("late")).await;
        assert!(matches!(late, Err(Refusal::ShuttingDown)), "{late:?}");
    });
}

#[test]
fn a_full_queue_refuses_and_loses_no_answer() {
    in_any_order(|| run(false));
    assert!(FULL.load(Ordering::Relaxed) > 0 && TAKEN.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_stop_answers_every_request_once_and_truly() {
    in_any_order(|| run(true));
    in_bad_order(|| run(true));
    assert!(STOPPED.load(Ordering::Relaxed) > 0 && TAKEN.load(Ordering::Relaxed) > 0);
}
