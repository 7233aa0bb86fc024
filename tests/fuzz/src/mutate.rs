//! Makes inputs out of inputs: what a fuzzer does, without coverage.

use rand::Rng;
use rand::rngs::StdRng;

/// Bytes of an input that grows by mutation.
const BYTES_MAX: usize = 64 * 1024;
/// Numbers at which something tends to happen.
const NUMBERS: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    (1 << 53) + 1,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// Changes an input in one to eight places.
pub fn mutate(input: &mut Vec<u8>, pool: &[Vec<u8>], words: &[&str], dice: &mut StdRng) {
    for _ in 0..1 << dice.random_range(0..4) {
        once(input, pool, words, dice);
    }
    input.truncate(BYTES_MAX);
}

/// Bytes without any sense.
pub fn noise(dice: &mut StdRng) -> Vec<u8> {
    let length = match dice.random_range(0..10) {
        0 => dice.random_range(0..4096),
        _ => dice.random_range(0..64),
    };
    (0..length).map(|_| dice.random()).collect()
}

fn once(input: &mut Vec<u8>, pool: &[Vec<u8>], words: &[&str], dice: &mut StdRng) {
    let place = dice.random_range(0..=input.len());
    match dice.random_range(0..9) {
        0 | 1 if place < input.len() => input[place] ^= 1 << dice.random_range(0..8),
        2 if place < input.len() => input[place] = dice.random(),
        3 => {
            let end = dice.random_range(place..=input.len().min(place + 32));
            input.drain(place..end);
        }
        4 => {
            let number = NUMBERS[dice.random_range(0..NUMBERS.len())];
            let bytes = if dice.random() {
                number.to_be_bytes()
            } else {
                number.to_le_bytes()
            };
            let width = 1 << dice.random_range(0..4);
            let end = (place + width).min(input.len());
            let end = if dice.random() { end } else { place };
            input.splice(place..end, bytes.into_iter().take(width));
        }
        5 => {
            // A piece of itself once more: repeated fields, deep nesting.
            let end = dice.random_range(place..=input.len().min(place + 64));
            let piece = input[place..end].repeat(1 << dice.random_range(0..6));
            input.splice(place..place, piece);
        }
        6 if !words.is_empty() => {
            let word = words[dice.random_range(0..words.len())];
            let end = if dice.random() {
                (place + word.len()).min(input.len())
            } else {
                place
            };
            input.splice(place..end, word.bytes());
        }
        7 if !pool.is_empty() => {
            let other = &pool[dice.random_range(0..pool.len())];
            let from = dice.random_range(0..=other.len());
            let to = dice.random_range(from..=other.len().min(from + 128));
            let end = dice.random_range(place..=input.len().min(place + 128));
            input.splice(place..end, other[from..to].iter().copied());
        }
        _ => input.insert(place, dice.random()),
    }
}
