//! Values as a person would write them in YAML: in one line, without quotes where none are needed.

use serde_json::Value;

/// Words that YAML reads as something else than a text.
const WORDS: [&str; 12] =
    ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf", "~"];

/// Fields that are written before others.
const FIRST: [&str; 7] = ["op", "name", "apiVersion", "kind", "metadata", "method", "path"];

/// A value in flow style: `{a: b, c: [d, "1"]}`.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::Object(_) => format!("{{{}}}", fields(value).join(", ")),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::String(written) => text(written),
        other => other.to_string(),
    }
}

/// The fields of an object, each in a line of its own, those first that say what it is.
pub(super) fn fields(object: &Value) -> Vec<String> {
    sorted(object).map(|(key, value)| format!("{}: {}", text(key), flow(value))).collect()
}

/// The fields of an object, those that have parts with each part in a line of its own.
pub(super) fn block(object: &Value) -> Vec<String> {
    let field = |(key, value): (&String, &Value)| match value {
        Value::Array(items) if !items.is_empty() => {
            let items = items.iter().map(|item| format!("- {}", flow(item)));
            std::iter::once(format!("{}:", text(key))).chain(items).collect()
        }
        Value::Object(parts) if !parts.is_empty() => {
            let parts = fields(value).into_iter().map(|part| format!("  {part}"));
            std::iter::once(format!("{}:", text(key))).chain(parts).collect()
        }
        _ => vec![format!("{}: {}", text(key), flow(value))],
    };
    sorted(object).flat_map(field).collect()
}

/// The fields of an object, those first that say what it is.
fn sorted(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let rank = |key: &str| FIRST.iter().position(|it| *it == key).unwrap_or(FIRST.len());
    let mut fields: Vec<(&String, &Value)> = object.as_object().into_iter().flatten().collect();
    fields.sort_by_key(|(key, _)| rank(key));
    fields.into_iter()
}

/// A text, in quotes where it could be read as something else.
pub(super) fn text(written: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._/ ".contains(c);
    let begins = written.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let is_word = WORDS.iter().any(|word| written.eq_ignore_ascii_case(word));
    let ends = !written.ends_with(' ');
    match begins && ends && !is_word && written.chars().all(is_plain) {
        true => written.to_owned(),
        false => Value::from(written).to_string().chars().map(escaped).collect(),
    }
}

/// A character as it may stand in quotes: YAML takes fewer of them than JSON does.
fn escaped(c: char) -> String {
    match c {
        '\u{7f}'..='\u{9f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
            format!("\\u{:04x}", u32::from(c))
        }
        _ => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let value = json!({
            "a": [1, "1", true, "true", "No", null, "null", "-", "", "a: b", "#", "x\ny", "1e3", "0x1f"],
            "on": {"example.com/a": "b", "": {}}, "*": "*", "é": "\u{7f}",
        });
        let written = flow(&value);
        let read = crate::catalog::documents(&written).expect("YAML");
        assert_eq!(read, std::slice::from_ref(&value), "{written}");
        let written = block(&value).join("\n");
        assert_eq!(crate::catalog::documents(&written).expect("YAML"), [value], "{written}");
        assert_eq!(
            flow(&json!({"image": "example.org/a", "names": ["*"]})),
            "{image: example.org/a, names: [\"*\"]}"
        );
    }
}
