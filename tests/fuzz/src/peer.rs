//! A hostile location that was let in: it may stall its own edge and forge what it forwards, and nothing else.
//!
//! | module | what it plays |
//! |---|---|
//! | [`source`] | the source of an edge to here: answers, frames, heartbeats |
//! | [`target`] | the target of an edge from here: requests, credits, proofs |
//! | `lies` | values that are nearly right |

mod lies;
pub mod source;
pub mod target;

use std::sync::Arc;

use tidelog_core::{AppendRequest, EdgeContext, Frame, FrameEvent, FrameOutcome, FrameWork, Work};
use tidelog_model::{ChainHash, Incarnation, NewEvent, StoredEvent, canonical, caps};
use tidelog_store::MemoryStore;

pub use source::hostile_source;
pub use target::hostile_target;

use crate::place::{Place, Wait};
use crate::sample;

/// Steps of one case.
const STEPS_MAX: usize = 80;

/// An empty log in memory at a location.
fn place(name: &str) -> Place {
    let store = MemoryStore::new(Arc::new(|| 0));
    Place::start(sample::location(name), Arc::new(store), Wait::Never)
}

/// A client's request for one event.
fn request(kind: &str) -> AppendRequest {
    AppendRequest {
        events: vec![NewEvent {
            event_type: kind.to_owned(),
            aggregate_id: "order-1".to_owned(),
            payload: vec![1; 20].into(),
            ..NewEvent::default()
        }],
        ..AppendRequest::default()
    }
}

/// An honest peer: its log, and the frame that goes on at what a target has of it.
struct Honest(Place);

impl Honest {
    fn new() -> Self {
        Self(place("ap"))
    }

    /// Appends here, and hands everything over that is new there.
    fn hand_over(&mut self, there: &mut Place) -> FrameOutcome {
        self.0.append(request("Told")).expect("nobody disturbs it");
        let name = sample::location("ap");
        let held = there.view.progress.get(&name).cloned().unwrap_or_default();
        let events = self
            .0
            .read(held.position, self.0.view.head)
            .expect("memory");
        let frame = Frame {
            stream: 1,
            incarnation: Incarnation(1),
            from: held.position,
            to: self.0.view.head,
            hash_from: held.hash,
            hash_to: self.0.view.hash,
            events: events.iter().map(sent).collect(),
            covered: (*self.0.view.covered_vector).clone(),
            head: self.0.view.head,
            filtered: 0,
        };
        let edge = EdgeContext {
            source: name.clone(),
            lineage: (*self.0.view.lineage).clone(),
            behind: Arc::new([name].into()),
        };
        there.work(Work::Frame(Box::new(FrameWork { frame, edge })))
    }
}

/// A stored event as it travels.
fn sent(stored: &StoredEvent) -> FrameEvent {
    let bytes = canonical::encode(&stored.event).into();
    FrameEvent::decode(&bytes).expect("bytes that were encoded")
}

/// What a location holds, kept outside of it: grows, and never changes.
#[derive(Default)]
struct Truth {
    events: Vec<StoredEvent>,
    hash: ChainHash,
}

impl Truth {
    /// Looks at the whole log again. Returns what is new.
    fn look(&mut self, place: &Place) -> &[StoredEvent] {
        let read = place.events().expect("memory can be read");
        let known = self.events.len();
        assert!(
            read.len() >= known,
            "{known} events were held, {} are left",
            read.len()
        );
        assert!(
            read[..known] == self.events[..],
            "an event that was held is another one"
        );
        assert_eq!(read.len() as u64, place.view.head);
        for (sequence, stored) in (known as u64 + 1..).zip(&read[known..]) {
            assert_eq!(stored.sequence, sequence, "a gap");
            self.hash = self.hash.next(&stored.event.id, &stored.digest);
        }
        assert_eq!(
            self.hash, place.view.hash,
            "the chain is not that of the events"
        );
        self.events = read;
        let view = &place.view;
        assert!(view.version_vector.len() <= caps::VECTOR_ENTRIES_MAX);
        assert!(
            view.covered_vector.len() <= caps::VECTOR_ENTRIES_MAX,
            "the covered vector has {} entries: no peer takes a message with it",
            view.covered_vector.len()
        );
        assert!(view.covered_vector.covers(&view.version_vector));
        &self.events[known..]
    }
}

/// Noise of several lengths: every byte is a choice.
pub fn seeds() -> Vec<Vec<u8>> {
    (1..=24u32)
        .map(|seed| {
            let mut state = seed.wrapping_mul(0x9e37_79b9);
            (0..seed * 80)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect()
        })
        .collect()
}
