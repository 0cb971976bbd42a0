//! JUnit XML, as Jenkins and GitLab read it: a suite per family, a case per scenario. Every text is made
//! [`visible`] first: the XML writer would drop control characters, and what stands behind some of them,
//! without a trace, and two that XML forbids it lets through.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::paint::Paint;
use super::{Results, Unmet, block, proof, visible};
use crate::run::{Outcome, Proof, ScenarioResult, WeakeningResult};
use crate::verdict::Verdict;

/// The suite and class of what is no scenario.
const OURSELVES: &str = "brinell";

/// The document's bytes.
pub(super) fn render(results: &Results) -> io::Result<Vec<u8>> {
    let mut report = Report::new(OURSELVES);
    if let Some(summary) = &results.summary {
        report.set_time(summary.took);
    }
    if !results.unmet.is_empty() {
        let cases = results.unmet.iter().map(unmet).collect();
        report.add_test_suite(suite("setup", cases, results));
    }
    report
        .add_test_suites(about_the_run(results).map(|case| suite(OURSELVES, vec![case], results)));
    if let Some(proof) = &results.proof {
        for (control, weakenings) in controls(proof) {
            let cases = weakenings.into_iter().map(weakening).collect();
            report.add_test_suite(suite(control, cases, results));
        }
        report.add_test_suite(suite(OURSELVES, exceptions(proof), results));
    }
    for (family, scenarios) in families(results) {
        let cases = scenarios.into_iter().map(|result| case(result, results)).collect();
        report.add_test_suite(suite(family, cases, results));
    }
    let mut document = Vec::new();
    report.serialize(&mut document).map_err(io::Error::other)?;
    Ok(document)
}

/// A case for a run that ended early or judged nothing: without it the file would look green, or empty.
fn about_the_run(results: &Results) -> Option<TestCase> {
    let (name, status) = match &results.aborted {
        Some(error) => {
            let message = error.lines().next().unwrap_or_default();
            ("setup", unsuccessful(NonSuccessKind::Error, "setup", message, error))
        }
        None if results.proof.as_ref().is_some_and(|proof| proof.tried() == 0) => {
            ("selection", skipped("nothing was tried: no weakening can be told here"))
        }
        None if results.scenarios.is_empty() && results.proof.is_none() => {
            ("selection", skipped("nothing was judged: no scenario was selected"))
        }
        None => return None,
    };
    let mut case = TestCase::new(name, status);
    case.set_classname(OURSELVES);
    Some(case)
}

/// A case for a control that is not as the profile says.
fn unmet(unmet: &Unmet) -> TestCase {
    let failed = unsuccessful(NonSuccessKind::Failure, "unmet", &unmet.cause, &unmet.cause);
    let mut case = TestCase::new(visible(&unmet.control), failed);
    case.set_classname("setup");
    case
}

fn families(results: &Results) -> BTreeMap<&str, Vec<&ScenarioResult>> {
    let mut families = BTreeMap::<_, Vec<_>>::new();
    for result in &results.scenarios {
        families.entry(result.family.as_str()).or_default().push(result);
    }
    families
}

fn controls(proof: &Proof) -> BTreeMap<&str, Vec<&WeakeningResult>> {
    let mut controls = BTreeMap::<_, Vec<_>>::new();
    for result in &proof.weakenings {
        controls.entry(result.control.as_str()).or_default().push(result);
    }
    controls
}

/// A weakening is a case: caught passes.
fn weakening(result: &WeakeningResult) -> TestCase {
    let text = proof::weakening(result, true, Paint::PLAIN);
    let cause = result.cause.as_deref().unwrap_or(&result.why);
    let red: Vec<&str> = result.collateral().collect();
    let collateral = format!("turned red: {}", red.join(", "));
    let status = match result.outcome {
        _ if !red.is_empty() => {
            unsuccessful(NonSuccessKind::Failure, "collateral", &collateral, &text)
        }
        Outcome::Caught => TestCaseStatus::success(),
        Outcome::Missed => match &result.deviation {
            Some(why) => skipped(why),
            None => unsuccessful(NonSuccessKind::Failure, "missed", cause, &text),
        },
        Outcome::Wrong => unsuccessful(NonSuccessKind::Error, "wrong", cause, &text),
        Outcome::Skipped => skipped(cause),
    };
    let mut case = TestCase::new(visible(&result.name), status);
    case.set_classname(visible(&result.control)).set_time(result.took);
    case
}

/// A case for each scenario that catches something or nothing, and for each deviation that is stale.
fn exceptions(proof: &Proof) -> Vec<TestCase> {
    let scenario = |id: &str| {
        let vacuous = || proof.vacuous.iter().filter(|vacuous| vacuous.scenario == id);
        let status = match vacuous().find(|it| it.deviation.is_none()) {
            Some(vacuous) => {
                let message = format!("it catches no weakening of {}", vacuous.control);
                unsuccessful(NonSuccessKind::Failure, "vacuous", &message, &message)
            }
            None => match vacuous().find_map(|it| it.deviation.as_deref()) {
                Some(why) => skipped(why),
                None if proof.notices(id) => TestCaseStatus::success(),
                None => skipped("what it is expected to notice was not tried"),
            },
        };
        (format!("{id} notices"), status)
    };
    let stale = |text: &String| {
        let status = unsuccessful(NonSuccessKind::Failure, "stale", text, text);
        ("deviation".to_owned(), status)
    };
    let scenarios = proof.scenarios().into_iter().map(scenario);
    let cases = scenarios.chain(proof.stale.iter().map(stale)).map(|(name, status)| {
        let mut case = TestCase::new(visible(&name), status);
        case.set_classname("proof");
        case
    });
    cases.collect()
}

fn suite(name: &str, cases: Vec<TestCase>, results: &Results) -> TestSuite {
    let mut suite = TestSuite::new(visible(name));
    let time = cases.iter().filter_map(|case| case.time).sum();
    suite.set_time(time);
    suite.add_properties(properties([
        ("run", &results.run),
        ("kubernetes", &results.kubernetes),
        ("profile", &results.profile),
        ("cluster", &results.cluster),
    ]));
    suite.add_test_cases(cases);
    suite
}

fn case(result: &ScenarioResult, results: &Results) -> TestCase {
    let mut case = TestCase::new(visible(&result.id), status(result));
    case.set_classname(visible(&result.family)).set_time(result.took);
    case.extra.insert("file".into(), visible(&result.file).into());
    let personas = result.attempts.iter().map(|attempt| attempt.persona.as_str());
    let audit_ids = result
        .attempts
        .iter()
        .filter_map(|attempt| attempt.evidence.as_ref()?.sent.audit_id.as_deref());
    case.add_properties(properties([
        ("controls", &result.controls.join(", ")),
        ("tags", &result.tags.join(", ")),
        ("personas", &once_each(personas)),
        ("audit-ids", &once_each(audit_ids)),
        ("kubernetes", &results.kubernetes),
        ("profile", &results.profile),
        ("fix", &result.fix),
    ]));
    case
}

fn once_each<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    texts.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

/// Properties that say something.
fn properties<const N: usize>(pairs: [(&str, &String); N]) -> Vec<(String, String)> {
    let told = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    told.map(|(name, value)| (name.to_owned(), visible(value))).collect()
}

fn status(result: &ScenarioResult) -> TestCaseStatus {
    let text = block::scenario(result, true, Paint::PLAIN);
    match result.verdict {
        Verdict::Passed => TestCaseStatus::success(),
        Verdict::Skipped => skipped(&message(result)),
        Verdict::Inconclusive => {
            unsuccessful(NonSuccessKind::Error, "inconclusive", &message(result), &text)
        }
        Verdict::Failed => {
            unsuccessful(NonSuccessKind::Failure, &reasons(result), &message(result), &text)
        }
    }
}

/// What is wrong with the first attempt that has the scenario's verdict, or with the scenario as a whole.
fn message(result: &ScenarioResult) -> String {
    if let Some(cause) = &result.cause {
        return cause.clone();
    }
    let is_it = |verdict| verdict == result.verdict;
    let worst = result.attempts.iter().find(|attempt| is_it(attempt.judgement.verdict));
    let Some(attempt) = worst else { return result.title.clone() };
    let judgement = &attempt.judgement;
    let outcome = format!("{}, {}", judgement.outcome, judgement.logged);
    let what = judgement.causes.first().unwrap_or(&outcome).trim_end_matches(", ");
    format!("{}: {what}", block::who(attempt))
}

/// Every reason, one word each: `bypassed unlogged`.
fn reasons(result: &ScenarioResult) -> String {
    let reasons = result.reasons().into_iter().map(|reason| reason.label().replace(' ', "-"));
    reasons.collect::<Vec<_>>().join(" ")
}

fn skipped(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(visible(message));
    status
}

/// `text` is several lines, each of them already visible or our own.
fn unsuccessful(kind: NonSuccessKind, class: &str, message: &str, text: &str) -> TestCaseStatus {
    let lines: Vec<_> = text.lines().map(visible).collect();
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(class).set_message(visible(message)).set_description(lines.join("\n"));
    status
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use proptest::prelude::*;
    use roxmltree::{Document, Node};

    use super::*;
    use crate::report::sample;

    const HOSTILE: &str = "\u{1b}[31mred\u{1b}]0;title\u{7} \0 ]]> <![CDATA[ &amp; \u{fffe}\u{ffff} \u{9b}2J \u{85}\r\n\t\
                           \u{202e} \u{fffd} \"quoted\" 'too' <!-- --> &#0;";

    fn document(results: &Results) -> String {
        String::from_utf8(render(results).unwrap()).unwrap()
    }

    fn every_kind_of_run() -> Vec<Results> {
        let runs = [
            sample::passing(),
            sample::failing(),
            sample::mixed(),
            sample::aborted(),
            sample::unmet(),
            sample::nothing(),
            sample::hostile(HOSTILE),
            sample::proof(),
        ];
        let mut results: Vec<_> = runs.iter().map(|events| sample::results(events)).collect();
        results.push(Results::default());
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
        assert_eq!(green, [true, false, false, false, false, false, false, false, false]);
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
}
