//! What happened before what, by the journal: the transitive closure of what each writer had seen.

use std::collections::{BTreeMap, HashMap};

use crate::history::History;
use crate::record::{Answer, Attempt, Delivered, Fact, Id, Seen};

/// A set of events, as bits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Set(Vec<u64>);

impl Set {
    pub(super) fn insert(&mut self, index: usize) {
        if self.0.len() <= index / 64 {
            self.0.resize(index / 64 + 1, 0);
        }
        self.0[index / 64] |= 1 << (index % 64);
    }

    pub(super) fn contains(&self, index: usize) -> bool {
        self.0
            .get(index / 64)
            .is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    fn merge(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    /// The members that are in `within` and not in `but`.
    pub(super) fn left_over(&self, within: &Self, but: &Self) -> Vec<usize> {
        let mut out = Vec::new();
        for (at, word) in self.0.iter().enumerate() {
            let other = |set: &Self| set.0.get(at).copied().unwrap_or(0);
            let mut left = word & other(within) & !other(but);
            while left != 0 {
                out.push(at * 64 + left.trailing_zeros() as usize);
                left &= left - 1;
            }
        }
        out
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            let bits = (0..64).filter(move |bit| word & (1 << bit) != 0);
            bits.map(move |bit| at * 64 + bit)
        })
    }
}

/// One order in which a location showed its log: what its reads gave at the end, or what a subscriber got.
pub(super) struct View<'a> {
    pub(super) name: String,
    pub(super) location: &'a str,
    /// In local order.
    pub(super) facts: Vec<&'a Fact>,
    /// The incarnation that was in force at the position of each.
    incarnations: Vec<u32>,
    /// Where each stands in `facts`.
    places: HashMap<&'a Id, usize>,
    /// True when nothing before the first event is left out.
    pub(super) whole: bool,
}

impl<'a> View<'a> {
    fn new(
        name: String,
        location: &'a str,
        facts: Vec<&'a Fact>,
        incarnations: Vec<u32>,
        whole: bool,
    ) -> Self {
        let places = facts.iter().enumerate().map(|(at, fact)| (&fact.id, at));
        Self {
            name,
            location,
            incarnations,
            places: places.collect(),
            facts,
            whole,
        }
    }

    /// What a subscriber got.
    fn got(name: String, location: &'a str, delivered: Vec<&'a Delivered>, whole: bool) -> Self {
        let incarnations = delivered.iter().map(|d| d.incarnation).collect();
        let facts = delivered.into_iter().map(|d| &d.fact).collect();
        Self::new(name, location, facts, incarnations, whole)
    }

    /// Where an event stands that was written here, at its own number. One that came back after a loss may stand there by chance.
    pub(super) fn written_at(&self, id: &Id) -> Option<usize> {
        let at = *self.places.get(id)?;
        self.was_written(at).then_some(at)
    }

    pub(super) fn was_written(&self, at: usize) -> bool {
        let fact = self.facts[at];
        fact.id.location == self.location
            && fact.id.sequence == fact.sequence
            && fact.id.incarnation == self.incarnations[at]
    }
}

/// All orders that were shown.
pub(super) fn views(history: &History) -> Vec<View<'_>> {
    let mut views: Vec<View<'_>> = Vec::new();
    for (location, dump) in &history.dumps {
        let in_force = |sequence: u64| {
            let begun = dump.lineage.iter().rfind(|(_, base)| *base < sequence);
            begun.map_or(0, |(incarnation, _)| *incarnation)
        };
        let incarnations = dump
            .facts
            .iter()
            .map(|fact| in_force(fact.sequence))
            .collect();
        let facts = dump.facts.iter().collect();
        let name = format!("the log at {location}");
        views.push(View::new(name, location, facts, incarnations, true));
    }
    for subscription in &history.pages.subscriptions {
        let name = format!("subscriber {}", subscription.name);
        let location = subscription.location.as_str();
        let whole = subscription.start == 0;
        let view = |name, delivered, whole| View::got(name, location, delivered, whole);
        for (at, voided) in subscription.voided.iter().enumerate() {
            // What it had got before the loss that took this away: all up to the first event that was taken.
            let until = voided.first().map_or(u64::MAX, |d| d.fact.sequence);
            let standing = subscription.events.iter();
            let mut delivered: Vec<&Delivered> =
                standing.filter(|d| d.fact.sequence < until).collect();
            // A later loss may have reached further down than this one.
            let below = delivered
                .last()
                .map_or(subscription.start, |d| d.fact.sequence);
            let whole = whole && below + 1 == until;
            delivered.extend(voided);
            view(format!("{name} before loss {}", at + 1), delivered, whole);
        }
        views.push(view(name, subscription.events.iter().collect(), whole));
    }
    views
}

/// Every event that was ever shown, and what happened before it.
pub(super) struct Causes<'a> {
    pub(super) facts: Vec<&'a Fact>,
    pub(super) index: HashMap<&'a Id, usize>,
    /// By event: everything that happened before it.
    pub(super) before: Vec<Set>,
    /// Events that would have happened before themselves.
    pub(super) circles: Vec<usize>,
    /// The try that wrote it.
    pub(super) attempts: Vec<Option<&'a Attempt>>,
}

impl<'a> Causes<'a> {
    pub(super) fn of(history: &'a History, views: &[View<'a>]) -> Self {
        let mut index: HashMap<&Id, usize> = HashMap::new();
        let mut facts: Vec<&Fact> = Vec::new();
        for fact in views.iter().flat_map(|view| &view.facts).copied() {
            index.entry(&fact.id).or_insert_with(|| {
                facts.push(fact);
                facts.len() - 1
            });
        }
        let by_tag = attempts_by_tag(history);
        let attempts: Vec<Option<&Attempt>> = facts
            .iter()
            .map(|fact| by_tag.get(fact.tag.as_str()).copied())
            .collect();
        let shown: Vec<Vec<usize>> = views
            .iter()
            .map(|view| view.facts.iter().map(|fact| index[&fact.id]).collect())
            .collect();
        let direct: Vec<Direct<'_>> = facts
            .iter()
            .zip(&attempts)
            .map(|(fact, attempt)| {
                attempt.map_or_else(Direct::default, |a| {
                    Direct::of(fact, a, views, &shown, &index)
                })
            })
            .collect();
        let (before, circles) = close(&direct);
        Self {
            facts,
            index,
            before,
            circles,
            attempts,
        }
    }
}

/// The try that decides what a writer had seen; retries of a request have seen what the first one had.
fn attempts_by_tag(history: &History) -> BTreeMap<&str, &Attempt> {
    let mut out: BTreeMap<&str, &Attempt> = BTreeMap::new();
    for attempt in &history.pages.attempts {
        for tag in &attempt.tags {
            let known = out.entry(tag).or_insert(attempt);
            // The answer names the location that took it; a default context is about that location.
            if matches!(
                attempt.answer,
                Answer::Ok {
                    replayed: false,
                    ..
                }
            ) {
                *known = attempt;
            }
        }
    }
    out
}

/// What the writer of an event had seen itself.
#[derive(Default)]
struct Direct<'a> {
    /// Everything up to a place in an order that was shown.
    prefix: &'a [usize],
    named: Vec<usize>,
}

impl<'a> Direct<'a> {
    fn of(
        fact: &Fact,
        attempt: &Attempt,
        views: &[View<'_>],
        shown: &'a [Vec<usize>],
        index: &HashMap<&Id, usize>,
    ) -> Self {
        let id = &fact.id;
        // Each event of a request has seen those before it; they carry the numbers before its own.
        let first = id.sequence.saturating_sub(u64::from(fact.request_index));
        let mut named: Vec<usize> = (first..id.sequence)
            .filter_map(|sequence| {
                let sibling = Id {
                    sequence,
                    ..id.clone()
                };
                index.get(&sibling).copied()
            })
            .collect();
        let mut prefix: &[usize] = &[];
        match &attempt.seen {
            Seen::Only(ids) => named.extend(ids.iter().filter_map(|id| index.get(id))),
            Seen::Everything => {
                // Any order in which its own location showed it under the number that it got there.
                let mut places = views.iter().zip(shown);
                if let Some((at, shown)) =
                    places.find_map(|(view, shown)| Some((view.written_at(id)?, shown)))
                {
                    prefix = &shown[..at];
                }
            }
        }
        Self { prefix, named }
    }

    /// Later ones first: they have mostly seen the earlier ones.
    fn iter(&self) -> impl Iterator<Item = usize> {
        self.named
            .iter()
            .rev()
            .chain(self.prefix.iter().rev())
            .copied()
    }
}

/// The transitive closure, and the nodes on circles.
fn close(direct: &[Direct<'_>]) -> (Vec<Set>, Vec<usize>) {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let mut state = vec![State::New; direct.len()];
    let mut before = vec![Set::default(); direct.len()];
    let mut circles = Vec::new();
    for root in 0..direct.len() {
        let mut stack = vec![root];
        while let Some(&node) = stack.last() {
            match state[node] {
                State::New => {
                    state[node] = State::Open;
                    for cause in direct[node].iter() {
                        match state[cause] {
                            State::New => stack.push(cause),
                            State::Open => circles.push(cause),
                            State::Done => {}
                        }
                    }
                }
                State::Open => {
                    stack.pop();
                    state[node] = State::Done;
                    let mut set = Set::default();
                    for cause in direct[node].iter() {
                        // What another cause has seen brought all that it had seen itself.
                        if !set.contains(cause) {
                            set.merge(&before[cause]);
                            set.insert(cause);
                        }
                    }
                    before[node] = set;
                }
                State::Done => {
                    stack.pop();
                }
            }
        }
    }
    (before, circles)
}
