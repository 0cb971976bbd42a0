//! Who decided: the layers of a cluster that can refuse, in the order in which a request meets them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pattern::is_like;

/// One place that can refuse. Named ones carry the name, because two webhooks are two controls.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// No identity, or one that does not hold (401).
    Authentication,
    /// The caller may not act as somebody else.
    Impersonation,
    /// API priority and fairness (429).
    FlowControl,
    /// RBAC or another authorizer: the answer does not tell which.
    Authorization,
    /// The check for `create` on streams that Kubernetes 1.35 added behind authorization.
    UpgradeCheck,
    /// RBAC's guard against granting more than one has.
    EscalationGuard,
    /// A built-in admission plug-in, by name.
    AdmissionPlugin(String),
    /// Pod Security admission.
    PodSecurity,
    /// A ValidatingAdmissionPolicy, by name.
    Policy(String),
    /// An admission policy that could not be evaluated and failed closed; a mutating one refuses in no other way.
    PolicyFailure(String),
    /// An admission webhook, by name.
    Webhook(String),
    /// An admission webhook that could not be asked and failed closed.
    WebhookFailure(String),
    /// A webhook's match condition that could not be evaluated.
    MatchCondition,
    /// A ResourceQuota.
    Quota,
    /// The object is not valid (422).
    Validation,
    /// What stands behind a proxy, whose answer can be forged.
    Backend,
    /// The kubelet.
    Kubelet,
    /// The container runtime.
    Runtime,
    /// The pod network: nothing came back.
    Network,
    /// Storage holds only ciphertext.
    Encryption,
    /// The audit policy, which keeps Secrets' bodies out of the log.
    AuditPolicy,
}

impl Layer {
    /// The name of a webhook or a policy, where it is a pattern. No real name holds a star.
    pub fn pattern(&self) -> Option<&str> {
        match self {
            Layer::Webhook(name) | Layer::Policy(name) if name.contains('*') => Some(name),
            _ => None,
        }
    }

    /// Whether this is the layer that decided, or the pattern of its name.
    pub fn covers(&self, decided: &Layer) -> bool {
        match (self, decided) {
            (Layer::Webhook(meant), Layer::Webhook(name))
            | (Layer::Policy(meant), Layer::Policy(name)) => is_like(name, meant),
            _ => self == decided,
        }
    }

    /// Whether its refusals decide nothing: it turns away what is too much, or could not be asked and fails closed.
    pub fn is_undecided(&self) -> bool {
        match self {
            Layer::FlowControl
            | Layer::PolicyFailure(_)
            | Layer::WebhookFailure(_)
            | Layer::MatchCondition => true,
            Layer::AdmissionPlugin(name) => name == "EventRateLimit",
            _ => false,
        }
    }
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Layer::Authentication => f.write_str("authentication"),
            Layer::Impersonation => f.write_str("impersonation"),
            Layer::FlowControl => f.write_str("flow control"),
            Layer::Authorization => f.write_str("authorization"),
            Layer::UpgradeCheck => f.write_str("upgrade check"),
            Layer::EscalationGuard => f.write_str("escalation guard"),
            Layer::AdmissionPlugin(name) => write!(f, "admission plug-in {name}"),
            Layer::PodSecurity => f.write_str("Pod Security"),
            Layer::Policy(name) => write!(f, "admission policy {name}"),
            Layer::PolicyFailure(name) => write!(f, "admission policy {name} failing closed"),
            Layer::Webhook(name) => write!(f, "webhook {name}"),
            Layer::WebhookFailure(name) => write!(f, "webhook {name} failing closed"),
            Layer::MatchCondition => f.write_str("broken match condition"),
            Layer::Quota => f.write_str("quota"),
            Layer::Validation => f.write_str("validation"),
            Layer::Backend => f.write_str("backend"),
            Layer::Kubelet => f.write_str("kubelet"),
            Layer::Runtime => f.write_str("runtime"),
            Layer::Network => f.write_str("network"),
            Layer::Encryption => f.write_str("encryption"),
            Layer::AuditPolicy => f.write_str("audit policy"),
        }
    }
}
