//! One process at a time: a lock of the operating system, held on a file beside the database folder.
//!
//! The lock ends with the process, however it ends. What is written in the file only tells people who holds it; the words of a dead process
//! mean nothing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tidelog_store::StoreError;

/// Longest text that is read from or written to a lock file.
const HOLDER_BYTES_MAX: usize = 1_000;

/// The lock; dropping it gives it back.
#[derive(Debug)]
pub struct LockFile {
    _file: File,
}

/// The lock file of a database folder: its sibling with `.lock` added.
pub fn path_of(folder: &Path) -> PathBuf {
    let mut path = folder.as_os_str().to_owned();
    path.push(".lock");
    PathBuf::from(path)
}

impl LockFile {
    /// Takes the lock of a folder or says who holds it.
    pub fn take(folder: &Path) -> Result<Self, StoreError> {
        let path = path_of(folder);
        let failed = |error: std::io::Error| {
            StoreError::Unavailable(format!("lock file {}: {error}", path.display()))
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse {
                    path: folder.display().to_string(),
                    holder: holder(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // Who cannot say who he is holds the lock nevertheless.
        if let Err(error) = introduce(&mut file) {
            tracing::warn!(%error, path = %path.display(), "cannot write to the lock file");
        }
        Ok(Self { _file: file })
    }
}

fn introduce(file: &mut File) -> std::io::Result<()> {
    let mut text = format!("process {}", std::process::id());
    let command: Vec<String> = std::env::args_os()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    if !command.is_empty() {
        text = format!("{text} ({})", command.join(" "));
    }
    let end = text.floor_char_boundary(HOLDER_BYTES_MAX);
    file.set_len(0)?;
    file.write_all(&text.as_bytes()[..end])
}

fn holder(file: &mut File) -> String {
    let mut text = Vec::new();
    let read = file
        .seek(SeekFrom::Start(0))
        .and_then(|_| file.take(HOLDER_BYTES_MAX as u64).read_to_end(&mut text));
    match read {
        Ok(1..) => String::from_utf8_lossy(&text).trim().to_owned(),
        _ => "a process that has not said who it is".into(),
    }
}
