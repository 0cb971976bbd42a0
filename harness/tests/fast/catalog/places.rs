//! Where a control is in the reader's files: what a run says of it, and that SARIF points there.

use std::fs;
use std::path::Path;

use brinell::model::{ControlPlace, Results};
use serde_json::{Value, json};

use super::SCENARIO;
use crate::command_line::{NO_ENGINE, brinell, ran};
use crate::support::{self, Home};

const PROFILE: &str = "\
title: Staging
controls:
  audit-policy: {}
  exec-guard:
    weakening: absent
added: {}
";

fn write(home: &Home, file: &str, text: &str) {
    let path = home.path(file);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("written");
}

/// What a run says of places that finds no engine, with this profile and what lies in the folder `hardening`.
fn places(home: &Home, profile: &str) -> Vec<String> {
    let mut brinell = brinell(home, NO_ENGINE);
    brinell.args(["--cluster", "kind", "--json", "results.json", "--profile", profile]);
    if home.path("hardening").exists() {
        brinell.args(["--catalog", "hardening"]);
    }
    let ran = ran(&mut brinell);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let results = support::results(&fs::read(home.path("results.json")).expect("written"));
    let shown = |it: &ControlPlace| {
        let line = it.line.map(|line| format!(":{line}"));
        format!("{} {}{}", it.control, it.file, line.unwrap_or_default())
    };
    results.places.iter().map(shown).collect()
}

/// A control of the reader's that nobody tests, with these lines in its `control.yaml`.
fn control(home: &Home, id: &str, lines: &str, files: &[(&str, &str)]) {
    let folder = format!("hardening/manifests/controls/{id}");
    let text = format!("title: Mine\nlook-at: there\n{lines}\n");
    write(home, &format!("{folder}/control.yaml"), &text);
    files.iter().for_each(|(file, text)| write(home, &format!("{folder}/{file}"), text));
}

const WEBHOOK: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: labels}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: labels}
webhooks:
- name: other.example.com
- name: labels.example.com
";

#[test]
fn a_control_is_where_the_reader_has_what_decides() {
    let home = Home::new();
    write(&home, "staging.yaml", PROFILE);
    let of_profile = ["audit-policy ./staging.yaml:3", "exec-guard ./staging.yaml:4"];
    assert_eq!(places(&home, "./staging.yaml"), of_profile);
    assert_eq!(places(&home, "hardened"), [""; 0]);

    let quota =
        "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: a, namespace: kube-public}\n";
    let two = format!("{quota}---\n{}", quota.replace("name: a", "name: b"));
    write(
        &home,
        "hardening/scenarios/own/labels.yaml",
        &SCENARIO.replace("by: exec-guard", "by: labels"),
    );
    let absent = "weaken: {absent: {why: none, delete: [all.yaml], expect: {labels: bypassed}}}";
    let decides = format!("decides: [{{webhook: labels.*}}]\nobjects: [all.yaml]\n{absent}");
    control(&home, "labels", &decides, &[("all.yaml", WEBHOOK)]);
    let nothing = "decides: []\nweaken: {}\nobjects";
    control(&home, "one", &format!("{nothing}: [a/quota.yaml]"), &[("a/quota.yaml", quota)]);
    control(&home, "two", &format!("{nothing}: [quota.yaml]"), &[("quota.yaml", &two)]);
    let own = [
        "labels hardening/manifests/controls/labels/all.yaml:10",
        "one hardening/manifests/controls/one/a/quota.yaml:2",
        "two hardening/manifests/controls/two/control.yaml",
    ];
    assert_eq!(places(&home, "./staging.yaml"), [&of_profile[..], &own].concat());
    assert_eq!(places(&home, "hardened"), own);
    // What weakens it stands in the profile.
    write(&home, "weak.yaml", &PROFILE.replace("added: {}", "added: {weakening: absent}"));
    assert_eq!(places(&home, "./weak.yaml")[2], "labels ./weak.yaml:6");
    assert_eq!(places(&home, "open")[0], own[0]);
}

/// The result of a run in which a scenario of two controls failed, and nothing of the third says why.
fn failed(home: &Home) -> Value {
    write(home, "staging.yaml", PROFILE);
    let _ = places(home, "./staging.yaml");
    let read = |path: &Path| -> Value {
        serde_json::from_slice(&fs::read(path).expect("there")).expect("JSON")
    };
    let before = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fast/results/before.json");
    let (mut before, results) = (read(&before), read(&home.path("results.json")));
    let finding =
        json!({"reason": "bypassed", "expected": "", "got": "", "who": "", "look-at": ""});
    before["scenarios"][0]["verdict"] = json!("failed");
    before["scenarios"][0]["attempts"][0]["line"] = json!(12);
    before["scenarios"][0]["attempts"][0]["judgement"]["findings"] = json!([finding]);
    before["places"] = results["places"].clone();
    before
}

/// Where the one alert of a result points, and what else it names.
fn pointed(home: &Home, results: &Value) -> Vec<String> {
    write(home, "failed.json", &results.to_string());
    let ran = ran(brinell(home, NO_ENGINE).args(["report", "failed.json", "--as", "sarif"]));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let sarif: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let result = &sarif["runs"][0]["results"][0];
    let all = ["locations", "relatedLocations"].map(|key| result[key].as_array().expect("a list"));
    let shown = |it: &Value| {
        let file = &it["physicalLocation"];
        format!("{}:{}", file["artifactLocation"]["uri"], file["region"]["startLine"])
    };
    all.into_iter().flatten().map(shown).collect()
}

#[test]
fn an_alert_points_at_it_also_after_a_merge_and_without_it_at_the_scenario() {
    let home = Home::new();
    let mut results = failed(&home);
    let scenario = "\"scenarios/exec/attach-sensitive-pod.yaml\":12";
    assert_eq!(pointed(&home, &results), ["\"staging.yaml\":4", scenario]);

    let other = fs::read(home.path("results.json")).expect("there");
    fs::write(home.path("other.json"), other).expect("written");
    let merge = ["merge", "failed.json", "other.json", "--json", "both.json"];
    assert_eq!(ran(brinell(&home, NO_ENGINE).args(merge)).code, Some(4));
    let both: Results = support::results(&fs::read(home.path("both.json")).expect("written"));
    assert_eq!((both.places.len(), both.split()[0].places.len()), (4, 2));
    let both: Value = serde_json::to_value(both).expect("JSON");
    assert_eq!(pointed(&home, &both), ["\"staging.yaml\":4", scenario]);

    results.as_object_mut().expect("a map").remove("places");
    assert_eq!(pointed(&home, &results), [scenario]);
    let compare = ["compare", "failed.json", "both.json"];
    let compared = ran(brinell(&home, NO_ENGINE).args(compare));
    assert_ne!(compared.code, Some(2), "{compared:?}");
}
