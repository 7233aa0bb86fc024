//! A witness for a log that does not outlive its process.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidelog_core::{ProvenHead, Witness};
use tidelog_engine::{Recorded, WitnessKeeper};
use tidelog_model::Incarnation;
use tidelog_store::InstanceId;

/// Forgets everything with the process: for memory storage, or where every start shall raise.
#[derive(Default)]
pub(crate) struct MemoryWitness(Mutex<Option<Witness>>);

impl MemoryWitness {
    fn lock(&self) -> MutexGuard<'_, Option<Witness>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Witness)) {
        change(self.lock().get_or_insert_default());
    }
}

#[tonic::async_trait]
impl WitnessKeeper for MemoryWitness {
    fn load(&self) -> io::Result<Option<Witness>> {
        Ok(self.lock().clone())
    }
    async fn raise(&self, incarnation: Incarnation) -> io::Result<Recorded> {
        self.change(|w| w.incarnation = w.incarnation.max(incarnation));
        Ok(Recorded::Yes)
    }
    async fn begin(
        &self,
        writer: u64,
        incarnation: Incarnation,
        instance: &InstanceId,
        head: ProvenHead,
    ) -> io::Result<Recorded> {
        self.change(|w| {
            w.incarnation = w.incarnation.max(incarnation);
            w.instance = Some(instance.clone());
            w.clean_stop = None;
            w.committed = Some(head);
            w.writer = Some(writer);
        });
        Ok(Recorded::Yes)
    }
    fn committed(&self, head: ProvenHead) -> io::Result<()> {
        self.change(|w| w.committed = Some(head));
        Ok(())
    }
    async fn clean_stop(&self, head: ProvenHead) -> io::Result<()> {
        self.change(|w| w.clean_stop = Some(head));
        Ok(())
    }
}
