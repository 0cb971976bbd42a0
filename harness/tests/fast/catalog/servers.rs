//! What serves a control's webhooks where there are no nodes, and what its nodes are given.

use std::fs;

use brinell::catalog::New;

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

/// What is said of a first control with these lines.
fn said(lines: &str) -> (Option<i32>, String) {
    let home = Home::new();
    for file in New::Control.files("images") {
        let path = home.path("mine").join(&file.place);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        let objects = "objects: [policy.yaml]\n";
        let with = format!("objects: [policy.yaml, server.yaml]\n{lines}\n");
        fs::write(path, file.text.replace(objects, &with)).expect("written");
    }
    fs::write(home.path("mine/manifests/controls/images/server.yaml"), SERVER).expect("written");
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
error: mine/manifests/controls/images/control.yaml:7:16: something serves in its place already
  7 | - {deployment: labels/labels, services: [], by: {url: "https://127.0.0.1:1"}}
    |                ^
  name all its `services` at the first
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
