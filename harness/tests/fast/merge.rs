//! Results of several jobs as one: no case is lost, none is there twice.

use std::collections::BTreeSet;
use std::fs;

use brinell::model::Results;
use serde_json::{Value, json};

use crate::command_line::{NO_ENGINE, bare_profile, brinell, ran};
use crate::support::{self, Home, Ran};

/// A home with the results of three runs: one in which everything was skipped, one on another cluster in which a scenario
/// failed, and one that ended early.
fn home() -> Home {
    let home = Home::new();
    bare_profile(&home);
    let arguments = ["--cluster", "embedded", "--profile", "./bare.yaml", "--json", "a.json"];
    let skipped = ran(brinell(&home, NO_ENGINE).args(arguments));
    assert_eq!(skipped.code, Some(3), "{skipped:?}");
    write(&home, "b.json", |results| {
        results["run"] = json!("b");
        results["cluster"] = json!("staging (named)");
        results["scenarios"][0]["verdict"] = json!("failed");
        results["summary"]["failed"] = json!(1);
    });
    write(&home, "c.json", |results| {
        results["run"] = json!("c");
        results["aborted"] = json!("the cluster is gone");
    });
    home
}

/// Writes what `a.json` holds with something else in it.
fn write(home: &Home, file: &str, change: impl Fn(&mut Value)) {
    let text = fs::read(home.path("a.json")).expect("there");
    let mut results: Value = serde_json::from_slice(&text).expect("JSON");
    change(&mut results);
    fs::write(home.path(file), results.to_string()).expect("written");
}

fn merge(home: &Home, arguments: &[&str]) -> Ran {
    let words = arguments.iter().copied();
    ran(brinell(home, NO_ENGINE).arg("merge").args(words))
}

fn results(home: &Home, file: &str) -> Results {
    support::results(&fs::read(home.path(file)).expect("written"))
}

#[test]
fn no_case_is_lost_and_each_is_told_by_its_run() {
    let home = home();
    let merged = merge(&home, &["a.json", "b.json", "--json", "m.json", "--junit", "m.xml"]);
    assert_eq!(merged.code, Some(1), "{merged:?}");
    assert!(
        merged.stdout.contains("Kubernetes 1.36 on staging (named), profile bare"),
        "{merged:?}"
    );
    let one = results(&home, "a.json");
    let both = results(&home, "m.json");
    let ids: BTreeSet<_> =
        both.scenarios.iter().map(|it| (it.run.clone(), it.id.clone())).collect();
    assert_eq!(ids.len(), 2 * one.scenarios.len());
    assert_eq!(both.scenarios.len(), ids.len());
    let junit = fs::read(home.path("m.xml")).expect("written");
    let suites = junit_parser::from_reader(junit.as_slice()).expect("JUnit").suites;
    let cases = suites.iter().flat_map(|suite| &suite.cases);
    let names: BTreeSet<_> =
        cases.clone().map(|it| (it.classname.clone(), it.original_name.clone())).collect();
    assert_eq!((names.len(), cases.count()), (ids.len(), ids.len()));
    let is_of = |run: &str| suites.iter().filter(|it| it.name.starts_with(run)).count();
    let embedded = format!("embedded bare {}: ", one.run);
    assert_eq!(is_of("staging bare b: "), is_of(&embedded));
    assert_eq!(is_of("staging bare b: ") + is_of(&embedded), suites.len());
}

#[test]
fn a_run_that_is_there_twice_counts_once() {
    let home = home();
    let files = ["a.json", "b.json", "a.json", "--json", "m.json"];
    assert_eq!(merge(&home, &files).code, Some(1));
    assert_eq!(merge(&home, &["m.json", "b.json", "--json", "again.json"]).code, Some(1));
    let read = |file| fs::read_to_string(home.path(file)).expect("written");
    assert_eq!(read("again.json"), read("m.json"));
    assert_eq!(results(&home, "m.json").runs.len(), 2);
}

#[test]
fn the_worst_of_the_runs_decides() {
    let home = home();
    for (files, code) in
        [(&["a.json"][..], 3), (&["a.json", "c.json"], 4), (&["c.json", "b.json"], 1)]
    {
        let merged = merge(&home, files);
        assert_eq!(merged.code, Some(code), "{files:?}: {merged:?}");
    }
    assert!(merge(&home, &["a.json", "c.json"]).stdout.contains("ABORTED: the cluster is gone"));
}

/// A job that broke has left no results: it is told as a run that did not begin, and no other is lost with it.
#[test]
fn a_file_without_results_is_a_run_that_did_not_begin() {
    let home = home();
    fs::write(home.path("text.json"), "no JSON").expect("written");
    write(&home, "newer.json", |results| results["format"] = json!(9));
    for (file, words) in [
        ("none.json", "none.json: cannot be read"),
        ("text.json", "text.json: it is no JSON"),
        ("newer.json", "newer.json: its format is 9"),
    ] {
        let merged = merge(&home, &["a.json", file, "--json", "m.json", "--junit", "m.xml"]);
        assert_eq!(merged.code, Some(4), "{file}: {merged:?}");
        assert!(merged.stdout.contains(&format!("run {file}\n  ABORTED: {words}")), "{merged:?}");
        let both = results(&home, "m.json");
        assert_eq!(both.scenarios.len(), results(&home, "a.json").scenarios.len());
        assert!(both.runs.iter().any(|run| run.aborted.iter().any(|why| why.contains(words))));
        let junit = fs::read_to_string(home.path("m.xml")).expect("written");
        assert!(junit.contains(words), "{junit}");
    }
}

#[test]
fn what_cannot_be_merged_is_named_and_the_reports_say_so() {
    let home = home();
    write(&home, "changed.json", |results| results["profile"] = json!("another"));
    write(&home, "proof.json", |results| {
        results["proof"] = json!({"weakenings": [], "vacuous": [], "stale": []});
    });
    for (file, words) in [
        ("changed.json", "a.json and changed.json both hold run"),
        ("proof.json", "proof.json: it is a proof"),
    ] {
        let merged = merge(&home, &["a.json", file, "--json", "m.json"]);
        assert_eq!(merged.code, Some(2), "{file}: {merged:?}");
        assert!(merged.stderr.contains(words), "{file}: {}", merged.stderr);
        let told = results(&home, "m.json").aborted.expect("aborted");
        assert!(told.contains(words), "{told}");
    }
}

/// A merge that fails would leave nothing of it, and one that ends in the middle neither.
#[test]
fn what_is_merged_is_never_written() {
    let home = home();
    let before = fs::read(home.path("a.json")).expect("there");
    for arguments in [
        &["a.json", "b.json", "--json", "a.json"][..],
        &["a.json", "b.json", "--json", "./a.json"],
        &["a.json", "--json", "a.json", "--no-such-flag"],
    ] {
        let merged = merge(&home, arguments);
        assert_eq!(merged.code, Some(2), "{arguments:?}: {merged:?}");
        assert_eq!(fs::read(home.path("a.json")).expect("there"), before, "{arguments:?}");
    }
    let words = "--json names a file that is read: write the report to another one";
    // One of yesterday would be taken for this one's.
    fs::write(home.path("junit.xml"), "an old report").expect("written");
    let merged = merge(&home, &["a.json", "--json", "a.json", "--junit", "junit.xml"]);
    assert!(merged.stderr.contains(words), "{merged:?}");
    let junit = fs::read_to_string(home.path("junit.xml")).expect("there");
    assert!(junit.contains(words), "{junit}");
}

/// Two jobs that never began may both call their file alike: what each said is still told.
#[test]
fn jobs_that_never_began_stay_apart_although_they_call_their_files_alike() {
    let home = home();
    for place in ["one", "other"] {
        fs::create_dir(home.path(place)).expect("made");
        let file = format!("{place}/results.json");
        let refused = ran(brinell(&home, NO_ENGINE).args(["--json", &file, "--no-such-flag"]));
        assert_eq!(refused.code, Some(2), "{refused:?}");
        let mut merge = brinell(&home, NO_ENGINE);
        merge.current_dir(home.path(place)).args(["merge", "results.json", "--json", "m.json"]);
        assert_eq!(ran(&mut merge).code, Some(4));
    }
    let files = ["one/m.json", "other/m.json", "one/m.json", "--json", "all.json"];
    assert_eq!(merge(&home, &files).code, Some(4));
    let runs = results(&home, "all.json").runs;
    let names: Vec<&str> = runs.iter().map(|run| run.run.as_str()).collect();
    assert_eq!(names, ["one/m.json: results.json", "other/m.json: results.json"]);
}
