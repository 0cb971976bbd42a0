//! Controls: their files are there, and each weakening weakens something that is noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Check, keys};
use crate::catalog::own_flags::{LEAVE_OUT, is_own_flag};
use crate::catalog::persona::PARTS;
use crate::catalog::read::Parsed;
use crate::catalog::{ControlEntry, Problem, SetUp, WeakenError, identity};
use crate::model::{AUDIT_POLICY, ApiServer, Layer, Need, Objects, Ready, Scenario, Weakening};

impl Check<'_> {
    pub(super) fn control(&mut self, entry: &ControlEntry, scenarios: &[Parsed<Scenario>]) {
        let control = &entry.control;
        // What decides nothing is tested by nobody.
        if !control.decides.is_empty() && !control.weaken.contains_key("absent") {
            let hint = "every control says how a cluster is without it";
            self.wrong("/weaken", "there is no weakening `absent`", hint);
        }
        if control.decides.is_empty() && !control.ready.is_empty() {
            let hint = "`ready` is asked until the control refuses it; this one decides nothing";
            self.wrong("/ready", "it would be asked for ever", hint);
        }
        self.leaves(entry);
        self.objects(entry);
        self.servers(entry);
        self.api_server(&control.api_server, "/api-server", entry);
        for (position, ready) in control.ready.iter().enumerate() {
            self.ready(ready, &control.decides, &format!("/ready/{position}"));
        }
        for (name, weakening) in &control.weaken {
            self.weakening(weakening, &format!("/weaken/{name}"), entry);
            self.expectations(weakening, &format!("/weaken/{name}/expect"), entry, scenarios);
        }
    }

    /// What no refusal of the control's can leave would make every one of them another's.
    fn leaves(&mut self, entry: &ControlEntry) {
        let control = &entry.control;
        if control.decides.is_empty() && !control.leaves.is_empty() {
            let hint = "it decides nothing, so that no refusal is its own: remove `leaves`";
            self.wrong("/leaves", "it refuses nobody", hint);
        }
        self.annotations(&control.leaves, "/leaves");
    }

    /// What a refusal is to leave on the audit event can be left there.
    pub(super) fn annotations(&mut self, leaves: &BTreeMap<String, String>, pointer: &str) {
        for key in leaves.keys().filter(|key| !key.contains('/')) {
            let message = format!("no audit event has an annotation `{key}`");
            let hint =
                "the API server puts the name of the webhook or policy and a slash before the key";
            self.wrong(pointer, &message, hint);
        }
    }

    fn ready(&mut self, ready: &Ready, decides: &[Layer], pointer: &str) {
        let catalog = self.catalog;
        if let Some(target) = &ready.target {
            self.known("target", target, &format!("{pointer}/target"), keys(&catalog.targets));
        }
        if ready.target.is_none() && ready.r#do.acts_on_pod() {
            self.wrong(pointer, "the action acts on a pod", "name the `target` that the pod is in");
        }
        let target =
            ready.target.as_ref().and_then(|target| catalog.targets.get(target)).map(Arc::as_ref);
        self.action(&ready.r#as, &ready.r#do, target, pointer);
        if let Some(saying) = &ready.saying {
            self.saying(saying, decides, &format!("{pointer}/saying"));
        }
    }

    fn weakening(&mut self, weakening: &Weakening, pointer: &str, entry: &ControlEntry) {
        self.added(&weakening.add, &format!("{pointer}/add"), entry);
        if let Some(api_server) = &weakening.api_server {
            self.api_server(api_server, &format!("{pointer}/api-server"), entry);
        }
        self.deleted(&weakening.delete, &format!("{pointer}/delete"), entry);
        match entry.set_up(Some(weakening)) {
            // It was told of the name itself.
            Err(WeakenError::NoObject(name)) if weakening.delete.contains(&name) => {}
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
    }

    fn expectations(
        &mut self,
        weakening: &Weakening,
        pointer: &str,
        entry: &ControlEntry,
        scenarios: &[Parsed<Scenario>],
    ) {
        if weakening.expect.is_empty() {
            let hint =
                "name the scenario that must notice, and its reason: `exec-interactive: bypassed`";
            self.wrong(pointer, "nobody is expected to notice", hint);
        }
        for id in weakening.expect.keys() {
            let pointer = format!("{pointer}/{id}");
            match scenarios.iter().find(|scenario| scenario.name == *id) {
                None => {
                    let known = scenarios.iter().map(|scenario| scenario.name.as_str());
                    self.known("scenario", id, &pointer, known);
                }
                Some(scenario) if entry.built_in && !scenario.source.built_in => {
                    self.takes_the_place(scenario, entry);
                }
                Some(scenario) if !scenario.says.controls().contains(entry.id.as_str()) => {
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

    /// A scenario of the reader's that has the place of one of ours must test what ours did. It is told of their file:
    /// ours is nothing that they could change.
    fn takes_the_place(&mut self, scenario: &Parsed<Scenario>, entry: &ControlEntry) {
        if scenario.says.controls().contains(entry.id.as_str()) {
            return;
        }
        let control = &entry.id;
        let message = format!(
            "the built-in control `{control}` expects it to notice, and it does not test that control"
        );
        let hint = match control == AUDIT_POLICY {
            true => {
                "ask for evidence by `logged:`, call it otherwise, or replace the control as well"
                    .to_owned()
            }
            false => format!(
                "let an attack of it be `blocked: {{by: {control}}}`, call it otherwise, or replace the control as well"
            ),
        };
        let problem = Problem::of_file(&scenario.source.file, &message).hint(&hint);
        // More than one weakening may expect it.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn objects(&mut self, entry: &ControlEntry) {
        let Objects::Files(files) = &entry.control.objects else { return };
        for (position, name) in files.iter().enumerate() {
            let known = known_files(entry);
            let known = known.iter().copied().chain(PARTS);
            let name = name.trim_end_matches('/');
            self.known("file", name, &format!("/objects/{position}"), known);
        }
    }

    /// What is left out is one of the names in `objects`, or one of the objects.
    fn deleted(&mut self, deleted: &[String], pointer: &str, entry: &ControlEntry) {
        let files = entry.control.objects.names();
        if deleted.iter().all(|name| files.contains(&name.as_str())) {
            return;
        }
        let whole = entry.set_up(None).unwrap_or_default();
        let objects: Vec<String> = whole.objects.iter().map(|it| identity(&it.object)).collect();
        for (position, name) in deleted.iter().enumerate() {
            let known = files.iter().copied().chain(objects.iter().map(String::as_str));
            self.known("object or file", name, &format!("{pointer}/{position}"), known);
        }
    }

    fn added(&mut self, files: &[String], pointer: &str, entry: &ControlEntry) {
        for (position, file) in files.iter().enumerate() {
            let known = known_files(entry);
            let file = file.trim_end_matches('/');
            let known = known.iter().copied();
            self.known("file", file, &format!("{pointer}/{position}"), known);
        }
    }

    /// Its files are there, and its flags leave a cluster of ours one by itself.
    fn api_server(&mut self, settings: &ApiServer, pointer: &str, entry: &ControlEntry) {
        for (position, file) in settings.files.iter().enumerate() {
            self.known("file", file, &format!("{pointer}/files/{position}"), keys(&entry.files));
        }
        for flag in settings.flags.keys().filter(|flag| is_own_flag(flag)) {
            let message = format!("no control sets `{flag}`");
            self.wrong(&format!("{pointer}/flags/{flag}"), &message, LEAVE_OUT);
        }
    }
}

/// The files of a control, and the folders that hold some of them.
fn known_files(entry: &ControlEntry) -> BTreeSet<&str> {
    let folders =
        entry.files.keys().flat_map(|file| file.match_indices('/').map(|(end, _)| &file[..end]));
    keys(&entry.files).chain(folders).collect()
}

/// Whether the API server is started as for the whole control.
fn is_api_server_whole(entry: &ControlEntry, weakened: &SetUp) -> bool {
    entry.set_up(None).is_ok_and(|whole| whole.same_api_server(weakened))
}
