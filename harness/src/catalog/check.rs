//! What types alone cannot say: every name means something, and nothing is expected that cannot come.

mod connect;
mod grants;
mod pod;

use std::collections::{BTreeMap, BTreeSet};

use super::load::Sources;
use super::nearest::did_you_mean;
use super::source::Source;
use super::{
    AUDIT_POLICY, Action, Attack, Blocked, Catalog, ControlEntry, Door, Entry, Need, Permit,
    Problem, Request, Succeeds, Target,
};
use crate::control::{Deviation, Profile, Ready, SetUp, Values, Weakening, substitutions};

/// All that is wrong in the catalog.
pub(super) fn catalog(catalog: &Catalog, sources: &Sources) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut check = |file: &str, look: &dyn Fn(&mut Check<'_>)| {
        if let Some(source) = sources.get(file) {
            let mut check = Check { catalog, source, problems: Vec::new() };
            look(&mut check);
            problems.append(&mut check.problems);
        }
    };
    for entry in catalog.controls.values() {
        check(&entry.file, &|check| check.control(entry));
    }
    for entry in catalog.profiles.values() {
        check(&entry.file, &|check| check.profile(&entry.profile));
    }
    for file in sources.keys().filter(|file| may_substitute(file)) {
        check(file, &|check| check.substitutions());
    }
    check("manifests/deviations.yaml", &|check| check.deviations());
    for entry in &catalog.scenarios {
        check(&entry.file, &|check| check.scenario(entry));
    }
    problems
}

/// All that is wrong in a profile.
pub(super) fn profile(catalog: &Catalog, profile: &Profile, source: &Source) -> Vec<Problem> {
    let mut check = Check { catalog, source, problems: Vec::new() };
    check.profile(profile);
    check.problems
}

/// Substitutions are made in what is sent to the cluster: the files of controls, and targets.
fn may_substitute(file: &str) -> bool {
    file.starts_with("manifests/controls/") || file.starts_with("manifests/targets/")
}

/// One file under scrutiny. Places are JSON pointers.
struct Check<'a> {
    catalog: &'a Catalog,
    source: &'a Source,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn wrong(&mut self, pointer: &str, message: &str, hint: &str) {
        let place = self.source.place(pointer);
        self.problems.push(self.source.problem(place, message, hint));
    }

    fn known<'k>(
        &mut self,
        kind: &str,
        name: &str,
        pointer: &str,
        known: impl Iterator<Item = &'k str> + Clone,
    ) {
        if !known.clone().any(|known| known == name) {
            self.wrong(
                pointer,
                &format!("there is no {kind} `{name}`"),
                &did_you_mean(name, known),
            );
        }
    }

    fn scenario(&mut self, entry: &Entry) {
        let scenario = &entry.scenario;
        self.id(entry);
        if scenario.attacks.is_empty() {
            self.wrong("/attacks", "no attack", "a scenario has at least one attack");
        }
        if scenario.permits.is_empty() {
            let hint = "a control that blocks everything would pass: add what must keep working";
            self.wrong("/permits", "no permit", hint);
        }
        self.names(entry);
        let catalog = self.catalog;
        self.known("target", &scenario.target, "/target", keys(&catalog.targets));
        let target = catalog.targets.get(&scenario.target);
        for (position, attack) in scenario.attacks.iter().enumerate() {
            self.attack(attack, target, &format!("/attacks/{position}"));
        }
        for (position, permit) in scenario.permits.iter().enumerate() {
            self.permit(permit, target, &format!("/permits/{position}"));
        }
    }

    fn id(&mut self, entry: &Entry) {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !entry.id.chars().all(allowed) {
            let hint = "a scenario's id is its file's name: lower-case letters, digits and dashes";
            self.wrong("", "the file's name is no id", hint);
        }
        let first = self.catalog.scenarios.iter().find(|other| other.id == entry.id);
        if let Some(first) = first.filter(|first| !std::ptr::eq(*first, entry)) {
            let hint = format!("{} has the same name", first.file);
            self.wrong("", &format!("the id `{}` is taken", entry.id), &hint);
        }
    }

    fn names(&mut self, entry: &Entry) {
        let attacks = entry.scenario.attacks.iter().map(|attack| &attack.name);
        let permits = entry.scenario.permits.iter().map(|permit| &permit.name);
        let places =
            attacks.enumerate().map(|(position, name)| (format!("/attacks/{position}"), name));
        let places = places.chain(
            permits.enumerate().map(|(position, name)| (format!("/permits/{position}"), name)),
        );
        let mut seen = BTreeSet::new();
        for (pointer, name) in places {
            if !seen.insert(name) {
                let message = format!("the name `{name}` appears twice");
                self.wrong(&format!("{pointer}/name"), &message, "results could not be told apart");
            }
        }
    }

    fn attack(&mut self, attack: &Attack, target: Option<&Target>, pointer: &str) {
        self.action(&attack.r#as, &attack.r#do, target, pointer);
        self.door(attack.only, &attack.r#do, pointer);
        self.evidence(attack.logged.is_some(), &attack.r#do, pointer);
        if let Some(succeeds) = &attack.succeeds {
            self.success(succeeds, &attack.r#do, pointer);
        }
        match &attack.blocked {
            Some(_) if attack.succeeds.is_some() => {
                let hint = "a step on which others rest works, an attack is blocked: remove one";
                self.wrong(&format!("{pointer}/succeeds"), "it cannot be blocked as well", hint);
            }
            Some(blocked) => self.blocked(blocked, &attack.r#do, &format!("{pointer}/blocked")),
            None if attack.logged.is_none() && attack.succeeds.is_none() => {
                let hint = "say who must block it (`blocked`), what evidence it must leave (`logged`), or both";
                self.wrong(pointer, "nothing is expected of this attack", hint);
            }
            None => {}
        }
    }

    fn permit(&mut self, permit: &Permit, target: Option<&Target>, pointer: &str) {
        self.action(&permit.r#as, &permit.r#do, target, pointer);
        self.door(permit.only, &permit.r#do, pointer);
        self.evidence(permit.logged.is_some(), &permit.r#do, pointer);
        self.success(&permit.succeeds, &permit.r#do, pointer);
    }

    fn success(&mut self, succeeds: &Succeeds, action: &Action, pointer: &str) {
        let output = succeeds.stdout.is_some() || succeeds.stdout_contains.is_some();
        if output && !action.has_output() {
            let hint = "only exec and attach have output; `succeeds: {}` asks that it works";
            self.wrong(&format!("{pointer}/succeeds"), "this action has no output", hint);
        }
    }

    fn blocked(&mut self, blocked: &Blocked, action: &Action, pointer: &str) {
        let catalog = self.catalog;
        let by = format!("{pointer}/by");
        self.known("control", &blocked.by, &by, keys(&catalog.controls));
        let Some(entry) = catalog.controls.get(&blocked.by) else { return };
        let decides = &entry.control.decides;
        // What the audit policy keeps out of the log is found by a search, and by nothing else.
        let is_search = matches!(action, Action::AuditLog(_));
        if decides.is_empty() || (blocked.by == AUDIT_POLICY && !is_search) {
            let message = format!("`{}` refuses nobody", blocked.by);
            return self.wrong(&by, &message, "ask for the evidence that it leaves with `logged`");
        }
        if let Some(at) = blocked.at.as_ref().filter(|at| !decides.contains(at)) {
            let decides: Vec<String> = decides.iter().map(ToString::to_string).collect();
            let hint = format!("it decides at: {}", decides.join(", "));
            let message = format!("`{}` does not decide at {at}", blocked.by);
            self.wrong(&format!("{pointer}/at"), &message, &hint);
        }
    }

    fn action(&mut self, persona: &str, action: &Action, target: Option<&Target>, pointer: &str) {
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

    fn door(&mut self, only: Option<Door>, action: &Action, pointer: &str) {
        if only.is_some_and(|door| !action.doors().contains(&door)) {
            let doors: Vec<&str> = action.doors().iter().map(|door| door.name()).collect();
            let hint = format!("its doors are: {}", doors.join(", "));
            self.wrong(&format!("{pointer}/only"), "the action has no such door", &hint);
        }
    }

    fn evidence(&mut self, logged: bool, action: &Action, pointer: &str) {
        if logged && !action.reaches_api_server() {
            let hint =
                "it goes past the API server, whose audit log cannot hold it: remove `logged`";
            self.wrong(&format!("{pointer}/logged"), "this action leaves no audit event", hint);
        }
    }

    fn control(&mut self, entry: &ControlEntry) {
        let control = &entry.control;
        if !control.weaken.contains_key("absent") {
            let hint = "every control says how a cluster is without it";
            self.wrong("/weaken", "there is no weakening `absent`", hint);
        }
        if control.decides.is_empty() && !control.ready.is_empty() {
            let hint = "`ready` is asked until the control refuses it; this one decides nothing";
            self.wrong("/ready", "it would be asked for ever", hint);
        }
        self.files(&control.objects, "/objects", entry);
        self.files(&control.api_server.files, "/api-server/files", entry);
        for (position, ready) in control.ready.iter().enumerate() {
            self.ready(ready, &format!("/ready/{position}"));
        }
        for (name, weakening) in &control.weaken {
            self.weakening(weakening, &format!("/weaken/{name}"), entry);
        }
    }

    fn ready(&mut self, ready: &Ready, pointer: &str) {
        let catalog = self.catalog;
        if let Some(target) = &ready.target {
            self.known("target", target, &format!("{pointer}/target"), keys(&catalog.targets));
        }
        if ready.target.is_none() && ready.r#do.acts_on_pod() {
            self.wrong(pointer, "the action acts on a pod", "name the `target` that the pod is in");
        }
        let target = ready.target.as_ref().and_then(|target| catalog.targets.get(target));
        self.action(&ready.r#as, &ready.r#do, target, pointer);
    }

    fn weakening(&mut self, weakening: &Weakening, pointer: &str, entry: &ControlEntry) {
        self.files(&weakening.add, &format!("{pointer}/add"), entry);
        if let Some(api_server) = &weakening.api_server {
            self.files(&api_server.files, &format!("{pointer}/api-server/files"), entry);
        }
        for (position, file) in weakening.delete.iter().enumerate() {
            let objects = entry.control.objects.iter().map(String::as_str);
            self.known("object file", file, &format!("{pointer}/delete/{position}"), objects);
        }
        match entry.set_up(Some(weakening)) {
            Err(error) => {
                let hint = "a weakening that weakens nothing proves nothing";
                self.wrong(&format!("{pointer}/patch"), &error.to_string(), hint);
            }
            Ok(weakened) if weakening.past && is_api_server_whole(entry, &weakened) => {
                let hint = "what is past was written by a second API server with other settings: \
                            remove `past`";
                self.wrong(&format!("{pointer}/past"), "it leaves nothing behind", hint);
            }
            Ok(_) => {}
        }
        if weakening.stop.is_some() && !entry.needs().contains(&Need::RealNode) {
            let hint = "let `ready` ask something that needs a real node";
            let message = "simulated nodes have no DaemonSets, and this control acts there as well";
            self.wrong(&format!("{pointer}/stop"), message, hint);
        }
        self.expectations(weakening, pointer, entry);
    }

    fn expectations(&mut self, weakening: &Weakening, pointer: &str, entry: &ControlEntry) {
        if weakening.expect.is_empty() {
            let hint =
                "name the scenario that must notice, and its reason: `exec-interactive: bypassed`";
            self.wrong(&format!("{pointer}/expect"), "nobody is expected to notice", hint);
        }
        let catalog = self.catalog;
        for id in weakening.expect.keys() {
            let pointer = format!("{pointer}/expect/{id}");
            match catalog.scenarios.iter().find(|scenario| scenario.id == *id) {
                None => {
                    let known = catalog.scenarios.iter().map(|scenario| scenario.id.as_str());
                    self.known("scenario", id, &pointer, known);
                }
                Some(scenario) if !scenario.controls().contains(entry.id.as_str()) => {
                    let message = format!("the scenario `{id}` does not test `{}`", entry.id);
                    self.wrong(
                        &pointer,
                        &message,
                        "a scenario tests what its `by:` names, and by `logged:` the audit policy",
                    );
                }
                Some(_) => {}
            }
        }
    }

    fn files(&mut self, files: &[String], pointer: &str, entry: &ControlEntry) {
        for (position, file) in files.iter().enumerate() {
            self.known("file", file, &format!("{pointer}/{position}"), keys(&entry.files));
        }
    }

    fn profile(&mut self, profile: &Profile) {
        let catalog = self.catalog;
        let mut set_ups: Vec<(&str, SetUp)> = Vec::new();
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
            let set_up = entry.set_up(weakening).unwrap_or_default();
            let clashes =
                set_ups.iter().filter_map(|(other, theirs)| Some((other, theirs.clash(&set_up)?)));
            for (other, clash) in clashes {
                let message = format!("`{id}` and `{other}` both set {clash}");
                let hint = "the API server takes one of them: leave one control out";
                self.wrong(&pointer, &message, hint);
            }
            set_ups.push((id, set_up));
        }
    }

    fn deviations(&mut self) {
        let catalog = self.catalog;
        let weakenings: BTreeSet<String> = catalog
            .controls
            .iter()
            .flat_map(|(id, entry)| {
                entry.control.weaken.keys().map(move |name| format!("{id}/{name}"))
            })
            .collect();
        let scenarios = || catalog.scenarios.iter().map(|entry| entry.id.as_str());
        for (position, deviation) in catalog.deviations.iter().enumerate() {
            match deviation {
                Deviation::Missed(missed) => {
                    let pointer = format!("/{position}/missed/weakening");
                    let known = weakenings.iter().map(String::as_str);
                    self.known("weakening", &missed.weakening, &pointer, known);
                }
                Deviation::Vacuous(vacuous) => {
                    let pointer = format!("/{position}/vacuous/scenario");
                    self.known("scenario", &vacuous.scenario, &pointer, scenarios());
                    let entry = catalog.scenarios.iter().find(|it| it.id == vacuous.scenario);
                    let tested = entry.map(Entry::controls).unwrap_or_default();
                    let pointer = format!("/{position}/vacuous/control");
                    self.known(
                        "tested control",
                        &vacuous.control,
                        &pointer,
                        tested.iter().copied(),
                    );
                }
                Deviation::Collateral(known) => {
                    let pointer = format!("/{position}/collateral");
                    let names = weakenings.iter().map(String::as_str);
                    self.known(
                        "weakening",
                        &known.weakening,
                        &format!("{pointer}/weakening"),
                        names,
                    );
                    let pointer = format!("{pointer}/scenario");
                    self.known("scenario", &known.scenario, &pointer, scenarios());
                }
            }
        }
    }

    fn substitutions(&mut self) {
        let names = Values::names();
        for name in substitutions(&self.source.text) {
            if !names.contains(&name) {
                let place = self.source.text_place(&format!("${{{name}"));
                let message = format!("nothing is known as `${{{name}}}`");
                let hint = did_you_mean(name, names);
                self.problems.push(self.source.problem(place, &message, &hint));
            }
        }
    }
}

fn keys<V>(map: &BTreeMap<String, V>) -> impl Iterator<Item = &str> + Clone {
    map.keys().map(String::as_str)
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

    fn acts_on_pod(&self) -> bool {
        self.named_pod().is_some() || matches!(self, Action::Connect(_) | Action::Resolve(_))
    }

    /// Whether a command's output comes back.
    fn has_output(&self) -> bool {
        matches!(self, Action::Exec(_) | Action::Attach(_))
    }
}

/// Whether the API server is started as for the whole control.
fn is_api_server_whole(entry: &ControlEntry, weakened: &SetUp) -> bool {
    entry.set_up(None).is_ok_and(|whole| whole.same_api_server(weakened))
}
