//! A hostile target: the real source of the edge, told anything.

use std::collections::BTreeSet;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use tidelog_core::{
    Admission, Credit, EdgeFilter, Frame, Open, PROTOCOL_VERSION, Source, SourceConfig,
    SourceEffect, SourceInput,
};
use tidelog_model::{ChainHash, Incarnation, StoredEvent, canonical};
use tidelog_store::Page;

use super::{Honest, STEPS_MAX, Truth, lies, place, request};
use crate::place::Place;
use crate::sample;

/// How often a peer may be asked for proof.
const PROOF_INTERVAL_MICROS: i64 = 3_600_000_000;

struct NoSecrets;

impl EdgeFilter for NoSecrets {
    fn admit(&self, stored: &StoredEvent) -> Admission {
        match stored.event.event_type.as_str() {
            "Secret" => Admission::Filtered,
            _ => Admission::Pass,
        }
    }
}

struct Scene {
    here: Place,
    honest: Honest,
    machine: Source,
    truth: Truth,
    streams: u64,
    /// Bytes that the running stream may still take.
    credit: i128,
    asked_micros: Option<i64>,
    /// A look into the log that waits.
    lookup: Option<Lookup>,
}

enum Lookup {
    Hash(u64),
    Read(u64, u64),
}

/// Whatever a target asks for: nothing panics, no event leaves that the filter keeps back or that is not published, frames are continuous and within
/// the credit, proof is asked for once an hour, and only an event proves a loss.
pub fn hostile_target(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let mut scene = Scene::new();
    for _ in 0..STEPS_MAX {
        if u.is_empty() || scene.step(&mut u).is_err() {
            break;
        }
    }
    scene
        .here
        .append(request("Own"))
        .expect("no peer can stop it");
    scene.truth.look(&scene.here);
}

impl Scene {
    fn new() -> Self {
        let mut here = place("us");
        let mut honest = Honest::new();
        for kind in ["Own", "Secret", "Own", "Own", "Secret"] {
            here.append(request(kind)).expect("an empty log");
            honest.hand_over(&mut here);
        }
        let config = SourceConfig {
            log: "orders".into(),
            source: sample::location("us"),
            target: sample::location("eu"),
            spec_hash: String::new(),
            application_name: "shop".into(),
            application_version: "1".parse().expect("a version"),
            filter_hash: String::new(),
            behind: Arc::new(BTreeSet::from([
                sample::location("us"),
                sample::location("ap"),
            ])),
            filter: Arc::new(NoSecrets),
            frame_events_max: 3,
            frame_bytes_max: 400,
            scan_rows_max: 4,
            empty_frame_delay_micros: 1_000,
            proof_interval_micros: PROOF_INTERVAL_MICROS,
        };
        let machine = Source::new(config, here.view.clone());
        let mut truth = Truth::default();
        truth.look(&here);
        Self {
            here,
            honest,
            machine,
            truth,
            streams: 0,
            credit: 0,
            asked_micros: None,
            lookup: None,
        }
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        self.here.now_micros += match u.int_in_range(0..=9)? {
            0 => PROOF_INTERVAL_MICROS / 3,
            _ => 700,
        };
        let input = match u.int_in_range(0..=13)? {
            0..=3 => {
                self.lookup = None;
                SourceInput::Open(Box::new(self.open(u)?))
            }
            4..=6 => self.credit(u)?,
            7 => SourceInput::Proof(if u.ratio(1, 3)? {
                None
            } else {
                lies::event(u)?
            }),
            8 => SourceInput::Tick,
            9 => {
                let kind = *u.choose(&["Own", "Secret"])?;
                self.here
                    .append(request(kind))
                    .expect("no peer can stop it");
                if u.ratio(1, 3)? {
                    self.honest.hand_over(&mut self.here);
                }
                self.truth.look(&self.here);
                SourceInput::View(self.here.view.clone())
            }
            10 => {
                self.machine.disconnected();
                self.lookup = None;
                return Ok(());
            }
            _ => match self.lookup.take() {
                Some(lookup) => self.found(&lookup, u)?,
                None => SourceInput::Tick,
            },
        };
        self.tell(input, u)
    }

    fn hash_at(&self, position: u64) -> Option<ChainHash> {
        self.here
            .wait
            .on(self.here.store.hash_at(position))
            .expect("memory")
    }

    fn open(&mut self, u: &mut Unstructured<'_>) -> Result<Open> {
        self.streams += 1;
        let head = self.here.view.head;
        let position = lies::mostly(u, 0, sample::number)?;
        let position = if u.ratio(1, 2)? {
            position.min(head)
        } else {
            position
        };
        let hash = self.hash_at(position).unwrap_or_default();
        let mine = (*self.here.view.lineage).clone();
        let open = Open {
            stream: self.streams,
            log: lies::mostly(u, "orders".to_owned(), sample::text)?,
            target: lies::mostly(u, sample::location("eu"), |_| Ok(sample::location("ap")))?,
            source: sample::location("us"),
            position: lies::mostly(u, position, sample::number)?,
            hash: lies::mostly(u, hash, lies::hash)?,
            source_lineage: lies::mostly(u, mine, lies::lineage)?,
            version_vector: lies::vector(u)?,
            covered_vector: lies::vector(u)?,
            target_lineage: lies::lineage(u)?,
            source_incarnation_known: lies::mostly(u, Incarnation(1), |u| {
                Ok(Incarnation(u.arbitrary()?))
            })?,
            spec_hash: String::new(),
            application_name: "shop".into(),
            application_version: u.choose(&["", "1", "2"])?.parse().expect("a version"),
            protocol_version: lies::mostly(u, PROTOCOL_VERSION, lies::any)?,
            canonical_version: lies::mostly(u, u32::from(canonical::VERSION), lies::any)?,
            credit_bytes: lies::mostly(u, 2_000, lies::any)?,
            filter_hash: String::new(),
        };
        self.credit = i128::from(open.credit_bytes.min(i64::MAX as u64));
        Ok(open)
    }

    fn credit(&mut self, u: &mut Unstructured<'_>) -> Result<SourceInput> {
        let credit = Credit {
            stream: lies::mostly(u, self.streams, lies::any)?,
            bytes: lies::mostly(u, 500, lies::any)?,
            version_vector: if u.ratio(1, 3)? {
                Some(lies::vector(u)?)
            } else {
                None
            },
            covered_vector: if u.ratio(1, 3)? {
                Some(lies::vector(u)?)
            } else {
                None
            },
            progress: sample::number(u)?,
        };
        if credit.stream == self.streams {
            self.credit += i128::from(credit.bytes);
        }
        Ok(SourceInput::Credit(credit))
    }

    fn found(&self, lookup: &Lookup, u: &mut Unstructured<'_>) -> Result<SourceInput> {
        Ok(match *lookup {
            Lookup::Hash(position) => SourceInput::Hash {
                position,
                hash: self.hash_at(position),
            },
            Lookup::Read(after, to) => {
                let end = to.min(after + u.int_in_range(1..=6)?);
                let events = self.here.read(after, end).expect("memory");
                SourceInput::Page {
                    after,
                    page: Page {
                        events,
                        scanned_to: end,
                    },
                }
            }
        })
    }

    fn tell(&mut self, input: SourceInput, u: &mut Unstructured<'_>) -> Result<()> {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for effect in self.machine.handle(input, self.here.now_micros) {
                let lookup = match effect {
                    SourceEffect::NeedHash(position) => Lookup::Hash(position),
                    SourceEffect::Read { after, to } => {
                        assert!(after < to && to <= self.here.view.head);
                        Lookup::Read(after, to)
                    }
                    SourceEffect::Frame(frame) => {
                        self.left(&frame);
                        continue;
                    }
                    SourceEffect::AskProof(_) => {
                        let now = self.here.now_micros;
                        let early = self
                            .asked_micros
                            .is_some_and(|t| now - t < PROOF_INTERVAL_MICROS);
                        assert!(!early, "asked for proof twice within an hour");
                        self.asked_micros = Some(now);
                        continue;
                    }
                    SourceEffect::LossProven(proof) => {
                        let id = &proof.event.id;
                        assert_eq!(id.origin.location.as_str(), "us");
                        let held = self.truth.events.iter().any(|e| e.event.id == *id);
                        assert!(!held, "what is held is not lost");
                        continue;
                    }
                    SourceEffect::Opened(_) | SourceEffect::Refused(_) | SourceEffect::Close(_) => {
                        continue;
                    }
                };
                if u.ratio(1, 4)? {
                    self.lookup = Some(lookup);
                } else {
                    inputs.push(self.found(&lookup, u)?);
                }
            }
        }
        Ok(())
    }

    /// A frame leaves.
    fn left(&mut self, frame: &Frame) {
        assert!(self.credit > 0, "beyond the credit");
        self.credit -= i128::from(frame.cost());
        assert_eq!(frame.stream, self.streams);
        assert!(frame.from <= frame.to && frame.to <= self.here.view.head);
        assert_eq!(self.hash_at(frame.from), Some(frame.hash_from));
        assert_eq!(self.hash_at(frame.to), Some(frame.hash_to));
        for event in &frame.events {
            let held = self
                .truth
                .events
                .iter()
                .find(|e| e.event.id == event.event.id);
            let held = held.expect("an event of this log");
            assert!(held.sequence > frame.from && held.sequence <= frame.to);
            assert_eq!(held.digest, event.digest);
            assert_ne!(held.event.event_type, "Secret", "the filter keeps it back");
        }
    }
}
