//! A catalog of the reader's: what of its folder is read, and what it takes the place of.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::nearest::nearest;
use super::part::{Kind, name_in_control, part};
use super::source::Source;
use super::{File, Files, Problem, Problems, did_you_mean};
use crate::model::CatalogFile;

/// How many files and folders of a catalog are looked at, and how many bytes of it are read.
const MOST: usize = 10_000;
const MOST_BYTES: usize = 64 << 20;

/// The folders of a catalog, and what each of them holds.
const FOLDERS: [(&str, &str); 2] = [
    ("scenarios", "a scenario is a file scenarios/FAMILY/ID.yaml"),
    ("manifests", "a control is a file manifests/controls/ID/control.yaml"),
];

/// The file that says what of a catalog replaces what.
const SAYS: &str = "catalog.yaml";

const HIDDEN: &str = "what begins with a dot is passed over";
const LITTLE_ELSE: &str =
    "name a folder with --catalog in which `scenarios/` and `manifests/` hold little else";

/// A catalog of the reader's, as its folder holds it.
pub(super) struct Folder {
    /// Its files.
    pub(super) files: Files,
    /// Its `catalog.yaml`, with what it says; `None` where there is none.
    says: Option<(Source, CatalogFile)>,
}

impl Folder {
    /// Reads the files of a catalog: every one below `scenarios/` and `manifests/` whose name ends in `.yaml` or `.yml`.
    /// What is hidden, because its name begins with a dot, is passed over; links are followed. So a mounted ConfigMap
    /// holds each file once, although `..data` holds all of them a second time.
    pub(super) fn read(folder: &Path) -> Result<Folder, Problems> {
        let beside = names(folder)?;
        let mut walk = Walk::default();
        walk.problems.extend(misspelt(folder, &beside));
        for (name, holds) in FOLDERS {
            if beside.contains(name) {
                walk.part(&folder.join(name), name, holds);
            }
        }
        if walk.files.is_empty() && walk.problems.is_empty() {
            walk.problems.push(no_catalog(folder));
        }
        walk.problems.extend(without_control(&walk.files));
        let says = match beside.contains(SAYS) {
            true => says(&folder.join(SAYS)).map(Some),
            false => Ok(None),
        };
        let says = says.unwrap_or_else(|problem| {
            walk.problems.push(problem);
            None
        });
        Problems::none_or(walk.problems)?;
        let is_scenario = |file: &File| file.place.starts_with("scenarios/");
        let (scenarios, manifests) = walk.files.into_iter().partition(is_scenario);
        Ok(Folder { files: Files { scenarios, manifests }, says })
    }

    /// Takes away what this catalog replaces.
    ///
    /// # Errors
    /// When there is nothing to replace, or nothing that takes its place.
    pub(super) fn make_way(&self, below: &mut Files) -> Result<(), Problems> {
        let Some((source, says)) = &self.says else { return Ok(()) };
        let mut problems = Vec::new();
        for kind in Kind::ALL {
            let (known, theirs) = (names_of(kind, below), names_of(kind, &self.files));
            for (position, name) in kind.replaced(&says.replaces).iter().enumerate() {
                let place = source.place(&format!("/replaces/{}/{position}", kind.folder()));
                if !known.contains(name) {
                    let message = format!("there is no {} `{name}` to replace", kind.word());
                    let hint = did_you_mean(name, known.iter().map(String::as_str));
                    problems.push(source.problem(place, &message, &hint));
                } else if !theirs.contains(name) {
                    let message =
                        format!("nothing takes the place of the {} `{name}`", kind.word());
                    let hint = format!("add {}, or remove the name here", kind.place(name));
                    problems.push(source.problem(place, &message, &hint));
                }
            }
            let is_replaced = |file: &File| {
                let replaced = kind.replaced(&says.replaces);
                part(&file.place).is_some_and(|(its, name)| {
                    its == kind && replaced.iter().any(|replaced| replaced == name)
                })
            };
            below.scenarios.retain(|file| !is_replaced(file));
            below.manifests.retain(|file| !is_replaced(file));
        }
        Problems::none_or(problems)
    }
}

/// The names of what lies in a folder, hidden things left out.
fn names(folder: &Path) -> Result<BTreeSet<String>, Problem> {
    let unreadable = |error| at(folder, &format!("cannot be read: {error}"));
    if !fs::metadata(folder).map_err(unreadable)?.is_dir() {
        return Err(at(folder, "is no folder").hint(LITTLE_ELSE));
    }
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        names.extend(name.to_str().filter(|name| !name.starts_with('.')).map(str::to_owned));
        if names.len() > MOST {
            return Err(too_many(folder));
        }
    }
    Ok(names)
}

/// What looks like a part of a catalog under another name: nothing would be read from it.
fn misspelt(folder: &Path, beside: &BTreeSet<String>) -> Vec<Problem> {
    let parts = FOLDERS.map(|(name, _)| name).into_iter().chain([SAYS]);
    let missing = parts.filter(|part| !beside.contains(*part));
    let meant = missing.filter_map(|part| {
        let near = nearest(part, beside.iter().map(String::as_str)).into_iter().next()?;
        let hint =
            format!("did you mean `{part}`? A catalog is `scenarios/`, `manifests/` and `{SAYS}`");
        Some(at(&folder.join(near), "nothing is read from it").hint(&hint))
    });
    meant.collect()
}

fn no_catalog(folder: &Path) -> Problem {
    let hint = "a catalog holds scenarios/FAMILY/ID.yaml, manifests/controls/ID/control.yaml, or more of what is in \
                these two folders; scenarios alone are put into `scenarios/` as well";
    at(folder, "holds no catalog: there is neither `scenarios/` nor `manifests/` in it").hint(hint)
}

/// The folders of controls that hold no `control.yaml`.
fn without_control(files: &[File]) -> Vec<Problem> {
    let mut controls: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in files {
        if let Some(name) = name_in_control(&file.place)
            && let Some(folder) = file.path.strip_suffix(name)
        {
            controls.entry(folder.trim_end_matches('/')).or_default().push(name);
        }
    }
    controls.retain(|_, names| !names.contains(&"control.yaml"));
    let problem = |(folder, names): (&str, Vec<&str>)| {
        let hint = match nearest("control.yaml", names.iter().copied()).first() {
            Some(near) => format!("did you mean to call `{near}` so?"),
            None => "it says what the control is and names the files beside it".to_owned(),
        };
        Problem::of_file(folder, "holds no `control.yaml`").hint(&hint)
    };
    controls.into_iter().map(problem).collect()
}

fn says(path: &Path) -> Result<(Source, CatalogFile), Problem> {
    let source = Source::new(File::read(path)?)?;
    let says = source.parse()?;
    Ok((source, says))
}

/// The names of what some files hold of one kind.
fn names_of(kind: Kind, files: &Files) -> BTreeSet<String> {
    let parts = files.all().filter_map(|file| part(&file.place));
    parts.filter(|(its, _)| *its == kind).map(|(_, name)| name.to_owned()).collect()
}

/// A walk through a catalog.
#[derive(Default)]
struct Walk {
    files: Vec<File>,
    problems: Vec<Problem>,
    /// The folders that were entered, by device and inode: a link may lead back to one.
    entered: BTreeSet<(u64, u64)>,
    /// How many files and folders were seen, and how many bytes were read.
    seen: usize,
    bytes: usize,
}

impl Walk {
    /// Reads one of its folders, which must hold something.
    fn part(&mut self, folder: &Path, name: &str, holds: &str) {
        let before = (self.files.len(), self.problems.len());
        if let Err(problem) = self.folder(folder, name) {
            self.problems.push(problem);
        }
        if before == (self.files.len(), self.problems.len()) {
            let hint = format!("{holds}; {HIDDEN}");
            self.problems.push(at(folder, "holds nothing that is read").hint(&hint));
        }
    }

    /// Reads what a folder holds, in the order of the names. An error ends the walk.
    fn folder(&mut self, folder: &Path, place: &str) -> Result<(), Problem> {
        let unreadable = |error| at(folder, &format!("cannot be read: {error}"));
        let found = fs::metadata(folder).map_err(unreadable)?;
        if !found.is_dir() {
            return Err(at(folder, "is no folder").hint(LITTLE_ELSE));
        }
        if !self.entered.insert((found.dev(), found.ino())) {
            return Ok(());
        }
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            self.seen += 1;
            if self.seen > MOST {
                return Err(too_many(folder));
            }
            paths.push(entry.map_err(unreadable)?.path());
        }
        paths.sort();
        paths.iter().try_for_each(|path| self.entry(path, place))
    }

    fn entry(&mut self, path: &Path, place: &str) -> Result<(), Problem> {
        let Some(name) = path.file_name().and_then(OsStr::to_str) else {
            self.problems.push(at(path, "its name is not text in UTF-8").hint("rename it"));
            return Ok(());
        };
        if name.starts_with('.') {
            return Ok(());
        }
        let place = format!("{place}/{name}");
        match fs::metadata(path) {
            Err(error) => self.problems.push(at(path, &format!("cannot be read: {error}"))),
            Ok(found) if found.is_dir() && !is_yaml(path) => return self.folder(path, &place),
            Ok(_) if is_yaml(path) => return self.file(path, place),
            Ok(_) => {}
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, place: String) -> Result<(), Problem> {
        match File::read(path) {
            Err(problem) => self.problems.push(problem),
            Ok(file) => {
                self.bytes += file.bytes.len();
                self.files.push(File { place, ..file });
            }
        }
        if self.bytes > MOST_BYTES {
            let message = format!("more than {} MiB of files", MOST_BYTES >> 20);
            return Err(at(path, &message).hint(LITTLE_ELSE));
        }
        Ok(())
    }
}

pub(super) fn is_yaml(path: &Path) -> bool {
    let is =
        |ending: &str| path.extension().is_some_and(|other| other.eq_ignore_ascii_case(ending));
    is("yaml") || is("yml")
}

fn too_many(folder: &Path) -> Problem {
    at(folder, &format!("more than {MOST} files and folders")).hint(LITTLE_ELSE)
}

fn at(path: &Path, message: &str) -> Problem {
    Problem::of_file(&path.display().to_string(), message)
}
