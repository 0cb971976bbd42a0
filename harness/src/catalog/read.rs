//! Reading: every file once, each problem told. Names are still names.

use std::collections::btree_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::part::{Kind, name_in_control, stem};
use super::persona::{self, PersonaEntry};
use super::printed::{Print, Printer};
use super::source::Source;
use super::{
    Catalog, ControlEntry, ControlFile, Document, File, Files, Problem, Target, did_you_mean,
};
use crate::model::{Danger, Deviation, PERSONAS, Persona, PersonaFile, Profile, Scenario};

/// What the files say.
pub(super) struct Read {
    /// Controls, targets and personas. What names these is not in it yet.
    pub(super) catalog: Catalog,
    /// The deviations, by file.
    pub(super) deviations: Vec<Parsed<Vec<Deviation>>>,
    /// The dangerous rights, by file.
    pub(super) dangers: Vec<Parsed<Vec<Danger>>>,
    /// The scenarios by family and id.
    pub(super) scenarios: Vec<Parsed<Scenario>>,
    /// The profiles by name.
    pub(super) profiles: Vec<Parsed<Profile>>,
    /// The manifests by path: a problem is shown with the line that it is in.
    pub(super) manifests: BTreeMap<String, Source>,
    /// What the commands of controls have printed, by the control's id.
    pub(super) printed: BTreeMap<String, Source>,
    /// Whether every manifest could be read. Where not, names cannot be judged.
    pub(super) manifests_are_whole: bool,
}

/// A file, and what it says.
pub(super) struct Parsed<T> {
    /// The file's name without `.yaml`.
    pub(super) name: String,
    /// The file.
    pub(super) source: Source,
    /// What it says.
    pub(super) says: T,
}

/// Reads every file that can be read, and what commands print. Returns what is wrong with the others.
pub(super) fn all(mut files: Files, print: Print<'_>) -> (Read, Vec<Problem>) {
    let mut reader = Reader::default();
    // A control must be known before the files that stand beside it, and what is built in has its name whatever files
    // the reader has.
    files.manifests.sort_by_key(|file| (!file.place.ends_with("/control.yaml"), !file.built_in));
    for file in files.manifests {
        reader.keep(file, Reader::manifest);
    }
    reader.run_commands(print);
    let manifests_are_whole = reader.problems.is_empty();
    files.scenarios.sort_by_key(|file| !file.built_in);
    for file in files.scenarios {
        reader.keep(file, Reader::scenario);
    }
    reader.end(manifests_are_whole)
}

/// Reads a profile. Files that one of the reader's names are found from its folder.
pub(super) fn profile(source: Source) -> Result<Parsed<Profile>, Problem> {
    let mut says: Profile = source.parse()?;
    if !source.built_in {
        says = says.below(Path::new(&source.file).parent().unwrap_or(Path::new("")));
    }
    Ok(Parsed { name: stem(&source.file).to_owned(), says, source })
}

impl<T> Parsed<T> {
    /// The name of the folder that the file is in; `scenarios` where it has none, as `.`.
    pub(super) fn family(&self) -> String {
        let folder = Path::new(&self.source.file).parent().and_then(Path::file_name);
        folder.map_or("scenarios".into(), OsStr::to_string_lossy).into_owned()
    }
}

/// What was read up to now.
#[derive(Default)]
struct Reader {
    controls: BTreeMap<String, ControlEntry>,
    targets: BTreeMap<String, Target>,
    personas: BTreeMap<String, PersonaEntry>,
    deviations: Vec<Parsed<Vec<Deviation>>>,
    dangers: Vec<Parsed<Vec<Danger>>>,
    profiles: Vec<Parsed<Profile>>,
    manifests: BTreeMap<String, Source>,
    printed: BTreeMap<String, Source>,
    scenarios: Vec<Parsed<Scenario>>,
    /// The names that are taken, each with the file that has it, and whether that is built in.
    taken: BTreeMap<(Kind, String), (String, bool)>,
    problems: Vec<Problem>,
}

const NO_SCENARIO: &str = "it has neither `attacks` nor `permits`: is it a scenario? Every .yaml file below `scenarios/` \
                           is read as one; one that is none is put elsewhere, or its name begins with a dot";

/// What may lie below `manifests/`.
const MANIFESTS: [&str; 6] =
    ["controls", "deviations.yaml", "personas", "profiles", "rights.yaml", "targets"];

impl Reader {
    fn keep(&mut self, file: File, read: fn(&mut Reader, Source) -> Result<(), Problem>) {
        let kept = Source::new(file).and_then(|source| read(self, source));
        self.problems.extend(kept.err());
    }

    /// Gives a name to a file that no other has.
    fn take(&mut self, kind: Kind, name: &str, source: &Source) -> Result<(), Problem> {
        match self.taken.entry((kind, name.to_owned())) {
            Vacant(free) => {
                free.insert((source.file.clone(), source.built_in));
                Ok(())
            }
            Occupied(taken) => {
                let (first, built_in) = taken.get();
                let replacing = format!("`replaces: {{{}: [{name}]}}`", kind.folder());
                let hint = match built_in {
                    true => format!(
                        "the built-in {first} has it: give this one another name, or have it replace that one, by \
                         {replacing} in `catalog.yaml`"
                    ),
                    false => format!(
                        "{first} has it: give one of them another name; where that is another catalog's, this one \
                         may replace it, by {replacing} in `catalog.yaml`"
                    ),
                };
                let message = format!("the name `{name}` is taken by another {}", kind.word());
                Err(Problem::of_file(&source.file, &message).hint(&hint))
            }
        }
    }

    fn scenario(&mut self, source: Source) -> Result<(), Problem> {
        let id = stem(&source.file).to_owned();
        self.take(Kind::Scenario, &id, &source)?;
        let says =
            source.parse().map_err(|problem| match source.is_without(&["attacks", "permits"]) {
                true => problem.hint(NO_SCENARIO),
                false => problem,
            })?;
        self.scenarios.push(Parsed { name: id, source, says });
        Ok(())
    }

    fn manifest(&mut self, source: Source) -> Result<(), Problem> {
        let place = source.place.clone();
        let parts: Vec<&str> = place.split('/').collect();
        match parts.as_slice() {
            [_, "personas", file] => {
                self.take(Kind::Persona, stem(file), &source)?;
                let entry = persona_entry(&source)?;
                self.personas.insert(entry.name.clone(), entry);
            }
            [_, "deviations.yaml"] => {
                self.deviations.push(listed(source)?);
                return Ok(());
            }
            [_, "rights.yaml"] => {
                self.dangers.push(listed(source)?);
                return Ok(());
            }
            [_, "profiles", file] => {
                self.take(Kind::Profile, stem(file), &source)?;
                self.profiles.push(profile(source)?);
                return Ok(());
            }
            [_, "targets", file] => {
                self.take(Kind::Target, stem(file), &source)?;
                let target = target(&source)?;
                self.targets.insert(target.name.clone(), target);
            }
            [_, "controls", id, "control.yaml"] => {
                self.take(Kind::Control, id, &source)?;
                let entry = control_entry(id, &source)?;
                self.controls.insert(entry.id.clone(), entry);
            }
            [_, "controls", id, _, ..] => {
                let name = name_in_control(&source.place).unwrap_or_default();
                let is_its = |entry: &&mut ControlEntry| {
                    source.file.strip_suffix(name) == entry.file.strip_suffix("control.yaml")
                };
                let entry = self.controls.get_mut(*id).filter(is_its);
                // What its command reads may be a template.
                if entry.as_ref().is_some_and(|entry| entry.leaves_to_its_command(name)) {
                    return Ok(());
                }
                let documents = source.parse_all()?;
                if let Some(entry) = entry {
                    let text = source.text.clone();
                    entry.files.insert(name.to_owned(), ControlFile { text, documents });
                }
            }
            // They are for kubectl.
            [_, "nightly", _] if source.built_in => return Ok(()),
            _ => return Err(misplaced(&source, &parts)),
        }
        self.manifests.insert(source.file.clone(), source);
        Ok(())
    }

    /// Runs the commands that print objects, each once.
    fn run_commands(&mut self, print: Print<'_>) {
        for entry in self.controls.values_mut() {
            let Some(source) = self.manifests.get(&entry.file) else { continue };
            let Some(printer) = Printer::of(entry, source) else { continue };
            match printer.run(print) {
                Ok((source, documents)) => {
                    self.printed.insert(entry.id.clone(), source);
                    entry.printed = documents;
                }
                Err(problem) => self.problems.push(problem),
            }
        }
    }

    /// What our deviations say of a control or a scenario of ours says nothing of the reader's that took its place.
    fn forget_deviations(&mut self) {
        let controls = self.controls.values().filter(|it| !it.built_in).map(|it| it.id.as_str());
        let scenarios = self.scenarios.iter().filter(|it| !it.source.built_in);
        let theirs = controls.chain(scenarios.map(|it| it.name.as_str()));
        let theirs: BTreeSet<&str> = theirs.collect();
        for file in self.deviations.iter_mut().filter(|file| file.source.built_in) {
            file.says.retain(|it| !it.names().into_iter().any(|name| theirs.contains(name)));
        }
    }

    fn end(mut self, manifests_are_whole: bool) -> (Read, Vec<Problem>) {
        let made = persona::parts(&self.personas, &self.targets);
        for entry in self.controls.values_mut() {
            let named =
                made.iter().filter(|(part, _)| entry.control.objects.names().contains(*part));
            entry.made = named.map(|(part, objects)| (*part, objects.clone())).collect();
        }
        self.forget_deviations();
        let catalog = Catalog {
            controls: shared(self.controls),
            targets: shared(self.targets),
            personas: shared(self.personas),
            deviations: all_of(&self.deviations),
            dangers: all_of(&self.dangers),
            ..Catalog::default()
        };
        let mut scenarios = self.scenarios;
        scenarios.sort_by_cached_key(|it| (it.family(), it.name.clone()));
        self.profiles.sort_by(|one, other| one.name.cmp(&other.name));
        let (profiles, manifests) = (self.profiles, self.manifests);
        let (deviations, dangers) = (self.deviations, self.dangers);
        let read = Read {
            catalog,
            deviations,
            dangers,
            scenarios,
            profiles,
            manifests,
            printed: self.printed,
            manifests_are_whole,
        };
        (read, self.problems)
    }
}

/// Things that others will hold, by name.
fn shared<T>(things: BTreeMap<String, T>) -> BTreeMap<String, Arc<T>> {
    things.into_iter().map(|(name, thing)| (name, Arc::new(thing))).collect()
}

fn control_entry(id: &str, source: &Source) -> Result<ControlEntry, Problem> {
    Ok(ControlEntry {
        id: id.to_owned(),
        file: source.file.clone(),
        built_in: source.built_in,
        control: source.parse()?,
        files: BTreeMap::new(),
        made: BTreeMap::new(),
        printed: Vec::new(),
        text: source.text.clone(),
        declared: None,
        weakened: OnceLock::new(),
    })
}

fn persona_entry(source: &Source) -> Result<PersonaEntry, Problem> {
    let PersonaFile { who, roles } = source.parse()?;
    let has_own_account = matches!(&who, Persona::ServiceAccount(it) if it.namespace == PERSONAS);
    let (name, file) = (stem(&source.file).to_owned(), source.file.clone());
    Ok(PersonaEntry { name, file, who, roles, has_own_account, played: false })
}

fn target(source: &Source) -> Result<Target, Problem> {
    let objects: Vec<Value> = source.parse_all()?;
    let namespace = objects
        .first()
        .filter(|object| object["kind"] == "Namespace")
        .and_then(|object| object["metadata"]["name"].as_str())
        .ok_or_else(|| Problem::of_file(&source.file, "its first object must be a Namespace"))?;
    let pods = objects.iter().filter(|object| object["kind"] == "Pod").filter_map(|pod| {
        let metadata = &pod["metadata"];
        Some((metadata["namespace"].as_str()?.to_owned(), metadata["name"].as_str()?.to_owned()))
    });
    let (name, namespace) = (stem(&source.file).to_owned(), namespace.to_owned());
    let pods = pods.collect();
    let document = |object| Document { file: source.file.clone(), object };
    let objects = objects.into_iter().map(document).collect();
    Ok(Target { name, objects, namespace, given: BTreeSet::new(), pods })
}

/// A file that is a list.
fn listed<T: DeserializeOwned>(source: Source) -> Result<Parsed<Vec<T>>, Problem> {
    Ok(Parsed { name: stem(&source.file).to_owned(), says: source.parse()?, source })
}

/// What several files list.
fn all_of<T: Clone>(files: &[Parsed<Vec<T>>]) -> Vec<T> {
    files.iter().flat_map(|file| &file.says).cloned().collect()
}

/// A manifest where none is read.
fn misplaced(source: &Source, parts: &[&str]) -> Problem {
    let hint = match parts {
        [_, known @ ("controls" | "personas" | "profiles" | "targets"), ..] => {
            let place = match *known {
                "controls" => {
                    "manifests/controls/ID/control.yaml, with its files beside it".to_owned()
                }
                other => format!("manifests/{other}/NAME.yaml"),
            };
            format!("what is read is {place}")
        }
        [_, unknown, ..] => did_you_mean(unknown, MANIFESTS),
        _ => String::new(),
    };
    Problem::of_file(&source.file, "nothing reads a manifest here").hint(&hint)
}
