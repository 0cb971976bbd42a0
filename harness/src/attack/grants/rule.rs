//! What a rule grants, as RBAC evaluates it (`pkg/apis/rbac/v1/evaluation_helpers.go` of Kubernetes 1.34 to 1.37).

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::api::rbac::v1::PolicyRule;

use crate::model::Grants;

/// What is asked of every rule.
#[derive(Clone, Copy)]
pub(in crate::attack) enum Asked<'a> {
    /// A verb on a resource.
    Resource {
        /// The verb.
        verb: &'a str,
        /// The API group; empty for the core group.
        group: &'a str,
        /// The plural name.
        resource: &'a str,
        /// The subresource.
        subresource: Option<&'a str>,
    },
    /// A verb on a path that is no resource.
    Url {
        /// The verb, which is the method in lower case.
        verb: &'a str,
        /// The path.
        url: &'a str,
    },
}

impl<'a> Asked<'a> {
    /// What a scenario asks.
    pub(super) fn of(grants: &'a Grants) -> Self {
        let Grants { verb, resource, group, url, .. } = grants;
        if let Some(url) = url {
            return Asked::Url { verb, url };
        }
        let combined = resource.as_deref().unwrap_or_default();
        let (resource, subresource) = match combined.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource)),
            None => (combined, None),
        };
        Asked::Resource { verb, group, resource, subresource }
    }
}

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Asked::Url { verb, url } => write!(f, "{verb} {url}"),
            Asked::Resource { verb, group, resource, subresource } => {
                write!(f, "{verb} {resource}")?;
                if let Some(subresource) = subresource {
                    write!(f, "/{subresource}")?;
                }
                if group.is_empty() { Ok(()) } else { write!(f, " of {group}") }
            }
        }
    }
}

/// To which objects it is granted.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::attack) enum Reach {
    /// To all.
    All,
    /// To those of these names.
    Named(BTreeSet<String>),
}

/// To which objects the rules of a role grant it; `None` if to none.
pub(in crate::attack) fn reach(rules: &[PolicyRule], asked: &Asked<'_>) -> Option<Reach> {
    let Asked::Resource { verb, subresource, .. } = *asked else {
        return rules.iter().any(|rule| matches(rule, asked)).then_some(Reach::All);
    };
    let mut names = names(rules, asked)?;
    if let Reach::Named(names) = &mut names {
        match verb {
            // A collection has no name, and its deletion takes none from a field selector as a list does.
            "deletecollection" => names.clear(),
            // A POST names nothing yet. Server-side apply and PUT of what is not there do, and need both rights.
            "create" if subresource.is_none() => {
                names.retain(|name| may_change(rules, asked, name))
            }
            _ => {}
        }
        if names.is_empty() {
            return None;
        }
    }
    Some(names)
}

/// The names to which matching rules are limited.
fn names(rules: &[PolicyRule], asked: &Asked<'_>) -> Option<Reach> {
    let mut names = BTreeSet::new();
    for rule in rules.iter().filter(|rule| matches(rule, asked)) {
        let limits = rule.resource_names.as_deref().unwrap_or_default();
        if limits.is_empty() {
            return Some(Reach::All);
        }
        names.extend(limits.iter().cloned());
    }
    (!names.is_empty()).then_some(Reach::Named(names))
}

fn may_change(rules: &[PolicyRule], asked: &Asked<'_>, name: &str) -> bool {
    let Asked::Resource { group, resource, subresource, .. } = *asked else { return false };
    ["patch", "update"].iter().any(|verb| {
        match names(rules, &Asked::Resource { verb, group, resource, subresource }) {
            Some(Reach::All) => true,
            Some(Reach::Named(names)) => names.contains(name),
            None => false,
        }
    })
}

/// Whether a rule grants it, names aside.
fn matches(rule: &PolicyRule, asked: &Asked<'_>) -> bool {
    match asked {
        Asked::Url { verb, url } => {
            any(Some(&rule.verbs), |it| it == "*" || it == *verb)
                && any(rule.non_resource_urls.as_ref(), |it| covers_url(it, url))
        }
        Asked::Resource { verb, group, resource, subresource } => {
            any(Some(&rule.verbs), |it| it == "*" || it == *verb)
                && any(rule.api_groups.as_ref(), |it| it == "*" || it == *group)
                && any(rule.resources.as_ref(), |it| covers(it, resource, *subresource))
        }
    }
}

fn any(list: Option<&Vec<String>>, fits: impl Fn(&str) -> bool) -> bool {
    list.is_some_and(|list| list.iter().any(|item| fits(item)))
}

/// Whether a rule's resource covers the one that is asked for. `*` covers subresources too and `*/exec` covers
/// `pods/exec`; `pods`, `pods/*` and `*/*` do not.
fn covers(rule: &str, resource: &str, subresource: Option<&str>) -> bool {
    if rule == "*" {
        return true;
    }
    match (rule.split_once('/'), subresource) {
        (Some((parent, below)), Some(subresource)) => {
            below == subresource && (parent == "*" || parent == resource)
        }
        (None, None) => rule == resource,
        _ => false,
    }
}

/// Whether a rule's URL covers a path: itself, or all that begins as it does before its last star.
fn covers_url(rule: &str, url: &str) -> bool {
    rule == url || rule.ends_with('*') && url.starts_with(rule.trim_end_matches('*'))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asked(verb: &'static str, resource: &'static str) -> Asked<'static> {
        let (resource, subresource) = match resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource)),
            None => (resource, None),
        };
        Asked::Resource { verb, group: "", resource, subresource }
    }

    fn reached(rules: Value, asked: &Asked<'_>) -> Option<Reach> {
        let rules: Vec<PolicyRule> = serde_json::from_value(rules).expect("rules");
        reach(&rules, asked)
    }

    fn rule(group: &str, resource: &str, verb: &str) -> Value {
        json!([{"apiGroups": [group], "resources": [resource], "verbs": [verb]}])
    }

    fn by_name(resource: &str, verbs: &[&str]) -> Value {
        json!({"apiGroups": [""], "resources": [resource], "verbs": verbs, "resourceNames": ["p"]})
    }

    fn only(names: &[&str]) -> Option<Reach> {
        Some(Reach::Named(names.iter().map(|name| (*name).to_owned()).collect()))
    }

    #[test]
    fn every_way_to_write_a_grant_is_one() {
        let exec = asked("create", "pods/exec");
        for grants in [
            rule("", "pods/exec", "create"),
            rule("*", "*", "*"),
            rule("", "*", "create"),
            rule("", "*/exec", "create"),
        ] {
            assert_eq!(reached(grants.clone(), &exec), Some(Reach::All), "{grants}");
        }
    }

    #[test]
    fn what_only_looks_like_a_grant_is_none() {
        for grants in [
            rule("", "pods", "create"),
            rule("", "pods/*", "create"),
            rule("", "*/*", "*"),
            rule("", "*/exe", "create"),
            rule("", "services/exec", "create"),
            rule("apps", "*", "*"),
            rule("", "pods/exec", "get"),
            rule("", "Pods/exec", "create"),
            json!([{"apiGroups": [], "resources": ["*"], "verbs": ["*"]}]),
            json!([{"nonResourceURLs": ["*"], "verbs": ["*"]}]),
        ] {
            assert_eq!(reached(grants.clone(), &asked("create", "pods/exec")), None, "{grants}");
        }
        assert_eq!(reached(rule("", "pods/exec", "create"), &asked("create", "pods")), None);
        assert_eq!(reached(rule("", "*/exec", "create"), &asked("create", "pods")), None);
    }

    #[test]
    fn a_name_limits_what_has_one() {
        let named = json!([by_name("pods", &["*"]), by_name("pods/exec", &["*"])]);
        for (verb, resource) in
            [("get", "pods"), ("patch", "pods"), ("delete", "pods"), ("create", "pods/exec")]
        {
            assert_eq!(reached(named.clone(), &asked(verb, resource)), only(&["p"]), "{verb}");
        }
        let unlimited = json!([by_name("pods", &["get"]), rule("", "pods", "get")[0]]);
        assert_eq!(reached(unlimited, &asked("get", "pods")), Some(Reach::All));
        let empty = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": []}]);
        assert_eq!(reached(empty, &asked("get", "pods")), Some(Reach::All));
    }

    #[test]
    fn what_has_no_name_yet_is_not_granted_by_name() {
        let create = asked("create", "pods");
        assert_eq!(reached(json!([by_name("pods", &["create"])]), &create), None);
        assert_eq!(reached(json!([by_name("pods", &["create", "get"])]), &create), None);
        // Server-side apply of what is not there asks for create, and has a name.
        assert_eq!(reached(json!([by_name("pods", &["create", "patch"])]), &create), only(&["p"]));
        let apart = json!([by_name("pods", &["create"]), rule("", "pods", "patch")[0]]);
        assert_eq!(reached(apart, &create), only(&["p"]));
    }

    #[test]
    fn a_list_may_name_what_it_lists_and_the_deletion_of_a_collection_may_not() {
        let named = json!([by_name("secrets", &["list", "watch", "deletecollection"])]);
        assert_eq!(reached(named.clone(), &asked("list", "secrets")), only(&["p"]));
        assert_eq!(reached(named.clone(), &asked("watch", "secrets")), only(&["p"]));
        assert_eq!(reached(named, &asked("deletecollection", "secrets")), None);
    }

    #[test]
    fn a_url_is_covered_by_itself_and_by_what_ends_with_a_star() {
        let url = Asked::Url { verb: "get", url: "/metrics/slis" };
        let rule = |url: &str| json!([{"nonResourceURLs": [url], "verbs": ["get"]}]);
        for covering in ["*", "/*", "/metrics*", "/metrics/*", "/metrics/slis", "/metrics/**"] {
            assert_eq!(reached(rule(covering), &url), Some(Reach::All), "{covering}");
        }
        for other in ["/metrics", "/metrics/", "/livez*", "*/slis", "metrics*", ""] {
            assert_eq!(reached(rule(other), &url), None, "{other}");
        }
        assert_eq!(reached(rule("/metrics*"), &Asked::Url { verb: "post", url: "/metrics" }), None);
        let resources = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
        assert_eq!(reached(resources, &url), None);
    }
}
