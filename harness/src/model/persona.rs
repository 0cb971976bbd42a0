//! What a persona's file says, as types. A persona's name is the file's; it is not written in the file.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Credentials, Right, User};

/// The namespace of the ServiceAccounts that are made for personas. One in another namespace belongs to a target
/// or to Kubernetes.
pub const PERSONAS: &str = "brinell-personas";

/// Who acts, and what they may do: `manifests/personas/<name>.yaml`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PersonaFile {
    /// The identity that requests are sent with.
    pub who: Persona,
    /// The ClusterRoles that it holds, and where.
    #[serde(default)]
    pub roles: Vec<HeldRole>,
}

/// A ClusterRole and where a persona holds it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HeldRole {
    /// Its name.
    pub cluster_role: String,
    /// What it allows. Empty where the role is Kubernetes' own, or where another persona's file has its rules.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Where it holds.
    pub bound: Bound,
    /// What else its bindings say.
    #[serde(default)]
    pub binding: Binding,
}

/// The roles of every cluster that a controller makes up of others
/// (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles>).
const MADE_UP: [&str; 3] = ["admin", "edit", "view"];

impl HeldRole {
    /// Whether a controller makes it up of others, so that it is empty on a cluster that has just started.
    pub fn is_made_up(&self) -> bool {
        MADE_UP.contains(&self.cluster_role.as_str())
    }
}

/// Where a role holds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// In the whole cluster, by a ClusterRoleBinding.
    Everywhere,
    /// In these namespaces of targets, by a RoleBinding in each.
    In(Vec<String>),
}

/// What a binding says beside its role and its subject.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Binding {
    /// Its name. `None` is the persona's name, for a ClusterRoleBinding with `brinell-` before it.
    #[serde(default)]
    pub name: Option<String>,
    /// Its annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// A rule of a role, in Kubernetes' own form.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rule {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    api_groups: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    resources: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    resource_names: Vec<String>,
    #[serde(rename = "nonResourceURLs", default, skip_serializing_if = "Vec::is_empty")]
    non_resource_urls: Vec<String>,
    verbs: Vec<String>,
}

impl Rule {
    /// A rule that grants verbs on resources of one group, whatever the objects' names.
    pub fn on(group: &str, resources: &[String], verbs: &[String]) -> Rule {
        Rule {
            api_groups: vec![group.to_owned()],
            resources: resources.to_vec(),
            resource_names: Vec::new(),
            non_resource_urls: Vec::new(),
            verbs: verbs.to_vec(),
        }
    }

    /// Everything that it grants, one by one.
    pub fn rights(&self) -> Vec<Right> {
        let names: Vec<Option<String>> = match self.resource_names.is_empty() {
            true => vec![None],
            false => self.resource_names.iter().cloned().map(Some).collect(),
        };
        let mut rights = Vec::new();
        for verb in &self.verbs {
            for (group, resource) in self
                .api_groups
                .iter()
                .flat_map(|group| self.resources.iter().map(move |resource| (group, resource)))
            {
                rights.extend(names.iter().map(|named| Right {
                    verb: verb.clone(),
                    group: group.clone(),
                    resource: resource.clone(),
                    named: named.clone(),
                    ..Right::default()
                }));
            }
            rights.extend(self.non_resource_urls.iter().map(|url| Right {
                verb: verb.clone(),
                url: Some(url.clone()),
                ..Right::default()
            }));
        }
        rights
    }

    /// Whether it grants this, as RBAC evaluates a rule (`pkg/apis/rbac/v1/evaluation_helpers.go`).
    pub fn grants(&self, right: &Right) -> bool {
        let holds = |list: &[String], value: &str| list.iter().any(|it| it == "*" || it == value);
        if !holds(&self.verbs, &right.verb) {
            return false;
        }
        if let Some(url) = &right.url {
            let covers = |rule: &String| match rule.strip_suffix('*') {
                Some(start) => url.starts_with(start),
                None => rule == url,
            };
            return self.non_resource_urls.iter().any(covers);
        }
        let (_, subresource) = right.resource_parts();
        let any = format!("*/{subresource}");
        let is_named = |named: &String| self.resource_names.contains(named);
        holds(&self.api_groups, &right.group)
            && (holds(&self.resources, &right.resource)
                || !subresource.is_empty() && self.resources.contains(&any))
            && (self.resource_names.is_empty() || right.named.as_ref().is_some_and(is_named))
    }
}

/// `get, create pods/exec, pods/attach`, `list deployments of apps`, `get /metrics`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what: Vec<&str> =
            self.resources.iter().chain(&self.non_resource_urls).map(String::as_str).collect();
        write!(f, "{} {}", self.verbs.join(", "), what.join(", "))?;
        if !self.resource_names.is_empty() {
            write!(f, " called {}", self.resource_names.join(", "))?;
        }
        let groups: Vec<&str> =
            self.api_groups.iter().map(String::as_str).filter(|it| !it.is_empty()).collect();
        if groups.is_empty() { Ok(()) } else { write!(f, " of {}", groups.join(", ")) }
    }
}

/// An identity that a request is sent with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Persona {
    /// No credentials at all.
    Anonymous,
    /// The cluster's administrator, as whom the harness itself makes objects and looks at them.
    Admin,
    /// A bearer token that nobody issued.
    BadToken,
    /// A token of a ServiceAccount.
    ServiceAccount(ServiceAccount),
    /// A ServiceAccount that impersonates another user.
    Impersonated(Impersonated),
    /// Somebody of an existing cluster's, by credentials of their own: a profile names them, and no persona's file.
    #[serde(skip)]
    Credentials(Credentials),
}

/// A user that a ServiceAccount impersonates, by the headers `Impersonate-User`, `-Group`, `-Uid` and `-Extra-…`
/// (<https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/>).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Impersonated {
    /// Whose token is sent; `None` is the admin, who may act as anybody.
    #[serde(default)]
    pub by: Option<ServiceAccount>,
    /// The user name that is asked for.
    pub user: String,
    /// The groups that are asked for.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The UID that is asked for.
    #[serde(default)]
    pub uid: Option<String>,
    /// What else is asked for, by its key: what authenticators and authorizers of one's own go by.
    #[serde(default)]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// A ServiceAccount. Where its namespace is [`PERSONAS`], the object is made for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ServiceAccount {
    /// The user and the groups that the API server takes it for
    /// (<https://kubernetes.io/docs/reference/access-authn-authz/authentication/#service-account-tokens>).
    pub fn decided_as(&self) -> User {
        let ServiceAccount { namespace, name } = self;
        User {
            username: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ],
        }
    }
}

impl Persona {
    /// The name of the user that authentication should find, before any impersonation; `None` for a caller without a
    /// valid identity, and where credentials are sent whose name each cluster chooses, the admin's or somebody's own.
    pub fn user(&self) -> Option<String> {
        match self {
            Persona::ServiceAccount(account)
            | Persona::Impersonated(Impersonated { by: Some(account), .. }) => {
                Some(account.decided_as().username)
            }
            Persona::Impersonated(_)
            | Persona::Anonymous
            | Persona::Admin
            | Persona::BadToken
            | Persona::Credentials(_) => None,
        }
    }

    /// As whom the API server sees it when it decides, with every group that comes along; `None` for those of whom that
    /// is not known.
    pub fn decided_as(&self) -> Option<User> {
        let in_groups = |username: String, groups: &[&str]| User {
            username,
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        };
        match self {
            Persona::Anonymous => {
                Some(in_groups("system:anonymous".to_owned(), &["system:unauthenticated"]))
            }
            Persona::ServiceAccount(account) => Some(account.decided_as()),
            Persona::Impersonated(Impersonated { user, groups, .. }) => {
                let mut groups: Vec<&str> = groups.iter().map(String::as_str).collect();
                groups.push("system:authenticated");
                Some(in_groups(user.clone(), &groups))
            }
            Persona::Admin | Persona::BadToken | Persona::Credentials(_) => None,
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
            | Persona::ServiceAccount(_)
            | Persona::Credentials(_) => None,
        }
    }
}
