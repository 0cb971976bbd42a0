//! Events that come as a text within something else.

use std::collections::BTreeSet;

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::{Line, LineState};
use crate::model::Part;

/// What Azure writes in place of a body that is too large.
pub(super) const TOO_BIG: &str = "skipped-too-big-size-object";

/// The bodies of an event, as fields and as what is not shown where they are left out.
const BODIES: [(&str, Part); 2] =
    [("requestObject", Part::RequestBody), ("responseObject", Part::AnswerBody)];

/// The line that a text is: an event, or what the API server writes beside events. A text that begins as an event and is
/// no JSON was cut off.
pub(super) fn line(text: String) -> Line {
    let is_event = text.trim_start().starts_with('{');
    if is_event && serde_json::from_str::<IgnoredAny>(&text).is_err() {
        return Line { text: text.into_bytes(), state: LineState::Torn };
    }
    if is_event
        && text.contains(TOO_BIG)
        && let Ok(Value::Object(event)) = serde_json::from_str(&text)
    {
        return event_line(event, BTreeSet::new());
    }
    Line { text: text.into_bytes(), state: LineState::Whole }
}

/// The line of an event of which these parts are not shown.
pub(super) fn event_line(mut event: Map<String, Value>, mut unshown: BTreeSet<Part>) -> Line {
    for (field, part) in BODIES {
        if event.get(field).is_some_and(|body| body == TOO_BIG) {
            event.remove(field);
            unshown.insert(part);
        }
    }
    let is_bodiless = BODIES.iter().any(|(_, part)| unshown.contains(part));
    let state = if is_bodiless { LineState::Bodiless } else { LineState::Whole };
    let unshown = unshown.into_iter().map(|part| serde_json::json!(part)).collect();
    event.insert("unshown".to_owned(), Value::Array(unshown));
    Line { text: Value::Object(event).to_string().into_bytes(), state }
}
