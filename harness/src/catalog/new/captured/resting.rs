//! What rests on which kinds: where objects of a kind are not on the other cluster as they are there, what is decided by them
//! is compared with nothing.

use crate::model::Layer;

/// The kinds that say what somebody may.
const ROLES: [&str; 4] = ["ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding"];

/// The plug-ins that ask the authorizers
/// (<https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/>).
const ASKING: [&str; 3] =
    ["CertificateApproval", "CertificateSigning", "OwnerReferencesPermissionEnforcement"];

/// The plug-ins that go by a namespace's annotations.
const LOOKING: [&str; 2] = ["PodNodeSelector", "PodTolerationRestriction"];

/// Whether objects of a kind say what somebody may.
pub fn is_of_roles(kind: &str) -> bool {
    ROLES.contains(&kind)
}

/// Whether what refuses by a layer does so by objects of a kind.
pub fn rests_on(layer: &Layer, kind: &str) -> bool {
    use Layer::*;
    match kind {
        _ if is_of_roles(kind) => match layer {
            Authorization | Impersonation | EscalationGuard | UpgradeCheck => true,
            AdmissionPlugin(name) => ASKING.contains(&name.as_str()),
            _ => false,
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
        // Policies, what binds them, their parameters and how these are defined.
        _ => matches!(layer, Policy(_) | PolicyFailure(_)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(rests_on(&plug_in("CertificateApproval"), "ClusterRoleBinding"));
        assert!(rests_on(&plug_in("PodNodeSelector"), "Namespace"));
        assert!(!rests_on(&plug_in("PodNodeSelector"), "Role"));
        assert!(rests_on(&Layer::Quota, "ResourceQuota") && !rests_on(&policy, "ResourceQuota"));
        assert!(rests_on(&Layer::PodSecurity, "Namespace") && rests_on(&webhook, "Namespace"));
        assert!(!rests_on(&webhook, "ClusterRole") && !rests_on(&Layer::Quota, "Namespace"));
    }
}
