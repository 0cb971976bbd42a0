//! Where the files of the catalog come from: the executable itself, and the user's own folder.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use include_dir::{Dir, include_dir};

use super::{Problem, Problems};
use crate::input;

static SCENARIOS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../scenarios");
static MANIFESTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../manifests");

/// How many bytes a file of the user's may have.
const LARGEST: u64 = 1 << 20;

/// How many files and folders of the user's are looked at, and how many bytes of theirs are read.
const MOST: usize = 10_000;
const MOST_BYTES: usize = 64 << 20;

/// A file as it was read, before anybody looked into it.
#[derive(Debug, Clone)]
pub struct File {
    /// As a person finds it: `scenarios/exec/exec-interactive.yaml`, or the path that the user gave.
    pub path: String,
    /// Whether it is a part of the executable, and no file that the user has.
    pub built_in: bool,
    /// What it holds.
    pub bytes: Cow<'static, [u8]>,
}

/// All files that a catalog is made of.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Scenarios: the file's name is the id, its folder the family.
    pub scenarios: Vec<File>,
    /// Everything below `manifests/`.
    pub manifests: Vec<File>,
}

impl Files {
    /// The files that are embedded in the executable.
    pub fn embedded() -> Files {
        let mut files = Files::default();
        embedded_below(&SCENARIOS, "scenarios", &mut files.scenarios);
        embedded_below(&MANIFESTS, "manifests", &mut files.manifests);
        files.scenarios.retain(|file| is_yaml(Path::new(&file.path)));
        files
    }

    /// Adds the scenarios of a folder of the user's: every file in it and in its folders whose name ends in `.yaml`
    /// or `.yml`. What is hidden, because its name begins with a dot, is passed over; links are followed. So a
    /// mounted ConfigMap holds each scenario once, although `..data` holds all of them a second time.
    pub fn add_scenarios(&mut self, folder: &Path) -> Result<(), Problems> {
        let mut walk = Walk::default();
        if let Err(problem) = walk.folder(folder) {
            walk.problems.push(problem);
        }
        if walk.files.is_empty() && walk.problems.is_empty() {
            let hint = "a scenario is a file FAMILY/ID.yaml in the folder that --scenarios names; what begins \
                        with a dot is passed over";
            walk.problems.push(at(folder, "holds no scenario").hint(hint));
        }
        self.scenarios.append(&mut walk.files);
        Problems::none_or(walk.problems)
    }
}

impl File {
    /// Reads one file of the user's.
    pub fn read(path: &Path) -> Result<File, Problem> {
        let bytes = input::read(path, LARGEST).map_err(|error| at(path, &error.to_string()))?;
        Ok(File { path: path.display().to_string(), built_in: false, bytes: bytes.into() })
    }
}

fn embedded_below(folder: &Dir<'static>, name: &str, files: &mut Vec<File>) {
    for file in folder.files() {
        files.push(File {
            path: format!("{name}/{}", file.path().display()),
            built_in: true,
            bytes: file.contents().into(),
        });
    }
    for below in folder.dirs() {
        embedded_below(below, name, files);
    }
}

/// A walk through a folder of the user's.
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
    /// Reads what a folder holds, in the order of the names. An error ends the walk.
    fn folder(&mut self, folder: &Path) -> Result<(), Problem> {
        let unreadable = |error| at(folder, &format!("cannot be read: {error}"));
        let found = fs::metadata(folder).map_err(unreadable)?;
        if !found.is_dir() {
            return Err(at(folder, "is no folder").hint(ONLY_SCENARIOS));
        }
        if !self.entered.insert((found.dev(), found.ino())) {
            return Ok(());
        }
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            self.seen += 1;
            if self.seen > MOST {
                let message = format!("more than {MOST} files and folders");
                return Err(at(folder, &message).hint(ONLY_SCENARIOS));
            }
            paths.push(entry.map_err(unreadable)?.path());
        }
        paths.sort();
        paths.iter().try_for_each(|path| self.entry(path))
    }

    fn entry(&mut self, path: &Path) -> Result<(), Problem> {
        let Some(name) = path.file_name().and_then(OsStr::to_str) else {
            self.problems.push(at(path, "its name is not text in UTF-8").hint("rename it"));
            return Ok(());
        };
        if name.starts_with('.') {
            return Ok(());
        }
        match fs::metadata(path) {
            Err(error) => self.problems.push(at(path, &format!("cannot be read: {error}"))),
            Ok(found) if found.is_dir() && !is_yaml(path) => return self.folder(path),
            Ok(_) if is_yaml(path) => return self.file(path),
            Ok(_) => {}
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<(), Problem> {
        match File::read(path) {
            Err(problem) => self.problems.push(problem),
            Ok(file) => {
                self.bytes += file.bytes.len();
                self.files.push(file);
            }
        }
        if self.bytes > MOST_BYTES {
            let message = format!("more than {} MiB of scenarios", MOST_BYTES >> 20);
            return Err(at(path, &message).hint(ONLY_SCENARIOS));
        }
        Ok(())
    }
}

const ONLY_SCENARIOS: &str = "--scenarios takes a folder that holds scenarios and little else";

fn is_yaml(path: &Path) -> bool {
    let is =
        |ending: &str| path.extension().is_some_and(|other| other.eq_ignore_ascii_case(ending));
    is("yaml") || is("yml")
}

fn at(path: &Path, message: &str) -> Problem {
    Problem::of_file(&path.display().to_string(), message)
}
