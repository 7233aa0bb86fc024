//! Finds and reads the files.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::problem::{Place, Report};

/// Bytes of one file.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// Bytes of all files.
pub const BYTES_MAX: usize = 16 << 20;
/// Files in all directories.
pub const FILES_MAX: usize = 1000;
/// Directories inside directories.
const DIRECTORIES_DEEP_MAX: usize = 16;

/// A text and the name under which problems in it are reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Name of the file.
    pub file: String,
    /// Its content.
    pub text: String,
}

/// Reads files as they are and directories recursively (`*.yaml`, `*.yml`, `*.json`, hidden ones left out), each file once.
pub(crate) fn sources(paths: &[impl AsRef<Path>], report: &mut Report) -> Vec<Source> {
    let mut files = Vec::new();
    for path in paths {
        find(path.as_ref(), 0, &mut files, report);
    }
    let mut seen = BTreeSet::new();
    files.retain(|file| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())));
    let mut left = BYTES_MAX;
    let mut sources = Vec::new();
    for file in files {
        let place = whole(&file);
        match text(&file, left) {
            Ok(text) => {
                left -= text.len();
                sources.push(Source {
                    file: place.file,
                    text,
                });
            }
            Err(why) => report.problem(&place, "", why),
        }
    }
    sources
}

fn whole(path: &Path) -> Place {
    Place {
        file: path.display().to_string(),
        ..Place::default()
    }
}

fn find(path: &Path, depth: usize, files: &mut Vec<PathBuf>, report: &mut Report) {
    let refuse = |why: String, report: &mut Report| report.problem(&whole(path), "", why);
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            if depth == DIRECTORIES_DEEP_MAX {
                let why = format!(
                    "directories are nested more than {DIRECTORIES_DEEP_MAX} deep; name a deeper one"
                );
                return refuse(why, report);
            }
            let mut entries =
                match fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
                    Ok(entries) => entries
                        .into_iter()
                        .map(|entry| entry.path())
                        .collect::<Vec<_>>(),
                    Err(error) => return refuse(format!("cannot be listed: {error}"), report),
                };
            entries.sort();
            for entry in entries.iter().filter(|entry| wanted(entry)) {
                find(entry, depth + 1, files, report);
            }
        }
        Ok(metadata) if metadata.is_file() => {
            files.push(path.to_owned());
            if files.len() == FILES_MAX + 1 {
                refuse(
                    format!("more than {FILES_MAX} files; name fewer directories"),
                    report,
                );
            }
            files.truncate(FILES_MAX + 1);
        }
        Ok(_) => refuse("is neither a file nor a directory".to_owned(), report),
        Err(error) => refuse(format!("cannot be read: {error}"), report),
    }
}

fn wanted(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_none_or(|name| name.to_string_lossy().starts_with('.'));
    let manifest = path.extension().is_some_and(|extension| {
        ["yaml", "yml", "json"]
            .iter()
            .any(|known| extension == *known)
    });
    !hidden && (manifest || path.is_dir())
}

fn text(file: &Path, left: usize) -> Result<String, String> {
    let limit = FILE_BYTES_MAX.min(left);
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() > limit {
        return Err(if limit < FILE_BYTES_MAX {
            format!("all files together are larger than {BYTES_MAX} bytes; name fewer")
        } else {
            format!("is larger than {FILE_BYTES_MAX} bytes; split it")
        });
    }
    String::from_utf8(bytes)
        .map_err(|error| format!("is not UTF-8 (byte {})", error.utf8_error().valid_up_to()))
}
