//! A request and its answer, and whether the API server itself gave it. The recorder (`examples/record`) has this file
//! among its own modules, so it uses `model` alone.

use std::error::Error;
use std::time::Duration;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;

use crate::model::{Silence, SilenceKind};

/// No request that is answered at all takes longer, short of a webhook's own timeout of 30 s.
pub const ANSWERING: Duration = Duration::from_secs(40);

/// Marks an answer that did not bring the Audit-ID of its request back.
#[derive(Clone)]
struct WithoutId;

/// The header with the id by which a request is found in the audit log. The API server puts it into each answer that it
/// gives itself, refusals of streams among them (`k8s.io/apiserver/pkg/endpoints/filters/audit_init.go`, measured on
/// 1.36.3).
pub const AUDIT_ID: &str = "Audit-ID";

/// Sends a request as it is, once.
pub async fn exchange(
    client: &Client,
    request: Request<Vec<u8>>,
) -> Result<Response<Body>, Silence> {
    let id = request.headers().get(AUDIT_ID).cloned();
    match tokio::time::timeout(ANSWERING, client.send(request.map(Body::from))).await {
        Ok(Ok(mut response)) => {
            let mut ids = response.headers().get_all(AUDIT_ID).iter();
            if id.is_some_and(|id| !ids.any(|it| it == id)) {
                response.extensions_mut().insert(WithoutId);
            }
            Ok(response)
        }
        Ok(Err(error)) => Err(silence_of(&error)),
        Err(_) => Err(silence(SilenceKind::TimedOut, "no answer from the API server")),
    }
}

/// Whether an answer did not bring the Audit-ID of its request back.
pub fn is_without_id(response: &Response<Body>) -> bool {
    response.extensions().get::<WithoutId>().is_some()
}

/// Why nothing came back; whether anybody listens is not shown by it.
pub fn silence(kind: SilenceKind, text: &str) -> Silence {
    Silence { kind, text: text.to_owned(), listener_proven: false }
}

/// Which sort of silence an error is, by its innermost cause.
fn silence_of(error: &kube::Error) -> Silence {
    let mut kind = SilenceKind::Cut;
    let mut words = error.to_string();
    let mut ground: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = ground {
        words = error.to_string();
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            kind = match error.kind() {
                std::io::ErrorKind::ConnectionRefused => SilenceKind::Refused,
                std::io::ErrorKind::TimedOut => SilenceKind::TimedOut,
                _ => kind,
            };
        }
        ground = error.source();
    }
    silence(kind, &words)
}
