//! The folder of `--scenarios`: what of it is read, and what is said about the rest.

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
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, SCENARIO).expect("written");
    }
    folder
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
    let folder = folder(&["exec/one.yaml", "exec/deeper/two.yml", "three.YAML", "exec/notes.txt"]);
    let family = folder.path().file_name().expect("a name").to_string_lossy().into_owned();
    assert_eq!(
        read(folder.path()),
        [format!("{family}/three"), "deeper/two".into(), "exec/one".into()]
    );
}

#[test]
fn what_is_hidden_is_passed_over() {
    let folder = folder(&["exec/one.yaml"]);
    for hidden in [".github/workflows/ci.yaml", "exec/.one.yaml", ".git/x.yaml"] {
        let path = folder.path().join(hidden);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, "no scenario").expect("written");
    }
    assert_eq!(read(folder.path()), ["exec/one"]);
}

/// As the kubelet mounts a ConfigMap: the files are links through `..data` to a folder with a time in its name.
#[test]
fn a_mounted_config_map_holds_each_scenario_once() {
    let folder = folder(&["..2026_11_25/one.yaml", "..2026_11_25/exec/two.yaml"]);
    symlink("..2026_11_25", folder.path().join("..data")).expect("a link");
    symlink("..data/one.yaml", folder.path().join("one.yaml")).expect("a link");
    symlink("..data/exec", folder.path().join("exec")).expect("a link");
    let read = read(folder.path());
    assert_eq!(read.len(), 2, "{read:?}");
    assert!(read.contains(&"exec/two".to_owned()), "{read:?}");
}

#[test]
fn a_link_back_is_followed_once() {
    let folder = folder(&["exec/one.yaml"]);
    symlink("..", folder.path().join("exec/back")).expect("a link");
    symlink("exec", folder.path().join("again")).expect("a link");
    // By the order of names `again` is entered first.
    assert_eq!(read(folder.path()), ["again/one"]);
}

#[test]
fn what_is_no_file_is_not_read() {
    let folder = folder(&["exec/one.yaml", "folder.yaml/two.yaml"]);
    let path = |name: &str| folder.path().join(name);
    mkfifoat(CWD, path("pipe.yaml"), Mode::RWXU).expect("a pipe");
    let socket = UnixListener::bind(path("socket.yaml")).expect("a socket");
    symlink("/dev/zero", path("zero.yaml")).expect("a link");
    symlink("nowhere", path("link")).expect("a link");
    symlink("loop.yaml", path("loop.yaml")).expect("a link");
    insta::assert_snapshot!(said(folder.path()), @r"
    mine/folder.yaml: is a folder and no file: nothing is read from it

    mine/link: cannot be read: No such file or directory (os error 2)

    mine/loop.yaml: cannot be read: Too many levels of symbolic links (os error 40)

    mine/pipe.yaml: is a pipe and no file: nothing is read from it

    mine/socket.yaml: is a socket and no file: nothing is read from it

    mine/zero.yaml: is a device and no file: nothing is read from it
    ");
    drop(socket);
}

#[test]
fn a_name_that_a_terminal_would_obey() {
    let folder = folder(&["exec/one\u{1b}[31m\n.yaml"]);
    insta::assert_snapshot!(said(folder.path()), @r"
mine/exec/one\u{1b}[31m\n.yaml:1:1: the file's name is no id
  1 | title: A shell
    | ^
  a scenario's id is its file's name: lower-case letters, digits and dashes
");
}

#[test]
fn a_name_that_is_no_text() {
    let folder = folder(&["exec/one.yaml"]);
    let name = std::ffi::OsStr::from_bytes(b"two\xff.yaml");
    fs::write(folder.path().join(name), SCENARIO).expect("written");
    insta::assert_snapshot!(said(folder.path()), @"
mine/two�.yaml: its name is not text in UTF-8
  rename it
");
}

#[test]
fn a_folder_without_a_scenario_is_no_success() {
    insta::assert_snapshot!(said(folder(&["exec/notes.txt", ".hidden/one.yaml"]).path()), @"
mine: holds no scenario
  a scenario is a file FAMILY/ID.yaml in the folder that --scenarios names; what begins with a dot is passed over
");
    insta::assert_snapshot!(said(&folder(&[]).path().join("none")), @"mine: cannot be read: No such file or directory (os error 2)");
    insta::assert_snapshot!(said(&folder(&["one.yaml"]).path().join("one.yaml")), @"
mine: is no folder
  --scenarios takes a folder that holds scenarios and little else
");
}

#[test]
fn other_yaml_is_told_to_be_no_scenario() {
    let folder = folder(&["exec/one.yaml"]);
    let kustomization =
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []\n";
    fs::write(folder.path().join("kustomization.yaml"), kustomization).expect("written");
    insta::assert_snapshot!(said(folder.path()), @"
mine/kustomization.yaml:1:1: unknown key `apiVersion`
  1 | apiVersion: kustomize.config.k8s.io/v1beta1
    | ^
  it has neither `attacks` nor `permits`: is it a scenario? Every .yaml file in the folder of --scenarios is read as one; one that is none is put elsewhere, or its name begins with a dot
");
}

#[test]
fn a_folder_with_too_much_in_it() {
    let folder = folder(&["exec/one.yaml"]);
    for number in 0..10_000 {
        fs::write(folder.path().join(format!("{number}.txt")), "").expect("written");
    }
    insta::assert_snapshot!(said(folder.path()), @"
mine: more than 10000 files and folders
  --scenarios takes a folder that holds scenarios and little else
");
}

#[test]
fn a_file_that_is_too_large() {
    let folder = folder(&["exec/one.yaml"]);
    let file = fs::File::create(folder.path().join("large.yaml")).expect("a file");
    file.set_len(1 << 40).expect("a size");
    insta::assert_snapshot!(said(folder.path()), @"mine/large.yaml: is larger than 1 MiB, the most that is read of one file");
}

/// What is said of files of the user's beside our own.
fn beside_ours(files: &[&str]) -> String {
    let mut all = Files::embedded();
    all.scenarios.splice(0..0, files.iter().map(|path| mine(path, SCENARIO)));
    Catalog::read(all).expect_err("refused").to_string()
}

#[test]
fn an_id_that_is_taken_is_said_of_the_users_file() {
    // This family comes before ours.
    insta::assert_snapshot!(beside_ours(&["a/exec-interactive.yaml"]), @"
a/exec-interactive.yaml: the id `exec-interactive` is taken
  a built-in scenario has this id: rename the file
");
    // The path is that of the built-in file: brinell's own folder was named.
    insta::assert_snapshot!(beside_ours(&["scenarios/exec/exec-interactive.yaml"]), @"
scenarios/exec/exec-interactive.yaml: the id `exec-interactive` is taken
  a built-in scenario has this id: rename the file
");
    insta::assert_snapshot!(beside_ours(&["b/one.yaml", "a/one.yaml"]), @"
a/one.yaml: the id `one` is taken
  b/one.yaml has the same name: rename one of them
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

#[test]
fn our_own_folder_again() {
    let mut files = Files::embedded();
    let again: Vec<_> = files.scenarios.iter().map(|file| mine(&file.path, &file.bytes)).collect();
    let ours = again.len();
    files.scenarios.extend(again);
    let problems = Catalog::read(files).expect_err("refused");
    assert_eq!(problems.0.len(), ours, "{problems}");
}
