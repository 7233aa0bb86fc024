//! Tokio as the engine uses it, on the primitives of shuttle: every send, receive and look at a shared value is a place where another task may
//! go on. Time does not pass by itself here: a sleep is over when others have had their turn, and what only repeats comes a few times.

pub use shuttle_tokio::{pin, select, spawn};

pub mod sync {
    pub use shuttle_tokio::sync::{Mutex, oneshot, watch};

    pub mod mpsc {
        pub use shuttle_tokio::sync::mpsc::{Sender, error};

        /// The receiver of shuttle, with the one call that it lacks.
        pub struct Receiver<T>(shuttle_tokio::sync::mpsc::Receiver<T>);

        pub fn channel<T>(bound: usize) -> (Sender<T>, Receiver<T>) {
            let (sender, receiver) = shuttle_tokio::sync::mpsc::channel(bound);
            (sender, Receiver(receiver))
        }

        impl<T> Receiver<T> {
            pub async fn recv(&mut self) -> Option<T> {
                self.0.recv().await
            }

            pub fn try_recv(&mut self) -> Result<T, error::TryRecvError> {
                self.0.try_recv()
            }

            pub async fn recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
                let Some(first) = self.0.recv().await else {
                    return 0;
                };
                buffer.push(first);
                let mut count = 1;
                while count < limit
                    && let Ok(next) = self.0.try_recv()
                {
                    buffer.push(next);
                    count += 1;
                }
                count
            }

            pub fn close(&mut self) {
                self.0.close();
            }
        }
    }
}

pub mod task {
    pub use shuttle_tokio::task::yield_now;

    /// Nothing waits for its turn for long here.
    pub fn consume_budget() -> std::future::Ready<()> {
        std::future::ready(())
    }
}

pub mod time {
    use std::future::pending;
    use std::time::Duration;

    pub use tokio::time::{Instant, MissedTickBehavior};

    /// Ticks of one interval: leases are renewed, and no schedule is endless.
    const TICKS: u32 = 2;

    pub async fn sleep(_duration: Duration) {
        shuttle::future::yield_now().await;
    }

    /// Only heartbeats wait for an instant: nothing depends on them.
    pub async fn sleep_until(_deadline: Instant) {
        pending::<()>().await;
    }

    /// Nothing takes too long.
    #[derive(Debug)]
    pub struct Elapsed;

    pub async fn timeout<F: Future>(_duration: Duration, future: F) -> Result<F::Output, Elapsed> {
        Ok(future.await)
    }

    pub async fn timeout_at<F: Future>(
        _deadline: Instant,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        Ok(future.await)
    }

    pub struct Interval(u32);

    pub fn interval(_period: Duration) -> Interval {
        Interval(TICKS)
    }

    pub fn interval_at(_start: Instant, _period: Duration) -> Interval {
        Interval(TICKS)
    }

    #[expect(clippy::unused_self, reason = "the calls are those of tokio")]
    impl Interval {
        pub async fn tick(&mut self) -> Instant {
            match self.0.checked_sub(1) {
                Some(left) => {
                    shuttle::future::yield_now().await;
                    self.0 = left;
                    Instant::now()
                }
                None => pending().await,
            }
        }

        pub fn set_missed_tick_behavior(&mut self, _behavior: MissedTickBehavior) {}

        pub fn reset(&mut self) {}
    }
}
