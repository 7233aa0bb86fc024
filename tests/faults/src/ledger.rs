//! What a run that goes on later has to know of what it did before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::kind::{Kind, Store};
use crate::run::Wanted;
use crate::tally::Counts;

/// Kept in a file after every network.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// What everything is drawn from.
    pub seed: u64,
    /// The stores that were asked for.
    pub stores: Vec<Store>,
    /// The faults that were asked for; all when empty.
    pub faults: Vec<Kind>,
    /// Those that were left out.
    pub except: Vec<Kind>,
    /// The last network.
    pub number: u32,
    /// Seconds that were spent on each store.
    pub seconds: BTreeMap<Store, f64>,
    /// Stores with which memory was watched.
    pub stalls: BTreeSet<Store>,
    /// Everything that was counted.
    pub counts: Counts,
}

impl Ledger {
    /// Reads it, or begins a new one when there is no such file. What was asked for must be the same, but for the time.
    pub fn open(file: Option<&Path>, wanted: &mut Wanted, seed: Option<u64>) -> Result<Self> {
        let new = |wanted: &Wanted| Self {
            seed: wanted.seed,
            stores: wanted.stores.clone(),
            faults: wanted.faults.clone(),
            except: wanted.except.clone(),
            ..Self::default()
        };
        let Some(file) = file.filter(|file| file.exists()) else {
            return Ok(new(wanted));
        };
        let name = file.display();
        let text = std::fs::read_to_string(file).with_context(|| format!("read {name}"))?;
        let before: Self = serde_json::from_str(&text)
            .with_context(|| format!("{name} was not written by --resume"))?;
        if seed.is_none() {
            wanted.seed = before.seed;
        }
        let same = new(wanted);
        ensure!(
            (&same.seed, &same.stores, &same.faults, &same.except)
                == (&before.seed, &before.stores, &before.faults, &before.except),
            "{name} is of a run with seed {}, stores {:?}, faults {:?} and without {:?}; ask for the same, or name another file",
            before.seed,
            before.stores,
            before.faults,
            before.except
        );
        Ok(before)
    }

    /// Writes it, so that it is never half written.
    pub fn save(&self, file: Option<&Path>) -> Result<()> {
        let Some(file) = file else { return Ok(()) };
        let fresh = file.with_extension("new");
        let text = serde_json::to_string(self)?;
        std::fs::write(&fresh, text).with_context(|| format!("write {}", fresh.display()))?;
        std::fs::rename(&fresh, file).with_context(|| format!("write {}", file.display()))
    }

    /// Seconds of all stores together.
    pub fn elapsed(&self) -> f64 {
        self.seconds.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_from_its_file_and_only_when_the_same_is_asked_for() {
        let directory = std::env::temp_dir().join(format!("tidelog-ledger-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("run.json");
        let mut wanted = Wanted::short(vec![Store::Sqlite], vec![Kind::KillSidecar]);
        wanted.seed = 7;
        let mut first = Ledger::open(Some(&file), &mut wanted, None).unwrap();
        first.number = 3;
        first.seconds.insert(Store::Sqlite, 61.5);
        first.counts.acknowledged = 12;
        first
            .counts
            .back
            .insert("sidecar".to_owned(), vec![1.0, 2.0]);
        first.save(Some(&file)).unwrap();

        wanted.seed = 8;
        let second = Ledger::open(Some(&file), &mut wanted, None).unwrap();
        assert_eq!((wanted.seed, second.number), (7, 3));
        assert_eq!(second.counts.acknowledged, 12);
        assert!((second.elapsed() - 61.5).abs() < 1e-9);

        wanted.faults = vec![Kind::ClockJump];
        let refused = Ledger::open(Some(&file), &mut wanted, None).unwrap_err();
        assert!(refused.to_string().contains("ask for the same"));
        wanted.faults = vec![Kind::KillSidecar];
        wanted.seed = 9;
        assert!(Ledger::open(Some(&file), &mut wanted, Some(9)).is_err());
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
