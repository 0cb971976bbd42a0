//! SARIF 2.1.0, for code scanning: a rule for each scenario, and a result for each reason for which one failed. What was not
//! tried is told of the run, because a result that is not there is taken for one that is mended.

use std::io;

use serde_json::{Value, json};

use super::{Format, block};
use crate::model::{AttemptResult, Finding, Reason, Results, ScenarioResult, Verdict};
use crate::text::visible;

/// SARIF.
pub(super) const FORMAT: Format =
    Format { name: "SARIF", word: "sarif", endings: &["sarif", "sarif.json"], flag: None, render };

/// Where the schema stands that the document says it keeps to.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What paths of scenarios that are built in begin at: the sources of brinell.
const OURS: &str = "BRINELL";

fn render(results: &Results) -> io::Result<Vec<u8>> {
    let runs: Vec<Value> = results.split().iter().map(run).collect();
    let document = json!({"$schema": SCHEMA, "version": "2.1.0", "runs": runs});
    let mut document = serde_json::to_vec_pretty(&document)?;
    document.push(b'\n');
    Ok(document)
}

fn run(results: &Results) -> Value {
    let cluster = results.cluster.split(' ').next().unwrap_or_default();
    let rules: Vec<Value> = results.scenarios.iter().map(rule).collect();
    let found = results.scenarios.iter().enumerate().flat_map(found);
    json!({
        "tool": {"driver": {
            "name": "brinell",
            "semanticVersion": env!("CARGO_PKG_VERSION"),
            "rules": rules,
        }},
        // Code scanning tells runs apart by what stands before the last slash.
        "automationDetails": {"id": visible(&format!("{cluster} {}/{}", results.profile, results.run))},
        "originalUriBaseIds": {OURS: {"description": message("The sources of brinell")}},
        "invocations": [invocation(results)],
        "results": found.collect::<Vec<Value>>(),
    })
}

fn message(text: &str) -> Value {
    json!({"text": visible(text)})
}

/// A scenario.
fn rule(result: &ScenarioResult) -> Value {
    let help = format!("{}\n\nbrinell explain {}", visible(&result.fix), visible(&result.id));
    let tags: Vec<String> = result.tags.iter().map(|tag| visible(tag)).collect();
    json!({
        "id": visible(&result.id),
        "shortDescription": message(&result.title),
        "fullDescription": message(&result.why),
        "help": {"text": help},
        "properties": {"tags": tags},
    })
}

/// How the run went: its end, the controls that did not act, and what was not tried.
fn invocation(results: &Results) -> Value {
    let note = |level: &str, text: &str| json!({"level": level, "message": message(text)});
    let aborted = match (&results.aborted, &results.summary) {
        (Some(error), _) => Some(note("error", error)),
        (None, None) => Some(note("error", "it has no end")),
        (None, Some(_)) => None,
    };
    let is_whole = aborted.is_none();
    let unmet = results.unmet.iter().map(|unmet| note("error", &unmet.cause));
    let waivers = results.waivers.iter().filter(|it| it.state.is_bad());
    let waivers = waivers.map(|it| note("error", &block::settled(it)));
    let skipped = results.scenarios.iter().filter(|it| it.verdict == Verdict::Skipped);
    let skipped = skipped.map(|it| {
        let cause = it.cause.as_deref().unwrap_or_default();
        note("note", &format!("{}, {}: {cause}", it.verdict.label(), it.id))
    });
    let notes = aborted.into_iter().chain(unmet).chain(waivers).chain(skipped);
    let notes: Vec<Value> = notes.collect();
    let mut invocation =
        json!({"executionSuccessful": is_whole, "toolExecutionNotifications": notes});
    if !results.started.is_empty() {
        invocation["startTimeUtc"] = json!(results.started);
    }
    invocation
}

/// What came of a scenario that did not pass: a result for each reason, or one for what could not be told.
fn found((index, result): (usize, &ScenarioResult)) -> Vec<Value> {
    let of = |kind: &str, what: &str, text: String, line: Option<usize>| {
        let level = if kind == "fail" { "error" } else { "none" };
        let mut found = json!({
            "ruleId": visible(&result.id),
            "ruleIndex": index,
            "kind": kind,
            "level": level,
            "message": message(&text),
            "locations": [location(result, line)],
            "partialFingerprints": {"brinell/v1": format!("{}/{what}", visible(&result.id))},
        });
        if result.is_waived() {
            found["suppressions"] = suppressions(result);
        }
        found
    };
    let mut all: Vec<Value> = Vec::new();
    for reason in result.reasons() {
        let line =
            first_line(result, |it| it.judgement.findings.iter().any(|it| it.reason == reason));
        all.push(of("fail", reason.label(), failed(result, reason), line));
    }
    if result.verdict == Verdict::Inconclusive {
        let line = first_line(result, |it| !it.judgement.causes.is_empty());
        let causes = result.attempts.iter().flat_map(|attempt| &attempt.judgement.causes);
        let causes: Vec<String> = block::distinct(result.cause.iter().chain(causes));
        let label = result.verdict.label();
        all.push(of("open", label, format!("{label}: {}", causes.join("; ")), line));
    }
    all
}

/// The line of the first attempt that is concerned.
fn first_line(
    result: &ScenarioResult,
    is_concerned: impl Fn(&AttemptResult) -> bool,
) -> Option<usize> {
    result.attempts.iter().find(|attempt| is_concerned(attempt))?.line
}

/// `bypassed by a shell, operator, GET WebSocket and 2 more. Expected …; got …. Look at …`
fn failed(result: &ScenarioResult, reason: Reason) -> String {
    let is_such = |finding: &&Finding| finding.reason == reason;
    let concerned =
        result.attempts.iter().filter(|it| it.judgement.findings.iter().any(|it| is_such(&it)));
    let whos: Vec<String> = concerned.map(AttemptResult::who).collect();
    let findings: Vec<&Finding> =
        result.attempts.iter().flat_map(|it| &it.judgement.findings).filter(is_such).collect();
    let field = |name: &str, of: fn(&Finding) -> &String| {
        let texts = block::distinct(findings.iter().map(|finding| of(finding)));
        if texts.is_empty() { String::new() } else { format!(" {name}: {}.", texts.join("; ")) }
    };
    format!(
        "{}: {}.{}{}{}{}",
        reason.label(),
        crate::text::first_of(&whos, 3),
        field("Expected", |it| &it.expected),
        field("Got", |it| &it.got),
        field("Who", |it| &it.who),
        field("Look at", |it| &it.look_at),
    )
}

/// A line of the scenario's file, or its first: the file is the user's own, or the one in the sources of brinell.
fn location(result: &ScenarioResult, line: Option<usize>) -> Value {
    let place = match &result.file {
        Some(file) => json!({"uri": uri(file)}),
        None => {
            let file = format!("scenarios/{}/{}.yaml", result.family, result.id);
            json!({"uri": uri(&file), "uriBaseId": OURS})
        }
    };
    let controls =
        result.controls.iter().map(|control| json!({"name": visible(control), "kind": "resource"}));
    json!({
        "physicalLocation": {"artifactLocation": place, "region": {"startLine": line.unwrap_or(1).max(1)}},
        "logicalLocations": controls.collect::<Vec<Value>>(),
    })
}

/// A path as a URI reference.
fn uri(path: &str) -> String {
    let path = path.trim_start_matches("./");
    path.split('/').map(crate::text::encode).collect::<Vec<_>>().join("/")
}

/// Who answers for it.
fn suppressions(result: &ScenarioResult) -> Value {
    let by = result.waived.iter().flat_map(|waived| &waived.by);
    let each = by.map(
        |by| json!({"kind": "external", "justification": visible(&block::answered_for(&by.entry))}),
    );
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    /// The schema of SARIF 2.1.0, as tests/sarif/README.md says.
    const SCHEMA_FILE: &str = include_str!("../../tests/sarif/sarif-schema-2.1.0.json");

    fn document(results: &Results) -> Value {
        serde_json::from_slice(&render(results).unwrap()).unwrap()
    }

    #[test]
    fn every_document_is_as_the_schema_says() {
        // Two of its expressions are none; its errata mended them.
        let schema = SCHEMA_FILE.replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}$");
        let schema: Value = serde_json::from_str(&schema).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let hostile = "\u{1b}[31m ](x) {0} \u{202e} / ../x ?#%\0";
        let mut all: Vec<Results> = [
            sample::passing(),
            sample::failing(),
            sample::mixed(),
            sample::waived(),
            sample::aborted(),
            sample::unmet(),
            sample::nothing(),
            sample::proof(),
            sample::hostile(hostile),
        ]
        .iter()
        .map(|events| sample::results(events))
        .collect();
        // Only an id of its own tells a scenario from others.
        if let Some(other) = all.last_mut().and_then(|hostile| hostile.scenarios.last_mut()) {
            other.id.push('2');
        }
        all.push(Results::default());
        all.push(Results::merged(vec![
            all[1].clone(),
            Results { run: "b".to_owned(), ..all[2].clone() },
        ]));
        for results in &all {
            let document = document(results);
            let errors = validator.iter_errors(&document);
            let errors: Vec<String> =
                errors.map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert_eq!(errors, [""; 0], "{document:#}");
        }
        let mut broken = document(&all[1]);
        broken["runs"][0]["results"][0]["level"] = "fatal".into();
        assert!(!validator.is_valid(&broken));
    }

    #[test]
    fn a_result_for_each_reason_and_none_for_what_passed() {
        let document = document(&sample::results(&sample::mixed()));
        let results = document["runs"][0]["results"].as_array().unwrap();
        let told = |it: &Value| {
            let field = |name: &str| it[name].as_str().unwrap().to_owned();
            (field("ruleId"), field("kind"), field("level"))
        };
        let told: Vec<_> = results.iter().map(told).collect();
        let exec =
            |level: &str| ("exec-interactive".to_owned(), "fail".to_owned(), level.to_owned());
        let open = ("secret-list-cluster".to_owned(), "open".to_owned(), "none".to_owned());
        assert_eq!(told, [exec("error"), exec("error"), open]);
        for (result, position) in results.iter().zip([1, 1, 3]) {
            assert_eq!(result["ruleIndex"], position);
            let rule = &document["runs"][0]["tool"]["driver"]["rules"][position];
            assert_eq!(rule["id"], result["ruleId"]);
        }
        let notes = &document["runs"][0]["invocations"][0]["toolExecutionNotifications"];
        assert!(notes[0]["message"]["text"].as_str().unwrap().contains("egress-database"));
    }

    #[test]
    fn a_result_points_at_the_first_attempt_that_it_is_about() {
        let mut results = sample::results(&sample::mixed());
        for result in &mut results.scenarios {
            let lines = result.attempts.iter_mut().zip([Some(3), Some(5), None, Some(9)]);
            lines.for_each(|(attempt, line)| attempt.line = line);
        }
        // Only its second attempt is inconclusive now.
        results.scenarios[3].attempts[0].judgement.causes.clear();
        let lines = |results: &Results| -> Vec<(String, u64)> {
            let document = document(results);
            let told = document["runs"][0]["results"].as_array().unwrap().iter().map(|it| {
                let region = &it["locations"][0]["physicalLocation"]["region"];
                let kind = it["partialFingerprints"]["brinell/v1"].as_str().unwrap();
                (kind.to_owned(), region["startLine"].as_u64().unwrap())
            });
            told.collect()
        };
        let bypassed = ("exec-interactive/bypassed".to_owned(), 3);
        let told = lines(&results);
        assert!(told.contains(&bypassed), "{told:?}");
        assert!(told.contains(&("secret-list-cluster/inconclusive".to_owned(), 5)), "{told:?}");
        results.scenarios[1].attempts[0].judgement.findings.clear();
        results.scenarios[1].attempts[1].line = None;
        let told = lines(&results);
        assert!(told.contains(&("exec-interactive/bypassed".to_owned(), 1)), "{told:?}");
    }

    #[test]
    fn a_run_that_did_not_end_is_no_success_and_what_is_waived_is_suppressed() {
        let is_success = |results: &Results| {
            document(results)["runs"][0]["invocations"][0]["executionSuccessful"].clone()
        };
        assert_eq!(is_success(&sample::results(&sample::failing())), true);
        assert_eq!(is_success(&sample::results(&sample::aborted())), false);
        assert_eq!(is_success(&Results::default()), false);
        let waived = document(&sample::results(&sample::waived()));
        let suppressed = &waived["runs"][0]["results"][0]["suppressions"][0]["justification"];
        assert!(suppressed.as_str().unwrap().contains("team-a, until 2026-12-31"), "{suppressed}");
    }
}
