//! What a source sends on a running stream.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidelog_core::{
    Admission, Credit, EdgeFilter, Frame, LogView, Open, PROTOCOL_VERSION, Source, SourceConfig,
    SourceEffect, SourceInput,
};
use tidelog_model::{
    ApplicationVersion, ChainHash, Event, Incarnation, Lineage, StoredEvent, VectorTime,
};
use tidelog_store::Page;

use crate::bench::{NOW, Peer, foreign, lineage, name, stored, vector};

const DELAY: i64 = 20_000;

/// What an event's type says.
struct ByType;

impl EdgeFilter for ByType {
    fn admit(&self, stored: &StoredEvent) -> Admission {
        match stored.event.event_type.as_str() {
            "filtered" => Admission::Filtered,
            "broken" => Admission::Stall("no such key".into()),
            _ => Admission::Pass,
        }
    }
}

/// A source at `a` for the target `b`, over events of `a` (and what a case adds).
pub struct Bench {
    pub machine: Source,
    pub now: i64,
    log: Peer,
    lineage: Lineage,
    covered: VectorTime,
}

fn event(sequence: u64) -> Event {
    foreign(
        &format!("a#1/{sequence}"),
        &match sequence {
            1 => String::new(),
            n => format!("a#1:{}", n - 1),
        },
    )
}

impl Bench {
    pub fn new(head: u64) -> Self {
        Self::with_lineage(head, &[(1, 0)])
    }

    pub fn with_lineage(head: u64, entries: &[(u32, u64)]) -> Self {
        let log = Peer::new("a", (1..=head).map(event).collect());
        Self::over(log, lineage(entries), |_| {})
    }

    pub fn over(log: Peer, lineage: Lineage, change: impl FnOnce(&mut SourceConfig)) -> Self {
        let mut config = SourceConfig {
            log: "log".into(),
            source: name("a"),
            target: name("b"),
            spec_hash: String::new(),
            application_name: "app".into(),
            application_version: ApplicationVersion::default(),
            filter_hash: String::new(),
            behind: Arc::new(BTreeSet::from([name("a"), name("c")])),
            filter: Arc::new(ByType),
            frame_events_max: 100,
            frame_bytes_max: 100_000,
            scan_rows_max: 100,
            empty_frame_delay_micros: DELAY,
            proof_interval_micros: 3_600_000_000,
        };
        change(&mut config);
        let mut bench = Self {
            machine: Source::new(
                config.clone(),
                Arc::new(view(&log, &lineage, &VectorTime::new())),
            ),
            now: NOW,
            log,
            lineage,
            covered: VectorTime::new(),
        };
        bench.machine = Source::new(config, bench.view());
        bench
    }

    fn view(&self) -> Arc<LogView> {
        Arc::new(view(&self.log, &self.lineage, &self.covered))
    }

    pub fn hash(&self, position: u64) -> ChainHash {
        self.log.hash(position)
    }

    pub fn tell(&mut self, input: SourceInput) -> Vec<SourceEffect> {
        self.machine.handle(input, self.now)
    }

    pub fn open(&self) -> Open {
        Open {
            stream: 1,
            log: "log".into(),
            target: name("b"),
            source: name("a"),
            position: 0,
            hash: ChainHash::ZERO,
            source_lineage: self.lineage.clone(),
            version_vector: VectorTime::new(),
            covered_vector: VectorTime::new(),
            target_lineage: lineage(&[(1, 0)]),
            source_incarnation_known: Incarnation(0),
            spec_hash: String::new(),
            application_name: "app".into(),
            application_version: ApplicationVersion::default(),
            protocol_version: PROTOCOL_VERSION,
            canonical_version: 1,
            credit_bytes: 1_000_000,
            filter_hash: String::new(),
        }
    }

    /// Opens a stream and lets it run.
    pub fn run(&mut self, open: Open) -> Vec<Frame> {
        let position = open.position;
        let mut effects = self.tell(SourceInput::Open(Box::new(open)));
        assert!(matches!(effects.pop(), Some(SourceEffect::NeedHash(p)) if p == position));
        let hash = Some(self.hash(position));
        let effects = self.tell(SourceInput::Hash { position, hash });
        assert!(matches!(effects[0], SourceEffect::Opened(_)));
        self.follow(effects)
    }

    pub fn start(&mut self) -> Vec<Frame> {
        let open = self.open();
        self.run(open)
    }

    /// Reads whatever is asked for, and collects frames.
    fn follow(&mut self, mut effects: Vec<SourceEffect>) -> Vec<Frame> {
        let mut frames = Vec::new();
        for _ in 0..1_000 {
            let mut read = None;
            for effect in effects.drain(..) {
                match effect {
                    SourceEffect::Frame(frame) => frames.push(*frame),
                    SourceEffect::Read { after, to } => read = Some((after, to)),
                    SourceEffect::Opened(_) => {}
                    other => unreachable!("{other:?}"),
                }
            }
            let Some((after, to)) = read else {
                return frames;
            };
            let page = self.page(after, to);
            effects = self.tell(SourceInput::Page { after, page });
        }
        unreachable!("reads without end")
    }

    pub fn page(&self, after: u64, to: u64) -> Page {
        let rows = &self.log.events[after as usize..to as usize];
        let rows = rows.iter().cloned().zip(after + 1..);
        Page {
            events: rows.map(|(e, n)| stored(n, e)).collect(),
            scanned_to: to,
        }
    }

    fn grow(&mut self, event: Event) -> Vec<Frame> {
        self.log.events.push(event);
        let effects = self.tell(SourceInput::View(self.view()));
        self.follow(effects)
    }

    fn learn(&mut self, covered: &str) -> Vec<Frame> {
        self.covered = vector(covered);
        let effects = self.tell(SourceInput::View(self.view()));
        self.follow(effects)
    }

    fn wait(&mut self, micros: i64) -> Vec<Frame> {
        self.now += micros;
        let effects = self.tell(SourceInput::Tick);
        self.follow(effects)
    }

    pub fn credit(&mut self, credit: Credit) -> Vec<Frame> {
        let effects = self.tell(SourceInput::Credit(credit));
        self.follow(effects)
    }
}

fn view(log: &Peer, lineage: &Lineage, covered: &VectorTime) -> LogView {
    let mut version = VectorTime::new();
    log.events
        .iter()
        .for_each(|e| version.merge(&e.vector_time()));
    let head = log.events.len() as u64;
    LogView {
        location: name("a"),
        lineage: Arc::new(lineage.clone()),
        head,
        hash: log.hash(head),
        covered_vector: Arc::new(version.merged(covered)),
        version_vector: Arc::new(version),
        stored_at_micros: NOW,
        progress: Arc::default(),
        voided: Arc::default(),
        nonce: 1,
    }
}

fn typed(sequence: u64, event_type: &str) -> Event {
    Event {
        event_type: event_type.into(),
        ..event(sequence)
    }
}

fn spans(frames: &[Frame]) -> Vec<(u64, u64, usize)> {
    frames
        .iter()
        .map(|f| (f.from, f.to, f.events.len()))
        .collect()
}

fn none() -> Credit {
    Credit {
        stream: 1,
        bytes: 0,
        version_vector: None,
        covered_vector: None,
        progress: 0,
    }
}

#[test]
fn frames_continue_each_other_and_are_bounded_by_events() {
    let log = Peer::new("a", (1..=7).map(event).collect());
    let mut bench = Bench::over(log, lineage(&[(1, 0)]), |c| c.frame_events_max = 3);
    let frames = bench.start();
    assert_eq!(spans(&frames), [(0, 3, 3), (3, 6, 3), (6, 7, 1)]);
    for frame in &frames {
        assert_eq!(frame.hash_from, bench.hash(frame.from));
        assert_eq!(frame.hash_to, bench.hash(frame.to));
        assert_eq!(frame.stream, 1);
    }
    assert_eq!(spans(&bench.grow(event(8))), [(7, 8, 1)]);
}

#[test]
fn a_large_event_travels_alone() {
    let mut large = event(2);
    large.payload = vec![7; 5_000].into();
    let log = Peer::new("a", vec![event(1), large, event(3)]);
    let mut bench = Bench::over(log, lineage(&[(1, 0)]), |c| c.frame_bytes_max = 1_000);
    assert_eq!(spans(&bench.start()), [(0, 1, 1), (1, 2, 1), (2, 3, 1)]);
}

#[test]
fn what_is_filtered_never_leaves_but_is_covered_and_counted() {
    let log = Peer::new("a", vec![event(1), typed(2, "filtered"), event(3)]);
    let mut bench = Bench::over(log, lineage(&[(1, 0)]), |_| {});
    let frames = bench.start();
    assert_eq!(spans(&frames), [(0, 3, 2)]);
    assert_eq!(frames[0].filtered, 1);
    assert!(frames[0].events.iter().all(|e| e.event.id.sequence != 2));
    assert!(frames[0].covered.covers(&vector("a#1:3")));
    assert_eq!(bench.machine.filtered_total(), 1);
}

#[test]
fn what_the_target_declared_on_this_stream_is_left_out_before_filter_and_gate() {
    let mut newer = typed(1, "broken");
    newer.application_version = "9".parse().unwrap();
    let log = Peer::new("a", vec![newer, event(2), event(3)]);
    let mut bench = Bench::over(log, lineage(&[(1, 0)]), |_| {});
    let open = Open {
        version_vector: vector("a#1:2"),
        ..bench.open()
    };
    let frames = bench.run(open);
    assert_eq!(spans(&frames), [(0, 3, 1)]);
    // Declared anew, with credit; for another stream it counts for nothing.
    bench.credit(Credit {
        stream: 9,
        version_vector: Some(vector("a#1:4")),
        ..none()
    });
    assert_eq!(spans(&bench.grow(event(4))), [(3, 4, 1)]);
    bench.credit(Credit {
        version_vector: Some(vector("a#1:5")),
        ..none()
    });
    assert_eq!(spans(&bench.grow(event(5))), []);
    // A new stream knows nothing of what was declared on the one before.
    let again = Open {
        stream: 2,
        position: 3,
        hash: bench.hash(3),
        ..bench.open()
    };
    assert_eq!(spans(&bench.run(again)), [(3, 5, 2)]);
}

#[test]
fn the_first_event_of_a_newer_version_stops_the_stream_before_it() {
    let mut newer = event(2);
    newer.application_version = "1.10".parse().unwrap();
    let log = Peer::new("a", vec![event(1), newer, event(3)]);
    let mut bench = Bench::over(log, lineage(&[(1, 0)]), |_| {});
    let old = Open {
        application_version: "1.9".parse().unwrap(),
        ..bench.open()
    };
    assert_eq!(spans(&bench.run(old)), [(0, 1, 1)]);
    let stalled = bench.machine.standing().unwrap().stalled.unwrap();
    assert_eq!(stalled.0, "VersionIncompatible");
    assert_eq!(spans(&bench.wait(10 * DELAY)), []);
    let heartbeat = bench.machine.heartbeat(NOW, None).unwrap();
    assert_eq!(heartbeat.stalled, Some(stalled));
    let new = Open {
        application_version: "1.10".parse().unwrap(),
        position: 1,
        hash: bench.hash(1),
        ..bench.open()
    };
    assert_eq!(spans(&bench.run(new)), [(1, 3, 2)]);
}

#[test]
fn a_filter_error_stops_the_stream_before_the_event_and_tells_how_far_it_came() {
    let log = Peer::new(
        "a",
        vec![typed(1, "filtered"), typed(2, "broken"), event(3)],
    );
    let mut bench = Bench::over(log, lineage(&[(1, 0)]), |_| {});
    assert_eq!(spans(&bench.start()), [(0, 1, 0)]);
    let (reason, message) = bench.machine.standing().unwrap().stalled.unwrap();
    assert_eq!(reason, "FilterError");
    assert!(message.contains("a#1/2") && message.contains("onError"));
}

#[test]
fn several_frames_are_in_flight_until_the_credit_is_used_up() {
    let log = Peer::new("a", (1..=9).map(event).collect());
    let mut bench = Bench::over(log, lineage(&[(1, 0)]), |c| c.frame_events_max = 1);
    let open = bench.open();
    let cost = bench.run(Open {
        credit_bytes: 1,
        ..open.clone()
    })[0]
        .cost();
    let frames = bench.run(Open {
        credit_bytes: cost + 1,
        ..open
    });
    assert_eq!(spans(&frames), [(0, 1, 1), (1, 2, 1)]);
    assert_eq!(spans(&bench.wait(10 * DELAY)), []);
    let frames = bench.credit(Credit {
        bytes: frames[1].cost(),
        progress: 1,
        ..none()
    });
    assert_eq!(spans(&frames), [(2, 3, 1)]);
    let standing = bench.machine.standing().unwrap();
    assert_eq!((standing.acknowledged, standing.sent), (1, 3));
}

#[test]
fn a_frame_without_events_waits_for_company_but_not_for_ever() {
    let log = Peer::new("a", vec![typed(1, "filtered")]);
    let mut bench = Bench::over(log, lineage(&[(1, 0)]), |_| {});
    assert_eq!(spans(&bench.start()), []);
    assert_eq!(bench.machine.wake_at_micros(), Some(NOW + DELAY));
    assert_eq!(spans(&bench.wait(DELAY - 1)), []);
    assert_eq!(spans(&bench.grow(event(2))), [(0, 2, 1)], "company");
    assert_eq!(spans(&bench.grow(typed(3, "filtered"))), []);
    assert_eq!(spans(&bench.wait(DELAY)), [(2, 3, 0)]);
    assert_eq!(spans(&bench.wait(DELAY)), []);
    assert_eq!(bench.machine.wake_at_micros(), None);
}

#[test]
fn a_log_that_moves_on_all_the_time_does_not_keep_a_progress_waiting() {
    let log = Peer::new("a", vec![typed(1, "filtered")]);
    let mut bench = Bench::over(log, lineage(&[(1, 0)]), |_| {});
    bench.start();
    let mut told = Vec::new();
    for n in 2..20 {
        bench.now += DELAY / 4;
        told.extend(bench.grow(typed(n, "filtered")));
    }
    assert!(told.len() >= 3, "{:?}", spans(&told));
}

#[test]
fn many_rows_without_anything_to_send_are_told_at_once() {
    let log = Peer::new("a", (1..=5).map(|n| typed(n, "filtered")).collect());
    let mut bench = Bench::over(log, lineage(&[(1, 0)]), |c| c.scan_rows_max = 5);
    assert_eq!(spans(&bench.start()), [(0, 5, 0)]);
}

#[test]
fn the_covered_vector_travels_only_with_the_frame_that_ends_at_its_head() {
    let log = Peer::new("a", (1..=4).map(event).collect());
    let mut bench = Bench::over(log, lineage(&[(1, 0)]), |c| c.frame_events_max = 3);
    bench.learn("c#1:9");
    let frames = bench.start();
    assert_eq!(spans(&frames), [(0, 3, 3), (3, 4, 1)]);
    assert_eq!(frames[0].covered, vector("a#1:3"));
    assert_eq!(frames[1].covered, vector("a#1:4,c#1:9"));
}

#[test]
fn vectors_alone_are_told_only_when_they_are_news_and_once() {
    let mut bench = Bench::new(1);
    bench.start();
    assert_eq!(spans(&bench.learn("c#1:5")), []);
    let frames = bench.wait(DELAY);
    assert_eq!(spans(&frames), [(1, 1, 0)]);
    assert_eq!(frames[0].covered, vector("a#1:1,c#1:5"));
    assert_eq!(frames[0].hash_from, frames[0].hash_to);
    // Sent already; of a location the target does not take over; and what the target has declared.
    assert_eq!(spans(&bench.wait(10 * DELAY)), []);
    bench.learn("b#1:9,c#1:5,d#1:9");
    assert_eq!(spans(&bench.wait(10 * DELAY)), []);
    bench.credit(Credit {
        covered_vector: Some(vector("c#1:8")),
        ..none()
    });
    bench.learn("c#1:8");
    assert_eq!(spans(&bench.wait(10 * DELAY)), []);
}

#[test]
fn news_that_the_target_declares_while_they_wait_are_not_told() {
    let mut bench = Bench::new(1);
    bench.start();
    bench.learn("c#1:5");
    bench.credit(Credit {
        covered_vector: Some(vector("c#1:5")),
        ..none()
    });
    assert_eq!(spans(&bench.wait(DELAY)), []);
}

#[test]
fn a_raise_ends_the_stream() {
    let mut bench = Bench::new(3);
    bench.start();
    bench.lineage = lineage(&[(1, 0), (5, 3)]);
    let effects = bench.tell(SourceInput::View(bench.view()));
    assert!(matches!(effects[..], [SourceEffect::Close(_)]));
    assert!(bench.machine.standing().is_none());
    assert!(
        bench
            .tell(SourceInput::Credit(Credit { bytes: 9, ..none() }))
            .is_empty()
    );
}

#[test]
fn a_page_that_is_not_the_log_ends_the_stream_instead_of_being_sent() {
    type Change = fn(&mut Page);
    let changes: [Change; 3] = [
        |page| page.events.clear(),
        |page| drop(page.events.remove(1)),
        |page| page.events[2] = stored(3, foreign("a#1/3", "")),
    ];
    for change in changes {
        let mut bench = Bench::new(3);
        bench.tell(SourceInput::Open(Box::new(bench.open())));
        bench.tell(SourceInput::Hash {
            position: 0,
            hash: Some(ChainHash::ZERO),
        });
        let mut page = bench.page(0, 3);
        change(&mut page);
        let effects = bench.tell(SourceInput::Page { after: 0, page });
        assert!(
            matches!(effects[..], [SourceEffect::Close(_)]),
            "{effects:?}"
        );
    }
}

#[test]
fn what_is_not_published_is_not_sent() {
    let mut bench = Bench::new(3);
    bench.tell(SourceInput::Open(Box::new(bench.open())));
    bench.tell(SourceInput::Hash {
        position: 0,
        hash: Some(ChainHash::ZERO),
    });
    bench.log.events.push(event(4));
    let page = bench.page(0, 4);
    let effects = bench.tell(SourceInput::Page { after: 0, page });
    assert_eq!(spans(&bench.follow(effects)), [(0, 3, 3)]);
}
