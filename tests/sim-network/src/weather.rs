//! What breaks, and when.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use tidelog_harness::record::Id;
use tidelog_store::{LogStore as _, MemorySnapshot, MemoryStore};
use turmoil::Sim;

use crate::apps::HOST;
use crate::site::Site;
use crate::world::{EPOCH_SECONDS, World, dice, now_micros};

/// A location goes back to an older copy of its database.
struct Loss {
    site: usize,
    /// When the copy is made. Never: it goes back to nothing at all.
    copied_at: Option<Duration>,
    copy: Option<MemorySnapshot>,
    back_at: Duration,
}

impl Loss {
    fn draw(dice: &mut StdRng, sites: usize, end: Duration) -> Self {
        let back_at = end.mul_f64(dice.random_range(0.3..0.9));
        let copied_at = back_at.mul_f64(dice.random_range(0.3..1.0));
        Self {
            site: dice.random_range(0..sites),
            copied_at: dice.random_bool(0.8).then_some(copied_at),
            copy: None,
            back_at,
        }
    }
}

/// A simulation, as the weather needs it.
pub struct Weather {
    world: Arc<World>,
    sites: Vec<Arc<Site>>,
    dice: StdRng,
    next: Duration,
    end: Duration,
    /// Locations that are dead, and until when.
    dead: Vec<(usize, Duration)>,
    /// Locations that were asked to stop.
    stopping: BTreeSet<usize>,
    /// How far apart things happen.
    pace_millis: u64,
    loss: Option<Loss>,
    /// Until then no connection is broken: what was lost is on its way back.
    peace_until: Duration,
}

impl Weather {
    /// The weather of a seed. Only where nothing is filtered may a location go back to an older copy.
    pub fn new(sites: &[Arc<Site>], world: &Arc<World>) -> Self {
        let mut dice = dice(world.seed, "weather");
        let end = Duration::from_millis(dice.random_range(3_000..9_000));
        let loses = dice.random_bool(0.5) && !world.filtered;
        Self {
            world: world.clone(),
            sites: sites.to_vec(),
            next: Duration::from_millis(dice.random_range(100..1_000)),
            end,
            dead: Vec::new(),
            stopping: BTreeSet::new(),
            pace_millis: [200, 600, 2_000][dice.random_range(0..3)],
            loss: loses.then(|| Loss::draw(&mut dice, sites.len(), end)),
            peace_until: Duration::ZERO,
            dice,
        }
    }

    /// What happens now; to be asked at every step.
    pub fn blow(&mut self, sim: &mut Sim<'_>) {
        let now = sim.elapsed();
        if self.world.is_calm() {
            return self.raise_the_dead(sim, now);
        }
        if now >= self.end {
            return self.clear_up(sim);
        }
        self.raise_the_dead(sim, now);
        self.lose(sim, now);
        if now < self.next {
            return;
        }
        let pause = self.dice.random_range(1..self.pace_millis);
        self.next = now + Duration::from_millis(pause);
        let site = self.dice.random_range(0..self.sites.len());
        match self.dice.random_range(0..18) {
            0..=2 => self.between(sim, "cut", |sim, a, b| sim.partition(a, b)),
            3 => self.between(sim, "cut one way", |sim, a, b| sim.partition_oneway(a, b)),
            4 | 5 => self.between(sim, "hold", |sim, a, b| sim.hold(a, b)),
            6..=9 => self.mend(sim),
            10 => {
                let latency = Duration::from_millis(self.dice.random_range(1..300));
                self.between(sim, "delay", |sim, a, b| {
                    sim.set_link_max_message_latency(a, b, latency);
                });
            }
            11..=13 => self.kill(sim, site),
            14 | 15 => self.stop(now, site),
            16 => {
                let skew = self.dice.random_range(-5_000_000..90_000_000);
                self.happens(now, &format!("{} has clock {skew}", self.sites[site].name));
                self.world.count("weather: clock");
                self.sites[site].skew(skew);
            }
            _ => self.kill(sim, site),
        }
    }

    fn happens(&self, now: Duration, what: &str) {
        let micros = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        self.world.say(EPOCH_SECONDS * 1_000_000 + micros, &what);
    }

    /// Two hosts; now and then one of them is that of the users.
    fn between(
        &mut self,
        sim: &mut Sim<'_>,
        what: &str,
        happens: impl FnOnce(&mut Sim<'_>, &str, &str),
    ) {
        if sim.elapsed() < self.peace_until {
            return;
        }
        let Some(a) = self.sites.choose(&mut self.dice).cloned() else {
            return;
        };
        let others: Vec<&str> = self
            .sites
            .iter()
            .map(|site| site.name.as_str())
            .chain([HOST])
            .filter(|name| *name != a.name)
            .collect();
        let Some(b) = others.choose(&mut self.dice) else {
            return;
        };
        self.happens(sim.elapsed(), &format!("{what} {} {b}", a.name));
        self.world.count(&format!("weather: {what}"));
        happens(sim, &a.name, b);
    }

    /// Every connection may be used again.
    fn mend(&mut self, sim: &mut Sim<'_>) {
        self.happens(sim.elapsed(), "mended");
        let names: Vec<&str> = self.sites.iter().map(|site| site.name.as_str()).collect();
        for (at, a) in names.iter().enumerate() {
            for b in names[at + 1..].iter().chain([&HOST]) {
                sim.release(*a, *b);
                sim.repair(*a, *b);
                sim.set_link_max_message_latency(*a, *b, Duration::from_millis(10));
            }
        }
    }

    fn is_down(&self, site: usize) -> bool {
        self.stopping.contains(&site) || self.dead.iter().any(|(dead, _)| *dead == site)
    }

    fn kill(&mut self, sim: &mut Sim<'_>, site: usize) {
        if self.is_down(site) {
            return;
        }
        let name = self.sites[site].name.clone();
        self.happens(sim.elapsed(), &format!("{name} is killed"));
        self.world.count("weather: kill");
        sim.crash(name.as_str());
        let length = Duration::from_millis(self.dice.random_range(1..4_000));
        self.dead.push((site, sim.elapsed() + length));
    }

    fn stop(&mut self, now: Duration, site: usize) {
        if self.is_down(site) {
            return;
        }
        self.happens(now, &format!("{} is stopped", self.sites[site].name));
        self.world.count("weather: stop");
        self.sites[site].stop();
        self.stopping.insert(site);
    }

    fn raise_the_dead(&mut self, sim: &mut Sim<'_>, now: Duration) {
        for site in std::mem::take(&mut self.stopping) {
            let name = self.sites[site].name.as_str();
            if sim.is_host_running(name) {
                self.stopping.insert(site);
            } else {
                let length = Duration::from_millis(self.dice.random_range(1..1_000));
                self.dead.push((site, now + length));
            }
        }
        let (due, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.dead)
            .into_iter()
            .partition(|(_, until)| *until <= now);
        self.dead = left;
        for (site, _) in due {
            sim.bounce(self.sites[site].name.as_str());
        }
    }

    /// A location goes back to an older copy of its database, announced to nobody.
    fn lose(&mut self, sim: &mut Sim<'_>, now: Duration) {
        let Some(mut loss) = self.loss.take() else {
            return;
        };
        if loss.copy.is_none() && loss.copied_at.is_some_and(|at| at <= now) {
            loss.copy = Some(self.sites[loss.site].disk.snapshot());
        }
        // Who is stopping or dead goes back when it lives.
        if now < loss.back_at || self.is_down(loss.site) {
            self.loss = Some(loss);
            return;
        }
        self.mend(sim);
        self.peace_until = now + Duration::from_secs(8);
        let name = self.sites[loss.site].name.clone();
        self.kill(sim, loss.site);
        let alone = self.held_only_at(loss.site);
        let count = alone.len();
        let mut pages = self.world.pages();
        pages.may_be_lost.extend(alone);
        // Progress may be older in the copy, also where no event is missing and nobody notices.
        pages.progress.retain(|progress| progress.target != name);
        drop(pages);
        let disk = &self.sites[loss.site].disk;
        disk.restore(
            loss.copy
                .unwrap_or_else(|| MemoryStore::new(Arc::new(now_micros)).snapshot()),
        );
        self.world.lost.store(true, Ordering::Relaxed);
        self.happens(
            now,
            &format!("{name} is set back; {count} events were nowhere else"),
        );
        self.world.count("weather: set back");
    }

    /// Events that a location wrote and nobody else holds.
    fn held_only_at(&self, site: usize) -> BTreeSet<Id> {
        let ids = |site: &Arc<Site>| -> BTreeSet<Id> {
            let store = site.disk.store();
            let rows = store.ids(0, usize::MAX >> 1);
            // The memory store never waits.
            let rows = rows.now_or_never().and_then(Result::ok).unwrap_or_default();
            rows.iter()
                .map(|row| {
                    let origin = &row.id.origin;
                    Id::new(
                        origin.location.as_str(),
                        origin.incarnation.0,
                        row.id.sequence,
                    )
                })
                .collect()
        };
        let others = self.sites.iter().enumerate().filter(|(at, _)| *at != site);
        let elsewhere: BTreeSet<Id> = others.flat_map(|(_, other)| ids(other)).collect();
        ids(&self.sites[site])
            .into_iter()
            .filter(|id| !elsewhere.contains(id))
            .collect()
    }

    /// Everything is mended, for good.
    fn clear_up(&mut self, sim: &mut Sim<'_>) {
        self.mend(sim);
        for site in &self.sites {
            site.skew(0);
        }
        self.happens(sim.elapsed(), "calm");
        self.world.calm.store(true, Ordering::Relaxed);
        for (_, until) in &mut self.dead {
            *until = Duration::ZERO;
        }
    }
}
