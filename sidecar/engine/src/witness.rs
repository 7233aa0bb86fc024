//! Where the witness is kept: outside of the database's backup domain.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tidelog_core::{ProvenHead, Witness};
use tidelog_model::{ChainHash, Digest, Incarnation, mutant};
use tidelog_store::InstanceId;

/// Whether something is where the next start will find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is.
    Yes,
    /// Nobody has confirmed it in time; it may be recorded later.
    NotYet,
}

/// Keeps the witness of one location.
///
/// What returns [`Recorded::Yes`] is durable then, and outside of the database's backup domain. `committed` survives the end of the process, not the
/// end of the machine: a lost machine is told apart from a lost database by what `begin` recorded. The calls that are not `async` are short and
/// may block. Cancel safe: a call that is dropped may have been recorded or not.
#[async_trait]
pub trait WitnessKeeper: Send + Sync + 'static {
    /// What the witness says, `None` when there is none. It holds no `committed` head unless every commit was recorded before its answer: one that lags
    /// would prove too much.
    fn load(&self) -> io::Result<Option<Witness>>;
    /// Whether a location with an empty database, of which this witness knows nothing, has never existed. May wait for somebody who knows; in doubt it
    /// says no.
    async fn is_new(&self) -> bool {
        true
    }
    /// Fixes a new incarnation before the database knows it. An error: it was drawn without knowing what was recorded meanwhile, or nothing can be
    /// recorded; look at the witness again.
    async fn raise(&self, incarnation: Incarnation) -> io::Result<Recorded>;
    /// Records the writer and its database before it serves. A clean stop recorded earlier is void from here on. An error: another writer was
    /// recorded meanwhile, or nothing can be recorded; look at the witness again before the next attempt.
    async fn begin(
        &self,
        writer: u64,
        incarnation: Incarnation,
        instance: &InstanceId,
        head: ProvenHead,
    ) -> io::Result<Recorded>;
    /// Records a committed head, before its answer or any frame leaves. Not recorded once another writer has begun: it has raised, and nothing
    /// that this one commits can be continued without a raise of its own.
    fn committed(&self, head: ProvenHead) -> io::Result<()>;
    /// Records the final head of a clean stop; an error once another writer has begun, or when nobody has confirmed it in time.
    async fn clean_stop(&self, head: ProvenHead) -> io::Result<()>;
}

const SLOT: usize = 1024;
const MAGIC: &[u8; 8] = b"tidewit1";

/// A witness file: two checksummed slots, written in turn and in place, so that a torn write leaves the other one.
pub struct FileWitness {
    path: PathBuf,
    state: Mutex<Option<OpenFile>>,
}

struct OpenFile {
    file: File,
    counter: u64,
    witness: Witness,
}

impl FileWitness {
    /// A witness at a path; its folder is created when something is recorded.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            state: Mutex::new(None),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes over everything that another witness knows.
    pub fn take_over(&self, witness: &Witness) -> io::Result<()> {
        self.begin_change(|w| w.clone_from(witness))
    }

    /// A change at the beginning of a writer: another process may have written since this one did, so the file is read anew.
    fn begin_change(&self, change: impl FnOnce(&mut Witness)) -> io::Result<()> {
        if !mutant!("witness-of-another-process-overwritten") {
            *self.state.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        self.change(true, change)
    }

    fn change(&self, durable: bool, change: impl FnOnce(&mut Witness)) -> io::Result<()> {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if guard.is_none() {
            *guard = Some(self.open()?);
        }
        let Some(open) = guard.as_mut() else {
            return Ok(());
        };
        change(&mut open.witness);
        open.counter += 1;
        let slot = encode(open.counter, &open.witness)?;
        open.file
            .write_all_at(&slot, (open.counter % 2) * SLOT as u64)?;
        if durable {
            open.file.sync_all()?;
        }
        Ok(())
    }

    /// Whether another writer has begun since this process recorded something: of a clone of the database, or after a take-over.
    fn is_superseded(&self) -> io::Result<bool> {
        let guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = guard.as_ref() else {
            return Ok(false);
        };
        let later = read_slots(&open.file)?.filter(|(counter, _)| *counter > open.counter);
        let other = later.is_some_and(|(_, found)| found.writer != open.witness.writer);
        Ok(other && !mutant!("witness-of-a-later-writer-overwritten"))
    }

    fn open(&self) -> io::Result<OpenFile> {
        if let Some(parent) = self.path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let is_new = !self.path.exists();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.path)?;
        if is_new && let Some(parent) = self.path.parent() {
            File::open(parent)?.sync_all()?;
        }
        let (counter, witness) = read_slots(&file)?.unwrap_or_default();
        Ok(OpenFile {
            file,
            counter,
            witness,
        })
    }
}

#[async_trait]
impl WitnessKeeper for FileWitness {
    fn load(&self) -> io::Result<Option<Witness>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let found = read_slots(&file)?;
        if found.is_none() && file.metadata()?.len() > 0 {
            // Unreadable is worth as much as absent: nothing is proven, the incarnation is raised. The file is kept for a person.
            let aside = self.path.with_extension("unreadable");
            std::fs::rename(&self.path, &aside)?;
            tracing::error!(path = %self.path.display(), kept = %aside.display(), "witness file is unreadable; the location raises its incarnation");
        }
        Ok(found.map(|(_, witness)| witness))
    }

    async fn raise(&self, incarnation: Incarnation) -> io::Result<Recorded> {
        self.begin_change(|w| w.incarnation = w.incarnation.max(incarnation))?;
        Ok(Recorded::Yes)
    }

    async fn begin(
        &self,
        writer: u64,
        incarnation: Incarnation,
        instance: &InstanceId,
        head: ProvenHead,
    ) -> io::Result<Recorded> {
        self.begin_change(|w| {
            w.incarnation = w.incarnation.max(incarnation);
            w.instance = Some(instance.clone());
            if !mutant!("clean-stop-outlives-a-start") {
                w.clean_stop = None;
            }
            w.committed = Some(head);
            w.writer = Some(writer);
        })?;
        Ok(Recorded::Yes)
    }

    fn committed(&self, head: ProvenHead) -> io::Result<()> {
        if self.is_superseded()? {
            return Ok(());
        }
        self.change(false, |w| w.committed = Some(head))
    }

    async fn clean_stop(&self, head: ProvenHead) -> io::Result<()> {
        if self.is_superseded()? {
            return Err(io::Error::other(
                "another process has begun to serve this location since, perhaps on a copy of the database",
            ));
        }
        self.change(true, |w| {
            w.clean_stop = Some(head);
            w.committed = Some(head);
        })
    }
}

fn encode(counter: u64, witness: &Witness) -> io::Result<[u8; SLOT]> {
    let mut body = Vec::with_capacity(256);
    body.extend_from_slice(MAGIC);
    body.extend_from_slice(&counter.to_be_bytes());
    body.extend_from_slice(&witness.incarnation.0.to_be_bytes());
    for head in [witness.clean_stop, witness.committed] {
        body.push(u8::from(head.is_some()));
        let head = head.unwrap_or(ProvenHead {
            sequence: 0,
            hash: ChainHash::ZERO,
        });
        body.extend_from_slice(&head.sequence.to_be_bytes());
        body.extend_from_slice(&head.hash.0);
    }
    body.push(u8::from(witness.instance.is_some()));
    if let Some(instance) = &witness.instance {
        for text in [&instance.system, &instance.timeline] {
            push_text(&mut body, text);
        }
        body.push(u8::from(instance.started.is_some()));
        push_text(&mut body, instance.started.as_deref().unwrap_or(""));
    }
    body.push(u8::from(witness.writer.is_some()));
    body.extend_from_slice(&witness.writer.unwrap_or_default().to_be_bytes());
    if body.len() + 32 > SLOT {
        return Err(io::Error::other(
            "the database identity is too long for the witness",
        ));
    }
    let mut slot = [0; SLOT];
    slot[..body.len()].copy_from_slice(&body);
    let sum = Digest::of(&slot[..SLOT - 32]);
    slot[SLOT - 32..].copy_from_slice(&sum.0);
    Ok(slot)
}

fn push_text(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(&(text.len() as u16).to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}

/// The valid slot with the higher counter.
fn read_slots(file: &File) -> io::Result<Option<(u64, Witness)>> {
    let mut best: Option<(u64, Witness)> = None;
    for slot in 0..2u64 {
        let mut bytes = [0; SLOT];
        match file.read_exact_at(&mut bytes, slot * SLOT as u64) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
            Err(error) => return Err(error),
        }
        if let Some(found) = decode(&bytes)
            && best.as_ref().is_none_or(|(counter, _)| found.0 > *counter)
        {
            best = Some(found);
        }
    }
    Ok(best)
}

fn decode(slot: &[u8; SLOT]) -> Option<(u64, Witness)> {
    let (body, sum) = slot.split_at(SLOT - 32);
    if (Digest::of(body).0 != sum && !mutant!("torn-witness-believed")) || !body.starts_with(MAGIC)
    {
        return None;
    }
    let mut rest = &body[8..];
    let counter = u64::from_be_bytes(take(&mut rest)?);
    let incarnation = Incarnation(u32::from_be_bytes(take(&mut rest)?));
    let (stopped, clean_stop) = take_head(&mut rest)?;
    let (answered, committed) = take_head(&mut rest)?;
    let has_instance = take::<1>(&mut rest)?[0] == 1;
    let instance = if has_instance {
        let system = take_text(&mut rest)?;
        let timeline = take_text(&mut rest)?;
        let has_start = take::<1>(&mut rest)?[0] == 1;
        let started = take_text(&mut rest)?;
        Some(InstanceId {
            system,
            timeline,
            started: has_start.then_some(started),
        })
    } else {
        None
    };
    // A file of an earlier version is zero from here on, and names nobody.
    let has_writer = take::<1>(&mut rest)?[0] == 1;
    let writer = u64::from_be_bytes(take(&mut rest)?);
    Some((
        counter,
        Witness {
            incarnation,
            instance,
            clean_stop: stopped.then_some(clean_stop),
            committed: answered.then_some(committed),
            writer: has_writer.then_some(writer),
        },
    ))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

/// Whether there is a head, and it; an absent one takes its place all the same.
fn take_head(rest: &mut &[u8]) -> Option<(bool, ProvenHead)> {
    let present = take::<1>(rest)?[0] == 1;
    let sequence = u64::from_be_bytes(take(rest)?);
    let hash = ChainHash(take(rest)?);
    Some((present, ProvenHead { sequence, hash }))
}

fn take_text(rest: &mut &[u8]) -> Option<String> {
    let length = usize::from(u16::from_be_bytes(take(rest)?));
    let (text, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(n: u64) -> ProvenHead {
        ProvenHead {
            sequence: n,
            hash: ChainHash([n as u8; 32]),
        }
    }

    fn instance() -> InstanceId {
        InstanceId {
            system: "7".into(),
            timeline: "1".into(),
            started: Some("2026".into()),
        }
    }

    #[tokio::test]
    async fn what_was_recorded_last_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("witness/orders/eu");
        let witness = FileWitness::new(&path);
        assert_eq!(witness.load().unwrap(), None);
        witness
            .begin(7, Incarnation(1), &instance(), head(3))
            .await
            .unwrap();
        for n in 4..10 {
            witness.committed(head(n)).unwrap();
        }
        let found = FileWitness::new(&path).load().unwrap().unwrap();
        assert_eq!(found.committed, Some(head(9)));
        assert_eq!(found.instance, Some(instance()));
        assert_eq!(found.writer, Some(7));
        assert_eq!(found.clean_stop, None);
        witness.clean_stop(head(9)).await.unwrap();
        let again = FileWitness::new(&path);
        assert_eq!(again.load().unwrap().unwrap().clean_stop, Some(head(9)));
        again
            .begin(7, Incarnation(1), &instance(), head(9))
            .await
            .unwrap();
        assert_eq!(again.load().unwrap().unwrap().clean_stop, None);
    }

    #[tokio::test]
    async fn a_process_that_takes_over_again_writes_on_where_the_other_one_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w");
        let (first, second) = (FileWitness::new(&path), FileWitness::new(&path));
        first
            .begin(7, Incarnation(1), &instance(), head(1))
            .await
            .unwrap();
        second
            .begin(8, Incarnation(1), &instance(), head(1))
            .await
            .unwrap();
        for n in 2..9 {
            second.committed(head(n)).unwrap();
        }
        second.raise(Incarnation(5)).await.unwrap();
        first
            .begin(7, Incarnation(1), &instance(), head(8))
            .await
            .unwrap();
        first.committed(head(9)).unwrap();
        let found = FileWitness::new(&path).load().unwrap().unwrap();
        assert_eq!(found.committed, Some(head(9)));
        assert_eq!(found.incarnation, Incarnation(5));
    }

    #[tokio::test]
    async fn a_writer_that_another_one_has_followed_records_nothing_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w");
        let (original, clone) = (FileWitness::new(&path), FileWitness::new(&path));
        original
            .begin(7, Incarnation(1), &instance(), head(1))
            .await
            .unwrap();
        original.committed(head(2)).unwrap();
        clone.raise(Incarnation(5)).await.unwrap();
        clone
            .begin(8, Incarnation(5), &instance(), head(2))
            .await
            .unwrap();
        original.committed(head(3)).unwrap();
        assert!(original.clean_stop(head(3)).await.is_err());
        let found = FileWitness::new(&path).load().unwrap().unwrap();
        assert_eq!(
            (found.writer, found.committed, found.clean_stop),
            (Some(8), Some(head(2)), None)
        );
        clone.clean_stop(head(4)).await.unwrap();
    }

    #[tokio::test]
    async fn a_torn_write_leaves_the_slot_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w");
        let witness = FileWitness::new(&path);
        witness
            .begin(7, Incarnation(1), &instance(), head(1))
            .await
            .unwrap();
        witness.committed(head(2)).unwrap();
        witness.committed(head(3)).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[SLOT + 20] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let found = FileWitness::new(&path).load().unwrap().unwrap();
        assert_eq!(found.committed, Some(head(2)));
    }

    #[test]
    fn an_unreadable_witness_counts_as_none_and_is_kept_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w");
        std::fs::write(&path, b"not a witness").unwrap();
        assert_eq!(FileWitness::new(&path).load().unwrap(), None);
        assert!(path.with_extension("unreadable").exists());
    }
}
