//! Every choice of a run, from one seed.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Chance, as the seed has it.
pub struct Dice(StdRng);

impl Dice {
    /// What is drawn once for a run: its topology, its limits, its length.
    pub fn new(seed: u64) -> Self {
        Self::of(seed, 0)
    }

    /// What is drawn within one step; the same whatever other steps there are.
    pub fn for_step(seed: u64, step: u32) -> Self {
        Self::of(seed, u64::from(step) + 1)
    }

    fn of(seed: u64, part: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&part.to_le_bytes());
        Self(StdRng::from_seed(bytes))
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n)
    }

    pub fn chance(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    pub fn rarely(&mut self, per_mille: u32) -> bool {
        self.0.random_range(0..1000) < per_mille
    }

    /// A random id, never 0.
    pub fn id(&mut self) -> u64 {
        self.0.random_range(1..u64::MAX)
    }
}
