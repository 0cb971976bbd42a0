//! Profiles: their controls are there, and can act together.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, keys};
use crate::catalog::ground::end_of;
use crate::catalog::load::both_set;
use crate::catalog::{ControlEntry, SetUp};
use crate::model::{Layer, PERSONAS, Profile, Setting};

impl Check<'_> {
    pub(super) fn profile(&mut self, profile: &Profile) {
        let catalog = self.catalog;
        let mut set_ups: Vec<(&ControlEntry, SetUp)> = Vec::new();
        for (id, setting) in &profile.controls {
            let pointer = format!("/controls/{id}");
            let Some(entry) = catalog.controls.get(id) else {
                self.known("control", id, &pointer, keys(&catalog.controls));
                continue;
            };
            let weaken = &entry.control.weaken;
            if let Some(name) = &setting.weakening {
                self.known("weakening", name, &format!("{pointer}/weakening"), keys(weaken));
            }
            let weakening = setting.weakening.as_ref().and_then(|name| weaken.get(name));
            if weakening.is_some_and(|weakening| weakening.past) {
                let hint = "only `brinell prove` can make what is over when scenarios run";
                self.wrong(&format!("{pointer}/weakening"), "this weakening is past", hint);
            }
            self.decides(setting, &pointer);
            let set_up = entry.set_up(weakening).unwrap_or_default();
            let clashes =
                set_ups.iter().filter_map(|(other, theirs)| Some((other, theirs.clash(&set_up)?)));
            for (other, clash) in clashes {
                self.wrong(&pointer, &both_set(entry, other, &clash), clash.hint());
            }
            set_ups.push((entry, set_up));
        }
        self.whereabouts(profile);
        for name in profile.personas.keys() {
            self.known("persona", name, &format!("/personas/{name}"), keys(&catalog.personas));
        }
    }

    /// Where an existing cluster is, and what may be used there.
    fn whereabouts(&mut self, profile: &Profile) {
        let Some(cluster) = &profile.cluster else { return };
        self.namespaces(&cluster.namespaces);
        if let Some(lent) = &cluster.pod {
            self.command(&lent.command, "/cluster/pod/command");
        }
        if !cluster.in_cluster {
            return;
        }
        // The pod that we run in and a context are two clusters.
        let hint = "leave one of them out";
        if cluster.context.is_some() {
            self.wrong("/cluster/in-cluster", "`in-cluster` stands beside `context`", hint);
        }
        if cluster.kubeconfig.is_some() {
            self.wrong("/cluster/in-cluster", "`in-cluster` stands beside `kubeconfig`", hint);
        }
    }

    /// Namespaces that are there: each takes the place of one of ours, and none is the cluster's own.
    fn namespaces(&mut self, given: &BTreeMap<String, String>) {
        let pointer = "/cluster/namespaces";
        let catalog = self.catalog;
        if !given.is_empty() && !given.contains_key(end_of(PERSONAS)) {
            let hint = "the accounts of personas are made in one, too: `personas: NAME`";
            self.wrong(pointer, "there is no `personas` among them", hint);
        }
        let mut seen = BTreeSet::new();
        for (end, name) in given {
            let pointer = format!("{pointer}/{end}");
            self.known("namespace", end, &pointer, catalog.namespace_ends());
            if !seen.insert(name) {
                let hint = "what is made in one of them would be in the way of the other: name two";
                self.wrong(&pointer, &format!("`{name}` takes the place of two"), hint);
            }
            if name.starts_with("kube-") {
                let hint = "attacks are for a namespace that holds nothing of anybody's";
                self.wrong(&pointer, &format!("`{name}` is Kubernetes' own"), hint);
            }
        }
    }

    /// The layers by which a control refuses on an existing cluster are ones that decide for it alone.
    fn decides(&mut self, setting: &Setting, pointer: &str) {
        let Setting { decides, saying, leaves, .. } = setting;
        let is_shared = |layer: &Layer| matches!(layer, Layer::Webhook(_) | Layer::Policy(_));
        let is_told = saying.is_some() || !leaves.is_empty();
        if decides.iter().any(is_shared) && !is_told {
            let hint = "a webhook or a policy may refuse for many reasons: write some words of the one that is meant, or \
                        what it leaves on the audit event";
            let message = "`decides` names a webhook or a policy without `saying` or `leaves`";
            self.wrong(pointer, message, hint);
        }
        if decides.is_empty() && is_told {
            let hint = "say by which layers it refuses there: `decides: [{webhook: NAME}]`";
            let message = "`saying` or `leaves` stands without `decides`";
            self.wrong(pointer, message, hint);
        }
        if let Some(saying) = saying {
            self.saying(saying, decides, &format!("{pointer}/saying"));
        }
        self.annotations(leaves, &format!("{pointer}/leaves"));
        for (position, layer) in decides.iter().enumerate() {
            let of_any = |name: &str| !name.contains(char::is_alphanumeric);
            if layer.pattern().is_some_and(of_any) {
                let hint = "write a part of the names that are meant: `validate.kyverno.svc-*`";
                let message = format!("{layer} may be any");
                self.wrong(&format!("{pointer}/decides/{position}"), &message, hint);
            }
            if matches!(
                layer,
                Layer::Validation
                    | Layer::Runtime
                    | Layer::Backend
                    | Layer::FlowControl
                    | Layer::WebhookFailure(_)
                    | Layer::PolicyFailure(_)
                    | Layer::MatchCondition
            ) {
                let hint = "it refuses whatever is wrong, busy or broken: no control decides by it";
                let message = format!("{layer} is no layer of a control");
                self.wrong(&format!("{pointer}/decides/{position}"), &message, hint);
            }
        }
    }
}
