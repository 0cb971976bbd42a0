//! What a rule of admission matches, and what a webhook or a policy is not asked about.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, NamedRuleWithOperations, RuleWithOperations,
};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};

use super::{flaw, names};
use crate::model::{Flaw, GuardReview};

/// A rule of a webhook or a policy.
#[derive(Debug, Clone, Default)]
pub(super) struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    resources: Vec<String>,
    scope: Option<String>,
    names: Vec<String>,
}

/// A webhook's rule names no objects.
impl From<RuleWithOperations> for Rule {
    fn from(rule: RuleWithOperations) -> Self {
        let RuleWithOperations { operations, api_groups, api_versions, resources, scope } = rule;
        let resource_names = None;
        NamedRuleWithOperations {
            operations,
            api_groups,
            api_versions,
            resources,
            resource_names,
            scope,
        }
        .into()
    }
}

impl From<NamedRuleWithOperations> for Rule {
    fn from(rule: NamedRuleWithOperations) -> Self {
        Rule {
            operations: rule.operations.unwrap_or_default(),
            groups: rule.api_groups.unwrap_or_default(),
            versions: rule.api_versions.unwrap_or_default(),
            resources: rule.resources.unwrap_or_default(),
            scope: rule.scope,
            names: rule.resource_names.unwrap_or_default(),
        }
    }
}

/// What is asked about: an operation on a resource in namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question<'a> {
    pub operation: &'a str,
    pub group: &'a str,
    pub resource: &'a str,
}

/// Those who are asked about one of these and not about the other open a second door beside the one that they guard
/// (<https://kubernetes.io/docs/reference/access-authn-authz/authorization/>: each subresource is a resource of its own).
const SIBLINGS: [(&str, [&str; 2]); 1] = [("CONNECT", ["pods/exec", "pods/attach"])];

impl Rule {
    /// Whether it matches, of objects of any name. It is read as Kubernetes does
    /// (`k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/rules`): `*` is every resource and no subresource,
    /// `pods/*` is pods and their subresources, and the core group is the empty text.
    pub(super) fn covers(&self, asked: &Question<'_>) -> bool {
        self.matches(asked) && self.names.is_empty()
    }

    /// Whether it matches some object.
    pub(super) fn matches(&self, asked: &Question<'_>) -> bool {
        let one_of = |texts: &[String], text: &str| texts.iter().any(|it| it == "*" || it == text);
        // What is asked about is in namespaces, and in its version that is served always.
        one_of(&self.operations, asked.operation)
            && one_of(&self.groups, asked.group)
            && one_of(&self.versions, "v1")
            && self.scope.as_deref() != Some("Cluster")
            && self.resources.iter().any(|it| is_of(it, asked.resource))
    }
}

fn is_of(pattern: &str, resource: &str) -> bool {
    let (whole, sub) = pattern.split_once('/').unwrap_or((pattern, ""));
    let (asked, asked_sub) = resource.split_once('/').unwrap_or((resource, ""));
    (whole == "*" || whole == asked) && (sub == "*" || sub == asked_sub)
}

/// What a guard must be asked about: what the scenario says, or else the siblings of what its rules match already.
fn questions<'a>(review: &'a GuardReview, rules: &[Rule]) -> Vec<Question<'a>> {
    let resources = review.resources.iter().flat_map(|resource| {
        let ask =
            move |operation: &'a String| Question { operation, group: &review.group, resource };
        review.operations.iter().map(ask)
    });
    let mut asked: Vec<Question<'a>> = resources.collect();
    if asked.is_empty() {
        for (operation, siblings) in SIBLINGS {
            let each = siblings.map(|resource| Question { operation, group: "", resource });
            let is_one = each.iter().any(|it| rules.iter().any(|rule| rule.covers(it)));
            asked.extend(each.into_iter().filter(|_| is_one));
        }
    }
    asked
}

/// What these rules do not match and should, less what others of them exclude.
pub(super) fn unasked(
    object: &str,
    field: &str,
    review: &GuardReview,
    (rules, excluded): (&[Rule], &[Rule]),
) -> Vec<Flaw> {
    let is_asked = |it: &Question<'_>| {
        rules.iter().any(|rule| rule.covers(it)) && !excluded.iter().any(|rule| rule.matches(it))
    };
    let unasked = questions(review, rules).into_iter().filter(|it| !is_asked(it));
    let tell = |it: Question<'_>| {
        let what = format!("without {} of {}", it.operation, it.resource);
        let follows = format!("{} passes by unasked: the way in is {}", it.operation, it.resource);
        flaw(object, field, what, follows)
    };
    unasked.map(tell).collect()
}

/// The namespaces in which a guard must be asked, with their labels.
pub(super) fn guarded<'a>(
    namespaces: &'a [Namespace],
    review: &GuardReview,
) -> Vec<(&'a str, BTreeMap<String, String>)> {
    let is_meant = |namespace: &&Namespace| {
        let labels = namespace.labels();
        review.labels.iter().all(|(name, value)| labels.get(name) == Some(value))
            && !review.except.contains(&namespace.name_any())
    };
    let of = |namespace: &'a Namespace| {
        (namespace.metadata.name.as_deref().unwrap_or_default(), namespace.labels().clone())
    };
    namespaces.iter().filter(is_meant).map(of).collect()
}

/// Whether a selector selects these labels. One that cannot be understood selects nothing: that is told as a flaw.
pub(super) fn selects(selector: Option<&LabelSelector>, labels: &BTreeMap<String, String>) -> bool {
    let Some(selector) = selector else { return true };
    Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

/// Namespaces that a guard leaves out.
pub(super) fn left_out(object: &str, field: &str, left_out: &[&str]) -> Option<Flaw> {
    let follows = "it is never asked there: whoever may act in one of these namespaces passes by";
    (!left_out.is_empty())
        .then(|| flaw(object, field, format!("leaving out {}", names(left_out)), follows))
}

/// A guard that is asked nowhere.
pub(super) fn nowhere(object: &str, review: &GuardReview) -> Flaw {
    let labels: Vec<String> =
        review.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let is = format!("for namespaces with {}, and there is none", labels.join(", "));
    flaw(object, "namespaceSelector", is, "it is asked nowhere: everybody passes by")
}

/// A selector for objects, whose labels are the attacker's to write.
pub(super) fn by_object(
    object: &str,
    field: &str,
    selector: Option<&LabelSelector>,
) -> Option<Flaw> {
    let selector = selector.filter(|it| **it != LabelSelector::default())?;
    let is = serde_json::to_string(selector).unwrap_or_default();
    let follows = "whoever writes an object writes its labels, and with them decides that it is not asked; what is \
                   connected to has none";
    Some(flaw(object, field, is, follows))
}

/// Conditions that nobody has allowed.
pub(super) fn conditions(
    object: &str,
    field: &str,
    review: &GuardReview,
    conditions: Option<&Vec<MatchCondition>>,
) -> Vec<Flaw> {
    let unknown =
        conditions.into_iter().flatten().filter(|it| !review.conditions.contains(&it.expression));
    let tell = |condition: &MatchCondition| {
        let field = format!("{field}[{}]", condition.name);
        let follows = "it is asked only where this is true: whoever can make it false passes by";
        flaw(object, &field, format!("{:?}", condition.expression), follows)
    };
    unknown.map(tell).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rule(over: Value) -> Rule {
        let mut rule = json!({
            "operations": ["CONNECT"], "apiGroups": [""], "apiVersions": ["v1"],
            "resources": ["pods/exec"], "scope": "Namespaced",
        });
        crate::merge::lay_over(&mut rule, &over);
        serde_json::from_value::<NamedRuleWithOperations>(rule).expect("a rule").into()
    }

    const EXEC: Question<'_> = Question { operation: "CONNECT", group: "", resource: "pods/exec" };

    #[test]
    fn a_rule_covers_what_it_names() {
        for right in [
            json!({}),
            json!({"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "scope": "*"}),
            json!({"resources": ["pods/*"], "scope": null}),
            json!({"resources": ["*/exec"]}),
            json!({"resources": ["*/*"]}),
        ] {
            assert!(rule(right.clone()).covers(&EXEC), "{right}");
        }
    }

    #[test]
    fn a_rule_that_looks_like_it_covers_nothing_of_it() {
        for wrong in [
            json!({"operations": ["CREATE"]}),
            json!({"apiGroups": ["core"]}),
            json!({"apiVersions": ["v1beta1"]}),
            json!({"scope": "Cluster"}),
            json!({"resources": ["pods"]}),
            json!({"resources": ["*"]}),
            json!({"resourceNames": ["app"]}),
        ] {
            assert!(!rule(wrong.clone()).covers(&EXEC), "{wrong}");
        }
        let pods = Question { operation: "CONNECT", group: "", resource: "pods" };
        assert!(rule(json!({"resources": ["pods/*"]})).covers(&pods));
        assert!(rule(json!({"resources": ["*"]})).covers(&pods));
    }

    #[test]
    fn what_one_rule_excludes_no_other_brings_back() {
        let review = GuardReview {
            operations: vec!["CONNECT".to_owned()],
            resources: vec!["pods/exec".to_owned()],
            ..GuardReview::default()
        };
        let find =
            |excluded: &[Rule]| unasked("x", "rules", &review, (&[rule(json!({}))], excluded));
        assert_eq!(find(&[]), []);
        assert_eq!(find(&[rule(json!({"resources": ["pods/*"]}))]).len(), 1);
        assert_eq!(find(&[rule(json!({"resourceNames": ["app"]}))]).len(), 1);
        assert_eq!(find(&[rule(json!({"resources": ["pods/status"]}))]), []);
    }

    #[test]
    fn a_sibling_is_missed_where_nobody_says_what_must_be_asked() {
        let find = |resources: Value| {
            let rules = [rule(json!({"resources": resources}))];
            unasked("x", "rules", &GuardReview::default(), (&rules, &[])).len()
        };
        assert_eq!(find(json!(["pods/exec", "pods/attach"])), 0);
        assert_eq!(find(json!(["pods/*"])), 0);
        assert_eq!(find(json!(["pods/log"])), 0);
        assert_eq!(find(json!(["pods/exec"])), 1);
        assert_eq!(find(json!(["pods/attach"])), 1);
    }
}
