//! Who connects, and to what: the target has each pod and Service that is named.

use serde_json::Value;

use super::Check;
use crate::catalog::Target;
use crate::model::{Connect, To, place};

impl Check<'_> {
    pub(super) fn connect(&mut self, connect: &Connect, target: Option<&Target>, pointer: &str) {
        let Some(target) = target else { return };
        self.pod(&connect.from, Some(target), &format!("{pointer}/from"));
        if let Some(from) = &connect.proven_from {
            self.pod(from, Some(target), &format!("{pointer}/proven-from"));
            if from == &connect.from {
                let hint = "name one that must get through while this one is refused";
                let pointer = format!("{pointer}/proven-from");
                self.wrong(&pointer, "the pod that connects proves nothing", hint);
            }
        }
        match &connect.to {
            To::Pod(pod) => self.pod(pod, Some(target), &format!("{pointer}/to/pod")),
            To::Service(service) => self.service(service, connect.port, target, pointer),
            To::Address(_) => {}
        }
    }

    /// A pod that the target has, written `name` or `namespace/name`.
    pub(super) fn pod(&mut self, written: &str, target: Option<&Target>, pointer: &str) {
        let Some(target) = target else { return };
        self.named(["Pod", "pod"], written, target, pointer);
    }

    /// An object that the target has, by its kind and the word for it; `None`, and a problem, if it has none.
    fn named<'t>(
        &mut self,
        [kind, word]: [&str; 2],
        written: &str,
        target: &'t Target,
        pointer: &str,
    ) -> Option<&'t Value> {
        let (namespace, name) = place(written, &target.namespace);
        let found = target.object(kind, namespace, name);
        if found.is_none() {
            let known = target.written(kind);
            let written = if namespace == target.namespace { name } else { written };
            self.known(word, written, pointer, known.iter().map(String::as_str));
        }
        found
    }

    fn service(&mut self, written: &str, port: u16, target: &Target, pointer: &str) {
        let to = format!("{pointer}/to/service");
        let Some(service) = self.named(["Service", "Service"], written, target, &to) else {
            return;
        };
        let spec = &service["spec"];
        if spec["clusterIP"] == "None" || spec["type"] == "ExternalName" {
            let hint = "name one of its pods: `to: {pod: NAME}`";
            return self.wrong(&to, "the Service has no address of its own", hint);
        }
        let ports: Vec<&Value> = spec["ports"].as_array().into_iter().flatten().collect();
        let is_tcp = |port: &&Value| port["protocol"].as_str().is_none_or(|it| it == "TCP");
        let ports = ports.into_iter().filter(is_tcp).filter_map(|port| port["port"].as_u64());
        let ports: Vec<u64> = ports.collect();
        if !ports.contains(&port.into()) {
            let known: Vec<String> = ports.iter().map(u64::to_string).collect();
            let hint = format!("its TCP ports are: {}", known.join(", "));
            self.wrong(&format!("{pointer}/port"), "the Service has no such port", &hint);
        }
    }
}

impl Target {
    /// Its objects of a kind, as a scenario may write them.
    fn written(&self, kind: &str) -> Vec<String> {
        let of_kind = self.objects.iter().filter(|document| document.object["kind"] == kind);
        let written = of_kind.filter_map(|document| {
            let metadata = &document.object["metadata"];
            let (namespace, name) = (metadata["namespace"].as_str()?, metadata["name"].as_str()?);
            Some(if namespace == self.namespace {
                name.to_owned()
            } else {
                format!("{namespace}/{name}")
            })
        });
        written.collect()
    }
}
