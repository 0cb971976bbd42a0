//! What rests on which kinds: where objects of a kind are not on the other cluster as they are there, what is decided
//! by them is compared with nothing.

use serde_json::Value;

use super::is_policy;
use crate::catalog::expression::{AUTHORIZER, is_said_in};
use crate::model::Layer;

/// The kinds that say what somebody may.
const ROLES: [&str; 4] = ["ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding"];

/// The plug-ins that ask the authorizers
/// (<https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/>).
const ASKING: [&str; 3] =
    ["CertificateApproval", "CertificateSigning", "OwnerReferencesPermissionEnforcement"];

/// The plug-ins that go by a namespace's annotations.
const LOOKING: [&str; 2] = ["PodNodeSelector", "PodTolerationRestriction"];

/// The plug-ins that decide on every cluster: those that an API server has by itself (`DefaultOffAdmissionPlugins` in
/// pkg/kubeapiserver/options/plugins.go), and the one that kubeadm adds. How Pod Security decides is a layer of its
/// own.
const EVERYWHERE: [&str; 17] = [
    "CertificateApproval",
    "CertificateSigning",
    "CertificateSubjectRestriction",
    "ClusterTrustBundleAttest",
    "DefaultIngressClass",
    "DefaultStorageClass",
    "DefaultTolerationSeconds",
    "LimitRanger",
    "NamespaceLifecycle",
    "NodeRestriction",
    "PersistentVolumeClaimResize",
    "Priority",
    "ResourceQuota",
    "RuntimeClass",
    "ServiceAccount",
    "StorageObjectInUseProtection",
    "TaintNodesByCondition",
];

/// The fields that hold CEL.
const EXPRESSIONS: [&str; 3] = ["expression", "messageExpression", "valueExpression"];

/// Whether objects of a kind say what somebody may.
pub fn is_of_roles(kind: &str) -> bool {
    ROLES.contains(&kind)
}

/// Whether what refuses by a layer does so by settings of the API server.
pub fn rests_on_settings(layer: &Layer) -> bool {
    match layer {
        Layer::Authentication | Layer::PodSecurity | Layer::Encryption => true,
        Layer::AdmissionPlugin(name) => !EVERYWHERE.contains(&name.as_str()),
        _ => false,
    }
}

/// Whether what refuses by a layer does so by objects of a kind, where `asking` are those policies and webhooks that
/// ask the authorizers.
pub fn rests_on(layer: &Layer, kind: &str, asking: &[Layer]) -> bool {
    use Layer::*;
    match kind {
        _ if is_of_roles(kind) => match layer {
            Authorization | Impersonation | EscalationGuard | UpgradeCheck => true,
            AdmissionPlugin(name) => ASKING.contains(&name.as_str()),
            PolicyFailure(name) => asking.iter().any(|it| Policy(name.clone()).covers(it)),
            WebhookFailure(name) => asking.iter().any(|it| Webhook(name.clone()).covers(it)),
            _ => asking.iter().any(|it| layer.covers(it)),
        },
        // By its labels and annotations.
        "Namespace" => match layer {
            AdmissionPlugin(name) => LOOKING.contains(&name.as_str()),
            PodSecurity | Policy(_) | PolicyFailure(_) | Webhook(_) | WebhookFailure(_)
            | MatchCondition => true,
            _ => false,
        },
        "ResourceQuota" => *layer == Quota,
        "LimitRange" => matches!(layer, AdmissionPlugin(name) if name == "LimitRanger"),
        "NetworkPolicy" => *layer == Network,
        "PriorityLevelConfiguration" | "FlowSchema" => *layer == FlowControl,
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
            matches!(layer, Webhook(_) | WebhookFailure(_) | MatchCondition)
        }
        // What they change is no attack any more, whoever is asked after them.
        "MutatingAdmissionPolicy" | "MutatingAdmissionPolicyBinding" => matches!(
            layer,
            AdmissionPlugin(_)
                | PodSecurity
                | Policy(_)
                | PolicyFailure(_)
                | Webhook(_)
                | WebhookFailure(_)
                | MatchCondition
                | Quota
        ),
        // Policies, what binds them, their parameters and how these are defined.
        _ => matches!(layer, Policy(_) | PolicyFailure(_)),
    }
}

/// What of an object asks the authorizers: a policy, or webhooks by their conditions
/// (<https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-authorizer-library>).
pub(super) fn asking(object: &Value) -> Vec<Layer> {
    let name = |of: &Value| of.as_str().unwrap_or_default().to_owned();
    match is_policy(object) {
        true if asks(&object["spec"]) => vec![Layer::Policy(name(&object["metadata"]["name"]))],
        true => Vec::new(),
        false => {
            let webhooks = object["webhooks"].as_array().into_iter().flatten();
            webhooks.filter(|it| asks(it)).map(|it| Layer::Webhook(name(&it["name"]))).collect()
        }
    }
}

/// Whether an expression below has the variable by which authorizers are asked.
fn asks(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(field, value)| match value.as_str() {
            Some(text) => EXPRESSIONS.contains(&field.as_str()) && is_said_in(AUTHORIZER, text),
            None => asks(value),
        }),
        Value::Array(items) => items.iter().any(asks),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rests_on(layer: &Layer, kind: &str) -> bool {
        super::rests_on(layer, kind, &[])
    }

    #[test]
    fn what_asks_the_authorizers_rests_on_roles() {
        let policy = |spec: Value| {
            asking(&json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
                "metadata": {"name": "guard"}, "spec": spec,
            }))
        };
        let expression = "authorizer.group('').resource('pods').check('delete').allowed()";
        for spec in [
            json!({"validations": [{"expression": expression}]}),
            json!({"validations": [{"expression": "true", "messageExpression": expression}]}),
            json!({"auditAnnotations": [{"key": "a", "valueExpression": expression}]}),
            json!({"matchConditions": [{"name": "a", "expression": "!authorizer.path('/').check('get').allowed()"}]}),
            json!({"variables": [{"name": "a", "expression": "[authorizer]"}]}),
            json!({"mutations": [{"jsonPatch": {"expression": expression}}]}),
        ] {
            assert_eq!(policy(spec.clone()), [Layer::Policy("guard".to_owned())], "{spec}");
        }
        for spec in [
            json!({"validations": [{"expression": "object.authorizers == 1", "message": "ask the authorizer"}]}),
            json!({"paramKind": {"kind": "authorizer"}}),
        ] {
            assert_eq!(policy(spec.clone()), [], "{spec}");
        }
        let conditions = json!([{"name": "a", "expression": expression}]);
        let webhooks =
            json!({"webhooks": [{"name": "a"}, {"name": "b", "matchConditions": conditions}]});
        assert_eq!(asking(&webhooks), [Layer::Webhook("b".to_owned())]);

        let askers = [Layer::Policy("guard".to_owned()), Layer::Webhook("b".to_owned())];
        let rests = |layer: Layer, kind: &str| super::rests_on(&layer, kind, &askers);
        for kind in ROLES {
            for name in ["guard", "gu*"] {
                assert!(rests(Layer::Policy(name.to_owned()), kind), "{name} {kind}");
                assert!(rests(Layer::PolicyFailure(name.to_owned()), kind), "{name} {kind}");
            }
            assert!(rests(Layer::WebhookFailure("b".to_owned()), kind));
            assert!(!rests(Layer::Policy("other".to_owned()), kind));
            assert!(!rests(Layer::Webhook("a".to_owned()), kind));
        }
    }

    #[test]
    fn what_is_decided_rests_on_what_decides_it() {
        let policy = Layer::Policy("images".to_owned());
        let webhook = Layer::Webhook("guard".to_owned());
        for kind in ROLES {
            assert!(rests_on(&Layer::Authorization, kind) && rests_on(&Layer::UpgradeCheck, kind));
            assert!(rests_on(&Layer::Impersonation, kind) && !rests_on(&policy, kind), "{kind}");
            assert!(is_of_roles(kind) && rests_on(&Layer::EscalationGuard, kind), "{kind}");
        }
        for kind in [
            "Namespace",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "MutatingAdmissionPolicyBinding",
            "CustomResourceDefinition",
            "ConfigMap",
        ] {
            assert!(rests_on(&policy, kind) && !rests_on(&Layer::Authorization, kind), "{kind}");
        }
        let plug_in = |name: &str| Layer::AdmissionPlugin(name.to_owned());
        for layer in
            [&policy, &webhook, &Layer::PodSecurity, &Layer::Quota, &plug_in("LimitRanger")]
        {
            assert!(rests_on(layer, "MutatingAdmissionPolicy"), "{layer}");
            assert!(rests_on(layer, "MutatingAdmissionPolicyBinding"), "{layer}");
        }
        assert!(!rests_on(&Layer::PodSecurity, "ValidatingAdmissionPolicy"));
        assert!(rests_on(&plug_in("CertificateApproval"), "ClusterRoleBinding"));
        assert!(rests_on(&plug_in("PodNodeSelector"), "Namespace"));
        assert!(!rests_on(&plug_in("PodNodeSelector"), "Role"));
        assert!(rests_on(&Layer::Quota, "ResourceQuota") && !rests_on(&policy, "ResourceQuota"));
        assert!(rests_on(&Layer::PodSecurity, "Namespace") && rests_on(&webhook, "Namespace"));
        assert!(!rests_on(&webhook, "ClusterRole") && !rests_on(&Layer::Quota, "Namespace"));
    }
}
