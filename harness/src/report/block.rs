//! One scenario as a block of text: its verdict, its attempts, and for each kind of failure what was expected,
//! what came instead and where to look.

use std::collections::BTreeSet;
use std::time::Duration;

use super::paint::Paint;
use super::text::{columns, ended, width, wrap, wrap_lines};
use crate::model::{
    Answer, AttemptResult, Evidence, Finding, KnownVerdict, Log, Reason, ScenarioResult,
    SettledWaiver, SilenceKind, Verdict, WAIVED, Waiver, WaiverEntry,
};
use crate::text::count;

/// How many characters a line has.
pub(super) const WIDTH: usize = 100;
/// The column at which a time ends.
const TIME: usize = 96;
/// Where the column begins that says what is logged.
const LOGGED: usize = 88;
/// How many characters the column of who acted has.
const WHO: usize = 44;
/// How many characters the column of what is logged has, so that there is room for the outcome between the two.
const LOG: usize = 20;
/// What stands before a role: `  attack  `.
const ROLE: usize = 10;
/// How many characters a step's name may take.
const STEP: usize = 16;
/// How many lines of one text are shown. All of it is in the JSON report.
const LINES: usize = 8;

/// The whole block, each line ended. `verbose` adds each attempt's request, Audit-ID and answer.
pub(super) fn scenario(result: &ScenarioResult, verbose: bool, paint: Paint) -> String {
    let mut lines = headline(result, paint);
    lines.extend(cause(result));
    lines.extend(attempts(result, verbose));
    lines.extend(waived(result));
    let groups = groups(result, paint);
    // What is waived whole is known: its evidence is told where all is.
    if !groups.is_empty() && (verbose || !result.is_waived()) {
        lines.push(String::new());
        lines.extend(groups);
    }
    if result.is_bad() {
        lines.extend(more(result));
    }
    ended(lines)
}

/// A line of a step: its name, and what it does or what came of it.
pub(super) fn step(name: &str, text: &str, took: Option<Duration>) -> String {
    let name = wrap(name, STEP, 1).concat();
    let lines = entry(2, &name, wrap(text, TIME - 24, LINES));
    ended(timed(lines, took))
}

/// `13.2 s`
pub(super) fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

fn headline(result: &ScenarioResult, paint: Paint) -> Vec<String> {
    let (word, colour) = word(result);
    let indent = word.len() + 2;
    let title = wrap(&format!("{}: {}", result.id, result.title), TIME - 10 - indent, LINES);
    let lines = title.into_iter().map(|line| " ".repeat(indent) + &line).collect();
    let took = (result.verdict != Verdict::Skipped).then_some(result.took);
    let mut lines = timed(lines, took);
    // Painted last: an escape sequence has no width.
    if let Some(first) = lines.first_mut() {
        first.replace_range(..word.len(), &paint.verdict(colour, &word));
    }
    lines
}

/// The heading of a scenario, and the verdict in whose colour it is shown.
fn word(result: &ScenarioResult) -> (String, Verdict) {
    match result.is_waived() {
        true => (WAIVED.to_uppercase(), Verdict::Skipped),
        false => (result.verdict.heading().to_owned(), result.verdict),
    }
}

/// What of it is waived: why, by whom and until when, and for how many attempts.
fn waived(result: &ScenarioResult) -> Vec<String> {
    let by = result.waived.iter().flat_map(|waived| &waived.by);
    let told = by.flat_map(|by| {
        let attempts = count(by.attempts.len(), "attempt");
        let what = covered(&by.entry.waiver);
        wrap(&format!("{}: {what} in {attempts}", answered_for(&by.entry)), WIDTH - 12, LINES)
    });
    entry(2, WAIVED, told.collect())
}

/// What a waiver covers: `bypassed, unlogged`.
fn covered(waiver: &Waiver) -> String {
    let findings: Vec<&str> = waiver.findings.iter().map(|reason| reason.label()).collect();
    match waiver.verdict {
        KnownVerdict::Failed if findings.is_empty() => "whatever failed".to_owned(),
        KnownVerdict::Failed => findings.join(", "),
        KnownVerdict::Inconclusive => "what could not be told".to_owned(),
    }
}

/// `a template is being replaced (team-a, until 2026-12-31; expected.yaml:12)`
pub(super) fn answered_for(entry: &WaiverEntry) -> String {
    let WaiverEntry { place, waiver } = entry;
    format!("{} ({}, until {}; {place})", waiver.why, waiver.owner, waiver.expires)
}

/// A waiver of which more is to be said than that it is needed.
pub(super) fn settled(waiver: &SettledWaiver) -> String {
    let SettledWaiver { entry: WaiverEntry { place, waiver: about }, state, told, run: _ } = waiver;
    format!("{place}: {} ({}): {}: {told}", about.scenario, about.owner, state.label())
}

/// Adds a time at the end of the first line.
fn timed(mut lines: Vec<String>, took: Option<Duration>) -> Vec<String> {
    if let (Some(first), Some(took)) = (lines.first_mut(), took) {
        let room = TIME.saturating_sub(width(first) + 1);
        *first = format!("{first} {:>room$}", seconds(took));
    }
    lines
}

fn cause(result: &ScenarioResult) -> Vec<String> {
    let label = if result.verdict == Verdict::Skipped { "why" } else { "cause" };
    let Some(cause) = &result.cause else { return Vec::new() };
    entry(2, label, wrap(cause, WIDTH - 12, LINES))
}

fn attempts(result: &ScenarioResult, verbose: bool) -> Vec<String> {
    let longest =
        |of: fn(&AttemptResult) -> usize| result.attempts.iter().map(of).max().unwrap_or(0);
    let who_width = longest(|attempt| width(&attempt.who())).min(WHO);
    let logged_width =
        longest(|attempt| width(&attempt.judgement.logged)).clamp(WIDTH - LOGGED, LOG);
    let outcome_width = WIDTH - ROLE - 4 - who_width - logged_width;
    let mut lines = Vec::new();
    for attempt in &result.attempts {
        let row = columns(&[
            (attempt.role.label(), ROLE - 4),
            (&attempt.who(), who_width),
            (&attempt.judgement.outcome, outcome_width),
            (&attempt.judgement.logged, logged_width),
        ]);
        lines.extend(row.into_iter().map(|line| format!("  {line}")));
        if let (true, Some(evidence)) = (verbose, &attempt.evidence) {
            let exchange = exchange(evidence);
            let told = exchange.iter().flat_map(|text| wrap(text, WIDTH - ROLE, LINES));
            lines.extend(entry(0, "", told.collect()));
        }
    }
    lines
}

/// What was sent and answered: `GET /api/v1/…` and `Audit-ID k7f3-1, answered 403`.
fn exchange(evidence: &Evidence) -> [String; 2] {
    let sent = &evidence.sent;
    let audit = sent.audit_id.iter().map(|id| format!("Audit-ID {id}, ")).collect::<String>();
    [format!("{} {}", sent.method, sent.uri), audit + &answered(&evidence.answer)]
}

pub(super) fn answered(answer: &Answer) -> String {
    match answer {
        Answer::Http(response) => format!("answered {}", response.code),
        Answer::Stream(_) => "answered 101".to_owned(),
        Answer::Through(through) => {
            format!("answered {}, its pod {}", through.workload.code, through.pod.code)
        }
        Answer::Worked(_) => "worked".to_owned(),
        Answer::Nothing(silence) => match silence.kind {
            SilenceKind::Refused => "refused".to_owned(),
            SilenceKind::TimedOut => "timed out".to_owned(),
            SilenceKind::Cut => "cut off".to_owned(),
            SilenceKind::Broken => "not understood".to_owned(),
        },
        Answer::Grants(granted) => {
            let subjects = granted.allowed.len() + granted.others.len();
            format!("{} found", count(subjects, "subject"))
        }
        Answer::Rights(held) => format!("{} answered", count(held.answered, "question")),
        Answer::AuditLog(_) => "searched".to_owned(),
        Answer::Review(reviewed) => format!("{} read", count(reviewed.objects, "object")),
        Answer::Storage(storage) => format!("{} read", count(storage.keys, "key")),
    }
}

/// What is wrong, kind by kind, and what could not be told.
fn groups(result: &ScenarioResult, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    for reason in result.reasons() {
        lines.extend(failures(result, reason, paint));
    }
    lines.extend(causes(result, paint));
    lines
}

fn failures(result: &ScenarioResult, reason: Reason, paint: Paint) -> Vec<String> {
    let is_such = |finding: &&Finding| finding.reason == reason;
    let concerned: Vec<_> = result
        .attempts
        .iter()
        .filter(|attempt| attempt.judgement.findings.iter().any(|finding| is_such(&finding)))
        .collect();
    let findings =
        || concerned.iter().flat_map(|attempt| &attempt.judgement.findings).filter(is_such);
    let mut lines = vec![heading(&reason.heading(), Verdict::Failed, concerned.len(), paint)];
    lines.extend(field("expected", distinct(findings().map(|finding| &finding.expected))));
    lines.extend(field("got", counted(findings().map(|finding| &finding.got))));
    lines.extend(field("who", distinct(findings().map(|finding| &finding.who))));
    lines.extend(field("evidence", evidence(&concerned)));
    if reason == Reason::Bypassed {
        lines.extend(entry(4, "means", wrap_lines(&result.why, WIDTH - 14, LINES)));
    }
    lines.extend(field("look at", distinct(findings().map(|finding| &finding.look_at))));
    lines
}

/// What kept attempts from telling, those that were not made first.
fn causes(result: &ScenarioResult, paint: Paint) -> Vec<String> {
    let concerned = result.attempts.iter().filter(|attempt| !attempt.judgement.causes.is_empty());
    let (skipped, unclear): (Vec<_>, Vec<_>) =
        concerned.partition(|attempt| attempt.judgement.verdict == Verdict::Skipped);
    let mut lines = Vec::new();
    for (verdict, concerned) in [(Verdict::Skipped, skipped), (Verdict::Inconclusive, unclear)] {
        if concerned.is_empty() {
            continue;
        }
        let causes = concerned.iter().flat_map(|attempt| &attempt.judgement.causes);
        lines.push(heading(verdict.heading(), verdict, concerned.len(), paint));
        lines.extend(field("cause", counted(causes)));
        lines.extend(field("evidence", evidence(&concerned)));
    }
    lines
}

fn heading(label: &str, verdict: Verdict, attempts: usize, paint: Paint) -> String {
    format!("  {}, {}", paint.verdict(verdict, label), count(attempts, "attempt"))
}

/// The audit events behind a failure, with what the layers wrote into them: `audit k7f3-2: failed-open…`.
fn evidence(attempts: &[&AttemptResult]) -> Vec<String> {
    let mut told: Vec<(String, Vec<&str>)> = Vec::new();
    for evidence in attempts.iter().filter_map(|attempt| attempt.evidence.as_ref()) {
        let Some(id) = evidence.sent.audit_id.as_deref() else { continue };
        let Some(notes) = annotations(&evidence.log) else { continue };
        match told.iter_mut().find(|(same, _)| *same == notes) {
            Some((_, ids)) => ids.push(id),
            None => told.push((notes, vec![id])),
        }
    }
    told.into_iter().map(|(notes, ids)| format!("audit {}{notes}", ids.join(", "))).collect()
}

/// Who else than the authorizer wrote into the events; `None` where there are no events.
fn annotations(log: &Log) -> Option<String> {
    let Log::Read { events, .. } = log else { return None };
    events.first()?;
    let notes: BTreeSet<_> = events
        .iter()
        .flat_map(|event| event.annotations.keys())
        .filter(|key| !key.starts_with("authorization.k8s.io/"))
        .map(String::as_str)
        .collect();
    let notes: Vec<_> = notes.into_iter().collect();
    Some(if notes.is_empty() { String::new() } else { format!(": {}", notes.join(", ")) })
}

fn more(result: &ScenarioResult) -> Vec<String> {
    let text = format!("brinell explain {} says what it does and what to change", result.id);
    entry(2, "more", wrap(&text, WIDTH - 12, LINES))
}

/// A named part of a group; its texts below each other.
fn field(label: &str, texts: Vec<String>) -> Vec<String> {
    let lines = texts.iter().flat_map(|text| wrap(text, WIDTH - 14, LINES)).collect();
    entry(4, label, lines)
}

/// Lines with a name before the first of them.
pub(super) fn entry(indent: usize, label: &str, lines: Vec<String>) -> Vec<String> {
    let labels = std::iter::once(label).chain(std::iter::repeat(""));
    labels.zip(lines).map(|(label, line)| format!("{:indent$}{label:9} {line}", "")).collect()
}

pub(super) fn distinct<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<String> {
    tally(texts).into_iter().map(|(text, _)| text.clone()).collect()
}

fn counted<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<String> {
    tally(texts)
        .into_iter()
        .map(|(text, times)| match times {
            1 => text.clone(),
            2 => format!("{text}, twice"),
            3 => format!("{text}, three times"),
            _ => format!("{text}, {times} times"),
        })
        .collect()
}

/// Each text once, in order, with how often it came. Empty ones say nothing.
fn tally<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<(&'a String, usize)> {
    let mut tallied: Vec<(&String, usize)> = Vec::new();
    for text in texts.filter(|text| !text.is_empty()) {
        match tallied.iter_mut().find(|(same, _)| *same == text) {
            Some((_, times)) => *times += 1,
            None => tallied.push((text, 1)),
        }
    }
    tallied
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Results, Role};
    use crate::report::{json, junit, markdown, sample};

    #[test]
    fn a_review_is_shown_as_one_by_every_report() {
        let mut results = sample::results(&sample::passing());
        let attempts = results.scenarios[0].attempts.iter_mut();
        let attacks = attempts.filter(|attempt| attempt.role == Role::Attack);
        attacks.for_each(|attempt| attempt.role = Role::Review);
        let written = (json::FORMAT.render)(&results).unwrap();
        assert!(String::from_utf8(written).unwrap().contains(r#""role": "review""#));
        let block = scenario(&results.scenarios[0], false, Paint::PLAIN);
        assert!(block.lines().any(|line| line.starts_with("  review  ")), "{block}");
        let markdown = String::from_utf8((markdown::FORMAT.render)(&results).unwrap()).unwrap();
        assert!(markdown.contains("| passed, reviewed | exec-interactive |"), "{markdown}");
        // Of a case that passed JUnit holds no text.
        let junit = String::from_utf8((junit::FORMAT.render)(&results).unwrap()).unwrap();
        let name = &results.scenarios[0].attempts[0].name;
        assert!(junit.contains(&format!(r#"name="reviewed" value="{name}""#)), "{junit}");
    }

    #[test]
    fn a_step_is_shown_as_one_by_every_report() {
        let mut results = sample::results(&sample::failing());
        results.scenarios[0].attempts[0].role = Role::Step;
        let written = (json::FORMAT.render)(&results).unwrap();
        let read = Results::read(&written).unwrap();
        assert_eq!(read.scenarios[0].attempts[0].role, Role::Step);
        for text in [
            scenario(&read.scenarios[0], false, Paint::PLAIN),
            String::from_utf8((junit::FORMAT.render)(&read).unwrap()).unwrap(),
            String::from_utf8((markdown::FORMAT.render)(&read).unwrap()).unwrap(),
        ] {
            let lines = text.lines().map(str::trim_start);
            let roles = lines.filter_map(|line| line.split_once("  ")).map(|(role, _)| role);
            let count = |name: &str| roles.clone().filter(|role| *role == name).count();
            let attempts = (count("step"), count("attack"), count("permit"));
            assert_eq!(attempts, (1, 2, 1), "{text}");
        }
    }
}
