//! Laying one value over another: JSON merge patch (RFC 7396), but lists of objects merge by position, so that
//! a fragment can change one field of a pod's only container.

use serde_json::Value;

/// Lays `over` over `base`. Null removes a key.
pub fn patch(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                if value.is_null() {
                    base.remove(key);
                } else {
                    patch(base.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(base), Value::Array(over)) if over.iter().all(Value::is_object) => {
            for (index, value) in over.iter().enumerate() {
                match base.get_mut(index) {
                    Some(present) => patch(present, value),
                    None => base.push(value.clone()),
                }
            }
        }
        (_, Value::Null) => {}
        (base, over) => *base = over.clone(),
    }
}

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
    fn a_fragment_changes_only_what_it_names() {
        let mut base = json!({"containers": [{"name": "a", "image": "b"}], "hostPID": false});
        patch(&mut base, &json!({"containers": [{"image": "c"}], "hostPID": null, "volumes": []}));
        assert_eq!(base, json!({"containers": [{"name": "a", "image": "c"}], "volumes": []}));
    }

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
