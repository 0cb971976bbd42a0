//! The ways to get it wrong.

use serde_json::{Value, json};

use super::{Asked, Choosing, Guard, NAMESPACE_NAME, distinct, list, meant, operations};
use crate::catalog::identity;
use crate::catalog::new::sketch::{Weak, set};
use crate::model::Reason;

impl Guard<'_> {
    /// Rules that forget an operation, a subresource, or mean another group.
    pub(super) fn rules_wrong(&self, asked: &[Asked]) -> Vec<Weak> {
        let (object, place) = (&self.ruled.0, self.ruled.1);
        let change = |field: &str, value: &dyn Fn(&Value) -> Value| {
            let changed = self.rules.iter().enumerate();
            changed
                .map(|(at, rule)| set(&format!("{place}/{at}/{field}"), value(rule)))
                .collect::<Vec<_>>()
        };
        let mut weak = Vec::new();
        for missed in distinct(asked.iter().map(|it| it.operation.clone())) {
            let others = |rule: &Value| {
                let left = operations(rule).into_iter().filter(|other| *other != missed);
                let left: Vec<String> = left.collect();
                let another = if missed == "CREATE" { "UPDATE" } else { "CREATE" };
                if left.is_empty() { json!([another]) } else { json!(left) }
            };
            let of_it = asked.iter().filter(|other| other.operation == missed);
            let name = format!("misses-{}", missed.to_lowercase());
            let weakened = Weak::new(
                &name,
                "a rule for one operation says nothing of another, by which the same is done",
            )
            .patch(&[(object, change("operations", &others))]);
            weak.push(of_it.fold(weakened, |weak, other| {
                weak.expect(&self.scenario(asked, other), Reason::Bypassed)
            }));
        }
        for it in asked.iter().filter(|it| it.resource.subresource.is_some()) {
            let full = it.resource.full_name();
            let without = |rule: &Value| {
                let resources = list(&rule["resources"]);
                let left: Vec<String> =
                    resources.iter().flat_map(meant).filter(|other| *other != full).collect();
                if left.is_empty() { json!([it.resource.name]) } else { json!(left) }
            };
            let name = format!("misses-{}", it.resource.subresource.as_deref().unwrap_or_default());
            let weakened = Weak::new(&name, "a subresource is a resource of its own, which a rule on the resource does not match")
                .patch(&[(object, change("resources", &without))]);
            weak.push(weakened.expect(&self.scenario(asked, it), Reason::Bypassed));
        }
        let core = |rule: &Value| {
            if rule["apiGroups"] == json!([""]) { json!(["core"]) } else { json!([""]) }
        };
        if self.rules.iter().any(|rule| rule["apiGroups"] != json!(["*"])) {
            weak.push(
                self.noticed_by_all(
                    asked,
                    Weak::new(
                        "wrong-group",
                        "a group that the resource is not in matches nothing, and is no error",
                    )
                    .patch(&[(object, change("apiGroups", &core))]),
                ),
            );
        }
        weak.dedup_by(|one, other| one.name() == other.name());
        weak
    }

    /// Selectors that miss, or leave a namespace out.
    pub(super) fn choosing_wrong(&self, asked: &[Asked]) -> [Weak; 2] {
        let misses = |_: &Choosing| json!({"matchLabels": {"brinell.dev/none": "none"}});
        let left_out = |it: &Choosing| {
            let mut selector =
                if it.selector.is_object() { it.selector.clone() } else { json!({}) };
            let mut conditions = list(&selector["matchExpressions"]);
            conditions.push(
                json!({"key": NAMESPACE_NAME, "operator": "NotIn", "values": [self.namespace()]}),
            );
            selector["matchExpressions"] = json!(conditions);
            selector
        };
        let change = |selector: &dyn Fn(&Choosing) -> Value| {
            self.choosing.iter().map(|it| it.change(selector(it))).collect::<Vec<_>>()
        };
        let all = |weak: Weak| self.noticed_by_all(asked, weak);
        [
            all(Weak::new("selector-misses", "a selector that no namespace's labels meet is no error, and nobody is asked")
                .patch(&change(&misses))),
            all(Weak::new("namespace-left-out", "a namespace is left out by its name while it is in the way of an incident, and stays so")
                .patch(&change(&left_out))),
        ]
    }

    pub(super) fn exempt(&self, asked: &[Asked]) -> Weak {
        let place = match self.ruled.1 {
            "/webhooks/0/rules" => "/webhooks/0/matchConditions",
            _ => "/spec/matchConditions",
        };
        let people = json!({"name": "brinell-people", "expression": "!request.userInfo.username.startsWith(\"system:\")"});
        let object = self.kept.objects.iter().find(|it| identity(it) == self.ruled.0);
        let conditions = object.and_then(|it| it.pointer(place)).map(list).unwrap_or_default();
        let conditions: Vec<Value> = conditions.into_iter().chain([people]).collect();
        let why = "the cluster's own users are exempt by the beginning of their names, with which every ServiceAccount's begins";
        let weak = Weak::new("system-users-exempt", why);
        let weak = weak.patch(&[(&self.ruled.0, vec![set(place, json!(conditions))])]);
        self.noticed_by_all(asked, weak).expect(&self.reviewed(), Reason::Misconfigured)
    }
}
