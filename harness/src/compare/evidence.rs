//! What an attempt's evidence holds that is different, leaf by leaf.

use std::collections::BTreeMap;

use serde_json::Value;

use super::mask::Mask;
use super::{Change, EVIDENCE, other};
use crate::model::Evidence;

/// What is told by itself.
const TOLD: &str = "decision";

/// What the API server notes of requests that took long (k8s.io/apiserver/pkg/endpoints/filters/audit.go): times.
const TIMES: &str = "apiserver.latency.k8s.io/";

/// What differs, each by its place in the JSON: `answer.http.code`.
pub(super) fn changes(
    (before, after): (&Evidence, &Evidence),
    (was, is): &(Mask, Mask),
) -> Vec<Change> {
    let (before, after) = (json(before), json(after));
    // Of most nothing is different, and one text is masked much faster than each of its leaves.
    if was.text(&before) == is.text(&after) {
        return Vec::new();
    }
    let (before, after) = (leaves(&before, was), leaves(&after, is));
    let mut places: Vec<&String> = before.keys().chain(after.keys()).collect();
    places.sort();
    places.dedup();
    places.retain(|place| has_event(&before, place) && has_event(&after, place));
    let value = |leaves: &BTreeMap<String, String>, place: &String| {
        leaves.get(place).cloned().unwrap_or_default()
    };
    let change = |place: &String| {
        let change = other(EVIDENCE, value(&before, place), value(&after, place))?;
        Some(Change { place: place.clone(), ..change })
    };
    places.into_iter().filter_map(change).collect()
}

fn json(evidence: &Evidence) -> String {
    serde_json::to_string(evidence).unwrap_or_default()
}

/// Every value by its place, both without what is of their run alone. Each text is masked by itself: within JSON a line
/// break is written with a letter, behind which no word begins.
fn leaves(json: &str, mask: &Mask) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let value: Value = serde_json::from_str(json).unwrap_or_default();
    for (key, value) in value.as_object().into_iter().flatten().filter(|(key, _)| *key != TOLD) {
        gather(key.clone(), value, &mut found);
    }
    found.into_iter().map(|(place, value)| (mask.text(&place), mask.text(&value))).collect()
}

fn gather(place: String, value: &Value, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(key, _)| !key.starts_with(TIMES));
            fields.for_each(|(key, value)| gather(format!("{place}.{key}"), value, leaves));
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(at, value)| gather(item(&place, at, value), value, leaves));
        }
        Value::Null => {}
        Value::String(text) => {
            leaves.insert(place, text.clone());
        }
        other => {
            leaves.insert(place, other.to_string());
        }
    }
}

/// The place of an item: an audit event by its stage, verb and resource, everything else by its position.
fn item(place: &str, at: usize, value: &Value) -> String {
    match (&value["stage"], &value["verb"], &value["objectRef"]["resource"]) {
        (Value::String(stage), Value::String(verb), Value::String(resource)) => {
            format!("{place}[{stage} {verb} {resource}]")
        }
        (Value::String(stage), Value::String(verb), _) => format!("{place}[{stage} {verb}]"),
        _ => format!("{place}[{at}]"),
    }
}

/// Whether there is the audit event that a place is of. How far a stream had come when the log was read is a matter of
/// time; that an event is missing which must be there is in the verdict. What is of no event is always there.
fn has_event(leaves: &BTreeMap<String, String>, place: &str) -> bool {
    match place.split_once(']') {
        Some((event, _)) if place.starts_with("log.") => {
            let mut from = leaves.range(event.to_owned()..);
            from.next().is_some_and(|(first, _)| first.starts_with(event))
        }
        _ => true,
    }
}
