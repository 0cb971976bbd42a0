use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use axum::extract::Path;
use axum::response::IntoResponse;
use axum::routing::get;
use futures::future::join_all;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use kube::Config;
use kube::core::Status;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::super::doorway::{HANDSHAKE, HANDSHAKES};
use super::super::rule::tests::exec;
use super::*;
use crate::model::SilenceKind;
use crate::pod::guard::{Certificates, certificates};
use crate::pod::probe::http::{Ending, Fetched, Peer};
use crate::pod::tls;

/// An API server that knows a few pods by their names.
async fn api_server(
    State(asked): State<Arc<AtomicUsize>>,
    Path((_, name)): Path<(String, String)>,
) -> Response {
    let sensitive = json!({"env": "production", "sensitive": "true"});
    let labels = match name.as_str() {
        "harmless" => json!({"env": "production"}),
        "vault" => sensitive,
        "relabelled" if asked.fetch_add(1, Ordering::Relaxed) > 0 => sensitive,
        "relabelled" => json!({}),
        "slow" => return std::future::pending().await,
        "broken" => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        _ => {
            let status = Status::failure("pods not found", "NotFound").with_code(404);
            return (StatusCode::NOT_FOUND, Json(status)).into_response();
        }
    };
    Json(json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": {"name": name, "labels": labels},
    }))
    .into_response()
}

async fn client() -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let routes = Router::new()
        .route("/api/v1/namespaces/{ns}/pods/{name}", get(api_server))
        .with_state(Arc::default());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let mut config = Config::new(format!("http://{address}").parse().expect("a URL"));
    config.default_retry = false;
    Client::try_from(config).expect("a client")
}

struct Served {
    peer: Peer,
    strangers: [Peer; 2],
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: tokio::task::JoinHandle<io::Result<()>>,
}

async fn served() -> Served {
    served_with([]).await
}

async fn served_with<const COUNT: usize>(faults: [&str; COUNT]) -> Served {
    let Certificates { ca, certificate, key, client_certificate, client_key } =
        certificates(&["guard.test"]).expect("made");
    let tls = tls::server_config_for(
        client_certificate.as_bytes(),
        certificate.as_bytes(),
        key.as_bytes(),
    );
    let tls = tls.expect("a configuration");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel();
    let faults = Faults::read(faults).expect("arguments");
    let guard = Guard::new("k7f3".to_owned(), client().await, faults);
    let server = tokio::spawn(serve(listener, tls, guard, async {
        stopped.await.ok();
    }));
    let as_whom = |identity| {
        let trust = tls::client_config(Some(&ca), identity).expect("a configuration");
        Peer::new(address, Some("guard.test"), Some(trust)).expect("a peer")
    };
    let peer = as_whom(Some((client_certificate.as_str(), client_key.as_str())));
    // Signed by the same authority, and not the API server's.
    let strangers = [as_whom(None), as_whom(Some((certificate.as_str(), key.as_str())))];
    Served { peer, strangers, address, stop, server }
}

impl Served {
    async fn send(&self, request: Request<Full<Bytes>>) -> Fetched {
        let fetched = self.peer.fetch(request, 1 << 20, Duration::from_secs(10)).await;
        let fetched = fetched.expect("an answer");
        assert_eq!(fetched.ending, Ending::Whole);
        fetched
    }

    async fn post(&self, body: impl Into<Bytes>) -> Fetched {
        let request = Request::post("/validate?timeout=5s")
            .header("content-type", "application/json")
            .body(Full::new(body.into()));
        self.send(request.expect("a request")).await
    }

    async fn review(&self, pod: &str, options: Value) -> Value {
        let mut review = exec(options);
        review["request"]["name"] = json!(pod);
        let fetched = self.post(review.to_string()).await;
        assert_eq!(fetched.code, 200);
        let answer: Value = serde_json::from_slice(&fetched.body).expect("JSON");
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
        assert_eq!(answer["response"]["auditAnnotations"]["run"], "k7f3");
        answer["response"].clone()
    }
}

#[tokio::test]
async fn each_pod_gets_its_answer() {
    let served = served().await;
    for (pod, options, decision) in [
        ("harmless", json!({}), "allowed"),
        ("vault", json!({}), "denied-sensitive"),
        ("none", json!({}), "denied-not-found"),
        ("none", json!({"stdin": true}), "denied-interactive"),
        ("broken", json!({}), "denied-look-up-failed"),
    ] {
        let response = served.review(pod, options).await;
        assert_eq!(response["auditAnnotations"]["decision"], decision, "{pod}");
        assert_eq!(response["allowed"], decision == "allowed", "{pod}");
    }
}

#[tokio::test]
async fn a_look_up_without_an_answer_is_refused_before_the_api_server_gives_up() {
    let served = served().await;
    let started = Instant::now();
    let response = served.review("slow", json!({})).await;
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(response["auditAnnotations"]["decision"], "denied-look-up-failed");
    assert_eq!(response["status"]["code"], 403);
}

#[tokio::test]
async fn a_changed_label_counts_at_once_unless_the_guard_remembers() {
    for (served, decision) in
        [(served().await, "denied-sensitive"), (served_with(["--remember"]).await, "allowed")]
    {
        let before = served.review("relabelled", json!({})).await;
        assert_eq!(before["auditAnnotations"]["decision"], "allowed");
        let after = served.review("relabelled", json!({})).await;
        assert_eq!(after["auditAnnotations"]["decision"], decision);
    }
}

#[tokio::test]
async fn a_slow_guard_is_slow_with_every_review() {
    let served = served_with(["--delay", "1"]).await;
    let started = Instant::now();
    served.review("none", json!({"stdin": true})).await;
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_review_waits_for_its_turn() {
    let served = served_with(["--delay", "1"]).await;
    let started = Instant::now();
    join_all((0..=TURNS).map(|_| served.review("none", json!({"stdin": true})))).await;
    assert!(started.elapsed() >= Duration::from_secs(2), "all were judged at a time");
}

#[tokio::test]
async fn a_review_that_takes_too_long_is_a_failed_call() {
    let served = served_with(["--delay", "60"]).await;
    let started = Instant::now();
    assert_eq!(served.post(exec(json!({})).to_string()).await.code, 408);
    assert!(started.elapsed() >= ANSWER);
}

#[tokio::test]
async fn what_is_no_review_is_a_failed_call() {
    let served = served().await;
    assert_eq!(served.post("{").await.code, 400);
    assert_eq!(served.post("{\"kind\": \"AdmissionReview\"}").await.code, 422);
    let empty = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"});
    assert_eq!(served.post(empty.to_string()).await.code, 400);
    let large = vec![b' '; REVIEW_LIMIT + 1];
    assert_eq!(served.post(large).await.code, 413);
}

#[tokio::test]
async fn nothing_else_is_served() {
    let served = served().await;
    for (method, path, code) in [
        ("GET", "/validate", 405),
        ("PUT", "/validate", 405),
        ("POST", "/", 404),
        ("POST", "/validate/", 404),
        ("GET", "/readyz", 404),
    ] {
        let request = Request::builder().method(method).uri(path).body(Full::default());
        assert_eq!(served.send(request.expect("a request")).await.code, code, "{method} {path}");
    }
}

#[tokio::test]
async fn nobody_is_answered_who_does_not_show_the_api_servers_certificate() {
    let served = served().await;
    for stranger in &served.strangers {
        let request =
            Request::post("/validate").body(Full::new(exec(json!({})).to_string().into()));
        let request = request.expect("a request");
        let answer = stranger.fetch(request, 1 << 20, Duration::from_secs(10)).await;
        assert_eq!(answer.err().map(|none| none.silence), Some(SilenceKind::Broken));
    }
    let response = served.review("harmless", json!({})).await;
    assert_eq!(response["auditAnnotations"]["decision"], "allowed");
}

#[tokio::test]
async fn the_api_server_gets_in_past_strangers_who_keep_the_door_open() {
    let served = served().await;
    let mut silent = Vec::new();
    for _ in 0..2 * HANDSHAKES {
        silent.push(TcpStream::connect(served.address).await.expect("connected"));
    }
    let started = Instant::now();
    let response = served.review("harmless", json!({})).await;
    assert_eq!(response["auditAnnotations"]["decision"], "allowed");
    assert!(started.elapsed() < HANDSHAKE, "it waited for strangers to be thrown out");
    // The oldest gave way at once.
    let mut byte = [0];
    assert_eq!(silent[0].read(&mut byte).await.unwrap_or_default(), 0);
}

#[tokio::test]
async fn it_ends_when_asked() {
    let served = served().await;
    served.stop.send(()).expect("still serving");
    served.server.await.expect("no panic").expect("a graceful end");
    assert!(TcpListener::bind(served.address).is_ok(), "the port is free again");
}
