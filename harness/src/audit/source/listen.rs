//! The API server's audit webhook backend (`--audit-webhook-config-file`): it posts lists of events to us, as a client
//! with a certificate. Each event is handed on as a line. What a client sends that is no list of events is refused with
//! the reason, and noted: the API server does not send a refused batch again.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use http::{Method, Request};
use http_body_util::LengthLimitError;
use rustls::ServerConfig;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::stream::Sender;
use super::{Losses, SourceError, Stream};
use crate::input;
use crate::model::AuditListen;
use crate::pod::guard::Doorway;
use crate::pod::server_config_signed_by;

/// How large a batch may be. The API server cuts them at 10 MiB where it is told to cut
/// (`--audit-webhook-truncate-max-batch-size`); else a batch is up to 400 events (`--audit-webhook-batch-max-size`),
/// each of which may hold a request of 3 MiB and its answer, and hardly ever does.
const BATCH_LIMIT: usize = 64 * 1024 * 1024;

/// How many batches are read at a time, so that large ones cannot use up the memory. Others wait their turn.
const TURNS: usize = 4;

/// How long a batch may take with its turn: what the API server gives the request (client-go's webhook package).
const ANSWER: Duration = Duration::from_secs(30);

/// How long answers that are under way get when nobody reads the events any more.
const GRACE: Duration = Duration::from_secs(1);

/// How large a file with certificates or a key may be.
const PEM_LIMIT: u64 = 1024 * 1024;

/// A stream of what is posted, and where it can be posted to.
pub struct Listening {
    /// The events, one a line. Nobody listens any more when it is dropped.
    pub stream: Stream,
    /// The address, with the port that was chosen where the profile's is 0.
    pub address: SocketAddr,
}

/// Listens for the API server.
///
/// # Errors
/// When a certificate cannot be used, or the address.
pub async fn listen(served: &AuditListen) -> Result<Listening, SourceError> {
    let tls = server_config_signed_by(
        &pem("client-ca", &served.client_ca)?,
        &pem("certificate", &served.certificate)?,
        &pem("key", &served.key)?,
    )?;
    let wrong = |source| SourceError::Address { address: served.address, source };
    let listener = TcpListener::bind(served.address).map_err(wrong)?;
    listener.set_nonblocking(true).map_err(wrong)?;
    let address = listener.local_addr().map_err(wrong)?;
    let (sender, stream) = Stream::fed();
    let inlet = Inlet { sender, losses: stream.losses(), turns: Arc::new(Semaphore::new(TURNS)) };
    let server = serve(listener, tls, inlet.clone()).map_err(wrong)?;
    tokio::spawn(async move {
        if let Err(error) = server.await {
            // Where the reader is gone nobody wants to know.
            let _ = inlet.sender.send(Err(error)).await;
        }
    });
    Ok(Listening { stream, address })
}

fn pem(field: &'static str, path: &Path) -> Result<Vec<u8>, SourceError> {
    let wrong = |source| SourceError::Pem { field, path: PathBuf::from(path), source };
    input::read(path, PEM_LIMIT).map_err(wrong)
}

/// Serves until the events are not read any more.
fn serve(
    listener: TcpListener,
    tls: ServerConfig,
    inlet: Inlet,
) -> io::Result<impl Future<Output = io::Result<()>>> {
    let handle = Handle::new();
    let config = RustlsConfig::from_config(Arc::new(tls));
    let routes = Router::new().fallback(post).with_state(inlet.clone());
    let server = axum_server::from_tcp_rustls(listener, config)?
        .map(Doorway::new)
        .http1_only()
        .handle(handle.clone())
        .serve(routes.into_make_service());
    Ok(async move {
        tokio::pin!(server);
        tokio::select! {
            result = &mut server => return result,
            () = inlet.sender.closed() => handle.graceful_shutdown(Some(GRACE)),
        }
        server.await
    })
}

/// Where posted events go.
#[derive(Clone)]
struct Inlet {
    sender: Sender,
    losses: Losses,
    turns: Arc<Semaphore>,
}

/// Why a batch was not taken.
type Refusal = (StatusCode, String);

/// Answers 200 when the events of a batch are with the reader.
async fn post(State(inlet): State<Inlet>, request: Request<Body>) -> Result<(), Refusal> {
    if request.method() != Method::POST {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "expected POST".to_owned()));
    }
    let taking = timeout(ANSWER, inlet.take(request)).await;
    let late =
        || (StatusCode::REQUEST_TIMEOUT, format!("the batch was not taken within {ANSWER:?}"));
    let taken = taking.unwrap_or_else(|_| Err(late()));
    if let Err((code, why)) = &taken {
        inlet.losses.tell(format!(
            "a batch of audit events was answered {code}, and its events are missing: {why}"
        ));
    }
    taken
}

impl Inlet {
    async fn take(&self, request: Request<Body>) -> Result<(), Refusal> {
        let _turn = self.turns.acquire().await;
        let body = to_bytes(request.into_body(), BATCH_LIMIT).await.map_err(torn)?;
        let lines = lines(&body).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
        drop(body);
        let gone = |_| (StatusCode::SERVICE_UNAVAILABLE, "nobody reads events any more".to_owned());
        self.sender.send(Ok(lines)).await.map_err(gone)
    }
}

fn torn(error: axum::Error) -> Refusal {
    let error = error.into_inner();
    if error.is::<LengthLimitError>() {
        let why = format!("expected at most {} MiB of events", BATCH_LIMIT >> 20);
        return (StatusCode::PAYLOAD_TOO_LARGE, why);
    }
    (StatusCode::BAD_REQUEST, format!("the batch was not sent to its end: {error}"))
}

/// A list of events as it is posted (`audit.k8s.io/v1` EventList).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventList<'b> {
    kind: &'b str,
    api_version: &'b str,
    #[serde(borrow)]
    items: Vec<&'b RawValue>,
}

/// The events of a list, one a line. Between the tokens of JSON a line break is a space, and in them there is none.
fn lines(body: &[u8]) -> Result<Vec<u8>, String> {
    let expected = "expected a list of audit events, an EventList of audit.k8s.io/v1";
    let list: EventList<'_> =
        serde_json::from_slice(body).map_err(|error| format!("{expected}: {error}"))?;
    if (list.kind, list.api_version) != ("EventList", "audit.k8s.io/v1") {
        return Err(format!("{expected}, not {:?} of {:?}", list.kind, list.api_version));
    }
    if let Some(place) = list.items.iter().position(|item| !item.get().starts_with('{')) {
        return Err(format!("{expected}: item {place} is no object"));
    }
    let mut lines = Vec::with_capacity(body.len());
    for item in list.items {
        let spaced = item.get().bytes().map(|byte| if byte == b'\n' { b' ' } else { byte });
        lines.extend(spaced);
        lines.push(b'\n');
    }
    Ok(lines)
}

#[cfg(test)]
mod tests;
