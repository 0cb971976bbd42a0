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
        let decides = |layer: &Layer| expected.signature.decides(layer);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{Signature, judge_block};
    use crate::model::{Door, Effect, Held, Holding, Judgement, Sent, Verdict};

    fn holding(reason: &str, rights: usize) -> Holding {
        Holding {
            who: "ann".to_owned(),
            rights: (1..=rights).map(|number| format!("get thing-{number}")).collect(),
            place: "in kube-system".to_owned(),
            reason: reason.to_owned(),
            expired: None,
        }
    }

    fn judged(others: Vec<Holding>, unanswered: &[&str]) -> Judgement {
        let sent = Sent {
            persona: "admin".to_owned(),
            user: None,
            impersonated: None,
            door: Door::Direct,
            method: "ASK".to_owned(),
            uri: String::new(),
            verb: None,
            audit_id: None,
            body: false,
        };
        let unanswered = unanswered.iter().map(|why| (*why).to_owned()).collect();
        let answer = Answer::Rights(Held { answered: 100, own: 2, others, unanswered });
        let decision = crate::judge::attribute(&sent, &answer, &Log::NotApplicable);
        let evidence = Evidence {
            sent,
            answer,
            decision,
            effect: Effect::NotApplicable,
            log: Log::NotApplicable,
            namesakes: Vec::new(),
        };
        let leaves = BTreeMap::new();
        let signature =
            Signature { layers: &[Layer::Authorization], saying: None, leaves: &leaves };
        judge_block(&Expected { control: "c", signature, look_at: "bindings" }, None, &evidence)
    }

    #[test]
    fn whoever_allows_a_right_is_named_by_its_own_words() {
        let rbac = r#"RBAC: allowed by RoleBinding "b/ns" of Role "r" to User "ann""#;
        for (reason, who, look_at) in [
            (
                rbac,
                r#"RBAC, allowed by RoleBinding "b/ns" of Role "r" to User "ann""#,
                r#"RoleBinding "b/ns" of Role "r" to User "ann"; bindings"#,
            ),
            (
                "RBAC is what I am not",
                "an authorizer other than RBAC: RBAC is what I am not",
                "the API server's --authorization-mode or --authorization-config; bindings",
            ),
            (
                "",
                "an authorizer other than RBAC, without a reason",
                "the API server's --authorization-mode or --authorization-config; bindings",
            ),
        ] {
            let judgement = judged(vec![holding(reason, 1)], &[]);
            let finding = &judgement.findings[0];
            assert_eq!(finding.got, "ann may get thing-1 in kube-system");
            assert_eq!(finding.who, format!("nobody refused: {who}"));
            assert_eq!(finding.look_at, look_at);
        }
    }

    #[test]
    fn many_rights_are_counted() {
        let judgement = judged(vec![holding("x", 8)], &[]);
        let got = "ann may get thing-1, get thing-2, get thing-3, get thing-4, get thing-5, get thing-6 \
                   and 2 more in kube-system";
        assert_eq!(judgement.findings[0].got, got);
    }

    #[test]
    fn a_right_that_is_held_counts_whatever_has_no_answer() {
        assert_eq!(judged(vec![holding("x", 1)], &["no route"]).verdict, Verdict::Failed);
        let judgement = judged(Vec::new(), &["no route"]);
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
        assert!(judgement.causes[0].contains("no route"), "{:?}", judgement.causes);
        let judgement = judged(Vec::new(), &[]);
        assert_eq!(judgement.verdict, Verdict::Passed);
        assert_eq!(judgement.outcome, "blocked by c (authorization)");
    }

    #[test]
    fn a_binding_past_its_expiry_is_told() {
        let over = Holding { expired: Some("2020-01-01T00:00:00Z".to_owned()), ..holding("x", 1) };
        let got =
            "ann may get thing-1 in kube-system, by a binding that expired at 2020-01-01T00:00:00Z";
        assert_eq!(judged(vec![over], &[]).findings[0].got, got);
    }
}
