//! SARIF 2.1.0, for code scanning: a rule for each scenario, and a result for each reason for which one failed. What was not
//! tried is told of the run, because a result that is not there is taken for one that is mended.

mod proof;

use std::io;

use serde_json::{Value, json};

use self::proof::Found;
use super::{Format, block};
use crate::model::{
    AUDIT_POLICY, AttemptResult, ControlPlace, Finding, Outcome, Reason, Results, ScenarioResult,
    Verdict,
};
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
    let runs: Vec<Value> =
        results.numbered().iter().map(|(number, results)| run(*number, results)).collect();
    let document = json!({"$schema": SCHEMA, "version": "2.1.0", "runs": runs});
    let mut document = serde_json::to_vec_pretty(&document)?;
    document.push(b'\n');
    Ok(document)
}

fn run(number: usize, results: &Results) -> Value {
    let proven = Found::of(results, results.scenarios.len());
    let rules: Vec<Value> = results.scenarios.iter().map(rule).chain(proven.rules).collect();
    let found = results.scenarios.iter().enumerate();
    let found = found.flat_map(|(index, result)| found_of(results, index, result));
    let found = found.chain(proven.results);
    json!({
        "tool": {"driver": {
            "name": "brinell",
            "semanticVersion": env!("CARGO_PKG_VERSION"),
            "rules": rules,
        }},
        "automationDetails": {"id": visible(&id(number, results))},
        "originalUriBaseIds": {OURS: {"description": message("The sources of brinell")}},
        "invocations": [invocation(results)],
        "results": found.collect::<Vec<Value>>(),
    })
}

/// `kind hardened/97a0a8`. Code scanning tells runs apart by what stands before the last slash, and takes a later one
/// of the same for what has become of an earlier one.
fn id(number: usize, results: &Results) -> String {
    let number = if number > 1 { format!(" {number}") } else { String::new() };
    // A run must not take the place of a proof, nor a proof that of a run.
    let proof = if results.proof.is_some() { "/prove" } else { "" };
    // A run that had not begun is named by its file.
    let run = results.run.replace('/', "_");
    format!("{} {}{number}{proof}/{run}", results.place(), results.profile)
}

fn message(text: &str) -> Value {
    json!({"text": linkless(text)})
}

/// Text in which nothing is a link, which `[words](target)` is in a message (SARIF 2.1.0, 3.11.6).
fn linkless(text: &str) -> String {
    let mut escaped = String::new();
    for letter in visible(text).chars() {
        if ['\\', '[', ']'].contains(&letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// A scenario.
fn rule(result: &ScenarioResult) -> Value {
    let help = format!("{}\n\nbrinell explain {}", linkless(&result.fix), linkless(&result.id));
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
    let aborted = results.early_end().map(|error| note("error", error));
    let left = results.left_behind().map(|left| note("error", left));
    let is_whole = aborted.is_none() && left.is_none();
    let unmet = results.unmet.iter().map(|unmet| note("error", &unmet.cause));
    let waivers = results.waivers.iter().filter(|it| it.state.is_bad());
    let waivers = waivers.map(|it| note("error", &block::settled(it)));
    let skipped = results.scenarios.iter().filter(|it| it.verdict == Verdict::Skipped);
    let skipped = skipped.map(|it| {
        let cause = it.cause.as_deref().unwrap_or_default();
        note("note", &format!("{}, {}: {cause}", it.verdict.label(), it.id))
    });
    let weakenings = results.proof.iter().flat_map(|proof| &proof.weakenings);
    let untried = weakenings.filter(|it| it.outcome == Outcome::Skipped).map(|it| {
        let cause = it.cause.as_deref().unwrap_or_default();
        note("note", &format!("{}, {}: {cause}", it.outcome.label(), it.id()))
    });
    let notes = aborted.into_iter().chain(left).chain(unmet).chain(waivers).chain(skipped);
    let notes = notes.chain(untried);
    let notes: Vec<Value> = notes.collect();
    let mut invocation =
        json!({"executionSuccessful": is_whole, "toolExecutionNotifications": notes});
    if !results.started.is_empty() {
        invocation["startTimeUtc"] = json!(results.started);
    }
    invocation
}

/// What came of a scenario that did not pass: a result for each reason, or one for what could not be told.
fn found_of(results: &Results, index: usize, result: &ScenarioResult) -> Vec<Value> {
    let of = |kind: &str, what: &str, text: String, locations: Vec<Value>| {
        let level = if kind == "fail" { "error" } else { "none" };
        let (main, related) = locations.split_at(1);
        // Code scanning shows those that the text leads to.
        let tried = match related.len() {
            0 => String::new(),
            last => format!(" Tried by [the scenario]({last})."),
        };
        let mut found = json!({
            "ruleId": visible(&result.id),
            "ruleIndex": index,
            "kind": kind,
            "level": level,
            "message": {"text": linkless(&text) + &tried},
            "locations": main,
            "relatedLocations": numbered(related),
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
        let mut locations = to_change(results, result, reason);
        locations.push(tried_at(result, line));
        all.push(of("fail", reason.label(), failed(result, reason), locations));
    }
    if result.verdict == Verdict::Inconclusive {
        let line = first_line(result, |it| !it.judgement.causes.is_empty());
        let causes = result.attempts.iter().flat_map(|attempt| &attempt.judgement.causes);
        let causes: Vec<String> = block::distinct(result.cause.iter().chain(causes));
        let label = result.verdict.label();
        let text = format!("{label}: {}", causes.join("; "));
        all.push(of("open", label, text, vec![tried_at(result, line)]));
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

/// Where the reader has the controls that a failure for this reason is about: what they would change.
fn to_change(results: &Results, result: &ScenarioResult, reason: Reason) -> Vec<Value> {
    // What records stops nobody, but for where it is all that is tested: what must not be in the log.
    let is_all = result.controls == [AUDIT_POLICY];
    let is_about = |place: &&ControlPlace| {
        let is_behind = match reason {
            Reason::LeftOver => false,
            Reason::Unlogged | Reason::WronglyLogged => place.control == AUDIT_POLICY,
            Reason::PermitBroken => place.control != AUDIT_POLICY,
            Reason::Bypassed | Reason::WrongLayer | Reason::OtherReason | Reason::Misconfigured => {
                is_all || place.control != AUDIT_POLICY
            }
        };
        is_behind && result.controls.contains(&place.control)
    };
    let location = |place: &ControlPlace| {
        let what = format!("The control {}", place.control);
        location(
            &json!({"uri": uri(&place.file)}),
            place.line,
            &what,
            std::slice::from_ref(&place.control),
        )
    };
    results.places.iter().filter(is_about).map(location).collect()
}

/// A line of the scenario's file, or its first: the file is the user's own, or the one in the sources of brinell.
fn tried_at(result: &ScenarioResult, line: Option<usize>) -> Value {
    let file = match &result.file {
        Some(file) => json!({"uri": uri(file)}),
        None => {
            let file = format!("scenarios/{}/{}.yaml", result.family, result.id);
            json!({"uri": uri(&file), "uriBaseId": OURS})
        }
    };
    location(&file, line, &format!("The scenario {}", result.id), &result.controls)
}

/// A line of a file, or its first.
fn location(file: &Value, line: Option<usize>, what: &str, controls: &[String]) -> Value {
    let controls =
        controls.iter().map(|control| json!({"name": visible(control), "kind": "resource"}));
    json!({
        "physicalLocation": {"artifactLocation": file, "region": {"startLine": line.unwrap_or(1).max(1)}},
        "logicalLocations": controls.collect::<Vec<Value>>(),
        "message": message(what),
    })
}

/// Locations with ids, from 1.
fn numbered(locations: &[Value]) -> Vec<Value> {
    let numbered = locations.iter().zip(1..).map(|(location, id)| {
        let mut location = location.clone();
        location["id"] = json!(id);
        location
    });
    numbered.collect()
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
        for results in &mut all {
            results.places = [("exec-guard", None), (hostile, Some(3))].map(place).to_vec();
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
    fn what_comes_from_outside_is_no_link() {
        /// Every text of a message.
        fn texts(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get("text").and_then(Value::as_str).map(str::to_owned));
                    fields.values().for_each(|it| texts(it, found));
                }
                Value::Array(items) => items.iter().for_each(|it| texts(it, found)),
                _ => {}
            }
        }
        for hostile in ["[mend it](https://evil.example)", "\\[mend it](https://evil.example)"] {
            let mut results = sample::results(&sample::hostile(hostile));
            results.aborted = Some(hostile.to_owned());
            results.places = vec![place((hostile, None))];
            results.proof = sample::results(&sample::proof()).proof;
            let weakening = &mut results.proof.as_mut().unwrap().weakenings[3];
            (weakening.why, weakening.cause) = (hostile.to_owned(), Some(hostile.to_owned()));
            let mut found = Vec::new();
            texts(&document(&results), &mut found);
            let said = found.iter().filter(|text| text.contains("evil.example")).count();
            assert!(said > 10, "{found:?}");
            for text in &found {
                let text = text.replace("\\\\", "").replace("[the scenario](1)", "");
                let mut before = None;
                for letter in text.chars() {
                    assert!(letter != '[' || before == Some('\\'), "{text}");
                    before = Some(letter);
                }
            }
        }
    }

    #[test]
    fn runs_that_were_merged_are_told_apart() {
        let run = |id: &str, cluster: &str| Results {
            run: id.to_owned(),
            cluster: cluster.to_owned(),
            ..sample::results(&sample::mixed())
        };
        let merged = Results::merged(vec![
            run("a", "kind (one answers)"),
            run("b", "kind (other answers)"),
            run("c/d.json", "existing (staging)"),
        ]);
        let document = document(&merged);
        let runs = document["runs"].as_array().unwrap().iter();
        let ids: Vec<&str> =
            runs.map(|run| run["automationDetails"]["id"].as_str().unwrap()).collect();
        let expected =
            ["kind hardened/a", "kind hardened 2/b", "existing (staging) hardened/c_d.json"];
        assert_eq!(ids, expected);
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
    fn a_proof_tells_what_it_found_and_is_no_run() {
        let mut results = sample::results(&sample::proof());
        let document_of = |results: &Results| document(results)["runs"][0].clone();
        let run = document_of(&results);
        assert_eq!(run["automationDetails"]["id"], "kind hardened/prove/k7f3");
        let told = |it: &Value| {
            let field = |name: &str| it[name].as_str().unwrap().to_owned();
            let rule = &run["tool"]["driver"]["rules"][it["ruleIndex"].as_u64().unwrap() as usize];
            assert_eq!(rule["id"], it["ruleId"]);
            let file = it["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str();
            let file = file.unwrap().rsplit('/').next().unwrap().to_owned();
            (field("ruleId"), field("kind"), it["suppressions"].is_array(), file)
        };
        let found: Vec<_> = run["results"].as_array().unwrap().iter().map(told).collect();
        let expected = [
            ("exec-guard/fails-open", "fail", false, "control.yaml"),
            ("exec-guard/match-policy-exact", "fail", true, "control.yaml"),
            ("exec-guard/misses-attach", "fail", false, "control.yaml"),
            ("exec-guard/tty-only", "open", false, "control.yaml"),
            ("vacuous", "fail", false, "attach-sensitive-pod.yaml"),
            ("stale", "fail", false, "deviations.yaml"),
            ("stale", "fail", false, "deviations.yaml"),
        ];
        let expected = expected.map(|(rule, kind, is_known, file)| {
            (rule.to_owned(), kind.to_owned(), is_known, file.to_owned())
        });
        assert_eq!(found, expected);
        let notes = &run["invocations"][0]["toolExecutionNotifications"];
        assert!(notes.to_string().contains("exec-guard/without-a-node"), "{notes}");
        results.places = vec![place(("exec-guard", Some(7)))];
        let location = &document_of(&results)["results"][0]["locations"][0]["physicalLocation"];
        assert_eq!(location["artifactLocation"]["uri"], "mine/exec-guard.yaml");
        assert_eq!(location["region"]["startLine"], 7);
    }

    fn place((control, line): (&str, Option<usize>)) -> ControlPlace {
        let (control, file) = (control.to_owned(), format!("./mine/{control}.yaml"));
        ControlPlace { run: None, control, file, line }
    }

    #[test]
    fn a_failure_points_at_what_the_reader_would_change() {
        let mut results = sample::results(&sample::mixed());
        let places =
            [("audit-policy", Some(7)), ("exec-guard", Some(3)), ("pod-security", Some(1))];
        results.places = places.map(place).to_vec();
        let attempts = results.scenarios.iter_mut().flat_map(|it| &mut it.attempts);
        attempts.for_each(|attempt| attempt.line = None);
        results.scenarios[3].controls.push("pod-security".to_owned());
        let shown = |it: &Value| {
            let place = &it["physicalLocation"];
            let (uri, line) = (&place["artifactLocation"]["uri"], &place["region"]["startLine"]);
            format!("{}:{line}", uri.as_str().unwrap())
        };
        let told = |results: &Results| -> Vec<(Vec<String>, Vec<String>, String)> {
            let document = document(results);
            let of = |it: &Value| {
                let list = |key: &str| it[key].as_array().unwrap().iter().map(shown).collect();
                let text = it["message"]["text"].as_str().unwrap().to_owned();
                (list("locations"), list("relatedLocations"), text)
            };
            document["runs"][0]["results"].as_array().unwrap().iter().map(of).collect()
        };
        let scenario = "scenarios/exec/exec-interactive.yaml:1";
        let [(bypassed, tried, text), (unlogged, also_tried, _), (open, none, _)] =
            told(&results).try_into().unwrap();
        assert_eq!(
            (bypassed, tried),
            (vec!["mine/exec-guard.yaml:3".into()], vec![scenario.into()])
        );
        assert!(text.ends_with(" Tried by [the scenario](1)."), "{text}");
        assert_eq!(unlogged, ["mine/audit-policy.yaml:7"]);
        assert_eq!(also_tried, [scenario]);
        assert_eq!(open, ["scenarios/secrets/secret-list-cluster.yaml:1"]);
        assert_eq!(none, [""; 0]);
        // Of two controls, either may be what fails.
        results.scenarios[1].controls.push("pod-security".to_owned());
        let (main, related, text) = told(&results).swap_remove(0);
        assert_eq!(main, ["mine/exec-guard.yaml:3"]);
        assert_eq!(related, ["mine/pod-security.yaml:1", scenario]);
        assert!(text.ends_with(" Tried by [the scenario](2)."), "{text}");
        // Secrets in the log are let in by what records.
        results.scenarios[1].controls = vec!["audit-policy".to_owned()];
        assert_eq!(told(&results)[0].0, ["mine/audit-policy.yaml:7"]);
        // What an older brinell wrote says nothing of it.
        results.places.clear();
        let (main, related, text) = told(&results).swap_remove(0);
        assert_eq!((main, related), (vec![scenario.into()], vec![]));
        assert!(!text.contains("Tried by"), "{text}");
    }

    #[test]
    fn a_run_that_did_not_end_is_no_success_and_what_is_waived_is_suppressed() {
        let is_success = |results: &Results| {
            document(results)["runs"][0]["invocations"][0]["executionSuccessful"].clone()
        };
        assert_eq!(is_success(&sample::results(&sample::failing())), true);
        assert_eq!(is_success(&sample::results(&sample::aborted())), false);
        assert_eq!(is_success(&Results::default()), false);
        let left = sample::left_behind();
        assert_eq!(is_success(&left), false);
        let note = &document(&left)["runs"][0]["invocations"][0]["toolExecutionNotifications"][0];
        assert_eq!(note["level"], "error");
        assert!(note["message"]["text"].as_str().unwrap().contains("brinell sweep k7f3"), "{note}");
        let waived = document(&sample::results(&sample::waived()));
        let suppressed = &waived["runs"][0]["results"][0]["suppressions"][0]["justification"];
        assert!(suppressed.as_str().unwrap().contains("team-a, until 2026-12-31"), "{suppressed}");
    }
}
