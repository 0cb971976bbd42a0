use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

use super::*;
use crate::pod::guard::{Certificates, certificates};
use crate::pod::probe::http::{Fetched, Peer};
use crate::pod::tls::client_config;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

struct Served {
    listening: Listening,
    /// The API server, a client without a certificate, and one whose certificate another authority has signed.
    api_server: Peer,
    strangers: [Peer; 2],
}

async fn served() -> Served {
    let ours = certificates(&["audit.test"]).expect("made");
    let other = certificates(&["audit.test"]).expect("made");
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let settings = AuditListen {
        address: "127.0.0.1:0".parse().expect("an address"),
        certificate: write("server.crt", &ours.certificate),
        key: write("server.key", &ours.key),
        client_ca: write("ca.crt", &ours.ca),
    };
    let listening = listen(&settings).await.expect("listening");
    let peer = |identity| {
        let tls = client_config(Some(&ours.ca), identity).expect("a configuration");
        Peer::new(listening.address, Some("audit.test"), Some(tls)).expect("a peer")
    };
    fn identity(certificates: &Certificates) -> Option<(&str, &str)> {
        Some((&certificates.client_certificate, &certificates.client_key))
    }
    let (api_server, strangers) = (peer(identity(&ours)), [peer(None), peer(identity(&other))]);
    Served { listening, api_server, strangers }
}

fn post(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::post("/audit?timeout=30s").header("content-type", "application/json");
    request.body(Full::new(body.into())).expect("a request")
}

async fn send(peer: &Peer, body: impl Into<Bytes>) -> (u16, String) {
    let Fetched { code, body, .. } =
        peer.fetch(post(body), 1 << 20, PATIENCE).await.expect("an answer");
    (code, String::from_utf8(body).expect("text"))
}

fn event(id: usize) -> serde_json::Value {
    json!({"kind": "Event", "auditID": format!("k7f3-{id}"), "verb": "create", "note": "two\nlines"})
}

fn list(ids: std::ops::Range<usize>) -> serde_json::Value {
    let items: Vec<_> = ids.map(event).collect();
    json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": items})
}

/// The events of the next lines.
async fn read(stream: Stream, count: usize) -> Vec<serde_json::Value> {
    let mut lines = BufReader::new(stream).lines();
    let mut events = Vec::new();
    while events.len() < count {
        let line = timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("readable");
        events.push(serde_json::from_str(&line.expect("a line")).expect("an event"));
    }
    events
}

#[tokio::test]
async fn events_are_handed_on_as_lines_in_every_way_to_write_json() {
    let Served { listening, api_server, .. } = served().await;
    let losses = listening.stream.losses();
    let reading = tokio::spawn(read(listening.stream, 5));
    assert_eq!(send(&api_server, list(0..2).to_string()).await.0, 200);
    let pretty = serde_json::to_string_pretty(&list(2..5)).expect("JSON");
    assert_eq!(send(&api_server, pretty).await.0, 200);
    assert_eq!(reading.await.expect("read"), (0..5).map(event).collect::<Vec<_>>());
    assert_eq!(losses.first(), None);
}

#[tokio::test]
async fn many_batches_side_by_side_all_come() {
    let Served { listening, api_server, .. } = served().await;
    let reading = tokio::spawn(read(listening.stream, 200));
    let batches =
        (0..20).map(|batch| send(&api_server, list(batch * 10..batch * 10 + 10).to_string()));
    let answers = futures::future::join_all(batches).await;
    assert!(answers.iter().all(|(code, _)| *code == 200), "{answers:?}");
    let ids: std::collections::BTreeSet<String> =
        reading.await.expect("read").iter().map(|event| event["auditID"].to_string()).collect();
    assert_eq!(ids.len(), 200);
}

#[tokio::test]
async fn a_stranger_is_not_listened_to() {
    let Served { listening, strangers, .. } = served().await;
    for stranger in &strangers {
        assert!(stranger.fetch(post(list(0..1).to_string()), 1024, PATIENCE).await.is_err());
    }
    // Without TLS nothing is answered either.
    let plain = Peer::new(listening.address, None, None).expect("a peer");
    assert!(plain.fetch(post(list(0..1).to_string()), 1024, PATIENCE).await.is_err());
    assert_eq!(listening.stream.losses().first(), None);
}

#[tokio::test]
async fn what_is_no_list_of_events_is_refused_with_the_reason_and_noted() {
    let Served { listening, api_server, .. } = served().await;
    let losses = listening.stream.losses();
    let expected = "expected a list of audit events, an EventList of audit.k8s.io/v1";
    let list = |kind: &str, version: &str, item| {
        json!({"kind": kind, "apiVersion": version, "items": [item]}).to_string()
    };
    for (body, words) in [
        (String::new(), ": EOF while parsing"),
        ("kind: EventList".to_owned(), ": expected value at line 1"),
        ("[]".to_owned(), ": "),
        (
            json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1"}).to_string(),
            ": missing field `items`",
        ),
        (
            list("EventList", "audit.k8s.io/v1beta1", event(0)),
            ", not \"EventList\" of \"audit.k8s.io/v1beta1\"",
        ),
        (list("PodList", "v1", event(0)), ", not \"PodList\" of \"v1\""),
        (list("EventList", "audit.k8s.io/v1", json!("text")), ": item 0 is no object"),
        ("[".repeat(1 << 20), ": "),
    ] {
        let (code, why) = send(&api_server, body).await;
        assert_eq!(code, 400, "{why}");
        assert!(why.starts_with(&format!("{expected}{words}")), "{why}");
    }
    let first = losses.first().expect("noted");
    assert!(first.starts_with("a batch of audit events was answered 400 Bad Request"), "{first}");
    let get = Request::get("/").body(Full::new(Bytes::new())).expect("a request");
    assert_eq!(api_server.fetch(get, 1024, PATIENCE).await.expect("an answer").code, 405);
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_refused() {
    let Served { listening, api_server, .. } = served().await;
    let losses = listening.stream.losses();
    // The answer may come before the whole body is sent, which the connection then does not survive.
    let fetched = api_server.fetch(post(vec![b' '; BATCH_LIMIT + 1]), 1024, PATIENCE).await;
    assert!(fetched.is_err() || fetched.is_ok_and(|fetched| fetched.code == 413));
    let first = losses.first().expect("noted");
    assert!(first.contains("expected at most 64 MiB of events"), "{first}");
}

#[tokio::test]
async fn nobody_listens_when_nobody_reads() {
    let Served { listening: Listening { stream, address }, api_server, .. } = served().await;
    drop(stream);
    let gone = crate::poll::until(PATIENCE, async || match TcpStream::connect(address).await {
        Ok(_) => Err(()),
        Err(_) => Ok(()),
    });
    gone.await.expect("closed");
    assert!(api_server.fetch(post(list(0..1).to_string()), 1024, PATIENCE).await.is_err());
}

#[tokio::test]
async fn a_key_that_is_not_there_is_told_with_its_field() {
    let missing = AuditListen {
        address: "127.0.0.1:0".parse().expect("an address"),
        certificate: "/no/such.crt".into(),
        key: "/no/such.key".into(),
        client_ca: "/no/ca.crt".into(),
    };
    let error = listen(&missing).await.err().expect("missing").to_string();
    assert!(error.starts_with("`audit.listen.client-ca`: /no/ca.crt cannot be read:"), "{error}");
}
