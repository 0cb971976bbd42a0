//! Actions: who and what they name is there.

use super::{Check, keys};
use crate::catalog::{Action, Request, Target, did_you_mean};
use crate::control::substitutions;

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
            Action::Request(request) => {
                self.path(request, &format!("{pointer}/do/request/path"));
            }
            Action::Grants(grants) => self.grants(grants, &format!("{pointer}/do/grants")),
            Action::Pod(pod) => self.pod_action(pod, &format!("{pointer}/do/pod")),
            _ => {}
        }
        let Some(target) = target else { return };
        match action {
            Action::Connect(connect) => {
                self.connect(connect, target, &format!("{pointer}/do/connect"));
            }
            Action::Resolve(resolve) => {
                self.pod(&resolve.from, target, &format!("{pointer}/do/resolve/from"));
            }
            _ => {}
        }
        let Some(named) = action.named_pod() else { return };
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

    fn path(&mut self, request: &Request, pointer: &str) {
        for name in substitutions(&request.path) {
            if !Request::SUBSTITUTIONS.contains(&name) {
                let message = format!("nothing is known as `${{{name}}}` in a path");
                let hint = did_you_mean(name, Request::SUBSTITUTIONS);
                self.wrong(pointer, &message, &hint);
            }
        }
    }
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
            Action::Exec(exec) => (None, exec.pod.as_deref(), "exec/pod"),
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
            | Action::Grants(_) => return None,
        };
        Some(NamedPod { namespace, pod, pointer })
    }

    pub(super) fn acts_on_pod(&self) -> bool {
        self.named_pod().is_some() || matches!(self, Action::Connect(_) | Action::Resolve(_))
    }
}
