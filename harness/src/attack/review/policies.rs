//! ValidatingAdmissionPolicies and their bindings: a policy decides nothing but by a binding that denies.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Client, ResourceExt};

use super::rule::{self, Rule};
use super::{all_read, flaw};
use crate::attack::ActionError;
use crate::catalog::WhoAsks;
use crate::cluster::all;
use crate::model::{Flaw, GuardReview, Reviewed};

/// Reads every policy and binding, and the namespaces.
pub(super) async fn read(admin: &Client, review: &GuardReview) -> Result<Reviewed, ActionError> {
    let (policies, bindings, namespaces) = futures::try_join!(
        all::<ValidatingAdmissionPolicy>(admin),
        all::<ValidatingAdmissionPolicyBinding>(admin),
        all::<Namespace>(admin)
    )?;
    let meant = policies.iter().filter(|policy| is_meant(policy, review)).count();
    Ok(all_read(meant, flaws(&policies, &bindings, &namespaces, review)))
}

fn is_meant(policy: &ValidatingAdmissionPolicy, review: &GuardReview) -> bool {
    review.named.is_empty() || review.named.contains(&policy.name_any())
}

fn flaws(
    policies: &[ValidatingAdmissionPolicy],
    bindings: &[ValidatingAdmissionPolicyBinding],
    namespaces: &[Namespace],
    review: &GuardReview,
) -> Vec<Flaw> {
    let missing =
        review.named.iter().filter(|name| policies.iter().all(|it| it.name_any() != **name));
    let mut found: Vec<Flaw> = missing.map(|name| absent(name)).collect();
    for policy in policies.iter().filter(|policy| is_meant(policy, review)) {
        let policy = Policy::of(policy, bindings);
        found.extend(policy.fails_open());
        found.extend(policy.bound());
        found.extend(policy.passes_by(review));
        found.extend(policy.exempts(namespaces, review));
    }
    found
}

fn absent(name: &str) -> Flaw {
    let object = format!("ValidatingAdmissionPolicy/{name}");
    flaw(&object, "", "not there", "nothing is decided: everybody passes by")
}

/// A policy with its bindings.
struct Policy<'a> {
    object: String,
    policy: &'a ValidatingAdmissionPolicy,
    bindings: Vec<&'a ValidatingAdmissionPolicyBinding>,
}

impl<'a> Policy<'a> {
    fn of(
        policy: &'a ValidatingAdmissionPolicy,
        bindings: &'a [ValidatingAdmissionPolicyBinding],
    ) -> Self {
        let name = policy.name_any();
        let is_its = |it: &&ValidatingAdmissionPolicyBinding| {
            it.spec.as_ref().and_then(|spec| spec.policy_name.as_ref()) == Some(&name)
        };
        Policy {
            object: format!("ValidatingAdmissionPolicy/{name}"),
            policy,
            bindings: bindings.iter().filter(is_its).collect(),
        }
    }

    fn constraints(&self) -> Option<&'a MatchResources> {
        self.policy.spec.as_ref()?.match_constraints.as_ref()
    }

    /// What lets in whoever it cannot decide about.
    fn fails_open(&self) -> Vec<Flaw> {
        let mut found = Vec::new();
        let spec = self.policy.spec.as_ref();
        if spec.and_then(|spec| spec.failure_policy.as_deref()) == Some("Ignore") {
            let follows = "where an expression fails, everybody is let in: send what it does not expect, and pass by";
            found.push(flaw(&self.object, "failurePolicy", "Ignore", follows));
        }
        for binding in &self.bindings {
            let reference = binding.spec.as_ref().and_then(|spec| spec.param_ref.as_ref());
            let action = reference.and_then(|it| it.parameter_not_found_action.as_deref());
            if action == Some("Allow") {
                let follows =
                    "without its parameters nothing is decided: delete or rename them, and pass by";
                found.push(flaw(
                    &named(binding),
                    "paramRef.parameterNotFoundAction",
                    "Allow",
                    follows,
                ));
            }
        }
        found
    }

    /// Whether any binding denies. One that audits beside it takes nothing away.
    fn bound(&self) -> Vec<Flaw> {
        if self.bindings.is_empty() {
            let follows = "a policy without a binding decides nothing: everybody passes by";
            return vec![flaw(&self.object, "", "without a binding", follows)];
        }
        if self.bindings.iter().any(|binding| denies(binding)) {
            return Vec::new();
        }
        let tell = |binding: &&ValidatingAdmissionPolicyBinding| {
            let actions = actions(binding).join(", ");
            let follows = "what it finds is written down or shown to whoever attacks, and let in";
            flaw(&named(binding), "validationActions", format!("{actions}, without Deny"), follows)
        };
        self.bindings.iter().map(tell).collect()
    }

    /// What it is not asked about, by its own rules or a binding's.
    fn passes_by(&self, review: &GuardReview) -> Vec<Flaw> {
        let mut found = self.unasked(&self.object, "matchConstraints", self.constraints(), review);
        for binding in &self.bindings {
            // A binding without rules takes what the policy matches.
            let limited = resources(binding)
                .filter(|it| it.resource_rules.is_some() || it.exclude_resource_rules.is_some());
            if limited.is_some() {
                found.extend(self.unasked(&named(binding), "matchResources", limited, review));
            }
        }
        found
    }

    fn unasked(
        &self,
        object: &str,
        field: &str,
        resources: Option<&MatchResources>,
        review: &GuardReview,
    ) -> Vec<Flaw> {
        let rules = |rules: Option<&Vec<_>>| -> Vec<Rule> {
            rules.into_iter().flatten().cloned().map(Rule::from).collect()
        };
        let included = rules(resources.and_then(|it| it.resource_rules.as_ref()));
        let excluded = rules(resources.and_then(|it| it.exclude_resource_rules.as_ref()));
        let mut found = rule::unasked(
            object,
            &format!("{field}.resourceRules"),
            review,
            (&included, &excluded),
        );
        if resources.and_then(|it| it.match_policy.as_deref()) == Some("Exact") {
            let follows = "it decides about the versions that its rules name: send the same object in another version, \
                           and pass by";
            found.push(flaw(object, &format!("{field}.matchPolicy"), "Exact", follows));
        }
        found
    }

    /// Whom and what it leaves out.
    fn exempts(&self, namespaces: &[Namespace], review: &GuardReview) -> Vec<Flaw> {
        let guarded = rule::guarded(namespaces, review);
        let conditions = self.policy.spec.as_ref().and_then(|spec| spec.match_conditions.as_ref());
        let nowhere = guarded.is_empty().then(|| rule::nowhere(&self.object, review));
        let conditions = rule::conditions(&self.object, "matchConditions", review, conditions);
        let named = self.leaves_out(&guarded).into_iter().chain(self.by_object());
        nowhere.into_iter().chain(named).chain(conditions).chain(self.by_user(review)).collect()
    }

    /// Expressions that go by who asks, and that nobody has allowed: what they decide for others they need not for
    /// somebody.
    fn by_user(&self, review: &GuardReview) -> Vec<Flaw> {
        let spec = self.policy.spec.as_ref();
        let variables = spec.and_then(|spec| spec.variables.as_ref()).into_iter().flatten();
        let who = WhoAsks::among(variables.clone().map(|it| (&*it.name, &*it.expression)));
        let variables = variables.map(|it| (format!("variables[{}]", it.name), &it.expression));
        let validations = spec.and_then(|spec| spec.validations.as_ref()).into_iter().flatten();
        let validations = validations
            .enumerate()
            .map(|(position, it)| (format!("validations[{position}]"), &it.expression));
        let goes_by_user = |(_, expression): &(String, &String)| {
            who.matters_to(expression) && !review.conditions.contains(expression)
        };
        let tell = |(field, expression): (String, &String)| {
            let follows = "it decides by who asks: whoever is somebody whom it lets in, or takes their token, passes by";
            flaw(&self.object, &field, format!("{expression:?}"), follows)
        };
        variables.chain(validations).filter(goes_by_user).map(tell).collect()
    }

    /// Namespaces that it leaves out itself, or that none of its bindings denies anything in.
    fn leaves_out(&self, guarded: &[(&str, BTreeMap<String, String>)]) -> Vec<Flaw> {
        let denying: Vec<_> = self.bindings.iter().filter(|binding| denies(binding)).collect();
        let mut by_itself = Vec::new();
        let mut by_binding = Vec::new();
        for (name, labels) in guarded {
            if !selects(self.constraints(), labels) {
                by_itself.push(*name);
            }
            if !denying.iter().any(|binding| selects(resources(binding), labels)) {
                by_binding.push(*name);
            }
        }
        let itself = rule::left_out(&self.object, "matchConstraints.namespaceSelector", &by_itself);
        // Where none denies, that is told already.
        let binding = denying.first().and_then(|binding| {
            rule::left_out(&named(binding), "matchResources.namespaceSelector", &by_binding)
        });
        itself.into_iter().chain(binding).collect()
    }

    /// Selectors for objects.
    fn by_object(&self) -> Vec<Flaw> {
        let selector = self.constraints().and_then(|it| it.object_selector.as_ref());
        let itself = rule::by_object(&self.object, "matchConstraints.objectSelector", selector);
        let bindings = self.bindings.iter().filter_map(|binding| {
            let selector = resources(binding).and_then(|it| it.object_selector.as_ref());
            rule::by_object(&named(binding), "matchResources.objectSelector", selector)
        });
        itself.into_iter().chain(bindings).collect()
    }
}

fn resources(binding: &ValidatingAdmissionPolicyBinding) -> Option<&MatchResources> {
    binding.spec.as_ref()?.match_resources.as_ref()
}

fn named(binding: &ValidatingAdmissionPolicyBinding) -> String {
    format!("ValidatingAdmissionPolicyBinding/{}", binding.name_any())
}

fn actions(binding: &ValidatingAdmissionPolicyBinding) -> Vec<String> {
    binding.spec.as_ref().and_then(|spec| spec.validation_actions.clone()).unwrap_or_default()
}

fn denies(binding: &ValidatingAdmissionPolicyBinding) -> bool {
    actions(binding).iter().any(|action| action == "Deny")
}

fn selects(resources: Option<&MatchResources>, labels: &BTreeMap<String, String>) -> bool {
    rule::selects(resources.and_then(|it| it.namespace_selector.as_ref()), labels)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn policy(over: &Value) -> ValidatingAdmissionPolicy {
        let mut spec = json!({
            "matchConstraints": {"resourceRules": [{
                "operations": ["CONNECT"], "apiGroups": [""], "apiVersions": ["v1"],
                "resources": ["pods/exec", "pods/attach"],
            }]},
            "validations": [{"expression": "false"}],
        });
        crate::merge::lay_over(&mut spec, over);
        let policy = json!({"metadata": {"name": "p"}, "spec": spec});
        serde_json::from_value(policy).expect("a policy")
    }

    fn binding(over: &Value) -> ValidatingAdmissionPolicyBinding {
        let mut spec = json!({"policyName": "p", "validationActions": ["Deny"]});
        crate::merge::lay_over(&mut spec, over);
        let binding = json!({"metadata": {"name": "b"}, "spec": spec});
        serde_json::from_value(binding).expect("a binding")
    }

    fn review() -> GuardReview {
        GuardReview {
            named: vec!["p".to_owned()],
            operations: vec!["CONNECT".to_owned()],
            resources: vec!["pods/exec".to_owned(), "pods/attach".to_owned()],
            labels: BTreeMap::from([("guard".to_owned(), "on".to_owned())]),
            ..GuardReview::default()
        }
    }

    fn found(
        policies: &[ValidatingAdmissionPolicy],
        bindings: &[ValidatingAdmissionPolicyBinding],
    ) -> Vec<String> {
        let namespaces = json!([{"metadata": {"name": "a", "labels": {"guard": "on"}}}, {"metadata": {"name": "b"}}]);
        let namespaces: Vec<Namespace> = serde_json::from_value(namespaces).expect("namespaces");
        let flaws = flaws(policies, bindings, &namespaces, &review());
        let tell = |flaw: Flaw| format!("{} {} {}", &flaw.object[25..], flaw.field, flaw.is);
        flaws.into_iter().map(tell).collect()
    }

    #[test]
    fn the_smallest_policy_with_a_binding_is_right() {
        assert_eq!(found(&[policy(&json!({}))], &[binding(&json!({}))]), [""; 0]);
        let careful =
            json!({"matchResources": {"namespaceSelector": {"matchLabels": {"guard": "on"}}}});
        assert_eq!(found(&[policy(&json!({}))], &[binding(&careful)]), [""; 0]);
        let two = [
            binding(
                &json!({"matchResources": {"namespaceSelector": {"matchLabels": {"guard": "x"}}}}),
            ),
            binding(&careful),
        ];
        assert_eq!(found(&[policy(&json!({"failurePolicy": "Fail"}))], &two), [""; 0]);
    }

    #[test]
    fn a_policy_without_a_binding_that_denies_decides_nothing() {
        assert_eq!(found(&[], &[]), ["/p  not there"]);
        let whole = || [policy(&json!({}))];
        assert_eq!(found(&whole(), &[]), ["/p  without a binding"]);
        let other = binding(&json!({"policyName": "q"}));
        assert_eq!(found(&whole(), &[other]), ["/p  without a binding"]);
        for actions in [json!(["Audit"]), json!(["Warn", "Audit"])] {
            let found = found(&whole(), &[binding(&json!({"validationActions": actions}))]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].ends_with("without Deny"), "{found:?}");
        }
        let audits = binding(&json!({"validationActions": ["Audit"]}));
        assert_eq!(found(&whole(), &[audits, binding(&json!({}))]), [""; 0]);
    }

    #[test]
    fn each_way_past_a_policy_is_found() {
        let excluded = json!([{
            "operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/attach"],
        }]);
        for (over, expected) in [
            (json!({"failurePolicy": "Ignore"}), "failurePolicy Ignore"),
            (
                json!({"matchConstraints": {"matchPolicy": "Exact"}}),
                "matchConstraints.matchPolicy Exact",
            ),
            (
                json!({"matchConstraints": {"excludeResourceRules": excluded}}),
                "matchConstraints.resourceRules without CONNECT of pods/attach",
            ),
            (
                json!({"matchConstraints": {"namespaceSelector": {"matchLabels": {"x": "y"}}}}),
                "matchConstraints.namespaceSelector leaving out a",
            ),
            (
                json!({"matchConstraints": {"objectSelector": {"matchLabels": {"x": "y"}}}}),
                r#"matchConstraints.objectSelector {"matchLabels":{"x":"y"}}"#,
            ),
            (
                json!({"matchConditions": [{"name": "c", "expression": "true"}]}),
                r#"matchConditions[c] "true""#,
            ),
            (
                json!({"validations": [{"expression": "false || request.userInfo.username == 'a'"}]}),
                r#"validations[0] "false || request.userInfo.username == 'a'""#,
            ),
            (
                json!({"validations": [{}, {"expression": "authorizer.path('/').check('get').allowed()"}]}),
                r#"validations[1] "authorizer.path('/').check('get').allowed()""#,
            ),
            (
                json!({"variables": [{"name": "who", "expression": "request.userInfo"}]}),
                r#"variables[who] "request.userInfo""#,
            ),
        ] {
            assert_eq!(found(&[policy(&over)], &[binding(&json!({}))]), [format!("/p {expected}")]);
        }
    }

    #[test]
    fn an_expression_that_goes_by_who_asks_is_allowed_by_its_text() {
        let by_user = "request.userInfo.username == 'a'";
        let policy = policy(&json!({
            "variables": [
                {"name": "who", "expression": by_user},
                {"name": "nobody", "expression": "!variables.who"},
            ],
            "validations": [
                {"expression": by_user}, {"expression": "object.authorizers == 1"},
                {"expression": "variables.nobody"}, {"expression": "object.who"},
            ],
        }));
        let flaws = |conditions: &[&str]| {
            let conditions = conditions.iter().map(|it| (*it).to_owned()).collect();
            Policy::of(&policy, &[]).by_user(&GuardReview { conditions, ..review() }).len()
        };
        assert_eq!(flaws(&[]), 4);
        assert_eq!(flaws(&["request.userInfo.username == 'b'"]), 4);
        // What rests on an expression that is allowed is not allowed with it.
        assert_eq!(flaws(&[by_user]), 2);
        assert_eq!(flaws(&[by_user, "!variables.who", "variables.nobody"]), 0);
    }

    #[test]
    fn each_way_past_a_binding_is_found() {
        let rules = json!([{
            "operations": ["CONNECT"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/exec"],
        }]);
        for (over, expected) in [
            (
                json!({"paramRef": {"name": "x", "parameterNotFoundAction": "Allow"}}),
                "paramRef.parameterNotFoundAction Allow",
            ),
            (
                json!({"matchResources": {"namespaceSelector": {"matchLabels": {"x": "y"}}}}),
                "matchResources.namespaceSelector leaving out a",
            ),
            (
                json!({"matchResources": {"objectSelector": {"matchLabels": {"x": "y"}}}}),
                r#"matchResources.objectSelector {"matchLabels":{"x":"y"}}"#,
            ),
            (
                json!({"matchResources": {"resourceRules": rules}}),
                "matchResources.resourceRules without CONNECT of pods/attach",
            ),
        ] {
            let found = found(&[policy(&json!({}))], &[binding(&over)]);
            assert_eq!(found, [format!("Binding/b {expected}")]);
        }
    }
}
