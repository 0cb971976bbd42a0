//! Whether a binding in one namespace can grant what is asked for at all: a RoleBinding to `cluster-admin` grants no
//! nodes.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::Client;

use super::Binding;
use super::rule::{Asked, Reach};
use crate::attack::ActionError;

/// Where objects are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scope {
    /// In namespaces.
    Namespaced,
    /// In none. A path that is no resource is in none either.
    Cluster,
    /// Each of them is a namespace, and a request that names it counts as one in it
    /// (`pkg/endpoints/request/requestinfo.go`).
    Namespaces,
}

/// What RBAC is asked about and no API serves: impersonation and signers. All are in no namespace but the
/// ServiceAccounts that constrained impersonation (KEP-5284) asks about.
const UNSERVED: [(&str, &str, Scope); 9] = [
    ("", "users", Scope::Cluster),
    ("", "groups", Scope::Cluster),
    ("authentication.k8s.io", "users", Scope::Cluster),
    ("authentication.k8s.io", "groups", Scope::Cluster),
    ("authentication.k8s.io", "uids", Scope::Cluster),
    ("authentication.k8s.io", "userextras", Scope::Cluster),
    ("authentication.k8s.io", "nodes", Scope::Cluster),
    ("authentication.k8s.io", "serviceaccounts", Scope::Namespaced),
    ("certificates.k8s.io", "signers", Scope::Cluster),
];

/// Looks up where the objects are that are asked about.
pub(super) async fn of(admin: &Client, asked: &Asked<'_>) -> Result<Scope, ActionError> {
    let (group, resource) = match *asked {
        Asked::Url { .. } => return Ok(Scope::Cluster),
        Asked::Resource { resource: "*", .. } => return Ok(Scope::Namespaced),
        Asked::Resource { group: "", resource: "namespaces", .. } => return Ok(Scope::Namespaces),
        Asked::Resource { group, resource, .. } => (group, resource),
    };
    let is_asked = |it: &&(&str, &str, Scope)| (it.0, it.1) == (group, resource);
    if let Some((_, _, scope)) = UNSERVED.iter().find(is_asked) {
        return Ok(*scope);
    }
    let served = served(admin, group).await?;
    let mut resources = served.iter().flat_map(|list| &list.resources);
    match resources.find(|served| served.name == resource) {
        Some(served) if served.namespaced => Ok(Scope::Namespaced),
        Some(_) => Ok(Scope::Cluster),
        None => Err(ActionError::Missing(format!(
            "the API server serves no {resource:?} in the group {group:?}, so that nobody can be granted it"
        ))),
    }
}

/// The resources of a group, in all its versions.
async fn served(admin: &Client, group: &str) -> Result<Vec<APIResourceList>, kube::Error> {
    if group.is_empty() {
        return Ok(vec![admin.list_core_api_resources("v1").await?]);
    }
    let groups = admin.list_api_groups().await?.groups;
    let versions = groups.into_iter().filter(|it| it.name == group).flat_map(|it| it.versions);
    let lists =
        versions.map(async |version| admin.list_api_group_resources(&version.group_version).await);
    futures::future::try_join_all(lists).await
}

impl Scope {
    /// How much of what its role grants a binding passes on.
    pub(super) fn of_binding(
        self,
        reach: Reach,
        asked: &Asked<'_>,
        binding: &Binding,
    ) -> Option<Reach> {
        let Some(namespace) = &binding.namespace else { return Some(reach) };
        match self {
            Scope::Namespaced => Some(reach),
            Scope::Cluster => None,
            Scope::Namespaces => {
                let named = match &reach {
                    Reach::All => names_one(asked),
                    Reach::Named(names) => names_one(asked) && names.contains(namespace),
                };
                named.then(|| Reach::Named(BTreeSet::from([namespace.clone()])))
            }
        }
    }
}

/// Whether a request names the object.
fn names_one(asked: &Asked<'_>) -> bool {
    let collection = ["create", "list", "watch", "deletecollection"];
    match asked {
        Asked::Resource { verb, subresource: None, .. } => !collection.contains(verb),
        Asked::Resource { .. } => true,
        Asked::Url { .. } => false,
    }
}
