//! What a cluster must have for an action to tell anything. Derived, so that nobody can forget it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::persona::namespace;
use super::warrant;
use super::{ControlEntry, Entry, PersonaEntry, Target, Turn};
use crate::model::{
    Action, Aim, ApiPath, Attack, Blocked, Bound, Door, Expectation, HeldRole, Layer, Method, Need,
    Persona, Request, ServiceAccount, is_question,
};

/// What a cluster has not of what actions may need, and whose lack it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacks {
    /// As sentences name it: `embedded clusters`.
    pub who: String,
    /// As sentences say that they lack something: `embedded clusters lack`.
    pub said: String,
    /// What is not there.
    pub needs: BTreeSet<Need>,
}

impl Lacks {
    /// Why nothing that has these needs can be tried there; `None` if all of them are met.
    pub fn why_not(&self, needs: &BTreeSet<Need>) -> Option<String> {
        let unmet: Vec<String> = self.needs.intersection(needs).map(ToString::to_string).collect();
        (!unmet.is_empty()).then(|| format!("needs {}, which {}", unmet.join(" and "), self.said))
    }
}

impl Entry {
    /// Those who act in it, each once.
    pub(super) fn personas(&self) -> Vec<&PersonaEntry> {
        let by_name: BTreeMap<&str, &PersonaEntry> =
            self.turns.iter().map(|turn| (turn.persona.name.as_str(), &*turn.persona)).collect();
        by_name.into_values().collect()
    }

    /// What all its attacks and permits need together.
    pub fn needs(&self) -> BTreeSet<Need> {
        let attacks = self.scenario.attacks.iter().flat_map(Attack::needs);
        let permits = self.scenario.permits.iter().flat_map(|permit| permit.r#do.facts().needs);
        let log = self.scenario.is_logged().then_some(Need::AuditLog);
        let pods = self.turns.iter().any(|turn| self.needs_pod(turn));
        let effects = self.target.reaches_out()
            || self.turns.iter().any(|turn| turn.persona.reaches_out(&self.target));
        let own_namespaces = self.target.has_own_namespaces();
        let derived = [
            pods.then_some(Need::OwnPods),
            effects.then_some(Need::Effects),
            own_namespaces.then_some(Need::OwnNamespaces),
        ];
        let written = self.turns.iter().filter_map(|turn| self.writes(&turn.action));
        let derived = derived.into_iter().flatten().chain(written);
        attacks.chain(permits).copied().chain(log).chain(derived).collect()
    }

    /// Whether a pod of the target must run for it. Exec and its like are refused before their pod is looked up
    /// (`k8s.io/apiserver/pkg/endpoints/handlers/rest.go`, `ConnectResource`). Who looks for it all the same may refuse
    /// because it is not there: only words tell that from what is meant.
    fn needs_pod(&self, turn: &Turn) -> bool {
        let is_known_by_words = match &turn.expected {
            Expectation::Blocked(blocked, _) => is_told(blocked) || is_by_rights(blocked),
            Expectation::Sound(_) | Expectation::Succeeds(..) | Expectation::Recorded(_) => false,
        };
        let is_stream = Door::STREAMS.contains(&turn.door);
        self.enters(&turn.action) && !(self.without_pods && is_known_by_words && is_stream)
    }

    /// The pods of its target that must be ready before it is tried, by namespace and name.
    pub fn awaited(&self) -> impl Iterator<Item = &(String, String)> {
        self.turns.iter().flat_map(|turn| self.target.awaited(&turn.action))
    }

    /// Of a scenario whose permits are lent a pod: the control that the permits are to prove something about, and the
    /// namespace of that pod, in which the control must act. Authorization goes by roles, wherever they are held.
    pub fn lent_place(&self) -> Option<(&ControlEntry, &str)> {
        let mut admissions = self.turns.iter().filter_map(|turn| match &turn.expected {
            Expectation::Blocked(blocked, _) if !is_by_rights(blocked) => {
                self.enters(&turn.action).then_some(&*blocked.by)
            }
            _ => None,
        });
        let control = admissions.next().filter(|_| self.without_pods)?;
        let place = self.scenario.permits.iter().find_map(|permit| match &permit.r#do {
            Action::Exec(exec) => exec.namespace.as_deref(),
            _ => None,
        });
        Some((control, place?))
    }

    /// Whether an action goes into a pod of the target, or to one by its name.
    fn enters(&self, action: &Action) -> bool {
        match action {
            // One that is lent is none of the target's, wherever it is.
            Action::Exec(exec) => !self.without_pods || exec.namespace.is_none(),
            Action::Attach(_)
            | Action::PortForward(_)
            | Action::Ephemeral(_)
            | Action::Connect(_)
            | Action::Resolve(_)
            // Where nothing of ours stands beside a node, a pod on it asks.
            | Action::Kubelet(_) => true,
            Action::Request(request) => ApiPath::parse(&request.path).is_some_and(|path| {
                path.resource == "pods" && !path.name.is_empty() && self.target.has(&path.namespace)
            }),
            Action::Pod(_)
            | Action::Etcd(_)
            | Action::AuditLog(_)
            | Action::Grants(_)
            | Action::Review(_)
            | Action::Rights(_) => false,
        }
    }

    /// What it takes that an action may write; `None` where it writes nothing, or in namespaces that are made for it
    /// alone.
    fn writes(&self, action: &Action) -> Option<Need> {
        // The rest acts on what the target has, or makes something in its namespace, or only reads.
        let Action::Request(request) = action else { return None };
        if request.method == Method::Get || request.is_dry_run() {
            return None;
        }
        if binds_ours(request) {
            return Some(Need::OwnClusterRole);
        }
        let Some(path) = ApiPath::parse(&request.path) else { return Some(Need::Changes) };
        let (has, is_given) =
            (self.target.has(&path.namespace), self.target.given.contains(&path.namespace));
        let is_ours = request.aim() == Aim::Make
            || path.name.contains("${unique}")
            || self.target.makes(&path);
        match (is_ours, is_given) {
            _ if is_question(&path.group) || has && !is_given => None,
            (false, _) => Some(Need::Changes),
            (true, true) => None,
            (true, false) => Some(Need::Effects),
        }
    }
}

/// Whether words tell the refusal that is meant, by whichever layer.
fn is_told(blocked: &Blocked<Arc<ControlEntry>>) -> bool {
    let saying = blocked.saying.as_deref();
    layers(blocked).iter().all(|layer| blocked.by.words(saying, layer).is_some())
}

/// The layers of which one must refuse.
fn layers(blocked: &Blocked<Arc<ControlEntry>>) -> &[Layer] {
    let decides = blocked.by.control.decides.as_slice();
    blocked.at.as_ref().map_or(decides, std::slice::from_ref)
}

/// Whether authorization alone decides it.
fn is_by_rights(blocked: &Blocked<Arc<ControlEntry>>) -> bool {
    layers(blocked).iter().all(|it| matches!(it, Layer::Authorization | Layer::UpgradeCheck))
}

/// Whether what a request is answered may depend on which pods are ready.
fn leads_to_pods(request: &Request) -> bool {
    ApiPath::parse(&request.path).is_some_and(|path| match path.resource.as_str() {
        "pods" => !path.name.is_empty(),
        "nodes" | "services" | "endpoints" | "endpointslices" => true,
        _ => false,
    })
}

/// Whether it binds a ClusterRole of ours, which is a Role in each namespace on an existing cluster.
fn binds_ours(request: &Request) -> bool {
    let role = request.body.as_ref().map(|body| &body["roleRef"]);
    role.is_some_and(|role| {
        role["kind"] == "ClusterRole"
            && role["name"].as_str().is_some_and(|name| name.starts_with("brinell-"))
    })
}

impl Target {
    /// Its pods that must be ready for an action: the one that it goes into, or all of them where it goes to what leads
    /// to any of them. To read or change an object it need not run.
    pub fn awaited<'a>(&'a self, action: &Action) -> Vec<&'a (String, String)> {
        let (namespace, pod) = match action {
            Action::Exec(exec) => (exec.namespace.as_deref(), exec.pod.as_deref()),
            Action::Ephemeral(ephemeral) => {
                (ephemeral.namespace.as_deref(), ephemeral.pod.as_deref())
            }
            Action::Attach(attach) => (None, attach.pod.as_deref()),
            Action::PortForward(forward) => (None, forward.pod.as_deref()),
            Action::Request(request) if !leads_to_pods(request) => return Vec::new(),
            Action::Request(_) | Action::Connect(_) | Action::Resolve(_) | Action::Kubelet(_) => {
                return self.pods.iter().collect();
            }
            Action::Pod(_)
            | Action::Etcd(_)
            | Action::AuditLog(_)
            | Action::Grants(_)
            | Action::Review(_)
            | Action::Rights(_) => return Vec::new(),
        };
        let meant = (namespace.unwrap_or(&self.namespace), pod.or(self.pod()).unwrap_or_default());
        self.pods.iter().filter(|(place, name)| (place.as_str(), name.as_str()) == meant).collect()
    }

    /// Whether a namespace is made for it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.objects.iter().any(|document| namespace(&document.object) == Some(name))
    }

    /// Whether a namespace of its own is not there already.
    fn has_own_namespaces(&self) -> bool {
        let mut namespaces = self.objects.iter().filter_map(|it| namespace(&it.object));
        namespaces.any(|name| !self.given.contains(name))
    }

    /// Whether an object is made for it.
    fn makes(&self, path: &ApiPath) -> bool {
        let is_meant = |object: &Value| {
            let metadata = &object["metadata"];
            let kind = warrant::resource(object);
            kind.is_some_and(|(group, resource)| group == path.group && resource == path.resource)
                && metadata["name"] == path.name.as_str()
                && metadata["namespace"].as_str().unwrap_or_default() == path.namespace
        };
        self.objects.iter().any(|document| is_meant(&document.object))
    }

    /// Whether it has objects outside of its own namespaces.
    fn reaches_out(&self) -> bool {
        self.objects.iter().map(|document| &document.object).any(|object| {
            let within = object["metadata"]["namespace"].as_str();
            namespace(object).is_none() && !within.is_some_and(|name| self.has(name))
        })
    }
}

impl PersonaEntry {
    /// Whether it holds a role everywhere, or borrows an account that is neither made for it nor in the target.
    fn reaches_out(&self, target: &Target) -> bool {
        let account = match &self.who {
            Persona::ServiceAccount(account) => Some(account),
            Persona::Impersonated(impersonated) => impersonated.by.as_ref(),
            Persona::Anonymous | Persona::Admin | Persona::BadToken | Persona::Credentials(_) => {
                None
            }
        };
        let borrows = |it: &ServiceAccount| !self.has_own_account && !target.has(&it.namespace);
        let everywhere = |role: &HeldRole| matches!(role.bound, Bound::Everywhere);
        self.roles.iter().any(everywhere) || account.is_some_and(borrows)
    }
}

impl Attack {
    /// A command that must be refused is refused before a node is asked. Where it is let in, a simulated node answers
    /// as one does whose image has no such program.
    fn needs(&self) -> &'static [Need] {
        match (&self.r#do, self.blocked()) {
            (Action::Exec(_), Some(_)) => &[],
            (action, _) => action.facts().needs,
        }
    }
}

impl ControlEntry {
    /// What its settings and its own questions need.
    pub fn needs(&self) -> BTreeSet<Need> {
        let asked = self.control.ready.iter().flat_map(|ready| ready.r#do.facts().needs);
        asked.copied().chain(self.control.kubelet.is_some().then_some(Need::RealNode)).collect()
    }
}
