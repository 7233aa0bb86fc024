//! A location: what each of its lives is started with, and what survives them.

use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use tidelog_config::Config;
use tidelog_core::{ProvenHead, Witness};
use tidelog_engine::{Recorded, WitnessKeeper};
use tidelog_model::Incarnation;
use tidelog_server::{LocationOptions, Network, RunningLocation, Surroundings};
use tidelog_store::InstanceId;
use tokio::sync::Notify;

use crate::disk::Disk;
use crate::watch::watch;
use crate::wire::{ADMIN, API, REPLICATION, dialler, listen};
use crate::world::{World, dice, lock, now_micros};

/// A location, over all its lives.
pub struct Site {
    /// Its name, and that of its host.
    pub name: String,
    /// Its database.
    pub disk: Arc<Disk>,
    config: Config,
    world: Arc<World>,
    witness: Arc<Remembered>,
    /// How far its wall clock is off.
    skew_micros: AtomicI64,
    random: Mutex<StdRng>,
    stop: Mutex<Arc<Notify>>,
    lives: AtomicU64,
}

impl Site {
    /// A location that was never started.
    pub fn new(config: Config, world: &Arc<World>) -> Arc<Self> {
        let name = config.location.to_string();
        Arc::new(Self {
            disk: Arc::new(Disk::new(&name, world)),
            config,
            world: world.clone(),
            witness: Arc::default(),
            skew_micros: AtomicI64::new(0),
            random: Mutex::new(dice(world.seed, &format!("location {name}"))),
            stop: Mutex::default(),
            lives: AtomicU64::new(0),
            name,
        })
    }

    /// Sets its wall clock off.
    pub fn skew(&self, micros: i64) {
        self.skew_micros.store(micros, Ordering::Relaxed);
    }

    /// Asks the running life to end as it should.
    pub fn stop(&self) {
        lock(&self.stop).notify_one();
    }

    /// One life: until it is asked to end, or killed from outside.
    pub async fn live(self: Arc<Self>) -> turmoil::Result {
        let stop = Arc::new(Notify::new());
        *lock(&self.stop) = stop.clone();
        let life = self.lives.fetch_add(1, Ordering::Relaxed);
        self.world
            .say(now_micros(), &format!("{} lives ({life})", self.name));
        loop {
            let on = self.surroundings().await?;
            match RunningLocation::start_on(self.config.clone(), LocationOptions::default(), on)
                .await
            {
                Ok(location) => {
                    tokio::select! {
                        () = stop.notified() => {}
                        () = watch(&location, &self.world) => {}
                    }
                    location.shut_down().await;
                    self.world
                        .say(now_micros(), &format!("{} has stopped", self.name));
                    return Ok(());
                }
                // What a supervisor of processes does.
                Err(error) => {
                    let text = format!("{} does not start: {error}", self.name);
                    self.world.say(now_micros(), &text);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn surroundings(self: &Arc<Self>) -> io::Result<Surroundings> {
        let (for_clock, for_random) = (self.clone(), self.clone());
        Ok(Surroundings {
            clock: Arc::new(move || now_micros() + for_clock.skew_micros.load(Ordering::Relaxed)),
            random: Arc::new(move || lock(&for_random.random).random()),
            store: Some(self.disk.mount()),
            witness: Some(self.witness.clone()),
            network: Some(Network {
                api: listen(API).await?,
                admin: listen(ADMIN).await?,
                replication: listen(REPLICATION).await?,
                dialler: dialler(),
            }),
        })
    }
}

/// A witness that outlives its location, as a file does.
#[derive(Default)]
struct Remembered(Mutex<Option<Witness>>);

impl Remembered {
    fn change(&self, change: impl FnOnce(&mut Witness)) {
        change(lock(&self.0).get_or_insert_default());
    }
}

#[tonic::async_trait]
impl WitnessKeeper for Remembered {
    fn load(&self) -> io::Result<Option<Witness>> {
        Ok(lock(&self.0).clone())
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
