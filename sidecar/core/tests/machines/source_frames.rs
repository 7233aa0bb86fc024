//! What is in a frame, and pages and credits that do not fit the stream.

use tidelog_core::{Credit, SourceEffect, SourceInput};
use tidelog_model::ChainHash;

use crate::bench::{Peer, foreign, id, lineage};
use crate::source::Bench;

fn reading(bench: &mut Bench) {
    let open = bench.open();
    bench.tell(SourceInput::Open(Box::new(open)));
    bench.tell(SourceInput::Hash {
        position: 0,
        hash: Some(ChainHash::ZERO),
    });
}

#[test]
fn events_of_others_are_forwarded_among_own_ones_in_the_order_of_the_log() {
    let events = vec![
        foreign("a#1/1", ""),
        foreign("c#1/1", "a#1:1"),
        foreign("a#1/3", "a#1:1,c#1:1"),
    ];
    let ids: Vec<_> = events.iter().map(|e| e.id.clone()).collect();
    let mut bench = Bench::over(Peer::new("a", events), lineage(&[(1, 0)]), |_| {});
    let frames = bench.start();
    let sent = frames.iter().flat_map(|f| &f.events);
    assert_eq!(sent.map(|e| e.event.id.clone()).collect::<Vec<_>>(), ids);
}

#[test]
fn what_is_covered_at_the_target_and_not_stored_is_sent() {
    let mut bench = Bench::new(3);
    let mut open = bench.open();
    open.version_vector.raise(&id("a#1/1").origin, 1);
    open.covered_vector.raise(&id("a#1/1").origin, 3);
    let frames = bench.run(open);
    assert_eq!(frames.iter().map(|f| f.events.len()).sum::<usize>(), 2);
}

#[test]
fn a_page_with_a_gap_is_not_sent_though_its_end_is_not_the_head() {
    let mut bench = Bench::new(5);
    reading(&mut bench);
    let mut page = bench.page(0, 4);
    page.events.remove(1);
    let effects = bench.tell(SourceInput::Page { after: 0, page });
    assert!(
        matches!(effects[..], [SourceEffect::Close(_)]),
        "{effects:?}"
    );
}

#[test]
fn a_page_that_was_asked_for_by_an_earlier_stream_changes_nothing() {
    let mut bench = Bench::new(3);
    bench.start();
    reading(&mut bench);
    let page = bench.page(2, 3);
    assert!(bench.tell(SourceInput::Page { after: 2, page }).is_empty());
    let page = bench.page(0, 3);
    let effects = bench.tell(SourceInput::Page { after: 0, page });
    assert!(matches!(&effects[..], [SourceEffect::Frame(f)] if f.to == 3));
}

#[test]
fn nothing_is_acknowledged_that_was_not_sent() {
    let mut bench = Bench::new(3);
    bench.start();
    bench.credit(Credit {
        stream: 1,
        bytes: 0,
        version_vector: None,
        covered_vector: None,
        progress: 9,
    });
    assert_eq!(bench.machine.standing().unwrap().acknowledged, 3);
}
