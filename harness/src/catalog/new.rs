//! First files of a reader's own: each runs as it is, so that it can be changed from there.

use clap::ValueEnum;
use include_dir::{Dir, include_dir};

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
