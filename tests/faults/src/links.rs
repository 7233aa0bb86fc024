//! The proxies between locations, and what they do to connections.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rand::Rng as _;
use rand::rngs::StdRng;
use tidelog_harness::proxy::{Counted, Flow, Proxy, Rules, Treatment};

use crate::kind::Kind;

/// Who dials whom.
pub type Pair = (String, String);

/// A proxy for each pair of locations of which one dials the other.
pub struct Links {
    proxies: BTreeMap<Pair, Proxy>,
}

/// Longer than it takes until something is said on any connection: either side speaks every second, and a connection that is lost is
/// dialled again after ten seconds at most.
const WITNESS: Duration = Duration::from_secs(14);

impl Links {
    /// Starts them, without saying yet where they lead.
    pub async fn start(pairs: impl IntoIterator<Item = Pair>) -> Result<Self> {
        let mut proxies = BTreeMap::new();
        for pair in pairs {
            proxies.insert(pair, Proxy::start(None).await?);
        }
        Ok(Self { proxies })
    }

    /// Who dials whom.
    pub fn pairs(&self) -> Vec<Pair> {
        self.proxies.keys().cloned().collect()
    }

    /// Where a location dials others.
    pub fn peers(&self, dialler: &str) -> BTreeMap<String, String> {
        let mine = self.proxies.iter().filter(|((from, _), _)| from == dialler);
        mine.map(|((_, to), proxy)| (to.clone(), proxy.address().to_string()))
            .collect()
    }

    /// Leads all proxies to a location there.
    pub fn route(&self, location: &str, address: &str) -> Result<()> {
        let address = address
            .parse()
            .with_context(|| format!("address {address}"))?;
        for ((_, to), proxy) in &self.proxies {
            if to == location {
                proxy.route(address);
            }
        }
        Ok(())
    }

    /// Those that pass a border between some locations and all others.
    fn across<'a>(&'a self, inside: &'a [String]) -> impl Iterator<Item = (&'a Pair, &'a Proxy)> {
        self.proxies
            .iter()
            .filter(|((from, to), _)| inside.contains(from) != inside.contains(to))
    }

    /// Everything that all of them did.
    pub fn counted(&self) -> BTreeMap<String, Counted> {
        let named = self.proxies.iter();
        named
            .map(|((from, to), proxy)| (format!("{from}->{to}"), proxy.counted()))
            .collect()
    }

    /// Treats everything well again.
    pub fn mend(&self) {
        for proxy in self.proxies.values() {
            proxy.mend();
        }
    }

    /// Breaks one link in one way, holds that, mends it. The witness, if it happened.
    pub async fn play(&self, kind: Kind, pair: &Pair, random: &mut StdRng) -> Option<String> {
        let proxy = self.proxies.get(pair)?;
        let before = proxy.counted();
        let hold = Duration::from_millis(random.random_range(1_500..5_000));
        let blow = begin(kind, proxy, random);
        let deadline = tokio::time::Instant::now() + hold;
        let last = tokio::time::Instant::now() + hold.max(WITNESS);
        let mut witness = None;
        loop {
            let now = tokio::time::Instant::now();
            let did = proxy.counted() - before;
            witness = witness_of(kind, did).or(witness);
            if (now >= deadline && witness.is_some()) || now >= last {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            match blow {
                // A connection that came meanwhile gets the same.
                Again::CutAfter(most) => proxy.cut_after(1 + did.passed as u32 % most),
                Again::HalfOpen if did.half_opened == 0 => proxy.half_open(),
                Again::HalfOpen | Again::No => {}
            }
        }
        proxy.mend();
        if kind == Kind::LinkHalfOpen {
            proxy.reset();
        }
        witness
    }

    /// Cuts some locations off from all others until [`Self::mend`]. How, for people.
    pub fn part(&self, inside: &[String], random: &mut StdRng) -> &'static str {
        let (how, rules) = match random.random_range(0..3) {
            0 => ("black hole", Rules::both(flow(Flow::Drop))),
            1 => ("stalled", Rules::both(flow(Flow::Stall))),
            _ => (
                "reset",
                Rules {
                    refuse: true,
                    ..Rules::default()
                },
            ),
        };
        for (_, proxy) in self.across(inside) {
            proxy.set(rules);
            if rules.refuse {
                proxy.reset();
            }
        }
        how
    }

    /// What shows that every link across the border was broken since then: for each, what was lost, held or refused.
    pub fn parted(&self, inside: &[String], before: &BTreeMap<String, Counted>) -> Option<String> {
        let mut words = Vec::new();
        for ((from, to), proxy) in self.across(inside) {
            let name = format!("{from}->{to}");
            let did = proxy.counted() - before.get(&name).copied().unwrap_or_default();
            let word = if did.dropped > 0 {
                format!("{} bytes lost", did.dropped)
            } else if did.stalled > 0 {
                "stalled".to_owned()
            } else if did.refused + did.reset > 0 {
                format!("{} reset, {} refused", did.reset, did.refused)
            } else {
                return None;
            };
            words.push(format!("{name} {word}"));
        }
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// What is done again while a fault holds.
#[derive(Clone, Copy)]
enum Again {
    No,
    HalfOpen,
    CutAfter(u32),
}

fn begin(kind: Kind, proxy: &Proxy, random: &mut StdRng) -> Again {
    let one_way = |treatment: Treatment, up: bool| {
        let mut rules = Rules::default();
        if up {
            rules.up = treatment;
        } else {
            rules.down = treatment;
        }
        rules
    };
    match kind {
        Kind::LinkDelay => proxy.set(Rules::both(Treatment {
            delay: Duration::from_millis(random.random_range(20..400)),
            jitter: Duration::from_millis(random.random_range(10..300)),
            ..Treatment::default()
        })),
        Kind::LinkReset => {
            proxy.set(Rules {
                refuse: random.random_bool(0.7),
                ..Rules::default()
            });
            proxy.reset();
        }
        Kind::LinkBlackHole => proxy.set(Rules::both(flow(Flow::Drop))),
        Kind::LinkBlackHoleOneWay => {
            proxy.set(one_way(flow(Flow::Drop), random.random_bool(0.5)));
        }
        Kind::LinkStall => proxy.set(match random.random_range(0..3) {
            0 => Rules::both(flow(Flow::Stall)),
            1 => one_way(flow(Flow::Stall), true),
            _ => one_way(flow(Flow::Stall), false),
        }),
        Kind::LinkHalfOpen => {
            proxy.half_open();
            return Again::HalfOpen;
        }
        Kind::LinkThrottle => proxy.set(Rules::both(Treatment {
            bytes_per_second: random.random_range(2_000..40_000),
            ..Treatment::default()
        })),
        Kind::LinkCutAfterBytes => {
            let most = random.random_range(100..20_000);
            proxy.cut_after(random.random_range(1..most));
            return Again::CutAfter(most);
        }
        Kind::LinkCorrupt => proxy.set(Rules::both(Treatment {
            corrupt_one_in: random.random_range(50..20_000),
            ..Treatment::default()
        })),
        _ => {}
    }
    Again::No
}

fn witness_of(kind: Kind, did: Counted) -> Option<String> {
    let (count, what) = match kind {
        Kind::LinkDelay => (did.delayed, "bytes arrived late"),
        Kind::LinkReset => (did.reset, "connections cut with RST"),
        Kind::LinkBlackHole | Kind::LinkBlackHoleOneWay => (did.dropped, "bytes lost"),
        Kind::LinkStall => (did.stalled, "times bytes stood and were not taken in"),
        // Half open is a connection whose other end went on to speak.
        Kind::LinkHalfOpen => (
            did.half_opened.min(did.dropped),
            "connections half open, into which was spoken",
        ),
        Kind::LinkThrottle => (did.throttled, "bytes waited"),
        Kind::LinkCutAfterBytes => (did.cut, "connections cut in the middle"),
        Kind::LinkCorrupt => (did.corrupted, "bits turned over"),
        _ => (0, ""),
    };
    (count > 0).then(|| format!("{count} {what}"))
}

fn flow(flow: Flow) -> Treatment {
    Treatment {
        flow,
        ..Treatment::default()
    }
}
