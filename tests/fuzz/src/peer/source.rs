//! A hostile source: the real target of the edge and the writer behind it, told anything.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use tidelog_core::{
    FrameOutcome, FrameWork, Heartbeat, Open, Opened, RefusalKind, Refused, StopReason, Target,
    TargetConfig, TargetEffect, TargetInput, Work,
};
use tidelog_model::{Digest, Incarnation};
use tidelog_store::VoidedId;

use super::{Honest, STEPS_MAX, Truth, lies, place, request};
use crate::place::Place;
use crate::sample;

const KINDS: [RefusalKind; 10] = [
    RefusalKind::PositionMismatch,
    RefusalKind::SourceBehind,
    RefusalKind::WrongLocation,
    RefusalKind::EdgeNotAllowed,
    RefusalKind::Paused,
    RefusalKind::Incompatible,
    RefusalKind::ApplicationMismatch,
    RefusalKind::NotReady,
    RefusalKind::Rejected,
    RefusalKind::Cut,
];

/// The location `us` with an edge from `eu`, which lies, and one from `ap`, which does not.
struct Scene {
    here: Place,
    machine: Target,
    honest: Honest,
    truth: Truth,
    asked: Option<Box<Open>>,
    lineage: tidelog_model::Lineage,
    /// A frame that the writer has not come to yet.
    waiting: Option<Box<FrameWork>>,
    streams: u64,
    /// What the peer would write next.
    next: u64,
    /// Digests of everything that the peer has ever sent.
    sent: HashSet<Digest>,
}

/// Whatever a source says: nothing panics, what is held stays as it is, what is stored was sent, the progress of others stays, appends go on, vectors
/// stay within their bounds, and the writer stops for nothing less than an event of its own that it does not hold.
pub fn hostile_source(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let mut scene = Scene::new(u.ratio(1, 2).unwrap_or(true));
    for _ in 0..STEPS_MAX {
        if u.is_empty() || scene.step(&mut u).is_err() || scene.here.stopped.is_some() {
            break;
        }
        scene.look();
    }
    scene.end();
}

impl Scene {
    fn new(has_written: bool) -> Self {
        let mut here = place("us");
        let mut honest = Honest::new();
        for _ in 0..3 {
            if has_written {
                here.append(request("Own")).expect("an empty log");
            }
            assert!(matches!(
                honest.hand_over(&mut here),
                FrameOutcome::Applied { stored: 1, .. }
            ));
        }
        let config = TargetConfig {
            log: "orders".into(),
            source: sample::location("eu"),
            target: sample::location("us"),
            spec_hash: String::new(),
            application_name: "shop".into(),
            application_version: "1".parse().expect("a version"),
            filter_hash: String::new(),
            behind: Arc::new(BTreeSet::from([
                sample::location("eu"),
                sample::location("far"),
            ])),
            window_bytes: 4_096,
        };
        let machine = Target::new(config, here.view.clone());
        let mut scene = Self {
            here,
            machine,
            honest,
            truth: Truth::default(),
            asked: None,
            lineage: tidelog_model::Lineage::default(),
            waiting: None,
            streams: 0,
            next: 1,
            sent: HashSet::new(),
        };
        scene.truth.look(&scene.here);
        scene
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let input = match u.int_in_range(0..=15)? {
            0 | 1 => {
                // Told after everything that an earlier stream gave to the writer.
                if let Some(work) = self.waiting.take() {
                    self.here.work(Work::Frame(work));
                }
                self.tell(TargetInput::View(self.here.view.clone()), u)?;
                self.streams += 1;
                TargetInput::Connected(self.streams)
            }
            2..=4 => TargetInput::Opened(Box::new(self.opened(u)?)),
            5 => TargetInput::Refused(Box::new(self.refused(u)?)),
            6..=11 => {
                let held = self.here.view.progress.get(&sample::location("eu"));
                let held = held.cloned().unwrap_or_default();
                let incarnation = self
                    .lineage
                    .current()
                    .map_or(Incarnation(0), |e| e.incarnation);
                let frame = lies::frame(u, self.streams, incarnation, &held, &mut self.next)?;
                self.sent.extend(frame.events.iter().map(|e| e.digest));
                TargetInput::Frame(Box::new(frame))
            }
            12 => TargetInput::Heartbeat(self.heartbeat(u)?),
            13 => TargetInput::Disconnected("gone".into()),
            14 => {
                self.append();
                TargetInput::View(self.here.view.clone())
            }
            _ => return self.come_to_it(u),
        };
        self.tell(input, u)
    }

    fn opened(&mut self, u: &mut Unstructured<'_>) -> Result<Opened> {
        let (position, hash) = self
            .asked
            .as_ref()
            .map_or_else(Default::default, |o| (o.position, o.hash));
        self.lineage = lies::lineage(u)?;
        let mut voided = Vec::new();
        if u.ratio(1, 6)? {
            for stored in self.truth.events.iter().take(u.int_in_range(0..=4)?) {
                voided.push(VoidedId {
                    id: stored.event.id.clone(),
                    digest: lies::mostly(u, stored.digest, |u| Ok(Digest([u.arbitrary()?; 32])))?,
                });
            }
        }
        Ok(Opened {
            stream: lies::mostly(u, self.streams, lies::any)?,
            lineage: self.lineage.clone(),
            position: lies::mostly(u, position, sample::number)?,
            hash: lies::mostly(u, hash, lies::hash)?,
            head: sample::number(u)?,
            voided,
            spec_hash: sample::text(u)?,
            application_name: "shop".into(),
            application_version: "1".parse().expect("a version"),
            filter_hash: sample::text(u)?,
        })
    }

    fn refused(&mut self, u: &mut Unstructured<'_>) -> Result<Refused> {
        Ok(Refused {
            stream: lies::mostly(u, self.streams, lies::any)?,
            kind: *u.choose(&KINDS)?,
            message: sample::text(u)?,
            lineage: lies::lineage(u)?,
            position: sample::number(u)?,
            hash: lies::hash(u)?,
        })
    }

    fn heartbeat(&mut self, u: &mut Unstructured<'_>) -> Result<Heartbeat> {
        Ok(Heartbeat {
            stream: lies::mostly(u, self.streams, lies::any)?,
            head: sample::number(u)?,
            time_micros: lies::mostly(u, 1_700_000_000_000_000, |u| Ok(u.arbitrary::<i64>()? / 2))?,
            next_stored_at_micros: if u.ratio(1, 2)? {
                Some(u.arbitrary::<i64>()? / 2)
            } else {
                None
            },
            stalled: if u.ratio(1, 4)? {
                Some((sample::text(u)?, sample::text(u)?))
            } else {
                None
            },
            sent: sample::number(u)?,
            spec_hash: None,
            filter_hash: Some(sample::text(u)?),
        })
    }

    fn append(&mut self) {
        let answer = self.here.append(request("Own"));
        assert!(answer.is_ok(), "a local append is refused: {answer:?}");
    }

    fn tell(&mut self, input: TargetInput, u: &mut Unstructured<'_>) -> Result<()> {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for effect in self.machine.handle(input, self.here.now_micros) {
                match effect {
                    TargetEffect::Open(open) => self.asked = Some(open),
                    TargetEffect::Apply(work) => {
                        assert!(self.waiting.is_none(), "one frame at a time");
                        if u.ratio(1, 4)? {
                            self.waiting = Some(work);
                        } else {
                            let outcome = self.here.work(Work::Frame(work));
                            inputs.push(TargetInput::Applied(outcome));
                            inputs.push(TargetInput::View(self.here.view.clone()));
                        }
                    }
                    TargetEffect::GoBack(progress) => {
                        let work = Work::GoBack(sample::location("eu"), progress);
                        inputs.push(TargetInput::WentBack(self.here.work(work)));
                        inputs.push(TargetInput::View(self.here.view.clone()));
                    }
                    TargetEffect::FindVoided(voided) => {
                        let ids: Vec<_> = voided.iter().map(|v| v.id.clone()).collect();
                        let rows = self
                            .here
                            .wait
                            .on(self.here.store.find(&ids))
                            .expect("memory");
                        let held = voided.iter().zip(rows).find_map(|(wanted, row)| {
                            row.filter(|row| row.digest == wanted.digest)
                                .map(|row| row.id)
                        });
                        inputs.push(TargetInput::Voided(held));
                    }
                    TargetEffect::Credit(credit) => assert_eq!(credit.stream, self.streams),
                    TargetEffect::Close(reason, _) => {
                        // What the writer has in its hands is answered before the next stream.
                        self.waiting = None;
                        inputs.push(TargetInput::Disconnected(reason));
                    }
                }
            }
        }
        Ok(())
    }

    /// The writer comes to the frame that waits.
    fn come_to_it(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let Some(work) = self.waiting.take() else {
            return Ok(());
        };
        let outcome = self.here.work(Work::Frame(work));
        self.tell(TargetInput::View(self.here.view.clone()), u)?;
        self.tell(TargetInput::Applied(outcome), u)
    }

    fn look(&mut self) {
        let ap = sample::location("ap");
        let progress = self.here.view.progress.get(&ap).map(|p| p.position);
        assert_eq!(
            progress,
            Some(self.honest.0.view.head),
            "the progress of another edge has moved"
        );
        assert!(
            self.here.view.progress.len() <= 2,
            "an edge that nobody has"
        );
        let Self {
            truth,
            here,
            sent,
            honest,
            ..
        } = self;
        let told = honest.0.events().expect("memory");
        for new in truth.look(here) {
            let own = new.appended_here && new.event.event_type == "Own";
            let known =
                own || sent.contains(&new.digest) || told.iter().any(|e| e.digest == new.digest);
            assert!(known, "nobody has sent {}", new.event.id);
        }
    }

    fn end(&mut self) {
        if let Some(reason) = self.here.stopped.take() {
            let StopReason::LossProven(proof) = &reason else {
                unreachable!("stopped for {reason:?}");
            };
            let id = &proof.event.id;
            assert_eq!(
                id.origin.location.as_str(),
                "us",
                "an event of another location proves nothing"
            );
            assert!(
                self.sent.contains(&proof.digest),
                "an event that nobody has shown"
            );
            let held = self.truth.events.iter().find(|e| e.event.id == *id);
            assert!(
                held.is_none_or(|e| e.digest != proof.digest),
                "what is held is not lost"
            );
            return;
        }
        // The other edge and the clients never noticed.
        self.append();
        let outcome = self.honest.hand_over(&mut self.here);
        assert!(
            matches!(outcome, FrameOutcome::Applied { .. }),
            "another edge: {outcome:?}"
        );
        self.look();
    }
}
