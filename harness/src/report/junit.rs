//! JUnit XML, as Jenkins and GitLab read it: a suite per family, a case per scenario. Every text is made
//! [`visible`] first: the XML writer would drop control characters, and what stands behind some of them,
//! without a trace, and two that XML forbids it lets through.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::paint::Paint;
use super::{Format, block, proof};
use crate::model::{
    AttemptResult, LEFT_BEHIND, Mark, Outcome, Proof, Results, Role, STALE, ScenarioResult,
    SettledWaiver, Unmet, VACUOUS, Verdict, WAIVED, WeakeningResult,
};
use crate::text::cut;
use crate::text::visible;

/// The suite of what is no scenario.
const OURSELVES: &str = "brinell";

/// The class of what is no scenario.
const ABOUT_THE_RUN: &str = "brinell.run";

/// How many bytes of a message or a property are kept.
const LONGEST_LINE: usize = 2_000;

/// How many bytes of a text are kept. What is more is in the JSON report.
const LONGEST_TEXT: usize = 64 << 10;

/// JUnit XML.
pub(super) const FORMAT: Format = Format {
    name: "JUnit",
    word: "junit",
    endings: &["xml"],
    flag: Some("Write JUnit XML"),
    render,
};

fn render(results: &Results) -> io::Result<Vec<u8>> {
    let mut report = Report::new(OURSELVES);
    if let Some(summary) = &results.summary {
        report.set_time(summary.took);
    }
    for (position, run) in results.split().iter().enumerate() {
        let mut suites = suites(run);
        if let Some(merged) = results.runs.get(position) {
            suites.iter_mut().for_each(|suite| tell_apart(suite, &merged.label()));
        }
        report.add_test_suites(suites);
    }
    let mut document = Vec::new();
    report.serialize(&mut document).map_err(io::Error::other)?;
    Ok(document)
}

/// Names a suite and its cases by their run: others have suites and cases of the same names.
fn tell_apart(suite: &mut TestSuite, run: &str) {
    suite.name = line(&format!("{run}: {}", suite.name.as_str())).into();
    for case in &mut suite.test_cases {
        let family = case.classname.as_ref().map_or("", |class| class.as_str());
        let family = family.strip_prefix("brinell.").unwrap_or(family).to_owned();
        case.set_classname(format!("{}.{family}", class("brinell", run)));
    }
}

/// The suites of one run.
fn suites(results: &Results) -> Vec<TestSuite> {
    let mut suites = Vec::new();
    if !results.unmet.is_empty() {
        let cases = results.unmet.iter().map(unmet).collect();
        suites.push(suite("setup", cases, results));
    }
    let about: Vec<TestCase> = about_the_run(results).into_iter().chain(removal(results)).collect();
    if !about.is_empty() {
        suites.push(suite(OURSELVES, about, results));
    }
    if let Some(proof) = &results.proof {
        for (control, weakenings) in controls(proof) {
            let cases = weakenings.into_iter().map(weakening).collect();
            suites.push(suite(control, cases, results));
        }
        suites.push(suite(OURSELVES, exceptions(proof), results));
    }
    if results.waivers.iter().any(|it| it.state.is_bad()) {
        let bad = results.waivers.iter().filter(|it| it.state.is_bad());
        suites.push(suite("waivers", bad.map(bad_waiver).collect(), results));
    }
    for (family, scenarios) in families(results) {
        let cases = scenarios.into_iter().map(|result| case(result, results)).collect();
        suites.push(suite(family, cases, results));
    }
    suites
}

/// A case for a run that ended early or judged nothing: without it the file would look green, or empty.
fn about_the_run(results: &Results) -> Option<TestCase> {
    let (name, status) = match results.early_end() {
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
    case.set_classname(ABOUT_THE_RUN);
    case.set_time(results.summary.as_ref().map_or(Duration::ZERO, |summary| summary.took));
    Some(case)
}

/// A case for a run of which something may be there still.
fn removal(results: &Results) -> Option<TestCase> {
    let left = results.left_behind()?;
    let message = left.lines().next().unwrap_or_default();
    let status = unsuccessful(NonSuccessKind::Error, LEFT_BEHIND, message, left);
    let mut case = TestCase::new("removal", status);
    case.set_classname(ABOUT_THE_RUN);
    Some(case)
}

/// A case for a control that is not as the profile says.
fn unmet(unmet: &Unmet) -> TestCase {
    let failed = unsuccessful(NonSuccessKind::Failure, "unmet", &unmet.cause, &unmet.cause);
    let mut case = TestCase::new(line(&unmet.control), failed);
    case.set_classname("brinell.setup");
    case
}

/// A case for a waiver that somebody must change.
fn bad_waiver(waiver: &SettledWaiver) -> TestCase {
    let text = block::settled(waiver);
    let failed = unsuccessful(NonSuccessKind::Failure, waiver.state.label(), &text, &text);
    let mut case = TestCase::new(line(&waiver.entry.place), failed);
    case.set_classname("brinell.waivers");
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
            unsuccessful(NonSuccessKind::Failure, Mark::Collateral.label(), &collateral, &text)
        }
        Outcome::Caught => TestCaseStatus::success(),
        Outcome::Missed => match &result.deviation {
            Some(why) => skipped(why),
            None => unsuccessful(NonSuccessKind::Failure, result.outcome.label(), cause, &text),
        },
        Outcome::Wrong => unsuccessful(NonSuccessKind::Error, Mark::Wrong.label(), cause, &text),
        Outcome::Skipped => skipped(cause),
    };
    let mut case = TestCase::new(line(&result.name), status);
    case.set_classname(class("brinell.prove", &result.control)).set_time(result.took);
    case
}

/// A case for each scenario that catches something or nothing, and for each deviation that is stale.
fn exceptions(proof: &Proof) -> Vec<TestCase> {
    let scenario = |id: &str| {
        let vacuous = || proof.vacuous.iter().filter(|vacuous| vacuous.scenario == id);
        let blind: Vec<String> = vacuous()
            .filter(|it| it.deviation.is_none())
            .map(|it| format!("{} ({})", it.control, it.attack))
            .collect();
        let status = match blind.is_empty() {
            false => {
                let message = format!("it catches no weakening of {}", blind.join(", "));
                unsuccessful(NonSuccessKind::Failure, VACUOUS, &message, &message)
            }
            true => match vacuous().find_map(|it| it.deviation.as_deref()) {
                Some(why) => skipped(why),
                None if proof.notices(id) => TestCaseStatus::success(),
                None => skipped("what it is expected to notice was not tried"),
            },
        };
        (format!("{id} notices"), status)
    };
    let stale = |text: &String| {
        let status = unsuccessful(NonSuccessKind::Failure, STALE, text, text);
        (format!("deviation: {text}"), status)
    };
    let scenarios = proof.scenarios().into_iter().map(scenario);
    let cases = scenarios.chain(proof.stale.iter().map(stale)).map(|(name, status)| {
        let mut case = TestCase::new(line(&name), status);
        case.set_classname("brinell.prove");
        case
    });
    cases.collect()
}

fn suite(name: &str, cases: Vec<TestCase>, results: &Results) -> TestSuite {
    let mut suite = TestSuite::new(line(name));
    let time = cases.iter().filter_map(|case| case.time).sum();
    suite.set_time(time);
    if !results.started.is_empty() {
        suite.extra.insert("timestamp".into(), line(&results.started).into());
    }
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
    let mut case = TestCase::new(line(&result.id), status(result));
    case.set_classname(class("brinell", &result.family)).set_time(result.took);
    if let Some(file) = &result.file {
        case.extra.insert("file".into(), line(file).into());
    }
    let personas = result.attempts.iter().map(|attempt| attempt.persona.as_str());
    let audit_ids = result
        .attempts
        .iter()
        .filter_map(|attempt| attempt.evidence.as_ref()?.sent.audit_id.as_deref());
    let reviews = result.attempts.iter().filter(|attempt| attempt.role == Role::Review);
    case.add_properties(properties([
        // A case that passed has no text: that it was no attack shows here.
        ("reviewed", &once_each(reviews.map(|attempt| attempt.name.as_str()))),
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

/// Readers group cases by what is before the last dot of their class: a dot in a name would open a group of its own.
fn class(group: &str, name: &str) -> String {
    format!("{group}.{}", line(name).replace('.', "_"))
}

fn once_each<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    texts.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

/// Properties that say something.
fn properties<const N: usize>(pairs: [(&str, &String); N]) -> Vec<(String, String)> {
    let told = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    told.map(|(name, value)| (name.to_owned(), line(value))).collect()
}

fn status(result: &ScenarioResult) -> TestCaseStatus {
    let text = block::scenario(result, true, Paint::PLAIN);
    if result.is_waived() {
        return waived(result, &text);
    }
    match result.verdict {
        Verdict::Passed => TestCaseStatus::success(),
        Verdict::Skipped => skipped(&message(result)),
        Verdict::Inconclusive => {
            unsuccessful(NonSuccessKind::Error, result.verdict.label(), &message(result), &text)
        }
        Verdict::Failed => {
            unsuccessful(NonSuccessKind::Failure, &reasons(result), &message(result), &text)
        }
    }
}

/// A scenario that is waived: its case is skipped, with who answers for it and all that came.
fn waived(result: &ScenarioResult, text: &str) -> TestCaseStatus {
    let by = result.waived.iter().flat_map(|waived| &waived.by);
    let by: Vec<String> = by.map(|by| block::answered_for(&by.entry)).collect();
    let mut status = TestCaseStatus::skipped();
    let message = format!("{WAIVED}: {}; {}", by.join("; "), message(result));
    status.set_type(WAIVED).set_message(line(&message)).set_description(lines(text));
    status
}

/// What is wrong with the scenario as a whole, or with the worst of its attempts: the one that failed for the worst
/// reason, or else the first that has the scenario's verdict.
fn message(result: &ScenarioResult) -> String {
    if let Some(cause) = &result.cause {
        return cause.clone();
    }
    let is_it = |verdict| verdict == result.verdict;
    let reason = |attempt: &&AttemptResult| {
        let reasons = attempt.judgement.findings.iter().map(|finding| finding.reason);
        reasons.min().map_or((true, None), |worst| (false, Some(worst)))
    };
    let bad = result.attempts.iter().filter(|attempt| is_it(attempt.judgement.verdict));
    let worst = bad.min_by_key(reason);
    let Some(attempt) = worst else { return result.title.clone() };
    let judgement = &attempt.judgement;
    let outcome = format!("{}, {}", judgement.outcome, judgement.logged);
    let what = judgement.causes.first().unwrap_or(&outcome).trim_end_matches(", ");
    format!("{}: {what}", attempt.who())
}

/// Every reason, one word each: `bypassed unlogged`.
fn reasons(result: &ScenarioResult) -> String {
    let reasons = result.reasons().into_iter().map(|reason| reason.label().replace(' ', "-"));
    reasons.collect::<Vec<_>>().join(" ")
}

fn skipped(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    // A second time as text: GitLab and others show nothing else.
    status.set_message(line(message)).set_description(visible(&cut(message, LONGEST_TEXT)));
    status
}

/// One line of a bounded length.
fn line(text: &str) -> String {
    visible(&cut(text, LONGEST_LINE))
}

/// Several lines of a bounded length.
fn lines(text: &str) -> String {
    let lines: Vec<_> = cut(text, LONGEST_TEXT).lines().map(visible).collect();
    lines.join("\n")
}

/// `text` is several lines, each of them already visible or our own.
fn unsuccessful(kind: NonSuccessKind, class: &str, message: &str, text: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(class).set_message(line(message)).set_description(lines(text));
    status
}

#[cfg(test)]
mod tests;
