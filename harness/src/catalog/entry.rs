//! What the catalog holds: each file with what it says, and the very things that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::source::{Source, outline};
use super::{Clash, ControlFile, Document, Parts, PersonaEntry, SetUp, WeakenError};
use crate::model::{
    Action, Control, Door, Expectation, Layer, Profile, Ready, Role, Scenario, Weakening, who,
};

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
    /// The target that it acts on.
    pub target: Arc<Target>,
    /// Every attempt, in the order in which they are made: attacks through each of their doors, permits through one.
    pub turns: Vec<Turn>,
    /// Whether its pods are not made, and its permits have one of the cluster's: what must be refused before a pod is
    /// looked up can be tried all the same.
    pub without_pods: bool,
    /// Why it would tell nothing where it is to be tried; `None` where nothing speaks against it.
    pub untold: Option<String>,
    /// The line of each turn, once somebody has asked.
    pub(super) lines: OnceLock<Vec<Option<usize>>>,
}

impl Entry {
    /// The file, where it is one of the user's.
    pub fn users_file(&self) -> Option<String> {
        (!self.built_in).then(|| self.file.clone())
    }

    /// The line in the file at which the attack or permit of each turn begins.
    pub fn lines(&self) -> &[Option<usize>] {
        self.lines.get_or_init(|| {
            let outline = outline(&self.text);
            let line = |turn: &Turn| Some(outline.as_ref()?.place(&turn.pointer)?.0);
            self.turns.iter().map(line).collect()
        })
    }

    /// Whether it looks at what the cluster's roles, policies or settings are at large.
    pub fn looks_at_large(&self) -> bool {
        self.turns.iter().any(|turn| turn.action.is_at_large())
    }
}

/// One attempt that a scenario asks for: an attack, a step or a permit, through one door.
#[derive(Debug, Clone)]
pub struct Turn {
    /// The attack's or permit's name.
    pub name: String,
    /// Where it stands in the scenario's file, as a JSON pointer.
    pub pointer: String,
    /// Which of them it is.
    pub role: Role,
    /// Who acts.
    pub persona: Arc<PersonaEntry>,
    /// What is sent.
    pub action: Action,
    /// Which way.
    pub door: Door,
    /// What must come of it.
    pub expected: Expectation<Arc<ControlEntry>>,
}

impl Turn {
    /// Who acts, and how, as results name it: `a shell, operator, GET WebSocket`.
    pub fn who(&self) -> String {
        who(&self.name, &self.persona.name, self.door.label())
    }
}

/// A control with its files.
#[derive(Debug, Clone)]
pub struct ControlEntry {
    /// The folder's name.
    pub id: String,
    /// `control.yaml`, as a person finds it.
    pub file: String,
    /// Whether it is a part of the executable, and no file that the reader has.
    pub built_in: bool,
    /// What it says.
    pub control: Control,
    /// The files beside it, by name.
    pub files: BTreeMap<String, ControlFile>,
    /// What the personas' files make of the parts that it names.
    pub made: BTreeMap<&'static str, Vec<Document>>,
    /// What its command has printed.
    pub printed: Vec<Document>,
    /// Its `control.yaml` as it stands.
    pub text: String,
    /// What a profile says of how it refuses on an existing cluster; `None` where it does as ours.
    pub declared: Option<Declared>,
    /// What [`ControlEntry::weakenings`] has made: every profile asks for the same.
    pub(crate) weakened: OnceLock<Arc<[Weakened]>>,
}

/// How a control refuses on an existing cluster.
#[derive(Debug, Clone)]
pub struct Declared {
    /// Whether none of its layers is one by which ours refuses: it is another one.
    pub is_other: bool,
    /// The words of its reasons, as the profile says them.
    pub saying: Option<String>,
    /// The layers by which ours refuses in Kubernetes' own words, which are the same there.
    pub same: Vec<Layer>,
}

impl ControlEntry {
    /// The words that a refusal by a layer must give where a scenario expects these.
    pub fn words<'a>(&'a self, written: Option<&'a str>, layer: &Layer) -> Option<&'a str> {
        match &self.declared {
            Some(declared) if !declared.same.contains(layer) => declared.saying.as_deref(),
            _ => written,
        }
    }

    /// What is set up for this control, without a weakening or with one of its weakenings.
    ///
    /// # Errors
    /// When the weakening does not fit the control; the catalog has checked those that it holds.
    pub fn set_up(&self, weakening: Option<&Weakening>) -> Result<SetUp, WeakenError> {
        let folder = self.file.trim_end_matches("/control.yaml");
        let Self { files, made, printed, .. } = self;
        let parts = Parts { folder, files, made, printed };
        match weakening {
            None => Ok(SetUp::unweakened(&self.control, &parts)),
            Some(weakening) => SetUp::weakened(&self.control, weakening, &parts),
        }
    }

    /// The ways to get it wrong, in the order of their names.
    ///
    /// # Errors
    /// As [`ControlEntry::set_up`].
    pub fn weakenings(&self) -> Result<Arc<[Weakened]>, WeakenError> {
        if let Some(known) = self.weakened.get() {
            return Ok(Arc::clone(known));
        }
        let weakened = self.control.weaken.iter().map(|(name, weakening)| {
            let set_up = self.set_up(Some(weakening))?;
            Ok(Weakened { name: name.clone(), weakening: weakening.clone(), set_up })
        });
        let weakened = weakened.collect::<Result<_, WeakenError>>()?;
        Ok(Arc::clone(self.weakened.get_or_init(|| weakened)))
    }

    /// Where its file sets what another control sets as well: `FILE:LINE`.
    pub(super) fn sets_at(&self, clash: &Clash) -> String {
        let source = Source::again(&self.file, self.built_in, &self.text).ok();
        match source.and_then(|source| source.place(&clash.pointer(&self.control))) {
            Some((line, _)) => format!("{}:{line}", self.file),
            None => self.file.clone(),
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
    /// Whether it is a part of the executable, and no file that the reader has.
    pub built_in: bool,
    /// The file as it stands.
    pub text: String,
    /// What it says.
    pub profile: Profile,
    /// Its controls, in the order of their ids.
    pub controls: Vec<Planned>,
}

/// A control as a profile has it.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The control.
    pub control: Arc<ControlEntry>,
    /// Where the profile says that it has it, as a JSON pointer.
    pub pointer: String,
    /// With the profile's weakening, where it has one.
    pub set_up: SetUp,
    /// Whether it stands as it is, so that it must be seen acting.
    pub unweakened: bool,
    /// What is asked until it acts.
    pub questions: Vec<Question>,
    /// The ways to get it wrong, in the order of their names.
    pub weakenings: Arc<[Weakened]>,
}

impl Planned {
    /// Whether it is only declared: on an existing cluster nothing of it is set up.
    pub fn is_declared(&self) -> bool {
        self.set_up == SetUp::default()
    }
}

/// What is asked until a control refuses it.
#[derive(Debug, Clone)]
pub struct Question {
    /// As the control says it.
    pub ready: Ready,
    /// The target whose pods the action names, where it names any.
    pub target: Option<Arc<Target>>,
    /// Who asks.
    pub persona: Arc<PersonaEntry>,
}

/// A control with one of its weakenings.
#[derive(Debug, Clone)]
pub struct Weakened {
    /// The weakening's name.
    pub name: String,
    /// What it says.
    pub weakening: Weakening,
    /// What is set up then.
    pub set_up: SetUp,
}

impl Weakened {
    /// Whether a scenario is expected to notice.
    pub fn expects(&self, entry: &Entry) -> bool {
        self.weakening.expect.contains_key(&entry.id)
    }
}

/// The staged objects that scenarios act on.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// The file's name without `.yaml`.
    pub name: String,
    /// Its objects, their substitutions not yet made.
    pub objects: Vec<Document>,
    /// The name of its first object, a Namespace.
    pub namespace: String,
    /// Those of its namespaces that are there already.
    pub given: BTreeSet<String>,
    /// Its pods by namespace and name, in order.
    pub pods: Vec<(String, String)>,
}

impl Target {
    /// The name of its first pod, which is meant where an action names none.
    pub fn pod(&self) -> Option<&str> {
        self.pods.first().map(|(_, pod)| pod.as_str())
    }

    /// One of its objects, by kind, namespace and name; of no namespace where that is empty.
    pub fn object(&self, kind: &str, namespace: &str, name: &str) -> Option<&Value> {
        let found = |object: &&Value| {
            let metadata = &object["metadata"];
            let place = metadata["namespace"].as_str().unwrap_or_default();
            object["kind"] == kind && place == namespace && metadata["name"] == name
        };
        self.objects.iter().map(|document| &document.object).find(found)
    }

    /// The container of one of its pods that is meant where none is named: the first, as kubectl has it. A cluster may
    /// put others beside it.
    pub fn container(&self, namespace: &str, pod: &str) -> Option<&str> {
        self.object("Pod", namespace, pod)?["spec"]["containers"][0]["name"].as_str()
    }

    /// Whether what listens in one of its pods greets whoever connects, as our own image does: nothing else is in it.
    pub fn greets(&self, namespace: &str, pod: &str) -> bool {
        let words = |container: &Value| {
            let words = container["command"].as_array().into_iter().flatten();
            words.take(2).filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        };
        let containers = self.containers(namespace, pod);
        containers.iter().all(|it| words(it).starts_with("probe "))
            && containers.iter().any(|it| words(it) == "probe listen")
    }

    /// The containers of one of its pods that can be entered.
    pub fn containers(&self, namespace: &str, pod: &str) -> Vec<&Value> {
        let spec = self.object("Pod", namespace, pod).map(|pod| &pod["spec"]);
        let lists =
            spec.into_iter().flat_map(|spec| [&spec["containers"], &spec["initContainers"]]);
        lists.filter_map(Value::as_array).flatten().collect()
    }
}
