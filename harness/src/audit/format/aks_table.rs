//! Rows of Azure's table `AKSAudit`: a column for each field of the Event. `az` prints every value as a text, those with
//! JSON in them too. A query may leave columns out, and then the log does not show them. There is no column for who is
//! impersonated.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Line, inner};
use crate::model::Part;

/// What `az` prints for a value that is not there.
const NOTHING: [&str; 2] = ["", "None"];

/// Columns that hold a text: the event's field, and what is not shown without the column.
const TEXTS: [(&str, &str, Option<Part>); 5] = [
    ("Level", "level", Some(Part::Level)),
    ("Stage", "stage", Some(Part::Stage)),
    ("Verb", "verb", Some(Part::Verb)),
    ("RequestUri", "requestURI", Some(Part::Uri)),
    ("UserAgent", "userAgent", None),
];

/// Columns that hold JSON.
const OBJECTS: [(&str, &str, &[Part]); 6] = [
    ("User", "user", &[Part::User, Part::Groups]),
    ("ObjectRef", "objectRef", &[Part::Object]),
    ("ResponseStatus", "responseStatus", &[Part::Code, Part::Words]),
    ("Annotations", "annotations", &[Part::Annotations]),
    ("RequestObject", "requestObject", &[Part::RequestBody]),
    ("ResponseObject", "responseObject", &[Part::AnswerBody]),
];

/// The line that a row holds. A row must tell which request it is of and when.
pub(super) fn line(element: &[u8]) -> Option<Line> {
    let row: Map<String, Value> = serde_json::from_slice(element).ok()?;
    let mut unshown = BTreeSet::from([Part::Impersonation]);
    // What an event must have, where a column is left out.
    let defaults = json!({"level": "Metadata", "stage": "", "verb": "", "requestURI": ""});
    let Value::Object(mut event) = defaults else { return None };
    event.insert("auditID".to_owned(), text(&row, "AuditId")?.into());
    event.insert("requestReceivedTimestamp".to_owned(), text(&row, "RequestReceivedTime")?.into());
    for (column, field, part) in TEXTS {
        match text(&row, column) {
            Some(text) => {
                event.insert(field.to_owned(), text.into());
            }
            None => unshown.extend(part),
        }
    }
    for (column, field, parts) in OBJECTS {
        match object(row.get(column)) {
            Column::Shown(object) => {
                event.insert(field.to_owned(), object);
            }
            Column::Nothing => {}
            Column::Unshown => unshown.extend(parts),
        }
    }
    Some(inner::event_line(event, unshown))
}

/// What a column with JSON in it tells.
enum Column {
    Shown(Value),
    /// The event has nothing there.
    Nothing,
    /// The column was left out, or what is in it cannot be read.
    Unshown,
}

fn object(value: Option<&Value>) -> Column {
    let text = match value {
        None => return Column::Unshown,
        Some(Value::Null) => return Column::Nothing,
        Some(Value::String(text)) => text,
        Some(object) => return Column::Shown(object.clone()),
    };
    if NOTHING.contains(&text.as_str()) {
        return Column::Nothing;
    }
    if text == inner::TOO_BIG {
        return Column::Shown(text.as_str().into());
    }
    serde_json::from_str(text).map_or(Column::Unshown, Column::Shown)
}

fn text<'r>(row: &'r Map<String, Value>, column: &str) -> Option<&'r str> {
    row.get(column)?.as_str().filter(|text| !NOTHING.contains(text))
}
