//! What `manifests/personas.yaml` says, as types.

use serde::Deserialize;

/// An identity that a request is sent with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Persona {
    /// No credentials at all.
    Anonymous,
    /// The cluster's administrator: the harness's own hands.
    Admin,
    /// A bearer token that nobody issued.
    BadToken,
    /// A token of a ServiceAccount.
    ServiceAccount(ServiceAccount),
}

/// A ServiceAccount. The object and what it may do belong to the control `least-privilege` or to a target.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Persona {
    /// The user name that the API server should see; none for a caller without a valid identity, and for the admin,
    /// whom only the cluster knows.
    pub fn user(&self) -> Option<String> {
        match self {
            Persona::ServiceAccount(account) => {
                Some(format!("system:serviceaccount:{}:{}", account.namespace, account.name))
            }
            Persona::Anonymous | Persona::Admin | Persona::BadToken => None,
        }
    }
}
