//! How each location is tuned: bounds so small that a short run meets them, and pauses so short that it does not wait for them.

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use tidelog_config::{ByteSize, Config, Span};

/// Draws the tuning of one location.
pub fn draw(config: &mut Config, filtered: bool, dice: &mut StdRng) {
    let writer = &mut config.writer;
    writer.lease = Span::millis(dice.random_range(1_000..3_000));
    writer.resolve = Span::millis(one_of(dice, [500, 3_000]));
    // Long enough for every peer to be asked, where something may be lost; where filters keep peers from giving it all back, it runs out.
    writer.recovering = Span::secs(if filtered { 2 } else { 20 });
    writer.batch_events = one_of(dice, [2, 10, 1_000]);
    writer.queue_requests = one_of(dice, [3, 20, 1_000]);
    let reader = &mut config.reader;
    reader.tail_cache_bytes = ByteSize::bytes(one_of(dice, [0, 3_000, 20_000, 1 << 24]));
    reader.page_events = one_of(dice, [2, 10, 500]);
    reader.page_scan = one_of(dice, [3, 100, 16_384]);
    reader.heartbeat = Span::millis(dice.random_range(500..3_000));
    let replication = &mut config.replication;
    replication.frame_events = one_of(dice, [1, 4, 1_000]);
    replication.scan_rows = one_of(dice, [3, 50, 4_096]);
    replication.window_bytes = ByteSize::kib(one_of(dice, [64, 8_192]));
    replication.frame_bytes = ByteSize::kib(one_of(dice, [4, 64]));
    replication.heartbeat = Span::millis(dice.random_range(200..1_000));
    replication.connect = Span::millis(dice.random_range(500..2_000));
    replication.backoff_min = Span::millis(dice.random_range(10..200));
    replication.backoff_max = Span::millis(dice.random_range(300..2_000));
}

fn one_of<T: Copy + Default, const N: usize>(dice: &mut StdRng, choices: [T; N]) -> T {
    choices.choose(dice).copied().unwrap_or_default()
}
