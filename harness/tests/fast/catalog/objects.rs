//! Objects of a control as its repository keeps them: what a command prints, and what a weakening leaves out of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use brinell::catalog::{Catalog, New, identity};

use crate::command_line::{NO_ENGINE, brinell, ran};
use crate::support::{Home, Ran};

/// A catalog with a first control, whose objects a program of its own prints.
struct Mine {
    home: Home,
}

const CONTROL: &str = "mine/manifests/controls/images";

impl Mine {
    /// The program is a script of a shell, run in the control's folder.
    fn printing(script: &str) -> Mine {
        let mine = Mine { home: Home::new() };
        for file in New::Control.files("images") {
            mine.write(&format!("mine/{}", file.place), &file.text);
        }
        mine.change("objects: [policy.yaml]", "objects: {command: [./render, prod]}");
        mine.change("delete: [policy.yaml]", "delete: [command]");
        let kept = mine.path("kept");
        fs::create_dir(&kept).expect("made");
        fs::rename(mine.path("policy.yaml"), kept.join("policy.txt")).expect("moved");
        // What a command reads need not be YAML.
        fs::write(kept.join("template.yaml"), "{{ if .Values }}\n").expect("written");
        mine.write(
            &format!("{CONTROL}/render"),
            &format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n"),
        );
        let program = mine.path("render");
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).expect("made executable");
        mine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path(CONTROL).join(name)
    }

    fn write(&self, place: &str, text: &str) {
        let path = self.home.path(place);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn change(&self, from: &str, to: &str) {
        let path = self.path("control.yaml");
        let text = fs::read_to_string(&path).expect("read");
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).expect("written");
    }

    fn list(&self) -> Ran {
        ran(brinell(&self.home, NO_ENGINE).args(["--list", "--only-mine", "--catalog", "mine"]))
    }

    /// What is wrong with it.
    fn said(&self) -> String {
        let ran = self.list();
        assert_eq!(ran.code, Some(2), "{ran:?}");
        ran.stderr
    }
}

#[test]
fn a_command_prints_them_in_the_folder_of_its_control() {
    let mine = Mine::printing("echo \"$*\" >>ran; cat kept/policy.txt");
    let ran = mine.list();
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!(fs::read_to_string(mine.path("ran")).expect("it ran"), "prod\n");
}

#[test]
fn a_command_that_prints_nothing_of_use_is_told_with_its_line() {
    let said = |script: &str| Mine::printing(script).said();
    insta::assert_snapshot!(said("echo 'no such overlay' >&2; exit 3"), @"
error: mine/manifests/controls/images/control.yaml:4:11: `./render prod` ended with exit status: 3: no such overlay
  4 | objects: {command: [./render, prod]}
    |           ^
  it is run in this folder, without a shell, and prints Kubernetes objects as YAML: `command: [kustomize, build, overlays/prod]`
");
    insta::assert_snapshot!(said("echo '{{ .Values.image }}'"), @"
error: mine/manifests/controls/images/control.yaml:4:11: `./render prod` prints no YAML: line 1: expected string scalar
  4 | objects: {command: [./render, prod]}
    |           ^
  it is run in this folder, without a shell, and prints Kubernetes objects as YAML: `command: [kustomize, build, overlays/prod]`
");
    insta::assert_snapshot!(said("echo '# nothing'"), @"
error: mine/manifests/controls/images/control.yaml:4:11: `./render prod` prints nothing
  4 | objects: {command: [./render, prod]}
    |           ^
  it is run in this folder, without a shell, and prints Kubernetes objects as YAML: `command: [kustomize, build, overlays/prod]`
");
    let missing = Mine::printing("");
    missing.change("./render", "brinell-has-no-such-program");
    insta::assert_snapshot!(missing.said(), @"
error: mine/manifests/controls/images/control.yaml:4:11: `brinell-has-no-such-program` could not be started: entity not found
  4 | objects: {command: [brinell-has-no-such-program, prod]}
    |           ^
  it is run in this folder, without a shell, and prints Kubernetes objects as YAML: `command: [kustomize, build, overlays/prod]`
");
    let empty = Mine::printing("");
    empty.change("[./render, prod]", "[]");
    insta::assert_snapshot!(empty.said(), @"
error: mine/manifests/controls/images/control.yaml:4:11: no command
  4 | objects: {command: []}
    |           ^
  it is run in this folder, without a shell, and prints Kubernetes objects as YAML: `command: [kustomize, build, overlays/prod]`
");
    let neither = Mine::printing("");
    neither.change("{command: [./render, prod]}", "{program: ./render}");
    insta::assert_snapshot!(neither.said(), @"
error: mine/manifests/controls/images/control.yaml:4:10: expected a list of files, or `command: [PROGRAM, ARGUMENT, …]`, which prints them
  4 | objects: {program: ./render}
    |          ^

mine/manifests/controls/images/kept/template.yaml:1:2: expected string scalar
  1 | {{ if .Values }}
    |  ^
");
}

#[test]
fn what_is_printed_is_checked_as_a_file_is() {
    let mine = Mine::printing("echo '# one\n---'; sed s/policyName/policy/ kept/policy.txt");
    insta::assert_snapshot!(mine.said(), @"
error: mine/manifests/controls/images/control.yaml: `./render prod`, document 2:27:11: Kubernetes has no field `policy` here
  27 |   policy: images.example.com
     |           ^
  did you mean policyName?
");
}

#[test]
fn a_weakening_leaves_out_single_objects() {
    let mine = Mine::printing("cat kept/policy.txt");
    let binding = "ValidatingAdmissionPolicyBinding/images";
    mine.change("delete: [command]", &format!("delete: [{binding}]"));
    assert_eq!(mine.list().code, Some(0));
    mine.change(
        &format!("delete: [{binding}]"),
        "delete: [ValidatingAdmissionPolicyBinding/image]",
    );
    insta::assert_snapshot!(mine.said(), @"
error: mine/manifests/controls/images/control.yaml:26:14: there is no object or file `ValidatingAdmissionPolicyBinding/image`
  26 |     delete: [ValidatingAdmissionPolicyBinding/image]
     |              ^
  did you mean ValidatingAdmissionPolicyBinding/images?
");
}

/// A control whose objects are a folder, of which the kind of one comes in the last file.
#[test]
fn a_folder_is_applied_in_an_order_in_which_it_can_be() {
    let folder = tempfile::tempdir().expect("a folder");
    for file in New::Control.files("images") {
        let path = folder.path().join(&file.place);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        let text = file.text.replace("objects: [policy.yaml]", "objects: [kept/, policy.yaml]");
        fs::write(path, text).expect("written");
    }
    let kept = folder.path().join("manifests/controls/images/kept");
    fs::create_dir(&kept).expect("made");
    let registry = "apiVersion: example.com/v1\nkind: Registry\nmetadata: {name: ours}\n";
    fs::write(kept.join("1.yaml"), registry).expect("written");
    let both = "apiVersion: v1\nkind: Namespace\nmetadata: {name: registries}\n---\n\
                apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
                metadata: {name: registries.example.com}\n---\n# nothing\n";
    fs::write(kept.join("2.yaml"), both).expect("written");
    let catalog = Catalog::load(Some(folder.path())).unwrap_or_else(|it| panic!("{it}"));
    let set_up = catalog.controls["images"].set_up(None).expect("whole");
    let names: Vec<String> = set_up.objects.iter().map(|it| identity(&it.object)).collect();
    let expected = [
        "Namespace/registries",
        "CustomResourceDefinition/registries.example.com",
        "Registry/ours",
        "ValidatingAdmissionPolicy/images.example.com",
        "ValidatingAdmissionPolicyBinding/images",
    ];
    assert_eq!(names, expected);
}
