use std::sync::Arc;

use bytes::Bytes;
use tidelog_model::{EventId, StoredEvent};
use tidelog_store::generate;

use super::{Tail, weight};

const PLENTY: usize = 1 << 20;

fn event(sequence: u64, payload: usize) -> StoredEvent {
    let mut event = generate::event(EventId::new(generate::origin("eu", 1), sequence));
    event.payload = Bytes::from(vec![7; payload]);
    generate::stored(sequence, 0, true, event)
}

fn events(sequences: impl IntoIterator<Item = u64>) -> Vec<StoredEvent> {
    sequences.into_iter().map(|n| event(n, 10)).collect()
}

fn sequences(tail: &Tail, after: u64, to: u64, max: usize) -> Option<Vec<u64>> {
    tail.slice(after, to, max)
        .map(|found| found.iter().map(|e| e.sequence).collect())
}

#[test]
fn any_range_that_is_covered_comes_without_gaps() {
    let tail = Tail::new(10, PLENTY);
    tail.extend(events(11..=13), 13);
    tail.extend(events(14..=20), 20);
    for after in 10..=20 {
        for to in after..=25 {
            for max in 1..=12 {
                let expected: Vec<u64> = (after + 1..=to.min(20)).take(max).collect();
                assert_eq!(
                    sequences(&tail, after, to, max),
                    Some(expected),
                    "{after} {to} {max}"
                );
            }
        }
    }
    assert_eq!(sequences(&tail, 9, 20, 5), None);
    assert_eq!(sequences(&tail, 0, 20, 5), None);
}

#[test]
fn oldest_events_leave_when_the_bytes_are_used_up() {
    let one = weight(&event(1, 1_000));
    let tail = Tail::new(0, 5 * one);
    for n in 1..=100 {
        tail.extend(vec![event(n, 1_000)], n);
        let (bytes, held) = tail.size();
        assert!(bytes <= 5 * one);
        assert_eq!(held, 5.min(n as usize));
        assert_eq!(bytes, held * one);
    }
    assert_eq!(
        sequences(&tail, 95, 100, 10),
        Some(vec![96, 97, 98, 99, 100])
    );
    assert_eq!(sequences(&tail, 94, 100, 10), None);
}

#[test]
fn an_event_above_the_bound_leaves_an_empty_tail_at_the_head() {
    let tail = Tail::new(0, 2_000);
    tail.extend(events(1..=2), 2);
    tail.extend(vec![event(3, 10_000)], 3);
    assert_eq!(tail.size(), (0, 0));
    assert_eq!(sequences(&tail, 3, 3, 10), Some(vec![]));
    assert_eq!(sequences(&tail, 2, 3, 10), None);
    tail.extend(events(4..=4), 4);
    assert_eq!(sequences(&tail, 3, 4, 10), Some(vec![4]));
}

#[test]
fn events_that_do_not_fit_together_empty_it_instead_of_leaving_a_gap() {
    let tail = Tail::new(0, PLENTY);
    tail.extend(events(1..=3), 3);
    tail.extend(events(6..=7), 7);
    assert_eq!(sequences(&tail, 2, 7, 10), None);
    assert_eq!(sequences(&tail, 5, 7, 10), Some(vec![6, 7]));
    // A commit whose events are not at hand: the head moves past the tail.
    tail.extend(Vec::new(), 9);
    assert_eq!(sequences(&tail, 7, 9, 10), None);
    assert_eq!(sequences(&tail, 9, 9, 10), Some(vec![]));
}

#[test]
fn a_reset_forgets_all() {
    let tail = Tail::new(0, PLENTY);
    tail.extend(events(1..=5), 5);
    tail.reset(3);
    assert_eq!(tail.size(), (0, 0));
    assert_eq!(sequences(&tail, 2, 5, 10), None);
    tail.extend(events(4..=4), 4);
    assert_eq!(sequences(&tail, 3, 5, 10), Some(vec![4]));
}

#[test]
fn a_slice_shares_events_and_copies_none() {
    let tail = Tail::new(0, PLENTY);
    tail.extend(events(1..=1), 1);
    let (a, b) = (tail.slice(0, 1, 1).unwrap(), tail.slice(0, 1, 1).unwrap());
    assert!(Arc::ptr_eq(&a[0].event, &b[0].event));
}
