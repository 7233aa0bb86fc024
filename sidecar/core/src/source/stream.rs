//! One running stream: what was looked at, what was sent, and what the next frame will cover.

use std::sync::Arc;

use tidelog_model::{ApplicationVersion, ChainHash, StoredEvent, VectorTime, canonical, mutant};
use tidelog_store::Page;

use super::{SourceConfig, SourceEffect};
use crate::frame::{Frame, FrameEvent};
use crate::stream::{Admission, Open};
use crate::view::LogView;

/// Where one stream stands.
pub(super) struct Stream {
    pub(super) id: u64,
    /// Everything up to here is in frames that were sent.
    pub(super) sent: u64,
    pub(super) sent_hash: ChainHash,
    /// Everything up to here was looked at; between `sent` and here nothing passes.
    pub(super) scanned: u64,
    pub(super) scanned_hash: ChainHash,
    pub(super) scanned_covered: VectorTime,
    pub(super) scanned_filtered: u64,
    /// Since when `scanned` is ahead of `sent`.
    pub(super) idle_since_micros: Option<i64>,
    pub(super) acknowledged: u64,
    pub(super) credit: i64,
    pub(super) version_vector: VectorTime,
    pub(super) covered_vector: VectorTime,
    pub(super) application_version: ApplicationVersion,
    pub(super) reading: Option<Arc<LogView>>,
    pub(super) stalled: Option<(String, String)>,
}

impl Stream {
    pub(super) fn start(open: &Open, position: u64, hash: ChainHash) -> Self {
        Self {
            id: open.stream,
            sent: position,
            sent_hash: hash,
            scanned: position,
            scanned_hash: hash,
            scanned_covered: VectorTime::new(),
            scanned_filtered: 0,
            idle_since_micros: None,
            acknowledged: position,
            credit: i64::try_from(open.credit_bytes).unwrap_or(i64::MAX),
            version_vector: if mutant!("skips-what-is-only-covered") {
                open.covered_vector.clone()
            } else {
                open.version_vector.clone()
            },
            covered_vector: open.covered_vector.clone(),
            application_version: open.application_version.clone(),
            reading: None,
            stalled: None,
        }
    }

    /// Walks a page in order. Returns a frame when there is something to send, and an error when the page is not the log that `view` shows.
    pub(super) fn scan(
        &mut self,
        config: &SourceConfig,
        view: &LogView,
        page: &Page,
        now_micros: i64,
    ) -> Result<Option<Frame>, String> {
        let mut events = Vec::new();
        let mut bytes = 0;
        let before = self.scanned;
        for stored in &page.events {
            if stored.sequence > view.head && !mutant!("unpublished-events-sent") {
                // Committed perhaps, but not published: nobody's to see.
                break;
            }
            if stored.sequence != self.scanned + 1 && !mutant!("gap-in-a-page-sent") {
                return Err(format!(
                    "read sequence {} where {} is due",
                    stored.sequence,
                    self.scanned + 1
                ));
            }
            let event = &stored.event;
            if self.version_vector.covers_id(&event.id)
                || (mutant!("own-events-forwarded-only")
                    && event.id.origin.location != config.source)
            {
                self.pass_over(stored);
                continue;
            }
            if mutant!("gate-skips") && event.application_version > self.application_version {
                self.pass_over(stored);
                continue;
            }
            let written_by = if mutant!("gate-by-the-version-of-the-source") {
                &config.application_version
            } else {
                &event.application_version
            };
            if *written_by > self.application_version && !mutant!("no-gate") {
                self.stalled = Some((
                    "VersionIncompatible".to_owned(),
                    format!(
                        "event {} was written by version {}, {} runs {}; upgrade it",
                        event.id,
                        event.application_version,
                        config.target,
                        self.application_version
                    ),
                ));
                break;
            }
            let mut admission = config.filter.admit(stored);
            if mutant!("filter-ignored") {
                admission = Admission::Pass;
            }
            match admission {
                Admission::Pass => {
                    let canonical = canonical::encode(event);
                    let full = events.len() >= config.frame_events_max
                        || bytes + canonical.len() > config.frame_bytes_max;
                    if full && !events.is_empty() && !mutant!("frame-unbounded") {
                        break;
                    }
                    bytes += canonical.len();
                    events.push(FrameEvent {
                        event: event.clone(),
                        digest: stored.digest,
                        bytes: canonical.len(),
                    });
                }
                Admission::Filtered => self.scanned_filtered += 1,
                Admission::Stall(_) if mutant!("filter-error-skips") => self.scanned_filtered += 1,
                Admission::Stall(reason) => {
                    self.stalled = Some((
                        "FilterError".to_owned(),
                        format!(
                            "event {}: {reason}; change the filter or its onError",
                            event.id
                        ),
                    ));
                    break;
                }
            }
            self.pass_over(stored);
        }
        if self.scanned == before && self.stalled.is_none() {
            return Err(format!(
                "nothing is read above {before}, the head is {}",
                view.head
            ));
        }
        if self.scanned == view.head
            && self.scanned_hash != view.hash
            && !mutant!("scanned-chain-unchecked")
        {
            return Err(format!(
                "the hash chain of what is read up to {} is not that of the log",
                view.head
            ));
        }
        if self.scanned == self.sent {
            return Ok(None);
        }
        if events.is_empty() {
            // Nothing to send: wait a moment for company, so that a mesh does not answer every event with an empty frame.
            self.idle_since_micros.get_or_insert(now_micros);
            let many = self.scanned - self.sent >= config.scan_rows_max as u64;
            let due = many || self.stalled.is_some();
            return Ok(due.then(|| self.flush(view, Vec::new())));
        }
        if mutant!("frame-in-another-order") {
            events.reverse();
        }
        Ok(Some(self.flush(view, events)))
    }

    /// Takes an event into what the next frame covers, whether or not it is sent.
    fn pass_over(&mut self, stored: &StoredEvent) {
        let event = &stored.event;
        self.scanned = stored.sequence;
        self.scanned_hash = self.scanned_hash.next(&event.id, &stored.digest);
        self.scanned_covered.merge(&event.context);
        self.scanned_covered
            .raise(&event.id.origin, event.id.sequence);
    }

    /// True while something scanned has waited for company long enough.
    pub(super) fn is_due(&self, delay_micros: i64, now_micros: i64) -> bool {
        self.idle_since_micros
            .is_some_and(|since| now_micros.saturating_sub(since) >= delay_micros)
    }

    /// A frame over everything scanned and not yet sent.
    pub(super) fn flush(&mut self, view: &LogView, events: Vec<FrameEvent>) -> Frame {
        let mut covered = std::mem::take(&mut self.scanned_covered);
        // Head and covered vector come from one snapshot; only a frame that ends at that head may carry it.
        if self.scanned == view.head || mutant!("kv-later-than-its-head") {
            covered.merge(&view.covered_vector);
        }
        let frame = Frame {
            stream: self.id,
            incarnation: view.current().incarnation,
            from: self.sent,
            to: self.scanned,
            hash_from: self.sent_hash,
            hash_to: self.scanned_hash,
            events,
            covered,
            head: view.head,
            filtered: std::mem::take(&mut self.scanned_filtered),
        };
        if !mutant!("kv-told-again-and-again") {
            self.covered_vector.merge(&frame.covered);
        }
        if !mutant!("frames-overlap") {
            self.sent = self.scanned;
        }
        self.sent_hash = self.scanned_hash;
        self.idle_since_micros = None;
        if !mutant!("credit-never-used-up") {
            self.credit -= i64::try_from(frame.cost()).unwrap_or(i64::MAX);
        }
        frame
    }

    /// A frame of vectors only, when the target would learn something from it and has not been told on this stream.
    pub(super) fn tell_covered(
        &mut self,
        view: &LogView,
        config: &SourceConfig,
        now_micros: i64,
        effects: &mut Vec<SourceEffect>,
    ) {
        let news = view
            .covered_vector
            .filtered(|o| config.behind.contains(&o.location) || mutant!("news-that-nobody-takes"));
        if mutant!("kv-never-told-alone") || self.covered_vector.covers(&news) {
            self.idle_since_micros = None;
            return;
        }
        self.idle_since_micros.get_or_insert(now_micros);
        if self.is_due(config.empty_frame_delay_micros, now_micros) {
            effects.push(SourceEffect::Frame(Box::new(self.flush(view, Vec::new()))));
        }
    }
}
