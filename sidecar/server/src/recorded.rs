//! A witness that an operator keeps: this process says what is to be recorded, somebody else records it where a later start finds it as a mounted
//! file, and tells what is recorded.
//!
//! ```text
//!   sidecar ── status: the wish ──▶ operator ── create or compare-and-set ──▶ ConfigMap ── mounted ──▶ the next sidecar
//!      ▲──── GrantIncarnation: what is recorded ──┘
//! ```
//!
//! What follows from it is decided by [`tidelog_core::Recorder`]; here are the files, the waits and the words. The **folder** belongs to the pod: it outlives
//! the process but not the pod (and not the machine: a volume in memory), knows every commit, and so tells a process that was killed that nothing is missing.
//!
//! Nothing waits for the operator for ever: after a while the writer serves all the same, in an incarnation of its own (the engine raises).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidelog_core::{Kept, ProvenHead, RecordStanding, Recorder, Witness};
use tidelog_engine::{FileWitness, Recorded, WitnessKeeper};
use tidelog_model::{Incarnation, RecordName, WitnessRecord, mutant};
use tidelog_store::InstanceId;
use tokio::sync::watch;

/// Bytes of a record: a few names and numbers.
const RECORD_BYTES_MAX: u64 = 64 * 1024;
/// How long a stop waits for the operator.
const STOP_PATIENCE: Duration = Duration::from_secs(6);

/// What an operator sees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Exchange {
    /// To be recorded: its revision and its text.
    pub(crate) wanted: Option<(u64, String)>,
    /// The newest revision that is recorded, as far as is known.
    pub(crate) recorded: u64,
    /// Waits for somebody who knows whether this location has ever existed.
    pub(crate) asks_whether_new: bool,
}

/// How long to wait for the operator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For its word that a start is recorded.
    pub(crate) record: Duration,
    /// For its word whether a location is new.
    pub(crate) grant: Duration,
}

/// The witness of one location.
pub(crate) struct RecordedWitness {
    mounted: PathBuf,
    folder: PathBuf,
    patience: Patience,
    known: Mutex<Known>,
    /// Moves when the operator has spoken, or there is something new to record.
    moved: watch::Sender<()>,
}

struct Known {
    recorder: Recorder,
    /// The file in the pod's folder that this process writes.
    file: Option<FileWitness>,
    /// The operator did not answer the last time.
    unanswered: bool,
    asks_whether_new: bool,
}

impl RecordedWitness {
    /// A witness with the file that is mounted and the folder of the pod. `process` is drawn at random.
    pub(crate) fn new(
        mounted: impl Into<PathBuf>,
        folder: impl Into<PathBuf>,
        process: u64,
        patience: Patience,
    ) -> Self {
        Self {
            mounted: mounted.into(),
            folder: folder.into(),
            patience,
            known: Mutex::new(Known {
                recorder: Recorder::new(process >> 11),
                file: None,
                unanswered: false,
                asks_whether_new: false,
            }),
            moved: watch::Sender::default(),
        }
    }

    /// What the operator is to see.
    pub(crate) fn exchange(&self) -> Exchange {
        let known = self.lock();
        let wish = known.recorder.wish();
        Exchange {
            wanted: wish.map(|wish| (wish.name.revision, wish.text())),
            recorded: known.recorder.basis().map_or(0, |b| b.name.revision),
            asks_whether_new: known.asks_whether_new,
        }
    }

    /// The operator says what is recorded; white space says that nothing is.
    pub(crate) fn told(&self, recorded: &str) -> io::Result<()> {
        // What cannot be read here will not be read by the next process either.
        let recorded = WitnessRecord::read(recorded).unwrap_or_else(|error| {
            tracing::error!(%error, "what is recorded as the witness cannot be read");
            Some(WitnessRecord::UNREADABLE)
        });
        let mounted = self.mounted()?;
        let mut known = self.lock();
        known.unanswered = false;
        known.recorder.told(recorded, mounted.as_ref());
        drop(known);
        self.moved.send_replace(());
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the mounted file says.
    fn mounted(&self) -> io::Result<Option<WitnessRecord>> {
        let text = match read_limited(&self.mounted) {
            Ok(Some(text)) => text,
            Ok(None) => {
                tracing::error!(path = %self.mounted.display(), limit = RECORD_BYTES_MAX, "the witness is too long; it proves nothing");
                return Ok(Some(WitnessRecord::UNREADABLE));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let read = String::from_utf8(text)
            .map_err(|e| e.to_string())
            .and_then(|text| WitnessRecord::read(&text).map_err(|e| e.to_string()));
        Ok(read.unwrap_or_else(|error| {
            tracing::error!(path = %self.mounted.display(), error, "the witness is unreadable; it proves nothing");
            Some(WitnessRecord::UNREADABLE)
        }))
    }

    /// What the pod's folder holds: the newest of its files that can be read.
    fn kept(&self) -> io::Result<Option<Kept>> {
        for name in self.files()?.into_iter().rev() {
            if let Some(witness) = FileWitness::new(self.folder.join(name.text())).load()? {
                let stands_on = name.stands_on;
                return Ok(Some(Kept { stands_on, witness }));
            }
        }
        Ok(None)
    }

    /// The files of the pod's folder, oldest first.
    fn files(&self) -> io::Result<Vec<FileName>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut files = Vec::new();
        for entry in entries {
            files.extend(FileName::parse(&entry?.file_name().to_string_lossy()));
        }
        files.sort_unstable_by_key(|file| file.number);
        Ok(files)
    }

    /// Waits for the operator's word that the wish is recorded; not again, where it has just been waited for in vain.
    async fn recorded(&self) -> io::Result<Recorded> {
        self.moved.send_replace(());
        let patience = if self.lock().unanswered {
            Duration::ZERO
        } else {
            self.patience.record
        };
        let heard = self.heard(patience).await;
        self.lock().unanswered = heard == RecordStanding::Waiting;
        match heard {
            RecordStanding::Recorded => Ok(Recorded::Yes),
            RecordStanding::Waiting => Ok(Recorded::NotYet),
            RecordStanding::Overtaken => Err(io::Error::other(tidelog_core::Outdated)),
        }
    }

    /// Waits until the wish was heard.
    async fn heard(&self, patience: Duration) -> RecordStanding {
        let mut moved = self.moved.subscribe();
        let heard = async {
            loop {
                let now = self.lock().recorder.standing();
                if now != RecordStanding::Waiting || moved.changed().await.is_err() {
                    return now;
                }
            }
        };
        let heard = tokio::time::timeout(patience, heard).await;
        heard.unwrap_or(RecordStanding::Waiting)
    }
}

/// A file of the pod's folder: which one it is in their order, and the record on which its writer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileName {
    number: u64,
    stands_on: Option<RecordName>,
}

impl FileName {
    fn parse(text: &str) -> Option<Self> {
        let (number, on) = text.strip_prefix("writer-")?.split_once("-on-")?;
        let number = number.parse().ok()?;
        if on == "nothing" {
            let stands_on = None;
            return Some(Self { number, stands_on });
        }
        let (revision, process) = on.split_once('-')?;
        let stands_on = Some(RecordName {
            revision: revision.parse().ok()?,
            process: process.parse().ok()?,
        });
        Some(Self { number, stands_on })
    }

    fn text(self) -> String {
        let on = self.stands_on.map_or("nothing".to_owned(), |name| {
            format!("{}-{}", name.revision, name.process)
        });
        format!("writer-{}-on-{on}", self.number)
    }
}

#[tonic::async_trait]
impl WitnessKeeper for RecordedWitness {
    fn load(&self) -> io::Result<Option<Witness>> {
        let (mounted, kept) = (self.mounted()?, self.kept()?);
        Ok(self.lock().recorder.look(mounted, kept.as_ref()))
    }

    async fn is_new(&self) -> bool {
        // Taken back however this ends, also when nobody waits for it any more.
        struct Asking<'a>(&'a RecordedWitness);
        impl Drop for Asking<'_> {
            fn drop(&mut self) {
                self.0.lock().asks_whether_new = false;
            }
        }
        {
            let mut known = self.lock();
            known.asks_whether_new = true;
            known.recorder.fix(Incarnation(1));
        }
        let _asking = Asking(self);
        self.moved.send_replace(());
        let heard = self.heard(self.patience.grant).await;
        self.lock().unanswered = heard == RecordStanding::Waiting;
        heard == RecordStanding::Recorded || mutant!("new-without-a-grant")
    }

    async fn raise(&self, incarnation: Incarnation) -> io::Result<Recorded> {
        self.lock().recorder.fix(incarnation);
        self.recorded().await
    }

    async fn begin(
        &self,
        writer: u64,
        incarnation: Incarnation,
        instance: &InstanceId,
        head: ProvenHead,
    ) -> io::Result<Recorded> {
        self.lock().recorder.begin(writer, incarnation, instance);
        let recorded = self.recorded().await?;
        let stands_on = self.lock().recorder.basis().map(|b| b.name);
        let before = self.files()?;
        let number = before.last().map_or(1, |file| file.number + 1);
        let name = FileName { number, stands_on };
        let file = FileWitness::new(self.folder.join(name.text()));
        file.begin(writer, incarnation, instance, head).await?;
        self.lock().file = Some(file);
        for file in before {
            fs::remove_file(self.folder.join(file.text()))?;
        }
        Ok(recorded)
    }

    fn committed(&self, head: ProvenHead) -> io::Result<()> {
        match &self.lock().file {
            Some(file) => file.committed(head),
            None => Ok(()),
        }
    }

    async fn clean_stop(&self, head: ProvenHead) -> io::Result<()> {
        let stopped = self.lock().recorder.stop(head);
        stopped.map_err(io::Error::other)?;
        self.moved.send_replace(());
        match self.heard(STOP_PATIENCE).await {
            RecordStanding::Recorded => Ok(()),
            RecordStanding::Waiting => Err(io::Error::other(
                "nobody has confirmed that the witness knows of it",
            )),
            RecordStanding::Overtaken => Err(io::Error::other(tidelog_core::Outdated)),
        }
    }
}

/// The bytes of a file; `None` when they are more than any record has.
fn read_limited(path: &Path) -> io::Result<Option<Vec<u8>>> {
    if fs::metadata(path)?.len() > RECORD_BYTES_MAX {
        return Ok(None);
    }
    fs::read(path).map(Some)
}
