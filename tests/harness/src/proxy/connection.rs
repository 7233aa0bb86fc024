//! One connection through a proxy.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::Rng as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{Blow, Flow, Rules, Shared, Treatment, UNLIMITED, lock};

/// Bytes taken in at once.
const PIECE: usize = 16 * 1024;
/// Pieces on their way in one direction: what is delayed is kept in memory.
const PIECES: usize = 256;

/// Which way bytes go.
#[derive(Clone, Copy)]
enum Way {
    Up,
    Down,
}

impl Way {
    fn of(self, rules: Rules) -> Treatment {
        match self {
            Self::Up => rules.up,
            Self::Down => rules.down,
        }
    }
}

/// Carries one connection until it ends or is cut.
pub(super) async fn run(
    mut client: TcpStream,
    shared: Arc<Shared>,
    rules: watch::Receiver<Rules>,
    mut blows: watch::Receiver<Blow>,
) {
    let before = blows.borrow_and_update().number;
    let upstream = *lock(&shared.upstream);
    let refuse = rules.borrow().refuse;
    let dialled = match upstream.filter(|_| !refuse) {
        Some(address) => TcpStream::connect(address).await.ok(),
        None => None,
    };
    let Some(mut server) = dialled else {
        count(&shared.counts.refused, 1);
        let _ = client.set_zero_linger();
        return;
    };
    count(&shared.counts.accepted, 1);
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let struck = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let up = pump(Way::Up, from_client, to_server, &shared, rules.clone());
        let down = pump(Way::Down, from_server, to_client, &shared, rules.clone());
        tokio::select! {
            ended = async { tokio::try_join!(up, down) } => {
                if ended.is_ok() {
                    return;
                }
                None
            }
            blow = blows.wait_for(|blow| blow.number != before) => blow.ok().map(|blow| *blow),
        }
    };
    // Closed with RST: nothing that is still on its way arrives.
    let _ = (client.set_zero_linger(), server.set_zero_linger());
    match struck {
        Some(blow) if blow.half => {
            count(&shared.counts.half_opened, 1);
            drop(server);
            abandoned(client, &shared, blow.number, blows).await;
        }
        Some(_) => count(&shared.counts.reset, 1),
        None => {}
    }
}

/// The side that is left speaks, and nobody is there; until it gives up, or is cut.
async fn abandoned(
    mut client: TcpStream,
    shared: &Shared,
    number: u64,
    mut blows: watch::Receiver<Blow>,
) {
    let mut bytes = vec![0; PIECE];
    let silence = async {
        while let Ok(read @ 1..) = client.read(&mut bytes).await {
            count(&shared.counts.dropped, read);
        }
    };
    tokio::select! {
        () = silence => {}
        _ = blows.wait_for(|blow| blow.number != number) => count(&shared.counts.reset, 1),
    }
}

/// Bytes of one direction. Ends well when the sender has said all, with an error when the connection is to be cut.
async fn pump(
    way: Way,
    from: ReadHalf<'_>,
    to: WriteHalf<'_>,
    shared: &Shared,
    rules: watch::Receiver<Rules>,
) -> io::Result<()> {
    let (pieces, queue) = mpsc::channel(PIECES);
    tokio::try_join!(
        take_in(way, from, pieces, shared, rules),
        give_out(queue, to, shared)
    )
    .map(drop)
}

async fn take_in(
    way: Way,
    mut from: ReadHalf<'_>,
    pieces: mpsc::Sender<(Instant, Vec<u8>)>,
    shared: &Shared,
    mut rules: watch::Receiver<Rules>,
) -> io::Result<()> {
    let mut due = Instant::now();
    let mut holed = false;
    let mut since_corrupted = 0_u64;
    loop {
        let treatment = way.of(*rules.borrow_and_update());
        if holed && treatment.flow != Flow::Drop {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if treatment.flow == Flow::Stall {
            from.readable().await?;
            count(&shared.counts.stalled, 1);
            changed(&mut rules).await?;
            continue;
        }
        let room = match treatment.bytes_per_second {
            0 => PIECE,
            // Ten pieces in a second.
            rate => (rate as usize / 10).clamp(1, PIECE),
        };
        let mut bytes = vec![0; room];
        let read = tokio::select! {
            read = from.read(&mut bytes) => read?,
            ended = changed(&mut rules) => { ended?; continue }
        };
        if read == 0 {
            return Ok(());
        }
        bytes.truncate(read);
        if treatment.flow == Flow::Drop {
            holed = true;
            count(&shared.counts.dropped, read);
            continue;
        }
        corrupt(&mut bytes, treatment, &mut since_corrupted, shared);
        let late = treatment.delay + drawn(treatment.jitter);
        if !late.is_zero() {
            count(&shared.counts.delayed, read);
        }
        // Later pieces never overtake earlier ones.
        due = due.max(Instant::now() + late);
        if pieces.send((due, bytes)).await.is_err() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if treatment.bytes_per_second > 0 {
            count(&shared.counts.throttled, read);
            let pause = read as f64 / f64::from(treatment.bytes_per_second);
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs_f64(pause)) => {}
                ended = changed(&mut rules) => ended?,
            }
        }
    }
}

async fn give_out(
    mut queue: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut to: WriteHalf<'_>,
    shared: &Shared,
) -> io::Result<()> {
    while let Some((due, bytes)) = queue.recv().await {
        tokio::time::sleep_until(due).await;
        let allowed = spend(shared, bytes.len());
        to.write_all(&bytes[..allowed]).await?;
        count(&shared.counts.passed, allowed);
        if allowed < bytes.len() {
            count(&shared.counts.cut, 1);
            return Err(ErrorKind::ConnectionReset.into());
        }
    }
    to.shutdown().await
}

/// How many of these bytes may pass before the connection is cut. One cut is one cut: afterwards all may pass.
fn spend(shared: &Shared, bytes: usize) -> usize {
    let wanted = i64::try_from(bytes).unwrap_or(UNLIMITED);
    let mut allowed = bytes;
    let _ = shared
        .budget
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            allowed = bytes;
            match left {
                UNLIMITED => None,
                left if left >= wanted => Some(left - wanted),
                left => {
                    allowed = usize::try_from(left).unwrap_or(0);
                    Some(UNLIMITED)
                }
            }
        });
    allowed
}

fn corrupt(bytes: &mut [u8], treatment: Treatment, since: &mut u64, shared: &Shared) {
    let every = u64::from(treatment.corrupt_one_in);
    if every == 0 {
        return;
    }
    *since += bytes.len() as u64;
    while *since >= every {
        *since -= every;
        let at = rand::rng().random_range(0..bytes.len());
        bytes[at] ^= 1 << rand::rng().random_range(0..8);
        count(&shared.counts.corrupted, 1);
    }
}

fn drawn(most: Duration) -> Duration {
    if most.is_zero() {
        return most;
    }
    most.mul_f64(rand::rng().random_range(0.0..1.0))
}

/// The rules changed; an error when nobody can change them any more.
async fn changed(rules: &mut watch::Receiver<Rules>) -> io::Result<()> {
    let changed = rules.changed().await;
    changed.map_err(|_| ErrorKind::ConnectionReset.into())
}

fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}
