//! Origins as local integers.
//!
//! The table `origins` only grows, so a cached entry never goes stale while the database stays the same one; a new connection of the
//! writer (behind which another server may be by now) and every look at the state replace the cache as a whole.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tidelog_model::Origin;

/// One immutable snapshot of the table.
#[derive(Debug, Default, Clone)]
pub struct OriginTable {
    by_id: HashMap<i32, Origin>,
    ids: HashMap<Origin, i32>,
    last: i32,
}

impl OriginTable {
    /// A table of its rows.
    pub fn new(rows: impl IntoIterator<Item = (i32, Origin)>) -> Self {
        let mut table = Self::default();
        table.extend(rows);
        table
    }

    fn extend(&mut self, rows: impl IntoIterator<Item = (i32, Origin)>) {
        for (id, origin) in rows {
            self.ids.insert(origin.clone(), id);
            self.by_id.insert(id, origin);
            self.last = self.last.max(id);
        }
    }

    /// The origin of an integer.
    pub fn get(&self, id: i32) -> Option<&Origin> {
        self.by_id.get(&id)
    }
}

/// The snapshot that everybody uses at the moment.
#[derive(Debug, Default)]
pub struct Origins(RwLock<Arc<OriginTable>>);

impl Origins {
    /// The snapshot.
    pub fn current(&self) -> Arc<OriginTable> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces it.
    pub fn replace(&self, table: OriginTable) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }

    /// Adds what a write that succeeded has added.
    pub fn add(&self, fresh: Vec<(i32, Origin)>) {
        if !fresh.is_empty() {
            let mut table = (*self.current()).clone();
            table.extend(fresh);
            self.replace(table);
        }
    }
}

/// Gives integers to origins for one write; unknown ones get the next integers, to be inserted by the same write.
#[derive(Debug)]
pub struct Interner {
    table: Arc<OriginTable>,
    fresh_ids: HashMap<Origin, i32>,
    fresh: Vec<(i32, Origin)>,
}

impl Interner {
    /// Starts from a snapshot.
    pub fn new(table: Arc<OriginTable>) -> Self {
        Self {
            table,
            fresh_ids: HashMap::new(),
            fresh: Vec::new(),
        }
    }

    /// The integer of an origin.
    pub fn id(&mut self, origin: &Origin) -> i32 {
        if let Some(id) = self.table.ids.get(origin) {
            return *id;
        }
        if let Some(id) = self.fresh_ids.get(origin) {
            return *id;
        }
        let id = self.table.last + 1 + self.fresh.len() as i32;
        self.fresh_ids.insert(origin.clone(), id);
        self.fresh.push((id, origin.clone()));
        id
    }

    /// What has to be inserted.
    pub fn fresh(&self) -> &[(i32, Origin)] {
        &self.fresh
    }

    /// What was inserted.
    pub fn into_fresh(self) -> Vec<(i32, Origin)> {
        self.fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_origins_get_the_next_integers_and_known_ones_keep_theirs() {
        let origin = |s: &str| s.parse::<Origin>().unwrap();
        let origins = Origins::default();
        origins.replace(OriginTable::new([(1, origin("eu#1")), (4, origin("us#1"))]));
        let mut interner = Interner::new(origins.current());
        let ids: Vec<_> = ["us#1", "ap#1", "eu#1", "eu#2", "ap#1"]
            .into_iter()
            .map(|o| interner.id(&origin(o)))
            .collect();
        assert_eq!(ids, [4, 5, 1, 6, 5]);
        assert_eq!(interner.fresh().len(), 2);
        assert_eq!(origins.current().get(5), None);
        origins.add(interner.into_fresh());
        assert_eq!(origins.current().get(5), Some(&origin("ap#1")));
        assert_eq!(origins.current().get(4), Some(&origin("us#1")));
    }
}
