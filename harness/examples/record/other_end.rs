//! The other end of what an API server calls, and of what claims to be one: webhooks, pods behind a proxy, an
//! aggregated API server, a broken proxy. It speaks as little HTTP as is needed, so that it can break it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::Failure;

/// What is answered to a request.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The response of an AdmissionReview; its uid is that of the request unless it says its own.
    Review(Value),
    /// A body with its code.
    Body(Body),
    /// The answer of ImagePolicyWebhook's webhook: it rejects what an annotation gives a reason for.
    Images,
    /// An error whose answer ends in the middle.
    Cut,
    /// None.
    Silence,
}

/// A body with its code.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Body {
    /// The HTTP status code.
    pub code: u16,
    /// A JSON body.
    #[serde(default)]
    pub json: Option<Value>,
    /// A body of text.
    #[serde(default)]
    pub text: String,
}

/// What is answered, by the beginning of the path.
pub type Replies = Arc<BTreeMap<String, Reply>>;

/// Answers on `plain`, and with TLS on `secret`, for ever.
pub async fn serve(
    address: &str,
    (plain, secret): (u16, u16),
    (certificate, key): (&str, &str),
    replies: Replies,
) -> Result<(), Failure> {
    let config = brinell::pod::server_config(certificate.as_bytes(), key.as_bytes())?;
    let tls = TlsAcceptor::from(Arc::new(config));
    let plain = TcpListener::bind((address, plain)).await?;
    let secret = TcpListener::bind((address, secret)).await?;
    let also = replies.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = plain.accept().await {
            tokio::spawn(answer(stream, also.clone()));
        }
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = secret.accept().await {
            let (tls, replies) = (tls.clone(), replies.clone());
            tokio::spawn(async move { answer(tls.accept(stream).await?, replies).await });
        }
    });
    Ok(())
}

/// Answers one request and closes the connection.
async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    replies: Replies,
) -> std::io::Result<()> {
    let (path, body) = request(&mut stream).await?;
    let reply = replies.iter().rev().find(|(start, _)| path.starts_with(start.as_str()));
    let reply = match reply.map(|(_, reply)| reply.clone()) {
        Some(Reply::Review(response)) => whole(200, "application/json", &review(response, &body)),
        Some(Reply::Body(Body { code, json: Some(json), .. })) => {
            whole(code, "application/json", &json.to_string())
        }
        Some(Reply::Body(Body { code, json: None, text })) => whole(code, "text/plain", &text),
        Some(Reply::Images) => whole(200, "application/json", &images(&body)),
        Some(Reply::Cut) => "HTTP/1.1 502 .\r\nContent-Length: 100\r\n\r\n{".to_owned(),
        Some(Reply::Silence) => std::future::pending().await,
        None => whole(404, "text/plain", "not found\n"),
    };
    stream.write_all(reply.as_bytes()).await?;
    stream.shutdown().await
}

fn whole(code: u16, content_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {code} .\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

fn review(mut response: Value, question: &[u8]) -> String {
    let question: Value = serde_json::from_slice(question).unwrap_or_default();
    if response["uid"].is_null() {
        response["uid"] = question["request"]["uid"].clone();
    }
    let kind = "AdmissionReview";
    json!({"apiVersion": "admission.k8s.io/v1", "kind": kind, "response": response}).to_string()
}

fn images(question: &[u8]) -> String {
    let mut review: Value = serde_json::from_slice(question).unwrap_or_default();
    let reason = review["spec"]["annotations"]["brinell.image-policy.k8s.io/reason"].clone();
    review["status"] = json!({"allowed": reason.is_null(), "reason": reason.as_str()});
    review.to_string()
}

/// Reads one request: its path and its body.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<(String, Vec<u8>)> {
    let mut read = Vec::new();
    let end = loop {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    while read.len() < end + length.unwrap_or(0) {
        if stream.read_buf(&mut read).await? == 0 {
            break;
        }
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    Ok((path, read.split_off(end)))
}
