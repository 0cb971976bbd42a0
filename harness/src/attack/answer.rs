//! Answers of the API server, in our own words: what attacks are judged by and the corpus records. The recorder
//! (`examples/record`) has this file among its own modules, so it uses `model` and `text` alone.

use std::error::Error;
use std::time::Duration;

use http::{HeaderMap, Request, Response as HttpResponse};
use http_body_util::{BodyExt, Limited};
use kube::Client;
use kube::client::Body;
use serde_json::Value;

use crate::model::{Answer, LONGEST_MESSAGE, Response, Silence, SilenceKind};
use crate::text::cut;

/// No request that is answered at all takes longer, short of a webhook's own timeout of 30 s.
const PATIENCE: Duration = Duration::from_secs(40);

/// Of an answer no more than this is read.
const LONGEST_BODY: usize = 8 * 1024 * 1024;

/// Marks an answer that did not bring the Audit-ID of its request back.
#[derive(Clone)]
struct WithoutId;

/// The header with the id by which a request is found in the audit log. The API server puts it into each answer that it gives
/// itself, refusals of streams among them (`k8s.io/apiserver/pkg/endpoints/filters/audit_init.go`, measured on 1.36.3).
const AUDIT_ID: &str = "Audit-ID";

/// Sends a request as it is, once.
pub async fn exchange(
    client: &Client,
    request: Request<Vec<u8>>,
) -> Result<HttpResponse<Body>, Silence> {
    let id = request.headers().get(AUDIT_ID).cloned();
    match tokio::time::timeout(PATIENCE, client.send(request.map(Body::from))).await {
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
pub fn is_without_id(response: &HttpResponse<Body>) -> bool {
    response.extensions().get::<WithoutId>().is_some()
}

/// Reads an answer to its end, as far as it is kept.
pub async fn read(response: HttpResponse<Body>) -> Answer {
    let code = response.status().as_u16();
    let flow_control = flow_control(response.headers());
    let without_id = is_without_id(&response);
    let collected =
        tokio::time::timeout(PATIENCE, Limited::new(response.into_body(), LONGEST_BODY).collect())
            .await;
    match collected {
        Ok(Ok(body)) => {
            let understood = understand(code, &body.to_bytes());
            Answer::Http(Response { flow_control, without_id, ..understood })
        }
        // Whoever is let in is, whatever becomes of the rest.
        Ok(Err(_)) | Err(_) if (200..300).contains(&code) => {
            Answer::Http(Response { code, flow_control, without_id, ..Response::default() })
        }
        Ok(Err(error)) => {
            Answer::Nothing(silence(SilenceKind::Cut, &format!("{code}, then {error}")))
        }
        Err(_) => Answer::Nothing(silence(SilenceKind::TimedOut, "the answer does not end")),
    }
}

fn flow_control(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with("x-kubernetes-pf-"))
}

/// Of a success only kind and count are kept; of an error its Status, or the start of its text.
fn understand(code: u16, body: &[u8]) -> Response {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    let text = |name: &str| {
        value.as_ref().and_then(|value| value[name].as_str()).map(|text| cut(text, LONGEST_MESSAGE))
    };
    let response = Response { code, ..Response::default() };
    if (200..300).contains(&code) {
        let items = value.as_ref().and_then(|value| value["items"].as_array());
        return Response { kind: text("kind"), count: items.map(Vec::len), ..response };
    }
    if text("kind").as_deref() == Some("Status") {
        return Response {
            reason: text("reason"),
            message: Some(text("message").unwrap_or_default()),
            ..response
        };
    }
    Response { text: Some(cut(&String::from_utf8_lossy(body), 512)), ..response }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_success_no_value_is_kept() {
        let body = br#"{"kind":"SecretList","items":[{"data":{"password":"aHVudGVyMg=="}}]}"#;
        let response = understand(200, body);
        assert_eq!(response.kind.as_deref(), Some("SecretList"));
        assert_eq!(response.count, Some(1));
        assert!(!format!("{response:?}").contains("aHVudGVyMg"));
    }

    #[test]
    fn an_error_without_a_status_keeps_the_start_of_its_text() {
        let response = understand(502, b"<html>Bad Gateway</html>");
        assert_eq!(response.message, None);
        assert_eq!(response.text.as_deref(), Some("<html>Bad Gateway</html>"));
    }
}
