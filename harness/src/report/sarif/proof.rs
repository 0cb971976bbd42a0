//! What a proof found: a rule for each weakening, and a result where it was not caught as it should be; one rule for
//! all attacks that are vacuous, and one for all deviations that are stale.

use serde_json::{Value, json};

use super::{OURS, linkless, location, message, tried_at, uri};
use crate::model::{
    Mark, Outcome, Proof, Results, STALE, ScenarioResult, VACUOUS, Vacuous, WeakeningResult,
};
use crate::text::visible;

/// Rules, and what was found by them.
#[derive(Default)]
pub(super) struct Found {
    pub(super) rules: Vec<Value>,
    pub(super) results: Vec<Value>,
}

/// One thing that must be mended.
struct Alert<'a> {
    /// What tells it from others of its rule, the same in every proof.
    what: String,
    /// Whether it is known what is wrong.
    kind: &'static str,
    text: String,
    location: Value,
    /// Why it may be so, where a deviation says so.
    deviation: Option<&'a str>,
}

impl Found {
    /// What was found by a proof, whose rules stand behind so many others.
    pub(super) fn of(results: &Results, others: usize) -> Found {
        let mut found = Found::default();
        let Some(proof) = &results.proof else { return found };
        for row in &proof.weakenings {
            let about = format!("The control {} weakened: {}", row.control, row.name);
            let help = format!("brinell prove --control {}", row.control);
            found.add(others, (&row.id(), &about, &row.why, &help), of_weakening(results, row));
        }
        let vacuous = proof.vacuous.iter().map(|it| of_vacuous(results, proof, it));
        let about = "An attack that no weakening of a control that it tests turns red";
        let help = "Add a weakening that it must notice, or take the attack out.";
        found.add(others, (VACUOUS, about, about, help), vacuous.collect());
        let stale = proof.stale.iter().map(|text| of_stale(text));
        let about = "A deviation that is no longer needed";
        let help = "Remove it from the deviations.yaml that names it.";
        found.add(others, (STALE, about, about, help), stale.collect());
        found
    }

    /// Adds a rule (id, what it is in short and at length, what to do), and what was found by it.
    fn add(&mut self, others: usize, rule: (&str, &str, &str, &str), alerts: Vec<Alert<'_>>) {
        let (id, short, full, help) = rule;
        let index = others + self.rules.len();
        self.rules.push(json!({
            "id": visible(id),
            "shortDescription": message(short),
            "fullDescription": message(full),
            "help": message(help),
        }));
        self.results.extend(alerts.into_iter().map(|alert| alert.result(id, index)));
    }
}

impl Alert<'_> {
    fn result(self, rule: &str, index: usize) -> Value {
        let level = if self.kind == "fail" { "error" } else { "none" };
        let mut result = json!({
            "ruleId": visible(rule),
            "ruleIndex": index,
            "kind": self.kind,
            "level": level,
            "message": {"text": linkless(&self.text)},
            "locations": [self.location],
            "partialFingerprints": {"brinell/v1": format!("{}/{}", visible(rule), visible(&self.what))},
        });
        if let Some(why) = self.deviation {
            result["suppressions"] = json!([{"kind": "external", "justification": visible(why)}]);
        }
        result
    }
}

/// What is wrong with a weakening: it was missed, something else came of it, or others turned red.
fn of_weakening<'a>(results: &Results, row: &'a WeakeningResult) -> Vec<Alert<'a>> {
    let cause = row.cause.as_deref().unwrap_or(&row.why);
    let alert = |kind, what: &str, cause: &str, deviation| Alert {
        what: what.to_owned(),
        kind,
        text: format!("{what}: {cause}"),
        location: control_at(results, &row.control),
        deviation,
    };
    let red: Vec<&str> = row.collateral().collect();
    let red = (!red.is_empty()).then(|| format!("turned red: {}", red.join(", ")));
    let red = red.map(|red| alert("fail", Mark::Collateral.label(), &red, None));
    let own = match row.outcome {
        Outcome::Missed => {
            Some(alert("fail", row.outcome.label(), cause, row.deviation.as_deref()))
        }
        Outcome::Wrong => Some(alert("open", row.outcome.label(), cause, None)),
        Outcome::Caught | Outcome::Skipped => None,
    };
    own.into_iter().chain(red).collect()
}

fn of_vacuous<'a>(results: &Results, proof: &Proof, vacuous: &'a Vacuous) -> Alert<'a> {
    let Vacuous { scenario, attack, control, deviation } = vacuous;
    let cells = proof.weakenings.iter().flat_map(|row| &row.cells);
    let mut tried = cells.map(|cell| &cell.result).filter(|it| it.id == *scenario);
    let at = |it: &ScenarioResult| {
        let attempt = it.attempts.iter().find(|attempt| attempt.name == *attack);
        tried_at(it, attempt.and_then(|attempt| attempt.line))
    };
    Alert {
        what: format!("{scenario}/{attack}/{control}"),
        kind: "fail",
        text: format!("{VACUOUS}: {scenario}, {attack}: it catches no weakening of {control}"),
        location: tried.next().map_or_else(|| control_at(results, control), at),
        deviation: deviation.as_deref(),
    }
}

fn of_stale(text: &str) -> Alert<'_> {
    let file = json!({"uri": "manifests/deviations.yaml", "uriBaseId": OURS});
    Alert {
        what: text.to_owned(),
        kind: "fail",
        text: format!("{STALE}: {text}"),
        location: location(&file, None, "The deviations", &[]),
        deviation: None,
    }
}

/// Where a control is: in a file of the reader's, or in the sources of brinell.
fn control_at(results: &Results, control: &str) -> Value {
    let place = results.places.iter().find(|place| place.control == control);
    let file = match place {
        Some(place) => json!({"uri": uri(&place.file)}),
        None => {
            let file = format!("manifests/controls/{control}/control.yaml");
            json!({"uri": uri(&file), "uriBaseId": OURS})
        }
    };
    let line = place.and_then(|place| place.line);
    location(&file, line, &format!("The control {control}"), &[control.to_owned()])
}
