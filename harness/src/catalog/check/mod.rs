//! What types alone cannot say: every name means something, and nothing is expected that cannot come.

mod action;
mod connect;
mod control;
mod deviation;
mod fields;
mod grants;
mod object;
mod persona;
mod pod;
mod profile;
mod request;
mod review;
mod rights;
mod saying;
mod scenario;
mod server;
mod waiver;

use std::collections::{BTreeMap, BTreeSet};

use self::server::SERVERS_OWN;
use super::nearest::did_you_mean;
use super::part::Kind;
use super::problem::SHOWN_PROBLEMS;
use super::read::{Parsed, Read};
use super::source::Source;
use super::{Catalog, Problem};
use crate::catalog::{Values, substitutions};
use crate::model::{Profile, Waiver};

/// All that is wrong in what was read; nothing where a manifest is missing that may hold what is named.
pub(super) fn all(read: &Read) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !read.manifests_are_whole {
        return problems;
    }
    let Read { catalog, deviations, dangers, scenarios, profiles, manifests, printed, .. } = read;
    let mut check = |source: Option<&Source>, look: &mut dyn FnMut(&mut Check<'_>)| {
        if let Some(source) = source {
            let mut check = Check { catalog, source, problems: Vec::new() };
            look(&mut check);
            problems.append(&mut check.problems);
        }
    };
    let known = persona::Known::of(catalog);
    for entry in catalog.personas.values() {
        check(manifests.get(&entry.file), &mut |check| {
            check.name(Kind::Persona, &entry.name);
            check.persona(entry, &known);
        });
    }
    for target in catalog.targets.values() {
        let file = target.objects.first().map_or("", |document| &document.file);
        check(manifests.get(file), &mut |check| {
            check.name(Kind::Target, &target.name);
            check.objects_of(target.objects.iter().map(|document| &document.object));
        });
    }
    for entry in catalog.controls.values() {
        check(manifests.get(&entry.file), &mut |check| {
            check.name(Kind::Control, &entry.id);
            check.control(entry, scenarios);
        });
        for (file, documents) in entry.object_files() {
            check(manifests.get(&file), &mut |check| check.objects_of(documents.iter()));
        }
        check(printed.get(&entry.id), &mut |check| {
            check.objects_of(entry.printed.iter().map(|document| &document.object));
        });
    }
    for profile in profiles {
        check(Some(&profile.source), &mut |check| check.profile(&profile.says));
    }
    for source in manifests.values() {
        check(Some(source), &mut |check| check.substitutions());
    }
    for file in deviations {
        check(Some(&file.source), &mut |check| check.deviations(&file.says, scenarios));
    }
    let mut asked = BTreeSet::new();
    for file in dangers {
        check(Some(&file.source), &mut |check| check.dangers(&file.says, &mut asked));
    }
    for scenario in scenarios {
        check(Some(&scenario.source), &mut |check| check.scenario(scenario));
    }
    problems
}

/// All that is wrong in a profile.
pub(super) fn profile(catalog: &Catalog, profile: &Parsed<Profile>) -> Vec<Problem> {
    let mut check = Check { catalog, source: &profile.source, problems: Vec::new() };
    check.profile(&profile.says);
    check.problems
}

/// All that is wrong in a file of waivers.
pub(super) fn waivers(catalog: &Catalog, source: &Source, waivers: &[Waiver]) -> Vec<Problem> {
    let mut check = Check { catalog, source, problems: Vec::new() };
    check.waivers(waivers);
    check.problems
}

/// One file under scrutiny. Places are JSON pointers.
struct Check<'a> {
    catalog: &'a Catalog,
    source: &'a Source,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn wrong(&mut self, pointer: &str, message: &str, hint: &str) {
        let place = if self.is_next_shown() { self.source.place(pointer) } else { None };
        self.problems.push(self.source.problem(place, message, hint));
    }

    /// Whether one more problem is shown, and not only counted.
    fn is_next_shown(&self) -> bool {
        self.problems.len() < SHOWN_PROBLEMS
    }

    fn known<'k>(
        &mut self,
        kind: &str,
        name: &str,
        pointer: &str,
        known: impl Iterator<Item = &'k str> + Clone,
    ) {
        if known.clone().any(|known| known == name) {
            return;
        }
        let hint = if self.is_next_shown() { did_you_mean(name, known) } else { String::new() };
        self.wrong(pointer, &format!("there is no {kind} `{name}`"), &hint);
    }

    fn name(&mut self, kind: Kind, name: &str) {
        if !is_name(name) {
            let called = if kind == Kind::Control { "folder" } else { "file" };
            let message = format!("the {called}'s name is no name of a {}", kind.word());
            self.wrong("", &message, "a name is lower-case letters, digits and dashes");
        }
    }

    fn substitutions(&mut self) {
        // Those of a server's command stand nowhere else.
        let is_control = self.source.file.ends_with("/control.yaml");
        let servers = SERVERS_OWN.into_iter().filter(|_| is_control);
        let names: Vec<&str> = Values::names().into_iter().chain(servers).collect();
        for name in substitutions(&self.source.text) {
            if !names.contains(&name) {
                let place = self.source.text_place(&format!("${{{name}"));
                let message = format!("nothing is known as `${{{name}}}`");
                let hint = did_you_mean(name, names.iter().copied());
                self.problems.push(self.source.problem(place, &message, &hint));
            }
        }
    }
}

/// Whether a name has nothing but what names may have: they become a part of objects' names, and of results.
pub fn is_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn keys<V>(map: &BTreeMap<String, V>) -> impl Iterator<Item = &str> + Clone {
    map.keys().map(String::as_str)
}
