//! Connections to pods, through the API server: what listens on the pod's loopback interface is reached as well.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use kube::api::Portforwarder;
use tidelog_api::EventLog;
use tidelog_build::{AUTHORITY_KEY, CERTIFICATE_KEY, Names, PRIVATE_KEY, Way, identity, way};
use tidelog_model::{LocationName, Role};
use tidelog_tls::{Pems, Tls};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::cluster::{AccessError, Cluster, Port, words};

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A stream through the API server; it lives as long as what forwards it.
struct Forwarded {
    stream: Pin<Box<dyn Duplex>>,
    _forwarder: Portforwarder,
}

impl Cluster {
    /// A channel to a port of a location's pod. That of operator and command line is TLS, unless the log has asked for none.
    pub async fn channel(
        &self,
        log: &EventLog,
        location: &str,
        port: Port,
        patience: Duration,
    ) -> Result<Channel, AccessError> {
        let pod = self.pod(log, location).await?;
        self.channel_to(log, (location, &pod), port, patience).await
    }

    /// The same to this pod of the location.
    pub async fn channel_to(
        &self,
        log: &EventLog,
        (location, pod): (&str, &str),
        port: Port,
        patience: Duration,
    ) -> Result<Channel, AccessError> {
        let tls = match (port, way(log)) {
            (Port::Api, _) | (Port::Admin, Way::Insecure) => None,
            (Port::Admin, _) => Some(self.administrator(log, location).await?),
        };
        let missing = |what: String| AccessError::Missing {
            cluster: self.name().to_owned(),
            what,
        };
        let to = LocationName::new(location).map_err(|error| missing(error.to_string()))?;
        let (cluster, name) = (self.clone(), pod.to_owned());
        let connector = service_fn(move |_: Uri| {
            let (cluster, tls, to, name) = (cluster.clone(), tls.clone(), to.clone(), name.clone());
            async move {
                let forwarded = cluster.forward(&name, port.number()).await?;
                let stream: Box<dyn Duplex> = match tls {
                    None => Box::new(forwarded),
                    Some(tls) => {
                        let stream = tls.connect(forwarded, &to).await;
                        Box::new(stream.map_err(io::Error::other)?)
                    }
                };
                Ok::<_, io::Error>(TokioIo::new(stream))
            }
        });
        let endpoint = Endpoint::from_static("http://pod").connect_timeout(patience);
        let connecting = endpoint.connect_with_connector(connector).await;
        connecting.map_err(|error| {
            missing(format!(
                "cannot connect to pod {}/{pod}: {}",
                self.namespace(),
                words(&error)
            ))
        })
    }

    /// What a pod answers to `GET`, in plain text and no more than so many bytes of it.
    pub async fn fetch(
        &self,
        pod: &str,
        (port, path): (u16, &str),
        (bytes_max, patience): (usize, Duration),
    ) -> Result<String, AccessError> {
        let missing = |why: String| AccessError::Missing {
            cluster: self.name().to_owned(),
            what: format!("pod {pod} does not answer {path} on port {port}: {why}"),
        };
        let answer = tokio::time::timeout(patience, async {
            let mut stream = self.forward(pod, port).await?;
            // Of HTTP/1.0, so that the answer ends with the connection and comes in one piece.
            let request = format!("GET {path} HTTP/1.0\r\nHost: {pod}\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            let bound = u64::try_from(bytes_max).unwrap_or(u64::MAX);
            stream.take(bound).read_to_end(&mut answer).await?;
            Ok::<_, io::Error>(answer)
        });
        let answer = answer
            .await
            .map_err(|_| missing(format!("nothing came within {patience:?}")))?
            .map_err(|error| missing(words(&error)))?;
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.lines().next().unwrap_or_default();
        if status.split(' ').nth(1) != Some("200") {
            return Err(missing(format!("it says {status:?}")));
        }
        Ok(body.to_owned())
    }

    async fn forward(&self, pod: &str, port: u16) -> io::Result<Forwarded> {
        let forwarder = self.pods().portforward(pod, &[port]).await;
        let mut forwarder = forwarder.map_err(io::Error::other)?;
        let stream = forwarder
            .take_stream(port)
            .ok_or_else(|| io::Error::other("the API server forwards nothing"))?;
        Ok(Forwarded {
            stream: Box::pin(stream),
            _forwarder: forwarder,
        })
    }

    /// The certificate of the location's administrators.
    async fn administrator(&self, log: &EventLog, location: &str) -> Result<Tls, AccessError> {
        let names = Names::new(log.metadata.name.as_deref().unwrap_or_default(), location);
        let missing = |what: String| AccessError::Missing {
            cluster: self.name().to_owned(),
            what,
        };
        let secret = names.admin();
        let texts = self
            .secret(&secret, &[CERTIFICATE_KEY, PRIVATE_KEY, AUTHORITY_KEY])
            .await?;
        let [certificate, key, authority] = &texts[..] else {
            return Err(missing(format!("Secret {secret} is incomplete")));
        };
        let owner = identity(log, location, Role::Admin);
        let (Some(owner), Ok(location)) = (owner, LocationName::new(location)) else {
            return Err(missing(format!("{location} is no name of a location")));
        };
        let pems = Pems {
            certificate: certificate.clone().into_bytes(),
            key: key.clone().into_bytes(),
            trust: BTreeMap::from([(location, authority.clone().into_bytes())]),
        };
        Tls::of(pems, owner).map_err(|error| missing(format!("Secret {secret}: {error}")))
    }
}

impl AsyncRead for Forwarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for Forwarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(cx)
    }
}
