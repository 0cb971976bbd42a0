use std::collections::BTreeSet;

use roxmltree::{Document, Node, ParsingOptions};

use super::*;
use crate::compare::Comparison;
use crate::model::{Proof, Reason, ScenarioResult, Vacuous};
use crate::report::{Shown, sample, show_comparison, show_trend};
use crate::text::is_harmless;
use crate::trend::{Runs, Trend};

const HOSTILE: &str = "</code></details><script>alert(1)</script><img src=x onerror=alert(2)> \" onload='x' &lt; \
                       \u{1b}[31m \u{202e}evil\u{2066} \0\r\n\u{85}";

/// Every page of every kind of result.
fn pages() -> Vec<String> {
    let mut results = sample::every_kind(HOSTILE);
    let each = sample::told_apart(&results);
    results.push(Results::merged(each.clone()));
    results.push(Results::default());
    let mut pages: Vec<Vec<u8>> = results.iter().map(|it| render(it).unwrap()).collect();
    let mut runs = Runs::default();
    each.iter().cloned().for_each(|it| runs.add(it));
    pages.push(show_trend(&Trend::of(&runs), Shown::Html).unwrap());
    for (before, after) in [(0, 1), (1, 2), (7, 6), (6, 7)] {
        let compared = Comparison::of(&each[before], &each[after]).unwrap();
        pages.push(show_comparison(&compared, Shown::Html).unwrap());
    }
    pages.into_iter().map(|page| String::from_utf8(page).unwrap()).collect()
}

fn parsed(page: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(page, options).unwrap_or_else(|error| panic!("{error}\n{page}"))
}

#[test]
fn what_comes_from_outside_is_text() {
    for page in pages() {
        let document = parsed(&page);
        for node in document.descendants().filter(|node| node.is_element()) {
            assert!(!["script", "img", "iframe", "object"].contains(&node.tag_name().name()));
            let handlers = node.attributes().filter(|it| it.name().starts_with("on")).count();
            assert_eq!(handlers, 0, "{node:?}");
        }
        assert!(page.chars().all(|c| c == '\n' || is_harmless(c)));
    }
    let page = String::from_utf8(render(&sample::results(&sample::hostile(HOSTILE))).unwrap());
    let page = page.unwrap();
    let text: String = parsed(&page).descendants().filter_map(|node| node.text()).collect();
    assert!(text.contains("<script>alert(1)</script>") && text.contains(r"\u{202e}evil"), "{text}");
}

#[test]
fn a_page_needs_nothing_from_anywhere_and_all_its_links_lead_somewhere() {
    for page in pages() {
        for outside in ["http:", "https:", "//", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        let document = parsed(&page);
        let attribute = |name: &'static str| {
            document.descendants().filter_map(move |node| node.attribute(name))
        };
        let ids: Vec<&str> = attribute("id").collect();
        let known: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(known.len(), ids.len(), "{ids:?}");
        for link in attribute("href").filter_map(|link| link.strip_prefix('#')) {
            assert!(known.contains(link), "{link}");
        }
    }
}

#[test]
fn a_comparison_has_the_matrix_of_verdicts() {
    let before = sample::results(&sample::mixed());
    let mut after = before.clone();
    after.scenarios[0].verdict = Verdict::Failed;
    let page = show_comparison(&Comparison::of(&before, &after).unwrap(), Shown::Html).unwrap();
    let page = String::from_utf8(page).unwrap();
    let document = parsed(&page);
    let rows = document.descendants().filter(|it| it.has_tag_name("tr")).map(|row| {
        let cells = row.children().filter(|it| it.has_tag_name("th") || it.has_tag_name("td"));
        let text = |cell: Node<'_, '_>| {
            let texts =
                cell.descendants().filter_map(|it| it.is_text().then(|| it.text()).flatten());
            texts.collect::<String>().trim().to_owned()
        };
        cells.map(text).collect::<Vec<_>>()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    assert_eq!(rows[1], ["failed", "1 the same", "", "", "", ""]);
    assert_eq!(rows[4], ["passed", "1 worse", "", "", "", ""]);
    let empty = "<span class=\"faint\">nothing</span> →";
    let early = Results { aborted: Some("gone".to_owned()), ..before.clone() };
    let page = show_comparison(&Comparison::of(&before, &early).unwrap(), Shown::Html).unwrap();
    assert!(String::from_utf8(page).unwrap().contains(empty));
}

#[test]
fn merged_runs_have_one_filter_of_all_that_they_have() {
    let shown = |results: &Results| {
        let page = String::from_utf8(render(results).unwrap()).unwrap();
        let document = parsed(&page);
        let filters = document.descendants().filter(|it| it.has_tag_name("fieldset"));
        let filters: Vec<_> = filters.collect();
        assert_eq!(filters.len(), 1, "{page}");
        let labels = filters[0].descendants().filter(|it| it.has_tag_name("label"));
        labels.count()
    };
    let run = |id: &str, events: &[crate::model::RunEvent]| Results {
        run: id.to_owned(),
        ..sample::results(events)
    };
    assert_eq!(shown(&run("a", &sample::mixed())), 4);
    let merged = vec![run("a", &sample::aborted()), run("b", &sample::waived())];
    assert_eq!(shown(&Results::merged(merged)), 5);
}

#[test]
fn what_did_not_hold_stands_first_with_what_was_expected_and_what_came() {
    let page = String::from_utf8(render(&sample::results(&sample::mixed())).unwrap()).unwrap();
    let document = parsed(&page);
    let cards = document.descendants().filter(|node| node.has_tag_name("article"));
    let heads: Vec<String> = cards
        .map(|card| card.descendants().find(|node| node.has_tag_name("a")).unwrap())
        .map(|link| link.text().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(heads, ["exec-interactive", "secret-list-cluster"]);
    let marks = document.descendants().filter(|node| node.has_tag_name("mark"));
    let marks: Vec<&str> = marks.filter_map(|mark| mark.text()).collect();
    assert!(marks.contains(&"101 Switching Protocols"), "{marks:?}");
}

/// What is marked of an attempt is what is wrong about it: it may be refused as it should and leave nothing in the log,
/// or not what the log can show, and the other way round.
#[test]
fn what_came_of_it_and_the_log_are_marked_apart() {
    let (answer, log, both) = (("word", "faint"), ("", "word"), ("word", "word"));
    for (reason, logged, causes, causes_of_log, expected) in [
        (Some(Reason::Bypassed), "logged", 0, 0, answer),
        (Some(Reason::Unlogged), "UNLOGGED", 0, 0, log),
        (Some(Reason::Unlogged), "UNLOGGED", 1, 0, both),
        (Some(Reason::WronglyLogged), "WRONGLY LOGGED", 1, 1, log),
        (Some(Reason::Bypassed), "NOT SHOWN", 1, 1, both),
        (None, "NOT SHOWN", 1, 1, log),
        (None, "logged", 1, 1, log),
        (None, "logged", 1, 0, answer),
        (None, "NO EVENT", 2, 1, both),
    ] {
        let mut results = sample::results(&sample::failing());
        let judgement = &mut results.scenarios[0].attempts[0].judgement;
        judgement.findings.truncate(usize::from(reason.is_some()));
        judgement.findings.iter_mut().zip(reason).for_each(|(it, reason)| it.reason = reason);
        judgement.verdict = if reason.is_some() { Verdict::Failed } else { Verdict::Inconclusive };
        judgement.logged = logged.to_owned();
        judgement.causes = vec!["a cause".to_owned(); causes];
        judgement.causes_of_log = causes_of_log;
        let page = String::from_utf8(render(&results).unwrap()).unwrap();
        let document = parsed(&page);
        let summary = document.descendants().find(|node| {
            node.has_tag_name("summary")
                && node.parent().unwrap().attribute("class").unwrap().starts_with("attempt ")
        });
        let classes: Vec<&str> =
            summary.unwrap().children().filter_map(|node| node.attribute("class")).collect();
        assert_eq!((classes[1], classes[2]), expected, "{reason:?}, {logged}, {causes}");
    }
}

/// What a page counts first: the colour, the number and the word of each, list by list.
fn headline(results: &Results) -> Vec<Vec<String>> {
    let page = String::from_utf8(render(results).unwrap()).unwrap();
    let document = parsed(&page);
    let lists = document.descendants().filter(|it| it.attribute("class") == Some("counts"));
    let told = |item: Node<'_, '_>| {
        let text: String =
            item.descendants().filter(Node::is_text).filter_map(|it| it.text()).collect();
        format!("{}: {}", item.attribute("class").unwrap(), text.trim())
    };
    lists.map(|list| list.children().filter(Node::is_element).map(told).collect()).collect()
}

/// A page of a proof counts what became of its weakenings and what else must be mended, and scenarios only where it has some.
#[test]
fn a_proof_counts_weakenings() {
    let mut results = sample::results(&sample::proof());
    let weakenings = [
        "collateral: 1 missed",
        "collateral: 1 collateral",
        "collateral: 1 vacuous",
        "collateral: 2 stale",
        "wrong: 1 went wrong",
        "green: 1 missed, as known",
        "skipped: 1 skipped",
        "caught: 2 caught",
    ];
    assert_eq!(headline(&results), [weakenings]);
    results.scenarios = sample::results(&sample::failing()).scenarios;
    let [first, second] = &headline(&results)[..] else { panic!("two lists") };
    assert_eq!(first, &weakenings);
    assert!(second.contains(&"failed: 1 failed".to_owned()), "{second:?}");
}

/// What fails a proof is counted in red, and nothing else is.
#[test]
fn a_proof_is_red_for_what_fails_it() {
    let proof = sample::results(&sample::proof()).proof.unwrap();
    let of = |names: &[&str], vacuous: &[Option<&str>]| {
        let mut results = sample::results(&sample::proof());
        let vacuous = vacuous
            .iter()
            .map(|why| Vacuous { deviation: why.map(str::to_owned), ..proof.vacuous[0].clone() });
        let vacuous = vacuous.collect();
        let mut weakenings = proof.weakenings.clone();
        weakenings.retain(|it| names.contains(&&*it.name));
        let proof = Proof { weakenings, vacuous, ..Proof::default() };
        let is_failure = proof.is_failure();
        results.proof = Some(proof);
        let mut told = headline(&results).concat();
        told.retain(|it| !it.contains(": 0 "));
        (is_failure, told)
    };
    let expect = |is_failure: bool, told: &[&str]| {
        (is_failure, told.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let collateral = expect(true, &["collateral: 1 collateral", "caught: 1 caught"]);
    assert_eq!(of(&["fails-open"], &[]), collateral);
    assert_eq!(of(&["match-policy-exact"], &[]), expect(false, &["green: 1 missed, as known"]));
    assert_eq!(of(&["misses-attach"], &[]), expect(true, &["collateral: 1 missed"]));
    let vacuous = expect(true, &["collateral: 1 vacuous", "caught: 1 caught"]);
    assert_eq!(of(&["absent"], &[None]), vacuous);
    let known = expect(false, &["green: 1 vacuous, as known", "caught: 1 caught"]);
    assert_eq!(of(&["absent"], &[Some("why")]), known);
}

/// As many scenarios as the catalog has, with as many attempts as those of most doors.
#[test]
fn a_whole_catalog_is_small_enough_to_send() {
    let mut results = sample::results(&sample::failing());
    let result = results.scenarios.remove(0);
    let attempts: Vec<_> = result.attempts.iter().cycle().take(12).cloned().collect();
    let of = |number: usize| ScenarioResult {
        id: format!("exec-interactive-{number}"),
        attempts: attempts.clone(),
        ..result.clone()
    };
    results.scenarios = (0..110).map(of).collect();
    let page = render(&results).unwrap();
    assert!(page.len() < 3 << 20, "{} bytes", page.len());
}
