//! Where the files of the catalog come from: the executable itself, and folders of the reader's.

use std::borrow::Cow;
use std::path::Path;

use include_dir::{Dir, include_dir};

use super::folder::{Folder, is_yaml};
use super::{Problem, Problems};
use crate::input;

static SCENARIOS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../scenarios");
static MANIFESTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../manifests");

/// How many bytes a file of the reader's may have.
const LARGEST: u64 = 1 << 20;

/// A file as it was read, before anybody looked into it.
#[derive(Debug, Clone)]
pub struct File {
    /// As a person finds it: `manifests/targets/shop.yaml`, or below the folder that the reader named.
    pub path: String,
    /// Where it lies in its catalog, which says what it is.
    pub place: String,
    /// Whether it is a part of the executable, and no file that the reader has.
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

    /// Lays a catalog of the reader's over these: a folder with `scenarios/`, `manifests/` or both. What its
    /// `catalog.yaml` replaces is taken away.
    ///
    /// # Errors
    /// When something in it cannot be read, lies where nothing is read, or replaces what is not there.
    pub fn lay(&mut self, folder: &Path) -> Result<(), Problems> {
        let mut theirs = Folder::read(folder)?;
        theirs.make_way(self)?;
        self.scenarios.append(&mut theirs.files.scenarios);
        self.manifests.append(&mut theirs.files.manifests);
        Ok(())
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &File> {
        self.scenarios.iter().chain(&self.manifests)
    }
}

impl File {
    /// Reads one file of the reader's.
    pub fn read(path: &Path) -> Result<File, Problem> {
        let shown = path.display().to_string();
        let bytes = input::read(path, LARGEST)
            .map_err(|error| Problem::of_file(&shown, &error.to_string()))?;
        Ok(File { place: shown.clone(), path: shown, built_in: false, bytes: bytes.into() })
    }
}

fn embedded_below(folder: &Dir<'static>, name: &str, files: &mut Vec<File>) {
    for file in folder.files() {
        let path = format!("{name}/{}", file.path().display());
        let bytes = file.contents().into();
        files.push(File { place: path.clone(), path, built_in: true, bytes });
    }
    for below in folder.dirs() {
        embedded_below(below, name, files);
    }
}
