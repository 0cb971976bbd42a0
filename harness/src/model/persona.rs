//! What `manifests/personas.yaml` says, as types.

use serde::Deserialize;

use super::User;

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
    /// A ServiceAccount that asks to be taken for somebody else.
    Impersonated(Impersonated),
}

/// Somebody whom a ServiceAccount asks to be, by `Impersonate-User` and `Impersonate-Group`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Impersonated {
    /// Whose token is sent.
    pub by: ServiceAccount,
    /// The user name that is asked for.
    pub user: String,
    /// The groups that are asked for.
    #[serde(default)]
    pub groups: Vec<String>,
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
    /// The user name that the API server should see, whoever the caller asks to be; none for a caller without a
    /// valid identity, and for the admin, whom only the cluster knows.
    pub fn user(&self) -> Option<String> {
        match self {
            Persona::ServiceAccount(account)
            | Persona::Impersonated(Impersonated { by: account, .. }) => {
                Some(format!("system:serviceaccount:{}:{}", account.namespace, account.name))
            }
            Persona::Anonymous | Persona::Admin | Persona::BadToken => None,
        }
    }

    /// Whom the caller asks to be.
    pub fn impersonated(&self) -> Option<User> {
        match self {
            Persona::Impersonated(impersonated) => Some(User {
                username: impersonated.user.clone(),
                groups: impersonated.groups.clone(),
            }),
            Persona::Anonymous
            | Persona::Admin
            | Persona::BadToken
            | Persona::ServiceAccount(_) => None,
        }
    }
}
