//! Laying one value over another: JSON merge patch (RFC 7396), but lists of objects merge by position, so that
//! a fragment can change one field of a pod's only container. The recorder (`examples/record`) has this file among its
//! own modules, so it uses nothing of ours.

use serde_json::Value;

/// Lays `over` over `base`. Null removes a key.
pub fn lay_over(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                if value.is_null() {
                    base.remove(key);
                } else {
                    lay_over(base.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(base), Value::Array(over)) if over.iter().all(Value::is_object) => {
            for (index, value) in over.iter().enumerate() {
                match base.get_mut(index) {
                    Some(present) => lay_over(present, value),
                    None => base.push(value.clone()),
                }
            }
        }
        (_, Value::Null) => {}
        (base, over) => *base = over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fragment_changes_only_what_it_names() {
        let mut base = json!({"containers": [{"name": "a", "image": "b"}], "hostPID": false});
        lay_over(
            &mut base,
            &json!({"containers": [{"image": "c"}], "hostPID": null, "volumes": []}),
        );
        assert_eq!(base, json!({"containers": [{"name": "a", "image": "c"}], "volumes": []}));
    }
}
