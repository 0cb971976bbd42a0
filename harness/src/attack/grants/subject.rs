//! The subjects of a binding. A ServiceAccount can be written as a user or a group as well, and has one name here.

use globset::{GlobSet, GlobSetBuilder};
use k8s_openapi::api::rbac::v1::Subject;

use crate::attack::ActionError;
use crate::model::pattern;

/// The subject's name: `Group/name`, `User/name` or `ServiceAccount/namespace/name`. `None` if it is nobody, as a
/// ServiceAccount without a namespace is.
pub(in crate::attack) fn named(subject: &Subject, namespace: Option<&str>) -> Option<String> {
    let name = &subject.name;
    match subject.kind.as_str() {
        "ServiceAccount" => {
            let own = subject.namespace.as_deref().filter(|own| !own.is_empty());
            Some(format!("ServiceAccount/{}/{name}", own.or(namespace)?))
        }
        "User" | "Group" => Some(normal(&subject.kind, name)),
        _ => None,
    }
}

/// The one name of a user or a group. Those of ServiceAccounts begin like this
/// (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-subjects>).
pub(in crate::attack) fn normal(kind: &str, name: &str) -> String {
    let account = match kind {
        "User" => name.strip_prefix("system:serviceaccount:").and_then(|it| it.split_once(':')),
        "Group" if name == "system:serviceaccounts" => Some(("*", "*")),
        "Group" => name.strip_prefix("system:serviceaccounts:").map(|namespace| (namespace, "*")),
        _ => None,
    };
    match account {
        Some((namespace, name)) => format!("ServiceAccount/{namespace}/{name}"),
        None => format!("{kind}/{name}"),
    }
}

/// Those who may have it.
pub(in crate::attack) struct Allowed(GlobSet);

impl Allowed {
    /// Reads a scenario's patterns, in which a star is any text and everything else is itself.
    pub(in crate::attack) fn of(patterns: &[String]) -> Result<Self, ActionError> {
        let mut set = GlobSetBuilder::new();
        let wrong = |error: globset::Error| ActionError::Missing(error.to_string());
        for text in patterns {
            let (kind, name) = text.split_once('/').unwrap_or((text, ""));
            let normal = normal(kind, name);
            set.add(pattern(&normal).map_err(wrong)?);
        }
        Ok(Allowed(set.build().map_err(wrong)?))
    }

    /// Whether this subject may have it, as [`named`] names it.
    pub(in crate::attack) fn covers(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(kind: &str, name: &str, namespace: Option<&str>) -> Subject {
        Subject {
            kind: kind.to_owned(),
            name: name.to_owned(),
            namespace: namespace.map(str::to_owned),
            ..Subject::default()
        }
    }

    fn covers(pattern: &str, name: &str) -> bool {
        Allowed::of(&[pattern.to_owned()]).expect("a pattern").covers(name)
    }

    #[test]
    fn a_service_account_has_one_name() {
        for (subject, name) in [
            (subject("ServiceAccount", "operator", Some("b")), "ServiceAccount/b/operator"),
            (subject("ServiceAccount", "operator", None), "ServiceAccount/a/operator"),
            (subject("ServiceAccount", "operator", Some("")), "ServiceAccount/a/operator"),
            (
                subject("User", "system:serviceaccount:b:operator", None),
                "ServiceAccount/b/operator",
            ),
            (subject("Group", "system:serviceaccounts:b", None), "ServiceAccount/b/*"),
            (subject("Group", "system:serviceaccounts", None), "ServiceAccount/*/*"),
            (subject("Group", "system:masters", None), "Group/system:masters"),
            (subject("User", "system:serviceaccount:b", None), "User/system:serviceaccount:b"),
        ] {
            assert_eq!(named(&subject, Some("a")).as_deref(), Some(name));
        }
        assert_eq!(named(&subject("ServiceAccount", "operator", None), None), None);
        assert_eq!(named(&subject("Node", "n", None), None), None);
    }

    #[test]
    fn whoever_is_allowed_is_named_in_any_form() {
        for pattern in [
            "ServiceAccount/b/operator",
            "ServiceAccount/b/*",
            "ServiceAccount/*/operator",
            "User/system:serviceaccount:b:operator",
            "Group/system:serviceaccounts:b",
            "Group/system:serviceaccounts",
        ] {
            assert!(covers(pattern, "ServiceAccount/b/operator"), "{pattern}");
        }
        for pattern in
            ["ServiceAccount/b/oper", "ServiceAccount/a/*", "User/b/operator", "Group/b/*"]
        {
            assert!(!covers(pattern, "ServiceAccount/b/operator"), "{pattern}");
        }
    }

    #[test]
    fn a_group_of_accounts_is_allowed_only_as_a_whole() {
        assert!(covers("ServiceAccount/b/*", "ServiceAccount/b/*"));
        assert!(!covers("ServiceAccount/b/operator", "ServiceAccount/b/*"));
        assert!(!covers("ServiceAccount/b/?", "ServiceAccount/b/*"));
        assert!(!covers("ServiceAccount/b*/*", "ServiceAccount/*/*"));
    }

    #[test]
    fn nothing_but_a_star_stands_for_other_text() {
        assert!(covers("User/a[b]{c}?", "User/a[b]{c}?"));
        assert!(!covers("User/a?", "User/ab"));
        assert!(!covers("User/[ab]", "User/a"));
        assert!(covers("User/*@example.com", "User/a/b@example.com"));
    }
}
