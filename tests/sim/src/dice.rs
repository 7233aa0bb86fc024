//! Every choice of a run, from one seed.
//!
//! The generator is `SplitMix64` (Steele, Lea and Flood, 2014), written out: a seed that is kept as a regression has to mean the same run
//! with every version of every library.

/// Chance, as the seed has it.
pub struct Dice(u64);

/// What is drawn once for a run, each from its own part of the seed, so that another draw in one part moves nothing in the others.
#[derive(Clone, Copy)]
pub enum Part {
    /// Who is linked to whom.
    Topology,
    /// Limits, habits and length.
    World,
    /// What one location is like.
    Site(usize),
    /// Which operation comes at a step, and where.
    Choice(u32),
    /// What happens within the operation of a step.
    Step(u32),
    /// The end, where everything works again.
    End,
}

impl Dice {
    pub fn new(seed: u64, part: Part) -> Self {
        let number = match part {
            Part::Topology => 1,
            Part::World => 2,
            Part::End => 3,
            Part::Site(site) => 16 + site as u64,
            Part::Choice(step) => 1 << 40 | u64::from(step),
            Part::Step(step) => 2 << 40 | u64::from(step),
        };
        // One round apart, so that neighbouring seeds and parts begin far from each other.
        Self(Self(seed ^ Self(number).next()).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    pub fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent as usize
    }

    pub fn rarely(&mut self, per_mille: u32) -> bool {
        self.below(1000) < per_mille as usize
    }

    /// A random id, never 0.
    pub fn id(&mut self) -> u64 {
        self.next().max(1)
    }
}
