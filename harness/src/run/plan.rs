//! What would run: the scenarios, the profile with its weakenings applied, and what is skipped and why.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::catalog::{Catalog, ControlEntry, Entry, Lacks, ProfileEntry, SetUp, Values, join};
use crate::cluster::Settings;
use crate::model::{Action, Need, Ready};
use crate::pod::probe::harmless;

/// A control as this run sets it up.
pub struct Planned<'a> {
    /// The control.
    pub control: &'a ControlEntry,
    /// With the profile's weakening applied.
    pub set_up: SetUp,
    /// Whether it stands as it is, so that it must be seen acting.
    pub whole: bool,
}

/// All that a run will do.
pub struct Plan<'a> {
    /// What is known.
    pub catalog: &'a Catalog,
    /// What runs, in the order of the catalog.
    pub scenarios: Vec<&'a Entry>,
    /// What is selected but cannot run here, and why.
    pub skipped: Vec<(&'a Entry, String)>,
    /// The profile's name.
    pub profile: String,
    /// The profile's controls, by id.
    pub controls: BTreeMap<String, Planned<'a>>,
    /// The profile's controls that this kind of cluster cannot have, by id, and why.
    pub left_out: BTreeMap<String, String>,
    /// What the cluster will lack.
    pub lacks: Lacks,
}

impl<'a> Plan<'a> {
    /// Plans the `selected` scenarios against a profile of the catalog, on a cluster that lacks what it lacks.
    pub fn new(
        catalog: &'a Catalog,
        profile: &ProfileEntry,
        lacks: impl Into<Lacks>,
        selected: Vec<&'a Entry>,
    ) -> Self {
        let lacks = lacks.into();
        let mut controls: BTreeMap<String, Planned<'a>> = profile
            .profile
            .controls
            .iter()
            .filter_map(|(id, setting)| {
                let control = catalog.controls.get(id)?;
                let weakening =
                    setting.weakening.as_ref().and_then(|name| control.control.weaken.get(name));
                let fits = "the catalog has checked that its weakenings fit";
                let set_up = control.set_up(weakening).expect(fits);
                Some((id.clone(), Planned { control, set_up, whole: weakening.is_none() }))
            })
            .collect();
        let left_out: BTreeMap<String, String> = controls
            .iter()
            .filter_map(|(id, planned)| {
                Some((id.clone(), lacks.why_not(&planned.control.needs())?))
            })
            .collect();
        controls.retain(|id, _| !left_out.contains_key(id));
        let mut plan = Plan {
            catalog,
            scenarios: Vec::new(),
            skipped: Vec::new(),
            profile: profile.name.clone(),
            controls,
            left_out,
            lacks,
        };
        for entry in selected {
            match plan.why_not(entry) {
                Some(why) => plan.skipped.push((entry, why)),
                None => plan.scenarios.push(entry),
            }
        }
        plan
    }

    /// Why a scenario cannot run here.
    fn why_not(&self, entry: &Entry) -> Option<String> {
        let mut needs = entry.needs();
        if entry.scenario.actions().any(|action| self.reads_along(entry, action)) {
            needs.insert(Need::RealNode);
        }
        if let Some(why) = self.lacks.why_not(&needs) {
            return Some(why);
        }
        let unset: Vec<&str> =
            entry.controls().into_iter().filter(|id| !self.controls.contains_key(*id)).collect();
        if let Some(why) = unset.iter().find_map(|id| self.left_out.get(*id)) {
            return Some(why.clone());
        }
        let names = unset.join(", ");
        (!unset.is_empty())
            .then(|| format!("the profile {} does not have the controls {names}", self.profile))
    }

    /// Whether an action reads along with a main process that only a real node runs.
    fn reads_along(&self, entry: &Entry, action: &Action) -> bool {
        let Action::Attach(attach) = action else { return false };
        let Some(target) = self.catalog.targets.get(&entry.scenario.target) else { return false };
        let named = attach.pod.as_ref().or(target.pods.first().map(|(_, pod)| pod));
        let pod = named.map_or("", String::as_str);
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

    /// The API server's and the kubelet's settings of all controls together.
    pub fn settings(&self, values: &Values) -> Settings {
        settings(self.controls.values().map(|planned| &planned.set_up), values)
    }

    /// The same, with one control set up otherwise.
    pub fn settings_with(&self, values: &Values, id: &str, set_up: &SetUp) -> Settings {
        let others = self.controls.iter().filter(|(other, _)| *other != id);
        settings(others.map(|(_, planned)| &planned.set_up).chain([set_up]), values)
    }

    /// What the whole controls are asked until they act.
    fn questions(&self) -> impl Iterator<Item = &Ready> {
        let whole = self.controls.values().filter(|planned| planned.whole);
        whole.flat_map(|planned| &planned.control.control.ready)
    }

    /// The targets that the scenarios and the controls' own questions act on.
    pub fn targets(&self) -> BTreeSet<&str> {
        let asked = self.questions().filter_map(|ready| ready.target.as_deref());
        self.scenarios.iter().map(|entry| entry.scenario.target.as_str()).chain(asked).collect()
    }

    /// The personas that the scenarios and the controls' own questions need.
    pub fn personas(&self) -> BTreeSet<&str> {
        let asked = self.questions().map(|ready| ready.r#as.as_str());
        let acting = self.scenarios.iter().flat_map(|entry| {
            let attacks = entry.scenario.attacks.iter().map(|attack| attack.r#as.as_str());
            attacks.chain(entry.scenario.permits.iter().map(|permit| permit.r#as.as_str()))
        });
        acting.chain(asked).collect()
    }
}

/// The API server's and the kubelet's settings of several controls together.
fn settings<'s>(set_ups: impl Iterator<Item = &'s SetUp>, values: &Values) -> Settings {
    let mut settings = Settings::default();
    for set_up in set_ups {
        settings.flags.extend(set_up.flags.clone());
        for (name, text) in &set_up.files {
            let text = values.fill(text);
            let joined = settings.files.get(name).and_then(|there| join(there, &text));
            settings.files.insert(name.clone(), joined.unwrap_or(text));
        }
        if let Some(kubelet) = &set_up.kubelet {
            if settings.kubelet.is_null() {
                settings.kubelet = serde_json::json!({});
            }
            crate::merge::patch(&mut settings.kubelet, kubelet);
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ClusterKind;
    use crate::model::Attach;

    fn plan<'a>(catalog: &'a Catalog, cluster: ClusterKind, selected: Vec<&'a Entry>) -> Plan<'a> {
        let profile = catalog.profile("hardened").expect("a profile of ours");
        Plan::new(catalog, &profile, cluster, selected)
    }

    #[test]
    fn what_needs_real_nodes_is_skipped_on_simulated_ones_alone() {
        let catalog = Catalog::load(None).expect("our own catalog");
        let all: Vec<&Entry> = catalog.scenarios.iter().collect();
        assert!(plan(&catalog, ClusterKind::Kind, all.clone()).skipped.is_empty());
        let embedded = plan(&catalog, ClusterKind::Embedded, all);
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
        ];
        assert_eq!(skipped, expected);
        let left_out: Vec<&String> = embedded.left_out.keys().collect();
        assert_eq!(left_out, ["kubelet-auth", "network-policy"]);
    }

    /// The plug-ins that the API server is started with, with one control weakened.
    fn plug_ins(control: &str, weakening: Option<&str>) -> Vec<String> {
        let catalog = Catalog::load(None).expect("our own catalog");
        let plan = plan(&catalog, ClusterKind::Embedded, Vec::new());
        let entry = &catalog.controls[control];
        let weakening = weakening.map(|name| &entry.control.weaken[name]);
        let set_up = entry.set_up(weakening).expect("it fits");
        let settings = plan.settings_with(&Values::default(), control, &set_up);
        let file = &settings.files["admission.yaml"];
        let configuration = crate::catalog::documents(file).expect("YAML").swap_remove(0);
        let plug_ins = configuration["plugins"].as_array().expect("plug-ins").iter();
        plug_ins.map(|it| it["name"].as_str().unwrap_or_default().to_owned()).collect()
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
    fn a_users_scenario_is_skipped_for_one_action() {
        let catalog = Catalog::load(None).expect("our own catalog");
        let mut entry = catalog.scenarios[0].clone();
        entry.scenario.target = "shop".to_owned();
        for (pod, runs) in [("frontend", true), ("backend", false)] {
            let attach =
                Attach { pod: Some(pod.to_owned()), container: None, stdin: false, tty: false };
            entry.scenario.attacks[0].r#do = Action::Attach(attach);
            let embedded = plan(&catalog, ClusterKind::Embedded, vec![&entry]);
            assert_eq!(embedded.skipped.is_empty(), runs, "{pod}");
        }
    }
}
