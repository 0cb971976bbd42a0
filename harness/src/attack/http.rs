//! Requests to the API server: sent once, with this attempt's Audit-ID, and answered in our own words.

use std::error::Error;
use std::time::Duration;

use http::{HeaderMap, Request, Response as HttpResponse};
use http_body_util::{BodyExt, Limited};
use kube::Client;
use kube::client::Body;
use serde_json::Value;

use super::Attempt;
use crate::model::{
    Answer, ApiPath, LONGEST_MESSAGE, Method, Response, Sent, Silence, SilenceKind, query_values,
    verb,
};
use crate::text::cut;

/// No request that is answered at all takes longer, short of a webhook's own timeout of 30 s.
const PATIENCE: Duration = Duration::from_secs(40);

/// Of an answer no more than this is read.
const LONGEST_BODY: usize = 8 * 1024 * 1024;

/// Subresources that connect to something else, whose query is that something's.
const CONNECTING: [&str; 4] = ["exec", "attach", "portforward", "proxy"];

/// A request's body.
pub(super) struct Content {
    media_type: &'static str,
    bytes: Vec<u8>,
}

impl Content {
    /// An object, or a patch, as JSON.
    pub(super) fn json(media_type: &'static str, value: &Value) -> Self {
        Content { media_type, bytes: value.to_string().into_bytes() }
    }

    /// The same as YAML that is no JSON: JSON is YAML, and a comment is not JSON.
    pub(super) fn yaml(media_type: &'static str, value: &Value) -> Self {
        Content { media_type, bytes: format!("# YAML\n{value}\n").into_bytes() }
    }
}

/// The URI with which an object is sent: a field that the API server does not know is an error then, and not dropped.
fn strict(method: Method, uri: &str) -> String {
    let sends_object = matches!(method, Method::Post | Method::Put | Method::Patch)
        && ApiPath::parse(uri).is_some_and(|path| !CONNECTING.contains(&path.subresource.as_str()))
        && query_values(uri, "fieldValidation").is_empty();
    if !sends_object {
        return uri.to_owned();
    }
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}fieldValidation=Strict")
}

/// Objects come as metadata alone, so that no Secret's value ever reaches this process.
pub(super) fn metadata_only(method: Method, uri: &str) -> String {
    // A log is no object: asked for an object's metadata, the API server answers 500 (measured on 1.36).
    if ApiPath::parse(uri).is_some_and(|path| path.subresource == "log") {
        return "*/*".to_owned();
    }
    // What is deleted of a collection is answered as a list; asked for one object, the API server deletes it all the
    // same and answers 406 (measured on 1.36.3).
    let list = if matches!(verb(method, uri), "list" | "deletecollection") { "List" } else { "" };
    format!(
        "application/json;as=PartialObjectMetadata{list};g=meta.k8s.io;v=v1,application/json,*/*"
    )
}

impl Attempt<'_> {
    /// A request that carries this attempt's Audit-ID and nothing that it does not say.
    pub(super) fn request(&self, method: &str, uri: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(uri)
            .header("Audit-ID", self.audit_id)
            .header("User-Agent", self.user_agent)
    }

    /// Sends a request without a stream and reads its answer.
    pub(super) async fn ask(
        &self,
        method: Method,
        uri: &str,
        content: Option<Content>,
    ) -> (Sent, Answer) {
        let body = content.is_some();
        let uri = if body { strict(method, uri) } else { uri.to_owned() };
        let mut request =
            self.request(name(method), &uri).header("Accept", metadata_only(method, &uri));
        let mut bytes = Vec::new();
        if let Some(content) = content {
            request = request.header("Content-Type", content.media_type);
            bytes = content.bytes;
        }
        let answer = match self.exchange(request.body(bytes)).await {
            Ok(response) => read(response).await,
            Err(silence) => Answer::Nothing(silence),
        };
        let verb = verb(method, &uri);
        (Sent { body, ..self.sent(name(method), &uri, verb) }, answer)
    }

    /// Sends a request as it is.
    pub(super) async fn exchange(
        &self,
        request: http::Result<Request<Vec<u8>>>,
    ) -> Result<HttpResponse<Body>, Silence> {
        let request = request.map_err(|error| silence(SilenceKind::Broken, &error.to_string()))?;
        exchange(&self.identity.client, request).await
    }
}

/// Sends a request as it is, once.
pub async fn exchange(
    client: &Client,
    request: Request<Vec<u8>>,
) -> Result<HttpResponse<Body>, Silence> {
    match tokio::time::timeout(PATIENCE, client.send(request.map(Body::from))).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => Err(silence_of(&error)),
        Err(_) => Err(silence(SilenceKind::TimedOut, "no answer from the API server")),
    }
}

/// The method's name on the wire.
pub(super) fn name(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    }
}

/// Reads an answer to its end, as far as it is kept.
pub async fn read(response: HttpResponse<Body>) -> Answer {
    let code = response.status().as_u16();
    let flow_control = flow_control(response.headers());
    let collected =
        tokio::time::timeout(PATIENCE, Limited::new(response.into_body(), LONGEST_BODY).collect())
            .await;
    match collected {
        Ok(Ok(body)) => {
            Answer::Http(Response { flow_control, ..understand(code, &body.to_bytes()) })
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

fn silence(kind: SilenceKind, text: &str) -> Silence {
    Silence { kind, text: text.to_owned(), listener_proven: false }
}

/// Which sort of silence an error is, told by what lies at its ground.
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
    fn objects_are_asked_for_as_metadata_and_logs_as_they_are() {
        let pod = "/api/v1/namespaces/a/pods/p";
        assert!(metadata_only(Method::Get, pod).contains("PartialObjectMetadata;"));
        assert!(
            metadata_only(Method::Get, "/api/v1/secrets").contains("PartialObjectMetadataList;")
        );
        let all = metadata_only(Method::Delete, "/api/v1/namespaces/a/pods?labelSelector=a");
        assert!(all.contains("PartialObjectMetadataList;"));
        assert_eq!(metadata_only(Method::Get, &format!("{pod}/log?tailLines=1")), "*/*");
    }

    #[test]
    fn objects_are_sent_so_that_an_unknown_field_is_an_error() {
        let pods = "/api/v1/namespaces/a/pods";
        assert_eq!(strict(Method::Post, pods), format!("{pods}?fieldValidation=Strict"));
        assert_eq!(
            strict(Method::Patch, &format!("{pods}/p/status?dryRun=All")),
            format!("{pods}/p/status?dryRun=All&fieldValidation=Strict")
        );
        for (method, uri) in [
            (Method::Get, pods.to_owned()),
            (Method::Delete, format!("{pods}/p")),
            (Method::Post, format!("{pods}/p/exec?stdin=true")),
            (Method::Post, format!("{pods}/p/proxy/api/v1/pods")),
            (Method::Post, format!("{pods}?fieldValidation=Ignore")),
            (Method::Post, "/livez".to_owned()),
        ] {
            assert_eq!(strict(method, &uri), uri);
        }
    }

    #[test]
    fn a_yaml_body_is_no_json() {
        let body = Content::yaml("application/apply-patch+yaml", &serde_json::json!({"a": "b"}));
        assert!(serde_json::from_slice::<Value>(&body.bytes).is_err());
        let text = String::from_utf8(body.bytes).expect("text");
        assert_eq!(crate::catalog::documents(&text), Ok(vec![serde_json::json!({"a": "b"})]));
    }

    #[test]
    fn an_error_without_a_status_keeps_the_start_of_its_text() {
        let response = understand(502, b"<html>Bad Gateway</html>");
        assert_eq!(response.message, None);
        assert_eq!(response.text.as_deref(), Some("<html>Bad Gateway</html>"));
    }
}
