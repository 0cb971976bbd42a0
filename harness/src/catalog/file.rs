//! Where the files of the catalog come from: the executable itself, and the user's own folder.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::{Problem, Problems};

static SCENARIOS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../scenarios");
static MANIFESTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../manifests");

/// A file as it was read, before anybody looked into it.
#[derive(Debug, Clone)]
pub struct File {
    /// As a person finds it: `scenarios/exec/exec-interactive.yaml`, or the path that the user gave.
    pub path: String,
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

    /// Adds the scenarios of a folder of the user's, its own folders included.
    pub fn add_scenarios(&mut self, folder: &Path) -> Result<(), Problems> {
        let mut problems = Vec::new();
        read_below(folder, &mut self.scenarios, &mut problems);
        Problems::none_or(problems)
    }
}

impl File {
    /// Reads one file of the user's.
    pub fn read(path: &Path) -> Result<File, Problem> {
        let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
        Ok(File { path: path.display().to_string(), bytes: bytes.into() })
    }
}

fn embedded_below(folder: &Dir<'static>, name: &str, files: &mut Vec<File>) {
    for file in folder.files() {
        files.push(File {
            path: format!("{name}/{}", file.path().display()),
            bytes: file.contents().into(),
        });
    }
    for below in folder.dirs() {
        embedded_below(below, name, files);
    }
}

fn read_below(folder: &Path, files: &mut Vec<File>, problems: &mut Vec<Problem>) {
    let entries = match sorted_entries(folder) {
        Ok(entries) => entries,
        Err(error) => return problems.push(unreadable(folder, &error)),
    };
    for path in entries {
        // A link to a folder is not followed: it may lead back to where it stands.
        if path.is_dir() && !path.is_symlink() {
            read_below(&path, files, problems);
        } else if is_yaml(&path) {
            match File::read(&path) {
                Ok(file) => files.push(file),
                Err(problem) => problems.push(problem),
            }
        }
    }
}

fn sorted_entries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut entries = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::of_file(&path.display().to_string(), &format!("cannot be read: {error}"))
}
