//! Actions: who and what they name is there.

use serde_json::Value;

use super::{Check, keys};
use crate::catalog::{Target, did_you_mean, substitutions};
use crate::model::Action;
use crate::text::encode;

impl Check<'_> {
    pub(super) fn action(
        &mut self,
        persona: &str,
        action: &Action,
        target: Option<&Target>,
        pointer: &str,
    ) {
        let catalog = self.catalog;
        self.known("persona", persona, &format!("{pointer}/as"), keys(&catalog.personas));
        match action {
            Action::Exec(exec) => {
                self.command(&exec.command, &format!("{pointer}/do/exec/command"))
            }
            Action::Pod(pod) => {
                self.overlay(pod.spec.as_ref(), &format!("{pointer}/do/pod/spec"));
                self.pod_action(pod, &format!("{pointer}/do/pod"));
            }
            Action::Ephemeral(ephemeral) => {
                let pointer = format!("{pointer}/do/ephemeral/container");
                self.overlay(ephemeral.container.as_ref(), &pointer);
                self.debug_container(ephemeral, &pointer);
            }
            Action::Request(request) => self.request(request, &format!("{pointer}/do/request")),
            Action::Kubelet(kubelet) => {
                self.path(&kubelet.path, &[], &format!("{pointer}/do/kubelet/path"));
            }
            Action::Grants(grants) => self.grants(grants, &format!("{pointer}/do/grants")),
            Action::Rights(rights) => self.rights(rights, &format!("{pointer}/do/rights")),
            Action::Connect(connect) => {
                self.connect(connect, target, &format!("{pointer}/do/connect"));
            }
            Action::Resolve(resolve) => {
                self.pod(&resolve.from, target, &format!("{pointer}/do/resolve/from"));
            }
            Action::Review(review) => self.review(review, &format!("{pointer}/do/review")),
            Action::Attach(_) | Action::PortForward(_) | Action::Etcd(_) | Action::AuditLog(_) => {}
        }
        let (Some(target), Some(named)) = (target, action.named_pod()) else { return };
        let namespace = named.namespace.unwrap_or(&target.namespace);
        self.container(action, target, pointer);
        let pods = target.pods_in(namespace);
        let pointer = format!("{pointer}/do/{}", named.pointer);
        match named.pod {
            Some(pod) => self.known("pod", pod, &pointer, pods),
            None if pods.count() == 0 => {
                self.wrong(&pointer, &format!("the target has no pod in `{namespace}`"), "");
            }
            None => {}
        }
    }

    pub(super) fn command(&mut self, command: &[String], pointer: &str) {
        if command.is_empty() {
            let hint = "write the program and its arguments: `command: [id]`";
            self.wrong(pointer, "no command", hint);
        }
    }

    /// A path is sent as it is written, so nothing may be in it that a client or a proxy would make something else of.
    pub(super) fn path(&mut self, path: &str, known: &[&str], pointer: &str) {
        let mut sent = path.to_owned();
        for name in substitutions(path) {
            sent = sent.replace(&format!("${{{name}}}"), "x");
            if !known.contains(&name) {
                let message = format!("nothing is known as `${{{name}}}` in a path");
                self.wrong(pointer, &message, &did_you_mean(name, known.iter().copied()));
            }
        }
        if let Some((message, hint)) = no_path(&sent) {
            self.wrong(pointer, &message, &hint);
        }
    }

    fn overlay(&mut self, overlay: Option<&Value>, pointer: &str) {
        if overlay.is_some_and(|overlay| !overlay.is_object()) {
            self.wrong(pointer, "expected keys with values", "write `key: value`");
        }
    }
}

/// Why it is no path with a query (the origin form of RFC 9112, section 3.2.1), and what to do.
fn no_path(path: &str) -> Option<(String, String)> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/?%".contains(c);
    if !path.starts_with('/') || path.starts_with("//") {
        let hint =
            "write it from the root, as /api/v1/namespaces: the host is always the cluster's";
        return Some(("a path begins with one `/`".to_owned(), hint.to_owned()));
    }
    if let Some(other) = path.chars().find(|c| !is_allowed(*c)) {
        let message = format!("a path holds no `{other}`");
        return Some((message, format!("write it as {}", encode(&other.to_string()))));
    }
    let is_code =
        |code: &str| code.len() >= 2 && code.bytes().take(2).all(|digit| digit.is_ascii_hexdigit());
    (!path.split('%').skip(1).all(is_code)).then(|| {
        let hint = "write `%` itself as %25".to_owned();
        ("in a path `%` begins a code of two hexadecimal digits".to_owned(), hint)
    })
}

impl Target {
    fn pods_in<'t>(&'t self, namespace: &'t str) -> impl Iterator<Item = &'t str> + Clone {
        let pods = self.pods.iter().filter(move |(pod_namespace, _)| pod_namespace == namespace);
        pods.map(|(_, name)| name.as_str())
    }
}

/// The pod of the target that an action acts on.
struct NamedPod<'a> {
    /// Its namespace, where it is not the target's.
    namespace: Option<&'a str>,
    /// Its name; none means the target's first.
    pod: Option<&'a str>,
    /// Where below `do` it is named.
    pointer: &'static str,
}

impl Action {
    fn named_pod(&self) -> Option<NamedPod<'_>> {
        let (namespace, pod, pointer) = match self {
            Action::Exec(exec) => (exec.namespace.as_deref(), exec.pod.as_deref(), "exec/pod"),
            Action::Attach(attach) => (None, attach.pod.as_deref(), "attach/pod"),
            Action::PortForward(forward) => (None, forward.pod.as_deref(), "port-forward/pod"),
            Action::Ephemeral(ephemeral) => {
                (ephemeral.namespace.as_deref(), ephemeral.pod.as_deref(), "ephemeral/pod")
            }
            Action::Connect(_)
            | Action::Resolve(_)
            | Action::Pod(_)
            | Action::Request(_)
            | Action::Kubelet(_)
            | Action::Etcd(_)
            | Action::AuditLog(_)
            | Action::Grants(_)
            | Action::Review(_)
            | Action::Rights(_) => return None,
        };
        Some(NamedPod { namespace, pod, pointer })
    }

    pub(super) fn acts_on_pod(&self) -> bool {
        self.named_pod().is_some() || matches!(self, Action::Connect(_) | Action::Resolve(_))
    }
}
