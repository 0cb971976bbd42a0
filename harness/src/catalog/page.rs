//! Scenarios as a page in Markdown, for people to read.

use std::fmt::Write as _;

use super::{Entry, action_words};
use crate::model::{
    Action, Attack, Blocked, Door, Expectation, Logged, Permit, Scenario, Succeeds,
};

/// A page of scenarios by family. `head` says where it comes from.
pub fn page(head: &str, entries: &[&Entry]) -> String {
    let mut page = format!("# Scenarios\n\n{head}\n");
    for entries in entries.chunk_by(|one, other| one.family == other.family) {
        // Writing to memory does not fail.
        let _ = writeln!(page, "\n## {}", entries[0].family);
        for entry in entries {
            let _ = scenario(&mut page, entry);
        }
    }
    page
}

fn scenario(page: &mut String, entry: &Entry) -> std::fmt::Result {
    let Scenario { title, why, fix, tags, target, attacks, permits } = &entry.scenario;
    let controls: Vec<String> =
        entry.scenario.controls().iter().map(|id| format!("`{id}`")).collect();
    let tags: Vec<String> = tags.iter().map(|tag| format!("`{tag}`")).collect();
    writeln!(page, "\n### {}\n\n{title}.\n", entry.id)?;
    writeln!(page, "- Why: {why}\n- Fix: {fix}")?;
    writeln!(page, "- Tests {}, on target `{target}`", controls.join(", "))?;
    writeln!(page, "- Tags: {}\n", tags.join(" "))?;
    writeln!(page, "| | what | who | sent | expected |\n|---|---|---|---|---|")?;
    for attack @ Attack { name, r#as, r#do, only, expected } in attacks {
        let role = attack.role().label();
        let outcome = match expected {
            Expectation::Blocked(blocked, _) => Some(refusal(blocked)),
            Expectation::Succeeds(succeeds, _) => Some(success(succeeds)),
            Expectation::Sound(sound) => Some(format!("sound by `{}`", sound.control)),
            Expectation::Recorded(_) => None,
        };
        let expected: Vec<String> =
            outcome.into_iter().chain(evidence(&expected.logged())).collect();
        let (what, expected) = (sent(r#do, *only), expected.join(", "));
        writeln!(page, "| {role} | {name} | {as} | {what} | {expected} |")?;
    }
    for Permit { name, r#as, r#do, only, succeeds, logged } in permits {
        let works = std::iter::once(success(succeeds));
        let expected: Vec<String> = works.chain(evidence(logged)).collect();
        let (what, expected) = (sent(r#do, *only), expected.join(", "));
        writeln!(page, "| permit | {name} | {as} | {what} | {expected} |")?;
    }
    Ok(())
}

fn refusal(blocked: &Blocked) -> String {
    let at = blocked.at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
    let saying = blocked.saying.as_ref().map(|words| format!(", saying “{words}”"));
    format!("blocked by `{}`{at}{}", blocked.by, saying.unwrap_or_default())
}

fn success(succeeds: &Succeeds) -> String {
    match (&succeeds.stdout, &succeeds.stdout_contains) {
        (Some(text), _) => format!("works: `{text}`"),
        (None, Some(text)) => format!("works: `…{text}…`"),
        (None, None) => "works".to_owned(),
    }
}

fn evidence(logged: &Option<Logged>) -> Option<String> {
    logged.as_ref().map(|logged| format!("logged at {:?}", logged.level))
}

/// An action in a few words, with the door where it is one only.
fn sent(action: &Action, only: Option<Door>) -> String {
    let door = only.map(|door| format!(", {} only", door.label())).unwrap_or_default();
    format!("{}{door}", action_words(action))
}
