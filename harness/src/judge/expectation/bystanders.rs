//! What the events tell of those who could have refused and did not, and where to look for it.

use std::collections::BTreeMap;

use super::Expected;
use crate::model::{Answer, Evidence, Layer, Log};

/// Who let it in.
pub(super) struct Bystanders {
    pub who: String,
    pub look_at: String,
}

/// Reads the annotations of the request that was let in: the persona's own, and where a controller made the pod, the
/// controller's.
pub(super) fn of(expected: &Expected, evidence: &Evidence) -> Bystanders {
    let annotations = annotations(evidence);
    let mut told = Told::default();
    told.authorization(expected, &annotations, evidence);
    told.authorizers(&evidence.answer);
    told.pod_security(&annotations);
    told.policies(&annotations);
    told.webhooks(&annotations);
    let who = match told.who.is_empty() {
        true => "nobody refused".to_owned(),
        false => format!("nobody refused: {}", told.who.join("; ")),
    };
    told.look_at.push(expected.look_at.to_owned());
    Bystanders { who, look_at: told.look_at.join("; ") }
}

fn annotations(evidence: &Evidence) -> BTreeMap<&str, &str> {
    let Log::Read { events, traces, .. } = &evidence.log else { return BTreeMap::new() };
    let through = matches!(evidence.answer, Answer::Through(_));
    let events = events.iter().chain(traces.iter().filter(|_| through));
    let annotations = events.flat_map(|event| &event.annotations);
    annotations.map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

/// Who allowed a request, by the reason that was given, and where to look. RBAC always gives one: the binding.
fn authorizer(reason: &str) -> (String, Option<String>) {
    if let Some(allowed) = reason.strip_prefix("RBAC: ") {
        let binding = allowed.strip_prefix("allowed by ").map(str::to_owned);
        return (format!("RBAC, {allowed}"), binding);
    }
    let who = match reason {
        "" => "an authorizer other than RBAC, without a reason".to_owned(),
        reason => format!("an authorizer other than RBAC: {reason}"),
    };
    let look_at = "the API server's --authorization-mode or --authorization-config";
    (who, Some(look_at.to_owned()))
}

#[derive(Default)]
struct Told {
    who: Vec<String>,
    look_at: Vec<String>,
}

impl Told {
    /// `RBAC: allowed by RoleBinding "x/ns" of Role "y" to ServiceAccount "z/ns"`. A member of system:masters is let in
    /// without a reason.
    fn authorization(
        &mut self,
        expected: &Expected,
        annotations: &BTreeMap<&str, &str>,
        evidence: &Evidence,
    ) {
        if annotations.get("authorization.k8s.io/decision") != Some(&"allow") {
            return;
        }
        let reason = annotations.get("authorization.k8s.io/reason").copied().unwrap_or_default();
        let decides = |layer: &Layer| expected.signature.layers.contains(layer);
        let is_asked = decides(&Layer::Authorization) || decides(&Layer::UpgradeCheck);
        let (who, look_at) = match reason {
            "" => ("authorization gave no reason, as for system:masters".to_owned(), None),
            reason => authorizer(reason),
        };
        self.who.push(who);
        self.look_at.extend(look_at.filter(|_| is_asked));
        if expected.signature.layers == [Layer::UpgradeCheck]
            && evidence.sent.verb.as_deref() == Some("get")
        {
            self.who.push("create was not asked for, or is held too".to_owned());
            self.look_at.push(
                "the API server's version and --feature-gates: AuthorizePodWebsocketUpgradeCreatePermission, \
                 which Kubernetes has from 1.35 on"
                    .to_owned(),
            );
        }
    }

    /// Who allowed what was asked about. Nobody is asked about who is in system:masters.
    fn authorizers(&mut self, answer: &Answer) {
        let Answer::Rights(held) = answer else { return };
        for (who, look_at) in held.others.iter().map(|it| authorizer(&it.reason)) {
            if !self.who.contains(&who) {
                self.who.push(who);
                self.look_at.extend(look_at.filter(|it| !self.look_at.contains(it)));
            }
        }
    }

    fn pod_security(&mut self, annotations: &BTreeMap<&str, &str>) {
        let of =
            |what: &str| annotations.get(format!("pod-security.kubernetes.io/{what}").as_str());
        if let Some(policy) = of("enforce-policy") {
            self.who.push(format!("Pod Security enforced {policy}"));
        }
        if let Some(exempt) = of("exempt") {
            self.who.push(format!("Pod Security exempts this {exempt}"));
            let list = match *exempt {
                "user" => "usernames",
                "namespace" => "namespaces",
                _ => "runtimeClasses",
            };
            self.look_at.push(format!(
                "exemptions.{list} of PodSecurity in --admission-control-config-file"
            ));
        }
        if let Some(violations) = of("audit-violations") {
            self.who.push(format!("Pod Security only recorded that it {violations}"));
        }
        if let Some(error) = of("error") {
            self.who.push(format!("Pod Security: {error}"));
        }
    }

    /// Policies whose binding audits, or that failed and were ignored.
    fn policies(&mut self, annotations: &BTreeMap<&str, &str>) {
        let Some(failures) =
            annotations.get("validation.policy.admission.k8s.io/validation_failure")
        else {
            return;
        };
        let failures: Vec<serde_json::Value> = serde_json::from_str(failures).unwrap_or_default();
        for failure in &failures {
            let text = |name: &str| failure[name].as_str().unwrap_or_default();
            let (policy, binding) = (text("policy"), text("binding"));
            self.who.push(format!("policy {policy} only recorded it: {}", text("message")));
            self.look_at.push(format!(
                "ValidatingAdmissionPolicyBinding {binding}: validationActions (Deny)"
            ));
        }
    }

    /// `failed-open.validating.webhook.admission.k8s.io/round_0_index_1: NAME` and
    /// `mutation.webhook.admission.k8s.io/round_0_index_0: {"configuration":…,"webhook":…,"mutated":true}`.
    fn webhooks(&mut self, annotations: &BTreeMap<&str, &str>) {
        for (key, value) in annotations {
            if key.starts_with("failed-open.") {
                self.who
                    .push(format!("webhook {value} could not be asked and failed open ({key})"));
            }
            if key.starts_with("mutation.webhook.") {
                let mutation: serde_json::Value = serde_json::from_str(value).unwrap_or_default();
                if mutation["mutated"] == true {
                    let text = |name: &str| mutation[name].as_str().unwrap_or_default();
                    let (webhook, of) = (text("webhook"), text("configuration"));
                    self.who.push(format!("webhook {webhook} changed it"));
                    self.look_at.push(format!("MutatingWebhookConfiguration {of}"));
                }
            }
        }
    }
}
