//! exec-guard over HTTPS: asks for the labels and answers the API server.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Json, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Router, response};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionReview};
use kube::{Api, Client};
use rustls::ServerConfig;
use tokio::time::{sleep, timeout};

use super::Faults;
use super::rule::{Denial, Labels, LookUpError, PodName, respond, screen, weigh};

/// How long the look-up may take: less than the webhook's own timeout of 5 s, so that the one who is
/// refused reads our words and not the API server's.
const LOOK_UP: Duration = Duration::from_secs(3);

/// How large a review may be: what the API server itself takes as a request body.
const REVIEW_LIMIT: usize = 3 * 1024 * 1024;

/// How long answers that are under way get when the server is asked to end.
const GRACE: Duration = Duration::from_secs(5);

/// The guard: which run it belongs to, and whom it asks for a pod's labels.
#[derive(Clone)]
pub struct Guard {
    run: String,
    client: Client,
    faults: Faults,
    // Stays empty unless it is a fault of this guard to remember.
    remembered: Arc<Mutex<BTreeMap<PodName, Labels>>>,
}

/// Serves `POST /validate` and `GET /readyz` over HTTPS until `stop` ends, then finishes what is
/// under way.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    tls: ServerConfig,
    guard: Guard,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let handle = Handle::new();
    let config = RustlsConfig::from_config(Arc::new(tls));
    let server = axum_server::from_tcp_rustls(listener, config)?
        .handle(handle.clone())
        .serve(routes(guard).into_make_service());
    tokio::pin!(server);
    tokio::select! {
        result = &mut server => return result,
        () = stop => handle.graceful_shutdown(Some(GRACE)),
    }
    server.await
}

fn routes(guard: Guard) -> Router {
    Router::new()
        .route("/validate", post(validate))
        .route("/readyz", get(|| async { "ok" }))
        .layer(DefaultBodyLimit::max(REVIEW_LIMIT))
        .with_state(guard)
}

/// A body that is no review gets 400 or its like, which the API server takes for a failed call: with
/// failurePolicy Fail that is a refusal.
async fn validate(
    State(guard): State<Guard>,
    Json(review): Json<AdmissionReview<DynamicObject>>,
) -> response::Result<Json<AdmissionReview<DynamicObject>>> {
    let request = review
        .try_into()
        .map_err(|_| (StatusCode::BAD_REQUEST, "expected an AdmissionReview with a request"))?;
    let judgement = guard.judge(&request).await;
    Ok(Json(respond(&guard.run, &request, judgement).into_review()))
}

impl Guard {
    /// A guard that says the run's id in its audit annotations. `client` may get pods, and should not retry: the
    /// API server waits for our answer.
    pub fn new(run: String, client: Client, faults: Faults) -> Self {
        Guard { run, client, faults, remembered: Arc::default() }
    }

    async fn judge(&self, request: &AdmissionRequest<DynamicObject>) -> Result<(), Denial> {
        sleep(self.faults.delay()).await;
        let pod = screen(request)?;
        if let Some(labels) = self.remembered(&pod) {
            return weigh(Ok(labels));
        }
        let labels = self.look_up(&pod).await;
        if let Ok(labels) = &labels {
            self.remember(pod, labels);
        }
        weigh(labels)
    }

    fn remembered(&self, pod: &PodName) -> Option<Labels> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).get(pod).cloned()
    }

    fn remember(&self, pod: PodName, labels: &Labels) {
        if self.faults.remembers() {
            let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            remembered.insert(pod, labels.clone());
        }
    }

    /// Asks the API server each time: labels change, and a remembered answer would let in.
    async fn look_up(&self, pod: &PodName) -> Result<Labels, LookUpError> {
        let labels = match timeout(LOOK_UP, self.labels(pod)).await {
            Ok(labels) => labels,
            Err(_) => Err(LookUpError::Failed(format!("no answer within {LOOK_UP:?}"))),
        };
        if let Err(LookUpError::Failed(cause)) = &labels {
            eprintln!("the labels of pod {pod} could not be looked up: {cause}");
        }
        labels
    }

    async fn labels(&self, pod: &PodName) -> Result<Labels, LookUpError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace);
        match pods.get_metadata(&pod.name).await {
            Ok(found) => Ok(found.metadata.labels.unwrap_or_default()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Err(LookUpError::NotFound),
            Err(kube::Error::Api(status)) => Err(LookUpError::Failed(status.message)),
            Err(error) => Err(LookUpError::Failed(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use axum::extract::Path;
    use axum::response::{IntoResponse, Response};
    use http_body_util::Full;
    use hyper::Request;
    use hyper::body::Bytes;
    use kube::Config;
    use kube::core::Status;
    use serde_json::{Value, json};
    use tokio::sync::oneshot;

    use super::super::rule::tests::exec;
    use super::*;
    use crate::in_cluster::probe::http::{Ending, Fetched, Peer};
    use crate::in_cluster::tls;

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
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        server: tokio::task::JoinHandle<io::Result<()>>,
    }

    async fn served() -> Served {
        served_with([]).await
    }

    async fn served_with<const COUNT: usize>(faults: [&str; COUNT]) -> Served {
        let certified =
            rcgen::generate_simple_self_signed(["guard.test".to_owned()]).expect("made");
        let ca = certified.cert.pem();
        let tls =
            tls::server_config(ca.as_bytes(), certified.signing_key.serialize_pem().as_bytes())
                .expect("a configuration");
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let faults = Faults::read(faults).expect("arguments");
        let guard = Guard::new("k7f3".to_owned(), client().await, faults);
        let server = tokio::spawn(serve(listener, tls, guard, async {
            stopped.await.ok();
        }));
        let trust = tls::client_config(Some(&ca), None).expect("a configuration");
        let peer = Peer::new(address, Some("guard.test"), Some(trust)).expect("a peer");
        Served { peer, address, stop, server }
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
    async fn it_says_that_it_is_ready_and_ends_when_asked() {
        let served = served().await;
        let request = Request::get("/readyz").body(Full::default()).expect("a request");
        assert_eq!(served.send(request).await.code, 200);
        served.stop.send(()).expect("still serving");
        served.server.await.expect("no panic").expect("a graceful end");
        assert!(TcpListener::bind(served.address).is_ok(), "the port is free again");
    }
}
