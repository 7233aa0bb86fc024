//! Connections that write once for many answers.
//!
//! A commit answers all calls of its batch at once, each from a task of its own, and the first of them wakes the task that writes the
//! connection: without waiting it would make one system call, and one packet, for nearly every answer. Here the writing task lets the tasks that
//! are ready go first, once per flush, and then writes what all of them have left. Nothing is delayed by a clock: where nobody else is ready,
//! the task goes on at once.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

/// A connection whose writes gather the answers that are ready.
pub(crate) struct Gathered<T> {
    connection: T,
    /// The others had their turn since the last flush.
    waited: bool,
}

impl<T> Gathered<T> {
    pub(crate) fn new(connection: T) -> Self {
        Self {
            connection,
            waited: false,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Gathered<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(cx, buf)
    }
}

/// Says nothing of vectored writes: frames of up to 1 KiB are then copied beside each other instead of being written each on its own.
impl<T: AsyncWrite + Unpin> AsyncWrite for Gathered<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.waited {
            self.waited = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.connection).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.waited = false;
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}

impl<T: Connected> Connected for Gathered<T> {
    type ConnectInfo = T::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.connection.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::Relaxed;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A stream that counts what it is asked to write.
    struct Counting {
        written: tokio::io::DuplexStream,
        writes: usize,
    }

    impl AsyncWrite for Counting {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.writes += 1;
            Pin::new(&mut self.written).poll_write(cx, buf)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.written).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.written).poll_shutdown(cx)
        }
    }

    #[tokio::test]
    async fn those_who_are_ready_go_first_and_once_per_flush() {
        let (written, mut other) = tokio::io::duplex(64);
        let mut gathered = Gathered::new(Counting { written, writes: 0 });
        for _ in 0..2 {
            let others = Arc::new(AtomicBool::new(false));
            let seen = others.clone();
            tokio::spawn(async move { others.store(true, Relaxed) });
            let asked = gathered.connection.writes;
            gathered.write_all(b"answers").await.expect("open");
            assert!(seen.load(Relaxed));
            gathered.write_all(b" of one commit").await.expect("open");
            assert_eq!(gathered.connection.writes, asked + 2);
            gathered.flush().await.expect("open");
        }
        gathered.shutdown().await.expect("open");
        let mut told = String::new();
        other.read_to_string(&mut told).await.expect("text");
        assert_eq!(told, "answers of one commitanswers of one commit");
    }
}
