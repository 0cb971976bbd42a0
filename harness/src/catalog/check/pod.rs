//! Which container is entered, and what a pod may say of itself.

use serde_json::Value;

use super::Check;
use crate::catalog::Target;
use crate::model::{Action, Attach, PodAction};

/// Labels of ours, by which what an attempt makes is found again.
const OURS: &str = "brinell.dev/";

impl Check<'_> {
    /// The container that exec and attach enter: the API server takes none by itself where there are several.
    pub(super) fn container(&mut self, action: &Action, target: &Target, pointer: &str) {
        let (kind, namespace, pod, container) = match action {
            Action::Exec(exec) => ("exec", &exec.namespace, &exec.pod, &exec.container),
            Action::Attach(attach) => ("attach", &None, &attach.pod, &attach.container),
            _ => return,
        };
        let Some(pod) = pod.as_deref().or(target.pod()) else { return };
        let namespace = namespace.as_ref().unwrap_or(&target.namespace);
        let containers = target.containers(namespace, pod);
        let names: Vec<&str> = containers.iter().filter_map(|it| it["name"].as_str()).collect();
        let pointer = format!("{pointer}/do/{kind}");
        match container {
            Some(name) if !names.is_empty() => {
                let pointer = format!("{pointer}/container");
                self.known("container", name, &pointer, names.iter().copied());
            }
            None if names.len() > 1 => {
                let hint = format!("name one with `container:`: {}", names.join(", "));
                self.wrong(&pointer, &format!("the pod `{pod}` has several containers"), &hint);
            }
            _ => {}
        }
        let entered = match container {
            Some(name) => containers.iter().find(|it| it["name"] == **name),
            None => containers.first(),
        };
        if let (Action::Attach(attach), Some(entered)) = (action, entered) {
            self.streams(attach, entered, &pointer);
        }
    }

    /// What an attach asks for and its container has not: kubectl leaves it away, and a kubelet answers with nothing
    /// (measured).
    fn streams(&mut self, attach: &Attach, container: &Value, pointer: &str) {
        let name = container["name"].as_str().unwrap_or_default();
        for (asked, key, what) in
            [(attach.stdin, "stdin", "standard input"), (attach.tty, "tty", "terminal")]
        {
            if asked && container[key] != true {
                let message = format!("the container `{name}` has no {what}");
                let hint = format!("write `{key}: true` at the container, or leave it out here");
                self.wrong(&format!("{pointer}/{key}"), &message, &hint);
            }
        }
    }

    pub(super) fn pod_action(&mut self, pod: &PodAction, pointer: &str) {
        self.pod_spec(pod, &format!("{pointer}/spec"));
        let Some(metadata) = &pod.metadata else { return };
        for label in metadata.labels.keys().filter(|label| label.starts_with(OURS)) {
            let message = format!("the label `{label}` is the harness's own");
            let hint = "what an attempt makes is found again by it";
            self.wrong(&format!("{pointer}/metadata/labels"), &message, hint);
        }
        if pod.through.is_some() && !metadata.owner_references.is_empty() {
            let hint = "a controller makes its workload the owner: remove `through` or the owners";
            let pointer = format!("{pointer}/metadata/ownerReferences");
            self.wrong(&pointer, "a workload's pods have no other owner", hint);
        }
    }
}
