//! First files of a reader's own: each runs as it is, so that it can be changed from there.

mod admission;
mod audit;
mod captured;
mod network;
mod role;
mod sample;
mod sketch;
mod yaml;

use std::collections::BTreeMap;
use std::path::Path;

use clap::ValueEnum;
use include_dir::{Dir, include_dir};
use serde_json::Value;

use super::source::Source;
use super::{ControlFile, File, Parts, Problem, SetUp, WeakenError, identity};
use crate::model::Control;
pub use captured::{
    CAPTURED, Captured, Found, Handed, LeftOut, captured, is_kept_as_changed, is_of_roles,
    rests_on, rests_on_settings,
};
use sketch::{Sketch, YOURS};
use yaml::fields;

static EXAMPLE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../docs/example/hardening");

/// What is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum New {
    /// A catalog with two controls, their scenarios, a target, a persona and a profile
    Catalog,
    /// A control with two scenarios, a target and a persona
    Control,
    /// A scenario that attacks a control of ours
    Scenario,
    /// A persona with a role in a target of ours
    Persona,
}

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// Where in the catalog.
    pub place: String,
    /// What it says.
    pub text: String,
}

/// What the reader has, of which a control is made.
struct Kept {
    /// The file's name.
    file: String,
    /// What it says.
    text: String,
    /// Its objects.
    objects: Vec<Value>,
}

/// What is written beside it, so that it is called otherwise.
const WRITTEN: [&str; 4] =
    ["allow-all.yaml", "cluster-admin.yaml", "control.yaml", "everywhere.yaml"];

/// What a control can be made of.
const KINDS: &str = "it is to hold a ValidatingAdmissionPolicy with its binding, a ValidatingWebhookConfiguration or \
                     MutatingWebhookConfiguration, a Role or ClusterRole with its binding, a NetworkPolicy, or an audit Policy";

/// The kinds of which a control is made, beside an audit policy.
const GUARDS: [&str; 6] = [
    "ValidatingAdmissionPolicy",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "Role",
    "ClusterRole",
    "NetworkPolicy",
];

/// How long a control's name may be: a name of a namespace has 63 characters, and `-elsewhere` ends one.
const LONGEST: usize = 63 - "-elsewhere".len();

/// What of the example belongs to its first control.
const OF_CONTROL: [&str; 6] = [
    "manifests/controls/images-from-our-registry/control.yaml",
    "manifests/controls/images-from-our-registry/policy.yaml",
    "manifests/personas/payments-developer.yaml",
    "manifests/targets/payments.yaml",
    "scenarios/payments/image-from-elsewhere.yaml",
    "scenarios/payments/image-of-a-workload.yaml",
];

/// The names in these files, and what each becomes where the control is called `NAME`.
const NAMES: [(&str, &str); 7] = [
    ("images-from-our-registry", "NAME"),
    ("image-from-elsewhere", "NAME"),
    ("image-of-a-workload", "NAME-by-a-workload"),
    ("example.com/images", "example.com/NAME"),
    ("scenarios/payments", "scenarios/NAME"),
    ("payments-developer", "NAME-developer"),
    ("payments", "NAME-app"),
];

const SCENARIO: &str = "\
title: A shell in a production pod
why: What an attacker gains, or what is lost, when the attack works.
fix: What to change on a cluster where it fails.
tags: [mitre/T1609]
target: production-app  # A file of manifests/targets, ours or yours; so are those below.
attacks:
- name: a shell
  as: operator  # manifests/personas
  do: {exec: {command: [probe, cat], stdin: true, tty: true}}
  blocked: {by: exec-guard, saying: interactive}  # manifests/controls, and words of its refusal
permits:
- name: a single command  # The same without the one thing that is wrong: it must keep working.
  as: operator
  do: {exec: {command: [probe, echo, foo]}}
  succeeds: {stdout: foo}
";

const PERSONA: &str = "\
# Who this is, and why they may do what follows.
who: {service-account: {namespace: brinell-personas, name: NAME}}
roles:
- cluster-role: NAME
  rules:
  - {apiGroups: [\"\"], resources: [pods], verbs: [get, list]}
  bound: {in: [production-app]}  # Namespaces of targets, ours or yours.
";

impl New {
    /// The files of a new thing of this name.
    pub fn files(self, name: &str) -> Vec<NewFile> {
        let file = |place: String, text: &str| NewFile { place, text: text.replace("NAME", name) };
        match self {
            New::Catalog => examples(|_| true),
            New::Control => {
                let files = examples(|place| OF_CONTROL.contains(&place)).into_iter();
                files
                    .map(|NewFile { place, text }| file(called(&place, name), &called(&text, name)))
                    .collect()
            }
            New::Scenario => vec![file(format!("scenarios/own/{name}.yaml"), SCENARIO)],
            New::Persona => vec![file(format!("manifests/personas/{name}.yaml"), PERSONA)],
        }
    }
}

/// The files of a control that is made of what a file holds. It is called as is asked for, or as what is in the file.
///
/// # Errors
/// When the file cannot be read, or holds nothing of which a control can be made.
pub fn control_from(name: Option<&str>, file: &Path) -> Result<(String, Vec<NewFile>), Problem> {
    let source = Source::new(File::read(file)?)?;
    let objects: Vec<Value> = source.parse_all()?;
    let is_of = |kinds: &[&str], it: &&Value| kinds.iter().any(|kind| it["kind"] == *kind);
    let first = |kinds: &[&str]| objects.iter().find(|it| is_of(kinds, it));
    let policy = first(&["ValidatingAdmissionPolicy"]);
    let webhooks = first(&["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"]);
    let role = first(&["Role", "ClusterRole"]);
    let network = first(&["NetworkPolicy"]);
    let audit = objects.iter().find(|it| is_audit_policy(it));
    let wrong = |message: &str| Problem::of_file(&source.file, message);
    let Some(object) = policy.or(webhooks).or(role).or(network).or(audit) else {
        let found: Vec<String> = objects.iter().map(identity).collect();
        let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
        return Err(wrong(&format!("no control can be made of {found}")).hint(KINDS));
    };
    see_names(&objects).map_err(|message| wrong(&message))?;
    if !is_audit_policy(object) && !object["metadata"]["name"].is_string() {
        return Err(wrong("the object says no `metadata.name`").hint("write it as it is applied"));
    }
    let name = name.map_or_else(|| id_of(object), str::to_owned);
    if name.len() > LONGEST {
        let hint = "give it another by `brinell new control NAME --from FILE`";
        let message = format!(
            "`{name}` has {} characters: a control's name has {LONGEST} at most, since names of namespaces are made of it",
            name.len()
        );
        return Err(wrong(&message).hint(hint));
    }
    let called = file.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
    // Beside `control.yaml` a file is read whose name ends so.
    let is_free = !WRITTEN.contains(&called.as_str());
    let called = match super::folder::is_yaml(Path::new(&called)) && is_free {
        true => called,
        false => "objects.yaml".to_owned(),
    };
    let kept = Kept { file: called, text: source.text.clone(), objects: objects.clone() };
    let sketch = match object["kind"].as_str() {
        Some("ValidatingAdmissionPolicy") => admission::policy(&kept, &name, object),
        Some("Role" | "ClusterRole") => role::role(&kept, &name, object),
        Some("NetworkPolicy") => network::network(&kept, &name, object),
        Some("Policy") => audit::audit(&kept, object),
        _ => admission::webhook(&kept, &name, object),
    };
    let mut sketch: Sketch = sketch.map_err(|message| wrong(&message))?;
    let others = objects.iter().filter(|it| is_guard(it) && identity(it) != identity(object));
    sketch.set_up.extend(others.map(|it| untried(&identity(it))));
    leave_out_unchanged(&mut sketch)?;
    Ok((sketch.name.clone(), sketch.into_files()))
}

/// What would change nothing, since it is so already, is no way to get this one wrong, and no catalog takes it.
fn leave_out_unchanged(sketch: &mut Sketch) -> Result<(), Problem> {
    let written = sketch.control();
    let folder = Sketch::beside(&sketch.name, "");
    let mut files = BTreeMap::new();
    for file in &sketch.files {
        let Some(called) = file.place.strip_prefix(&folder) else { continue };
        let documents = source_of(file)?.parse_all()?;
        files.insert(called.to_owned(), ControlFile { text: file.text.clone(), documents });
    }
    let control: Control = source_of(&written)?.parse()?;
    let parts = Parts { folder: &folder, files: &files, made: &BTreeMap::new(), printed: &[] };
    sketch.weakenings.retain(|weak| {
        let weakened = control.weaken.get(weak.name());
        let weakened = weakened.map(|it| SetUp::weakened(&control, it, &parts));
        !matches!(weakened, Some(Err(WeakenError::Unchanged(_) | WeakenError::Nothing)))
    });
    Ok(())
}

fn source_of(file: &NewFile) -> Result<Source, Problem> {
    Source::again(&file.place, false, &file.text)
}

/// Whether a control could be made of it.
fn is_guard(object: &Value) -> bool {
    GUARDS.iter().any(|kind| object["kind"] == *kind) || is_audit_policy(object)
}

/// Asks for what one control does not try.
fn untried(what: &str) -> String {
    format!("{YOURS} {what} is not tried here; begin a control of its own")
}

/// Names stand in comments and in other names, so that none may have a character that ends a line.
fn see_names(objects: &[Value]) -> Result<(), String> {
    let ends = |c: char| c.is_control() || ['\u{2028}', '\u{2029}'].contains(&c);
    for object in objects {
        let parts =
            ["subjects", "webhooks"].iter().flat_map(|part| admission::list(&object[*part]));
        let named = parts.chain([object["metadata"].clone(), object["roleRef"].clone()]);
        for named in named {
            for field in ["name", "namespace"] {
                let Some(name) = named[field].as_str().filter(|it| it.contains(ends)) else {
                    continue;
                };
                let kind = object["kind"].as_str().unwrap_or("object").escape_debug();
                return Err(format!(
                    "the {kind}'s {field} {name:?} has a character that no name has: write it as it is applied"
                ));
            }
        }
    }
    Ok(())
}

fn is_audit_policy(object: &Value) -> bool {
    object["kind"] == "Policy"
        && object["apiVersion"].as_str().is_some_and(|it| it.starts_with("audit.k8s.io/"))
}

/// The first part of an object's name, as a control may be called: names of namespaces are made of it, which have no
/// dots and 63 characters at most.
fn id_of(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_lowercase();
    let first = name.split(['.', ':']).find(|part| !part.is_empty()).unwrap_or("own");
    let allowed = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let id: String = first.chars().take(40).map(allowed).collect();
    let id = id.trim_matches('-');
    if id.is_empty() { "own".to_owned() } else { id.to_owned() }
}

/// A file of objects, each key of an object in a line.
fn manifest(place: &str, comment: &str, objects: &[Value]) -> NewFile {
    let documents = objects.iter().map(|object| fields(object).join("\n") + "\n");
    let documents: Vec<String> = documents.collect();
    NewFile { place: place.to_owned(), text: format!("{comment}{}", documents.join("---\n")) }
}

/// A text of the example's first control, where that is called so.
fn called(text: &str, name: &str) -> String {
    NAMES
        .iter()
        .fold(text.to_owned(), |text, (old, new)| text.replace(old, &new.replace("NAME", name)))
}

/// The files of the example that are meant.
fn examples(is_meant: impl Fn(&str) -> bool) -> Vec<NewFile> {
    let mut files = Vec::new();
    let mut folders = vec![&EXAMPLE];
    while let Some(folder) = folders.pop() {
        folders.extend(folder.dirs());
        for file in folder.files() {
            let place = file.path().display().to_string();
            if let Some(text) = file.contents_utf8().filter(|_| is_meant(&place)) {
                files.push(NewFile { text: text.to_owned(), place });
            }
        }
    }
    files.sort_by(|one, other| one.place.cmp(&other.place));
    files
}
