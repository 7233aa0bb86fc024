//! The journal: what writers, readers and onlookers did and were told, in the order in which it was told.
//!
//! It is kept by the tests alone; the product neither writes nor reads it. Cheap to clone, all clones are one journal.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::record::{Attempt, FrameRecord, Id, Life, Progress, Subscription};

/// The journal of one test.
#[derive(Debug, Clone)]
pub struct Journal {
    began: Instant,
    began_micros: i64,
    pages: Arc<Mutex<Pages>>,
}

/// What has been written down.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    /// Every try to append.
    pub attempts: Vec<Attempt>,
    /// What each subscriber got.
    pub subscriptions: Vec<Subscription>,
    /// Incarnations seen in force.
    pub lives: Vec<Life>,
    /// Progress of edges over time.
    pub progress: Vec<Progress>,
    /// Frames that a target of ours was sent.
    pub frames: Vec<FrameRecord>,
    /// Events that may be gone: no database that held them survived.
    pub may_be_lost: BTreeSet<Id>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", tag = "record")]
enum Line<'a> {
    Attempt(&'a Attempt),
    Subscription(&'a Subscription),
    Life(&'a Life),
    Progress(&'a Progress),
    Frame(&'a FrameRecord),
    MayBeLost { id: &'a Id },
}

impl Default for Journal {
    fn default() -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            began: Instant::now(),
            began_micros: i64::try_from(since.as_micros()).unwrap_or(0),
            pages: Arc::default(),
        }
    }
}

impl Journal {
    /// Microseconds by a clock that never goes back.
    pub fn now(&self) -> i64 {
        self.began_micros + i64::try_from(self.began.elapsed().as_micros()).unwrap_or(0)
    }

    /// The pages, to write or to look something up.
    pub fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down that these events may be gone.
    pub fn forgive(&self, ids: impl IntoIterator<Item = Id>) {
        self.pages().may_be_lost.extend(ids);
    }

    /// Writes everything as lines of JSON, one record each.
    pub fn export(&self, path: &Path) -> Result<()> {
        let file =
            std::fs::File::create(path).with_context(|| format!("create {}", path.display()))?;
        let mut out = std::io::BufWriter::new(file);
        let pages = self.pages();
        let lines = pages.attempts.iter().map(Line::Attempt);
        let lines = lines.chain(pages.subscriptions.iter().map(Line::Subscription));
        let lines = lines.chain(pages.lives.iter().map(Line::Life));
        let lines = lines.chain(pages.progress.iter().map(Line::Progress));
        let lines = lines.chain(pages.frames.iter().map(Line::Frame));
        for line in lines.chain(pages.may_be_lost.iter().map(|id| Line::MayBeLost { id })) {
            serde_json::to_writer(&mut out, &line)?;
            out.write_all(b"\n")?;
        }
        Ok(out.flush()?)
    }
}
