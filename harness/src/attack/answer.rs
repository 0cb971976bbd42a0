//! Answers of the API server, in our own words: what attacks are judged by and the corpus records. The recorder
//! (`examples/record`) has this file among its own modules, so it uses `model`, `text` and the exchange alone.

use http::{HeaderMap, Response as HttpResponse};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde_json::Value;

use crate::cluster::{ANSWERING, is_without_id, silence};
use crate::model::{Answer, LONGEST_MESSAGE, Response, SilenceKind};
use crate::text::cut;

/// Of an answer no more than this is read.
const LONGEST_BODY: usize = 8 * 1024 * 1024;

/// Reads an answer to its end, as far as it is kept.
pub async fn read(response: HttpResponse<Body>) -> Answer {
    read_whole(response).await.0
}

/// The same, and what it holds; null where that is not all there, or no JSON. What is kept of a success shows no value.
pub async fn read_whole(response: HttpResponse<Body>) -> (Answer, Value) {
    let code = response.status().as_u16();
    let flow_control = flow_control(response.headers());
    let without_id = is_without_id(&response);
    let collected =
        tokio::time::timeout(ANSWERING, Limited::new(response.into_body(), LONGEST_BODY).collect())
            .await;
    let answer = match collected {
        Ok(Ok(body)) => {
            let body = body.to_bytes();
            let value = serde_json::from_slice(&body).unwrap_or_default();
            let understood = understand(code, &body, &value);
            let answer = Answer::Http(Response { flow_control, without_id, ..understood });
            return (answer, value);
        }
        // Whoever is let in is, whatever becomes of the rest.
        Ok(Err(_)) | Err(_) if (200..300).contains(&code) => {
            Answer::Http(Response { code, flow_control, without_id, ..Response::default() })
        }
        Ok(Err(error)) => {
            Answer::Nothing(silence(SilenceKind::Cut, &format!("{code}, then {error}")))
        }
        Err(_) => Answer::Nothing(silence(SilenceKind::TimedOut, "the answer does not end")),
    };
    (answer, Value::Null)
}

fn flow_control(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with("x-kubernetes-pf-"))
}

/// Of a success only kind and count are kept; of an error its Status, or the start of its text.
fn understand(code: u16, body: &[u8], value: &Value) -> Response {
    let text = |name: &str| value[name].as_str().map(|text| cut(text, LONGEST_MESSAGE));
    let response = Response { code, ..Response::default() };
    if (200..300).contains(&code) {
        let items = value["items"].as_array();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn understand(code: u16, body: &[u8]) -> Response {
        super::understand(code, body, &serde_json::from_slice(body).unwrap_or_default())
    }

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
