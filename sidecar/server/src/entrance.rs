//! Where connections come in, at a process that may be a standby: what comes in while another one writes is led there, byte for byte.
//!
//! A connection belongs to one of two times: this process is the standby of a certain writer, or it is not. When that changes, what came in before ends, so that
//! whoever connects again finds the writer. Bytes are not looked at: what comes in with a certificate shows it to the writer itself.

mod lead;
mod socket;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tidelog_config::Endpoint;
use tidelog_engine::{LogHandle, LogPhase};
use tidelog_replication::{Carrier, Incoming};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use self::lead::lead_to;
pub(crate) use self::lead::{Lead, join, reach};
pub(crate) use self::socket::{Listener, Socket, Timed};

/// Connections of one port that are led elsewhere at once; more are closed, as when two processes took each other for the writer.
const LED_MAX: usize = 1024;
/// Between a change and the end of the connections of before: their last answers leave.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Between two looks of a standby whether the writer can be reached.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Who writes, as the one who stands by knows it: its host.
type Writer = Option<String>;

/// The times of a process: each ends with a change of the writer that it stands by for.
#[derive(Clone)]
pub(crate) struct Times {
    now: watch::Receiver<(Writer, CancellationToken)>,
    reached: watch::Receiver<bool>,
}

impl Times {
    /// Follows the log. `own` is where this process itself can be reached.
    pub(crate) fn follow(log: &LogHandle, own: &Endpoint) -> Self {
        let mut status = log.status();
        let (own_host, port) = (own.host().to_owned(), own.port());
        let first = (
            writer(&status.borrow().phase, &own_host),
            CancellationToken::new(),
        );
        let (times, now) = watch::channel(first);
        let (found, reached) = watch::channel(false);
        tokio::spawn(look(now.clone(), port, found));
        tokio::spawn(async move {
            while status.changed().await.is_ok() {
                let next = writer(&status.borrow_and_update().phase, &own_host);
                if times.borrow().0 == next {
                    continue;
                }
                let (_, ended) = times.send_replace((next, CancellationToken::new()));
                tokio::spawn(async move {
                    tokio::time::sleep(LAST_WORDS).await;
                    ended.cancel();
                });
            }
        });
        Self { now, reached }
    }

    /// Whether there is another writer, and it can be reached.
    pub(crate) fn reached(&self) -> watch::Receiver<bool> {
        self.reached.clone()
    }
}

/// Looks whether the writer can be reached, as long as there is another one.
async fn look(
    mut now: watch::Receiver<(Writer, CancellationToken)>,
    port: u16,
    found: watch::Sender<bool>,
) {
    // One that fails says little.
    let mut failed_before = true;
    loop {
        let writer = now.borrow_and_update().0.clone();
        let is_there = match writer {
            Some(host) => {
                let failed = reach(&format!("{host}:{port}"), None).await.is_err();
                let failed_twice = failed && failed_before;
                failed_before = failed;
                !failed_twice
            }
            None => {
                failed_before = true;
                false
            }
        };
        found.send_if_modified(|before| std::mem::replace(before, is_there) != is_there);
        let changed = tokio::time::timeout(LOOK_EVERY, now.changed()).await;
        if matches!(changed, Ok(Err(_))) {
            return;
        }
    }
}

/// Where the writer is. A lease that names this process itself is that of one that was here before: nobody is there.
fn writer(phase: &LogPhase, own: &str) -> Writer {
    let LogPhase::Standby { address, .. } = phase else {
        return None;
    };
    let (host, _) = address.rsplit_once(':')?;
    let is_other = !host.is_empty() && !is_same(host, own);
    is_other.then(|| host.to_owned())
}

/// Whether two hosts are written otherwise at most: an address may stand in brackets, or be one of IPv4 within IPv6.
fn is_same(one: &str, other: &str) -> bool {
    match (address(one), address(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one.eq_ignore_ascii_case(other),
    }
}

fn address(host: &str) -> Option<IpAddr> {
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    Some(plain.parse::<IpAddr>().ok()?.to_canonical())
}

/// A listener, and what becomes of what comes in while another process writes.
pub(crate) struct Entrance {
    what: &'static str,
    listener: Listener,
    led: Option<(Times, Lead, Arc<Semaphore>)>,
}

impl Entrance {
    /// Where everything is served here.
    pub(crate) fn here(what: &'static str, listener: Listener) -> Self {
        Self {
            what,
            listener,
            led: None,
        }
    }

    /// Where others are led to the writer while there is another one.
    pub(crate) fn led(what: &'static str, listener: Listener, times: Times, lead: Lead) -> Self {
        Self {
            what,
            listener,
            led: Some((times, lead, Arc::new(Semaphore::new(LED_MAX)))),
        }
    }

    /// The next connection that is served here. Cancel safe.
    pub(crate) async fn accept(&self) -> io::Result<(Timed<Socket>, Option<SocketAddr>)> {
        loop {
            let (socket, from) = self.listener.accept().await?;
            let Some((times, lead, room)) = &self.led else {
                return Ok((Timed::forever(socket), from));
            };
            let (writer, ended) = times.now.borrow().clone();
            let Some(writer) = writer else {
                return Ok((Timed::until(socket, ended), from));
            };
            // Who takes us for the writer while we take it for that is not led in a circle.
            let comes_from = from.map(|from| from.ip().to_canonical());
            if comes_from.is_some() && comes_from == address(&writer) {
                tracing::debug!(
                    port = self.what,
                    writer,
                    "the writer itself comes here; closed"
                );
                continue;
            }
            let Ok(place) = room.clone().try_acquire_owned() else {
                tracing::warn!(
                    port = self.what,
                    "more than {LED_MAX} connections for the writer; this one is closed"
                );
                continue;
            };
            let (what, lead) = (self.what, lead.clone());
            tokio::spawn(async move {
                tokio::select! {
                    outcome = lead_to(socket, &writer, lead) => if let Err(error) = outcome {
                        tracing::debug!(port = what, writer, %error, "not led to the writer");
                    },
                    () = ended.cancelled() => {}
                }
                drop(place);
            });
        }
    }

    /// All of them, for a server in plain text.
    pub(crate) fn incoming(self) -> Incoming {
        let next = futures_util::stream::unfold(self, |entrance| async {
            let accepted = entrance.accept().await;
            let carrier = accepted.map(|(socket, _)| Carrier::new(socket));
            Some((carrier, entrance))
        });
        Box::pin(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_may_be_written_in_several_ways() {
        for (one, other) in [
            ("10.0.0.1", "10.0.0.1"),
            ("[fd00::1]", "fd00::1"),
            ("[::ffff:10.0.0.1]", "10.0.0.1"),
            ("Pod-0.log", "pod-0.log"),
        ] {
            assert!(is_same(one, other), "{one} {other}");
        }
        assert!(!is_same("10.0.0.1", "10.0.0.2"));
        assert!(!is_same("10.0.0.1", "pod-0"));
    }

    #[test]
    fn nobody_stands_by_for_itself() {
        let phase = |address: &str| LogPhase::Standby {
            owner: "pod".to_owned(),
            address: address.to_owned(),
        };
        assert_eq!(writer(&phase("10.0.0.1:7445"), "10.0.0.1"), None);
        let other = writer(&phase("[fd00::1]:7445"), "10.0.0.1");
        assert_eq!(other, Some("[fd00::1]".to_owned()));
        assert_eq!(writer(&phase(":7445"), "10.0.0.1"), None);
        assert_eq!(writer(&LogPhase::Serving, "10.0.0.1"), None);
    }
}
