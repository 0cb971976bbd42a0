//! A simulated kubelet: answers exec, attach, port-forward and logs of our own `probe` verbs, in this process. It
//! starts no process, reaches nothing, and talks to nobody but the holder of the API server's certificate.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum_server::tls_rustls::RustlsConfig;
use futures::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::node::Containers;
use crate::pod::probe::{Verb, harmless};

/// The one protocol that it speaks over WebSocket.
const PROTOCOL: &str = "v4.channel.k8s.io";

/// The channels of a remote command, as in `attack/stream.rs`.
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STATUS: u8 = 3;

/// The closing frame of a command that ended well.
const SUCCESS: &[u8] = br#"{"metadata":{},"status":"Success"}"#;

/// The closing frame of a command that is none of ours: that of an image without the program.
const FOREIGN: &[u8] = br#"{"metadata":{},"status":"Failure","message":"no such program: a simulated node has none but probe echo, cat, tick and wait"}"#;

/// How much of a verb's input and output may be under way.
const BUFFER: usize = 4096;

/// How long a log is gathered of a command that has no end.
const LOG: Duration = Duration::from_millis(50);

/// Serves until it is dropped.
pub(super) async fn serve(
    listener: TcpListener,
    tls: ServerConfig,
    containers: Containers,
) -> io::Result<()> {
    let config = RustlsConfig::from_config(Arc::new(tls));
    let server = axum_server::from_tcp_rustls(listener, config)?;
    server.serve(routes(containers).into_make_service()).await
}

fn routes(containers: Containers) -> Router {
    Router::new()
        .route("/exec/{namespace}/{pod}/{container}", any(exec))
        .route("/attach/{namespace}/{pod}/{container}", any(attach))
        .route("/portForward/{namespace}/{pod}", any(port_forward))
        .route("/containerLogs/{namespace}/{pod}/{container}", any(logs))
        .with_state(containers)
}

type Container = (String, String, String);

async fn exec(
    State(containers): State<Containers>,
    Path((namespace, pod, container)): Path<Container>,
    request: Request,
) -> Result<Response, Refusal> {
    containers.command(&namespace, &pod, &container).ok_or(Refusal::Unknown)?;
    let query = request.uri().query().unwrap_or_default().as_bytes();
    let command: Vec<String> = form_urlencoded::parse(query)
        .filter(|(name, _)| name == "command")
        .map(|(_, word)| word.into_owned())
        .collect();
    open(harmless(&command), request)
}

async fn attach(
    State(containers): State<Containers>,
    Path((namespace, pod, container)): Path<Container>,
    request: Request,
) -> Result<Response, Refusal> {
    let command = containers.command(&namespace, &pod, &container).ok_or(Refusal::Unknown)?;
    open(Some(harmless(&command).ok_or(Refusal::Foreign)?), request)
}

/// Lets a port-forward in and closes it: without a network there is nothing to forward to.
async fn port_forward(request: Request) -> Result<Response, Refusal> {
    check_origin(request.headers())?;
    if is_upgrade(request.headers(), "SPDY/3.1") { switch_spdy() } else { Err(Refusal::NoUpgrade) }
}

async fn logs(
    State(containers): State<Containers>,
    Path((namespace, pod, container)): Path<Container>,
    request: Request,
) -> Result<Response, Refusal> {
    check_origin(request.headers())?;
    let command = containers.command(&namespace, &pod, &container).ok_or(Refusal::Unknown)?;
    let verb = harmless(&command).ok_or(Refusal::Foreign)?;
    let mut printed = Vec::new();
    // What it printed until then is its log.
    let _ = tokio::time::timeout(LOG, verb.run(tokio::io::empty(), &mut printed)).await;
    Ok(printed.into_response())
}

/// Opens the streams of a command, if the door is one of those that exist. One that is not ours (`None`) is told over them
/// that it is not there, as by a node whose image lacks it.
fn open(verb: Option<Verb>, request: Request) -> Result<Response, Refusal> {
    check_origin(request.headers())?;
    if is_upgrade(request.headers(), "SPDY/3.1") {
        return switch_spdy();
    }
    if !is_upgrade(request.headers(), "websocket") {
        return Err(Refusal::NoUpgrade);
    }
    let headers = request.headers();
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or(Refusal::NoUpgrade)?;
    let accept = derive_accept_key(key.as_bytes());
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offered = offered.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
    if !offered.any(|protocol| protocol.trim() == PROTOCOL) {
        return Err(Refusal::NoUpgrade);
    }
    tokio::spawn(converse(verb, request));
    switch(&[
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_ACCEPT, &accept),
        (header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL),
    ])
}

/// Answers a SPDY request with 101 and nothing more: brinell only asks whether it is let in.
fn switch_spdy() -> Result<Response, Refusal> {
    let stream_protocol = header::HeaderName::from_static("x-stream-protocol-version");
    switch(&[(header::UPGRADE, "SPDY/3.1"), (stream_protocol, PROTOCOL)])
}

fn switch(headers: &[(header::HeaderName, &str)]) -> Result<Response, Refusal> {
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade");
    for (name, value) in headers {
        response = response.header(name, *value);
    }
    response.body(Body::empty()).map_err(|_| Refusal::NoUpgrade)
}

fn is_upgrade(headers: &HeaderMap, protocol: &str) -> bool {
    let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|value| value.eq_ignore_ascii_case(protocol))
}

/// No API server sends an Origin; only a web page does.
fn check_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(header::ORIGIN) { Err(Refusal::WebPage) } else { Ok(()) }
}

/// Why nothing is opened.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Refusal {
    Unknown,
    Foreign,
    NoUpgrade,
    WebPage,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::Unknown => (StatusCode::NOT_FOUND, "no such container on the simulated node"),
            Refusal::Foreign => (
                StatusCode::FORBIDDEN,
                "a simulated kubelet runs nothing but probe echo, cat, tick and wait",
            ),
            Refusal::NoUpgrade => (StatusCode::BAD_REQUEST, "Upgrade request required"),
            Refusal::WebPage => (StatusCode::FORBIDDEN, "a web page may not ask a kubelet"),
        }
        .into_response()
    }
}

/// Runs the verb between the two directions of a WebSocket, or says that there is none.
async fn converse(verb: Option<Verb>, request: Request) {
    let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
    let io = TokioIo::new(upgraded);
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
    let Some(verb) = verb else { return refuse(socket).await };
    let (mut sending, mut receiving) = socket.split();
    let (mut typing, input) = duplex(BUFFER);
    let (output, mut printed) = duplex(BUFFER);
    let running = async {
        // A command whose streams break has ended.
        let _ = verb.run(input, output).await;
    };
    let hearing = async {
        while let Some(Ok(message)) = receiving.next().await {
            hear(&mut typing, &message).await;
        }
        drop(typing);
    };
    let speaking = async {
        let mut buffer = vec![0; BUFFER];
        while let Ok(count @ 1..) = printed.read(&mut buffer).await {
            if sending.send(frame(STDOUT, &buffer[..count])).await.is_err() {
                return;
            }
        }
        // If the other side has gone, it needs no closing frame.
        let _ = sending.send(frame(STATUS, SUCCESS)).await;
        let _ = sending.close().await;
    };
    tokio::select! {
        ((), ()) = async { tokio::join!(running, speaking) } => {}
        () = hearing => {}
    }
}

async fn refuse(mut socket: WebSocketStream<impl AsyncRead + AsyncWrite + Unpin>) {
    // Whoever has gone needs no closing frame.
    let _ = socket.send(frame(STATUS, FOREIGN)).await;
    let _ = socket.close(None).await;
}

async fn hear(typing: &mut DuplexStream, message: &Message) {
    if let Message::Binary(frame) = message
        && let Some((&STDIN, typed)) = frame.split_first()
    {
        // It is no error if the command does not read its input.
        let _ = typing.write_all(typed).await;
    }
}

fn frame(channel: u8, content: &[u8]) -> Message {
    Message::binary([&[channel], content].concat())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use serde_json::{Value, json};

    use super::super::keys::{Keys, Pair};
    use super::*;
    use crate::pod::{probe, server_config_for};

    /// A kubelet with one pod, and the keys of its cluster.
    struct Bed {
        address: SocketAddr,
        keys: Keys,
    }

    impl Bed {
        fn start() -> Self {
            let keys = Keys::make().expect("keys");
            let tls = server_config_for(
                keys.kubelet_client.certificate.as_bytes(),
                keys.kubelet.certificate.as_bytes(),
                keys.kubelet.key.as_bytes(),
            );
            let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
            listener.set_nonblocking(true).expect("set");
            let address = listener.local_addr().expect("an address");
            let containers = Containers::of_one(&["probe", "echo", "main"]);
            tokio::spawn(serve(listener, tls.expect("a configuration"), containers));
            Bed { address, keys }
        }

        /// The code that the kubelet answers to a GET; `None` if no answer comes.
        async fn ask(&self, who: Option<&Pair>, path: &str, headers: &Value) -> Option<u64> {
            let mut order = json!({
                "scheme": "https", "address": self.address, "server_name": "127.0.0.1",
                "method": "GET", "path": path, "headers": headers,
                "ca": self.keys.ca, "timeout_ms": 5000,
            });
            if let Some(pair) = who {
                order["client_cert"] = json!(pair.certificate);
                order["client_key"] = json!(pair.key);
            }
            let mut line = Vec::new();
            let order = order.to_string();
            Verb::Request.run(order.as_bytes(), &mut line).await.expect("an order");
            let answer = probe::read::<Value>(&String::from_utf8_lossy(&line)).expect("JSON");
            answer.ok().and_then(|answer| answer["code"].as_u64())
        }

        async fn ask_as_api_server(&self, path: &str, headers: Value) -> Option<u64> {
            self.ask(Some(&self.keys.kubelet_client), path, &headers).await
        }
    }

    fn spdy() -> Value {
        json!({"Connection": "Upgrade", "Upgrade": "SPDY/3.1"})
    }

    fn websocket(protocol: &str) -> Value {
        json!({
            "Connection": "Upgrade", "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol": protocol,
        })
    }

    const ECHO: &str = "/exec/n/p/c?command=probe&command=echo&command=foo&output=1";

    #[tokio::test]
    async fn nobody_else_than_the_api_server_is_answered() {
        let bed = Bed::start();
        assert_eq!(bed.ask(None, ECHO, &spdy()).await, None);
        for other in [&bed.keys.admin, &bed.keys.controller_manager, &bed.keys.etcd_client] {
            assert_eq!(bed.ask(Some(other), ECHO, &spdy()).await, None);
        }
        assert_eq!(bed.ask_as_api_server(ECHO, json!({})).await, Some(400));
    }

    #[tokio::test]
    async fn the_doors_open_for_our_own_verbs() {
        let bed = Bed::start();
        for path in [ECHO, "/attach/n/p/c?output=1", "/portForward/n/p"] {
            assert_eq!(bed.ask_as_api_server(path, spdy()).await, Some(101), "{path}");
        }
        assert_eq!(bed.ask_as_api_server(ECHO, websocket(PROTOCOL)).await, Some(101));
        assert_eq!(bed.ask_as_api_server("/containerLogs/n/p/c", json!({})).await, Some(200));
    }

    #[tokio::test]
    async fn nothing_else_is_run_through_any_door() {
        let bed = Bed::start();
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("touched");
        let touch = format!("/exec/n/p/c?command=touch&command={}&output=1", file.display());
        for (headers, code) in [(spdy(), 101), (websocket(PROTOCOL), 101), (json!({}), 400)] {
            assert_eq!(bed.ask_as_api_server(&touch, headers).await, Some(code));
        }
        assert!(!file.exists());
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_told_over_the_stream() {
        let (ours, theirs) = duplex(BUFFER);
        tokio::spawn(async {
            refuse(WebSocketStream::from_raw_socket(ours, Role::Server, None).await).await;
        });
        let mut caller = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
        let Some(Ok(Message::Binary(told))) = caller.next().await else { panic!("nothing") };
        let (channel, status) = told.split_first().expect("a frame");
        let status: Value = serde_json::from_slice(status).expect("JSON");
        assert_eq!((*channel, &status["status"]), (STATUS, &json!("Failure")));
    }

    #[tokio::test]
    async fn unknown_pods_and_protocols_are_refused() {
        let bed = Bed::start();
        for path in
            ["/exec/n/other/c?command=probe&command=cat", "/attach/n/p/x", "/pods", "/run/n/p/c"]
        {
            assert_eq!(bed.ask_as_api_server(path, spdy()).await, Some(404), "{path}");
        }
        assert_eq!(bed.ask_as_api_server(ECHO, websocket("v5.channel.k8s.io")).await, Some(400));
    }

    #[tokio::test]
    async fn a_web_page_is_refused() {
        let bed = Bed::start();
        for path in [ECHO, "/attach/n/p/c", "/portForward/n/p", "/containerLogs/n/p/c"] {
            let mut headers = websocket(PROTOCOL);
            headers["Origin"] = json!("https://example.com");
            assert_eq!(bed.ask_as_api_server(path, headers).await, Some(403), "{path}");
        }
    }
}
