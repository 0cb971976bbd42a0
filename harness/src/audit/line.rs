//! A line of the log as it may be kept. What Secrets and tokens hold is left out, and so is whatever the cluster gave:
//! the objects of others may hold anything, and webhooks put into ours what they like.

use std::sync::{Arc, LazyLock};

use regex::Regex;
use serde_json::{Map, Value};

use crate::model::{LEFT_OUT, is_patch};
use crate::text::without_credentials;

/// What was sent, and what was answered.
const REQUEST: &str = "requestObject";
const RESPONSE: &str = "responseObject";

/// Resources, each with its subresource, of which what is sent holds credentials.
const RESOURCES: [&str; 3] = ["secrets", "serviceaccounts/token", "tokenreviews"];

/// Kinds of objects that hold credentials, wherever they stand.
const KINDS: [&str; 4] = ["Secret", "SecretList", "TokenRequest", "TokenReview"];

/// The annotation in which kubectl keeps an object once more, as text.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Fields of the API that are called as a credential is and say where one is.
const PLACES: [&str; 6] =
    ["imagePullSecrets", "secret", "secretKeyRef", "secretRef", "secrets", "serviceAccountToken"];

/// What a credential is called.
const WORDS: &str = "token|secret|passw|passphrase|credential|private.?key|api.?key|access.?key|key-data|dockerconfig";

/// What of a text looks like a credential: what follows `Bearer` or `Basic` or something that is called so, written as
/// it is or as in a URI, a JSON Web Token, and a bootstrap token
/// (<https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/>).
static CREDENTIAL: LazyLock<Regex> = LazyLock::new(|| {
    let schemes = r"bearer(?:[ +]|%20)+|authorization(?::|%3A)(?:[ +]|%20)*basic(?:[ +]|%20)+";
    let named = format!("[a-z0-9_.-]*(?:{WORDS})[a-z0-9_.-]*(?:=|%3D)");
    let parts = [
        format!(r"(?P<before>(?i:{schemes}|{named}))[^&\s]+"),
        r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]*".to_owned(),
        r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b".to_owned(),
    ];
    Regex::new(&parts.join("|")).expect("an expression of ours")
});

/// A name whose value is a credential.
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(&format!("(?i)({WORDS}|^auth$|^authorization$)")).expect("an expression of ours")
});

/// Whether it names a credential, and not where one is: `secretName`.
fn is_name(name: &str) -> bool {
    name == APPLIED || NAME.is_match(name) && !name.ends_with("Name") && !PLACES.contains(&name)
}

/// The line of an event as it may be kept; `None` if it is none.
pub(super) fn keepable(line: &[u8], canaries: [&[u8]; 2]) -> Option<Arc<str>> {
    let Ok(Value::Object(mut event)) = serde_json::from_slice(line) else { return None };
    let holds_credentials = holds_credentials(&event);
    if let Some(sent) = event.get_mut(REQUEST) {
        match holds_credentials {
            true => *sent = LEFT_OUT.into(),
            false => without_named(sent),
        }
    }
    // A Status is what the API server says itself.
    if let Some(answer) = event.get_mut(RESPONSE).filter(|answer| answer["kind"] != "Status") {
        *answer = LEFT_OUT.into();
    }
    let notes = event.get_mut("annotations").and_then(Value::as_object_mut);
    for (_, note) in notes.into_iter().flatten().filter(|(name, _)| is_patch(name)) {
        *note = LEFT_OUT.into();
    }
    for user in ["user", "impersonatedUser"] {
        let extra = event.get_mut(user).and_then(|user| user.get_mut("extra"));
        extra.into_iter().for_each(hide);
    }
    let mut event = Value::Object(event);
    without_texts(&mut event, canaries);
    Some(event.to_string().into())
}

/// Whether what is sent holds credentials, or what it is of is not shown.
fn holds_credentials(event: &Map<String, Value>) -> bool {
    let of_object = |field: &str| {
        let object = event.get("objectRef").and_then(|object| object.get(field));
        object.and_then(Value::as_str).unwrap_or_default()
    };
    let (resource, subresource) = (of_object("resource"), of_object("subresource"));
    let is_of = |known: &str| match known.split_once('/') {
        Some((of, sub)) => resource == of && subresource == sub,
        None => resource == known,
    };
    resource.is_empty() || RESOURCES.into_iter().any(is_of)
}

/// Leaves out of a body objects of kinds that hold credentials, and values whose names say that they are some; also of
/// one that is written as text within it.
fn without_named(body: &mut Value) {
    match body {
        Value::Array(items) => items.iter_mut().for_each(without_named),
        Value::Object(fields) => {
            if fields.get("kind").and_then(Value::as_str).is_some_and(|kind| KINDS.contains(&kind))
            {
                *body = LEFT_OUT.into();
                return;
            }
            // An environment variable is a name and a value, an operation of a JSON patch a path and a value.
            let names = ["name", "path"].map(|field| fields.get(field).and_then(Value::as_str));
            let mut names = names.iter().flatten().filter_map(|name| name.rsplit('/').next());
            let is_named = names.any(is_name);
            for (name, value) in fields.iter_mut() {
                match is_name(name) || is_named && name == "value" {
                    true => hide(value),
                    false => without_named(value),
                }
            }
        }
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => {
            let Ok(within) = serde_json::from_str::<Value>(text) else { return };
            let mut kept = within.clone();
            without_named(&mut kept);
            if kept != within {
                *text = kept.to_string();
            }
        }
        _ => {}
    }
}

/// Leaves out every value below; whether something is so is none.
fn hide(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Object(fields) => fields.values_mut().for_each(hide),
        Value::String(_) | Value::Number(_) => *value = LEFT_OUT.into(),
        Value::Bool(_) | Value::Null => {}
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

/// How every PEM document begins in Base64.
const ENCODED_PEM: &str = "LS0tLS1CRUdJTi";

fn harmless(text: &str, canaries: [&[u8]; 2]) -> String {
    let holds = |canary: &[u8]| {
        !canary.is_empty() && memchr::memmem::find(text.as_bytes(), canary).is_some()
    };
    let is_key = text.contains("PRIVATE KEY-----") || text.contains(ENCODED_PEM);
    if is_key || canaries.into_iter().any(holds) {
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
            ("patch", "", &patch),
            (
                "patch",
                "configmaps",
                &json!([{"op": "add", "path": "/data/password", "value": hidden}]),
            ),
            (
                "create",
                "configmaps",
                &json!({"data": {"a.json": format!("{{\"password\":\"{hidden}\"}}")}}),
            ),
            (
                "create",
                "configmaps",
                &json!({"data": {"passwords": [hidden], "token": {"a": hidden}, "auth": hidden}}),
            ),
            ("create", "pods", &pod),
            ("create", "configmaps", &map),
        ] {
            let line = kept(&event(verb, resource, body.clone(), body.clone()));
            assert!(!line.contains(hidden), "{line}");
            assert!(line.contains(LEFT_OUT) && line.contains("token-of-mine"), "{line}");
        }
    }

    #[test]
    fn what_the_cluster_gave_is_left_out_and_what_was_sent_stays() {
        let spec = json!({
            "hostPID": true, "automountServiceAccountToken": false,
            "volumes": [{"secret": {"secretName": "of-mine"}}],
        });
        let sent = json!({"kind": "Pod", "metadata": {"name": "own"}, "spec": spec});
        let given = json!({"kind": "PodList", "items": [{"metadata": {"name": "of-others"}}]});
        let mut both = event("create", "pods", sent.clone(), given.clone());
        both["annotations"] =
            json!({"patch.webhook.admission.k8s.io/round_0_index_0": "of-others", "a": "b"});
        both["user"] = json!({"username": "jane", "extra": {"assertion": ["of-others"]}});
        let line = kept(&both);
        assert!(!line.contains("of-others") && line.contains("jane"), "{line}");
        let refused = json!({"kind": "Status", "message": "pods \"own\" is forbidden"});
        let refused = event("create", "pods", sent, refused);
        assert_eq!(kept(&refused), refused.to_string());
    }

    #[test]
    fn a_command_in_a_uri_keeps_its_words_and_not_its_credentials() {
        let hidden = "hidden-value";
        for word in [
            format!("Authorization: Bearer {hidden}"),
            format!("Authorization: Basic {hidden}"),
            format!("--password={hidden}"),
            format!("PGPASSWORD={hidden}"),
            format!("api_key={hidden}"),
        ] {
            let text =
                format!("/exec?command=curl&command={}&stdin=true", crate::text::encode(&word));
            for text in [text, word] {
                let left = harmless(&text, [b"", b""]);
                assert!(!left.contains(hidden) && left.contains(LEFT_OUT), "{text}: {left}");
            }
        }
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
