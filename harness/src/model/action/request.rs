//! Any request to the API server.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Door, Facts, Need};
use crate::model::{ApiPath, is_built_in, query_values};

/// Any request to the API server. Lists should say `limit=1`; of a 2xx answer only kind and count are kept.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// The path with its query. `${node}` stands for the node's name, `${unique}` for a name that is the same in all
    /// attempts of the scenario and in no other scenario.
    pub path: String,
    /// Which sort of patch a PATCH sends. Without it a strategic merge, which only built-in kinds know.
    #[serde(default)]
    pub patch: Option<Patch>,
    /// The body, with the same substitutions; of a JSON patch a list.
    #[serde(default)]
    pub body: Option<Value>,
}

/// A sort of PATCH
/// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Patch {
    /// A part of the object; lists are merged by their keys. For built-in kinds only.
    Strategic,
    /// A part of the object; lists are replaced (RFC 7396).
    Merge,
    /// A list of operations (RFC 6902).
    Json,
    /// Server-side apply: what is meant to be there, made where it is not. Sent as JSON and as YAML.
    Apply,
}

impl Patch {
    /// As Content-Type names it.
    pub fn media_type(self) -> &'static str {
        match self {
            Patch::Strategic => "application/strategic-merge-patch+json",
            Patch::Merge => "application/merge-patch+json",
            Patch::Json => "application/json-patch+json",
            Patch::Apply => "application/apply-patch+yaml",
        }
    }
}

impl Request {
    /// What may stand between `${` and `}` in its path and its body.
    pub const SUBSTITUTIONS: [&str; 2] = ["node", "unique"];

    /// What brinell must know of it beside how it is sent.
    pub fn facts(&self) -> Facts {
        Facts {
            doors: match self.patch {
                Some(Patch::Apply) => &[Door::Apply, Door::ApplyYaml],
                _ => &[Door::Direct],
            },
            needs: match is_forwarded(&self.path) {
                true => &[Need::RealNode, Need::PodNetwork],
                false => &[],
            },
            waits: self.path.contains("timeoutSeconds="),
            is_logged: true,
            prints: false,
            settles: (self.method != Method::Get).then(|| settles(&self.path)),
            by_controller: false,
        }
    }

    /// What it is meant to do to what is stored.
    pub fn aim(&self) -> Aim {
        let Some(path) = ApiPath::parse(&self.path).filter(is_stored) else { return Aim::Other };
        let is_named = !path.name.is_empty();
        match self.method {
            _ if self.is_dry_run() => Aim::Other,
            Method::Post if !is_named => Aim::Make,
            // Some kinds are made by PUT, and every kind by server-side apply, where the name is free.
            Method::Put if is_named => Aim::MakeOrChange,
            Method::Patch if is_named && self.patch == Some(Patch::Apply) => Aim::MakeOrChange,
            Method::Delete => Aim::Delete,
            Method::Get | Method::Post | Method::Put | Method::Patch => Aim::Other,
        }
    }

    /// Whether it is decided about and then not carried out. Who answers for an API group that is not built in may not know
    /// of that, and what is no object does not: `PUT /debug/flags/v` sets what it is asked to, whatever its query
    /// (`k8s.io/apiserver/pkg/server/routes/flags.go`).
    pub fn is_dry_run(&self) -> bool {
        let is_known = ApiPath::parse(&self.path).is_some_and(|path| is_built_in(&path.group));
        is_known && self.asks_dry_run()
    }

    /// Whether it asks not to be carried out. A DELETE with a body takes its options from there alone; every other request
    /// has them in its query.
    pub fn asks_dry_run(&self) -> bool {
        match &self.body {
            Some(body) if self.method == Method::Delete => {
                body["dryRun"].as_array().is_some_and(|values| !values.is_empty())
            }
            _ => {
                let values = query_values(&self.path, "dryRun");
                !values.is_empty() && values.iter().all(|value| value == "All")
            }
        }
    }
}

/// What a request is meant to do to what is stored, as far as it can be seen afterwards. Of an object that was there
/// before, it cannot be seen who changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// It makes an object in a collection.
    Make,
    /// It makes an object where its name is free.
    MakeOrChange,
    /// It deletes an object, or some of a collection.
    Delete,
    /// Anything else.
    Other,
}

/// Whether an object sent there is kept: not below a subresource, nor a Binding, nor a question.
fn is_stored(path: &ApiPath) -> bool {
    path.subresource.is_empty()
        && !is_question(&path.group)
        && !(path.group.is_empty() && path.resource == "bindings")
}

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Creates, and opens streams.
    Post,
    /// Replaces.
    Put,
    /// Changes; `patch` says how.
    Patch,
    /// Deletes.
    Delete,
}

/// API groups whose objects the API server follows by watches of its own: namespaces with their labels, pods, and who may
/// do what.
const FOLLOWED: [&str; 2] = ["", "rbac.authorization.k8s.io"];

/// How long what the API server follows may take to act: 1 to 8 ms beside eight busy programs on two cores (measured on
/// 1.36.3, for bindings and for a namespace's labels).
const FOLLOWING: Duration = Duration::from_secs(1);

/// How long anything else may take: admission policies are read again once a second, whatever happened
/// (`policyRefreshIntervalDefault` in `k8s.io/apiserver/pkg/admission/plugin/policy/generic`), and then compiled.
const REFRESHING: Duration = Duration::from_secs(2);

/// How long a change of what a path names may take to act on other requests. No event tells when it does.
fn settles(path: &str) -> Duration {
    let is_followed = ApiPath::parse(path).is_some_and(|path| FOLLOWED.contains(&&*path.group));
    if is_followed { FOLLOWING } else { REFRESHING }
}

/// Groups whose objects are questions: they are answered and not stored.
const QUESTIONS: [&str; 2] = ["authentication.k8s.io", "authorization.k8s.io"];

/// Whether the objects of an API group are questions, which are answered and not stored.
pub fn is_question(group: &str) -> bool {
    QUESTIONS.contains(&group)
}

/// Whether the API server passes the request on to a node, a pod or a service.
fn is_forwarded(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    segments.windows(3).any(|three| {
        matches!(three, ["nodes" | "pods" | "services", _, "proxy"])
            || matches!(three, ["api", "v1", "proxy"])
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(method: Method, path: &str, body: Option<Value>) -> Request {
        Request { method, path: path.to_owned(), patch: None, body }
    }

    #[test]
    fn a_dry_run_is_a_parameter_and_no_substring() {
        let post = |query: &str| {
            request(Method::Post, &format!("/api/v1/namespaces/a/pods?{query}"), None).is_dry_run()
        };
        for query in ["dryRun=All", "dry%52un=A%6cl", "a=b&dryRun=All&dryRun=All"] {
            assert!(post(query), "{query}");
        }
        for query in ["", "x=dryRun=All", "notdryRun=All", "dryRun=Allx", "dryRun=", "dryRun=All;a"]
        {
            assert!(!post(query), "{query}");
        }
        let body = json!({"kind": "DeleteOptions", "dryRun": ["All"]});
        let path = "/api/v1/namespaces/a/pods/p";
        assert!(request(Method::Delete, path, Some(body)).is_dry_run());
        let body = json!({"kind": "DeleteOptions"});
        let asked = format!("{path}?dryRun=All");
        assert!(!request(Method::Delete, &asked, Some(body)).is_dry_run());
        assert!(request(Method::Delete, &asked, None).is_dry_run());
    }

    #[test]
    fn a_dry_run_is_one_where_it_is_known_that_it_changes_nothing() {
        let put = |path: &str| request(Method::Put, &format!("{path}?dryRun=All"), None);
        assert!(put("/apis/apps/v1/namespaces/a/deployments/d").is_dry_run());
        for path in [
            "/debug/flags/v",
            "/apis/a.example/v1/things/t",
            "/apis/metrics.k8s.io/v1beta1/nodes/n",
        ] {
            assert!(put(path).asks_dry_run() && !put(path).is_dry_run(), "{path}");
            let options = json!({"kind": "DeleteOptions", "dryRun": ["All"]});
            let delete = request(Method::Delete, path, Some(options));
            assert!(delete.asks_dry_run() && !delete.is_dry_run(), "{path}");
        }
        assert_eq!(put("/apis/a.example/v1/things/t").aim(), Aim::MakeOrChange);
        assert_eq!(put("/apis/apps/v1/namespaces/a/deployments/d").aim(), Aim::Other);
    }

    #[test]
    fn what_is_answered_without_being_kept_is_no_object() {
        let stored = |path: &str| is_stored(&ApiPath::parse(path).expect("a resource"));
        for path in [
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            "/apis/authentication.k8s.io/v1/tokenreviews",
            "/api/v1/namespaces/a/serviceaccounts/b/token",
            "/api/v1/namespaces/a/bindings",
            "/api/v1/namespaces/a/pods/p/eviction",
        ] {
            assert!(!stored(path), "{path}");
        }
        for path in [
            "/api/v1/namespaces/a/events",
            "/apis/certificates.k8s.io/v1/certificatesigningrequests",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/a/roles",
        ] {
            assert!(stored(path), "{path}");
        }
    }
}
