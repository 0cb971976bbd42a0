use std::path::Path;
use std::process::Command;

use junit_parser::{TestCase, TestStatus, TestSuites};
use proptest::prelude::*;
use roxmltree::{Document, Node};

use super::*;
use crate::model::{Reason, RunEvent, Vacuous};
use crate::report::sample;

const HOSTILE: &str = "\u{1b}[31mred\u{1b}]0;title\u{7} \0 ]]> <![CDATA[ &amp; \u{fffe}\u{ffff} \u{9b}2J \u{85}\r\n\t\
                       \u{202e} \u{fffd} \"quoted\" 'too' <!-- --> &#0;";

fn document(results: &Results) -> String {
    String::from_utf8(render(results).unwrap()).unwrap()
}

fn every_kind_of_run() -> Vec<Results> {
    let mut results = sample::every_kind(HOSTILE);
    results.push(Results::merged(sample::told_apart(&results)));
    results.push(Results::default());
    results.push(sample::left_behind());
    results
}

#[test]
fn a_control_that_does_not_act() {
    insta::assert_snapshot!(document(&sample::results(&sample::unmet())));
}

#[test]
fn failing_run() {
    insta::assert_snapshot!(document(&sample::results(&sample::failing())));
}

#[test]
fn every_verdict() {
    insta::assert_snapshot!(document(&sample::results(&sample::mixed())));
}

#[test]
fn aborted_run() {
    insta::assert_snapshot!(document(&sample::results(&sample::aborted())));
}

#[test]
fn only_a_run_that_judged_something_and_passed_is_green() {
    let is_green = |results: &Results| {
        let text = document(results);
        let xml = Document::parse(&text).unwrap();
        let cases: Vec<_> =
            xml.descendants().filter(|node| node.has_tag_name("testcase")).collect();
        let is_success = |case: &Node| {
            case.children().all(|child| !child.is_element() || child.has_tag_name("properties"))
        };
        assert!(!cases.is_empty());
        cases.iter().all(is_success)
    };
    let green: Vec<_> = every_kind_of_run().iter().map(is_green).collect();
    assert_eq!(
        green,
        [true, false, false, false, false, false, false, false, false, false, false, false]
    );
}

#[test]
fn counts_are_those_of_the_cases() {
    for results in every_kind_of_run() {
        let text = document(&results);
        let xml = Document::parse(&text).unwrap();
        let suites = xml
            .descendants()
            .filter(|node| node.has_tag_name("testsuites") || node.has_tag_name("testsuite"));
        for suite in suites {
            let count = |tag| suite.descendants().filter(|node| node.has_tag_name(tag)).count();
            let said = |name| suite.attribute(name).unwrap().parse::<usize>().unwrap();
            assert_eq!(said("tests"), count("testcase"));
            assert_eq!(said("failures"), count("failure"));
            assert_eq!(said("errors"), count("error"));
            assert_eq!(said("skipped"), count("skipped"));
        }
    }
}

/// What a reader of JUnit files makes of it.
fn read(results: &Results) -> TestSuites {
    junit_parser::from_reader(render(results).unwrap().as_slice()).unwrap()
}

#[test]
fn a_reader_finds_every_scenario_with_its_time_and_verdict() {
    let suites = read(&sample::results(&sample::mixed()));
    let kind = |status: &TestStatus| match status {
        TestStatus::Success => "passed".to_owned(),
        TestStatus::Failure(failure) => format!("failure {}", failure.failure_type),
        TestStatus::Error(error) => format!("error {}", error.error_type),
        TestStatus::Skipped(skipped) => format!("skipped {}", skipped.text == skipped.message),
    };
    let cases = suites.suites.iter().flat_map(|suite| &suite.cases).map(|case| {
        let class = case.classname.clone().unwrap();
        (class, case.original_name.as_str(), case.time, kind(&case.status), case.file.as_deref())
    });
    let mine = Some("mine/exec/exec-get-only-role.yaml");
    let expected = [
        ("brinell.exec", "exec-get-only-role", 0.6, "passed", mine),
        ("brinell.exec", "exec-interactive", 0.6, "failure bypassed unlogged", None),
        ("brinell.network", "egress-database", 0.0, "skipped true", None),
        ("brinell.secrets", "secret-list-cluster", 0.6, "error inconclusive", None),
    ];
    let expected = expected.map(|(class, name, time, status, file)| {
        (class.to_owned(), name, time, status.to_owned(), file)
    });
    assert_eq!(cases.collect::<Vec<_>>(), expected);
    assert_eq!((suites.tests, suites.failures, suites.errors, suites.skipped), (4, 1, 1, 1));
    let times: Vec<f64> = suites.suites.iter().map(|suite| suite.time).collect();
    assert_eq!(times, [1.2, 0.0, 0.6]);
    for suite in &suites.suites {
        assert_eq!(suite.timestamp.as_deref(), Some("2026-11-20T10:00:00Z"));
    }
}

#[test]
fn what_is_waived_is_skipped_with_who_answers_for_it_and_bad_waivers_fail() {
    let suites = read(&sample::results(&sample::waived()));
    assert_eq!((suites.tests, suites.failures, suites.errors, suites.skipped), (3, 2, 0, 1));
    let case = |suite: usize, case: usize| &suites.suites[suite].cases[case];
    let TestStatus::Skipped(skipped) = &case(1, 0).status else { panic!("{suites:?}") };
    let told =
        "waived: the guard comes with the next release (team-a, until 2026-12-31; expected.yaml:1)";
    assert!(skipped.message.starts_with(told), "{}", skipped.message);
    assert!(skipped.text.contains("BYPASSED, 3 attempts"), "{}", skipped.text);
    for (position, place, kind) in
        [(0, "expected.yaml:7", "expired"), (1, "expected.yaml:13", "stale")]
    {
        assert_eq!(case(0, position).original_name, place);
        assert_eq!(case(0, position).status.failure_as_ref().failure_type, kind);
    }
}

#[test]
fn what_could_not_be_set_up_has_its_time() {
    let suites = read(&sample::results(&sample::aborted()));
    let case = &suites.suites[0].cases[0];
    assert_eq!(case.classname.as_deref(), Some("brinell.run"));
    assert_eq!((case.original_name.as_str(), case.time), ("setup", 20.312));
}

#[test]
fn what_a_run_left_behind_is_an_error() {
    let suites = read(&sample::left_behind());
    let case = suites.suites.iter().flat_map(|suite| &suite.cases);
    let case = case.filter(|case| case.original_name == "removal").collect::<Vec<_>>();
    let [case] = case.as_slice() else { panic!("{suites:?}") };
    let TestStatus::Error(error) = &case.status else { panic!("{case:?}") };
    assert_eq!(error.error_type, "left behind");
    assert_eq!(error.message, "LEFT BEHIND: a cluster");
    assert!(error.text.contains("brinell sweep k7f3"), "{}", error.text);
}

#[test]
fn no_two_cases_have_one_name() {
    for results in
        [sample::mixed(), sample::waived(), sample::proof()].map(|events| sample::results(&events))
    {
        let suites = read(&results).suites;
        let cases: Vec<_> = suites.iter().flat_map(|suite| &suite.cases).collect();
        let name = |case: &&TestCase| (case.classname.clone(), case.original_name.clone());
        let names: BTreeSet<_> = cases.iter().map(name).collect();
        assert_eq!(names.len(), cases.len());
    }
}

#[test]
fn a_scenario_is_vacuous_for_every_control_that_it_catches_nothing_of() {
    let mut results = sample::results(&sample::proof());
    let proof = results.proof.as_mut().unwrap();
    let again = Vacuous { control: "audit-policy".to_owned(), ..proof.vacuous[0].clone() };
    proof.vacuous.push(again);
    let suites = read(&results).suites;
    let cases = suites.iter().flat_map(|suite| &suite.cases);
    let messages: Vec<_> = cases
        .filter(|case| case.original_name == "attach-sensitive-pod notices")
        .map(|case| case.status.failure_as_ref().message.as_str())
        .collect();
    assert_eq!(
        messages,
        ["it catches no weakening of exec-guard (reading along), audit-policy (reading along)"]
    );
}

#[test]
fn the_message_is_that_of_the_worst_attempt() {
    let mut results = sample::results(&sample::failing());
    // The first attempt is only not logged; the ones after it were let in.
    let attempt = &mut results.scenarios[0].attempts[0];
    attempt.judgement.findings.retain(|finding| finding.reason == Reason::Unlogged);
    attempt.judgement.outcome = "blocked by exec-guard (webhook, 403)".to_owned();
    let suites = read(&results).suites;
    let failure = suites[0].cases[0].status.failure_as_ref();
    assert_eq!(failure.message, "a shell, operator, POST SPDY: BYPASSED: let in (101), logged");
}

#[test]
fn a_dot_in_a_family_opens_no_group_of_its_own() {
    let mut results = sample::results(&sample::passing());
    results.scenarios[0].family = "v1.2".to_owned();
    assert_eq!(read(&results).suites[0].cases[0].classname.as_deref(), Some("brinell.v1_2"));
}

#[test]
fn huge_texts_are_cut() {
    let huge = "]]>\u{1b}[31m".repeat(1 << 14);
    let hostile = render(&sample::results(&sample::hostile(&huge))).unwrap();
    assert!(hostile.len() < 400 << 10, "{}", hostile.len());
    let error = RunEvent::Aborted { error: "a line\n".repeat(1 << 16) };
    let aborted = render(&sample::results(&[error])).unwrap();
    assert!(aborted.len() < 100 << 10, "{}", aborted.len());
}

/// The schema is checked by xmllint (Debian: libxml2-utils), which a CI machine must have.
#[test]
fn files_are_valid_by_the_schema() {
    if Command::new("xmllint").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "xmllint is missing: install libxml2-utils");
        println!("not checked: xmllint is missing (Debian: libxml2-utils)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for results in every_kind_of_run() {
        let path = folder.path().join("junit.xml");
        std::fs::write(&path, render(&results).unwrap()).unwrap();
        assert_valid(&path);
    }
}

fn assert_valid(path: &Path) {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/junit.xsd");
    let mut xmllint = Command::new("xmllint");
    xmllint.args(["--noout", "--nonet", "--schema"]).arg(schema).arg(path);
    let output = xmllint.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Text as a hostile pod may send it: anything, with what hurts XML and terminals often among it.
fn hostile() -> impl Strategy<Value = String> {
    let bytes = prop::collection::vec(any::<u8>(), 0..40)
        .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let harm = prop::sample::select(vec![
        "\u{1b}",
        "\u{1b}[",
        "\u{1b}]",
        "\0",
        "]]>",
        "<![CDATA[",
        "\u{fffe}",
        "\u{ffff}",
        "\u{9b}",
        "\r",
        "\n",
        "\t",
        " ",
        "&",
        "<",
        "\"",
        "&#0;",
        "\u{202e}",
        "\u{85}",
        "\u{2028}",
    ])
    .prop_map(str::to_owned);
    let parts = prop_oneof![any::<String>(), bytes, harm];
    prop::collection::vec(parts, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_text_comes_through(text in hostile()) {
        let results = sample::results(&sample::hostile(&text));
        let document = document(&results);
        let xml = Document::parse(&document).unwrap();
        let find = |tag| xml.descendants().find(|node| node.has_tag_name(tag)).unwrap();
        let property = |name| {
            let is_it = |node: &Node| node.attribute("name") == Some(name);
            let found = find("testcase").descendants().find(is_it);
            found.and_then(|node| node.attribute("value")).unwrap_or_default()
        };
        prop_assert_eq!(property("fix"), visible(&text));
        prop_assert_eq!(find("testcase").attribute("name").unwrap(), visible(&text));
        prop_assert_eq!(find("skipped").attribute("message").unwrap(), visible(&text));
        let body = block::scenario(&results.scenarios[0], true, Paint::PLAIN);
        prop_assert_eq!(find("failure").text().unwrap(), body.trim_end());
    }
}
