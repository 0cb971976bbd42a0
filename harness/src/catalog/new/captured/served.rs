//! Whether a webhook configuration that is there asks as the one of ours does, which is known by its name.

use serde_json::{Value, json};

/// What of a webhook says when it is asked and what follows from its silence, each with what it is where nothing is said
/// (<https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/validating-webhook-configuration-v1/>).
const FIELDS: [&str; 7] = [
    "rules",
    "namespaceSelector",
    "objectSelector",
    "matchConditions",
    "failurePolicy",
    "matchPolicy",
    "timeoutSeconds",
];

/// The fields in which one configuration asks otherwise than the other, by webhook.
pub(super) fn differing(there: &Value, ours: &Value) -> Vec<String> {
    let webhooks = |it: &Value| it["webhooks"].as_array().cloned().unwrap_or_default();
    let (there, ours) = (webhooks(there), webhooks(ours));
    let names = |of: &[Value]| of.iter().map(|it| it["name"].clone()).collect::<Vec<_>>();
    if names(&there) != names(&ours) {
        return vec!["its webhooks".to_owned()];
    }
    let fields = there.iter().zip(&ours).flat_map(|(there, ours)| {
        let differs = move |field: &&&str| filled(there, field) != filled(ours, field);
        FIELDS.iter().filter(differs).map(|field| format!("{field} of {}", text(&ours["name"])))
    });
    fields.collect()
}

fn text(name: &Value) -> &str {
    name.as_str().unwrap_or_default()
}

/// A field of a webhook, with what the API server fills in.
fn filled(webhook: &Value, field: &str) -> Value {
    let default = match field {
        "rules" | "matchConditions" => json!([]),
        "namespaceSelector" | "objectSelector" => json!({}),
        "failurePolicy" => json!("Fail"),
        "matchPolicy" => json!("Equivalent"),
        _ => json!(10),
    };
    let mut value = Some(&webhook[field]).filter(|it| !it.is_null()).cloned().unwrap_or(default);
    if field == "rules" {
        for rule in value.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            rule.entry("scope").or_insert_with(|| json!("*"));
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(more: &Value) -> Value {
        let mut webhook =
            json!({"name": "guard", "rules": [{"resources": ["pods"]}], "timeoutSeconds": 10});
        crate::merge::lay_over(&mut webhook, more);
        json!({"webhooks": [webhook]})
    }

    #[test]
    fn each_field_that_says_when_a_webhook_is_asked_is_compared_with_its_default() {
        let ours = configuration(&json!({}));
        let filled = json!({
            "failurePolicy": "Fail", "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
            "rules": [{"resources": ["pods"], "scope": "*"}], "clientConfig": {"caBundle": "theirs"},
        });
        assert_eq!(differing(&configuration(&filled), &ours), [""; 0]);
        let others = [
            ("rules", json!([{"resources": ["pods/exec"]}])),
            ("namespaceSelector", json!({"matchLabels": {"a": "b"}})),
            ("objectSelector", json!({"matchLabels": {"a": "b"}})),
            ("matchConditions", json!([{"name": "a", "expression": "false"}])),
            ("failurePolicy", json!("Ignore")),
            ("matchPolicy", json!("Exact")),
            ("timeoutSeconds", json!(1)),
        ];
        for (field, value) in others {
            let there = configuration(&json!({field: value}));
            assert_eq!(differing(&there, &ours), [format!("{field} of guard")]);
        }
        assert_eq!(differing(&json!({}), &ours), ["its webhooks"]);
    }
}
