//! Where roles may grant somebody something. They only say where to ask: what is granted, the authorizers say.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::rbac::v1::PolicyRule;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::attack::grants::{Asked, Reach, Roles, normal, reach};
use crate::model::Right;

/// What comes before the key of what authorizers go by beside a user's name, where somebody may act with it.
pub(super) const EXTRAS: &str = "userextras/";

/// The rules that somebody holds by bindings, by the namespace of the binding; `None` is the whole cluster.
pub(super) struct Places<'a>(BTreeMap<Option<&'a str>, Vec<&'a [PolicyRule]>>);

impl<'a> Places<'a> {
    /// Where bindings name this user or one of these groups.
    pub(super) fn of(roles: &'a Roles, user: &str, groups: &[String]) -> Self {
        let groups = groups.iter().map(|group| normal("Group", group));
        let names: BTreeSet<String> = groups.chain([normal("User", user)]).collect();
        let mut places: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let naming = roles.bindings.iter().filter(|it| it.subjects().any(|it| names.contains(&it)));
        for binding in naming {
            places.entry(binding.namespace.as_deref()).or_default().push(roles.rules(binding));
        }
        Places(places)
    }

    /// Whether any rules are held there.
    pub(super) fn hold(&self, namespace: Option<&str>) -> bool {
        self.0.contains_key(&namespace)
    }

    /// The keys that rules name which are held in the whole cluster, below `userextras` or below whatever it is.
    pub(super) fn keys(&self) -> BTreeSet<&'a str> {
        let rules = self.0.get(&None).into_iter().flatten().copied().flatten();
        let named = rules.flat_map(|rule| rule.resources.iter().flatten());
        let key = |it: &'a String| it.strip_prefix(EXTRAS).or_else(|| it.strip_prefix("*/"));
        named.filter_map(key).collect()
    }

    /// What the rules that are held there say of a right.
    pub(super) fn reach(&self, namespace: Option<&str>, right: &Right) -> Vec<Reach> {
        let (resource, subresource) = right.resource_parts();
        let subresource = Some(subresource).filter(|it| !it.is_empty());
        let asked = match &right.url {
            Some(url) => Asked::Url { verb: &right.verb, url },
            None => {
                Asked::Resource { verb: &right.verb, group: &right.group, resource, subresource }
            }
        };
        let held = self.0.get(&namespace).into_iter().flatten();
        held.filter_map(|rules| reach(rules, &asked)).collect()
    }
}

/// The bindings that have expired by their own annotation: each as RBAC names it in its reason
/// (`plugin/pkg/auth/authorizer/rbac/rbac.go`), and when.
pub(super) struct Expired(Vec<(String, String)>);

impl Expired {
    /// Those among all bindings.
    pub(super) fn of(roles: &Roles, now: Timestamp) -> Self {
        let expired = roles.bindings.iter().filter_map(|binding| {
            let when = binding.expires.as_ref()?;
            let Time(expires) = serde_json::from_value(Value::String(when.clone())).ok()?;
            (expires <= now).then(|| (as_reason(&binding.name), when.clone()))
        });
        Expired(expired.collect())
    }

    /// When the binding has expired that an authorizer gave as its reason.
    pub(super) fn when(&self, reason: &str) -> Option<String> {
        let named =
            self.0.iter().find(|(name, _)| reason.contains(&format!("allowed by {name} of ")));
        named.map(|(_, when)| when.clone())
    }
}

/// `RoleBinding/ns/name` as `RoleBinding "name/ns"`.
fn as_reason(name: &str) -> String {
    let parts: Vec<&str> = name.split('/').collect();
    match parts.as_slice() {
        [kind, namespace, name] => format!("{kind} \"{name}/{namespace}\""),
        [kind, name] => format!("{kind} {name:?}"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
    use serde_json::json;

    use super::*;

    fn roles(bindings: &[Value]) -> Roles {
        let role = json!({"metadata": {"name": "role"}, "rules": [
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["own"], "verbs": ["get", "list"]},
        ]});
        let role: ClusterRole = serde_json::from_value(role).expect("a role");
        let binding = |value: &Value| match value["kind"] == "RoleBinding" {
            true => serde_json::from_value::<RoleBinding>(value.clone()).expect("one").into(),
            false => {
                serde_json::from_value::<ClusterRoleBinding>(value.clone()).expect("one").into()
            }
        };
        Roles::with(vec![role], bindings.iter().map(binding).collect())
    }

    fn binding(namespace: Option<&str>, subject: Value, expires: Option<&str>) -> Value {
        let mut metadata = json!({"name": "binding", "namespace": namespace});
        if let Some(expires) = expires {
            metadata["annotations"] = json!({"brinell.dev/expires": expires});
        }
        json!({
            "kind": if namespace.is_some() { "RoleBinding" } else { "ClusterRoleBinding" },
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "role"},
            "subjects": [subject],
        })
    }

    fn list(name: &str) -> Right {
        Right { verb: "list".to_owned(), resource: name.to_owned(), ..Right::default() }
    }

    #[test]
    fn a_place_is_where_a_binding_names_the_user_or_a_group_in_any_form() {
        let user = "system:serviceaccount:p:reader";
        let groups = ["system:serviceaccounts".to_owned(), "system:serviceaccounts:p".to_owned()];
        for (subject, is_named) in [
            (json!({"kind": "ServiceAccount", "name": "reader", "namespace": "p"}), true),
            (json!({"kind": "User", "name": user}), true),
            (json!({"kind": "Group", "name": "system:serviceaccounts:p"}), true),
            (json!({"kind": "Group", "name": "system:serviceaccounts"}), true),
            (json!({"kind": "ServiceAccount", "name": "reader", "namespace": "q"}), false),
            (json!({"kind": "Group", "name": "system:authenticated"}), false),
        ] {
            let roles = roles(&[binding(Some("a"), subject.clone(), None)]);
            let places = Places::of(&roles, user, &groups);
            let is_there = |namespace| !places.reach(namespace, &list("secrets")).is_empty();
            assert_eq!(is_there(Some("a")), is_named, "{subject}");
            assert!(!is_there(Some("b")) && !is_there(None));
        }
    }

    #[test]
    fn the_names_that_a_rule_is_limited_to_are_known() {
        let subject = json!({"kind": "User", "name": "ann"});
        let roles = roles(&[binding(Some("a"), subject, None)]);
        let places = Places::of(&roles, "ann", &[]);
        let own = Reach::Named(["own".to_owned()].into());
        assert_eq!(places.reach(Some("a"), &list("secrets")), [own]);
        assert!(places.reach(Some("a"), &list("pods")).is_empty());
        let url = Right { url: Some("/metrics".to_owned()), ..list("") };
        assert!(places.reach(Some("a"), &url).is_empty());
    }

    #[test]
    fn a_binding_past_its_expiry_is_known_by_the_reason() {
        let subject = json!({"kind": "User", "name": "ann"});
        let expired = |namespace, expires| {
            let roles = roles(&[binding(namespace, subject.clone(), Some(expires))]);
            let now = "2026-01-01T00:00:00Z".parse().expect("a time");
            let reason = match namespace {
                Some(_) => {
                    r#"RBAC: allowed by RoleBinding "binding/a" of ClusterRole "role" to User "ann""#
                }
                None => {
                    r#"RBAC: allowed by ClusterRoleBinding "binding" of ClusterRole "role" to User "ann""#
                }
            };
            Expired::of(&roles, now).when(reason)
        };
        let over = "2025-12-31T23:59:59Z";
        assert_eq!(expired(Some("a"), over).as_deref(), Some(over));
        assert_eq!(expired(None, over).as_deref(), Some(over));
        assert_eq!(expired(Some("a"), "2026-01-01T00:00:01Z"), None);
        assert_eq!(expired(Some("a"), "soon"), None);
    }
}
