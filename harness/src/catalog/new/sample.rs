//! Objects that a first attack sends: the least of each kind that Kubernetes takes, and what a rule most likely is
//! against.

use serde_json::{Value, json};

use crate::merge::lay_over;

/// A resource as paths and objects name it.
#[derive(Clone)]
pub(super) struct Resource {
    pub(super) group: String,
    pub(super) version: String,
    /// Its plural, without a subresource.
    pub(super) name: String,
    pub(super) subresource: Option<String>,
}

/// A kind that people have rules about.
struct Known {
    group: &'static str,
    resource: &'static str,
    kind: &'static str,
    is_namespaced: bool,
    /// What it needs beside its name, as JSON.
    rest: &'static str,
}

const fn known(
    group: &'static str,
    resource: &'static str,
    kind: &'static str,
    rest: &'static str,
) -> Known {
    Known { group, resource, kind, is_namespaced: true, rest }
}

/// A Deployment's spec and the like, for one pod that Pod Security admits.
const WORKLOAD: &str = r#"{"spec": {"selector": {"matchLabels": {"app": "attack"}}, "template": {"metadata": {"labels": {"app": "attack"}}, "spec": POD}}}"#;

/// A pod's spec that Pod Security admits.
const POD: &str = r#"{"securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}, "containers": [{"name": "attack", "image": "registry.example.com/app", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}"#;

const KNOWN: [Known; 17] = [
    known("", "pods", "Pod", r#"{"spec": POD}"#),
    known("", "services", "Service", r#"{"spec": {"ports": [{"port": 443}]}}"#),
    known("", "configmaps", "ConfigMap", r#"{"data": {"key": "value"}}"#),
    known("", "secrets", "Secret", r#"{"stringData": {"key": "value"}}"#),
    known("", "serviceaccounts", "ServiceAccount", "{}"),
    known(
        "",
        "persistentvolumeclaims",
        "PersistentVolumeClaim",
        r#"{"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}"#,
    ),
    known("apps", "deployments", "Deployment", WORKLOAD),
    known("apps", "statefulsets", "StatefulSet", WORKLOAD),
    known("apps", "daemonsets", "DaemonSet", WORKLOAD),
    known("apps", "replicasets", "ReplicaSet", WORKLOAD),
    known(
        "networking.k8s.io",
        "networkpolicies",
        "NetworkPolicy",
        r#"{"spec": {"podSelector": {}}}"#,
    ),
    known(
        "networking.k8s.io",
        "ingresses",
        "Ingress",
        r#"{"spec": {"defaultBackend": {"service": {"name": "app", "port": {"number": 443}}}}}"#,
    ),
    known("rbac.authorization.k8s.io", "roles", "Role", r#"{"rules": []}"#),
    known(
        "rbac.authorization.k8s.io",
        "rolebindings",
        "RoleBinding",
        r#"{"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}, "subjects": []}"#,
    ),
    Known { is_namespaced: false, ..known("", "namespaces", "Namespace", "{}") },
    Known {
        is_namespaced: false,
        ..known("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", r#"{"rules": []}"#)
    },
    known("coordination.k8s.io", "leases", "Lease", "{}"),
];

/// What an expression of a policy is most likely against: a word in it, and what is laid over a pod.
const POD_BREACHES: [(&str, &str); 10] = [
    (
        "privileged",
        r#"{"containers": [{"name": "attack", "securityContext": {"privileged": true}}]}"#,
    ),
    ("hostNetwork", r#"{"hostNetwork": true}"#),
    ("hostPID", r#"{"hostPID": true}"#),
    ("hostIPC", r#"{"hostIPC": true}"#),
    ("hostPath", r#"{"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}"#),
    (
        "allowPrivilegeEscalation",
        r#"{"containers": [{"name": "attack", "securityContext": {"allowPrivilegeEscalation": true}}]}"#,
    ),
    ("runAsNonRoot", r#"{"securityContext": {"runAsNonRoot": false, "runAsUser": 0}}"#),
    ("automountServiceAccountToken", r#"{"automountServiceAccountToken": true}"#),
    ("image", r#"{"containers": [{"name": "attack", "image": "registry.example.org/other"}]}"#),
    ("priorityClassName", r#"{"priorityClassName": "system-cluster-critical"}"#),
];

/// What is sent in an attack and, without the one thing that is wrong, in the permit beside it.
pub(super) struct Guess {
    /// What is laid over the least object in an attack; `None` where nobody can tell.
    pub(super) wrong: Option<Value>,
    /// What is laid over it in a permit.
    pub(super) right: Value,
}

impl Guess {
    /// The image that is let in, where it is about images.
    pub(super) fn image(&self) -> Option<&Value> {
        self.right.pointer("/spec/containers/0/image")
    }
}

impl Resource {
    /// The resource of a rule that an attack is for. `*` is pods.
    pub(super) fn of(group: &str, version: &str, resource: &str) -> Resource {
        let (name, subresource) = match resource.split_once('/') {
            Some((name, subresource)) => (name, Some(subresource.to_owned())),
            None => (resource, None),
        };
        let name = if name == "*" { "pods" } else { name }.to_owned();
        let any = |text: &str, otherwise: &str| match text {
            "*" => otherwise.to_owned(),
            text => text.to_owned(),
        };
        let known = KNOWN.iter().find(|it| it.resource == name).map_or("", |it| it.group);
        let subresource = subresource.filter(|it| it != "*");
        Resource { group: any(group, known), version: any(version, "v1"), name, subresource }
    }

    fn known(&self) -> Option<&'static Known> {
        KNOWN.iter().find(|it| it.group == self.group && it.resource == self.name)
    }

    /// Whether its kind is one that is known here.
    pub(super) fn is_known(&self) -> bool {
        self.known().is_some()
    }

    /// Whether its objects are in a namespace, as most are whose kind is not known here.
    pub(super) fn is_namespaced(&self) -> bool {
        self.known().is_none_or(|it| it.is_namespaced)
    }

    /// Whether an operation is one that it can meet.
    pub(super) fn meets(&self, operation: &str) -> bool {
        match self.subresource.as_deref() {
            Some("exec" | "attach" | "portforward" | "proxy") => operation == "CONNECT",
            Some("binding" | "eviction" | "token") => operation == "CREATE",
            Some(_) => operation == "UPDATE",
            None => operation != "CONNECT",
        }
    }

    /// Its objects' `apiVersion`.
    fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// The path of its objects in a namespace.
    pub(super) fn path(&self, namespace: &str) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        match self.is_namespaced() {
            true => format!("{root}/{}/namespaces/{namespace}/{}", self.api_version(), self.name),
            false => format!("{root}/{}/{}", self.api_version(), self.name),
        }
    }

    /// With its subresource, as rules of roles name it.
    pub(super) fn full_name(&self) -> String {
        match &self.subresource {
            Some(subresource) => format!("{}/{subresource}", self.name),
            None => self.name.clone(),
        }
    }

    /// The least object of it that Kubernetes takes.
    pub(super) fn object(&self, name: &str) -> Value {
        // The kind of a resource that is not known is most likely called so.
        let singular = self.name.trim_end_matches('s');
        let mut letters = singular.chars();
        let guessed: String =
            letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
        let kind = self.known().map_or(guessed.as_str(), |it| it.kind);
        let mut object =
            json!({"apiVersion": self.api_version(), "kind": kind, "metadata": {"name": name}});
        let rest = self.known().map_or("{}", |it| it.rest).replace("POD", POD);
        lay_over(&mut object, &serde_json::from_str(&rest).unwrap_or_default());
        object
    }

    /// The least object of it, with something laid over it.
    pub(super) fn object_with(&self, name: &str, over: &Value) -> Value {
        let mut object = self.object(name);
        lay_over(&mut object, over);
        object
    }

    /// What the rule is most likely against, by what its expressions say.
    pub(super) fn guess(&self, expressions: &str, labels: Value) -> Guess {
        let mut right = json!({});
        if labels.as_object().is_some_and(|labels| !labels.is_empty()) {
            right["metadata"] = json!({"labels": labels});
        }
        let spec = match self.name.as_str() {
            "pods" => "/spec",
            "deployments" | "statefulsets" | "daemonsets" | "replicasets" => "/spec/template/spec",
            _ => "",
        };
        let laid = |part: &Value| {
            let mut over = right.clone();
            let part = spec
                .rsplit('/')
                .filter(|it| !it.is_empty())
                .fold(part.clone(), |part, step| json!({step: part}));
            lay_over(&mut over, &part);
            over
        };
        if !spec.is_empty() {
            let breach = POD_BREACHES.iter().find(|(word, _)| expressions.contains(word));
            let breach = breach.map(|(_, part)| serde_json::from_str(part).unwrap_or_default());
            let wrong = breach.map(|part: Value| laid(&part));
            let image = image_begins(expressions).map(|begin| format!("{begin}app"));
            let image = image
                .map(|image| laid(&json!({"containers": [{"name": "attack", "image": image}]})));
            return Guess { wrong, right: image.unwrap_or(right) };
        }
        let types = ["LoadBalancer", "NodePort"];
        let is_meant = |it: &&&str| self.name == "services" && expressions.contains(**it);
        let wrong = types.iter().find(is_meant).map(|it| json!({"spec": {"type": it}}));
        let wrong = wrong.map(|mut it| {
            lay_over(&mut it, &right);
            it
        });
        Guess { wrong, right }
    }
}

/// What an image must begin with, where an expression says so: `image.startsWith("registry.example.com/")`.
fn image_begins(expressions: &str) -> Option<&str> {
    let (_, rest) = expressions.split_once("startsWith(")?;
    let quote = rest.chars().next().filter(|it| ['"', '\''].contains(it))?;
    let begin = rest[1..].split(quote).next()?;
    (expressions.contains("image") && begin.contains(['.', '/'])).then_some(begin)
}

/// A pod of ours that can be entered, with these labels.
pub(super) fn pod(namespace: &str, name: &str, labels: &Value, command: &[&str]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": name, "image": "${image}", "imagePullPolicy": "IfNotPresent", "command": command, "stdin": true,
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}
