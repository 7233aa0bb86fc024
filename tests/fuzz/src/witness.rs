//! What a location wrote down about itself outside of its database, read back: whatever became of the bytes of the file.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use arbitrary::{Result, Unstructured};
use futures_util::FutureExt as _;
use tidelog_core::{ProvenHead, Witness};
use tidelog_engine::{FileWitness, WitnessKeeper};
use tidelog_model::{ChainHash, Incarnation};
use tidelog_store::InstanceId;

/// Bytes of one of the two records of a file.
const SLOT: usize = 1024;

/// A file after each thing that was recorded, and what was recorded last.
struct Bench {
    images: Vec<Vec<u8>>,
    truth: Vec<Witness>,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

/// A folder in memory where there is one: the files are written anew for every input.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir());
    made.expect("a folder")
}

fn head(sequence: u64) -> ProvenHead {
    ProvenHead {
        sequence,
        hash: ChainHash([sequence as u8; 32]),
    }
}

fn instance(started: Option<&str>) -> InstanceId {
    InstanceId {
        system: "7523456789012345678".into(),
        timeline: "1".into(),
        started: started.map(str::to_owned),
    }
}

/// A file has nothing to wait for.
fn at_once<T>(recording: impl Future<Output = T>) -> T {
    recording.now_or_never().expect("a file does not wait")
}

impl Bench {
    fn new() -> Self {
        let folder = folder();
        let path = folder.path().join("eu");
        let keeper = FileWitness::new(&path);
        let mut bench = Self {
            images: Vec::new(),
            truth: Vec::new(),
            path,
            _folder: folder,
        };
        let started = instance(Some("2026-11-21 10:00:00"));
        for step in 0..16u64 {
            let begin = |writer, incarnation, instance: &InstanceId, at| {
                let begun = keeper.begin(writer, incarnation, instance, head(at));
                at_once(begun).map(|_| ())
            };
            let recorded = match step {
                0 => at_once(keeper.raise(Incarnation(1))).map(|_| ()),
                1 => begin(7, Incarnation(1), &started, 0),
                8 => at_once(keeper.clean_stop(head(step))),
                9 => at_once(keeper.raise(Incarnation(1_700_000_000))).map(|_| ()),
                10 => begin(8, Incarnation(1_700_000_000), &instance(None), step),
                _ => keeper.committed(head(step)),
            };
            recorded.expect("a file can be written");
            let known = FileWitness::new(&bench.path).load();
            let known = known.expect("it can be read");
            bench.truth.push(known.expect("it was just written"));
            let image = fs::read(&bench.path);
            bench.images.push(image.expect("it can be read"));
        }
        bench
    }
}

/// What is read back was recorded, and is the newest that is whole; or nothing, which proves nothing. Whatever is there, recording goes on.
pub fn records(data: &[u8]) {
    BENCH.with_borrow_mut(|slot| {
        let bench = slot.take().unwrap_or_else(Bench::new);
        judge(&bench, &mut Unstructured::new(data));
        *slot = Some(bench);
    });
}

/// What a file became.
struct Damaged {
    bytes: Vec<u8>,
    /// For each of its two records the recorded state that it still holds, if any.
    whole: [Option<usize>; 2],
}

fn judge(bench: &Bench, u: &mut Unstructured<'_>) {
    let Ok(damaged) = damaged(bench, u) else {
        return;
    };
    fs::write(&bench.path, &damaged.bytes).expect("a file can be written");
    let aside = bench.path.with_extension("unreadable");
    let found = FileWitness::new(&bench.path).load();
    let found = found.expect("a file that is there is read");
    let newest = damaged.whole.into_iter().flatten().max();
    assert_eq!(
        found.as_ref(),
        newest.map(|step| &bench.truth[step]),
        "step {newest:?}"
    );
    let nothing = newest.is_none() && !damaged.bytes.is_empty();
    assert_eq!(aside.exists(), nothing, "what nobody can read is kept");
    let _ = fs::remove_file(&aside);
    // It goes on from what was found, and what it records then is read.
    let keeper = FileWitness::new(&bench.path);
    let next = head(99);
    keeper.committed(next).expect("a file can be written");
    let known = FileWitness::new(&bench.path).load();
    let known = known.expect("it can be read");
    let expected = Witness {
        committed: Some(next),
        ..found.unwrap_or_default()
    };
    assert_eq!(known, Some(expected));
}

fn damaged(bench: &Bench, u: &mut Unstructured<'_>) -> Result<Damaged> {
    if u.ratio(1, 8)? {
        // Anything at all. Records that are whole although nobody wrote them would need a collision of the digest.
        let bytes = u.bytes(u.len())?.to_vec();
        let whole = [0, 1].map(|slot| held(bench, &bytes, slot));
        return Ok(Damaged { bytes, whole });
    }
    let mut bytes = u.choose(&bench.images)?.clone();
    for _ in 0..u.int_in_range(0..=3)? {
        if bytes.is_empty() {
            break;
        }
        let at = u.choose_index(bytes.len())?;
        match u.int_in_range(0..=6)? {
            0 => bytes.truncate(at),
            1 => bytes[at] = u.arbitrary()?,
            2 => {
                // A record of another time, at the same place or at the other.
                let other = u.choose(&bench.images)?;
                let from = u.int_in_range(0..=1)? * SLOT;
                let to = u.int_in_range(0..=1)? * SLOT;
                if let Some(record) = other.get(from..from + SLOT)
                    && bytes.len() >= to + SLOT
                {
                    bytes[to..to + SLOT].copy_from_slice(record);
                }
            }
            3 => {
                // A write that was torn: its first part only.
                let other = u.choose(&bench.images)?;
                let end = at.min(other.len()) / 512 * 512;
                bytes[..end].copy_from_slice(&other[..end]);
            }
            4 => {
                let end = (at + usize::from(u.arbitrary::<u8>()?)).min(bytes.len());
                bytes[at..end].fill(0);
            }
            5 => bytes.extend_from_slice(&[u.arbitrary()?; 100]),
            _ => bytes[at] ^= 1 << u.int_in_range(0..=7)?,
        }
    }
    let whole = [0, 1].map(|slot| held(bench, &bytes, slot));
    Ok(Damaged { bytes, whole })
}

/// The recorded state that a record still holds, byte for byte.
fn held(bench: &Bench, bytes: &[u8], slot: usize) -> Option<usize> {
    let record = bytes.get(slot * SLOT..(slot + 1) * SLOT)?;
    (0..bench.images.len()).find(|step| {
        // What a step recorded lies where its number says; the other record is that of the step before.
        let own = (step + 1) % 2;
        bench.images[*step].get(own * SLOT..(own + 1) * SLOT) == Some(record)
    })
}

/// Choices, and whole files.
pub fn seeds() -> Vec<Vec<u8>> {
    let bench = Bench::new();
    let choices = (0..24u8).map(|seed| {
        (0..40u8)
            .map(|n| n.wrapping_mul(seed.wrapping_add(29)).wrapping_add(seed))
            .collect()
    });
    choices.chain(bench.images.iter().cloned()).collect()
}
