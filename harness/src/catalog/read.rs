//! Reading: every file once, each problem told. Names are still names.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::persona::{self, PersonaEntry};
use super::source::Source;
use super::{Catalog, ControlEntry, ControlFile, Document, File, Files, Problem, Target};
use crate::model::{Danger, Deviation, PERSONAS, Persona, PersonaFile, Profile, Scenario};

/// What the files say.
pub(super) struct Read {
    /// Controls, targets, personas and deviations. Scenarios and profiles, which name these, are not in it yet.
    pub(super) catalog: Catalog,
    /// The scenarios by family and id.
    pub(super) scenarios: Vec<Parsed<Scenario>>,
    /// The profiles by name.
    pub(super) profiles: Vec<Parsed<Profile>>,
    /// The manifests by path: a problem is shown with the line that it is in.
    pub(super) manifests: BTreeMap<String, Source>,
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

/// Reads every file that can be read. Returns what is wrong with the others.
pub(super) fn all(mut files: Files) -> (Read, Vec<Problem>) {
    let mut reader = Reader::default();
    // A control must be known before the files that stand beside it.
    files.manifests.sort_by_key(|file| !file.path.ends_with("/control.yaml"));
    for file in files.manifests {
        reader.keep(file, Reader::manifest);
    }
    let manifests_are_whole = reader.problems.is_empty();
    // A built-in scenario has its id, whatever files the user has.
    files.scenarios.sort_by_key(|file| !file.built_in);
    for file in files.scenarios {
        reader.keep(file, Reader::scenario);
    }
    reader.end(manifests_are_whole)
}

/// Reads a profile.
pub(super) fn profile(source: Source) -> Result<Parsed<Profile>, Problem> {
    Ok(Parsed { name: stem(&source.file), says: source.parse()?, source })
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
    deviations: Vec<Deviation>,
    dangers: Vec<Danger>,
    profiles: Vec<Parsed<Profile>>,
    manifests: BTreeMap<String, Source>,
    /// By id: a file of the user's may have the path of a built-in one.
    scenarios: BTreeMap<String, Parsed<Scenario>>,
    problems: Vec<Problem>,
}

const NO_SCENARIO: &str = "it has neither `attacks` nor `permits`: is it a scenario? Every .yaml file in the folder of \
                           --scenarios is read as one; one that is none is put elsewhere, or its name begins with a dot";

impl Reader {
    fn keep(&mut self, file: File, read: fn(&mut Reader, Source) -> Result<(), Problem>) {
        let kept = Source::new(file).and_then(|source| read(self, source));
        self.problems.extend(kept.err());
    }

    fn scenario(&mut self, source: Source) -> Result<(), Problem> {
        let id = stem(&source.file);
        if let Some(Parsed { source: first, .. }) = self.scenarios.get(&id) {
            let hint = match first.built_in {
                true => "a built-in scenario has this id: rename the file".to_owned(),
                false => format!("{} has the same name: rename one of them", first.file),
            };
            let message = format!("the id `{id}` is taken");
            return Err(Problem::of_file(&source.file, &message).hint(&hint));
        }
        let says =
            source.parse().map_err(|problem| match source.is_without(&["attacks", "permits"]) {
                true => problem.hint(NO_SCENARIO),
                false => problem,
            })?;
        self.scenarios.insert(id.clone(), Parsed { name: id, source, says });
        Ok(())
    }

    fn manifest(&mut self, source: Source) -> Result<(), Problem> {
        let parts: Vec<&str> = source.file.split('/').collect();
        match parts.as_slice() {
            [_, "personas", _] => {
                let entry = persona_entry(&source)?;
                self.personas.insert(entry.name.clone(), entry);
            }
            [_, "deviations.yaml"] => self.deviations = source.parse()?,
            [_, "rights.yaml"] => self.dangers = source.parse()?,
            [_, "profiles", _] => {
                self.profiles.push(profile(source)?);
                return Ok(());
            }
            [_, "targets", _] => {
                let target = target(&source)?;
                self.targets.insert(target.name.clone(), target);
            }
            [_, "controls", id, "control.yaml"] => {
                let entry = control_entry(id, &source)?;
                self.controls.insert(entry.id.clone(), entry);
            }
            [_, "controls", id, file] => {
                let documents = source.parse_all()?;
                if let Some(entry) = self.controls.get_mut(*id) {
                    let text = source.text.clone();
                    entry.files.insert((*file).to_owned(), ControlFile { text, documents });
                }
            }
            // They are for kubectl.
            [_, "nightly", _] => return Ok(()),
            _ => return Err(Problem::of_file(&source.file, "nothing reads a manifest here")),
        }
        self.manifests.insert(source.file.clone(), source);
        Ok(())
    }

    fn end(mut self, manifests_are_whole: bool) -> (Read, Vec<Problem>) {
        let made = persona::parts(&self.personas, &self.targets);
        for entry in self.controls.values_mut() {
            let named = made
                .iter()
                .filter(|(part, _)| entry.control.objects.iter().any(|name| name == *part));
            entry.made = named.map(|(part, objects)| (*part, objects.clone())).collect();
        }
        let catalog = Catalog {
            controls: shared(self.controls),
            targets: shared(self.targets),
            personas: shared(self.personas),
            deviations: self.deviations,
            dangers: self.dangers,
            ..Catalog::default()
        };
        let mut scenarios: Vec<_> = self.scenarios.into_values().collect();
        scenarios.sort_by_cached_key(|it| (it.family(), it.name.clone()));
        self.profiles.sort_by(|one, other| one.name.cmp(&other.name));
        let (profiles, manifests) = (self.profiles, self.manifests);
        let read = Read { catalog, scenarios, profiles, manifests, manifests_are_whole };
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
        control: source.parse()?,
        files: BTreeMap::new(),
        made: BTreeMap::new(),
    })
}

fn persona_entry(source: &Source) -> Result<PersonaEntry, Problem> {
    let PersonaFile { who, roles } = source.parse()?;
    let has_own_account = matches!(&who, Persona::ServiceAccount(it) if it.namespace == PERSONAS);
    let (name, file) = (stem(&source.file), source.file.clone());
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
    let (name, namespace, pods) = (stem(&source.file), namespace.to_owned(), pods.collect());
    let document = |object| Document { file: source.file.clone(), object };
    Ok(Target { name, objects: objects.into_iter().map(document).collect(), namespace, pods })
}

/// The file's name without its ending.
fn stem(file: &str) -> String {
    let stem = Path::new(file).file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}
