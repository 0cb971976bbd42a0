//! Whether one value is part of another, as Go writes them.

use serde_json::Value;

/// Whether `part` is contained in `whole`: every key of it with its value. A key that is missing holds its zero
/// value, because Go leaves those out (`readOnlyPort: 0`).
pub fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part.iter().all(|(key, value)| {
            whole.get(key).map_or_else(|| is_zero(value), |found| contains(found, value))
        }),
        (whole, part) => whole == part,
    }
}

/// Whether Go leaves a value out where it writes it. A list is never taken for left out, however short.
pub fn is_zero(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().all(is_zero),
        other => [Value::Null, Value::from(0), Value::from(false), Value::from("")].contains(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn containment_looks_at_every_level() {
        let whole = json!({"authentication": {"anonymous": {"enabled": false}, "x": 1}});
        assert!(contains(&whole, &json!({"authentication": {"anonymous": {"enabled": false}}})));
        assert!(!contains(&whole, &json!({"authentication": {"anonymous": {"enabled": true}}})));
        assert!(!contains(&whole, &json!({"mode": "Webhook"})));
        assert!(contains(&whole, &json!({"readOnlyPort": 0})));
        assert!(!contains(&json!({"readOnlyPort": 10255}), &json!({"readOnlyPort": 0})));
    }
}
