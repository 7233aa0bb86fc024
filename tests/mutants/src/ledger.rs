//! What is decided already, in a file: an interrupted run goes on where it was.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::mutant::Mutant;
use crate::sweep::Verdict;

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// What was decided with other code is not decided.
    code: String,
    id: String,
    #[serde(flatten)]
    verdict: Verdict,
}

/// Verdicts, one line each, written as soon as they are known.
#[derive(Debug, Default)]
pub struct Ledger {
    code: String,
    known: BTreeMap<String, Verdict>,
    file: Option<Mutex<File>>,
}

impl Ledger {
    /// Without a file: nothing is known and nothing is kept.
    pub fn none() -> Self {
        Self::default()
    }

    /// In a file, which is created when it is not there. `code` is the digest of what is run.
    pub fn open(path: &Path, code: &str) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)
            .with_context(|| format!("open {}", path.display()))?;
        let mut known = BTreeMap::new();
        for line in BufReader::new(&file).lines() {
            // The last line of a run that was killed may be torn.
            if let Ok(line) = serde_json::from_str::<Line>(&line?)
                && line.code == code
                && line.verdict.is_good()
            {
                known.insert(line.id, line.verdict);
            }
        }
        Ok(Self {
            code: code.to_owned(),
            known,
            file: Some(Mutex::new(file)),
        })
    }

    /// What is known of a mutant.
    pub fn known(&self, id: &str) -> Option<&Verdict> {
        self.known.get(id)
    }

    /// Keeps a verdict.
    pub fn keep(&self, mutant: &Mutant, verdict: &Verdict) -> Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let line = Line {
            code: self.code.clone(),
            id: mutant.id.to_owned(),
            verdict: verdict.clone(),
        };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(text.as_bytes())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutant::Expected;

    #[test]
    fn what_was_decided_with_the_same_code_is_kept() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("ledger");
        let mutant = |id| Mutant {
            id,
            what: "",
            expected: Expected::Caught(&[]),
        };
        let caught = Verdict::Caught {
            by: "a case".to_owned(),
            millis: 7,
        };
        let ledger = Ledger::open(&path, "one")?;
        ledger.keep(&mutant("a"), &caught)?;
        ledger.keep(&mutant("b"), &Verdict::Alive)?;
        OpenOptions::new()
            .append(true)
            .open(&path)?
            .write_all(b"{\"code\":\"on")?;
        let again = Ledger::open(&path, "one")?;
        assert_eq!(again.known("a"), Some(&caught));
        assert_eq!(again.known("b"), None, "one that was alive is asked again");
        assert_eq!(Ledger::open(&path, "two")?.known("a"), None);
        Ok(())
    }
}
