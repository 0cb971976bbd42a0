//! What a rule is asked about, and the request that tries it.

use serde_json::{Value, json};

use super::{Asked, OPERATIONS, distinct, list};
use crate::catalog::new::sample::Guess;
use crate::model::is_built_in;

impl Asked {
    /// What tells its scenario from the others.
    pub(super) fn suffix(&self) -> String {
        let operation = self.operation.to_lowercase();
        match &self.resource.subresource {
            Some(subresource) => format!("{operation}-{subresource}"),
            None => operation,
        }
    }

    pub(super) fn is(&self, resource: &str) -> bool {
        self.resource.group.is_empty() && self.resource.full_name() == resource
    }

    pub(super) fn is_exec(&self) -> bool {
        self.is("pods/exec")
    }

    /// Whether it needs a pod that can be entered.
    pub(super) fn enters_pod(&self) -> bool {
        let is_pods = self.resource.group.is_empty() && self.resource.name == "pods";
        is_pods && (self.operation == "CONNECT" || self.is("pods/ephemeralcontainers"))
    }

    /// Whether it needs another object that is there.
    pub(super) fn needs_object(&self) -> bool {
        self.operation != "CREATE" && !self.enters_pod()
    }

    /// What the object is called that it acts on.
    pub(super) fn there(&self) -> &'static str {
        if self.enters_pod() { "app" } else { "kept" }
    }

    /// What is sent: by the action that there is for it, or as a request.
    pub(super) fn tried(&self, namespace: &str, guess: &Guess, is_attack: bool) -> Value {
        if self.is_exec() {
            return match is_attack {
                true => json!({"exec": {"command": ["probe", "cat"], "stdin": true, "tty": true}}),
                false => json!({"exec": {"command": ["probe", "echo", "foo"]}}),
            };
        }
        if self.is("pods/attach") && is_attack {
            return json!({"attach": {"stdin": true}});
        }
        if self.is("pods/ephemeralcontainers") {
            let part = guess.wrong.as_ref().filter(|_| is_attack).unwrap_or(&guess.right);
            let mut container = part["spec"]["containers"][0].clone();
            let Some(fields) = container.as_object_mut() else { return json!({"ephemeral": {}}) };
            fields.remove("name");
            return json!({"ephemeral": {"container": container}});
        }
        if self.is("pods") && self.operation == "CREATE" {
            let part = guess.wrong.as_ref().filter(|_| is_attack).unwrap_or(&guess.right);
            return json!({"pod": part});
        }
        self.request(namespace, "attack", guess, is_attack)
    }

    /// A request that changes nothing.
    pub(super) fn request(
        &self,
        namespace: &str,
        name: &str,
        guess: &Guess,
        is_attack: bool,
    ) -> Value {
        let path = self.resource.path(namespace);
        let below =
            self.resource.subresource.as_ref().map(|it| format!("/{it}")).unwrap_or_default();
        let part = guess.wrong.as_ref().filter(|_| is_attack).unwrap_or(&guess.right);
        match self.operation.as_str() {
            "CREATE" if below.is_empty() => {
                let body = self.resource.object_with(name, part);
                json!({"request": {"method": "POST", "path": format!("{path}?dryRun=All"), "body": body}})
            }
            "DELETE" => {
                json!({"request": {"method": "DELETE", "path": format!("{path}/kept{below}?dryRun=All")}})
            }
            // A stream without an upgrade passes admission and runs nothing.
            "CONNECT" if self.is_exec() || self.is("pods/attach") => {
                let query =
                    if is_attack { "stdin=true" } else { "command=probe&command=echo&stdout=true" };
                json!({"request": {"method": "POST", "path": format!("{path}/{}{below}?{query}", self.there())}})
            }
            "CONNECT" => {
                let path = format!("{path}/{}{below}", self.there());
                json!({"request": {"method": "GET", "path": path}})
            }
            _ => {
                let name = self.there();
                let mut body =
                    json!({"metadata": {"annotations": {"example.com/changed": "by-an-attack"}}});
                crate::merge::lay_over(&mut body, part);
                let path = format!("{path}/{name}{below}?dryRun=All");
                let mut request = json!({"method": "PATCH", "path": path, "body": body});
                if !is_built_in(&self.resource.group) {
                    request["patch"] = json!("merge");
                }
                json!({"request": request})
            }
        }
    }

    /// The rules of a role that may do so.
    pub(super) fn rights(&self) -> Vec<Value> {
        let verbs = match self.operation.as_str() {
            "CREATE" => json!(["get", "create"]),
            "UPDATE" => json!(["get", "update", "patch"]),
            "DELETE" => json!(["get", "delete"]),
            _ => json!(["get", "create"]),
        };
        let rule = |resource: &str, verbs: Value| json!({"apiGroups": [self.resource.group], "resources": [resource], "verbs": verbs});
        let mut rules = vec![rule(&self.resource.full_name(), verbs)];
        if self.resource.subresource.is_some() {
            rules.push(rule(&self.resource.name, json!(["get"])));
        }
        // Or the API server refuses to bind a role that one has not oneself
        // (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#restrictions-on-role-binding-creation-or-update>).
        if ["rolebindings", "clusterrolebindings"].contains(&self.resource.name.as_str()) {
            rules.push(rule("clusterroles", json!(["bind"])));
        }
        rules
    }
}

/// The resources that one of a rule's means, as far as they are tried: `pods/*` is each subresource of pods, and not pods
/// (<https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#matching-requests-rules>).
pub(super) fn meant(resource: &Value) -> Vec<String> {
    let below = |name: &str| match name {
        "pods" => vec!["pods/exec".to_owned(), "pods/ephemeralcontainers".to_owned()],
        name => vec![format!("{name}/status")],
    };
    let resource = resource.as_str().unwrap_or("*");
    match resource.split_once('/') {
        Some(("*", "*")) => ["pods".to_owned()].into_iter().chain(below("pods")).collect(),
        Some((name, "*")) => below(name),
        Some(("*", subresource)) => vec![format!("pods/{subresource}")],
        _ => vec![resource.to_owned()],
    }
}

/// The operations of a rule.
pub(super) fn operations(rule: &Value) -> Vec<String> {
    let named = list(&rule["operations"]);
    let named = named.iter().filter_map(Value::as_str);
    distinct(named.flat_map(|it| match it {
        "*" => OPERATIONS.map(str::to_owned).to_vec(),
        it => vec![it.to_owned()],
    }))
}
