//! Requests to the API server: sent once, with this attempt's Audit-ID.

use http::{Request, Response as HttpResponse};
use kube::client::Body;
use serde_json::Value;

use super::Attempt;
use super::answer::read_whole;
use crate::cluster::{AUDIT_ID, exchange, silence};
use crate::model::{Answer, ApiPath, Method, Sent, Silence, SilenceKind, query_values, verb};

/// Subresources that connect to something else, which gets the query of such a request.
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

    /// An object, or a patch, as YAML that is no JSON: JSON is YAML, and a comment is not JSON.
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
    with_query(uri, "fieldValidation=Strict")
}

/// A URI with more in its query.
pub(super) fn with_query(uri: &str, more: &str) -> String {
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{more}")
}

/// A path without its query.
pub(super) fn plain(path: &str) -> &str {
    path.split('?').next().unwrap_or_default().trim_end_matches('/')
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
    /// The beginning of a request, with this attempt's Audit-ID and User-Agent.
    pub(super) fn request(&self, method: &str, uri: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(uri)
            .header(AUDIT_ID, self.audit_id)
            .header("User-Agent", self.user_agent)
    }

    /// Sends a request without a stream and reads its answer.
    pub(super) async fn ask(
        &self,
        method: Method,
        uri: &str,
        content: Option<Content>,
    ) -> (Sent, Answer) {
        let (sent, answer, _) =
            self.ask_for(&metadata_only(method, uri), method, uri, content).await;
        (sent, answer)
    }

    /// The same, and the object that comes, in the form that is accepted.
    pub(super) async fn ask_for(
        &self,
        accept: &str,
        method: Method,
        uri: &str,
        content: Option<Content>,
    ) -> (Sent, Answer, Value) {
        let body = content.is_some();
        let uri = if body { strict(method, uri) } else { uri.to_owned() };
        let mut request = self.request(name(method), &uri).header("Accept", accept);
        let mut bytes = Vec::new();
        if let Some(content) = content {
            request = request.header("Content-Type", content.media_type);
            bytes = content.bytes;
        }
        let (answer, object) = match self.exchange(request.body(bytes)).await {
            Ok(response) => read_whole(response).await,
            Err(silence) => (Answer::Nothing(silence), Value::Null),
        };
        let verb = verb(method, &uri);
        (Sent { body, ..self.sent(name(method), &uri, verb) }, answer, object)
    }

    /// Sends a request as it is.
    pub(super) async fn exchange(
        &self,
        request: http::Result<Request<Vec<u8>>>,
    ) -> Result<HttpResponse<Body>, Silence> {
        let request = request.map_err(|error| silence(SilenceKind::Broken, &error.to_string()))?;
        let client = match self.wire {
            Some(wire) => wire.client().await?,
            None => &self.identity.client,
        };
        exchange(client, request).await
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
