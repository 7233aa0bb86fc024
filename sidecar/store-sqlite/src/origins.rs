//! Local integers for origins. One process has the database, so this memory is never behind it.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use tidelog_model::Origin;

/// All origins that the database knows, and those that the next write will tell it.
#[derive(Debug, Default)]
pub struct Origins(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    by_id: Vec<Origin>,
    ids: HashMap<Origin, u32>,
    /// So many of them are in the database for certain.
    stored: usize,
}

impl Origins {
    /// The origins of a database, in the order of their integers from 0.
    pub fn new(stored: Vec<Origin>) -> Self {
        let ids = stored
            .iter()
            .enumerate()
            .map(|(id, origin)| (origin.clone(), id as u32))
            .collect();
        Self(RwLock::new(Known {
            stored: stored.len(),
            by_id: stored,
            ids,
        }))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The integer of an origin; a new one when it has none. A write that uses it also stores [`Self::unstored`].
    pub fn intern(&self, origin: &Origin) -> u32 {
        if let Some(id) = self.find(origin) {
            return id;
        }
        let mut known = self.write();
        if let Some(id) = known.ids.get(origin) {
            return *id;
        }
        let id = known.by_id.len() as u32;
        known.by_id.push(origin.clone());
        known.ids.insert(origin.clone(), id);
        id
    }

    /// The integer of an origin, if it has one.
    pub fn find(&self, origin: &Origin) -> Option<u32> {
        self.read().ids.get(origin).copied()
    }

    /// The origin of an integer.
    pub fn resolve(&self, id: u32) -> Option<Origin> {
        self.read().by_id.get(id as usize).cloned()
    }

    /// The integers of a location in all its incarnations.
    pub fn of_location(&self, location: &tidelog_model::LocationName) -> Vec<u32> {
        let known = self.read();
        let of_it = known.ids.iter().filter(|(o, _)| o.location == *location);
        of_it.map(|(_, id)| *id).collect()
    }

    /// Origins that the database may not know yet.
    pub fn unstored(&self) -> Vec<(u32, Origin)> {
        let known = self.read();
        let new = known.by_id.iter().enumerate().skip(known.stored);
        new.map(|(id, o)| (id as u32, o.clone())).collect()
    }

    /// A write with these has succeeded.
    pub fn mark_stored(&self, written: &[(u32, Origin)]) {
        if let Some((last, _)) = written.last() {
            let mut known = self.write();
            known.stored = known.stored.max(*last as usize + 1);
        }
    }
}
