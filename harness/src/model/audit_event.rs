//! The audit event as the API server writes it (`audit.k8s.io/v1` Event), cut to what a verdict rests on.
//! No body is kept, nor what a webhook changed in one: what a Secret holds must not reach a report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Level;

/// What stands in the place of what is left out.
pub const LEFT_OUT: &str = "left out by brinell";

/// What the annotations of an event begin with in which the API server writes what a webhook changed
/// (`k8s.io/apiserver/pkg/admission/plugin/webhook/mutating`): the whole JSON patch, with whatever webhooks put into objects.
const PATCHES: &str = "patch.webhook.admission.k8s.io/";

/// Whether an annotation of an event holds what a webhook changed.
pub fn is_patch(annotation: &str) -> bool {
    annotation.starts_with(PATCHES)
}

/// As whom all controllers act where they have no accounts of their own: kube-controller-manager without
/// `--use-service-account-credentials`.
pub const CONTROLLER_MANAGER: &str = "system:kube-controller-manager";

/// One event, one stage.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// The id that the client sent.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// How much the event holds.
    pub level: Level,
    /// When in the life of the request it was written.
    pub stage: String,
    /// The API server's verb.
    pub verb: String,
    /// Path and query.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    /// Who called.
    #[serde(default)]
    pub user: User,
    /// Who the caller acted as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impersonated_user: Option<User>,
    /// What the client calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// What it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_ref: Option<ObjectRef>,
    /// What was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_status: Option<ResponseStatus>,
    /// What the layers wrote down. Of what webhooks changed only that they did is kept.
    #[serde(
        default,
        deserialize_with = "without_patches",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
    /// Whether the event holds the request's body. Only the fact is kept.
    #[serde(default, deserialize_with = "present")]
    pub request_object: bool,
    /// Whether the event holds the answer's body. Only the fact is kept.
    #[serde(default, deserialize_with = "present")]
    pub response_object: bool,
    /// The attempt whose label (`brinell.dev/attempt`) the request's body carries. Read of controllers' events only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
    /// When the API server got the request (RFC 3339).
    #[serde(default)]
    pub request_received_timestamp: String,
    /// What the log that it was read from does not show of it. Its field is empty or a guess then, and says nothing. The
    /// API server's own log shows everything.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unshown: BTreeSet<Part>,
    /// The line that it was read from, where lines are kept (`--keep-evidence`), without what Secrets and tokens hold. It is
    /// no part of results.
    #[serde(skip)]
    pub line: Option<Arc<str>>,
}

/// A part of an event that a log may not show.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// How much the event holds.
    Level,
    /// When in the life of the request it was written.
    Stage,
    /// The API server's verb.
    Verb,
    /// Path and query.
    Uri,
    /// Who called.
    User,
    /// The groups of who called.
    Groups,
    /// Who the caller acted as.
    Impersonation,
    /// What it was about.
    Object,
    /// The HTTP status code.
    Code,
    /// The words of the answer.
    Words,
    /// What the layers wrote down.
    Annotations,
    /// The request's body.
    RequestBody,
    /// The answer's body.
    AnswerBody,
}

impl Part {
    /// As a sentence names it.
    pub fn label(self) -> &'static str {
        match self {
            Part::Level => "the level",
            Part::Stage => "the stage",
            Part::Verb => "the verb",
            Part::Uri => "the URI with its query",
            Part::User => "the user",
            Part::Groups => "the groups",
            Part::Impersonation => "who is impersonated",
            Part::Object => "the object",
            Part::Code => "the code",
            Part::Words => "the words of the answer",
            Part::Annotations => "the annotations",
            Part::RequestBody => "the request's body",
            Part::AnswerBody => "the answer's body",
        }
    }
}

impl Event {
    /// Whether the log that it was read from shows this part of it.
    pub fn shows(&self, part: Part) -> bool {
        !self.unshown.contains(&part)
    }

    /// Whether it is the same event as another one, which a source may deliver twice. A request that is forwarded has
    /// one Audit-ID in two API servers, and two events.
    pub fn is_same(&self, other: &Event) -> bool {
        let code = |event: &Event| event.response_status.as_ref().map(|status| status.code);
        self.audit_id == other.audit_id
            && self.stage == other.stage
            && self.request_received_timestamp == other.request_received_timestamp
            && self.request_uri == other.request_uri
            && code(self) == code(other)
    }

    /// Whether it says how the request ended. Where its log does not tell stages apart, that an answer stands in it says so.
    /// Of a request that nobody was authenticated for there is no other event than that its answer began (measured on
    /// 1.36.3).
    pub fn is_answered(&self) -> bool {
        let refused = self.response_status.as_ref().is_some_and(|status| status.code >= 400);
        match self.stage.as_str() {
            "ResponseComplete" | "Panic" => true,
            "ResponseStarted" => refused,
            _ => {
                !self.shows(Part::Stage)
                    && (self.response_status.is_some() || !self.shows(Part::Code))
            }
        }
    }

    /// Whether it tells that something was made and not what: it has neither a name nor a body.
    pub fn is_nameless(&self) -> bool {
        let made = self.response_status.as_ref().is_some_and(ResponseStatus::is_success);
        let named = self.object_ref.as_ref().is_some_and(|object| !object.name.is_empty());
        made && !named && !self.request_object && self.attempt.is_none()
    }
}

/// A user, as an event names one.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct User {
    /// The name; empty where nobody was authenticated.
    #[serde(default)]
    pub username: String,
    /// The groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// The object of a request.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectRef {
    /// Plural resource name.
    pub resource: String,
    /// Namespace, where it has one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name, where the request names one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// API group; empty for the core group.
    #[serde(rename = "apiGroup", skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    /// Subresource, where the request names one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
}

/// The answer, as an event keeps it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResponseStatus {
    /// HTTP status code; 0 where the log does not show it.
    pub code: u16,
    /// `Status.reason`, where the API server itself made the Status; the name of the google.rpc code where the log has
    /// that instead of the HTTP status code.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// `Status.message`, where the API server itself made the Status.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl ResponseStatus {
    /// The name of the google.rpc code of what was carried out.
    pub const RPC_OK: &str = "OK";

    /// Whether the request was carried out.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.code) || self.code == 0 && self.reason == Self::RPC_OK
    }
}

/// Annotations, without what webhooks changed.
fn without_patches<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let mut annotations = BTreeMap::<String, String>::deserialize(deserializer)?;
    for (_, patch) in annotations.iter_mut().filter(|(key, _)| is_patch(key)) {
        LEFT_OUT.clone_into(patch);
    }
    Ok(annotations)
}

/// True for any body, and for the `true` that a report of ours holds.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    /// Either a body, of which nothing is kept, or what an earlier report wrote.
    struct Presence;
    impl<'de> serde::de::Visitor<'de> for Presence {
        type Value = bool;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a body or a boolean")
        }
        fn visit_bool<E>(self, value: bool) -> Result<bool, E> {
            Ok(value)
        }
        fn visit_unit<E>(self) -> Result<bool, E> {
            Ok(false)
        }
        fn visit_str<E>(self, _: &str) -> Result<bool, E> {
            Ok(true)
        }
        // A JSON patch is a list.
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
            while list.next_element::<serde::de::IgnoredAny>()?.is_some() {}
            Ok(true)
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
            while map.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {}
            Ok(true)
        }
    }
    deserializer.deserialize_any(Presence)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_webhook_changed_is_left_out_of_what_is_read() {
        let key = format!("{PATCHES}round_0_index_1");
        let patch = json!({
            "configuration": "injector", "webhook": "inject.example.com", "patchType": "JSONPatch",
            "patch": [{
                "op": "add", "path": "/spec/containers/0/env",
                "value": [{"name": "DB_PASSWORD", "value": "hidden-value"}],
            }],
        });
        let event: Event = serde_json::from_value(json!({
            "auditID": "k7f3-1", "level": "Metadata", "stage": "ResponseComplete", "verb": "create",
            "requestURI": "/api/v1/namespaces/x/pods",
            "annotations": {key.as_str(): patch.to_string(), "authorization.k8s.io/decision": "allow"},
        }))
        .expect("an event");
        assert_eq!(event.annotations[&key], LEFT_OUT);
        assert_eq!(event.annotations["authorization.k8s.io/decision"], "allow");
        assert!(!serde_json::to_string(&event).expect("JSON").contains("hidden-value"));
    }
}
