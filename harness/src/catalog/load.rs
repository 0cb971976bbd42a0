//! Reading the catalog: every file once, every problem told.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

use serde_json::Value;

use super::nearest::did_you_mean;
use super::persona::{self, PersonaEntry};
use super::source::Source;
use super::{File, Files, Problem, Problems, check};
use crate::catalog::{Document, Parts, SetUp, WeakenError};
use crate::model::{
    AUDIT_POLICY, Attack, Control, Danger, Deviation, PersonaFile, Profile, Scenario, Weakening,
};

/// Everything that can be run, checked: every name in it means something.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// The scenarios by family and id, ours and the user's.
    pub scenarios: Vec<Entry>,
    /// The controls by id.
    pub controls: BTreeMap<String, ControlEntry>,
    /// The profiles by name.
    pub profiles: BTreeMap<String, ProfileEntry>,
    /// The targets by name.
    pub targets: BTreeMap<String, Target>,
    /// The personas by name.
    pub personas: BTreeMap<String, PersonaEntry>,
    /// What the proof does not show, and why.
    pub deviations: Vec<Deviation>,
    /// The rights that are dangerous.
    pub dangers: Vec<Danger>,
}

/// A scenario with where it comes from.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The file's name without `.yaml`.
    pub id: String,
    /// The folder's name.
    pub family: String,
    /// The file, as a person finds it.
    pub file: String,
    /// Whether it is a part of the executable, and no file that the user has.
    pub built_in: bool,
    /// The file as it stands.
    pub text: String,
    /// What it says.
    pub scenario: Scenario,
}

/// A control with its files.
#[derive(Debug, Clone)]
pub struct ControlEntry {
    /// The folder's name.
    pub id: String,
    /// `control.yaml`, as a person finds it.
    pub file: String,
    /// What it says.
    pub control: Control,
    /// The texts of the files beside it, by name.
    pub files: BTreeMap<String, String>,
    /// What the personas' files make of the parts that it names.
    pub made: BTreeMap<&'static str, Vec<Document>>,
}

impl ControlEntry {
    /// What is set up for this control, whole or with one of its weakenings.
    ///
    /// # Errors
    /// When the weakening does not fit the control; the catalog has checked those that it holds.
    pub fn set_up(&self, weakening: Option<&Weakening>) -> Result<SetUp, WeakenError> {
        let folder = self.file.trim_end_matches("/control.yaml");
        let parts = Parts { folder, files: &self.files, made: &self.made };
        match weakening {
            None => Ok(SetUp::whole(&self.control, &parts)),
            Some(weakening) => SetUp::weakened(&self.control, weakening, &parts),
        }
    }
}

/// A profile with where it comes from.
#[derive(Debug, Clone)]
pub struct ProfileEntry {
    /// The file's name without `.yaml`.
    pub name: String,
    /// The file, as a person finds it.
    pub file: String,
    /// What it says.
    pub profile: Profile,
}

/// The staged objects that scenarios act on.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its objects, their substitutions not yet made.
    pub objects: Vec<Document>,
    /// The name of its first object, a Namespace.
    pub namespace: String,
    /// Its pods by namespace and name, in order. The first is meant where an action names none.
    pub pods: Vec<(String, String)>,
}

impl Target {
    /// One of its objects, by kind, namespace and name.
    pub fn object(&self, kind: &str, namespace: &str, name: &str) -> Option<&Value> {
        let found = |object: &&Value| {
            let metadata = &object["metadata"];
            object["kind"] == kind && metadata["namespace"] == namespace && metadata["name"] == name
        };
        self.objects.iter().map(|document| &document.object).find(found)
    }

    /// The containers of one of its pods that can be entered.
    pub fn containers(&self, namespace: &str, pod: &str) -> Vec<&Value> {
        let spec = self.object("Pod", namespace, pod).map(|pod| &pod["spec"]);
        let lists =
            spec.into_iter().flat_map(|spec| [&spec["containers"], &spec["initContainers"]]);
        lists.filter_map(Value::as_array).flatten().collect()
    }
}

/// A profile that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// No profile has this name.
    #[error(
        "there is no profile `{name}` (a file is named with its folder: ./{name}.yaml); {hint}"
    )]
    Unknown {
        /// As it was given.
        name: String,
        /// What may have been meant.
        hint: String,
    },
    /// The file is broken.
    #[error(transparent)]
    Broken(#[from] Problems),
}

impl Catalog {
    /// Our catalog, with the scenarios of a folder of the user's beside ours.
    pub fn load(scenarios: Option<&Path>) -> Result<Catalog, Problems> {
        let mut files = Files::embedded();
        if let Some(folder) = scenarios {
            files.add_scenarios(folder)?;
        }
        Catalog::read(files)
    }

    /// The catalog that these files are.
    pub fn read(files: Files) -> Result<Catalog, Problems> {
        let mut reader = Reader::default();
        reader.read(files);
        if reader.manifests_are_whole {
            let sources = [&reader.manifests, &reader.scenarios];
            reader.problems.extend(check::catalog(&reader.catalog, sources));
        }
        Problems::none_or(reader.problems)?;
        Ok(reader.catalog)
    }

    /// A profile of ours by its name, or one of the user's by its file. What has a dot or a slash in it is a file.
    pub fn profile(&self, name: &str) -> Result<ProfileEntry, ProfileError> {
        if !name.contains(['.', '/']) {
            let known = self.profiles.keys().map(String::as_str);
            return self.profiles.get(name).cloned().ok_or_else(|| ProfileError::Unknown {
                name: name.to_owned(),
                hint: did_you_mean(name, known),
            });
        }
        let file = File::read(Path::new(name)).map_err(Problems::from)?;
        Ok(self.read_profile(file)?)
    }

    /// Results and reports name a profile without its file, so that its name must not be another's.
    fn read_profile(&self, file: File) -> Result<ProfileEntry, Problems> {
        let source = Source::new(file)?;
        let entry = profile_entry(&source)?;
        if self.profiles.contains_key(&entry.name) {
            let hint = "a built-in profile has this name, and results tell profiles by name: rename the file";
            let message = format!("the name `{}` is taken", entry.name);
            return Err(Problem::of_file(&source.file, &message).hint(hint).into());
        }
        Problems::none_or(check::profile(self, &entry.profile, &source))?;
        Ok(entry)
    }
}

impl Entry {
    /// The file, where it is one of the user's.
    pub fn users_file(&self) -> Option<String> {
        (!self.built_in).then(|| self.file.clone())
    }

    /// The controls that it tests: those that must block, and the audit policy where evidence is asked for.
    pub fn controls(&self) -> BTreeSet<&str> {
        let blocking = self.scenario.attacks.iter().filter_map(Attack::blocked);
        let recording = self.scenario.is_logged().then_some(AUDIT_POLICY);
        blocking.map(|blocked| blocked.by.as_str()).chain(recording).collect()
    }
}

/// The catalog while it is read.
#[derive(Default)]
struct Reader {
    catalog: Catalog,
    manifests: Sources,
    scenarios: Sources,
    problems: Vec<Problem>,
    /// Whether every manifest could be read. Where not, names in scenarios cannot be judged.
    manifests_are_whole: bool,
}

/// The files that could be read, by path: a problem is shown with the line that it is in. Scenarios are by their
/// id, because a file of the user's may have the path of a built-in one.
pub(super) type Sources = BTreeMap<String, Source>;

const NO_SCENARIO: &str = "it has neither `attacks` nor `permits`: is it a scenario? Every .yaml file in the folder of \
                           --scenarios is read as one; one that is none is put elsewhere, or its name begins with a dot";

impl Reader {
    fn read(&mut self, mut files: Files) {
        // A control must be known before the files that stand beside it.
        files.manifests.sort_by_key(|file| !file.path.ends_with("/control.yaml"));
        for file in files.manifests {
            self.keep(file, Reader::manifest);
        }
        self.compose();
        self.manifests_are_whole = self.problems.is_empty();
        // A built-in scenario has its id, whatever files the user has.
        files.scenarios.sort_by_key(|file| !file.built_in);
        for file in files.scenarios {
            self.keep(file, Reader::scenario);
        }
        self.catalog.scenarios.sort_by(|a, b| (&a.family, &a.id).cmp(&(&b.family, &b.id)));
    }

    /// Gives each control the objects of personas that it names.
    fn compose(&mut self) {
        let made = persona::parts(&self.catalog.personas, &self.catalog.targets);
        for entry in self.catalog.controls.values_mut() {
            let named = made
                .iter()
                .filter(|(part, _)| entry.control.objects.iter().any(|name| name == *part));
            entry.made = named.map(|(part, objects)| (*part, objects.clone())).collect();
        }
    }

    fn keep(&mut self, file: File, read: fn(&mut Reader, Source) -> Result<(), Problem>) {
        let kept = Source::new(file).and_then(|source| read(self, source));
        self.problems.extend(kept.err());
    }

    fn scenario(&mut self, source: Source) -> Result<(), Problem> {
        let id = stem(&source.file);
        if let Some(first) = self.scenarios.get(&id) {
            let hint = match first.built_in {
                true => "a built-in scenario has this id: rename the file".to_owned(),
                false => format!("{} has the same name: rename one of them", first.file),
            };
            let message = format!("the id `{id}` is taken");
            return Err(Problem::of_file(&source.file, &message).hint(&hint));
        }
        let scenario =
            source.parse().map_err(|problem| match source.is_without(&["attacks", "permits"]) {
                true => problem.hint(NO_SCENARIO),
                false => problem,
            })?;
        self.catalog.scenarios.push(Entry {
            id: id.clone(),
            family: folder(&source.file),
            file: source.file.clone(),
            built_in: source.built_in,
            text: source.text.clone(),
            scenario,
        });
        self.scenarios.insert(id, source);
        Ok(())
    }

    fn manifest(&mut self, source: Source) -> Result<(), Problem> {
        let parts: Vec<&str> = source.file.split('/').collect();
        match parts.as_slice() {
            [_, "personas", _] => {
                let entry = persona_entry(&source)?;
                self.catalog.personas.insert(entry.name.clone(), entry);
            }
            [_, "deviations.yaml"] => self.catalog.deviations = source.parse()?,
            [_, "rights.yaml"] => self.catalog.dangers = source.parse()?,
            [_, "profiles", _] => {
                let entry = profile_entry(&source)?;
                self.catalog.profiles.insert(entry.name.clone(), entry);
            }
            [_, "targets", _] => {
                self.catalog.targets.insert(stem(&source.file), target(&source)?);
            }
            [_, "controls", id, "control.yaml"] => {
                let entry = control_entry(id, &source)?;
                self.catalog.controls.insert(entry.id.clone(), entry);
            }
            [_, "controls", id, file] => {
                source.parse_all::<Value>()?;
                if let Some(entry) = self.catalog.controls.get_mut(*id) {
                    entry.files.insert((*file).to_owned(), source.text.clone());
                }
            }
            _ => return Err(Problem::of_file(&source.file, "nothing reads a manifest here")),
        }
        self.manifests.insert(source.file.clone(), source);
        Ok(())
    }
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
    Ok(PersonaEntry { name: stem(&source.file), file: source.file.clone(), who, roles })
}

fn profile_entry(source: &Source) -> Result<ProfileEntry, Problem> {
    Ok(ProfileEntry {
        name: stem(&source.file),
        file: source.file.clone(),
        profile: source.parse()?,
    })
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
    let (namespace, pods) = (namespace.to_owned(), pods.collect());
    let document = |object| Document { file: source.file.clone(), object };
    Ok(Target { objects: objects.into_iter().map(document).collect(), namespace, pods })
}

/// The file's name without its ending.
fn stem(file: &str) -> String {
    let stem = Path::new(file).file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// The name of the folder that the file is in; `scenarios` where it has none, as `.`.
fn folder(file: &str) -> String {
    let folder = Path::new(file).parent().and_then(Path::file_name);
    folder.map_or("scenarios".into(), OsStr::to_string_lossy).into_owned()
}
