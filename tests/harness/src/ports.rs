//! Blocks of ports that no other test takes at the same time.

use std::fs::File;
use std::net::TcpListener;

use anyhow::{Context as _, Result, bail};
use rand::Rng as _;

/// Below the range from which Linux picks ports for outgoing connections, above what servers like to use.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;
const BLOCK: u16 = 10;

/// Ports that are free and, among tests on this machine, ours while this lives.
#[derive(Debug)]
pub struct Ports {
    /// The first one.
    pub first: u16,
    // Another test process sees that the block is taken even while nothing listens there yet.
    _locks: Vec<File>,
}

impl Ports {
    /// Takes `blocks` blocks of ten ports, next to each other.
    pub fn take(blocks: u16) -> Result<Self> {
        let directory = std::env::temp_dir().join("tidelog-test-ports");
        std::fs::create_dir_all(&directory).context("create a directory for locks of ports")?;
        let span = blocks * BLOCK;
        for _ in 0..200 {
            let first = FIRST + rand::rng().random_range(0..(LAST - FIRST - span) / BLOCK) * BLOCK;
            let locks: Option<Vec<File>> = (0..blocks)
                .map(|block| {
                    let path = directory.join((first + block * BLOCK).to_string());
                    let file = File::options().create(true).append(true).open(path).ok()?;
                    file.try_lock().ok()?;
                    Some(file)
                })
                .collect();
            let Some(locks) = locks else { continue };
            let free =
                (first..first + span).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
            if free {
                return Ok(Self {
                    first,
                    _locks: locks,
                });
            }
        }
        bail!("no {span} ports in a row are free between {FIRST} and {LAST}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_takers_never_share_a_port() {
        let taken: Vec<Ports> = (0..20).map(|_| Ports::take(3).unwrap()).collect();
        for (index, one) in taken.iter().enumerate() {
            for other in &taken[index + 1..] {
                assert!(one.first.abs_diff(other.first) >= 30);
            }
        }
    }
}
