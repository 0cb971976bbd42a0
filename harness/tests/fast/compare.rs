//! Results beside each other: two that runs on embedded clusters wrote, one after the other, with nothing changed
//! between them.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::command_line::{NO_ENGINE, brinell, ran};
use crate::support::{self, Home, Ran};

/// What a run of a few scenarios wrote, and what the same run wrote a little later.
const RECORDED: [&str; 2] = ["before.json", "after.json"];

/// A home with both results.
fn home() -> Home {
    let home = Home::new();
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fast/results");
    for file in RECORDED {
        fs::copy(recorded.join(file), home.path(file)).expect("copied");
    }
    home
}

/// Writes `after.json` with something else in it.
fn write(home: &Home, file: &str, change: impl Fn(&mut Value)) {
    let text = fs::read(home.path("after.json")).expect("there");
    let mut results: Value = serde_json::from_slice(&text).expect("JSON");
    change(&mut results);
    fs::write(home.path(file), results.to_string()).expect("written");
}

fn compare(home: &Home, after: &str) -> Ran {
    ran(brinell(home, NO_ENGINE).args(["compare", "before.json", after]))
}

#[test]
fn what_was_recorded_is_as_the_schema_says() {
    let home = home();
    for file in RECORDED {
        let results = support::results(&fs::read(home.path(file)).expect("there"));
        assert!(results.aborted.is_none() && results.scenarios.len() == 3);
    }
}

#[test]
fn two_runs_of_the_same_show_no_difference() {
    let compared = compare(&home(), "after.json");
    assert_eq!(compared.code, Some(0), "{compared:?}");
    let words = "3 scenarios in both, 0 new, 0 gone: 0 worse, 0 better, 0 other, 3 the same;";
    assert!(compared.stdout.contains(words), "{}", compared.stdout);
}

#[test]
fn the_exit_code_says_what_came_of_it() {
    let home = home();
    write(&home, "worse.json", |it| it["scenarios"][0]["verdict"] = json!("inconclusive"));
    write(&home, "other.json", |it| it["kubernetes"] = json!("1.99"));
    write(&home, "newer.json", |it| it["format"] = json!(9));
    write(&home, "strange.json", |it| it["scenarios"] = json!([]));
    write(&home, "proof.json", |it| {
        it["proof"] = json!({"weakenings": [], "vacuous": [], "stale": []})
    });
    fs::write(home.path("text.json"), "no JSON").expect("written");
    for (after, code, words) in [
        ("worse.json", 1, "1 worse"),
        ("other.json", 0, "beware    Kubernetes ("),
        ("newer.json", 0, "only verdicts are compared"),
        ("strange.json", 1, "0 scenarios in both, 0 new, 3 gone: 3 worse"),
        ("text.json", 2, "text.json: it is no JSON"),
        ("none.json", 2, "none.json: cannot be read"),
        ("proof.json", 2, "proof.json: it is a proof"),
    ] {
        let compared = compare(&home, after);
        assert_eq!(compared.code, Some(code), "{after}: {compared:?}");
        let told = format!("{}{}", compared.stdout, compared.stderr);
        assert!(told.contains(words), "{after}: {told}");
    }
    let nothing = ran(brinell(&home, NO_ENGINE).args(["compare", "strange.json", "strange.json"]));
    assert_eq!(nothing.code, Some(3), "{nothing:?}");
}

#[test]
fn a_trend_reads_a_folder_and_leaves_out_what_is_no_result() {
    let home = home();
    let trend = |arguments: &[&str]| ran(brinell(&home, NO_ENGINE).arg("trend").args(arguments));
    write(&home, "worse.json", |it| {
        it["run"] = json!("ffffff");
        it["started"] = json!("2099-01-01T03:00:00Z");
        it["scenarios"][0]["verdict"] = json!("failed");
    });
    fs::write(home.path("text.json"), "no JSON").expect("written");
    let told = trend(&["."]);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.stdout.contains(": 3 runs from "), "{}", told.stdout);
    assert!(
        told.stdout.contains("passed → failed at 2099-01-01T03:00:00Z (run ffffff)"),
        "{told:?}"
    );
    assert!(told.stderr.contains("text.json: it is no JSON"), "{told:?}");
    assert_eq!(trend(&["text.json"]).code, Some(2));
    assert_eq!(trend(&["tmp"]).code, Some(3));
}
