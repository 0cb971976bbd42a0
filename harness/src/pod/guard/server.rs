//! exec-guard over HTTPS: asks for the labels and answers the API server.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Json, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::post;
use axum::{Router, response};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionReview};
use kube::{Api, Client};
use rustls::ServerConfig;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::Faults;
use super::doorway::Doorway;
use super::rule::{Labels, LookUpError, PodName, Refusal, respond, screen, weigh};
use crate::lock::lock;

/// How long the look-up may take: less than the webhook's own timeout of 5 s, so that the one who is
/// refused reads our words and not the API server's.
const LOOK_UP: Duration = Duration::from_secs(3);

/// How large a review may be: four times what Linux takes as one argument of a command. To a larger one the API server
/// is answered 413, and refuses this one request.
const REVIEW_LIMIT: usize = 512 * 1024;

/// How many reviews are read and judged at a time, so that large ones cannot use up the memory. Others wait their turn.
const TURNS: usize = 32;

/// How long a review may take with its turn and the reading of its body: what the webhook's own timeout is.
const ANSWER: Duration = Duration::from_secs(5);

/// How long answers that are under way get when the server is asked to end.
const GRACE: Duration = Duration::from_secs(5);

/// The guard: which run it belongs to, and whom it asks for a pod's labels.
#[derive(Clone)]
pub struct Guard {
    run: String,
    client: Client,
    faults: Faults,
    turns: Arc<Semaphore>,
    // Stays empty unless it is a fault of this guard to remember.
    remembered: Arc<Mutex<BTreeMap<PodName, Labels>>>,
}

/// Serves `POST /validate` over HTTPS until `stop` ends, then finishes what is under way. `tls` must demand the API
/// server's certificate: any other client could learn the labels of every pod from the answers.
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
        .map(Doorway::new)
        .http1_only()
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
        .layer(DefaultBodyLimit::max(REVIEW_LIMIT))
        .layer(from_fn_with_state(guard.clone(), in_turn))
        .with_state(guard)
}

/// Gives each request its turn and its time.
async fn in_turn(
    State(guard): State<Guard>,
    request: Request,
    next: Next,
) -> Result<Response, StatusCode> {
    let answering = async {
        let _turn = guard.turns.acquire().await;
        next.run(request).await
    };
    timeout(ANSWER, answering).await.map_err(|_| StatusCode::REQUEST_TIMEOUT)
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
        let turns = Arc::new(Semaphore::new(TURNS));
        Guard { run, client, faults, turns, remembered: Arc::default() }
    }

    async fn judge(&self, request: &AdmissionRequest<DynamicObject>) -> Result<(), Refusal> {
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
        lock(&self.remembered).get(pod).cloned()
    }

    fn remember(&self, pod: PodName, labels: &Labels) {
        if self.faults.remembers() {
            let mut remembered = lock(&self.remembered);
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
mod tests;
