//! Loads that take turns: a virtual machine gives a third more or less within minutes, so what is to be compared runs in short slices, one after
//! the other, over and over.

use std::time::Duration;

use anyhow::Result;

/// How long one load runs before the next one has its turn.
const SLICE: Duration = Duration::from_millis(500);

/// Something that can be put under load again and again.
#[tonic::async_trait]
pub trait Load: Send {
    /// Runs for about so long and until everything is acknowledged.
    async fn run(&mut self, span: Duration) -> Result<Sample>;

    /// After the last turn: everything that was acknowledged is there.
    async fn check(&mut self) -> Result<()> {
        Ok(())
    }
}

/// What one turn brought.
#[derive(Clone, Copy, Default)]
pub struct Sample {
    pub events: u64,
    pub seconds: f64,
}

impl Sample {
    pub fn rate(self) -> f64 {
        self.events as f64 / self.seconds
    }
}

/// Events per second of each load, in turns until each has run for the span. A first turn of each is not counted: it opens connections and
/// prepares statements.
pub async fn in_turns(span: Duration, mut loads: Vec<Box<dyn Load + '_>>) -> Result<Vec<f64>> {
    for load in &mut loads {
        load.run(SLICE).await?;
    }
    let mut totals = vec![Sample::default(); loads.len()];
    let turns = span.as_millis().div_ceil(SLICE.as_millis()).max(1);
    for _ in 0..turns {
        for (load, total) in loads.iter_mut().zip(&mut totals) {
            let sample = load.run(SLICE).await?;
            total.events += sample.events;
            total.seconds += sample.seconds;
        }
    }
    for load in &mut loads {
        load.check().await?;
    }
    Ok(totals.into_iter().map(Sample::rate).collect())
}
