//! What would run: the scenarios, the profile with its weakenings applied, and what is skipped and why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::catalog::{
    Catalog, ControlEntry, ControlFile, Document, Entry, KnownRights, Lacks, PersonaEntry, Planned,
    ProfileEntry, Question, SetUp, Target, Turn, Values, identity, join, join_flag, namespace,
    people, said, words,
};
use crate::cluster::Settings;
use crate::model::{
    Action, ControlPlace, Deviation, Expectation, Holder, Impersonated, Layer, Need, Persona,
    Rights, WebhookServer,
};
use crate::pod::probe::harmless;

/// All that a run will do.
pub struct Plan<'a> {
    /// What the proof does not show, and why.
    pub deviations: &'a [Deviation],
    /// What whoever asks about rights must know.
    pub rights: Arc<KnownRights>,
    /// What runs, in the order of the catalog.
    pub scenarios: Vec<&'a Entry>,
    /// What is selected but cannot run here, and why.
    pub skipped: Vec<(&'a Entry, String)>,
    /// The profile's name.
    pub profile: String,
    /// Where its controls are in files of the reader's.
    pub places: Vec<ControlPlace>,
    /// The profile's controls, in the order of their ids.
    pub controls: Vec<Planned>,
    /// The profile's controls that this kind of cluster cannot have, and why.
    pub left_out: Vec<(Planned, String)>,
    /// What the personas' files make, where no control of the profile does: they must be somebody all the same.
    pub people: Vec<Document>,
    /// What the cluster will lack.
    pub lacks: Lacks,
}

impl<'a> Plan<'a> {
    /// Plans the `selected` scenarios against a profile of the catalog, on a cluster that does not have what `lacks`
    /// names.
    pub fn new(
        catalog: &'a Catalog,
        profile: &ProfileEntry,
        lacks: impl Into<Lacks>,
        selected: Vec<&'a Entry>,
    ) -> Self {
        let lacks = lacks.into();
        let (mut controls, mut left_out) = (Vec::new(), Vec::new());
        for planned in profile.controls.iter().cloned() {
            match lacks.why_not(&planned.control.needs()) {
                Some(why) => left_out.push((planned, why)),
                None => controls.push(planned),
            }
        }
        give_way(&mut controls);
        let mut plan = Plan {
            deviations: &catalog.deviations,
            rights: Arc::new(catalog.known_rights()),
            scenarios: Vec::new(),
            skipped: Vec::new(),
            profile: profile.name.clone(),
            places: profile.places(),
            controls,
            left_out,
            people: Vec::new(),
            lacks,
        };
        for entry in selected {
            match plan.why_not(catalog, entry) {
                Some(why) => plan.skipped.push((entry, why)),
                None => plan.scenarios.push(entry),
            }
        }
        plan.people = plan.unmade_people(catalog);
        plan
    }

    /// What the personas' files make, where no control of the profile does.
    fn unmade_people(&self, catalog: &Catalog) -> Vec<Document> {
        if self.controls.iter().any(|planned| !planned.control.made.is_empty()) {
            return Vec::new();
        }
        let targets = self.targets();
        let made = targets.iter().flat_map(|target| &target.objects);
        let namespaces = made.filter_map(|document| namespace(&document.object)).collect();
        people(&self.personas(), &catalog.personas, &namespaces)
    }

    /// Leaves out what controls make for bystanders: personas as whom nothing is tried, and whom nothing names. What
    /// looks at roles at large needs all of them. So does a proof, whose weakenings change them.
    pub fn without_bystanders(mut self, catalog: &Catalog) -> Self {
        if self.looks_at_large() {
            return self;
        }
        let named = self.named();
        let bound = catalog.personas.values().flat_map(|entry| &entry.roles);
        let bound = bound.flat_map(|role| role.bound.namespaces());
        let namespaces: BTreeSet<&str> = bound.filter(|name| named.contains(*name)).collect();
        let needed = people(&self.concerned(catalog, &named), &catalog.personas, &namespaces);
        let needed: BTreeSet<String> = needed.iter().map(|it| identity(&it.object)).collect();
        let is_needed = |it: &Document| match namespace(&it.object) {
            Some(name) => namespaces.contains(name),
            None => needed.contains(&identity(&it.object)),
        };
        for planned in self.controls.iter_mut().filter(|planned| planned.unweakened) {
            let made = made_for_personas(planned);
            let objects = &mut planned.set_up.objects;
            objects.retain(|it| !made.contains(&identity(&it.object)) || is_needed(it));
        }
        self
    }

    /// The personas that something rests on: who acts, and who is named, or has a role that is.
    fn concerned<'c>(
        &self,
        catalog: &'c Catalog,
        named: &BTreeSet<String>,
    ) -> Vec<&'c PersonaEntry> {
        let acting = self.personas();
        let is_concerned = |entry: &&PersonaEntry| {
            let account = match &entry.who {
                Persona::ServiceAccount(account) => Some(&account.name),
                _ => None,
            };
            let roles = entry.roles.iter().map(|role| &role.cluster_role);
            acting.iter().any(|persona| persona.name == entry.name)
                || roles.chain(account).chain([&entry.name]).any(|name| named.contains(name))
        };
        catalog.personas.values().map(Arc::as_ref).filter(is_concerned).collect()
    }

    /// Whether something looks at what roles grant at large.
    fn looks_at_large(&self) -> bool {
        self.scenarios.iter().any(|entry| entry.looks_at_large())
    }

    /// Whatever may be a name in what is tried or asked, and as whom, and in every object but those that are made for
    /// personas.
    fn named(&self) -> BTreeSet<String> {
        let actions = self.turns().map(|turn| &turn.action);
        let actions = actions.chain(self.questions().map(|question| &question.ready.r#do));
        let who = self.personas().into_iter().map(|persona| format!("{:?}", persona.who));
        let acts = actions.map(said).chain(who);
        let of_targets = self.targets().into_iter().flat_map(|target| &target.objects);
        let of_controls = self.controls.iter().flat_map(|planned| {
            let made = made_for_personas(planned);
            let objects = planned.set_up.objects.iter();
            objects.filter(move |it| !made.contains(&identity(&it.object)))
        });
        let objects = of_targets.chain(of_controls).map(|it| it.object.to_string());
        acts.chain(objects).flat_map(|text| names(&text)).collect()
    }

    /// Whether rules that controllers put together grant something that matters: one of these roles is bound or named.
    /// What nothing is planned on yet is made for whatever comes.
    pub fn rests_on(&self, roles: &BTreeSet<String>) -> bool {
        let is_bound = |it: &Document| {
            it.object["roleRef"]["name"].as_str().is_some_and(|name| roles.contains(name))
        };
        self.scenarios.is_empty()
            || self.looks_at_large()
            || self.objects().any(is_bound)
            || !self.named().is_disjoint(roles)
    }

    /// Skips what the cluster itself gives a reason for, by the scenario's id.
    pub fn skip(&mut self, why: &BTreeMap<String, String>) {
        for entry in std::mem::take(&mut self.scenarios) {
            match why.get(&entry.id) {
                Some(why) => self.skipped.push((entry, why.clone())),
                None => self.scenarios.push(entry),
            }
        }
    }

    /// Why a scenario cannot run here.
    fn why_not(&self, catalog: &Catalog, entry: &Entry) -> Option<String> {
        let lacking = || self.lacks.why_not(&needs(catalog, entry));
        if let Some(why) = entry.untold.clone().or_else(lacking) {
            return Some(why);
        }
        let set: BTreeSet<&str> = self.controls.iter().map(|it| it.control.id.as_str()).collect();
        let tested = entry.scenario.controls();
        let unset: Vec<&str> = tested.difference(&set).copied().collect();
        let mut left_out = self.left_out.iter();
        if let Some((_, why)) = left_out.find(|(it, _)| unset.contains(&it.control.id.as_str())) {
            return Some(why.clone());
        }
        let names = unset.join(", ");
        (!unset.is_empty())
            .then(|| format!("the profile {} does not have the controls {names}", self.profile))
    }

    /// What serves the webhooks of its controls where there are no nodes, each with the folder in which a command is
    /// run.
    pub fn servers(&self) -> Vec<(PathBuf, WebhookServer)> {
        let of = |planned: &Planned| {
            let ControlEntry { file, control, .. } = &*planned.control;
            let folder = Path::new(file).parent().unwrap_or(Path::new("")).to_owned();
            control.servers.iter().map(move |server| (folder.clone(), server.clone())).collect()
        };
        self.controls.iter().flat_map(|planned| -> Vec<_> { of(planned) }).collect()
    }

    /// The images that its controls give to the nodes, each once.
    pub fn images(&self) -> BTreeSet<&str> {
        let images = self.controls.iter().flat_map(|planned| &planned.control.control.images);
        images.map(String::as_str).collect()
    }

    /// The names by which webhooks of its controls are called, weakened or not, each once: those of their Services.
    pub fn webhook_hosts(&self) -> BTreeSet<String> {
        let weakenings = self.controls.iter().flat_map(|planned| planned.weakenings.iter());
        let weakened = weakenings.flat_map(|weakened| &weakened.set_up.objects);
        let objects = self.objects().chain(weakened);
        let webhooks = objects.flat_map(|it| it.object["webhooks"].as_array());
        let services = webhooks.flatten().map(|webhook| &webhook["clientConfig"]["service"]);
        services
            .filter_map(|service| {
                let (name, namespace) = (&service["name"], &service["namespace"]);
                Some(format!("{}.{}.svc", name.as_str()?, namespace.as_str()?))
            })
            .collect()
    }

    /// The API server's and the kubelet's settings of all controls together.
    pub fn settings(&self, values: &Values) -> Settings {
        settings(self.controls.iter().map(|planned| &planned.set_up), values)
    }

    /// The API server's and the kubelet's settings of all controls together, with one control set up otherwise.
    pub fn settings_with(&self, values: &Values, id: &str, set_up: &SetUp) -> Settings {
        let others = self.controls.iter().filter(|planned| planned.control.id != id);
        settings(others.map(|planned| &planned.set_up).chain([set_up]), values)
    }

    /// The controls that are to be seen acting: those that are not weakened and could decide of anything that is tried.
    pub fn deciding(&self) -> impl Iterator<Item = &Planned> {
        self.controls.iter().filter(|planned| planned.unweakened && !self.is_out_of_play(planned))
    }

    /// Whether a control decides in a network alone, into which no scenario goes. All others may refuse what is meant
    /// for another.
    pub fn is_out_of_play(&self, planned: &Planned) -> bool {
        let network = Need::PodNetwork;
        planned.control.control.decides == [Layer::Network]
            && !self.scenarios.iter().any(|entry| entry.needs().contains(&network))
    }

    /// What those controls are asked until they act.
    fn questions(&self) -> impl Iterator<Item = &Question> {
        self.deciding().flat_map(|planned| &planned.questions)
    }

    /// The targets that the scenarios and the controls' own questions act on, each once, in the order of their names.
    pub fn targets(&self) -> Vec<&Target> {
        let asked = self.questions().filter_map(|question| question.target.as_deref());
        let all = self.scenarios.iter().map(|entry| &*entry.target).chain(asked);
        let by_name: BTreeMap<&str, &Target> = all.map(|it| (it.name.as_str(), it)).collect();
        by_name.into_values().collect()
    }

    /// The pods of its targets that must be ready, by namespace and name, each once.
    pub fn awaited(&self) -> BTreeSet<&(String, String)> {
        let asked = self.questions().filter_map(|it| Some((it.target.as_deref()?, &it.ready.r#do)));
        let asked = asked.flat_map(|(target, action)| target.awaited(action));
        self.scenarios.iter().flat_map(|entry| entry.awaited()).chain(asked).collect()
    }

    /// All that is tried.
    pub fn turns(&self) -> impl Iterator<Item = &Turn> {
        self.scenarios.iter().flat_map(|entry| &entry.turns)
    }

    /// All objects of its targets, controls and personas.
    pub fn objects(&self) -> impl Iterator<Item = &Document> {
        let targets = self.targets().into_iter().flat_map(|target| &target.objects);
        let controls = self.controls.iter().flat_map(|planned| &planned.set_up.objects);
        targets.chain(controls).chain(&self.people)
    }

    /// The personas that the scenarios and the controls' own questions need, each once, in the order of their names.
    pub fn personas(&self) -> Vec<&PersonaEntry> {
        let asked = self.questions().map(|question| &*question.persona);
        let all = self.turns().map(|turn| &*turn.persona).chain(asked);
        let by_name: BTreeMap<&str, &PersonaEntry> = all.map(|it| (it.name.as_str(), it)).collect();
        by_name.into_values().collect()
    }
}

/// What may be names in a text, as a whole and in their parts: `system:serviceaccount:shop:backend` names `backend`
/// too.
fn names(text: &str) -> Vec<String> {
    let whole = text.split(|c: char| !(c.is_ascii_alphanumeric() || "-.:_".contains(c)));
    let names = whole.flat_map(|name| [name].into_iter().chain(words(name)));
    names.map(str::to_owned).collect()
}

/// Whatever may be a name in what a scenario tries, and as whom.
pub(super) fn named_by(entry: &Entry) -> BTreeSet<String> {
    let said = |turn: &Turn| [said(&turn.action), format!("{:?}", turn.persona.who)];
    entry.turns.iter().flat_map(said).flat_map(|text| names(&text)).collect()
}

/// What a control makes for personas, by identity.
fn made_for_personas(planned: &Planned) -> BTreeSet<String> {
    planned.control.made.values().flatten().map(|it| identity(&it.object)).collect()
}

/// What a cluster must have for a scenario. What its controls need is their own.
pub fn needs(catalog: &Catalog, entry: &Entry) -> BTreeSet<Need> {
    let players = proves_our_roles(catalog, entry).then_some(Need::Players);
    let mut actions = entry.scenario.actions();
    let node = actions.any(|action| reads_along(&entry.target, action)).then_some(Need::RealNode);
    entry.needs().into_iter().chain(players).chain(node).collect()
}

/// Whether an action reads along with a main process that only a real node runs.
fn reads_along(target: &Target, action: &Action) -> bool {
    let Action::Attach(attach) = action else { return false };
    let pod = attach.pod.as_deref().or(target.pod()).unwrap_or_default();
    let mut containers = target.containers(&target.namespace, pod).into_iter();
    let container = match &attach.container {
        Some(name) => containers.find(|container| container["name"] == name.as_str()),
        None => containers.next(),
    };
    let command = container.map(|container| &container["command"]);
    let words = command.and_then(Value::as_array).into_iter().flatten();
    let command: Vec<String> = words.filter_map(Value::as_str).map(str::to_owned).collect();
    harmless(&command).is_none()
}

/// Whether what roles of ours allow is all that a scenario shows of authorization, by what it must refuse or by a step
/// before that. On a cluster of ours they are what is tested.
fn proves_our_roles(catalog: &Catalog, entry: &Entry) -> bool {
    // Who impersonates by an account of ours has its roles.
    let by_ours = |persona: &PersonaEntry| {
        matches!(&persona.who, Persona::Impersonated(Impersonated { by: Some(_), .. }))
    };
    let is_ours =
        |persona: &PersonaEntry| (!persona.roles.is_empty() || by_ours(persona)) && !persona.played;
    let mut turns = entry.turns.iter().enumerate();
    turns.any(|(position, turn)| {
        let by_authorization = match &turn.expected {
            Expectation::Blocked(blocked, _) => {
                blocked.by.control.decides.contains(&Layer::Authorization)
            }
            Expectation::Sound(_) | Expectation::Succeeds(..) | Expectation::Recorded(_) => false,
        };
        // What is promised to whom plays a persona, nobody knows: every right of theirs would be a finding.
        let is_unknown = match &turn.action {
            Action::Rights(Rights { of: Holder::Persona(name), .. }) => {
                catalog.personas.get(name).is_some_and(|it| it.played || !it.roles.is_empty())
            }
            _ => is_ours(&turn.persona),
        };
        let prepares = || may_be_refused_before(turn, &entry.turns[position + 1..]);
        is_unknown && (by_authorization || prepares())
    })
}

/// Whether a turn changes what a later one is decided by, and may be refused: where it always is, the later one shows
/// nothing.
fn may_be_refused_before(turn: &Turn, later: &[Turn]) -> bool {
    let may_be_refused = matches!(&turn.expected, Expectation::Recorded(it) if it.refused_too);
    let is_dry_run = matches!(&turn.action, Action::Request(request) if request.is_dry_run());
    let changes = turn.action.facts().settles.is_some() && !is_dry_run;
    let is_blocked = |later: &Turn| matches!(later.expected, Expectation::Blocked(..));
    may_be_refused && changes && later.iter().any(is_blocked)
}

/// Leaves an object that two controls name to the weakened one: the other would restore it.
fn give_way(controls: &mut [Planned]) {
    let weakened = controls.iter().filter(|planned| !planned.unweakened);
    let theirs = weakened.flat_map(|planned| &planned.set_up.objects);
    let theirs: BTreeSet<String> = theirs.map(|it| identity(&it.object)).collect();
    for planned in controls.iter_mut().filter(|planned| planned.unweakened) {
        planned.set_up.objects.retain(|it| !theirs.contains(&identity(&it.object)));
    }
}

/// The API server's and the kubelet's settings of several controls together.
fn settings<'s>(set_ups: impl Iterator<Item = &'s SetUp>, values: &Values) -> Settings {
    let mut settings = Settings::default();
    let mut files: BTreeMap<&String, ControlFile> = BTreeMap::new();
    for set_up in set_ups {
        settings.removed.extend(set_up.removed.iter().cloned());
        for (flag, value) in &set_up.flags {
            let joined = settings.flags.get(flag).and_then(|it| join_flag(flag, it, value));
            settings.flags.insert(flag.clone(), joined.unwrap_or_else(|| value.clone()));
        }
        for (name, file) in &set_up.files {
            let joined = files.get(name).and_then(|there| join(there, file));
            files.insert(name, joined.unwrap_or_else(|| file.clone()));
        }
        if let Some(kubelet) = &set_up.kubelet {
            if settings.kubelet.is_null() {
                settings.kubelet = serde_json::json!({});
            }
            crate::merge::lay_over(&mut settings.kubelet, kubelet);
        }
    }
    let filled = files.into_iter().map(|(name, file)| (name.clone(), values.fill(&file.text)));
    settings.files = filled.collect();
    settings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::Document;
    use crate::cluster::ClusterType;
    use crate::model::Attach;

    fn plan<'a>(catalog: &'a Catalog, cluster: ClusterType, selected: Vec<&'a Entry>) -> Plan<'a> {
        let profile = catalog.profile("hardened").expect("a profile of ours");
        Plan::new(catalog, &profile, cluster, selected)
    }

    #[test]
    fn what_needs_real_nodes_is_skipped_on_simulated_ones_alone() {
        let catalog = Catalog::load(None).expect("our own catalog");
        let all: Vec<&Entry> = catalog.scenarios.iter().collect();
        assert!(plan(&catalog, ClusterType::Kind, all.clone()).skipped.is_empty());
        let embedded = plan(&catalog, ClusterType::Embedded, all);
        let skipped: Vec<&str> =
            embedded.skipped.iter().map(|(entry, _)| entry.id.as_str()).collect();
        let expected = [
            "exec-shell-uri-logged",
            "anonymous-kubelet",
            "kubelet-debug-paths",
            "kubelet-without-role",
            "nodes-proxy-denied",
            "nodes-proxy-kubelet-exec",
            "egress-behind",
            "egress-database",
            "egress-outside",
            "ingress-other-namespace",
            "proxies-denied",
            "kubelet-settings-reviewed",
        ];
        assert_eq!(skipped, expected);
        let left_out: Vec<&str> =
            embedded.left_out.iter().map(|(planned, _)| planned.control.id.as_str()).collect();
        assert_eq!(left_out, ["kubelet-auth", "network-policy"]);
    }

    /// The plug-ins that the API server is started with, with one control weakened.
    fn plug_ins(control: &str, weakening: Option<&str>) -> Vec<String> {
        let catalog = Catalog::load(None).expect("our own catalog");
        let plan = plan(&catalog, ClusterType::Embedded, Vec::new());
        let entry = &catalog.controls[control];
        let weakening = weakening.map(|name| &entry.control.weaken[name]);
        let set_up = entry.set_up(weakening).expect("it fits");
        let settings = plan.settings_with(&Values::default(), control, &set_up);
        let file = &settings.files["admission.yaml"];
        let configuration: Value = serde_saphyr::from_str(file).expect("YAML");
        let plug_ins = configuration["plugins"].as_array().expect("plug-ins").iter();
        plug_ins.map(|it| it["name"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The pods that are waited for where one scenario of ours is tried on a cluster that is there.
    fn awaited(id: &str) -> Vec<String> {
        let catalog = Catalog::load(None).expect("our own catalog");
        let entry = catalog.scenarios.iter().find(|it| it.id == id).expect("one of ours");
        entry
            .awaited()
            .map(|(namespace, pod)| format!("{namespace}/{pod}"))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    #[test]
    fn only_pods_that_are_gone_into_are_waited_for() {
        assert_eq!(awaited("exec-interactive"), ["production-app/app"]);
        assert_eq!(awaited("exec-named-containers"), ["production-app/meshed"]);
        assert_eq!(awaited("secret-get"), [""; 0]);
        assert_eq!(awaited("pod-privileged"), [""; 0]);
        // A Service leads to any of them, and a node to all.
        assert_eq!(awaited("egress-database").len(), 5);
        assert_eq!(awaited("nodes-proxy-denied"), ["plain-app/app"]);
    }

    /// The objects of the profile's controls where some scenarios are tried alone, and one control has more objects.
    fn set_up(ids: &[&str], more: &[Value]) -> BTreeSet<String> {
        let catalog = Catalog::load(None).expect("our own catalog");
        let entries = catalog.scenarios.iter().filter(|it| ids.contains(&it.id.as_str()));
        let mut plan = plan(&catalog, ClusterType::Kind, entries.collect());
        let more =
            more.iter().map(|object| Document { file: String::new(), object: object.clone() });
        plan.controls[0].set_up.objects.extend(more);
        let plan = plan.without_bystanders(&catalog);
        let objects = plan.controls.iter().flat_map(|planned| &planned.set_up.objects);
        objects.map(|it| identity(&it.object)).collect()
    }

    #[test]
    fn bystanders_are_not_made() {
        let alone = set_up(&["exec-interactive"], &[]);
        let has = |identity: &str| alone.contains(identity);
        // Who acts, and whom the controls' own questions are asked as.
        assert!(has("ServiceAccount/brinell-personas/operator"), "{alone:?}");
        assert!(has("ServiceAccount/brinell-personas/developer"));
        assert!(has("RoleBinding/production-app/operator") && has("ClusterRole/brinell-operator"));
        assert!(has("Namespace/production-app") && has("Namespace/brinell-exec-guard"));
        assert!(!has("RoleBinding/staging-app/operator") && !has("Namespace/staging-app"));
        assert!(!has("ServiceAccount/brinell-personas/viewer"));
        assert!(!has("ClusterRole/brinell-reader"));
        // What another control has may rest on them.
        let more = [
            json!({"kind": "ResourceQuota", "metadata": {"name": "a", "namespace": "staging-app"}}),
            json!({"kind": "RoleBinding", "metadata": {"name": "b"}, "roleRef": {"name": "brinell-reader"}}),
        ];
        let guarded = set_up(&["exec-interactive"], &more);
        assert!(guarded.contains("Namespace/staging-app"), "{guarded:?}");
        assert!(guarded.contains("ClusterRole/brinell-reader"));
        // What reads all roles, finds all of them.
        let read = set_up(&["exec-interactive", "exec-grants-reviewed"], &[]);
        assert!(read.contains("ServiceAccount/brinell-personas/viewer"));
        assert!(read.contains("RoleBinding/staging-app/operator"));
    }

    #[test]
    fn names_are_found_as_they_stand_in_texts() {
        let named = |text: &str, name: &str| names(text).iter().any(|it| it == name);
        assert!(named("/api/v1/namespaces/vault/secrets?limit=1", "vault"));
        assert!(named("{\"name\":\"view\"}", "view") && !named("selfsubjectreviews", "view"));
        assert!(named("system:serviceaccount:shop:backend", "backend"));
        assert!(named("String(\"acme:reader\")", "acme:reader"));
        assert!(named("exec-guard.brinell-exec-guard.svc", "brinell-exec-guard"));
        let exec = json!({"exec": {"command": ["cat", "a\nstaging-app\tb"]}});
        let exec: Action = serde_json::from_value(exec).expect("an action");
        assert!(named(&said(&exec), "staging-app"));
    }

    #[test]
    fn controllers_are_waited_for_where_a_role_of_theirs_is_bound() {
        let catalog = Catalog::load(None).expect("our own catalog");
        let rests = |id: &str| {
            let entries = catalog.scenarios.iter().filter(|it| it.id == id).collect();
            let plan = plan(&catalog, ClusterType::Kind, entries).without_bystanders(&catalog);
            plan.rests_on(&BTreeSet::from(["admin".to_owned(), "view".to_owned()]))
        };
        assert!(!rests("exec-interactive"));
        assert!(rests("rights-colleague"));
    }

    #[test]
    fn lists_of_several_controls_are_one() {
        let with = |plug_in: &str| SetUp {
            flags: BTreeMap::from([("enable-admission-plugins".to_owned(), plug_in.to_owned())]),
            removed: BTreeSet::from([plug_in.to_owned()]),
            ..SetUp::default()
        };
        let settings = settings([&with("A"), &with("B")].into_iter(), &Values::default());
        assert_eq!(settings.flags["enable-admission-plugins"], "A,B");
        assert_eq!(settings.removed.into_iter().collect::<Vec<_>>(), ["A", "B"]);
    }

    #[test]
    fn weakening_one_control_leaves_the_others_plug_in() {
        let (guard, pods) = ("ValidatingAdmissionWebhook", "PodSecurity");
        assert_eq!(plug_ins("exec-guard", None), [pods, guard]);
        assert_eq!(plug_ins("exec-guard", Some("certificate-lost")), [pods]);
        assert_eq!(plug_ins("pod-security", Some("baseline")), [guard, pods]);
        assert_eq!(plug_ins("pod-security", Some("absent")), [guard]);
    }

    #[test]
    fn what_a_profile_weakens_nobody_else_restores() {
        let catalog = Catalog::load(None).expect("our own catalog");
        let hardened = catalog.profile("hardened").expect("a profile of ours");
        let names = |documents: &[Document]| {
            documents.iter().map(|it| identity(&it.object)).collect::<BTreeSet<String>>()
        };
        for (position, planned) in hardened.controls.iter().enumerate() {
            for weakened in planned.weakenings.iter() {
                let mut profile = hardened.clone();
                profile.controls[position].set_up = weakened.set_up.clone();
                profile.controls[position].unweakened = false;
                let plan = Plan::new(&catalog, &profile, ClusterType::Kind, Vec::new());
                let change = planned.set_up.change_to(&weakened.set_up);
                let changed = &names(&change.apply) | &names(&change.delete);
                for other in plan.controls.iter().filter(|it| it.control.id != planned.control.id) {
                    let restored = &changed & &names(&other.set_up.objects);
                    assert!(restored.is_empty(), "{}: {restored:?}", weakened.name);
                }
                // A target is there before the controls are, so that of its objects only what is deleted comes back.
                for target in catalog.targets.values() {
                    let restored = &names(&change.delete) & &names(&target.objects);
                    assert!(restored.is_empty(), "{}: {restored:?}", weakened.name);
                }
            }
        }
    }

    #[test]
    fn no_weakening_of_ours_is_at_odds_with_another_control() {
        let catalog = Catalog::load(None).expect("our own catalog");
        let hardened = catalog.profile("hardened").expect("a profile of ours");
        for planned in &hardened.controls {
            let others = hardened.controls.iter().filter(|it| it.control.id != planned.control.id);
            for other in others {
                for weakened in planned.weakenings.iter() {
                    let clash = weakened.set_up.clash(&other.set_up);
                    assert!(clash.is_none(), "{}: {}", weakened.name, other.control.id);
                }
            }
        }
    }

    #[test]
    fn a_users_scenario_is_skipped_for_one_action() {
        let catalog = Catalog::load(None).expect("our own catalog");
        let mut entry = catalog.scenarios[0].clone();
        entry.target = Arc::clone(&catalog.targets["shop"]);
        for (pod, runs) in [("frontend", true), ("backend", false)] {
            let attach =
                Attach { pod: Some(pod.to_owned()), container: None, stdin: false, tty: false };
            entry.scenario.attacks[0].r#do = Action::Attach(attach);
            let embedded = plan(&catalog, ClusterType::Embedded, vec![&entry]);
            assert_eq!(embedded.skipped.is_empty(), runs, "{pod}");
        }
    }
}
