//! A control as it is set up, unweakened or weakened: its objects and settings with the weakening already made.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Clash, join, join_flag};
use crate::model::{ApiServer, Control, PRINTED, Weakening, WebhookServer};

/// One object, with the file that it stands in.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The file, as a person finds it.
    pub file: String,
    /// The object, its substitutions not yet made.
    pub object: Value,
}

/// A file of a control's: its text, with the documents that are in it.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlFile {
    /// As it stands, or as JSON, which is YAML, where it was made of its document. Its substitutions are not yet made.
    pub text: String,
    /// What it says.
    pub documents: Vec<Value>,
}

impl ControlFile {
    /// The file that holds this document.
    pub(super) fn of(document: Value) -> ControlFile {
        ControlFile { text: format!("{document:#}\n"), documents: vec![document] }
    }
}

/// What the names in a control stand for.
pub struct Parts<'a> {
    /// The control's folder.
    pub folder: &'a str,
    /// The files in it, by name.
    pub files: &'a BTreeMap<String, ControlFile>,
    /// The objects that the personas' files make, by their part: `personas/roles`.
    pub made: &'a BTreeMap<&'static str, Vec<Document>>,
    /// What its command has printed.
    pub printed: &'a [Document],
}

/// What is set up for a control.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SetUp {
    /// Objects to apply, in this order.
    pub objects: Vec<Document>,
    /// Flags of the API server.
    pub flags: BTreeMap<String, String>,
    /// Flags that are taken away, which the cluster has by itself.
    pub removed: BTreeSet<String>,
    /// The files that the flags name, by name.
    pub files: BTreeMap<String, ControlFile>,
    /// Settings of the kubelet.
    pub kubelet: Option<Value>,
    /// The labels of DaemonSets of the cluster's own that are kept from every node.
    pub stopped: Option<String>,
    /// What the reader's own server stands in for where no pod runs: Deployments, and the Services that lead to them.
    pub served: BTreeSet<String>,
}

/// A weakening that would not weaken anything.
#[derive(Debug, thiserror::Error)]
pub enum WeakenError {
    /// Nothing has that name.
    #[error("the control has no object {0}")]
    NoObject(String),
    /// The patch does not fit.
    #[error("{object}: {source}")]
    Patch {
        /// Which object.
        object: String,
        /// Why it does not fit.
        source: json_patch::PatchError,
    },
    /// The patch changes nothing.
    #[error("the patch of {0} changes nothing")]
    Unchanged(String),
    /// Settings of the kubelet are laid over those that it has: what is left out stays.
    #[error(
        "its settings of the kubelet are a part of the control's own: leaving some out changes nothing"
    )]
    Kubelet,
    /// Which of two would be applied, and what is restored, nobody could tell.
    #[error("{0} is there twice; `patch` changes what the control has")]
    Twice(String),
    /// All of it changes nothing.
    #[error("it changes nothing")]
    Nothing,
}

/// What must be applied and deleted to come from one set-up to another.
#[derive(Debug, Default, PartialEq)]
pub struct Change {
    /// Objects that are new or differ, in the order in which they are applied.
    pub apply: Vec<Document>,
    /// Objects that are no longer there, in the order in which they were applied.
    pub delete: Vec<Document>,
}

impl SetUp {
    /// A control as it stands.
    pub fn unweakened(control: &Control, parts: &Parts<'_>) -> SetUp {
        SetUp {
            objects: parts.read(&control.objects.names()),
            flags: set(&control.api_server),
            removed: removed(&control.api_server),
            files: parts.settings(&control.api_server),
            kubelet: control.kubelet.clone(),
            stopped: None,
            served: served(control),
        }
    }

    /// A control with one of its weakenings.
    ///
    /// # Errors
    /// When the weakening does not fit the control, or changes nothing.
    pub fn weakened(
        control: &Control,
        weakening: &Weakening,
        parts: &Parts<'_>,
    ) -> Result<SetUp, WeakenError> {
        let unweakened = SetUp::unweakened(control, parts);
        let names = control.objects.names();
        let (files, objects): (Vec<&str>, Vec<&str>) =
            weakening.delete.iter().map(String::as_str).partition(|name| names.contains(name));
        let kept = names.into_iter().filter(|name| !files.contains(name));
        let names: Vec<&str> = kept.chain(weakening.add.iter().map(String::as_str)).collect();
        let settings = weakening.api_server.as_ref().unwrap_or(&control.api_server);
        let mut weakened = SetUp {
            objects: parts.read(&names),
            flags: set(settings),
            removed: removed(settings),
            files: parts.settings(settings),
            kubelet: weakening.kubelet.as_ref().or(control.kubelet.as_ref()).cloned(),
            stopped: weakening.stop.clone(),
            served: served(control),
        };
        objects.into_iter().try_for_each(|name| weakened.leave_out(name))?;
        for (name, patch) in &weakening.patch {
            weakened.patch(name, patch)?;
        }
        let mut known = BTreeSet::new();
        let names = weakened.objects.iter().map(|it| identity(&it.object));
        if let Some(twice) = names.into_iter().find(|name| !known.insert(name.clone())) {
            return Err(WeakenError::Twice(twice));
        }
        let same_kubelet = unweakened.kubelet.as_ref().zip(weakened.kubelet.as_ref());
        if same_kubelet.is_some_and(|(unweakened, weakened)| {
            unweakened != weakened && crate::merge::contains(unweakened, weakened)
        }) {
            return Err(WeakenError::Kubelet);
        }
        if weakened == unweakened {
            return Err(WeakenError::Nothing);
        }
        Ok(weakened)
    }

    /// Takes one of its objects away.
    fn leave_out(&mut self, name: &str) -> Result<(), WeakenError> {
        let before = self.objects.len();
        self.objects.retain(|it| identity(&it.object) != name);
        let is_gone = self.objects.len() < before;
        is_gone.then_some(()).ok_or_else(|| WeakenError::NoObject(name.to_owned()))
    }

    fn patch(&mut self, name: &str, patch: &json_patch::Patch) -> Result<(), WeakenError> {
        let named = |object: &Value| identity(object) == name;
        if let Some(document) = self.objects.iter_mut().find(|it| named(&it.object)) {
            return change(name, &mut document.object, patch);
        }
        for file in self.files.values_mut() {
            if let Some(document) = file.documents.first().filter(|document| named(document)) {
                let mut document = document.clone();
                change(name, &mut document, patch)?;
                *file = ControlFile::of(document);
                return Ok(());
            }
        }
        Err(WeakenError::NoObject(name.to_owned()))
    }

    /// What leads from here to `other`. Objects are the same when kind, namespace and name are.
    pub fn change_to(&self, other: &SetUp) -> Change {
        let here: BTreeSet<String> = self.objects.iter().map(|it| identity(&it.object)).collect();
        let there: BTreeSet<String> = other.objects.iter().map(|it| identity(&it.object)).collect();
        let is_new = |document: &&Document| {
            !here.contains(&identity(&document.object))
                || !self.objects.iter().any(|it| it.object == document.object)
        };
        Change {
            apply: other.objects.iter().filter(is_new).cloned().collect(),
            delete: self
                .objects
                .iter()
                .filter(|document| !there.contains(&identity(&document.object)))
                .cloned()
                .collect(),
        }
    }

    /// What a cluster cannot take from both: a flag or a file that cannot be joined, a flag that one of them takes
    /// away, or two that serve in one place.
    pub fn clash(&self, other: &SetUp) -> Option<Clash> {
        let differs = |(flag, value): &(&String, &String)| {
            other.removed.contains(*flag)
                || other.flags.get(*flag).is_some_and(|it| join_flag(flag, value, it).is_none())
        };
        let unlike = |(name, file): &(&String, &ControlFile)| {
            other.files.get(*name).is_some_and(|theirs| join(file, theirs).is_none())
        };
        let flag = self.flags.iter().find(differs).map(|(flag, _)| flag);
        let flag = flag.or_else(|| self.flags.keys().find(|flag| contradicts(self, other, flag)));
        let flag = flag.or_else(|| self.removed.iter().find(|it| other.flags.contains_key(*it)));
        let file = || self.files.iter().find(unlike).map(|(name, _)| Clash::File(name.clone()));
        let served = || self.served.intersection(&other.served).next().cloned().map(Clash::Served);
        flag.map(|flag| Clash::Flag(flag.clone())).or_else(file).or_else(served)
    }

    /// Whether the API server is started with the same.
    pub fn same_api_server(&self, other: &SetUp) -> bool {
        (&self.flags, &self.removed, &self.files) == (&other.flags, &other.removed, &other.files)
    }
}

/// Whether a plug-in is switched on by one and off by the other, with which no API server starts.
fn contradicts(one: &SetUp, other: &SetUp, flag: &str) -> bool {
    const SWITCHES: [&str; 2] = ["enable-admission-plugins", "disable-admission-plugins"];
    let Some(position) = SWITCHES.iter().position(|switch| *switch == flag) else { return false };
    let plug_ins = |set_up: &SetUp, flag: &str| -> BTreeSet<String> {
        let list = set_up.flags.get(flag).map(String::as_str).unwrap_or_default();
        list.split(',').filter(|it| !it.is_empty()).map(str::to_owned).collect()
    };
    !plug_ins(one, flag).is_disjoint(&plug_ins(other, SWITCHES[1 - position]))
}

fn change(name: &str, value: &mut Value, patch: &json_patch::Patch) -> Result<(), WeakenError> {
    let before = value.clone();
    json_patch::patch(value, patch)
        .map_err(|source| WeakenError::Patch { object: name.to_owned(), source })?;
    if *value == before {
        return Err(WeakenError::Unchanged(name.to_owned()));
    }
    Ok(())
}

/// In what places something of a control's serves.
fn served(control: &Control) -> BTreeSet<String> {
    control.servers.iter().flat_map(WebhookServer::places).collect()
}

/// The flags that a control sets.
fn set(settings: &ApiServer) -> BTreeMap<String, String> {
    let set = |(flag, value): (&String, &Option<String>)| Some((flag.clone(), value.clone()?));
    settings.flags.iter().filter_map(set).collect()
}

/// The flags that a control takes away.
fn removed(settings: &ApiServer) -> BTreeSet<String> {
    let removed = settings.flags.iter().filter(|(_, value)| value.is_none());
    removed.map(|(flag, _)| flag.clone()).collect()
}

/// What must be there before others: namespaces before what is in them, kinds before what is of them.
fn rank(document: &Document) -> u8 {
    match document.object["kind"].as_str() {
        Some("Namespace") => 0,
        Some("CustomResourceDefinition") => 1,
        _ => 2,
    }
}

impl Parts<'_> {
    /// The objects of which a control names the files, or the personas' part, in the order in which they are applied.
    fn read(&self, names: &[&str]) -> Vec<Document> {
        let mut objects: Vec<Document> = names.iter().flat_map(|name| self.objects(name)).collect();
        objects.sort_by_key(rank);
        objects
    }

    fn objects(&self, name: &str) -> Vec<Document> {
        if name == PRINTED && !self.printed.is_empty() {
            return self.printed.to_vec();
        }
        if let Some(made) = self.made.get(name) {
            return made.clone();
        }
        let files = named(self.files, name);
        let documents = files.flat_map(|(name, file)| {
            let file_name = format!("{}/{name}", self.folder);
            let document = move |object| Document { file: file_name.clone(), object };
            file.documents.iter().cloned().map(document)
        });
        documents.collect()
    }

    /// The files that a control's flags name.
    fn settings(&self, settings: &ApiServer) -> BTreeMap<String, ControlFile> {
        let file = |name: &String| Some((name.clone(), self.files.get(name)?.clone()));
        settings.files.iter().filter_map(file).collect()
    }
}

/// The file of this name, or those in the folder of this name, in the order of their names.
pub(super) fn named<'f>(
    files: &'f BTreeMap<String, ControlFile>,
    name: &str,
) -> impl Iterator<Item = (&'f String, &'f ControlFile)> {
    let name = name.trim_end_matches('/').to_owned();
    files.iter().filter(move |(file, _)| {
        file.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// What names an object: `Kind`, `Kind/name` or `Kind/namespace/name`.
pub fn identity(object: &Value) -> String {
    let metadata = &object["metadata"];
    let parts = [&object["kind"], &metadata["namespace"], &metadata["name"]];
    parts.iter().filter_map(|part| part.as_str()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set_up(objects: &[Value]) -> SetUp {
        let document = |object: &Value| Document { file: String::new(), object: object.clone() };
        SetUp { objects: objects.iter().map(document).collect(), ..SetUp::default() }
    }

    fn role(name: &str, verbs: &[&str]) -> Value {
        let metadata = json!({"namespace": "shop", "name": name});
        json!({"kind": "Role", "metadata": metadata, "rules": [{"verbs": verbs}]})
    }

    fn names(documents: &[Document]) -> Vec<String> {
        documents.iter().map(|document| identity(&document.object)).collect()
    }

    #[test]
    fn an_object_goes_by_what_it_is_called() {
        assert_eq!(identity(&role("reader", &[])), "Role/shop/reader");
        assert_eq!(
            identity(&json!({"kind": "Namespace", "metadata": {"name": "x"}})),
            "Namespace/x"
        );
        assert_eq!(identity(&json!({"kind": "Policy", "rules": []})), "Policy");
    }

    #[test]
    fn only_what_differs_is_applied_and_only_what_is_missing_deleted() {
        let unweakened = set_up(&[role("a", &["get"]), role("b", &["get"]), role("c", &["get"])]);
        let weakened = set_up(&[role("a", &["get"]), role("b", &["*"]), role("d", &["get"])]);
        let there = unweakened.change_to(&weakened);
        assert_eq!(names(&there.apply), ["Role/shop/b", "Role/shop/d"]);
        assert_eq!(names(&there.delete), ["Role/shop/c"]);
        let back = weakened.change_to(&unweakened);
        assert_eq!(names(&back.apply), ["Role/shop/b", "Role/shop/c"]);
        assert_eq!(back.apply[0].object, role("b", &["get"]));
        assert_eq!(names(&back.delete), ["Role/shop/d"]);
    }

    #[test]
    fn what_others_rest_on_comes_first() {
        let object = |kind: &str| json!({"kind": kind, "metadata": {"name": "a"}});
        let kinds = ["Registry", "CustomResourceDefinition", "Role", "Namespace"];
        let file = ControlFile { text: String::new(), documents: kinds.map(object).to_vec() };
        let parts = Parts {
            folder: "mine",
            files: &BTreeMap::from([("all.yaml".to_owned(), file)]),
            made: &BTreeMap::new(),
            printed: &[],
        };
        let read = parts.read(&["all.yaml"]);
        let expected = ["Namespace/a", "CustomResourceDefinition/a", "Registry/a", "Role/a"];
        assert_eq!(names(&read), expected);
    }

    #[test]
    fn a_flag_that_one_sets_and_another_takes_away_is_a_clash() {
        let setting = |value: Option<&str>| {
            let flags = BTreeMap::from([("profiling".to_owned(), value.map(str::to_owned))]);
            let settings = ApiServer { flags, files: Vec::new() };
            SetUp { flags: set(&settings), removed: removed(&settings), ..SetUp::default() }
        };
        let (on, off, gone) = (setting(Some("true")), setting(Some("false")), setting(None));
        let clash = Some(Clash::Flag("profiling".to_owned()));
        assert_eq!(on.clash(&gone), clash);
        assert_eq!(gone.clash(&on), clash);
        assert_eq!(on.clash(&off), clash);
        assert_eq!(gone.clash(&gone), None);
        let plug_in = |flag: &str| SetUp {
            flags: BTreeMap::from([(flag.to_owned(), "A,PodSecurity".to_owned())]),
            ..SetUp::default()
        };
        let (enabled, disabled) =
            (plug_in("enable-admission-plugins"), plug_in("disable-admission-plugins"));
        assert!(enabled.clash(&disabled).is_some() && disabled.clash(&enabled).is_some());
        assert_eq!(enabled.clash(&enabled), None);
        assert!(!gone.same_api_server(&SetUp::default()));
    }

    #[test]
    fn the_order_of_objects_is_no_difference() {
        let (a, b) = (role("a", &["get"]), role("b", &["get"]));
        let change = set_up(&[a.clone(), b.clone()]).change_to(&set_up(&[b, a]));
        assert_eq!(change, Change::default());
    }
}
