//! Rights: what somebody may do, what of it is dangerous, and what a persona's file promises.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ApiPath, Bound, Method, Rule, verb};

/// Rights of one kind that are dangerous: an entry of `manifests/rights.yaml`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Danger {
    /// What its holder can do with it.
    pub why: String,
    /// Where that is written.
    pub source: String,
    /// The verbs that are asked about in any case.
    pub verbs: Vec<String>,
    /// Other verbs that come to the same. They are asked about where roles may grant them.
    #[serde(default)]
    pub also: Vec<String>,
    /// The API group of the resources; the core group without it.
    #[serde(default)]
    pub group: String,
    /// The resources, with their subresources: `pods/exec`.
    #[serde(default)]
    pub resources: Vec<String>,
    /// Instead of resources: paths that are none.
    #[serde(default)]
    pub urls: Vec<String>,
    /// Objects that are asked about by name. A right without a name holds for each of them as well.
    #[serde(default)]
    pub names: Vec<String>,
    /// The field selector, of a list or watch.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// The label selector, of a list or watch.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Kubernetes' own roles that are meant to grant it, such as `view`.
    #[serde(default)]
    pub part_of: Vec<String>,
    /// Where it is asked about.
    pub asked: Breadth,
}

impl Danger {
    /// Each right that it is about, wherever it may be held.
    pub fn rights(&self) -> impl Iterator<Item = Right> {
        self.rights_to(&self.verbs).chain(self.rights_to(&self.also))
    }

    /// Whether a right of its is asked about in any case.
    pub fn is_first(&self, right: &Right) -> bool {
        self.verbs.contains(&right.verb)
    }

    fn rights_to<'a>(&'a self, verbs: &'a [String]) -> impl Iterator<Item = Right> {
        let names: Vec<Option<String>> = match self.names.is_empty() {
            true => vec![None],
            false => self.names.iter().cloned().map(Some).collect(),
        };
        let on = move |verb: &str, resource: &str| {
            let right = Right {
                verb: verb.to_owned(),
                resource: resource.to_owned(),
                group: self.group.clone(),
                fields: self.fields.clone(),
                labels: self.labels.clone(),
                ..Right::default()
            };
            names.clone().into_iter().map(move |named| Right { named, ..right.clone() })
        };
        let path = |verb: &str, url: &String| Right {
            verb: verb.to_owned(),
            url: Some(url.clone()),
            ..Right::default()
        };
        verbs.iter().flat_map(move |verb| {
            let resources = self.resources.iter().flat_map(|resource| on(verb, resource));
            let urls = self.urls.iter().map(|url| path(verb, url));
            resources.chain(urls).collect::<Vec<_>>()
        })
    }
}

/// Where a right is asked about in any case. Where roles may grant it, it is asked about as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Breadth {
    /// Once: it is about objects that are in no namespace, or about a path.
    Cluster,
    /// In all namespaces at once.
    Namespaces,
    /// In all namespaces at once, and in `kube-system`.
    KubeSystem,
    /// In all namespaces at once, and in each of them.
    EachNamespace,
}

/// Something that somebody may do: one question to an authorizer.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Right {
    /// The verb.
    pub verb: String,
    /// The resource, with its subresource: `pods/exec`.
    #[serde(default)]
    pub resource: String,
    /// The resource's API group; the core group without it.
    #[serde(default)]
    pub group: String,
    /// The object's name; any of them without it.
    #[serde(default)]
    pub named: Option<String>,
    /// The namespace. Without it: all of them at once, or none, as for nodes.
    #[serde(default)]
    pub r#in: Option<String>,
    /// The field selector, of a list or watch.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// The label selector, of a list or watch.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Instead of a resource: a path that is none, such as `/metrics`.
    #[serde(default)]
    pub url: Option<String>,
}

impl Right {
    /// What whoever sends a request must be allowed. A name that stands for one which is not known before is none.
    pub fn to_send(method: Method, uri: &str) -> Right {
        let verb = verb(method, uri).to_owned();
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let Some(path) = ApiPath::parse(uri) else {
            let url = uri.split('?').next().map(str::to_owned);
            return Right { verb, url, ..Right::default() };
        };
        let resource = match path.subresource.as_str() {
            "" => path.resource,
            below => format!("{}/{below}", path.resource),
        };
        Right {
            verb,
            resource,
            group: path.group,
            named: some(path.name).filter(|name| !name.contains("${")),
            r#in: some(path.namespace),
            ..Right::default()
        }
    }

    /// This right in all namespaces at once.
    pub fn everywhere(&self) -> Right {
        let is_itself = self.named == self.r#in && self.resource_parts().0 == "namespaces";
        let named = if is_itself { None } else { self.named.clone() };
        Right { named, r#in: None, ..self.clone() }
    }

    /// As a review of access asks about it, without who is meant.
    pub fn spec(&self) -> Value {
        match &self.url {
            Some(url) => json!({"nonResourceAttributes": {"verb": self.verb, "path": url}}),
            None => json!({"resourceAttributes": self.attributes()}),
        }
    }

    /// What is asked about a resource. A list or watch of one object is one with a field selector, of which the API server makes
    /// the name (`pkg/endpoints/request/requestinfo.go`).
    fn attributes(&self) -> Value {
        let (resource, subresource) = self.resource_parts();
        let mut fields = self.fields.clone();
        if let (Some(name), "list" | "watch") = (&self.named, self.verb.as_str()) {
            fields.insert("metadata.name".to_owned(), name.clone());
        }
        let mut attributes = json!({
            "verb": self.verb,
            "group": self.group,
            "version": "*",
            "resource": resource,
            "subresource": subresource,
            "name": self.named,
            "namespace": self.r#in,
        });
        for (key, selector) in [("fieldSelector", &fields), ("labelSelector", &self.labels)] {
            if !selector.is_empty() {
                attributes[key] = json!({"requirements": requirements(selector)});
            }
        }
        attributes
    }

    /// This right in one namespace. A request for a namespace itself counts as one in it, with its name
    /// (`pkg/endpoints/request/requestinfo.go`).
    pub fn within(&self, namespace: &str) -> Right {
        let is_itself = self.group.is_empty() && self.resource_parts().0 == "namespaces";
        let named = if is_itself { Some(namespace.to_owned()) } else { self.named.clone() };
        Right { named, r#in: Some(namespace.to_owned()), ..self.clone() }
    }

    /// The resource and its subresource, which is empty if there is none.
    pub fn resource_parts(&self) -> (&str, &str) {
        self.resource.split_once('/').unwrap_or((&self.resource, ""))
    }
}

fn requirements(selector: &BTreeMap<String, String>) -> Vec<Value> {
    let one = |(key, value)| json!({"key": key, "operator": "In", "values": [value]});
    selector.iter().map(one).collect()
}

/// Without the place: `get secrets "credentials"`, `patch deployments of apps`, `get /metrics`.
impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(url) = &self.url {
            return write!(f, "{} {url}", self.verb);
        }
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, " of {}", self.group)?;
        }
        // The name of a namespace is its place.
        if let Some(name) = self.named.as_ref().filter(|_| self.named != self.r#in) {
            write!(f, " {name:?}")?;
        }
        for (key, value) in self.fields.iter().chain(&self.labels) {
            write!(f, " with {key}={value}")?;
        }
        Ok(())
    }
}

/// What a persona's file promises: rules, each with where they hold.
#[derive(Debug, Clone, Default)]
pub struct Promise {
    /// The rules of its roles.
    pub held: Vec<(Bound, Vec<Rule>)>,
}

impl Promise {
    /// Whether this right is promised.
    pub fn covers(&self, right: &Right) -> bool {
        self.held.iter().any(|(bound, rules)| {
            let is_there = match bound {
                Bound::Everywhere => true,
                Bound::In(namespaces) => {
                    right.r#in.as_ref().is_some_and(|it| namespaces.contains(it))
                }
            };
            is_there && rules.iter().any(|rule| rule.grants(right))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn promise(bound: Bound, rule: serde_json::Value) -> Promise {
        Promise { held: vec![(bound, vec![serde_json::from_value(rule).expect("a rule")])] }
    }

    fn right(verb: &str, resource: &str, namespace: Option<&str>) -> Right {
        Right {
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            r#in: namespace.map(str::to_owned),
            ..Right::default()
        }
    }

    fn in_a() -> Bound {
        Bound::In(vec!["a".to_owned()])
    }

    #[test]
    fn a_promise_holds_where_the_role_is_bound() {
        let rule = json!({"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]});
        let here = promise(in_a(), rule.clone());
        assert!(here.covers(&right("create", "pods/exec", Some("a"))));
        assert!(!here.covers(&right("create", "pods/exec", Some("b"))));
        assert!(!here.covers(&right("create", "pods/exec", None)));
        let everywhere = promise(Bound::Everywhere, rule);
        assert!(everywhere.covers(&right("create", "pods/exec", Some("b"))));
        assert!(everywhere.covers(&right("create", "pods/exec", None)));
    }

    #[test]
    fn nothing_is_promised_beside_the_rule() {
        let rule = json!({"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]});
        let promise = promise(in_a(), rule);
        for (verb, resource) in [
            ("get", "pods/exec"),
            ("create", "pods"),
            ("create", "pods/attach"),
            ("create", "services/exec"),
        ] {
            assert!(!promise.covers(&right(verb, resource, Some("a"))), "{verb} {resource}");
        }
        let other = Right { group: "apps".to_owned(), ..right("create", "pods/exec", Some("a")) };
        assert!(!promise.covers(&other));
        let url =
            Right { verb: "create".to_owned(), url: Some("/".to_owned()), ..Right::default() };
        assert!(!promise.covers(&url));
    }

    #[test]
    fn a_promise_by_name_is_none_for_the_others() {
        let rule = json!({
            "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["own"], "verbs": ["get"],
        });
        let promise = promise(in_a(), rule);
        let named = |name: &str| Right {
            named: Some(name.to_owned()),
            ..right("get", "secrets", Some("a"))
        };
        assert!(promise.covers(&named("own")));
        assert!(!promise.covers(&named("other")));
        assert!(!promise.covers(&right("get", "secrets", Some("a"))));
    }

    #[test]
    fn a_star_promises_what_it_does_in_a_role() {
        let star = |resource: &str, verb: &str| {
            let rule = json!({"apiGroups": ["*"], "resources": [resource], "verbs": [verb]});
            promise(in_a(), rule).covers(&right("get", "pods/exec", Some("a")))
        };
        assert!(star("*", "*"));
        assert!(star("*/exec", "get"));
        assert!(!star("pods/*", "get"));
        assert!(!star("*/*", "get"));
        let rule = json!({"nonResourceURLs": ["/debug/*", "/metrics"], "verbs": ["get"]});
        let promise = promise(Bound::Everywhere, rule);
        let path = |url: &str| Right {
            verb: "get".to_owned(),
            url: Some(url.to_owned()),
            ..Right::default()
        };
        assert!(promise.covers(&path("/debug/pprof/heap")));
        assert!(promise.covers(&path("/metrics")));
        assert!(!promise.covers(&path("/metrics/slis")));
    }

    #[test]
    fn what_is_sent_is_what_must_be_allowed() {
        for (method, uri, told, namespace) in [
            (Method::Get, "/api/v1/namespaces/a/pods?limit=1", "list pods", Some("a")),
            (Method::Get, "/api/v1/namespaces/a/pods/p/log", "get pods/log \"p\"", Some("a")),
            (Method::Patch, "/api/v1/namespaces/a", "patch namespaces", Some("a")),
            (
                Method::Put,
                "/apis/apps/v1/namespaces/a/deployments/${unique}",
                "update deployments of apps",
                Some("a"),
            ),
            (Method::Get, "/api/v1/nodes/${node}/proxy/pods", "get nodes/proxy", None),
            (Method::Post, "/livez?verbose", "post /livez", None),
        ] {
            let right = Right::to_send(method, uri);
            assert_eq!(
                (right.to_string().as_str(), right.r#in.as_deref()),
                (told, namespace),
                "{uri}"
            );
        }
    }

    #[test]
    fn everywhere_a_namespace_has_no_name() {
        let patch = right("patch", "namespaces", None);
        assert_eq!(patch.within("a").everywhere(), patch);
        let own = Right { named: Some("own".to_owned()), ..right("get", "secrets", None) };
        assert_eq!(own.within("a").everywhere(), own);
    }

    #[test]
    fn a_right_is_told_without_its_place() {
        let own = Right { named: Some("a".to_owned()), ..right("patch", "namespaces", Some("a")) };
        assert_eq!(own.to_string(), "patch namespaces");
        let named = Right { named: Some("b".to_owned()), ..right("get", "secrets", Some("a")) };
        assert_eq!(named.to_string(), "get secrets \"b\"");
        let other = Right { group: "apps".to_owned(), ..right("patch", "deployments", None) };
        assert_eq!(other.to_string(), "patch deployments of apps");
    }
}
