//! Entries of Google Cloud's audit log. They are made of the Event and lose some of it: the URI, the stage, the level, the
//! groups and who is impersonated. In place of the HTTP status code stands a google.rpc code; the code itself is seen
//! only where the entry holds the API server's own Status. Annotations are the entry's labels.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Line, inner};
use crate::model::{ApiPath, Part};

/// What no entry shows.
const NEVER: [Part; 5] = [Part::Level, Part::Stage, Part::Uri, Part::Groups, Part::Impersonation];

/// The names of the google.rpc codes, by their numbers
/// (<https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto>).
const RPC_CODES: &str = "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS \
                         PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE \
                         UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED";

/// An entry of the log.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    operation: Operation,
    proto_payload: Payload,
    labels: Option<BTreeMap<String, String>>,
    timestamp: String,
}

#[derive(Deserialize)]
struct Operation {
    /// The Audit-ID.
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    /// `io.k8s.core.v1.pods.exec.create`; `io.k8s.get` for a path without a resource.
    method_name: String,
    /// `core/v1/namespaces/NAMESPACE/pods/NAME/exec`.
    #[serde(default)]
    resource_name: String,
    #[serde(default)]
    status: Status,
    #[serde(default)]
    authentication_info: Authentication,
    #[serde(default)]
    request_metadata: Metadata,
    request: Option<Value>,
    response: Option<Value>,
}

/// A google.rpc Status.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: usize,
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Authentication {
    principal_email: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    caller_supplied_user_agent: String,
}

/// The line that an entry holds. Entries of other services are none of this log.
pub(super) fn line(element: &[u8]) -> Option<Line> {
    let Entry { operation, proto_payload: payload, labels, timestamp } =
        serde_json::from_slice(element).ok()?;
    let method = payload.method_name.strip_prefix("io.k8s.")?;
    let mut unshown = BTreeSet::from(NEVER);
    let status = status(&payload, &mut unshown);
    let user = payload.authentication_info.principal_email;
    // Where a read was denied the name may be taken out.
    if user.is_empty() || user.to_lowercase().contains("redacted") {
        unshown.insert(Part::User);
    }
    if labels.is_none() {
        unshown.insert(Part::Annotations);
    }
    let mut event = fields(json!({
        "auditID": operation.id,
        "requestReceivedTimestamp": timestamp,
        // It held at least so much.
        "level": level(payload.request.is_some(), payload.response.is_some()),
        "stage": "",
        "verb": method.rsplit('.').next().unwrap_or_default(),
        "requestURI": "",
        "user": {"username": user},
        "userAgent": payload.request_metadata.caller_supplied_user_agent,
        "responseStatus": status,
        "annotations": labels.unwrap_or_default(),
    }));
    event.extend(object(method, &payload.resource_name).map(|it| ("objectRef".to_owned(), it)));
    event.extend(payload.request.map(|body| ("requestObject".to_owned(), body)));
    event.extend(payload.response.map(|body| ("responseObject".to_owned(), body)));
    Some(inner::event_line(event, unshown))
}

fn fields(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn level(has_request: bool, has_answer: bool) -> &'static str {
    match (has_request, has_answer) {
        (_, true) => "RequestResponse",
        (true, false) => "Request",
        (false, false) => "Metadata",
    }
}

/// The API server's own Status where the entry holds one with a code, or what the google.rpc Status tells.
fn status(payload: &Payload, unshown: &mut BTreeSet<Part>) -> Value {
    let own = payload.response.as_ref().filter(|answer| answer["kind"] == "Status");
    if let Some(own) = own.filter(|own| own["code"].is_u64()) {
        let text = |field: &str| own[field].as_str().unwrap_or_default();
        return json!({"code": own["code"], "reason": text("reason"), "message": text("message")});
    }
    unshown.extend([Part::Code, Part::Words]);
    let Status { code, message } = &payload.status;
    json!({"code": 0, "reason": RPC_CODES.split(' ').nth(*code).unwrap_or("UNKNOWN"), "message": message})
}

/// The object, from its name: a path of the API without its beginning.
fn object(method: &str, name: &str) -> Option<Value> {
    // A method without a group is of no resource.
    method.contains('.').then_some(())?;
    let uri = match name.strip_prefix("core/") {
        Some(rest) => format!("/api/{rest}"),
        None => format!("/apis/{name}"),
    };
    let ApiPath { group, namespace, resource, name, subresource, .. } = ApiPath::parse(&uri)?;
    Some(json!({
        "apiGroup": group, "namespace": namespace, "resource": resource, "name": name,
        "subresource": subresource,
    }))
}
