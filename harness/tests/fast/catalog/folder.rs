//! The folder of `--catalog`: what of it is read, and what is said about the rest.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use brinell::catalog::{Catalog, Files};
use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;

use super::{SCENARIO, mine};

/// A folder with these files, each of them a valid scenario.
fn folder(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    files.iter().for_each(|file| write(folder.path(), file, SCENARIO));
    folder
}

fn write(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("written");
}

/// The user's scenarios that are read, as `family/id`.
fn read(folder: &Path) -> Vec<String> {
    let catalog = Catalog::load(Some(folder)).unwrap_or_else(|problems| panic!("{problems}"));
    let users = catalog.scenarios.iter().filter(|entry| !entry.built_in);
    users.map(|entry| format!("{}/{}", entry.family, entry.id)).collect()
}

/// What is said about the folder, which is called `mine`.
fn said(folder: &Path) -> String {
    let problems = Catalog::load(Some(folder)).expect_err("refused").to_string();
    problems.replace(&folder.display().to_string(), "mine")
}

#[test]
fn every_file_that_ends_in_yaml_is_a_scenario() {
    let folder = folder(&[
        "scenarios/exec/one.yaml",
        "scenarios/exec/deeper/two.yml",
        "scenarios/three.YAML",
        "scenarios/exec/notes.txt",
        "docs/no-scenario.yaml",
    ]);
    assert_eq!(read(folder.path()), ["deeper/two", "exec/one", "scenarios/three"]);
}

#[test]
fn what_is_hidden_is_passed_over() {
    let folder = folder(&["scenarios/exec/one.yaml"]);
    for hidden in [".github/ci.yaml", "scenarios/exec/.one.yaml", "scenarios/.git/x.yaml"] {
        write(folder.path(), hidden, "no scenario");
    }
    assert_eq!(read(folder.path()), ["exec/one"]);
}

/// As the kubelet mounts a ConfigMap: the files are links through `..data` to a folder with a time in its name.
#[test]
fn a_mounted_config_map_holds_each_scenario_once() {
    let folder =
        folder(&["scenarios/..2026_11_25/one.yaml", "scenarios/..2026_11_25/exec/two.yaml"]);
    let scenarios = folder.path().join("scenarios");
    symlink("..2026_11_25", scenarios.join("..data")).expect("a link");
    symlink("..data/one.yaml", scenarios.join("one.yaml")).expect("a link");
    symlink("..data/exec", scenarios.join("exec")).expect("a link");
    let read = read(folder.path());
    assert_eq!(read.len(), 2, "{read:?}");
    assert!(read.contains(&"exec/two".to_owned()), "{read:?}");
}

#[test]
fn a_link_back_is_followed_once() {
    let folder = folder(&["scenarios/exec/one.yaml"]);
    symlink("..", folder.path().join("scenarios/exec/back")).expect("a link");
    symlink("exec", folder.path().join("scenarios/again")).expect("a link");
    // By the order of names `again` is entered first.
    assert_eq!(read(folder.path()), ["again/one"]);
}

#[test]
fn what_is_no_file_is_not_read() {
    let folder = folder(&["scenarios/exec/one.yaml", "scenarios/folder.yaml/two.yaml"]);
    let path = |name: &str| folder.path().join("scenarios").join(name);
    mkfifoat(CWD, path("pipe.yaml"), Mode::RWXU).expect("a pipe");
    let socket = UnixListener::bind(path("socket.yaml")).expect("a socket");
    symlink("/dev/zero", path("zero.yaml")).expect("a link");
    symlink("nowhere", path("link")).expect("a link");
    symlink("loop.yaml", path("loop.yaml")).expect("a link");
    insta::assert_snapshot!(said(folder.path()), @r"
    mine/scenarios/folder.yaml: is a folder and no file: nothing is read from it

    mine/scenarios/link: cannot be read: No such file or directory (os error 2)

    mine/scenarios/loop.yaml: cannot be read: Too many levels of symbolic links (os error 40)

    mine/scenarios/pipe.yaml: is a pipe and no file: nothing is read from it

    mine/scenarios/socket.yaml: is a socket and no file: nothing is read from it

    mine/scenarios/zero.yaml: is a device and no file: nothing is read from it
    ");
    drop(socket);
}

#[test]
fn a_name_that_a_terminal_would_obey() {
    let folder = folder(&["scenarios/exec/one\u{1b}[31m\n.yaml"]);
    insta::assert_snapshot!(said(folder.path()), @r"
mine/scenarios/exec/one\u{1b}[31m\n.yaml:1:1: the file's name is no name of a scenario
  1 | title: A shell
    | ^
  a name is lower-case letters, digits and dashes
");
}

#[test]
fn a_name_that_is_no_text() {
    let folder = folder(&["scenarios/exec/one.yaml"]);
    let name = std::ffi::OsStr::from_bytes(b"scenarios/two\xff.yaml");
    fs::write(folder.path().join(name), SCENARIO).expect("written");
    insta::assert_snapshot!(said(folder.path()), @"
mine/scenarios/two�.yaml: its name is not text in UTF-8
  rename it
");
}

#[test]
fn a_folder_without_a_catalog_is_no_success() {
    // As `--scenarios` once took it.
    insta::assert_snapshot!(said(folder(&["exec/one.yaml"]).path()), @"
mine: holds no catalog: there is neither `scenarios/` nor `manifests/` in it
  a catalog holds scenarios/FAMILY/ID.yaml, manifests/controls/ID/control.yaml, or more of what is in these two folders; scenarios alone are put into `scenarios/` as well
");
    insta::assert_snapshot!(said(&folder(&[]).path().join("none")), @"mine: cannot be read: No such file or directory (os error 2)");
    insta::assert_snapshot!(said(&folder(&["one.yaml"]).path().join("one.yaml")), @"
mine: is no folder
  name a folder with --catalog in which `scenarios/` and `manifests/` hold little else
");
    let empty = folder(&["scenarios/exec/notes.txt", "manifests/.hidden/one.yaml"]);
    insta::assert_snapshot!(said(empty.path()), @"
mine/scenarios: holds nothing that is read
  a scenario is a file scenarios/FAMILY/ID.yaml; what begins with a dot is passed over

mine/manifests: holds nothing that is read
  a control is a file manifests/controls/ID/control.yaml; what begins with a dot is passed over
");
}

#[test]
fn a_misspelt_folder_is_told() {
    let misspelt =
        folder(&["Scenarios/exec/one.yaml", "manifest/targets/shop.yaml", "catalog.yml"]);
    insta::assert_snapshot!(said(misspelt.path()), @"
mine/Scenarios: nothing is read from it
  did you mean `scenarios`? A catalog is `scenarios/`, `manifests/` and `catalog.yaml`

mine/manifest: nothing is read from it
  did you mean `manifests`? A catalog is `scenarios/`, `manifests/` and `catalog.yaml`

mine/catalog.yml: nothing is read from it
  did you mean `catalog.yaml`? A catalog is `scenarios/`, `manifests/` and `catalog.yaml`
");
    let below = folder(&[
        "manifests/control/mine/control.yaml",
        "manifests/controls/mine/control.yml",
        "manifests/controls/yours/policy.yaml",
        "manifests/mine.yaml",
        "manifests/targets/shop/shop.yaml",
    ]);
    insta::assert_snapshot!(said(below.path()), @"
mine/manifests/controls/mine: holds no `control.yaml`
  did you mean to call `control.yml` so?

mine/manifests/controls/yours: holds no `control.yaml`
  it says what the control is and names the files beside it
");
    fs::remove_dir_all(below.path().join("manifests/controls")).expect("removed");
    insta::assert_snapshot!(said(below.path()), @"
mine/manifests/control/mine/control.yaml: nothing reads a manifest here
  did you mean controls?

mine/manifests/mine.yaml: nothing reads a manifest here
  known are: controls, deviations.yaml, personas, profiles, rights.yaml, targets

mine/manifests/targets/shop/shop.yaml: nothing reads a manifest here
  what is read is manifests/targets/NAME.yaml
");
}

#[test]
fn other_yaml_is_told_to_be_no_scenario() {
    let folder = folder(&["scenarios/exec/one.yaml"]);
    let kustomization =
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []\n";
    write(folder.path(), "scenarios/kustomization.yaml", kustomization);
    insta::assert_snapshot!(said(folder.path()), @"
mine/scenarios/kustomization.yaml:1:1: unknown key `apiVersion`
  1 | apiVersion: kustomize.config.k8s.io/v1beta1
    | ^
  it has neither `attacks` nor `permits`: is it a scenario? Every .yaml file below `scenarios/` is read as one; one that is none is put elsewhere, or its name begins with a dot
");
}

#[test]
fn a_folder_with_too_much_in_it() {
    let folder = folder(&["scenarios/exec/one.yaml"]);
    for number in 0..10_000 {
        fs::write(folder.path().join(format!("scenarios/{number}.txt")), "").expect("written");
    }
    insta::assert_snapshot!(said(folder.path()), @"
mine/scenarios: more than 10000 files and folders
  name a folder with --catalog in which `scenarios/` and `manifests/` hold little else
");
}

#[test]
fn a_file_that_is_too_large() {
    let folder = folder(&["scenarios/exec/one.yaml"]);
    let file = fs::File::create(folder.path().join("scenarios/large.yaml")).expect("a file");
    file.set_len(1 << 40).expect("a size");
    insta::assert_snapshot!(said(folder.path()), @"mine/scenarios/large.yaml: is larger than 1 MiB, the most that is read of one file");
}

/// What is said of files of the reader's beside our own.
fn beside_ours(files: &[&str]) -> String {
    let mut all = Files::embedded();
    all.scenarios.splice(0..0, files.iter().map(|path| mine(path, SCENARIO)));
    Catalog::read(all).expect_err("refused").to_string()
}

#[test]
fn a_name_that_is_taken_is_said_of_the_readers_file() {
    // This family comes before ours.
    insta::assert_snapshot!(beside_ours(&["a/exec-interactive.yaml"]), @"
a/exec-interactive.yaml: the name `exec-interactive` is taken by another scenario
  the built-in scenarios/exec/exec-interactive.yaml has it: give this one another name, or have it replace that one, by `replaces: {scenarios: [exec-interactive]}` in `catalog.yaml`
");
    insta::assert_snapshot!(beside_ours(&["b/one.yaml", "a/one.yaml"]), @"
a/one.yaml: the name `one` is taken by another scenario
  b/one.yaml has it: give one of them another name; where that is another catalog's, this one may replace it, by `replaces: {scenarios: [one]}` in `catalog.yaml`
");
}

#[test]
fn a_broken_file_is_not_taken_for_the_built_in_one_of_its_path() {
    let mut files = Files::embedded();
    let broken = SCENARIO.replace("operator", "nobody-known");
    files.scenarios.push(mine("scenarios/exec/exec-interactive.yaml", broken));
    let problems = Catalog::read(files).expect_err("refused");
    assert_eq!(problems.0.len(), 1, "{problems}");
}

/// Every file that has a name, and every file beside a control is silent about it.
#[test]
fn our_own_catalog_again() {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let problems = Catalog::load(Some(&*ours)).expect_err("refused");
    let named = Catalog::load(None).expect("our own");
    let count = named.scenarios.len() + named.controls.len() + named.targets.len();
    let count = count + named.personas.len() + named.profiles.len();
    let taken = problems.0.iter().filter(|it| it.message.contains("is taken by another"));
    assert_eq!(taken.count(), count, "{problems}");
}

/// What is said of a catalog that replaces something, with a scenario, a persona and a control.
fn replacing(replaces: &str) -> Result<Catalog, String> {
    let folder = folder(&[]);
    // The audit policy expects it to notice, so that it must ask for evidence.
    let logged =
        SCENARIO.replace("interactive}\n", "interactive}\n  logged: {level: RequestResponse}\n");
    write(folder.path(), "scenarios/exec/exec-interactive.yaml", &logged);
    let operator = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/personas/operator.yaml"),
    );
    write(folder.path(), "manifests/personas/operator.yaml", &operator.expect("ours"));
    write(folder.path(), "catalog.yaml", &format!("replaces: {replaces}\n"));
    let read = Catalog::load(Some(folder.path()));
    read.map_err(|it| it.to_string().replace(&folder.path().display().to_string(), "mine"))
}

#[test]
fn what_says_so_takes_the_place_of_ours() {
    let replaced = replacing("{scenarios: [exec-interactive], personas: [operator]}");
    let catalog = replaced.expect("whole");
    let entries: Vec<_> =
        catalog.scenarios.iter().filter(|it| it.id == "exec-interactive").collect();
    assert_eq!(entries.len(), 1);
    assert!(!entries[0].built_in);
    assert_eq!(entries[0].scenario.title, "A shell");
    assert!(catalog.personas["operator"].file.ends_with("/manifests/personas/operator.yaml"));
    assert!(catalog.personas["operator"].file.starts_with('/'));
}

#[test]
fn what_replaces_nothing_is_told() {
    let said = |replaces: &str| replacing(replaces).expect_err("refused");
    insta::assert_snapshot!(said("{scenarios: [exec-interactiv], personas: [operator]}"), @"
mine/catalog.yaml:1:24: there is no scenario `exec-interactiv` to replace
  1 | replaces: {scenarios: [exec-interactiv], personas: [operator]}
    |                        ^
  did you mean exec-interactive?
");
    insta::assert_snapshot!(said("{scenarios: [exec-attach-audited], controls: [exec-guard]}"), @"
mine/catalog.yaml:1:24: there is no scenario `exec-attach-audited` to replace
  1 | replaces: {scenarios: [exec-attach-audited], controls: [exec-guard]}
    |                        ^
  did you mean attach-audited or secret-watch-audited or exec-audited?

mine/catalog.yaml:1:57: nothing takes the place of the control `exec-guard`
  1 | es: {scenarios: [exec-attach-audited], controls: [exec-guard]}
    |                                                   ^
  add manifests/controls/exec-guard/control.yaml, or remove the name here
");
    insta::assert_snapshot!(said("{scenario: [exec-interactive]}"), @"
mine/catalog.yaml:1:12: unknown key `scenario`
  1 | replaces: {scenario: [exec-interactive]}
    |            ^
  did you mean scenarios?
");
    insta::assert_snapshot!(said("{personas: [operator]}"), @"
mine/scenarios/exec/exec-interactive.yaml: the name `exec-interactive` is taken by another scenario
  the built-in scenarios/exec/exec-interactive.yaml has it: give this one another name, or have it replace that one, by `replaces: {scenarios: [exec-interactive]}` in `catalog.yaml`
");
}

/// What takes the place of a scenario of ours is what our controls rest on: it is told of the reader's file.
#[test]
fn what_our_controls_expect_is_asked_of_what_takes_the_place() {
    let folder = folder(&["scenarios/exec/exec-interactive.yaml"]);
    write(folder.path(), "catalog.yaml", "replaces: {scenarios: [exec-interactive]}\n");
    insta::assert_snapshot!(said(folder.path()), @"
mine/scenarios/exec/exec-interactive.yaml: the built-in control `audit-policy` expects it to notice, and it does not test that control
  ask for evidence by `logged:`, call it otherwise, or replace the control as well
");
}
