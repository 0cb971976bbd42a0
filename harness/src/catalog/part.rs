//! The parts of a catalog: what has a name, and where it lies.

use std::ffi::OsStr;
use std::path::Path;

use crate::model::Replaced;

/// A kind of what a catalog holds and what others name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Scenario,
    Control,
    Target,
    Persona,
    Profile,
}

impl Kind {
    /// All of them.
    pub(super) const ALL: [Kind; 5] =
        [Kind::Scenario, Kind::Control, Kind::Target, Kind::Persona, Kind::Profile];

    /// One of them, as a sentence names it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Scenario => "scenario",
            Kind::Control => "control",
            Kind::Target => "target",
            Kind::Persona => "persona",
            Kind::Profile => "profile",
        }
    }

    /// The folder that they lie in, and the key of `replaces` that names them.
    pub(super) fn folder(self) -> &'static str {
        match self {
            Kind::Scenario => "scenarios",
            Kind::Control => "controls",
            Kind::Target => "targets",
            Kind::Persona => "personas",
            Kind::Profile => "profiles",
        }
    }

    /// Where one of this name lies in a catalog.
    pub(super) fn place(self, name: &str) -> String {
        match self {
            Kind::Scenario => format!("scenarios/FAMILY/{name}.yaml"),
            Kind::Control => format!("manifests/controls/{name}/control.yaml"),
            Kind::Target | Kind::Persona | Kind::Profile => {
                format!("manifests/{}/{name}.yaml", self.folder())
            }
        }
    }

    /// The names of these that are replaced.
    pub(super) fn replaced(self, replaced: &Replaced) -> &[String] {
        match self {
            Kind::Scenario => &replaced.scenarios,
            Kind::Control => &replaced.controls,
            Kind::Target => &replaced.targets,
            Kind::Persona => &replaced.personas,
            Kind::Profile => &replaced.profiles,
        }
    }
}

/// What a file in this place of a catalog belongs to: its kind and its name. `None` where it is none of these.
pub(super) fn part(place: &str) -> Option<(Kind, &str)> {
    let parts: Vec<&str> = place.split('/').collect();
    match *parts.as_slice() {
        ["scenarios", .., file] => Some((Kind::Scenario, stem(file))),
        ["manifests", "controls", id, _, ..] => Some((Kind::Control, id)),
        ["manifests", "targets", file] => Some((Kind::Target, stem(file))),
        ["manifests", "personas", file] => Some((Kind::Persona, stem(file))),
        ["manifests", "profiles", file] => Some((Kind::Profile, stem(file))),
        _ => None,
    }
}

/// What a file beside a `control.yaml`, or in a folder beside it, is called there: `policy.yaml`, `base/policy.yaml`.
pub(super) fn name_in_control(place: &str) -> Option<&str> {
    Some(place.strip_prefix("manifests/controls/")?.split_once('/')?.1)
}

/// A file's name without its ending.
pub(super) fn stem(file: &str) -> &str {
    Path::new(file).file_stem().and_then(OsStr::to_str).unwrap_or_default()
}
