//! What the tests of both binaries need: golden files, and brinell as a user runs it, in a home of its own which shows
//! afterwards what was touched.

pub mod page;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use brinell::model::Results;
use serde_json::Value;
use tempfile::TempDir;

/// What the user's two kubeconfigs hold. brinell may not even read them.
const KUBECONFIG: &str = "the user's own, and no kubeconfig at all\n";

/// What a golden file holds: what tests expect, written down in the repository. It is empty if there is no file.
/// `BRINELL_BLESS=1` writes into it first what was found.
pub fn golden(file: &Path, found: &str) -> String {
    let held = std::fs::read_to_string(file).unwrap_or_default();
    if std::env::var_os("BRINELL_BLESS").is_none() || held == found {
        return held;
    }
    std::fs::write(file, found).expect("written");
    found.to_owned()
}

/// The results that a document holds, which must be as the published schema says.
pub fn results(document: &[u8]) -> Results {
    let json: Value = serde_json::from_slice(document).expect("JSON");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/results.schema.json");
    let schema = std::fs::read_to_string(path).expect("a file");
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors = validator.iter_errors(&json);
    let errors: Vec<String> =
        errors.map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert_eq!(errors, [""; 0]);
    Results::read(document).expect("results")
}

/// The cache of whoever runs the tests, in which the programs of embedded clusters lie.
pub fn cache() -> PathBuf {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    named.or_else(|| Some(std::env::home_dir()?.join(".cache"))).unwrap_or_default()
}

/// A user's home.
pub struct Home {
    folder: TempDir,
}

impl Home {
    /// With a kubeconfig at its usual place and one that `$KUBECONFIG` names.
    pub fn new() -> Home {
        let home = Home { folder: tempfile::tempdir().expect("a folder") };
        for folder in [".kube", "tmp"] {
            std::fs::create_dir(home.path(folder)).expect("a folder");
        }
        for kubeconfig in home.kubeconfigs() {
            std::fs::write(kubeconfig, KUBECONFIG).expect("written");
        }
        home
    }

    /// A path below it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// brinell, at home here.
    pub fn brinell(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_brinell"));
        self.at_home(&mut command);
        // The real home says which engine to ask.
        if let (None, Some(home)) = (std::env::var_os("DOCKER_CONFIG"), std::env::home_dir()) {
            command.env("DOCKER_CONFIG", home.join(".docker"));
        }
        command
    }

    /// Has a command run here.
    pub fn at_home(&self, command: &mut Command) {
        command
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("XDG_STATE_HOME", self.path("state"))
            .env("TMPDIR", self.path("tmp"))
            .env("KUBECONFIG", self.path("named"));
    }

    /// The runs that have a folder.
    pub fn runs(&self) -> Vec<String> {
        entries(&self.path("state/brinell/runs"))
    }

    /// What of the user's was changed, and what was added beside `files`.
    pub fn touched(&self, files: &[&str]) -> Vec<String> {
        let is_changed = |path: &PathBuf| {
            std::fs::read_to_string(path).ok().is_none_or(|text| text != KUBECONFIG)
        };
        let changed = self.kubeconfigs().into_iter().filter(is_changed);
        let known = [&[".kube", "named", "state", "tmp"], files].concat();
        let holdings = [("", known.as_slice()), (".kube", &["config"]), ("tmp", &[])];
        let added = holdings.into_iter().flat_map(|(folder, known)| {
            let is_new = |name: &String| !known.contains(&name.as_str());
            entries(&self.path(folder)).into_iter().filter(is_new).collect::<Vec<_>>()
        });
        changed.map(|path| path.display().to_string()).chain(added).collect()
    }

    fn kubeconfigs(&self) -> [PathBuf; 2] {
        [self.path(".kube/config"), self.path("named")]
    }
}

/// How brinell ended and what it printed.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).expect("text in UTF-8");
        let Output { status, stdout, stderr } = output;
        Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }
}

/// The names in a folder; empty if there is no folder.
fn entries(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("readable").file_name();
    entries.map(|entry| name(entry).into_string().expect("text in UTF-8")).collect()
}
