//! What an attempt takes: what the admin looks at around it, and removes after it, whoever sends it; and what the admin must
//! be allowed where they send it themselves.

use serde_json::json;

use super::{Claim, RBAC, named, object, rights, webhooks, within};
use crate::catalog::{Document, Entry, Turn};
use crate::model::{
    Action, Aim, Connect, Door, Ephemeral, Owner, PodAction, Request, Resolve, Review, Right,
    Rights, SettingReview, To, Workload, place,
};

/// What of an action is done as the admin, whoever sends it.
pub(super) fn looked(entry: &Entry, turn: &Turn) -> Vec<Right> {
    let namespace = entry.target.namespace.as_str();
    match &turn.action {
        // The answer tells.
        Action::Exec(_) | Action::Attach(_) | Action::PortForward(_) => Vec::new(),
        Action::Ephemeral(ephemeral) => {
            let (namespace, pod) = debugged(entry, ephemeral);
            within(named(rights(&["get"], "", "pods"), pod), namespace)
        }
        Action::Pod(pod) => pods(pod, namespace),
        Action::Request(request) => requested(request),
        Action::Connect(connect) => connected(connect, namespace),
        Action::Resolve(Resolve { from, .. }) => entered(from, namespace),
        Action::AuditLog(_) => {
            let verbs = ["get", "list", "update", "patch", "delete"];
            within(rights(&verbs, "", "secrets"), namespace)
        }
        Action::Grants(_) => granted(),
        Action::Review(review) => reviewed(review),
        Action::Rights(Rights { to, .. }) => {
            let mut needed = rights(&["create"], "authorization.k8s.io", "subjectaccessreviews");
            needed.extend(to.is_none().then(granted).into_iter().flatten());
            needed
        }
        // A pod on the node asks it.
        Action::Kubelet(_) => entered(entry.target.pod().unwrap_or_default(), namespace),
        // It is not reached on an existing cluster.
        Action::Etcd(_) => Vec::new(),
    }
}

/// What sending an action takes, where the admin does it.
pub(super) fn sent(entry: &Entry, turn: &Turn, documents: &[Document]) -> Vec<Claim> {
    let namespace = entry.target.namespace.as_str();
    let stream = |namespace: &str, named_pod: Option<&String>, below: &str| {
        let pod = named_pod.map(String::as_str).or(entry.target.pod()).unwrap_or_default();
        // By GET, too, a stream takes `create`, from Kubernetes 1.35 on.
        let verbs: &[&str] =
            if turn.door == Door::PostSpdy { &["create"] } else { &["get", "create"] };
        within(named(rights(verbs, "", &format!("pods/{below}")), pod), namespace)
    };
    let needed = match &turn.action {
        Action::Exec(exec) => {
            stream(exec.namespace.as_deref().unwrap_or(namespace), exec.pod.as_ref(), "exec")
        }
        Action::Attach(attach) => stream(namespace, attach.pod.as_ref(), "attach"),
        Action::PortForward(forward) => stream(namespace, forward.pod.as_ref(), "portforward"),
        Action::Ephemeral(ephemeral) => {
            let (namespace, pod) = debugged(entry, ephemeral);
            let verb = if turn.door == Door::Put { "update" } else { "patch" };
            within(named(rights(&[verb], "", "pods/ephemeralcontainers"), pod), namespace)
        }
        Action::Pod(pod) => {
            let (group, resource) = pod.through.map_or(("", "pods"), Workload::resource);
            within(rights(&["create"], group, resource), namespace)
        }
        Action::Request(request) => return asked(request, documents),
        Action::AuditLog(_) => within(rights(&["create"], "", "secrets"), namespace),
        // What is looked at is all.
        Action::Connect(_)
        | Action::Resolve(_)
        | Action::Grants(_)
        | Action::Review(_)
        | Action::Rights(_)
        | Action::Kubelet(_)
        | Action::Etcd(_) => Vec::new(),
    };
    needed.into_iter().map(Claim::from).collect()
}

/// The pod that gets a debug container, and its namespace.
fn debugged<'a>(entry: &'a Entry, ephemeral: &'a Ephemeral) -> (&'a str, &'a str) {
    let namespace = ephemeral.namespace.as_ref().unwrap_or(&entry.target.namespace);
    (namespace, ephemeral.pod.as_deref().or(entry.target.pod()).unwrap_or_default())
}

/// What is made is looked for and removed; what a controller does is read from its Events.
fn pods(action: &PodAction, namespace: &str) -> Vec<Right> {
    let (group, resource) = action.through.map_or(("", "pods"), Workload::resource);
    let mut needed = rights(&["get", "delete"], group, resource);
    if action.through.is_some() {
        needed.extend(rights(&["list", "watch"], "", "events"));
        needed.extend(rights(&["list"], "", "pods"));
    }
    if action.through == Some(Workload::CronJob) {
        needed.extend(rights(&["patch"], group, "cronjobs/status"));
    }
    let owners = action.metadata.iter().flat_map(|metadata| &metadata.owner_references);
    needed.extend(owners.filter(|owner| owner.uid.is_none()).flat_map(owner));
    let mut needed = within(needed, namespace);
    // A DaemonSet is kept to a node by its name.
    let keeps_to_node = action.through == Some(Workload::DaemonSet);
    needed.extend(keeps_to_node.then(node).into_iter().flatten());
    needed
}

/// After a step about who may do what, a kubelet is asked how long it keeps a refusal from before. Its node is its pod's.
pub(super) fn awaited(entry: &Entry) -> Vec<Right> {
    let actions = entry.turns.iter().map(|turn| &turn.action);
    let mut after = actions.skip_while(|action| !action.changes_rights());
    let is_asked = after.any(|action| matches!(action, Action::Kubelet(_)));
    is_asked.then(configuration).into_iter().flatten().collect()
}

/// A kubelet tells its configuration by way of the API server.
fn configuration() -> Vec<Right> {
    rights(&["get"], "", "nodes/proxy")
}

/// The name of a node is looked up.
fn node() -> Vec<Right> {
    rights(&["list"], "", "nodes")
}

/// The UID of an owner is looked up.
fn owner(owner: &Owner) -> Vec<Right> {
    let kind = json!({"apiVersion": owner.api_version, "kind": owner.kind});
    let resource = object::resource(&kind);
    let of = |(group, resource): (String, String)| {
        named(rights(&["get"], &group, &resource), &owner.name)
    };
    resource.map(of).unwrap_or_default()
}

/// What a request makes or deletes is looked for.
fn requested(request: &Request) -> Vec<Right> {
    let asked = Right::to_send(request.method, &request.path);
    let with = |verb: &str| Right { verb: verb.to_owned(), ..asked.clone() };
    let is_nameless = |request: &Request| {
        let name = request.body.as_ref().and_then(|body| body["metadata"]["name"].as_str());
        name.is_none_or(str::is_empty)
    };
    let mut needed = match request.aim() {
        Aim::Make if is_nameless(request) => vec![with("list"), with("get"), with("delete")],
        Aim::Make | Aim::MakeOrChange => vec![with("get"), with("delete")],
        Aim::Delete if asked.named.is_none() => vec![with("list")],
        Aim::Delete => vec![with("get")],
        Aim::Other => Vec::new(),
    };
    needed.extend(names_node(request).then(node).into_iter().flatten());
    needed
}

/// Whether the node's name is a part of it.
fn names_node(request: &Request) -> bool {
    let is_in_body = request.body.as_ref().is_some_and(|it| it.to_string().contains("${node}"));
    request.path.contains("${node}") || is_in_body
}

/// A request of the admin's own, with all that a role or a binding in its body takes.
fn asked(request: &Request, documents: &[Document]) -> Vec<Claim> {
    let right = Right::to_send(request.method, &request.path);
    let mut object = request.body.clone().unwrap_or_default();
    if let (Some(namespace), true) = (&right.r#in, object["metadata"].is_object()) {
        object["metadata"]["namespace"] = namespace.as_str().into();
    }
    let grown = object::grown(&object, documents);
    grown.into_iter().chain([right.into()]).collect()
}

/// Pods that show that somebody listens are entered, too.
fn connected(connect: &Connect, namespace: &str) -> Vec<Right> {
    let mut needed = entered(&connect.from, namespace);
    needed.extend(connect.proven_from.iter().flat_map(|pod| entered(pod, namespace)));
    match &connect.to {
        To::Pod(pod) => needed.extend(entered(pod, namespace)),
        To::Service(service) => {
            let (namespace, service) = place(service, namespace);
            needed.extend(within(named(rights(&["get"], "", "services"), service), namespace));
            let slices = rights(&["list"], "discovery.k8s.io", "endpointslices");
            // Which pods are behind it, its slices say.
            needed.extend(within([slices, entering()].concat(), namespace));
        }
        To::Address(_) => {}
    }
    needed
}

/// A command in a pod, written `name` or `namespace/name`.
fn entered(pod: &str, own: &str) -> Vec<Right> {
    let (namespace, pod) = place(pod, own);
    within(named(entering(), pod), namespace)
}

fn entering() -> Vec<Right> {
    [rights(&["get"], "", "pods"), rights(&["get", "create"], "", "pods/exec")].concat()
}

/// All roles and their bindings.
fn granted() -> Vec<Right> {
    let kinds = ["clusterroles", "clusterrolebindings", "roles", "rolebindings"];
    kinds.iter().flat_map(|kind| rights(&["list"], RBAC, kind)).collect()
}

fn reviewed(review: &Review) -> Vec<Right> {
    let lists = |group: &str, resources: &[&str]| -> Vec<Right> {
        resources.iter().flat_map(|resource| rights(&["list"], group, resource)).collect()
    };
    match review {
        // Namespaces are listed in any case.
        Review::Webhooks(_) => webhooks(),
        Review::Policies(_) => lists(
            "admissionregistration.k8s.io",
            &["validatingadmissionpolicies", "validatingadmissionpolicybindings"],
        ),
        Review::Bindings(_) => {
            let bindings = lists(RBAC, &["clusterrolebindings", "rolebindings", "clusterroles"]);
            [bindings, lists("", &["serviceaccounts"])].concat()
        }
        Review::ServiceAccounts(_) => lists("", &["serviceaccounts", "secrets"]),
        Review::Settings(SettingReview::Kubelet(_)) => {
            [lists("", &["nodes"]), configuration()].concat()
        }
        // They rest on the API server's settings, which an existing cluster does not show.
        Review::Namespaces(_)
        | Review::Encryption(_)
        | Review::Settings(SettingReview::Anonymous(_) | SettingReview::Audit(_)) => Vec::new(),
    }
}
