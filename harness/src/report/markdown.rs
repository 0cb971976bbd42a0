//! A result as Markdown, for a pull request or a wiki: the worst first, its evidence folded.

use std::cmp::Reverse;
use std::fmt::Write;
use std::io;

use super::Format;
use super::block::{self, seconds};
use super::paint::Paint;
use super::proof::{Table, score, tables};
use crate::model::{
    AS_KNOWN, AttemptResult, Cell, Decision, Log, Mark, Outcome, Proof, Results, ScenarioResult,
    Verdict, WAIVED, WaiverState, WeakeningResult,
};
use crate::text::{count, visible};

/// Markdown.
pub(super) const FORMAT: Format =
    Format { name: "Markdown", word: "markdown", endings: &["md"], flag: None, render };

fn render(results: &Results) -> io::Result<Vec<u8>> {
    let pages: Vec<String> = results.split().iter().map(markdown).collect();
    Ok(pages.join("\n").into_bytes())
}

fn markdown(results: &Results) -> String {
    let mut text = format!("# brinell, run {}\n", plain(&results.run));
    // A run that did not begin was on none.
    if !results.cluster.is_empty() {
        let Results { kubernetes, profile, cluster, .. } = results;
        let [kubernetes, profile, cluster] = [kubernetes, profile, cluster].map(|it| plain(it));
        push(
            &mut text,
            format_args!("\nKubernetes {kubernetes}, profile {profile}, on {cluster}\n"),
        );
    }
    for unmet in &results.unmet {
        push(&mut text, format_args!("\n**Not acting:** {}\n", plain(&unmet.cause)));
    }
    if let Some(error) = results.early_end() {
        push(&mut text, format_args!("\n**Aborted:** {}\n", plain(error)));
    }
    if let Some(left) = results.left_behind() {
        push(&mut text, format_args!("\n**Left behind:** {}\n", plain(left)));
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
    for letter in in_html(text).chars() {
        // Of the characters of an entity none means anything.
        if ['\\', '`', '*', '_', '[', ']', '|', '!', '~'].contains(&letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// Text that is no HTML, within which Markdown means nothing. It calls nobody and links nowhere, which platforms make
/// of a bare `@`, `#` or `https://` (<https://github.github.com/gfm/#autolinks-extension->).
fn in_html(text: &str) -> String {
    let mut escaped = String::new();
    for letter in visible(text).chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '@' => escaped.push_str("@&#8203;"),
            '#' => escaped.push_str("&#35;&#8203;"),
            other => escaped.push(other),
        }
    }
    escaped.replace("://", "&#58;//").replace("www.", "www&#46;")
}

/// What is seen when its heading is clicked. The empty lines make it Markdown again.
fn folded(text: &mut String, heading: &str, inside: &str) {
    push(text, format_args!("\n<details><summary>{heading}</summary>\n\n{inside}\n</details>\n"));
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
        let (bad, caught): (Vec<_>, Vec<_>) =
            table.rows.iter().partition(|row| row.outcome != Outcome::Caught);
        bad.into_iter().chain(caught).for_each(|row| evidence(text, row));
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
    let mut told = String::new();
    for words in row.deviation.iter().chain(&row.cause) {
        push(&mut told, format_args!("**{}**\n\n", plain(words)));
    }
    if !row.unasked.is_empty() {
        push(&mut told, format_args!("Not asked: {}\n\n", plain(&row.unasked.join(", "))));
    }
    for cell in row.cells.iter().filter(|cell| cell.mark != Mark::Green) {
        let Some(attempt) = telling(cell) else { continue };
        let outcome = format!("{}: {}", attempt.who(), attempt.judgement.outcome);
        push(&mut told, format_args!("- {}: {}", plain(&cell.result.id), plain(&outcome)));
        if !attempt.judgement.logged.is_empty() {
            push(&mut told, format_args!(", {}", plain(&attempt.judgement.logged)));
        }
        push(&mut told, format_args!("{}\n", plain(&exchange(attempt))));
    }
    let heading = format!("{}, {}: {}", row.id(), row.outcome.label(), row.why);
    folded(text, &in_html(&heading), &told);
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

/// The worst first: what failed, what could not be told, what is waived. What passed or was skipped is folded.
fn scenarios(text: &mut String, results: &Results) {
    let rank = |result: &ScenarioResult| (!result.is_bad(), Reverse(result.verdict));
    let mut all: Vec<&ScenarioResult> = results.scenarios.iter().collect();
    all.sort_by_key(|result| rank(result));
    let (red, green): (Vec<_>, Vec<_>) = all.into_iter().partition(|it| it.verdict.is_bad());
    push(text, format_args!("\n{}\n", plain(&counts(results))));
    if !red.is_empty() {
        push(text, format_args!("\n{}", table(&red)));
    }
    for result in red {
        // Indented, so that nothing in it can end the block.
        let block = block::scenario(result, true, Paint::PLAIN);
        let block: String = block.lines().map(|line| format!("    {line}\n")).collect();
        let heading =
            format!("<b>{}</b> {}: {}", word(result), in_html(&result.id), in_html(&result.title));
        folded(text, &heading, &block);
    }
    if !green.is_empty() {
        let told = count(green.len(), "scenario");
        folded(text, &format!("{told} passed or not tried"), &table(&green));
    }
    waivers(text, results);
}

/// `1 failed, 1 inconclusive, 0 waived, 1 skipped, 1 passed`
fn counts(results: &Results) -> String {
    let of = |verdict: Verdict| {
        let counted =
            results.scenarios.iter().filter(|it| it.verdict == verdict && !it.is_waived());
        format!("{} {}", counted.count(), verdict.label())
    };
    let waived = results.scenarios.iter().filter(|it| it.is_waived()).count();
    let [failed, inconclusive, skipped, passed] =
        [Verdict::Failed, Verdict::Inconclusive, Verdict::Skipped, Verdict::Passed].map(of);
    format!("{failed}, {inconclusive}, {waived} {WAIVED}, {skipped}, {passed}")
}

fn word(result: &ScenarioResult) -> String {
    // What passed shows nothing else of it here.
    let reviewed = if result.is_review() { ", reviewed" } else { "" };
    let word = if result.is_waived() { WAIVED } else { result.verdict.label() };
    format!("{word}{reviewed}")
}

fn table(results: &[&ScenarioResult]) -> String {
    let mut text = "| verdict | scenario | title | time |\n|---|---|---|---|\n".to_owned();
    for result in results {
        let word = word(result);
        let verdict = if result.is_bad() { bold(&word) } else { word };
        let (id, title) = (plain(&result.id), plain(&result.title));
        push(
            &mut text,
            format_args!("| {verdict} | {id} | {title} | {} |\n", seconds(result.took)),
        );
    }
    text
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
    fn what_a_run_left_behind_stands_at_the_top() {
        let text = markdown(&sample::left_behind());
        assert!(text.contains("\n**Left behind:** LEFT BEHIND: a cluster"), "{text}");
    }

    #[test]
    fn waived() {
        insta::assert_snapshot!(markdown(&sample::results(&sample::waived())));
    }

    #[test]
    fn the_worst_comes_first_and_evidence_is_folded() {
        let text = markdown(&sample::results(&sample::mixed()));
        let place =
            |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} is not in\n{text}"));
        let order = [
            "\n1 failed, 1 inconclusive, 0 waived, 1 skipped, 1 passed\n",
            "| **failed** | exec-interactive |",
            "| **inconclusive** | secret-list-cluster |",
            "<details><summary><b>failed</b> exec-interactive: ",
            "    FAIL  exec-interactive",
            "<details><summary><b>inconclusive</b> secret-list-cluster: ",
            "<details><summary>2 scenarios passed or not tried</summary>\n\n| verdict |",
            "| skipped | egress-database |",
            "| passed | exec-get-only-role |",
        ];
        assert!(order.map(place).is_sorted(), "{text}");
        assert_eq!(text.matches("<details>").count(), text.matches("\n\n</details>\n").count());
        // Above what is folded stands all that a reader must do something about.
        let (seen, _) = text.split_once("<details>").unwrap();
        assert!(!seen.contains("passed |") && seen.contains("secret-list-cluster"), "{seen}");
    }

    #[test]
    fn what_comes_from_outside_draws_nothing() {
        let hostile = "](https://evil.example) <script> </summary></details> @team www.evil.example ~~ | `\n# heading\u{1b}[31m";
        let mut results = sample::results(&sample::hostile(hostile));
        results.aborted = Some(hostile.to_owned());
        let text = markdown(&results);
        assert!(text.contains("evil.example"), "{text}");
        assert_eq!(text.matches("\n</details>\n").count(), text.matches("\n<details>").count());
        // An indented block is shown as it stands, where it is one: behind an empty line.
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2).filter(|pair| pair[1].starts_with("    ")) {
            assert!(pair[0].is_empty() || pair[0].starts_with("    "), "{text}");
        }
        let shown = lines.into_iter().filter(|line| !line.starts_with("    "));
        let (html, markdown): (Vec<_>, Vec<_>) =
            shown.partition(|line| line.starts_with("<details>"));
        let markdown: Vec<_> = markdown.into_iter().filter(|line| *line != "</details>").collect();
        for line in html.iter().chain(&markdown) {
            let inside =
                line.trim_start_matches("<details><summary>").trim_end_matches("</summary>");
            for drawn in ["<script", "\u{1b}", "https://", "www.", "@team", "</"] {
                assert!(!inside.replace("<b>failed</b>", "").contains(drawn), "{drawn} in {line}");
            }
        }
        let text = markdown.join("\n");
        assert!(!text.contains("~~") && !text.contains("\n# heading"), "{text}");
        assert!(!text.replace("\\]", "").contains("]("), "{text}");
    }
}
