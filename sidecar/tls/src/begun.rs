//! A connection on which the other side has spoken already.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// Bytes that are read to see whether the other side speaks: as many as it says at once.
const FIRST_BYTES_MAX: usize = 1024;

/// A connection whose first bytes were read ahead; who reads it gets them first.
#[derive(Debug)]
pub struct Begun<T> {
    first: Vec<u8>,
    given: usize,
    connection: T,
}

impl<T: AsyncRead + Unpin> Begun<T> {
    /// Waits until the other side speaks.
    pub(crate) async fn new(mut connection: T) -> io::Result<Self> {
        let mut first = vec![0; FIRST_BYTES_MAX];
        let length = connection.read(&mut first).await?;
        if length == 0 {
            let message = "the other side closed the connection without a word";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        first.truncate(length);
        Ok(Self {
            first,
            given: 0,
            connection,
        })
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Begun<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.given < self.first.len() {
            let length = buf.remaining().min(self.first.len() - self.given);
            let (from, to) = (self.given, self.given + length);
            buf.put_slice(&self.first[from..to]);
            self.given = to;
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut self.connection).poll_read(cx, buf))?;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Begun<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }
}
