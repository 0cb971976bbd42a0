//! The reader against a gateway that pages as etcd does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Json, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum_server::tls_rustls::RustlsConfig;
use serde_json::Value;

use super::*;
use crate::model::SilenceKind;
use crate::pod::server_config;

const CANARY: &str = "CANARY-4711";

type Keys = BTreeMap<String, Vec<u8>>;

#[derive(Clone)]
struct Gateway {
    keys: Arc<Keys>,
    asked: Arc<Mutex<Vec<Value>>>,
    /// What to do to an answer, by the index of its question.
    fault: fn(usize, &mut Value) -> Option<Response>,
}

async fn range(State(gateway): State<Gateway>, Json(question): Json<Value>) -> Response {
    let from = decode(question["key"].as_str().expect("a key")).expect("base64");
    let left: Vec<_> = gateway.keys.iter().filter(|(key, _)| *key.as_bytes() >= *from).collect();
    let limit = question["limit"].as_u64().expect("a limit") as usize;
    let pair = |(key, value): &(&String, &Vec<u8>)| {
        json!({
            "key": BASE64_STANDARD.encode(key), "value": BASE64_STANDARD.encode(value),
            "create_revision": "5", "mod_revision": "9", "version": "2",
        })
    };
    let mut answer = json!({
        "header": {"cluster_id": "1", "member_id": "2", "revision": "1234", "raft_term": "3"},
        "kvs": left.iter().take(limit).map(pair).collect::<Vec<_>>(),
        "count": left.len().to_string(),
    });
    if left.len() > limit {
        answer["more"] = json!(true);
    }
    let index = {
        let mut asked = gateway.asked.lock().expect("no panic");
        asked.push(question);
        asked.len() - 1
    };
    (gateway.fault)(index, &mut answer).unwrap_or_else(|| Json(answer).into_response())
}

struct Outcome {
    found: Result<EtcdAnswer, NoAnswer>,
    asked: Vec<Value>,
}

/// Reads the keys through a gateway with a fault, in pages of at most this size.
async fn read_in_pages(
    keys: Keys,
    fault: fn(usize, &mut Value) -> Option<Response>,
    limit: usize,
) -> Outcome {
    let certified = rcgen::generate_simple_self_signed(["etcd.test".to_owned()]).expect("made");
    let (certificate, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    listener.set_nonblocking(true).expect("set");
    let address = listener.local_addr().expect("an address");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let gateway = Gateway { keys: Arc::new(keys), asked: asked.clone(), fault };
    let routes = Router::new().route("/v3/kv/range", post(range)).with_state(gateway);
    let tls = server_config(certificate.as_bytes(), key.as_bytes()).expect("a configuration");
    let server = axum_server::from_tcp_rustls(listener, RustlsConfig::from_config(Arc::new(tls)));
    tokio::spawn(server.expect("a server").serve(routes.into_make_service()));
    let order = EtcdOrder {
        address,
        server_name: "etcd.test".to_owned(),
        ca: certificate.clone(),
        client_cert: certificate,
        client_key: key,
        prefix: "/registry/secrets/".to_owned(),
        canary: CANARY.to_owned(),
    };
    let peer = peer(&order).expect("an order that is understood");
    let found = read_all(&peer, &order, limit).await;
    let asked = asked.lock().expect("no panic").clone();
    Outcome { found, asked }
}

async fn read(keys: Keys, fault: fn(usize, &mut Value) -> Option<Response>) -> Outcome {
    read_in_pages(keys, fault, PAGE_LIMIT).await
}

fn healthy(_: usize, _: &mut Value) -> Option<Response> {
    None
}

fn encrypted(secrets: usize) -> Keys {
    let secret =
        |n| (format!("/registry/secrets/shop/{n:06}"), b"k8s:enc:secretbox:v1:run:\x00:".to_vec());
    (0..secrets).map(secret).collect()
}

#[tokio::test]
async fn every_page_is_read_as_of_one_revision() {
    let outcome = read(encrypted(1203), healthy).await;
    let under = [("secretbox:v1:run".to_owned(), 1203)].into();
    let expected = EtcdAnswer { keys: 1203, below_prefix: 1203, under, ..EtcdAnswer::default() };
    assert_eq!(outcome.found, Ok(expected));
    let revisions: Vec<_> = outcome.asked.iter().map(|asked| &asked["revision"]).collect();
    assert_eq!(revisions, [&Value::Null, &json!("1234"), &json!("1234")]);
}

#[tokio::test]
async fn an_exact_page_ends_the_reading() {
    let outcome = read(encrypted(500), healthy).await;
    assert_eq!(outcome.found.expect("read").keys, 500);
    assert_eq!(outcome.asked.len(), 1);
}

#[tokio::test]
async fn an_empty_etcd_holds_nothing() {
    let leave_out = |_: usize, answer: &mut Value| {
        answer.as_object_mut().expect("an object").retain(|key, _| key == "header");
        None
    };
    assert_eq!(read(Keys::new(), leave_out).await.found, Ok(EtcdAnswer::default()));
}

#[tokio::test]
async fn plain_values_and_the_canary_are_named_by_their_keys() {
    let mut keys = encrypted(3);
    keys.insert("/registry/secrets/shop/plain".to_owned(), b"k8s\0\n".to_vec());
    keys.insert("/registry/secrets/shop/none".to_owned(), Vec::new());
    keys.insert("/registry/events/a".to_owned(), format!("x{CANARY}x").into_bytes());
    let found = read(keys, healthy).await.found.expect("read");
    assert_eq!((found.keys, found.below_prefix), (6, 5));
    assert_eq!(found.plain, ["/registry/secrets/shop/none", "/registry/secrets/shop/plain"]);
    assert_eq!((found.plain_count, found.canary_count), (2, 1));
    assert_eq!(found.canary, ["/registry/events/a"]);
}

#[tokio::test]
async fn lists_are_cut_and_counts_are_not() {
    let value = [&b"\xff\xe2"[..], CANARY.as_bytes(), b"\x80"].concat();
    let keys = encrypted(60).into_keys().map(|key| (key, value.clone())).collect();
    let found = read(keys, healthy).await.found.expect("read");
    assert_eq!((found.plain_count, found.plain.len()), (60, NAMED));
    assert_eq!((found.canary_count, found.canary.len()), (60, NAMED));
}

#[tokio::test]
async fn a_page_that_is_too_large_is_asked_for_in_halves() {
    let outcome = read_in_pages(encrypted(100), healthy, 8 * 1024).await;
    assert_eq!(outcome.found.expect("read").keys, 100);
    let limits: Vec<_> = outcome.asked.iter().map(|asked| asked["limit"].to_string()).collect();
    assert_eq!(limits[..5], ["500", "250", "125", "62", "31"]);
}

#[tokio::test]
async fn a_value_that_is_larger_than_a_page_is_an_error() {
    let silence = read_in_pages(encrypted(1), healthy, 64).await.found.expect_err("an error");
    assert!(silence.text.contains("64 bytes"), "{silence:?}");
}

#[tokio::test]
async fn a_failure_in_the_middle_is_never_a_short_result() {
    let fails = |index: usize, _: &mut Value| {
        let compacted = "{\"code\":11,\"message\":\"required revision has been compacted\"}";
        (index == 1).then(|| (StatusCode::BAD_REQUEST, compacted).into_response())
    };
    let silence = read(encrypted(1203), fails).await.found.expect_err("an error");
    assert_eq!(silence.silence, SilenceKind::Broken);
    assert!(silence.text.contains("compacted"), "{silence:?}");
    type Fault = fn(usize, &mut Value) -> Option<Response>;
    let faults: [Fault; 5] = [
        |index, _| (index == 1).then(|| "{\"header\": {".into_response()),
        |index, answer| {
            if index == 1 {
                answer["kvs"].as_array_mut().expect("pairs").pop();
                answer["more"] = json!(false);
            }
            None
        },
        |index, answer| {
            if index == 1 {
                answer["kvs"] = json!([]);
            }
            None
        },
        |index, answer| {
            if index == 1 {
                answer["kvs"][0]["value"] = json!("no base64");
            }
            None
        },
        |index, answer| {
            if index == 1 {
                answer["kvs"][0]["key"] = json!(BASE64_STANDARD.encode("/registry/a"));
            }
            None
        },
    ];
    for (index, fault) in faults.into_iter().enumerate() {
        let found = read(encrypted(1203), fault).await.found;
        assert!(found.is_err(), "fault {index}: {found:?}");
    }
}

#[tokio::test]
async fn an_order_that_would_find_nothing_is_an_error() {
    for (prefix, canary) in [("/secrets/", CANARY), ("/registry/secrets/", "")] {
        let order = EtcdOrder {
            address: "127.0.0.1:1".parse().expect("an address"),
            server_name: "etcd.test".to_owned(),
            ca: String::new(),
            client_cert: String::new(),
            client_key: String::new(),
            prefix: prefix.to_owned(),
            canary: canary.to_owned(),
        };
        assert_eq!(etcd(&order).await.expect_err("no order").code(), 2);
    }
}

#[test]
fn a_value_says_who_encrypted_it() {
    for (value, key) in [
        (&b"secretbox:v1:run:\xff\x00"[..], "secretbox:v1:run"),
        (b"kms:v2:vault:\x00:\x00", "kms:v2:vault"),
        (b"secretbox:v1:run", "a key of another form"),
        (b"secretbox:v1:\x00\x01:", "a key of another form"),
        (b"", "a key of another form"),
    ] {
        assert_eq!(encrypted_by(value), key);
    }
}
