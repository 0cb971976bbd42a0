//! What types alone cannot say: every name means something, and nothing is expected that cannot come.

mod action;
mod connect;
mod control;
mod deviation;
mod fields;
mod grants;
mod persona;
mod pod;
mod profile;
mod request;
mod rights;
mod saying;
mod scenario;

use std::collections::BTreeMap;

use super::load::Sources;
use super::nearest::did_you_mean;
use super::problem::SHOWN_PROBLEMS;
use super::source::Source;
use super::{Catalog, Problem};
use crate::catalog::{Values, substitutions};
use crate::model::Profile;

/// All that is wrong in the catalog, given the sources of its manifests and of its scenarios.
pub(super) fn catalog(catalog: &Catalog, [manifests, scenarios]: [&Sources; 2]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut check = |source: Option<&Source>, look: &dyn Fn(&mut Check<'_>)| {
        if let Some(source) = source {
            let mut check = Check { catalog, source, problems: Vec::new() };
            look(&mut check);
            problems.append(&mut check.problems);
        }
    };
    let known = persona::Known::of(catalog);
    for entry in catalog.personas.values() {
        check(manifests.get(&entry.file), &|check| check.persona(entry, &known));
    }
    for entry in catalog.controls.values() {
        check(manifests.get(&entry.file), &|check| check.control(entry));
    }
    for entry in catalog.profiles.values() {
        check(manifests.get(&entry.file), &|check| check.profile(&entry.profile));
    }
    for source in manifests.values().filter(|source| may_substitute(&source.file)) {
        check(Some(source), &|check| check.substitutions());
    }
    check(manifests.get("manifests/deviations.yaml"), &|check| check.deviations());
    check(manifests.get("manifests/rights.yaml"), &|check| check.dangers());
    for entry in &catalog.scenarios {
        check(scenarios.get(&entry.id), &|check| check.scenario(entry));
    }
    problems
}

/// All that is wrong in a profile.
pub(super) fn profile(catalog: &Catalog, profile: &Profile, source: &Source) -> Vec<Problem> {
    let mut check = Check { catalog, source, problems: Vec::new() };
    check.profile(profile);
    check.problems
}

/// Substitutions are made in what is sent to the cluster: the files of controls, targets and personas.
fn may_substitute(file: &str) -> bool {
    let folders = ["manifests/controls/", "manifests/personas/", "manifests/targets/"];
    folders.iter().any(|folder| file.starts_with(folder))
}

/// One file under scrutiny. Places are JSON pointers.
struct Check<'a> {
    catalog: &'a Catalog,
    source: &'a Source,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn wrong(&mut self, pointer: &str, message: &str, hint: &str) {
        // More are counted and not shown.
        let is_shown = self.problems.len() < SHOWN_PROBLEMS;
        let place = if is_shown { self.source.place(pointer) } else { None };
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
