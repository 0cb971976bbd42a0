//! Admission webhooks.

use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MutatingWebhook, MutatingWebhookConfiguration, ValidatingWebhook,
    ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{Client, ResourceExt};

use super::rule::{self, Rule};
use super::{all_read, flaw};
use crate::attack::ActionError;
use crate::cluster::all;
use crate::model::{Flaw, GuardReview, Reviewed};

/// An answer that may take no longer than this comes too late on a busy node. Kubernetes gives ten seconds.
const SHORT: i32 = 1;

/// The kind that is named: a mutating webhook decides before others have changed what it is asked about.
const VALIDATING: &str = "ValidatingWebhookConfiguration";

/// A webhook of either kind, as far as it is looked at.
#[derive(Debug, Clone, Default)]
struct Webhook {
    /// Its configuration's kind and name.
    configuration: String,
    name: String,
    failure_policy: Option<String>,
    match_policy: Option<String>,
    timeout: Option<i32>,
    rules: Vec<Rule>,
    namespaces: Option<LabelSelector>,
    objects: Option<LabelSelector>,
    conditions: Option<Vec<MatchCondition>>,
}

impl From<ValidatingWebhook> for Webhook {
    fn from(webhook: ValidatingWebhook) -> Self {
        Webhook {
            name: webhook.name,
            failure_policy: webhook.failure_policy,
            match_policy: webhook.match_policy,
            timeout: webhook.timeout_seconds,
            rules: webhook.rules.into_iter().flatten().map(Rule::from).collect(),
            namespaces: webhook.namespace_selector,
            objects: webhook.object_selector,
            conditions: webhook.match_conditions,
            ..Webhook::default()
        }
    }
}

/// Of a mutating webhook the same is looked at: all that it has more is when it is asked again.
impl From<MutatingWebhook> for Webhook {
    fn from(webhook: MutatingWebhook) -> Self {
        ValidatingWebhook {
            name: webhook.name,
            failure_policy: webhook.failure_policy,
            match_policy: webhook.match_policy,
            timeout_seconds: webhook.timeout_seconds,
            rules: webhook.rules,
            namespace_selector: webhook.namespace_selector,
            object_selector: webhook.object_selector,
            match_conditions: webhook.match_conditions,
            ..ValidatingWebhook::default()
        }
        .into()
    }
}

impl Webhook {
    fn of(kind: &str, configuration: &str, webhook: impl Into<Webhook>) -> Webhook {
        Webhook { configuration: format!("{kind}/{configuration}"), ..webhook.into() }
    }

    fn field(&self, field: &str) -> String {
        format!("webhooks[{}].{field}", self.name)
    }
}

/// Reads every webhook, and the namespaces.
pub(super) async fn read(admin: &Client, review: &GuardReview) -> Result<Reviewed, ActionError> {
    let (validating, mutating, namespaces) = futures::try_join!(
        all::<ValidatingWebhookConfiguration>(admin),
        all::<MutatingWebhookConfiguration>(admin),
        all::<Namespace>(admin)
    )?;
    let validating = validating.into_iter().flat_map(|it| {
        let name = it.name_any();
        let webhooks = it.webhooks.into_iter().flatten();
        webhooks.map(move |webhook| Webhook::of(VALIDATING, &name, webhook))
    });
    let mutating = mutating.into_iter().flat_map(|it| {
        let name = it.name_any();
        let webhooks = it.webhooks.into_iter().flatten();
        webhooks.map(move |webhook| Webhook::of("MutatingWebhookConfiguration", &name, webhook))
    });
    let webhooks: Vec<Webhook> = validating.chain(mutating).collect();
    let meant = webhooks.iter().filter(|webhook| is_meant(webhook, review)).count();
    Ok(all_read(meant, flaws(&webhooks, &namespaces, review)))
}

fn is_meant(webhook: &Webhook, review: &GuardReview) -> bool {
    review.named.is_empty() || review.named.iter().any(|name| is_named(webhook, name))
}

/// Whether a webhook is of the validating configuration of this name.
fn is_named(webhook: &Webhook, name: &str) -> bool {
    let (kind, own) = webhook.configuration.split_once('/').unwrap_or_default();
    kind == VALIDATING && own == name
}

fn flaws(webhooks: &[Webhook], namespaces: &[Namespace], review: &GuardReview) -> Vec<Flaw> {
    let is_missing = |name: &&String| !webhooks.iter().any(|webhook| is_named(webhook, name));
    let missing = review.named.iter().filter(is_missing);
    let mut found: Vec<Flaw> = missing.map(|name| absent(name)).collect();
    for webhook in webhooks.iter().filter(|webhook| is_meant(webhook, review)) {
        found.extend(fails_open(webhook));
        found.extend(shared_name(webhook, webhooks));
        found.extend(passes_by(webhook, review));
        found.extend(exempts(webhook, namespaces, review));
    }
    found
}

fn absent(name: &str) -> Flaw {
    let object = format!("{VALIDATING}/{name}");
    flaw(&object, "", "not there", "nobody is asked: everybody passes by")
}

/// What lets everybody in while the webhook cannot be asked.
fn fails_open(webhook: &Webhook) -> Vec<Flaw> {
    let mut found = Vec::new();
    if webhook.failure_policy.as_deref() == Some("Ignore") {
        let follows = "while it cannot be asked, or answers too late, everybody is let in: stop its pods, or keep it \
                       busy, and pass by";
        found.push(flaw(
            &webhook.configuration,
            &webhook.field("failurePolicy"),
            "Ignore",
            follows,
        ));
    }
    if let Some(seconds) = webhook.timeout.filter(|seconds| *seconds <= SHORT) {
        let follows = "whoever keeps it busy for that long decides in its place: nothing works any more until somebody \
                       lets it fail open";
        let is = format!("{seconds}");
        found.push(flaw(&webhook.configuration, &webhook.field("timeoutSeconds"), is, follows));
    }
    found
}

fn shared_name(webhook: &Webhook, all: &[Webhook]) -> Option<Flaw> {
    let same = all.iter().filter(|other| other.name == webhook.name);
    let mut others = same.filter(|other| other.configuration != webhook.configuration);
    let other = others.next()?;
    let is = format!("a name that {} has as well", other.configuration);
    let follows = "a refusal and the log name a webhook and no configuration: when one of the two is gone, nobody sees it";
    Some(flaw(&webhook.configuration, &webhook.field("name"), is, follows))
}

/// What it is not asked about.
fn passes_by(webhook: &Webhook, review: &GuardReview) -> Vec<Flaw> {
    let field = webhook.field("rules");
    let mut found = rule::unasked(&webhook.configuration, &field, review, (&webhook.rules, &[]));
    if webhook.match_policy.as_deref() == Some("Exact") {
        let follows = "it is asked about the versions that its rules name: send the same object in another version, and \
                       pass by";
        found.push(flaw(&webhook.configuration, &webhook.field("matchPolicy"), "Exact", follows));
    }
    found
}

/// Whom and what it leaves out.
fn exempts(webhook: &Webhook, namespaces: &[Namespace], review: &GuardReview) -> Vec<Flaw> {
    let object = &webhook.configuration;
    let guarded = rule::guarded(namespaces, review);
    let selector = webhook.namespaces.as_ref();
    let left_out: Vec<&str> = guarded
        .iter()
        .filter(|(_, labels)| !rule::selects(selector, labels))
        .map(|(name, _)| *name)
        .collect();
    let nowhere = guarded.is_empty().then(|| rule::nowhere(object, review));
    let left_out = rule::left_out(object, &webhook.field("namespaceSelector"), &left_out);
    let by_object =
        rule::by_object(object, &webhook.field("objectSelector"), webhook.objects.as_ref());
    let field = webhook.field("matchConditions");
    let conditions = rule::conditions(object, &field, review, webhook.conditions.as_ref());
    nowhere.into_iter().chain(left_out).chain(by_object).chain(conditions).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    fn webhook(configuration: &str, over: &Value) -> Webhook {
        let mut webhook = json!({
            "name": "guard", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {},
            "rules": [{
                "operations": ["CONNECT"], "apiGroups": [""], "apiVersions": ["v1"],
                "resources": ["pods/exec", "pods/attach"],
            }],
        });
        crate::merge::lay_over(&mut webhook, over);
        let webhook: ValidatingWebhook = serde_json::from_value(webhook).expect("a webhook");
        Webhook::of(VALIDATING, configuration, webhook)
    }

    fn namespaces() -> Vec<Namespace> {
        let namespaces = json!([
            {"metadata": {"name": "a", "labels": {"guard": "on", "kubernetes.io/metadata.name": "a"}}},
            {"metadata": {"name": "b", "labels": {"kubernetes.io/metadata.name": "b"}}},
        ]);
        serde_json::from_value(namespaces).expect("namespaces")
    }

    fn review() -> GuardReview {
        GuardReview {
            named: vec!["x".to_owned()],
            operations: vec!["CONNECT".to_owned()],
            resources: vec!["pods/exec".to_owned(), "pods/attach".to_owned()],
            labels: BTreeMap::from([("guard".to_owned(), "on".to_owned())]),
            ..GuardReview::default()
        }
    }

    fn found(over: &Value) -> Vec<String> {
        let flaws = flaws(&[webhook("x", over)], &namespaces(), &review());
        flaws.into_iter().map(|flaw| format!("{} {}", flaw.field, flaw.is)).collect()
    }

    #[test]
    fn the_smallest_webhook_is_right() {
        assert_eq!(found(&json!({})), [""; 0]);
        let careful = json!({
            "failurePolicy": "Fail", "matchPolicy": "Equivalent", "timeoutSeconds": 2,
            "objectSelector": {},
            "namespaceSelector": {
                "matchLabels": {"guard": "on"},
                "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["b"]}],
            },
        });
        assert_eq!(found(&careful), [""; 0]);
    }

    #[test]
    fn each_way_past_it_is_found() {
        let left_out = json!({"namespaceSelector": {"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["a"]},
        ]}});
        for (over, expected) in [
            (json!({"failurePolicy": "Ignore"}), "webhooks[guard].failurePolicy Ignore"),
            (json!({"timeoutSeconds": 1}), "webhooks[guard].timeoutSeconds 1"),
            (json!({"matchPolicy": "Exact"}), "webhooks[guard].matchPolicy Exact"),
            (
                json!({"objectSelector": {"matchLabels": {"a": "b"}}}),
                r#"webhooks[guard].objectSelector {"matchLabels":{"a":"b"}}"#,
            ),
            (
                json!({"matchConditions": [{"name": "c", "expression": "false"}]}),
                r#"webhooks[guard].matchConditions[c] "false""#,
            ),
            (left_out, "webhooks[guard].namespaceSelector leaving out a"),
            (
                json!({"namespaceSelector": {"matchLabels": {"guard": "onn"}}}),
                "webhooks[guard].namespaceSelector leaving out a",
            ),
            (
                json!({"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}}),
                "webhooks[guard].namespaceSelector leaving out a",
            ),
        ] {
            assert_eq!(found(&over), [expected], "{over}");
        }
        let rules = json!({"rules": [{
            "operations": ["CONNECT"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/exec"],
        }]});
        assert_eq!(found(&rules), ["webhooks[guard].rules without CONNECT of pods/attach"]);
    }

    #[test]
    fn one_that_is_not_there_or_asked_nowhere_guards_nothing() {
        let find = |webhooks: &[Webhook], namespaces: &[Namespace]| {
            let flaws = flaws(webhooks, namespaces, &review());
            flaws.into_iter().map(|flaw| flaw.is).collect::<Vec<_>>()
        };
        assert_eq!(find(&[], &namespaces()), ["not there"]);
        let mutating = Webhook {
            configuration: "MutatingWebhookConfiguration/x".to_owned(),
            ..webhook("x", &json!({"failurePolicy": "Ignore"}))
        };
        assert_eq!(find(&[mutating], &namespaces()), ["not there"]);
        let nobody = "for namespaces with guard=on, and there is none";
        assert_eq!(find(&[webhook("x", &json!({}))], &[]), [nobody]);
    }

    #[test]
    fn a_name_is_one_webhooks() {
        let find = |other: Value| {
            let webhooks = [webhook("x", &json!({})), webhook("y", &other)];
            flaws(&webhooks, &namespaces(), &review())
        };
        assert_eq!(find(json!({"name": "other"})), []);
        let is = "a name that ValidatingWebhookConfiguration/y has as well";
        assert_eq!(find(json!({})).into_iter().map(|flaw| flaw.is).collect::<Vec<_>>(), [is]);
    }

    #[test]
    fn a_condition_that_is_allowed_is_allowed_as_it_is_written() {
        let review = GuardReview { conditions: vec!["true".to_owned()], ..review() };
        let find = |expression: &str| {
            let over = json!({"matchConditions": [{"name": "c", "expression": expression}]});
            flaws(&[webhook("x", &over)], &namespaces(), &review).len()
        };
        assert_eq!((find("true"), find("true && false")), (0, 1));
    }
}
