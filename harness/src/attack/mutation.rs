//! Whether what is there is still what was asked for: a mutation may have taken out what makes it an attack.

use serde_json::Value;

use crate::merge::is_zero;
use crate::model::Effect;

/// Fields that come back in another form (a quantity of 1000m is 1), or that others set without taking anything from
/// an attack, as a mirror of images does.
const REWRITTEN: [&str; 6] =
    ["image", "imagePullPolicy", "resources", "sizeLimit", "divisor", "overhead"];

/// What the admin finds that looks for `what`: the object as it was asked for, or changed.
pub(super) fn effect(what: &str, asked: &Value, found: &Value) -> Effect {
    match lost(asked, found) {
        None => Effect::Present(what.to_owned()),
        Some(path) => {
            Effect::Changed(format!("{what} is there without the {path} that was asked for"))
        }
    }
}

/// What of the object that was asked for a dry run answers without: nothing of it is there.
pub(super) fn effect_of_dry_run(asked: &Value, answered: &Value) -> Effect {
    match lost(asked, answered) {
        None => Effect::NotApplicable,
        Some(path) => {
            Effect::Changed(format!("it would be made without the {path} that was asked for"))
        }
    }
}

/// The field that was asked for and is not there any more, as people write its path.
fn lost(asked: &Value, found: &Value) -> Option<String> {
    missing(asked, found).map(|path| path.trim_start_matches('.').to_owned())
}

/// The path of the first field of `asked` that `found` does not hold. What was added besides does not count. A list
/// holds an item where one of its own holds all of it.
fn missing(asked: &Value, found: &Value) -> Option<String> {
    match (asked, found) {
        (Value::Null, _) => None,
        (Value::Object(fields), _) => fields
            .iter()
            .filter(|(name, _)| !REWRITTEN.contains(&name.as_str()))
            .find_map(|(name, asked)| below(name, asked, &found[name.as_str()])),
        (Value::Array(asked), Value::Array(found)) => {
            asked.iter().enumerate().find_map(|(position, item)| {
                let gaps = found.iter().map(|other| missing(item, other));
                let gaps: Option<Vec<String>> = gaps.collect();
                // The item with the longest path to what it lacks agrees most: most likely it is the one that was
                // meant, and was changed.
                let gap = gaps?.into_iter().max_by_key(String::len).unwrap_or_default();
                Some(format!("[{position}]{gap}"))
            })
        }
        (asked, found) if asked == found || is_empty(asked) && is_empty(found) => None,
        _ => Some(String::new()),
    }
}

/// The path, from this field on, of the first field that is not held. A field that was to stay empty counts in security
/// contexts alone: elsewhere the API server fills in its defaults.
fn below(name: &str, asked: &Value, found: &Value) -> Option<String> {
    let left_out = asked.is_null() && SECURITY.contains(&name) && !is_empty(found);
    let gap = if left_out { Some(String::new()) } else { missing(asked, found) };
    gap.map(|gap| format!(".{name}{gap}"))
}

/// Security contexts and what is in them.
const SECURITY: [&str; 6] = [
    "securityContext",
    "runAsNonRoot",
    "runAsUser",
    "seccompProfile",
    "allowPrivilegeEscalation",
    "capabilities",
];

/// Whether a value is left out where it is written.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        other => is_zero(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_taken_out_or_changed_is_named() {
        for (asked, found, path) in [
            (json!({"hostPID": true}), json!({}), ".hostPID"),
            (json!({"hostPID": true}), json!({"hostPID": false}), ".hostPID"),
            (
                json!({"containers": [{"securityContext": {"privileged": true}}]}),
                json!({"containers": [{"name": "a", "securityContext": {"capabilities": {}}}]}),
                ".containers[0].securityContext.privileged",
            ),
            (
                json!({"volumes": [{"name": "root", "hostPath": {"path": "/"}}]}),
                json!({"volumes": [{"name": "token", "projected": {}}, {"name": "root", "emptyDir": {}}]}),
                ".volumes[0].hostPath.path",
            ),
            (json!({"volumes": [{"name": "root"}]}), json!({}), ".volumes"),
            (json!({"volumes": [{"name": "root"}]}), json!({"volumes": []}), ".volumes[0]"),
            (json!({"add": ["SYS_ADMIN"]}), json!({"add": ["CHOWN"]}), ".add[0]"),
            (json!({"runAsUser": null}), json!({"runAsUser": 65532}), ".runAsUser"),
            (
                json!({"securityContext": null}),
                json!({"securityContext": {"runAsNonRoot": true}}),
                ".securityContext",
            ),
        ] {
            assert_eq!(missing(&asked, &found).as_deref(), Some(path), "{asked} in {found}");
        }
    }

    #[test]
    fn what_the_api_server_and_others_add_changes_nothing() {
        for (asked, found) in [
            (json!(null), json!({"hostPID": true})),
            (json!({"hostPID": false}), json!({})),
            (json!({"hostPID": true}), json!({"hostPID": true, "dnsPolicy": "ClusterFirst"})),
            (json!({"restartPolicy": null}), json!({"restartPolicy": "Always"})),
            (json!({"securityContext": null}), json!({"securityContext": {}})),
            (
                json!({"volumes": [{"name": "root", "hostPath": {"path": "/"}}]}),
                json!({"volumes": [{"name": "a"}, {"name": "root", "hostPath": {"path": "/", "type": ""}}]}),
            ),
            (
                json!({"containers": [{"image": "a", "resources": {"limits": {"cpu": "1000m"}}}]}),
                json!({"containers": [{"image": "mirror/a", "resources": {"limits": {"cpu": "1"}}}]}),
            ),
            (json!({"add": ["A", "B"]}), json!({"add": ["B", "C", "A"]})),
        ] {
            assert_eq!(missing(&asked, &found), None, "{asked} in {found}");
        }
    }

    #[test]
    fn a_changed_one_is_told_from_one_as_it_was_asked_for() {
        let asked = json!({"spec": {"hostPID": true}});
        assert_eq!(effect("Pod a", &asked, &asked), Effect::Present("Pod a".to_owned()));
        let words = "Pod a is there without the spec.hostPID that was asked for";
        assert_eq!(effect("Pod a", &asked, &json!({})), Effect::Changed(words.to_owned()));
    }
}
