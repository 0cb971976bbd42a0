//! A result as Markdown, for a pull request or a wiki.

use std::fmt::Write;
use std::io;

use super::Format;
use super::block::{self, seconds};
use super::paint::Paint;
use super::proof::{Table, score, tables};
use crate::model::{
    AS_KNOWN, AttemptResult, Cell, Decision, Log, Mark, Outcome, Proof, Results, WAIVED,
    WaiverState, WeakeningResult,
};
use crate::text::visible;

/// Markdown.
pub(super) const FORMAT: Format =
    Format { name: "Markdown", word: "markdown", endings: &["md"], flag: None, render };

fn render(results: &Results) -> io::Result<Vec<u8>> {
    let pages: Vec<String> = results.split().iter().map(markdown).collect();
    Ok(pages.join("\n").into_bytes())
}

fn markdown(results: &Results) -> String {
    let mut text = format!(
        "# brinell, run {}\n\nKubernetes {}, profile {}, on {}\n",
        plain(&results.run),
        plain(&results.kubernetes),
        plain(&results.profile),
        plain(&results.cluster),
    );
    for unmet in &results.unmet {
        push(&mut text, format_args!("\n**Not acting:** {}\n", plain(&unmet.cause)));
    }
    if let Some(error) = &results.aborted {
        push(&mut text, format_args!("\n**Aborted:** {}\n", plain(error)));
    }
    match &results.proof {
        Some(proof) => proven(&mut text, proof),
        None => scenarios(&mut text, results),
    }
    text
}

fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("writing to memory does not fail");
}

/// Text that means nothing to Markdown: what a hostile pod answered must not draw.
fn plain(text: &str) -> String {
    let mut escaped = String::new();
    for letter in visible(text).chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '\n' => escaped.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' => {
                escaped.push('\\');
                escaped.push(letter);
            }
            other => escaped.push(other),
        }
    }
    escaped
}

fn proven(text: &mut String, proof: &Proof) {
    for line in score(proof).lines() {
        push(text, format_args!("\n{}\n", plain(line)));
    }
    for table in tables(proof) {
        push(text, format_args!("\n## {}\n\n| weakening | outcome |", plain(table.control)));
        for column in &table.columns {
            push(text, format_args!(" {} |", plain(&column.id)));
        }
        push(text, format_args!("\n|{}\n", "---|".repeat(table.columns.len() + 2)));
        for row in &table.rows {
            push(text, format_args!("| {} | {} |", plain(&row.name), outcome(row)));
            for column in &table.columns {
                push(text, format_args!(" {} |", cell(Table::cell(row, column))));
            }
            text.push('\n');
        }
        for row in &table.rows {
            evidence(text, row);
        }
    }
    let skipped = || proof.weakenings.iter().filter(|row| row.outcome == Outcome::Skipped);
    if skipped().next().is_some() {
        text.push_str("\n## Skipped\n\n");
        for row in skipped() {
            let cause = row.cause.as_deref().unwrap_or_default();
            push(text, format_args!("- {}: {}\n", plain(&row.id()), plain(cause)));
        }
    }
}

fn outcome(row: &WeakeningResult) -> String {
    let word = row.outcome.label();
    match (row.outcome, &row.deviation) {
        (Outcome::Caught, _) if row.collateral().next().is_some() => {
            format!("{word}, {}", bold(&format!("with {}", Mark::Collateral.label())))
        }
        (Outcome::Caught | Outcome::Skipped, _) => word.to_owned(),
        (Outcome::Missed, Some(_)) => format!("{word}, {AS_KNOWN}"),
        (Outcome::Missed, None) | (Outcome::Wrong, _) => bold(word),
    }
}

fn cell(cell: Option<&Cell>) -> String {
    let Some(cell) = cell else { return String::new() };
    let word = cell.mark.label();
    if cell.deviation.is_some() {
        return format!("{word}, {AS_KNOWN}");
    }
    match (cell.mark, cell.expected) {
        (Mark::Caught, _) | (Mark::Green, None) => word.to_owned(),
        (Mark::Green, Some(_)) | (Mark::Collateral | Mark::Wrong, _) => bold(word),
    }
}

fn bold(text: &str) -> String {
    format!("**{text}**")
}

/// What a weakening's cells rest on: of each scenario that turned red, the first attempt that did.
fn evidence(text: &mut String, row: &WeakeningResult) {
    push(text, format_args!("\n### {}\n\n{}\n\n", plain(&row.id()), plain(&row.why)));
    for told in row.deviation.iter().chain(&row.cause) {
        push(text, format_args!("**{}**\n\n", plain(told)));
    }
    if !row.unasked.is_empty() {
        push(text, format_args!("Not asked: {}\n\n", plain(&row.unasked.join(", "))));
    }
    for cell in row.cells.iter().filter(|cell| cell.mark != Mark::Green) {
        let Some(attempt) = telling(cell) else { continue };
        let told = format!("{}: {}", attempt.who(), attempt.judgement.outcome);
        push(text, format_args!("- {}: {}", plain(&cell.result.id), plain(&told)));
        if !attempt.judgement.logged.is_empty() {
            push(text, format_args!(", {}", plain(&attempt.judgement.logged)));
        }
        push(text, format_args!("{}\n", plain(&exchange(attempt))));
    }
}

/// The first attempt that failed for the expected reason, or else turned red.
fn telling(cell: &Cell) -> Option<&AttemptResult> {
    let is_red = |attempt: &&AttemptResult| attempt.judgement.verdict.is_bad();
    let is_expected = |attempt: &&AttemptResult| {
        let mut findings = attempt.judgement.findings.iter();
        findings.any(|finding| Some(finding.reason) == cell.expected)
    };
    let attempts = || cell.result.attempts.iter();
    attempts().find(is_expected).or_else(|| attempts().find(is_red))
}

/// Request, answer, layer and audit events.
fn exchange(attempt: &AttemptResult) -> String {
    let Some(evidence) = &attempt.evidence else { return String::new() };
    let answer = evidence.answer.code().map(|code| format!(" answered {code}")).unwrap_or_default();
    let layer = match &evidence.decision {
        Decision::Denied(denial) => format!(", refused by {}", denial.layer),
        Decision::LetIn => ", refused by nobody".to_owned(),
        Decision::Unclear(why) => format!(", unclear: {why}"),
        Decision::Read => ", read and not attacked".to_owned(),
    };
    let events = match &evidence.log {
        Log::Read { events, .. } => {
            let stages: Vec<&str> = events.iter().map(|event| event.stage.as_str()).collect();
            let id = evidence.sent.audit_id.as_deref().unwrap_or_default();
            format!(
                "; audit {id}: {}",
                if stages.is_empty() { "none".into() } else { stages.join(", ") }
            )
        }
        Log::Disabled => "; no audit log".to_owned(),
        Log::Unreadable(why) => format!("; audit log unreadable: {why}"),
        Log::NotApplicable => String::new(),
    };
    format!(" ({} {}{answer}{layer}{events})", evidence.sent.method, evidence.sent.uri)
}

fn scenarios(text: &mut String, results: &Results) {
    text.push_str("\n| verdict | scenario | title | time |\n|---|---|---|---|\n");
    for result in &results.scenarios {
        // What passed shows nothing else of it here.
        let reviewed = if result.is_review() { ", reviewed" } else { "" };
        let word = if result.is_waived() { WAIVED } else { result.verdict.label() };
        let word = format!("{word}{reviewed}");
        let verdict = if result.is_bad() { bold(&word) } else { word };
        let (id, title) = (plain(&result.id), plain(&result.title));
        push(text, format_args!("| {verdict} | {id} | {title} | {} |\n", seconds(result.took)));
    }
    for result in results.scenarios.iter().filter(|result| result.verdict.is_bad()) {
        // Indented, so that nothing in it can end the block.
        push(text, format_args!("\n## {}\n\n", plain(&result.id)));
        for line in block::scenario(result, false, Paint::PLAIN).lines() {
            push(text, format_args!("    {line}\n"));
        }
    }
    waivers(text, results);
}

/// The waivers of which more is to be said than that they are needed.
fn waivers(text: &mut String, results: &Results) {
    let told = results.waivers.iter().filter(|it| it.state != WaiverState::Needed);
    for (position, waiver) in told.enumerate() {
        if position == 0 {
            text.push_str("\n## Waivers\n\n");
        }
        let told = plain(&block::settled(waiver));
        let told = if waiver.state.is_bad() { bold(&told) } else { told };
        push(text, format_args!("- {told}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_proof_with_everything() {
        insta::assert_snapshot!(markdown(&sample::results(&sample::proof())));
    }

    #[test]
    fn a_run() {
        insta::assert_snapshot!(markdown(&sample::results(&sample::mixed())));
    }

    #[test]
    fn waived() {
        insta::assert_snapshot!(markdown(&sample::results(&sample::waived())));
    }

    #[test]
    fn what_comes_from_outside_draws_nothing() {
        let hostile = "](https://evil.example) <script> | `\n# heading\u{1b}[31m";
        let text = markdown(&sample::results(&sample::hostile(hostile)));
        // An indented block is shown as it stands.
        let text: String =
            text.lines().filter(|line| !line.starts_with("    ")).collect::<Vec<_>>().join("\n");
        assert!(!text.contains("<script"), "{text}");
        assert!(!text.contains("\u{1b}"), "{text}");
        let headings = text.lines().filter(|line| line.starts_with('#'));
        assert!(headings.clone().all(|line| !line.starts_with("# heading")), "{text}");
        assert!(!text.replace("\\]", "").contains("]("), "{text}");
    }
}
