//! Any HTTP request, ordered on standard input because it may carry a token or a key.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};

use super::http::{Ending, Peer};
use super::{NoAnswer, ProbeError};
use crate::pod::tls::client_config;

/// How much of a body is kept.
const BODY_LIMIT: usize = 512;

/// The request to send.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestOrder {
    /// With or without TLS.
    pub scheme: Scheme,
    /// IP address and port.
    pub address: SocketAddr,
    /// The name that the server must prove, and the Host header; without it the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The HTTP method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Headers, beside Host.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// PEM certificates that vouch for the server; without them any server is believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The PEM certificate chain to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<String>,
    /// Its PEM private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key: Option<String>,
    /// How long the whole exchange may take.
    pub timeout_ms: u32,
}

/// With or without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Without.
    Http,
    /// With.
    Https,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestAnswer {
    /// The HTTP status code. 101 is an answer like any other: the connection is then closed.
    pub code: u16,
    /// The Content-Type header.
    pub content_type: Option<String>,
    /// The body's first 512 bytes.
    pub body: String,
    /// Whether that is the whole body. When it is not, the body was longer, or its rest did not come
    /// in time.
    pub whole: bool,
}

pub(super) async fn request(
    order: &RequestOrder,
) -> Result<Result<RequestAnswer, NoAnswer>, ProbeError> {
    let (peer, request) = (order.peer()?, order.request()?);
    let time = Duration::from_millis(order.timeout_ms.into());
    let fetched = peer.fetch(request, BODY_LIMIT, time).await;
    Ok(fetched.map(|fetched| RequestAnswer {
        code: fetched.code,
        content_type: fetched.content_type,
        body: String::from_utf8_lossy(&fetched.body).into_owned(),
        whole: fetched.ending == Ending::Whole,
    }))
}

impl RequestOrder {
    fn peer(&self) -> Result<Peer, ProbeError> {
        let tls = match self.scheme {
            Scheme::Http => None,
            Scheme::Https => Some(client_config(self.ca.as_deref(), self.identity()?)?),
        };
        Peer::new(self.address, self.server_name.as_deref(), tls)
    }

    fn identity(&self) -> Result<Option<(&str, &str)>, ProbeError> {
        match (&self.client_cert, &self.client_key) {
            (Some(chain), Some(key)) => Ok(Some((chain, key))),
            (None, None) => Ok(None),
            _ => Err(ProbeError::Order("expected client_cert and client_key together".into())),
        }
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, ProbeError> {
        if !self.path.starts_with('/') {
            return Err(ProbeError::Order("expected path to start with /".into()));
        }
        let mut request = Request::builder().method(self.method.as_str()).uri(&self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let body = Full::from(self.body.clone().unwrap_or_default());
        request.body(body).map_err(|error| ProbeError::Order(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::model::SilenceKind;

    /// A server that reads the request's head, sends these bytes and then closes, or waits.
    async fn server(answer: Vec<u8>, closes: bool) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            let mut head = [0; 4096];
            assert_ne!(connection.read(&mut head).await.expect("a request"), 0);
            connection.write_all(&answer).await.expect("sent");
            if !closes {
                std::future::pending::<()>().await;
            }
        });
        address
    }

    fn order(address: SocketAddr, more: Value) -> RequestOrder {
        let mut order = json!({
            "scheme": "http", "address": address, "method": "GET", "path": "/pods?limit=1",
            "timeout_ms": 2000,
        });
        let fields = order.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        serde_json::from_value(order).expect("an order")
    }

    async fn answer(bytes: &str, closes: bool) -> Result<RequestAnswer, NoAnswer> {
        let address = server(bytes.as_bytes().to_vec(), closes).await;
        let order = order(address, json!({"timeout_ms": 300}));
        request(&order).await.expect("an order that is understood")
    }

    #[tokio::test]
    async fn an_answer_is_given_with_its_code_and_body() {
        let head = "HTTP/1.1 401 Unauthorized\r\ncontent-type: text/plain\r\n";
        let given = answer(&format!("{head}content-length: 12\r\n\r\nUnauthorized"), true).await;
        let expected = RequestAnswer {
            code: 401,
            content_type: Some("text/plain".to_owned()),
            body: "Unauthorized".to_owned(),
            whole: true,
        };
        assert_eq!(given, Ok(expected));
    }

    #[tokio::test]
    async fn a_code_counts_whatever_befalls_the_body() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nstart";
        for closes in [true, false] {
            let given = answer(head, closes).await.expect("an answer");
            assert_eq!((given.code, given.body.as_str(), given.whole), (200, "start", false));
        }
        let long = format!("{head}{}", "x".repeat(99_995));
        let given = answer(&long, true).await.expect("an answer");
        assert_eq!((given.code, given.body.len(), given.whole), (200, BODY_LIMIT, false));
        let upgraded = "HTTP/1.1 101 Switching Protocols\r\nupgrade: SPDY/3.1\r\n\
                        connection: upgrade\r\n\r\n";
        assert_eq!(answer(upgraded, false).await.expect("an answer").code, 101);
    }

    #[tokio::test]
    async fn each_silence_is_told_from_the_others() {
        let closed = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = closed.local_addr().expect("an address");
        drop(closed);
        let refused = request(&order(address, json!({}))).await.expect("understood");
        assert_eq!(refused.expect_err("silence").silence, SilenceKind::Refused);
        for (bytes, closes, silence) in [
            ("", true, SilenceKind::Cut),
            ("HTTP/1.1 200", true, SilenceKind::Cut),
            ("", false, SilenceKind::TimedOut),
            ("SSH-2.0-OpenSSH_9.2\r\n\r\n", false, SilenceKind::Broken),
        ] {
            let given = answer(bytes, closes).await.expect_err("silence");
            assert_eq!(given.silence, silence, "{bytes:?} {given:?}");
        }
    }

    #[tokio::test]
    async fn a_failed_handshake_is_broken() {
        let address = server(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), false).await;
        let order = order(address, json!({"scheme": "https"}));
        let silence = request(&order).await.expect("understood").expect_err("silence");
        assert_eq!(silence.silence, SilenceKind::Broken);
    }

    #[tokio::test]
    async fn an_order_that_cannot_be_sent_is_an_error() {
        let address = "127.0.0.1:1".parse().expect("an address");
        for more in [
            json!({"path": "pods"}),
            json!({"path": "/\r\nx: y"}),
            json!({"method": "GET /"}),
            json!({"headers": {"a b": "c"}}),
            json!({"headers": {"a": "b\r\nc: d"}}),
            json!({"server_name": "a b"}),
            json!({"scheme": "https", "ca": "none"}),
            json!({"scheme": "https", "client_cert": "none"}),
        ] {
            let error = request(&order(address, more.clone())).await.expect_err("no request");
            assert_eq!(error.code(), 2, "{more}");
        }
    }
}
