//! One HTTP/1.1 exchange over a connection of its own, bounded in time and size.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::{NoAnswer, ProbeError};

/// Where a request goes, and how.
pub(crate) struct Peer {
    address: SocketAddr,
    host: HeaderValue,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// What came back.
pub(crate) struct Fetched {
    pub(crate) code: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) ending: Ending,
}

/// Why a body ends where it does. A code that came counts, whatever befell the body behind it.
#[derive(Debug, PartialEq)]
pub(crate) enum Ending {
    /// It was read to its end.
    Whole,
    /// It is longer than was asked for.
    TooLong,
    /// The rest did not come.
    Missing(NoAnswer),
}

impl Peer {
    /// A peer at an address, named by its address unless it has a name; with TLS where there is a
    /// configuration for it.
    pub(crate) fn new(
        address: SocketAddr,
        name: Option<&str>,
        tls: Option<ClientConfig>,
    ) -> Result<Self, ProbeError> {
        let wrong = |_| ProbeError::Order("expected server_name to be a DNS name or an IP".into());
        let name = name.map_or_else(|| address.ip().to_string(), str::to_owned);
        let server = ServerName::try_from(name.clone()).map_err(|_| wrong(()))?;
        let host = if name.contains(':') { format!("[{name}]") } else { name };
        let host = HeaderValue::try_from(host).map_err(|_| wrong(()))?;
        let tls = tls.map(|config| (TlsConnector::from(Arc::new(config)), server));
        Ok(Peer { address, host, tls })
    }

    /// Sends the request and reads at most `limit` bytes of the body, all within `time`.
    pub(crate) async fn fetch(
        &self,
        mut request: Request<Full<Bytes>>,
        limit: usize,
        time: Duration,
    ) -> Result<Fetched, NoAnswer> {
        let deadline = Instant::now() + time;
        let late = |_| NoAnswer::timed_out(time);
        request.headers_mut().entry(HOST).or_insert_with(|| self.host.clone());
        // Dropped at the end of this exchange, and the connection with it.
        let mut driver = JoinSet::new();
        let sent = timeout_at(deadline, self.send(request, &mut driver));
        let mut response = sent.await.map_err(late)??;
        let mut body = Vec::new();
        let ending = match timeout_at(deadline, read(&mut response, limit, &mut body)).await {
            Ok(Ok(ending)) => ending,
            Ok(Err(error)) => Ending::Missing(error.into()),
            Err(late_body) => Ending::Missing(late(late_body)),
        };
        let content_type = response.headers().get(CONTENT_TYPE);
        Ok(Fetched {
            code: response.status().as_u16(),
            content_type: content_type.map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()),
            body,
            ending,
        })
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
        driver: &mut JoinSet<hyper::Result<()>>,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let connection = TcpStream::connect(self.address).await?;
        match &self.tls {
            Some((tls, server)) => {
                let connection = tls.connect(server.clone(), connection).await?;
                exchange(connection, request, driver).await
            }
            None => exchange(connection, request, driver).await,
        }
    }
}

async fn exchange(
    connection: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
    driver: &mut JoinSet<hyper::Result<()>>,
) -> Result<Response<Incoming>, NoAnswer> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(connection)).await?;
    driver.spawn(connection);
    Ok(sender.send_request(request).await?)
}

async fn read(
    response: &mut Response<Incoming>,
    limit: usize,
    body: &mut Vec<u8>,
) -> hyper::Result<Ending> {
    while let Some(frame) = response.body_mut().frame().await {
        let frame = frame?;
        let data = frame.data_ref().map_or(&[][..], |data| data);
        let room = limit - body.len();
        body.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return Ok(Ending::TooLong);
        }
    }
    Ok(Ending::Whole)
}
