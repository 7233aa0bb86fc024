//! A caller of gRPC as bare as it can be: on a small machine whatever the load costs is taken from what it measures, so the request is encoded by
//! hand and travels over HTTP/2 without the layers of a client library, as load generators such as h2load do it.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context as Turn, Poll};

use anyhow::{Context as _, Result, bail};
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::{Connection, SendRequest};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tonic::codegen::http::{HeaderMap, HeaderValue, Method, Request, Uri, header};

/// A byte that says that the message is not compressed, and its length.
const PREFIX_BYTES: usize = 5;
const WINDOW_BYTES: u32 = 1 << 20;

/// One method over one connection; clones share the connection.
#[derive(Clone)]
pub struct Caller {
    requests: SendRequest<Bytes>,
    method: Uri,
}

impl Caller {
    pub async fn by_tcp(port: u16, method: &str) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Self::over(stream, &format!("http://127.0.0.1:{port}{method}")).await
    }

    pub async fn by_socket(socket: &Path, method: &str) -> Result<Self> {
        let stream = UnixStream::connect(socket).await?;
        Self::over(stream, &format!("http://localhost{method}")).await
    }

    async fn over<T>(stream: T, method: &str) -> Result<Self>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = h2::client::Builder::new();
        builder
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(4 * WINDOW_BYTES);
        let (requests, connection): (_, Connection<Joined<T>, Bytes>) =
            builder.handshake(Joined(stream)).await?;
        // Ends with its last caller; what went wrong is told to them.
        tokio::spawn(connection);
        let method = method.parse()?;
        Ok(Self { requests, method })
    }

    /// Sends one request and waits for its answer, which is not looked at beyond its status.
    pub async fn call(&mut self, message: &impl Message) -> Result<()> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.method.clone();
        let grpc = HeaderValue::from_static("application/grpc");
        let trailers = HeaderValue::from_static("trailers");
        request.headers_mut().insert(header::CONTENT_TYPE, grpc);
        request.headers_mut().insert(header::TE, trailers);

        let mut requests = self.requests.clone().ready().await?;
        let (answer, mut body) = requests.send_request(request, false)?;
        body.send_data(framed(message)?, true)?;

        let mut answer = answer.await?;
        if let Some(status) = status(answer.headers()) {
            return judge(status, answer.headers());
        }
        let body = answer.body_mut();
        while let Some(piece) = body.data().await {
            body.flow_control().release_capacity(piece?.len())?;
        }
        let trailers = body.trailers().await?.context("an answer without status")?;
        let status = status(&trailers).context("trailers without status")?;
        judge(status, &trailers)
    }
}

/// Says nothing of vectored writes: requests that are ready at the same time are then joined in one write instead of one each.
struct Joined<T>(T);

impl<T: AsyncRead + Unpin> AsyncRead for Joined<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Turn<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Joined<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Turn<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Turn<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Turn<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

fn framed(message: &impl Message) -> Result<Bytes> {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length)?);
    message.encode(&mut bytes)?;
    Ok(bytes.freeze())
}

fn status(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get("grpc-status")
}

fn judge(status: &HeaderValue, headers: &HeaderMap) -> Result<()> {
    if status.as_bytes() == b"0" {
        return Ok(());
    }
    let message = headers.get("grpc-message");
    bail!("answered with status {status:?}: {message:?}");
}
