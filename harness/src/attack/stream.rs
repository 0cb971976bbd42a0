//! Exec, attach and port-forward, through each of their three doors. A SPDY request needs no SPDY: one that is
//! answered 101 was let in, and is closed at once.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::client::Body;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::answer::read;
use super::{ActionError, Attempt, Observation, World};
use crate::catalog::Target;
use crate::model::{Answer, Attach, Closing, Door, Exec, PortForward, Stream};
use crate::pod::probe::{self, NoAnswer};
use crate::text::{cut, encode};

/// What is typed into a shell, to see whether it comes back.
const TYPED: &str = "brinell";

/// How long an open stream is listened to.
const LISTENING: Duration = Duration::from_secs(10);

/// Of each stream no more than this is kept.
const LONGEST_OUTPUT: usize = 4096;

/// The channels of a remote command
/// (<https://kubernetes.io/docs/reference/using-api/cluster-api-concepts/>, `channel.k8s.io`).
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;

/// `kubectl exec`. The command stands first in the query, as client-go sorts it: detection rules read it there.
pub(super) async fn exec(attempt: &Attempt<'_>, exec: &Exec) -> Result<Observation, ActionError> {
    let pod = attempt.pod(exec.pod.as_ref())?;
    let namespace = exec.namespace.as_ref().unwrap_or(&attempt.target.namespace);
    let container = exec.container.as_deref().or_else(|| attempt.container(namespace, pod));
    let options = options(container, exec.stdin, exec.tty);
    let uri = exec_uri(namespace, pod, &exec.command, &options);
    let until = if exec.stdin || exec.tty { Until::Echo } else { Until::End };
    open(attempt, &uri, exec.stdin, until).await
}

/// `kubectl attach`.
pub(super) async fn attach(
    attempt: &Attempt<'_>,
    attach: &Attach,
) -> Result<Observation, ActionError> {
    let pod = attempt.pod(attach.pod.as_ref())?;
    let namespace = &attempt.target.namespace;
    let container = attach.container.as_deref().or_else(|| attempt.container(namespace, pod));
    let options = options(container, attach.stdin, attach.tty);
    let uri = format!("/api/v1/namespaces/{namespace}/pods/{pod}/attach?{options}");
    open(attempt, &uri, false, Until::Line).await
}

/// `kubectl port-forward`. Whether it is let in is all that is asked: it is closed before a port is named.
pub(super) async fn port_forward(
    attempt: &Attempt<'_>,
    forward: &PortForward,
) -> Result<Observation, ActionError> {
    let pod = attempt.pod(forward.pod.as_ref())?;
    let uri = format!("/api/v1/namespaces/{}/pods/{pod}/portforward", attempt.target.namespace);
    let request = attempt.request(method(attempt.door), &uri);
    let request = upgrade(request, attempt.door, PORT_FORWARD).body(Vec::new());
    let answer = match attempt.exchange(request).await {
        Err(silence) => Answer::Nothing(silence),
        Ok(response) if response.status() != http::StatusCode::SWITCHING_PROTOCOLS => {
            read(response).await
        }
        Ok(_) => Answer::Stream(Stream::default()),
    };
    Ok(opened(attempt, &uri, answer))
}

/// Runs a verb of our probe in a pod of the target as the admin, who only looks, and reads what it found. An `order` is
/// a line on its standard input, which no audit log holds.
pub(super) async fn run_probe<T: DeserializeOwned>(
    world: &World,
    target: &Target,
    namespace: &str,
    pod: &str,
    command: &[&str],
    order: Option<&str>,
) -> Result<Result<T, NoAnswer>, ActionError> {
    let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    let pods = Api::<Pod>::namespaced(world.access.admin.clone(), namespace);
    // Of several containers one must be named. They share the pod's network, and each of ours has the probe; what a
    // cluster put beside them has not, and may come first.
    let spec = pods.get(pod).await?.spec.unwrap_or_default();
    let first = spec.containers.first().map(|container| container.name.as_str());
    let container = target.container(namespace, pod).or(first);
    let uri = exec_uri(namespace, pod, &command, &options(container, order.is_some(), false));
    let printed = run(world, uri, order).await?;
    probe::read(&printed.stdout)
        .map_err(|_| ActionError::Probe { answer: format!("{}{}", printed.stdout, printed.stderr) })
}

/// Runs what a URI asks for, as the admin.
async fn run(world: &World, uri: String, order: Option<&str>) -> Result<Stream, ActionError> {
    let request = http::Request::builder().method("GET").uri(uri);
    let request = upgrade(request, Door::GetWebsocket, command_protocols(world))
        .body(Body::empty())
        .map_err(|error| ActionError::Missing(error.to_string()))?;
    let response = world.access.admin.send(request).await?;
    if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
        let answer = read(response).await;
        return Err(ActionError::Missing(format!("the admin could not exec: {answer:?}")));
    }
    Ok(converse(response, order, Until::End).await)
}

fn exec_uri(namespace: &str, pod: &str, command: &[String], options: &str) -> String {
    let words: Vec<String> =
        command.iter().map(|word| format!("command={}", encode(word))).collect();
    format!("/api/v1/namespaces/{namespace}/pods/{pod}/exec?{}&{options}", words.join("&"))
}

/// The container and the streams that are asked for. A terminal has no standard error of its own.
fn options(container: Option<&str>, stdin: bool, tty: bool) -> String {
    let container = container.map(|name| format!("container={}", encode(name)));
    let mut options: Vec<&str> = container.as_deref().into_iter().collect();
    if !tty {
        options.push("stderr=true");
    }
    if stdin {
        options.push("stdin=true");
    }
    options.push("stdout=true");
    if tty {
        options.push("tty=true");
    }
    options.join("&")
}

/// When listening ends.
#[derive(Clone, Copy, PartialEq)]
enum Until {
    /// The command ended.
    End,
    /// What we typed came back.
    Echo,
    /// A line was printed.
    Line,
}

async fn open(
    attempt: &Attempt<'_>,
    uri: &str,
    types: bool,
    until: Until,
) -> Result<Observation, ActionError> {
    let request = attempt.request(method(attempt.door), uri);
    let request = upgrade(request, attempt.door, command_protocols(attempt.world)).body(Vec::new());
    let answer = match attempt.exchange(request).await {
        Err(silence) => Answer::Nothing(silence),
        Ok(response) if response.status() != http::StatusCode::SWITCHING_PROTOCOLS => {
            read(response).await
        }
        Ok(response) if attempt.door == Door::GetWebsocket => {
            Answer::Stream(converse(response, types.then_some(TYPED), until).await)
        }
        Ok(_) => Answer::Stream(Stream::default()),
    };
    Ok(opened(attempt, uri, answer))
}

fn opened(attempt: &Attempt<'_>, uri: &str, answer: Answer) -> Observation {
    let method = method(attempt.door);
    let verb = if method == "POST" { "create" } else { "get" };
    Observation::of(attempt.sent(method, uri, verb), answer)
}

/// The method of a door.
pub(super) fn method(door: Door) -> &'static str {
    if door == Door::PostSpdy { "POST" } else { "GET" }
}

/// The protocols that the handshake offers.
#[derive(Clone, Copy)]
pub(super) struct Protocols {
    pub(super) websocket: &'static str,
    pub(super) spdy: &'static str,
}

/// Those of a remote command. The cluster knows which ones its node understands over WebSocket.
fn command_protocols(world: &World) -> Protocols {
    Protocols { websocket: world.access.stream_protocols, spdy: "v4.channel.k8s.io" }
}

/// Those of a forwarded port. Over WebSocket the API server carries SPDY through a tunnel, as kubectl asks since 1.31.
const PORT_FORWARD: Protocols =
    Protocols { websocket: "SPDY/3.1+portforward.k8s.io", spdy: "portforward.k8s.io" };

/// The handshake's headers. No Accept: it reaches the kubelet, which then answers 406 (measured).
pub(super) fn upgrade(
    request: http::request::Builder,
    door: Door,
    protocols: Protocols,
) -> http::request::Builder {
    let request = request.header("Connection", "Upgrade");
    match door {
        Door::GetWebsocket => request
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", generate_key())
            .header("Sec-WebSocket-Protocol", protocols.websocket),
        _ => request
            .header("Upgrade", "SPDY/3.1")
            .header("X-Stream-Protocol-Version", protocols.spdy),
    }
}

/// Talks over an opened WebSocket until enough was heard.
async fn converse(response: http::Response<Body>, typed: Option<&str>, until: Until) -> Stream {
    let mut stream = Stream::default();
    let Ok(upgraded) = hyper::upgrade::on(response).await else {
        return stream;
    };
    let mut socket =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await;
    if let Some(typed) = typed {
        let mut line = vec![STDIN];
        line.extend_from_slice(format!("{typed}\n").as_bytes());
        // A stream that is closed already says why in its closing frame.
        let _ = socket.send(Message::binary(line)).await;
    }
    let hearing = async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Binary(frame) = message {
                hear(&mut stream, &frame);
            }
            if enough(&stream, until) {
                break;
            }
        }
    };
    // What was heard until then is what is judged.
    let _ = tokio::time::timeout(LISTENING, hearing).await;
    stream
}

fn hear(stream: &mut Stream, frame: &[u8]) {
    let Some((channel, content)) = frame.split_first() else { return };
    let text = String::from_utf8_lossy(content);
    match *channel {
        STDOUT => keep(&mut stream.stdout, &text),
        STDERR => keep(&mut stream.stderr, &text),
        STATUS => stream.closing = Some(closing(content)),
        _ => {}
    }
    stream.echoed = stream.echoed || stream.stdout.contains(TYPED);
}

fn keep(kept: &mut String, text: &str) {
    if kept.len() < LONGEST_OUTPUT {
        kept.push_str(&cut(text, LONGEST_OUTPUT - kept.len()));
    }
}

fn closing(content: &[u8]) -> Closing {
    let status: Value = serde_json::from_slice(content).unwrap_or_default();
    Closing {
        status: status["status"].as_str().unwrap_or("unknown").to_owned(),
        message: status["message"].as_str().map(|text| cut(text, 512)),
    }
}

fn enough(stream: &Stream, until: Until) -> bool {
    stream.closing.is_some()
        || match until {
            Until::End => false,
            Until::Echo => stream.echoed,
            Until::Line => stream.stdout.contains('\n'),
        }
}
