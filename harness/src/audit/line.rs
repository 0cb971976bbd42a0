//! A line of the log as it may be kept. What Secrets and tokens hold is left out, and so is whatever was read: the objects of
//! others may hold anything.

use std::sync::{Arc, LazyLock};

use regex::Regex;
use serde_json::{Map, Value};

use crate::text::without_credentials;

/// What stands in the place of what is left out.
pub(super) const LEFT_OUT: &str = "left out by brinell";

/// The bodies of an event.
const BODIES: [&str; 2] = ["requestObject", "responseObject"];

/// Resources, each with its subresource, whose bodies hold credentials.
const RESOURCES: [&str; 3] = ["secrets", "serviceaccounts/token", "tokenreviews"];

/// Kinds of objects that hold credentials, wherever they stand.
const KINDS: [&str; 4] = ["Secret", "SecretList", "TokenRequest", "TokenReview"];

/// Verbs that only read.
const READING: [&str; 3] = ["get", "list", "watch"];

/// The annotation in which kubectl keeps an object once more, as text.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What of a text looks like a credential: what follows `Bearer` or a query's parameter that is called so, a JSON Web Token,
/// and a bootstrap token (<https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/>).
static CREDENTIAL: LazyLock<Regex> = LazyLock::new(|| {
    let parts = [
        r"(?P<before>(?i:\bbearer[ +]+|[?&][a-z_-]*(?:token|secret|passw)[a-z_-]*=))[^&\s]+",
        r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]*",
        r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b",
    ];
    Regex::new(&parts.join("|")).expect("an expression of ours")
});

/// A name whose value is a credential.
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    let words = "token|secret|passw|passphrase|credential|private.?key|api.?key|access.?key|^authorization$";
    Regex::new(&format!("(?i)({words})")).expect("an expression of ours")
});

/// Whether it names a credential, and not where one is: `secretName`.
fn is_name(name: &str) -> bool {
    name == APPLIED || NAME.is_match(name) && !name.ends_with("Name")
}

/// The line of an event as it may be kept; `None` if it is none.
pub(super) fn keepable(line: &[u8], canaries: [&[u8]; 2]) -> Option<Arc<str>> {
    let Ok(Value::Object(mut event)) = serde_json::from_slice(line) else { return None };
    for &body in left_out(&event) {
        if let Some(body) = event.get_mut(body) {
            *body = LEFT_OUT.into();
        }
    }
    for body in BODIES {
        if let Some(body) = event.get_mut(body) {
            without_named(body);
        }
    }
    let mut event = Value::Object(event);
    without_texts(&mut event, canaries);
    Some(event.to_string().into())
}

/// The bodies that are left out whole.
fn left_out(event: &Map<String, Value>) -> &'static [&'static str] {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let of_object = |field: &str| text(event.get("objectRef").and_then(|object| object.get(field)));
    let (resource, subresource) = (of_object("resource"), of_object("subresource"));
    let holds = |known: &str| match known.split_once('/') {
        Some((of, sub)) => resource == of && subresource == sub,
        None => resource == known,
    };
    if RESOURCES.into_iter().any(holds) {
        return &BODIES;
    }
    match READING.contains(&text(event.get("verb")).as_str()) {
        true => &BODIES[1..],
        false => &[],
    }
}

/// Leaves out of a body objects of kinds that hold credentials, and values whose names say that they are some.
fn without_named(body: &mut Value) {
    match body {
        Value::Array(items) => items.iter_mut().for_each(without_named),
        Value::Object(fields) => {
            if fields.get("kind").and_then(Value::as_str).is_some_and(|kind| KINDS.contains(&kind))
            {
                *body = LEFT_OUT.into();
                return;
            }
            // An environment variable is a name and a value.
            let is_named = fields.get("name").and_then(Value::as_str).is_some_and(is_name);
            for (name, value) in fields.iter_mut() {
                match value {
                    Value::String(text) if is_name(name) || is_named && name == "value" => {
                        LEFT_OUT.clone_into(text);
                    }
                    value => without_named(value),
                }
            }
        }
        _ => {}
    }
}

/// Leaves out of every text what looks like a credential, and the whole of one that holds the canary or a key.
fn without_texts(value: &mut Value, canaries: [&[u8]; 2]) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| without_texts(item, canaries)),
        Value::Object(fields) => {
            fields.values_mut().for_each(|field| without_texts(field, canaries));
        }
        Value::String(text) => *text = harmless(text, canaries),
        _ => {}
    }
}

fn harmless(text: &str, canaries: [&[u8]; 2]) -> String {
    let holds = |canary: &[u8]| {
        !canary.is_empty() && memchr::memmem::find(text.as_bytes(), canary).is_some()
    };
    if canaries.into_iter().any(holds) || text.contains("PRIVATE KEY-----") {
        return LEFT_OUT.to_owned();
    }
    let replaced = CREDENTIAL.replace_all(text, format!("${{before}}{LEFT_OUT}"));
    without_credentials(&replaced)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What must not be kept, of each kind.
    const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl";
    const CANARY: &str = "c4n4ry";

    fn kept(event: &Value) -> String {
        let encoded = crate::text::base64(CANARY.as_bytes());
        let canaries = [CANARY.as_bytes(), encoded.as_bytes()];
        keepable(event.to_string().as_bytes(), canaries).expect("an event").to_string()
    }

    fn event(verb: &str, resource: &str, request: Value, response: Value) -> Value {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        json!({
            "kind": "Event", "auditID": "k7f3-1", "stage": "ResponseComplete", "verb": verb,
            "requestURI": "/api/v1/x?fieldSelector=metadata.name%3Dtokens",
            "objectRef": {"resource": resource, "subresource": subresource, "name": "token-of-mine"},
            "requestObject": request, "responseObject": response,
        })
    }

    #[test]
    fn what_secrets_and_tokens_hold_is_left_out() {
        let hidden = "hidden-value";
        let secret = json!({"kind": "Secret", "data": {"a": hidden}, "stringData": {"b": hidden}});
        let patch = json!([{"op": "add", "path": "/data/a", "value": hidden}]);
        let token = json!({"kind": "TokenRequest", "status": {"x": hidden}});
        let list = json!({"kind": "List", "items": [secret]});
        let pod = json!({"kind": "Pod", "spec": {"containers": [{"env": [{"name": "DB_PASSWORD", "value": hidden}]}]}});
        let map = json!({"kind": "ConfigMap", "data": {"apiKey": hidden, "client_secret": hidden}});
        for (verb, resource, body) in [
            ("create", "secrets", &secret),
            ("patch", "secrets", &patch),
            ("deletecollection", "secrets", &list),
            ("create", "serviceaccounts/token", &token),
            ("create", "tokenreviews", &json!({"spec": {"x": hidden}})),
            ("create", "things", &list),
            ("create", "pods", &pod),
            ("create", "configmaps", &map),
        ] {
            let line = kept(&event(verb, resource, body.clone(), body.clone()));
            assert!(!line.contains(hidden), "{line}");
            assert!(line.contains(LEFT_OUT) && line.contains("token-of-mine"), "{line}");
        }
    }

    #[test]
    fn what_was_read_is_left_out_and_what_was_sent_stays() {
        let others = json!({"kind": "PodList", "items": [{"metadata": {"name": "of-others"}}]});
        for verb in READING {
            let line = kept(&event(verb, "pods", json!({"kind": "Options"}), others.clone()));
            assert!(!line.contains("of-others") && line.contains("Options"), "{line}");
        }
        let spec = json!({"hostPID": true, "volumes": [{"secret": {"secretName": "of-mine"}}]});
        let pod = json!({"kind": "Pod", "metadata": {"name": "own"}, "spec": spec});
        let sent = event("create", "pods", pod.clone(), pod);
        assert_eq!(kept(&sent), sent.to_string());
    }

    #[test]
    fn nothing_that_looks_like_a_credential_is_left_in_any_text() {
        let encoded = crate::text::base64(CANARY.as_bytes());
        for text in [
            JWT.to_owned(),
            format!("command=curl&command=-H&command=Authorization:+Bearer+{JWT}"),
            format!("/x?access_token={JWT}&y=z"),
            "/x?token=abcdef0123456789&y=z".to_owned(),
            "bearer abcdef0123456789".to_owned(),
            "joined by abcdef.abcdef0123456789".to_owned(),
            format!("it held {CANARY}"),
            format!("it held {encoded}"),
            "-----BEGIN RSA PRIVATE KEY-----\nabcdef0123456789".to_owned(),
            "https://user:abcdef0123456789@proxy:3128/x".to_owned(),
        ] {
            let mut event = event("create", "pods", json!({"deep": [{"x": text}]}), Value::Null);
            event["annotations"] = json!({"a": text});
            event["requestURI"] = text.as_str().into();
            let line = kept(&event);
            for hidden in [JWT, "abcdef0123456789", CANARY, &encoded] {
                assert!(!line.contains(hidden), "{hidden} of {text:?} is in {line}");
            }
            assert!(line.contains("k7f3-1"), "{line}");
        }
        assert_eq!(harmless("/a?command=sh&stdin=true", [b"", b""]), "/a?command=sh&stdin=true");
    }

    #[test]
    fn what_is_no_event_is_not_kept() {
        for line in ["", "{", "[]", "7", "\u{0}"] {
            assert_eq!(keepable(line.as_bytes(), [b"", b""]), None);
        }
    }

    proptest! {
        #[test]
        fn wherever_a_token_stands_it_is_left_out(before in "[ -~]{0,20}", after in "[ &\"/]{0,3}") {
            let text = format!("{before} {JWT}{after}");
            let line = kept(&event("create", "pods", json!({"a": {"b": [text]}}), Value::Null));
            prop_assert!(!line.contains(JWT));
        }
    }
}
