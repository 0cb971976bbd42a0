//! What serves a control's webhooks where there are no nodes, and what its nodes are given.

use std::fs;

use brinell::catalog::{Catalog, New};
use brinell::cluster::ClusterType;

use crate::command_line::{NO_ENGINE, brinell, ran};
use crate::support::Home;

const SERVER: &str = "\
---
apiVersion: v1
kind: Service
metadata: {name: labels, namespace: labels}
spec: {ports: [{port: 443}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: labels, namespace: labels}
spec:
  selector: {matchLabels: {app: labels}}
  template: {metadata: {labels: {app: labels}}, spec: {containers: [{name: labels, image: labels}]}}
";

/// A home with a first control with these lines.
fn home(lines: &str) -> Home {
    let home = Home::new();
    for file in New::Control.files("images") {
        let path = home.path("mine").join(&file.place);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        let objects = "objects: [policy.yaml]\n";
        let with = format!("objects: [policy.yaml, server.yaml]\n{lines}\n");
        fs::write(path, file.text.replace(objects, &with)).expect("written");
    }
    fs::write(home.path("mine/manifests/controls/images/server.yaml"), SERVER).expect("written");
    home
}

/// What is said of it.
fn said(lines: &str) -> (Option<i32>, String) {
    let home = home(lines);
    let ran = ran(brinell(&home, NO_ENGINE).args(["--list", "--only-mine", "--catalog", "mine"]));
    (ran.code, ran.stderr)
}

fn served(by: &str) -> (Option<i32>, String) {
    said(&format!("servers: [{{deployment: labels/labels, services: [labels/labels], by: {by}}}]"))
}

#[test]
fn a_command_and_a_url_of_this_machine_serve() {
    for by in [
        "{command: [./labels, --port, \"${port}\", --certificates, \"${certificates}\"]}",
        "{url: \"https://127.0.0.1:8443\"}",
        "{url: \"https://localhost:8443/\"}",
    ] {
        assert_eq!(served(by), (Some(0), String::new()), "{by}");
    }
    assert_eq!(said("images: [registry.example.com/labels:1]"), (Some(0), String::new()));
}

#[test]
fn what_cannot_serve_is_told_at_its_place() {
    let wrong = |(code, words): (Option<i32>, String)| {
        assert_eq!(code, Some(2), "{words}");
        words
    };
    let nowhere = said(
        "servers:\n- {deployment: labels/label, services: [label/labels], by: {url: \"https://127.0.0.1:1\"}}",
    );
    insta::assert_snapshot!(wrong(nowhere), @r#"
error: mine/manifests/controls/images/control.yaml:6:16: there is no Deployment `labels/label`
  6 | - {deployment: labels/label, services: [label/labels], by: {url: "https://127.0.0.1:1"}}
    |                ^
  did you mean labels/labels?

mine/manifests/controls/images/control.yaml:6:41: there is no Service `label/labels`
  6 | - {deployment: labels/label, services: [label/labels], by: {url: "https://127.0.0.1:1"}}
    |                                         ^
  did you mean labels/labels?
"#);
    insta::assert_snapshot!(wrong(served("{command: [./labels, \"${portal}\", \"${cert}\"]}")), @r#"
error: mine/manifests/controls/images/control.yaml:5:71: there is no `${cert}` in a command
  5 | t: labels/labels, services: [labels/labels], by: {command: [./labels, "${portal}", "${cert}"]}}]
    |                                                   ^
  a command has ${port} and ${certificates}

mine/manifests/controls/images/control.yaml:5:71: it is not told where to listen
  5 | t: labels/labels, services: [labels/labels], by: {command: [./labels, "${portal}", "${cert}"]}}]
    |                                                   ^
  it must listen on 127.0.0.1 at the port that it is told: `[./guard, --port, "${port}"]`

mine/manifests/controls/images/control.yaml:5:92: nothing is known as `${portal}`
  5 | vices: [labels/labels], by: {command: [./labels, "${portal}", "${cert}"]}}]
    |                                                   ^
  did you mean port?
"#);
    let twice = "- {deployment: labels/labels, services: [], by: {url: \"https://127.0.0.1:1\"}}\n";
    insta::assert_snapshot!(wrong(said(&format!("servers:\n{twice}{twice}"))), @r#"
error: mine/manifests/controls/images/control.yaml:7:16: something serves for Deployment labels/labels already
  7 | - {deployment: labels/labels, services: [], by: {url: "https://127.0.0.1:1"}}
    |                ^
  one thing serves in one place: name the Deployment once, with all its `services`
"#);
    for url in [
        "http://127.0.0.1:8443",
        "https://labels.example.com:8443",
        "https://127.0.0.1",
        "https://127.0.0.1:8443/labels",
        "https://user@127.0.0.1.example.com:8443",
        "8443",
    ] {
        let words = wrong(served(&format!("{{url: {url:?}}}")));
        assert!(
            words.contains("control.yaml:5:") && words.contains("nothing of this is called"),
            "{url}: {words}"
        );
    }
    insta::assert_snapshot!(wrong(said("images: [--name=another, \"\"]")), @r#"
error: mine/manifests/controls/images/control.yaml:5:10: this is no image's name
  5 | images: [--name=another, ""]
    |          ^
  an image as the engine names it: `registry.example/guard:1.4`

mine/manifests/controls/images/control.yaml:5:26: this is no image's name
  5 | images: [--name=another, ""]
    |                          ^
  an image as the engine names it: `registry.example/guard:1.4`
"#);
}

#[test]
fn what_a_server_is_told_stands_nowhere_else() {
    let by = "by: {command: [./labels, \"${port}\", \"${certificates}\"]}";
    let servers = format!("servers: [{{deployment: labels/labels, services: [], {by}}}]");
    let (code, words) = said(&format!("images: [labels, \"labels:${{port}}\"]\n{servers}"));
    assert_eq!(code, Some(2), "{words}");
    insta::assert_snapshot!(words, @r#"
error: mine/manifests/controls/images/control.yaml:5:18: there is no `${port}` here
  5 | images: [labels, "labels:${port}"]
    |                  ^
  it is what the command of a server is told: `servers: [{by: {command: […]}}]`
"#);
}

#[test]
fn two_controls_do_not_serve_in_one_place() {
    let served = |deployment: &str, services: &str| {
        let by = "by: {url: \"https://127.0.0.1:1\"}";
        format!("servers: [{{deployment: {deployment}, services: {services}, {by}}}]\n")
    };
    let home = home(&served("labels/labels", "[labels/labels]"));
    let said = |lines: &str| {
        let folder = home.path("mine/manifests/controls/another");
        fs::create_dir_all(&folder).expect("made");
        let another = SERVER.replace("metadata: {name: labels", "metadata: {name: other");
        fs::write(folder.join("server.yaml"), format!("{SERVER}{another}")).expect("written");
        let rest =
            "title: Another\nlook-at: there\ndecides: []\nweaken: {}\nobjects: [server.yaml]";
        fs::write(folder.join("control.yaml"), format!("{rest}\n{lines}")).expect("written");
        let plan = ["plan", "--cluster", "embedded", "--catalog", "mine"];
        let ran = ran(brinell(&home, NO_ENGINE).args(plan));
        (ran.code, ran.stderr)
    };
    assert_eq!(said(&served("labels/other", "[labels/other]")), (Some(0), String::new()));
    for (place, lines) in [
        ("Deployment labels/labels", served("labels/labels", "[labels/other]")),
        ("Service labels/labels", served("labels/other", "[labels/labels]")),
    ] {
        let (code, words) = said(&lines);
        assert_eq!(code, Some(2), "{words}");
        let expected = format!(
            "`another` (mine/manifests/controls/another/control.yaml:6) and `images` \
             (mine/manifests/controls/images/control.yaml:5) both set what serves for {place}"
        );
        assert!(words.contains(&expected), "{words}");
    }
}

const GIVEN: &str = "\
---
apiVersion: v1
kind: ConfigMap
metadata: {name: rules, namespace: labels}
data: {strict: 'yes'}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: notes, namespace: labels}
data: {strict: 'yes'}
";

const WEAKENINGS: &str = "  arguments: {why: a, patch: {Deployment/labels/labels: [{op: add, path: /spec/paused, value: true}]}, expect: {images: bypassed}}
  rules: {why: a, patch: {ConfigMap/labels/rules: [{op: replace, path: /data/strict, value: 'no'}]}, expect: {images: bypassed}}
  no-rules: {why: a, delete: [ConfigMap/labels/rules], expect: {images: bypassed}}
  notes: {why: a, patch: {ConfigMap/labels/notes: [{op: replace, path: /data/strict, value: 'no'}]}, expect: {images: bypassed}}
  none: {why: a, patch: {Deployment/labels/labels: [{op: add, path: /spec/replicas, value: 0}]}, expect: {images: bypassed}}
  gone: {why: a, delete: [server.yaml], expect: {images: bypassed}}
";

#[test]
fn what_a_weakening_changes_of_the_pods_is_not_seen_where_none_runs() {
    let home = home(
        "servers: [{deployment: labels/labels, services: [], by: {url: \"https://127.0.0.1:1\"}}]",
    );
    let folder = home.path("mine/manifests/controls/images");
    let mounted = "volumes: [{name: rules, configMap: {name: rules}}], containers:";
    let server = format!("{}{GIVEN}", SERVER.replace("containers:", mounted));
    fs::write(folder.join("server.yaml"), server).expect("written");
    let control = fs::read_to_string(folder.join("control.yaml")).expect("there");
    fs::write(folder.join("control.yaml"), format!("{control}{WEAKENINGS}")).expect("written");
    let mine = home.path("mine");
    let catalog = Catalog::load([mine.as_path()]).unwrap_or_else(|problems| panic!("{problems}"));
    let profile = catalog.profile("hardened").expect("ours");
    let planned = profile.controls.iter().find(|it| it.control.id == "images").expect("added");
    let changed = |name: &str, cluster: ClusterType| {
        let weakened = planned.weakenings.iter().find(|it| it.name == name).expect(name);
        planned.changes_what_is_served(weakened, &cluster.into()).unwrap_or_default()
    };
    let rules = "ConfigMap/labels/rules";
    let expected = [
        ("arguments", "Deployment/labels/labels"),
        ("rules", rules),
        ("no-rules", rules),
        ("notes", ""),
        ("none", ""),
        ("gone", ""),
    ];
    for (name, object) in expected {
        assert_eq!(changed(name, ClusterType::Embedded), object, "{name}");
        assert_eq!(changed(name, ClusterType::Kind), "", "{name}");
    }
}
