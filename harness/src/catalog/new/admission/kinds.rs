//! The control of a policy, or of a webhook configuration.

use serde_json::{Value, json};

use super::{Choosing, Guard, exempting, expressions, labels, list};
use crate::catalog::identity;
use crate::catalog::new::sketch::{Sketch, Weak, YOURS, set};
use crate::catalog::new::{Kept, untried};
use crate::model::Reason;

const SERVER: &str = "what answers it must run: name its Deployment, its Service and its certificate in `objects:` as \
                      well, and in `servers:` what serves where there are no nodes";

/// The control of a policy.
pub(in crate::catalog::new) fn policy(
    kept: &Kept,
    name: &str,
    policy: &Value,
) -> Result<Sketch, String> {
    let called = policy["metadata"]["name"].as_str().unwrap_or_default();
    let is_its = |it: &&Value| {
        it["kind"] == "ValidatingAdmissionPolicyBinding" && it["spec"]["policyName"] == called
    };
    let bindings: Vec<&Value> = kept.objects.iter().filter(is_its).collect();
    if bindings.is_empty() {
        return Err(format!(
            "the ValidatingAdmissionPolicy `{called}` has no binding in this file, without which it decides nothing: put its \
             ValidatingAdmissionPolicyBinding into the file"
        ));
    }
    let denies = |it: &&Value| list(&it["spec"]["validationActions"]).contains(&json!("Deny"));
    let denying: Vec<&Value> = bindings.iter().copied().filter(denies).collect();
    let Some(binding) = denying.first() else {
        return Err(format!(
            "no binding of the ValidatingAdmissionPolicy `{called}` has Deny among its `validationActions`, so that it refuses \
             nothing: write `validationActions: [Deny]`"
        ));
    };
    let constraints = &policy["spec"]["matchConstraints"];
    let matched = &binding["spec"]["matchResources"];
    let mut guard = Guard {
        kept,
        name,
        decides: json!([{"policy": called}]),
        review: "policies",
        named: called.to_owned(),
        ruled: (identity(policy), "/spec/matchConstraints/resourceRules"),
        rules: list(&constraints["resourceRules"]),
        bindings: bindings.iter().map(|it| identity(it)).collect(),
        choosing: denying.iter().map(|it| Choosing::of_binding(it)).collect(),
        selectors: vec![
            constraints["namespaceSelector"].clone(),
            matched["namespaceSelector"].clone(),
        ],
        labels: labels(&[&constraints["objectSelector"], &matched["objectSelector"]]),
        conditions: exempting(&policy["spec"]),
        saying: None,
        expressions: String::new(),
    };
    let asked = guard.asked()?;
    guard.choose(&asked, &policy["spec"]);
    let title = format!("What the admission policy {called} refuses is refused");
    let look_at = format!(
        "ValidatingAdmissionPolicy {called}: failurePolicy (Fail), resourceRules; {}: validationActions (Deny), \
         namespaceSelector",
        identity(binding)
    );
    let mut sketch = guard.sketch(&asked, title, look_at);
    let its = identity(policy);
    let bound: Vec<&str> = guard.bindings.iter().map(String::as_str).collect();
    let all = |weak: Weak| guard.noticed_by_all(&asked, weak);
    let identities: Vec<String> = denying.iter().map(|it| identity(it)).collect();
    let action = |it: &str| -> Vec<(&str, Vec<Value>)> {
        let change = vec![set("/spec/validationActions", json!([it]))];
        identities.iter().map(|binding| (binding.as_str(), change.clone())).collect()
    };
    sketch.weakenings.extend([
        all(Weak::new("binding-gone", "a policy without a binding is accepted, listed, and decides nothing").delete(&bound)),
        all(Weak::new("audit-only", "a policy that was tried out first stays at Audit, and records what it should refuse")
            .patch(&action("Audit"))),
        all(Weak::new("warn-only", "a warning is shown to whoever attacks, and to nobody else")
            .patch(&action("Warn"))),
        all(Weak::new("errors-ignored", "an expression that fails lets in where failurePolicy is Ignore").patch(&[(
            &its,
            vec![
                set("/spec/failurePolicy", json!("Ignore")),
                set("/spec/validations", json!([{"expression": "object.metadata.labels['brinell.dev/none'] == 'none'"}])),
            ],
        )])),
        Weak::new("fails-open-tomorrow", "none of its expressions fails today, and a field that a later version brings may make one fail")
            .patch(&[(&its, vec![set("/spec/failurePolicy", json!("Ignore"))])])
            .expect(&guard.reviewed(), Reason::Misconfigured),
    ]);
    if policy["spec"]["failurePolicy"] == "Ignore" {
        // The review of it is red, and rightly so: then there is nothing left to weaken.
        sketch.weakenings.pop();
    }
    if policy["spec"]["paramKind"].is_object() {
        let missing = |binding: &&Value| {
            let reference = binding["spec"]["paramRef"].as_object().cloned().unwrap_or_default();
            let mut reference = Value::Object(reference);
            reference["name"] = json!("brinell-none");
            reference["parameterNotFoundAction"] = json!("Allow");
            vec![set("/spec/paramRef", reference)]
        };
        let patches: Vec<(&str, Vec<Value>)> =
            identities.iter().map(String::as_str).zip(denying.iter().map(missing)).collect();
        sketch.weakenings.push(all(Weak::new(
            "parameters-missing",
            "with Allow, whoever deletes the parameters or mistypes their name turns it off",
        )
        .patch(&patches)));
    }
    Ok(sketch)
}

/// The control of a webhook configuration, validating or mutating.
pub(in crate::catalog::new) fn webhook(
    kept: &Kept,
    name: &str,
    webhooks: &Value,
) -> Result<Sketch, String> {
    let called = webhooks["metadata"]["name"].as_str().unwrap_or_default();
    let all_of_it = list(&webhooks["webhooks"]);
    let Some(first) = all_of_it.first().filter(|it| it["name"].is_string()) else {
        return Err(format!(
            "`{called}` has no webhook with a name: there is nothing that could refuse"
        ));
    };
    let deciding = all_of_it.iter().map(|it| json!({"webhook": it["name"]}));
    let guard = Guard {
        kept,
        name,
        decides: deciding.collect(),
        review: "webhooks",
        named: called.to_owned(),
        ruled: (identity(webhooks), "/webhooks/0/rules"),
        rules: list(&first["rules"]),
        bindings: Vec::new(),
        choosing: vec![Choosing {
            object: identity(webhooks),
            place: "/webhooks/0/namespaceSelector".to_owned(),
            selector: first["namespaceSelector"].clone(),
            matched: None,
        }],
        selectors: vec![first["namespaceSelector"].clone()],
        labels: labels(&[&first["objectSelector"]]),
        conditions: expressions(&first["matchConditions"]),
        saying: None,
        expressions: String::new(),
    };
    let asked = guard.asked()?;
    let title =
        format!("What the webhook {} refuses is refused", first["name"].as_str().unwrap_or(called));
    let look_at = format!(
        "{}: failurePolicy (Fail), rules, namespaceSelector; the pods that answer it",
        identity(webhooks)
    );
    let mut sketch = guard.sketch(&asked, title, look_at);
    sketch.set_up.insert(0, format!("{YOURS} {SERVER}"));
    let others = all_of_it.iter().skip(1).filter_map(|it| it["name"].as_str());
    sketch.set_up.extend(others.map(untried));
    let its = identity(webhooks);
    let every = |change: &dyn Fn(usize) -> Vec<Value>| {
        (0..all_of_it.len()).flat_map(change).collect::<Vec<_>>()
    };
    let all = |weak: Weak| guard.noticed_by_all(&asked, weak);
    sketch.weakenings.push(all(Weak::new(
        "fails-open",
        "while what answers it is down, or kept busy, Ignore lets everybody in",
    )
    .patch(&[(
        &its,
        every(&|at| {
            vec![
                set(&format!("/webhooks/{at}/failurePolicy"), json!("Ignore")),
                set(
                    &format!("/webhooks/{at}/clientConfig"),
                    json!({"url": "https://127.0.0.1:1/"}),
                ),
            ]
        }),
    )])));
    if first["failurePolicy"] != "Ignore" {
        sketch.weakenings.push(
            Weak::new("fails-open-tomorrow", "Ignore shows in no request while it is answered, and on the day that it is not everybody is let in")
                .patch(&[(&its, vec![set("/webhooks/0/failurePolicy", json!("Ignore"))])])
                .expect(&guard.reviewed(), Reason::Misconfigured),
        );
    }
    Ok(sketch)
}

impl Choosing {
    pub(super) fn of_binding(binding: &Value) -> Choosing {
        let matched = &binding["spec"]["matchResources"];
        Choosing {
            object: identity(binding),
            place: "/spec/matchResources".to_owned(),
            selector: matched["namespaceSelector"].clone(),
            matched: Some(if matched.is_object() { matched.clone() } else { json!({}) }),
        }
    }

    /// The patch by which it chooses otherwise.
    pub(super) fn change(&self, selector: Value) -> (&str, Vec<Value>) {
        let value = match &self.matched {
            Some(matched) => {
                let mut whole = matched.clone();
                whole["namespaceSelector"] = selector;
                whole
            }
            None => selector,
        };
        (&self.object, vec![set(&self.place, value)])
    }
}
