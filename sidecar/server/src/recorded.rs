//! A witness that an operator keeps: this process says what is to be recorded, somebody else records it where a later start finds it as a mounted
//! file, and tells that it is done.
//!
//! ```text
//!   sidecar ── status: revision, record ──▶ operator ── create or compare-and-set ──▶ ConfigMap ── mounted ──▶ the next sidecar
//!      ▲───────── recorded: revision, or what is there instead ─────────┘
//! ```
//!
//! Two places, and the newer one counts. The **record** is what the operator has written; it comes with the file that is mounted, which may lag, and with
//! the operator's answers. The **folder** belongs to the pod: it outlives the process but not the pod, knows every commit, and so tells a process that
//! was killed that nothing is missing. Revisions only grow; who wants to record one that is taken is told what is there, and looks again.
//!
//! Nothing waits for the operator for ever: after a while the writer serves all the same, in an incarnation of its own (the engine raises).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidelog_core::{ProvenHead, Witness};
use tidelog_engine::{FileWitness, Recorded, WitnessKeeper};
use tidelog_model::{ChainHash, Incarnation, mutant};
use tidelog_store::InstanceId;
use tokio::sync::watch;

/// Bytes of a record: a few names and numbers.
const RECORD_BYTES_MAX: u64 = 64 * 1024;
/// What the files of the pod's folder begin with; the revision follows.
const LOCAL: &str = "revision-";
/// How long a stop waits for the operator.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// What an operator records, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    revision: u64,
    /// Who has asked for it: differs from process to process.
    process: u64,
    incarnation: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<Instance>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clean_stop: Option<Head>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Instance {
    system: String,
    timeline: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    sequence: u64,
    hash: String,
}

/// What an operator sees and says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Exchange {
    /// To be recorded: its revision and its text.
    pub(crate) wanted: Option<(u64, String)>,
    /// The newest revision that is recorded, as far as is known.
    pub(crate) recorded: u64,
    /// Waits for somebody who knows whether this location has ever existed.
    pub(crate) asks_whether_new: bool,
    /// The answer.
    new: Option<bool>,
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
    process: u64,
    patience: Patience,
    known: Mutex<Known>,
    exchange: watch::Sender<Exchange>,
}

#[derive(Default)]
struct Known {
    /// The newest record that the operator has told of.
    told: Option<Record>,
    /// The file in the pod's folder that this process writes.
    local: Option<(u64, FileWitness)>,
    /// The writers of this process since it was recorded.
    writer: Option<u64>,
    /// What was wanted last.
    wanted: Option<Record>,
    /// The operator did not answer the last time.
    unanswered: bool,
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
            process,
            patience,
            known: Mutex::default(),
            exchange: watch::Sender::default(),
        }
    }

    /// What the operator is to see.
    pub(crate) fn exchange(&self) -> Exchange {
        self.exchange.borrow().clone()
    }

    /// The operator says that a revision is recorded, or what is there instead of it.
    pub(crate) fn told(&self, revision: u64, instead: &str) -> Result<(), String> {
        if !instead.is_empty() {
            let record = read_record(instead.as_bytes()).map_err(|e| e.to_string())?;
            let mut known = self.lock();
            known.unanswered = false;
            if known
                .told
                .as_ref()
                .is_none_or(|t| t.revision < record.revision)
            {
                known.told = Some(record.clone());
            }
            drop(known);
            self.exchange
                .send_modify(|e| e.recorded = e.recorded.max(record.revision));
            return Ok(());
        }
        let mut known = self.lock();
        known.unanswered = false;
        if let Some(wanted) = known.wanted.clone().filter(|w| w.revision == revision) {
            known.told = Some(wanted);
        }
        drop(known);
        self.exchange
            .send_modify(|e| e.recorded = e.recorded.max(revision));
        Ok(())
    }

    /// The operator knows whether this location has ever existed.
    pub(crate) fn granted(&self, new: bool) {
        self.exchange.send_modify(|e| e.new = Some(new));
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the operator has recorded, as far as is known here.
    fn record(&self, known: &Known) -> io::Result<Option<Record>> {
        let mounted = match read_limited(&self.mounted) {
            Ok(text) if text.iter().all(u8::is_ascii_whitespace) => None,
            Ok(text) => match read_record(&text) {
                Ok(record) => Some(record),
                Err(error) => {
                    // Worth as much as a record that knows the location and nothing else: nothing is proven.
                    tracing::error!(path = %self.mounted.display(), %error, "the witness is unreadable; the location raises its incarnation");
                    Some(Record {
                        revision: 0,
                        process: 0,
                        incarnation: 0,
                        instance: None,
                        clean_stop: None,
                    })
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let told = known.told.clone();
        Ok(match (mounted, told) {
            (Some(mounted), Some(told)) if told.revision > mounted.revision => Some(told),
            (None, told) => told,
            (mounted, _) => mounted,
        })
    }

    /// The newest file of the pod's folder.
    fn newest_local(&self) -> io::Result<Option<(u64, FileWitness)>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut newest = None;
        for entry in entries {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            if let Some(revision) = name.strip_prefix(LOCAL).and_then(|r| r.parse::<u64>().ok()) {
                newest = newest.max(Some(revision));
            }
        }
        Ok(newest.map(|revision| (revision, self.local_file(revision))))
    }

    fn local_file(&self, revision: u64) -> FileWitness {
        FileWitness::new(self.folder.join(format!("{LOCAL}{revision}")))
    }

    /// The newer of both places, with its revision.
    fn newest(&self, known: &Known) -> io::Result<Option<(u64, Witness)>> {
        let record = self.record(known)?;
        let local = self.newest_local()?;
        if let Some((revision, file)) = local
            && record.as_ref().is_none_or(|r| r.revision <= revision)
            && let Some(witness) = file.load()?
        {
            return Ok(Some((revision, witness)));
        }
        Ok(record.map(|r| (r.revision, r.witness(known, self.process))))
    }

    /// The next record, from what is known now.
    fn next(&self, known: &Known, change: impl FnOnce(&mut Record)) -> io::Result<Record> {
        let newest = self.newest(known)?;
        let wanted = known.wanted.as_ref().map_or(0, |w| w.revision);
        let revision = newest.as_ref().map_or(0, |(r, _)| *r).max(wanted) + 1;
        let witness = newest.map(|(_, w)| w).unwrap_or_default();
        let mut record = Record {
            revision,
            process: self.process,
            incarnation: witness.incarnation.0,
            instance: witness.instance.map(Instance::from),
            clean_stop: witness.clean_stop.map(Head::from),
        };
        change(&mut record);
        Ok(record)
    }

    /// Lets the operator see what is to be recorded.
    fn want(&self, known: &mut Known, record: Record) -> io::Result<u64> {
        let text = serde_json::to_string(&record)?;
        let revision = record.revision;
        known.wanted = Some(record);
        self.exchange
            .send_modify(|e| e.wanted = Some((revision, text)));
        Ok(revision)
    }

    /// Waits for the operator's word; an error when something else is recorded instead.
    async fn confirmed(&self, revision: u64, patience: Duration) -> io::Result<Recorded> {
        let mut exchange = self.exchange.subscribe();
        let told = exchange.wait_for(|e| e.recorded >= revision);
        if tokio::time::timeout(patience, told).await.is_err() {
            self.lock().unanswered = true;
            return Ok(Recorded::NotYet);
        }
        let known = self.lock();
        match &known.told {
            Some(told) if told.process == self.process || told.revision < revision => {
                Ok(Recorded::Yes)
            }
            _ if mutant!("later-record-passed-over") => Ok(Recorded::Yes),
            _ => Err(io::Error::other(
                "another process of this location was recorded at the witness meanwhile",
            )),
        }
    }
}

#[tonic::async_trait]
impl WitnessKeeper for RecordedWitness {
    fn load(&self) -> io::Result<Option<Witness>> {
        let known = self.lock();
        Ok(self.newest(&known)?.map(|(_, witness)| witness))
    }

    async fn is_new(&self) -> bool {
        self.exchange.send_modify(|e| e.asks_whether_new = true);
        let mut exchange = self.exchange.subscribe();
        let said = exchange.wait_for(|e| e.new.is_some());
        let said = tokio::time::timeout(self.patience.grant, said).await;
        // What is borrowed has to be given back before anything is changed.
        let new = said.ok().and_then(Result::ok).and_then(|e| e.new) == Some(true);
        self.exchange.send_modify(|e| e.asks_whether_new = false);
        new || mutant!("new-without-a-grant")
    }

    fn raise(&self, incarnation: Incarnation) -> io::Result<Recorded> {
        let mut known = self.lock();
        let record = self.next(&known, |r| {
            r.incarnation = r.incarnation.max(incarnation.0);
            // What an earlier incarnation has left proves nothing of the new one, which may serve before anything else is recorded.
            r.clean_stop = None;
        })?;
        let file = self.local_file(record.revision);
        // What the newest one knew goes along: a start that ends here must not look like one that never was.
        if let Some(mut witness) = self.newest(&known)?.map(|(_, w)| w) {
            witness.clean_stop = None;
            witness.committed = None;
            file.take_over(&witness)?;
        }
        file.raise(incarnation)?;
        self.replace_local(&mut known, record.revision, file)?;
        self.want(&mut known, record)?;
        // Nobody has confirmed it, and nobody is waited for: the number is fixed by the clock.
        Ok(Recorded::NotYet)
    }

    async fn begin(
        &self,
        writer: u64,
        incarnation: Incarnation,
        instance: &InstanceId,
        head: ProvenHead,
    ) -> io::Result<Recorded> {
        let (revision, patience) = {
            let mut known = self.lock();
            let record = self.next(&known, |r| {
                r.incarnation = r.incarnation.max(incarnation.0);
                r.instance = Some(instance.clone().into());
                r.clean_stop = None;
            })?;
            let patience = if known.unanswered {
                Duration::ZERO
            } else {
                self.patience.record
            };
            (self.want(&mut known, record)?, patience)
        };
        let recorded = self.confirmed(revision, patience).await?;
        let file = self.local_file(revision);
        // Only now: a folder that is newer than the record says that whoever wrote it has served.
        file.begin(writer, incarnation, instance, head).await?;
        let mut known = self.lock();
        known.writer = Some(writer);
        self.replace_local(&mut known, revision, file)?;
        Ok(recorded)
    }

    fn committed(&self, head: ProvenHead) -> io::Result<()> {
        match &self.lock().local {
            Some((_, file)) => file.committed(head),
            None => Ok(()),
        }
    }

    async fn clean_stop(&self, head: ProvenHead) -> io::Result<()> {
        let revision = {
            let mut known = self.lock();
            let record = self.next(&known, |r| r.clean_stop = Some(head.into()))?;
            self.want(&mut known, record)?
        };
        match self.confirmed(revision, STOP_PATIENCE).await? {
            Recorded::Yes => Ok(()),
            Recorded::NotYet => Err(io::Error::other(
                "nobody has confirmed that the witness knows of it",
            )),
        }
    }
}

impl RecordedWitness {
    /// From here on the file of this revision is the one that is written; older ones go.
    fn replace_local(&self, known: &mut Known, revision: u64, file: FileWitness) -> io::Result<()> {
        known.local = Some((revision, file));
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let older = name
                .strip_prefix(LOCAL)
                .and_then(|r| r.parse::<u64>().ok())
                .is_some_and(|r| r < revision);
            if older {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

impl Record {
    fn witness(&self, known: &Known, process: u64) -> Witness {
        Witness {
            incarnation: Incarnation(self.incarnation),
            instance: self.instance.clone().map(InstanceId::from),
            clean_stop: self.clean_stop.as_ref().and_then(Head::proven),
            // It would lag.
            committed: None,
            writer: if self.process == process {
                known.writer
            } else {
                None
            },
        }
    }
}

impl From<InstanceId> for Instance {
    fn from(id: InstanceId) -> Self {
        Self {
            system: id.system,
            timeline: id.timeline,
            started: id.started,
        }
    }
}

impl From<Instance> for InstanceId {
    fn from(instance: Instance) -> Self {
        Self {
            system: instance.system,
            timeline: instance.timeline,
            started: instance.started,
        }
    }
}

impl From<ProvenHead> for Head {
    fn from(head: ProvenHead) -> Self {
        Self {
            sequence: head.sequence,
            hash: head.hash.to_string(),
        }
    }
}

impl Head {
    fn proven(&self) -> Option<ProvenHead> {
        let byte = |i: usize| u8::from_str_radix(self.hash.get(2 * i..2 * i + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..32).map(byte).collect();
        Some(ProvenHead {
            sequence: self.sequence,
            hash: ChainHash::from_slice(&bytes?).filter(|_| self.hash.len() == 64)?,
        })
    }
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let length = fs::metadata(path)?.len();
    if length > RECORD_BYTES_MAX {
        let message = format!("it has {length} bytes, more than {RECORD_BYTES_MAX}");
        return Err(io::Error::other(message));
    }
    fs::read(path)
}

fn read_record(text: &[u8]) -> io::Result<Record> {
    serde_json::from_slice(text).map_err(io::Error::other)
}
