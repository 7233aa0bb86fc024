//! What a long run that is stopped has to know when it goes on.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::seeds::Tally;

/// Kept in a file after every portion of seeds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// The first seed of all.
    pub from: u64,
    /// The seed to go on with.
    pub next: u64,
    /// How long it has run.
    pub elapsed: Duration,
    /// What all of them did.
    pub tally: Tally,
}

impl Ledger {
    /// Reads it, or begins anew when there is no such file. A file of a run from another seed is refused.
    pub fn open(file: Option<&Path>, from: u64) -> Result<Self> {
        let new = Self {
            from,
            next: from,
            ..Self::default()
        };
        let Some(file) = file.filter(|file| file.exists()) else {
            return Ok(new);
        };
        let name = file.display();
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
        let before: Self = serde_json::from_str(&text)
            .with_context(|| format!("{name} was not written by --resume"))?;
        ensure!(
            before.from == from,
            "{name} is of a run from seed {}, not from {from}; ask for the same, or name another file",
            before.from
        );
        Ok(before)
    }

    /// Writes it, so that it is never half written.
    pub fn save(&self, file: Option<&Path>) -> Result<()> {
        let Some(file) = file else { return Ok(()) };
        let fresh = file.with_extension("new");
        let text = serde_json::to_string(self)?;
        std::fs::write(&fresh, text)
            .with_context(|| format!("cannot write {}", fresh.display()))?;
        std::fs::rename(&fresh, file).with_context(|| format!("cannot write {}", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_from_its_file_and_only_from_the_same_seed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("run.json");
        let mut first = Ledger::open(Some(&file), 1_000).unwrap();
        assert_eq!((first.next, first.tally.seeds), (1_000, 0));
        first.next = 1_050;
        first.tally.seeds = 49;
        first.tally.failed.push((1_007, vec!["I3".to_owned()]));
        first.save(Some(&file)).unwrap();

        let again = Ledger::open(Some(&file), 1_000).unwrap();
        assert_eq!((again.next, again.tally.seeds), (1_050, 49));
        assert_eq!(again.tally.failed, first.tally.failed);
        let refused = Ledger::open(Some(&file), 0).unwrap_err();
        assert!(refused.to_string().contains("from seed 1000, not from 0"));
        std::fs::write(&file, "17").unwrap();
        assert!(Ledger::open(Some(&file), 1_000).is_err());
    }
}
