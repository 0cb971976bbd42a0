//! A review of configuration that decides tomorrow.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Door, Facts, Need};

/// A reading of one subject, as the admin sees it. Nobody is attacked.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Review {
    /// Admission webhooks: those that fail open, miss what they should be asked about, or exempt somebody.
    Webhooks(GuardReview),
    /// ValidatingAdmissionPolicies with their bindings.
    Policies(GuardReview),
    /// Namespaces, with what Pod Security enforces in each of them.
    Namespaces(NamespaceReview),
    /// RoleBindings and ClusterRoleBindings: those that are over, and those to nobody yet.
    Bindings(BindingReview),
    /// ServiceAccounts with tokens that never expire.
    ServiceAccounts(ServiceAccountReview),
    /// How the API server stores what is secret, and what is stored otherwise.
    Encryption(EncryptionReview),
    /// How the API server or the kubelet is set.
    Settings(SettingReview),
}

/// Which webhooks or policies, what each must be asked about, and where.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GuardReview {
    /// The ValidatingWebhookConfigurations or the policies that must be there; all of the cluster where none is named.
    #[serde(default)]
    pub named: Vec<String>,
    /// The operations of each resource, as admission names them: `CONNECT`.
    #[serde(default)]
    pub operations: Vec<String>,
    /// The resources, each with its subresource: `pods/exec`.
    #[serde(default)]
    pub resources: Vec<String>,
    /// The resources' API group; the core group without it.
    #[serde(default)]
    pub group: String,
    /// The labels of the namespaces in which it must be asked; every namespace without them.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Namespaces in which it need not be asked, by name.
    #[serde(default)]
    pub except: Vec<String>,
    /// The match conditions that it may have, and the expressions that may go by who asks, each as it is written.
    #[serde(default)]
    pub conditions: Vec<String>,
}

/// What Pod Security must enforce, and where not.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NamespaceReview {
    /// The standard that each namespace must have, as the latest version has it.
    pub standard: Standard,
    /// Namespaces that need not have it, by name.
    #[serde(default)]
    pub except: Vec<String>,
}

/// A Pod Security Standard, from none to the strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standard {
    /// Everything is let in.
    Privileged,
    /// What takes the node at once is refused.
    Baseline,
    /// What current hardening asks for.
    Restricted,
}

/// Which bindings must end, and who need not be there.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BindingReview {
    /// The annotation that says until when a binding may stand, as `2026-12-31T23:59:59Z`.
    pub expires: String,
    /// The roles of which each binding must say so.
    #[serde(default)]
    pub temporary: Vec<String>,
    /// ServiceAccounts that need not be there, as `ServiceAccount/namespace/name`, with `*` for any text.
    #[serde(default)]
    pub except: Vec<String>,
}

/// Which ServiceAccounts may have a token that never expires.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServiceAccountReview {
    /// The Secrets that may hold one, as `namespace/name`.
    #[serde(default)]
    pub except: Vec<String>,
}

/// What must be stored as ciphertext.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EncryptionReview {
    /// The resources that must be encrypted, as an EncryptionConfiguration names them: `secrets`.
    pub resources: Vec<String>,
    /// The keys of etcd below which everything must be encrypted by the first key: `/registry/secrets/`.
    pub prefix: String,
}

/// Which settings.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SettingReview {
    /// Of the API server: what it answers without credentials.
    Anonymous(AnonymousReview),
    /// Of the API server: what its audit log keeps.
    Audit(AuditReview),
    /// Of the kubelet: whom it answers.
    Kubelet(KubeletReview),
}

/// What the API server may answer without credentials.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AnonymousReview {
    /// The paths.
    pub paths: Vec<String>,
}

/// What the audit log must keep. It has no choices yet.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AuditReview {}

/// Whom the kubelet may answer. It has no choices yet.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KubeletReview {}

impl Review {
    /// What brinell must know of it beside how it is sent.
    pub fn facts(&self) -> Facts {
        Facts {
            doors: &[Door::Direct],
            needs: self.needs(),
            waits: false,
            // A review is many requests of the admin's, none of them an attack.
            is_logged: false,
            prints: false,
            settles: None,
            by_controller: false,
        }
    }

    /// What cannot be read is not needed by accident: a review of it is skipped, and never passes. Namespaces need the
    /// API server's settings, too: where a namespace says nothing, its default and its exemptions decide.
    fn needs(&self) -> &'static [Need] {
        match self {
            Review::Webhooks(_)
            | Review::Policies(_)
            | Review::Bindings(_)
            | Review::ServiceAccounts(_) => &[],
            Review::Encryption(_) => &[Need::Settings, Need::Etcd],
            Review::Namespaces(_)
            | Review::Settings(SettingReview::Anonymous(_) | SettingReview::Audit(_)) => {
                &[Need::Settings]
            }
            // By way of the API server's proxy: its port need not be reached.
            Review::Settings(SettingReview::Kubelet(_)) => &[Need::RealNode],
        }
    }

    /// Whether it is of some guards alone, by their names.
    pub fn names_guards(&self) -> bool {
        match self {
            Review::Webhooks(review) | Review::Policies(review) => !review.named.is_empty(),
            Review::Namespaces(_)
            | Review::Bindings(_)
            | Review::ServiceAccounts(_)
            | Review::Encryption(_)
            | Review::Settings(_) => false,
        }
    }

    /// What is read, in a few words.
    pub fn words(&self) -> String {
        let named = |what: &str, names: &[String]| match names {
            [] => format!("all {what}"),
            names => format!("{what} {}", names.join(", ")),
        };
        match self {
            Review::Webhooks(review) => named("webhooks", &review.named),
            Review::Policies(review) => named("admission policies", &review.named),
            Review::Namespaces(_) => "namespaces and their Pod Security Standard".to_owned(),
            Review::Bindings(_) => "all RoleBindings and ClusterRoleBindings".to_owned(),
            Review::ServiceAccounts(_) => "all ServiceAccounts and their token Secrets".to_owned(),
            Review::Encryption(review) => format!("encryption of {}", review.resources.join(", ")),
            Review::Settings(SettingReview::Anonymous(_)) => {
                "the API server's settings for anonymous callers".to_owned()
            }
            Review::Settings(SettingReview::Audit(_)) => {
                "the API server's settings of its audit log".to_owned()
            }
            Review::Settings(SettingReview::Kubelet(_)) => "the kubelet's settings".to_owned(),
        }
    }
}
