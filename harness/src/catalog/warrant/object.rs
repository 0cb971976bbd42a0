//! What making an object takes. RBAC lets nobody make a role that holds more than they do, nor bind one, unless they
//! may `escalate` or `bind`
//! (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping>).

use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use serde_json::Value;

use super::{Claim, RBAC, named, rights, within};
use crate::catalog::{Document, namespace};
use crate::model::{Right, Rule};

/// What making a document takes, and waiting until it is there.
pub(super) fn made(document: &Document, all: &[Document]) -> Vec<Claim> {
    let object = &document.object;
    if let Some(name) = namespace(object) {
        return own_namespace(name);
    }
    let Some((group, resource)) = resource(object) else { return Vec::new() };
    let mut needed = rights(&["create"], &group, &resource);
    if let ("", "pods", Some(name)) = (group.as_str(), resource.as_str(), name(object)) {
        needed.extend(named(rights(&["list", "watch"], "", "pods"), name));
    }
    let needed = needed.into_iter().map(|right| at(right, place(object)).into());
    needed.chain(grown(object, all)).collect()
}

/// A right in a namespace, or where there is none.
fn at(right: Right, place: Option<&str>) -> Right {
    match place {
        Some(namespace) => right.within(namespace),
        None => right,
    }
}

/// A namespace of ours is made with its default account, and removed in the end.
fn own_namespace(name: &str) -> Vec<Claim> {
    let create = rights(&["create"], "", "namespaces");
    let delete = within(rights(&["delete"], "", "namespaces"), name);
    let account = within(rights(&["create"], "", "serviceaccounts"), name);
    create.into_iter().chain(delete).chain(account).map(Claim::from).collect()
}

/// The credentials of a registry are put into a namespace, and if it is ours, its default account names them.
pub(super) fn pulling(namespace: &str, is_ours: bool) -> Vec<Claim> {
    let credentials = rights(&["create"], "", "secrets");
    let account = named(rights(&["patch"], "", "serviceaccounts"), "default");
    let account = account.into_iter().filter(|_| is_ours);
    let needed = credentials.into_iter().chain(account).collect();
    within(needed, namespace).into_iter().map(Claim::from).collect()
}

/// The rights that whoever makes a role or a binding must hold where it is, or may pass over.
pub(super) fn grown(object: &Value, all: &[Document]) -> Vec<Claim> {
    let place = place(object);
    let may = |verb: &str, resource: &str| at(rights(&[verb], RBAC, resource).remove(0), place);
    match object["kind"].as_str() {
        Some("Role") => held(object, place, &may("escalate", "roles")),
        Some("ClusterRole") => held(object, place, &may("escalate", "clusterroles")),
        Some("RoleBinding" | "ClusterRoleBinding") => {
            let role = &object["roleRef"];
            let kind = if role["kind"] == "Role" { "roles" } else { "clusterroles" };
            let bind = Right { named: name_in(role), ..may("bind", kind) };
            let is_bound = |it: &&Document| {
                it.object["kind"] == role["kind"]
                    && it.object["metadata"]["name"] == role["name"]
                    && self::place(&it.object) == place
            };
            match all.iter().find(is_bound) {
                Some(ours) => held(&ours.object, place, &bind),
                None => vec![bind.into()],
            }
        }
        _ => Vec::new(),
    }
}

/// All that a role holds, or else this right.
fn held(role: &Value, place: Option<&str>, or: &Right) -> Vec<Claim> {
    let rules: Vec<Rule> = serde_json::from_value(role["rules"].clone()).unwrap_or_default();
    let rights = rules.iter().flat_map(Rule::rights);
    rights.map(|right| Claim { right: at(right, place), or: Some(or.clone()) }).collect()
}

/// The API group and the resource of an object's kind; `None` if it says none.
pub(in crate::catalog) fn resource(object: &Value) -> Option<(String, String)> {
    let types: TypeMeta = serde_json::from_value(object.clone()).ok()?;
    let kind = GroupVersionKind::try_from(&types).ok()?;
    let resource = ApiResource::from_gvk(&kind);
    Some((resource.group, resource.plural))
}

fn place(object: &Value) -> Option<&str> {
    object["metadata"]["namespace"].as_str()
}

fn name(object: &Value) -> Option<&str> {
    object["metadata"]["name"].as_str()
}

fn name_in(role: &Value) -> Option<String> {
    role["name"].as_str().map(str::to_owned)
}
