//! What a warrant takes, as roles and bindings to apply.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::str::FromStr;

use serde_json::{Value, json};

use super::{RBAC, Warrant, is_ours};
use crate::model::Right;

/// What all that is printed is called.
const NAME: &str = "brinell";

/// Whom roles are bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grantee(Value);

/// A text names nobody.
#[derive(Debug, thiserror::Error)]
#[error("expected User/NAME, Group/NAME or ServiceAccount/NAMESPACE/NAME")]
pub struct NoGrantee;

impl FromStr for Grantee {
    type Err = NoGrantee;

    fn from_str(text: &str) -> Result<Grantee, NoGrantee> {
        let (kind, name) =
            text.split_once('/').filter(|(_, name)| !name.is_empty()).ok_or(NoGrantee)?;
        match kind {
            // Such a name may hold slashes.
            "User" | "Group" => Ok(Grantee(json!({"apiGroup": RBAC, "kind": kind, "name": name}))),
            "ServiceAccount" => match name.split('/').collect::<Vec<_>>().as_slice() {
                [namespace, name] if !namespace.is_empty() && !name.is_empty() => {
                    Ok(Grantee(json!({"kind": kind, "namespace": namespace, "name": name})))
                }
                _ => Err(NoGrantee),
            },
            _ => Err(NoGrantee),
        }
    }
}

/// Rules of a role.
#[derive(Default)]
struct Rules {
    /// By API group and resource: each verb with the names of objects, or for any of them.
    resources: BTreeMap<(String, String), BTreeMap<String, Names>>,
    /// Paths that are no resources, by verb.
    urls: BTreeMap<String, BTreeSet<String>>,
}

/// The objects for which a verb is allowed; `None` is any of them.
type Names = Option<BTreeSet<String>>;

impl Rules {
    fn add(&mut self, right: &Right) {
        if let Some(url) = &right.url {
            self.urls.entry(right.verb.clone()).or_default().insert(url.clone());
            return;
        }
        let resource = (right.group.clone(), right.resource.clone());
        let verbs = self.resources.entry(resource).or_default();
        let names = verbs.entry(right.verb.clone()).or_insert_with(|| Some(BTreeSet::new()));
        // What is allowed for any object is allowed for each.
        match (&right.named, names.as_mut()) {
            (Some(name), Some(names)) => names.extend([name.clone()]),
            (Some(_), None) => {}
            (None, _) => *names = None,
        }
    }

    /// Each as RBAC writes it, with resources and verbs together that have all else in common.
    fn written(self) -> Vec<Value> {
        let mut together: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for ((group, resource), verbs) in self.resources {
            let mut by_names: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
            for (verb, names) in verbs {
                by_names.entry(names.into_iter().flatten().collect()).or_default().push(verb);
            }
            for (names, verbs) in by_names {
                together.entry((group.clone(), names, verbs)).or_default().push(resource.clone());
            }
        }
        let on_resources = together.into_iter().map(|((group, names, verbs), resources)| {
            let mut rule = json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
            if !names.is_empty() {
                rule["resourceNames"] = json!(names);
            }
            rule
        });
        let on_urls = self.urls.into_iter();
        let on_urls = on_urls.map(|(verb, urls)| json!({"nonResourceURLs": urls, "verbs": [verb]}));
        on_resources.chain(on_urls).collect()
    }
}

impl Warrant {
    /// The rules of the role that holds everywhere, and those of a role in each namespace that is there already.
    fn rules(&self) -> (Vec<Value>, BTreeMap<String, Vec<Value>>) {
        let mut everywhere = Rules::default();
        let mut there: BTreeMap<String, Rules> = BTreeMap::new();
        for claim in self.claims() {
            match claim.right.r#in.as_ref().filter(|namespace| !is_ours(namespace, &self.prefix)) {
                Some(namespace) => there.entry(namespace.clone()).or_default().add(&claim.right),
                None => everywhere.add(&claim.right.everywhere()),
            }
        }
        let there = there.into_iter().map(|(namespace, rules)| (namespace, rules.written()));
        (everywhere.written(), there.collect())
    }

    /// Roles with exactly this, bound to somebody, as YAML for `kubectl apply -f -`.
    pub fn manifest(&self, grantee: &Grantee) -> String {
        let (everywhere, there) = self.rules();
        let mut text = "\
# What brinell needs for the scenarios that were chosen, beside what Kubernetes allows everybody who has an identity. It holds
# in the whole cluster, because the namespaces that brinell makes have names of their run: nobody can bind a role in them
# before they are there. What a role of brinell's own grants there is needed as well: RBAC lets nobody grant what they do not
# hold. What was printed for other scenarios, or for somebody else, has the same names: this takes its place.
"
        .to_owned();
        role(&mut text, "ClusterRole", None, &everywhere);
        binding(&mut text, "ClusterRoleBinding", None, grantee);
        for (namespace, rules) in there {
            role(&mut text, "Role", Some(&namespace), &rules);
            binding(&mut text, "RoleBinding", Some(&namespace), grantee);
        }
        text
    }
}

/// The head of an object. JSON is YAML: what comes from files is written as that.
fn head(text: &mut String, kind: &str, namespace: Option<&str>) {
    let mut metadata = json!({"name": NAME});
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    write(text, &format!("---\napiVersion: {RBAC}/v1\nkind: {kind}\nmetadata: {metadata}"));
}

fn role(text: &mut String, kind: &str, namespace: Option<&str>, rules: &[Value]) {
    head(text, kind, namespace);
    write(text, "rules:");
    for rule in rules {
        write(text, &format!("- {rule}"));
    }
}

fn binding(text: &mut String, kind: &str, namespace: Option<&str>, grantee: &Grantee) {
    let role = if namespace.is_some() { "Role" } else { "ClusterRole" };
    let role = json!({"apiGroup": RBAC, "kind": role, "name": NAME});
    head(text, kind, namespace);
    write(text, &format!("roleRef: {role}\nsubjects:\n- {}", grantee.0));
}

fn write(text: &mut String, lines: &str) {
    writeln!(text, "{lines}").expect("writing to memory does not fail");
}

#[cfg(test)]
mod tests {
    use super::super::{Claim, named, rights, within};
    use super::*;
    use crate::model::Method;

    fn warrant(all: Vec<Right>) -> Warrant {
        let all: BTreeSet<Claim> = all.into_iter().map(Claim::from).collect();
        Warrant { all, each: BTreeMap::new(), prefix: "brinell-k7f3a1".to_owned() }
    }

    #[test]
    fn what_is_in_namespaces_of_ours_holds_everywhere_and_the_rest_where_it_is() {
        let ours = "brinell-k7f3a1-shop";
        let mut all = within(rights(&["get", "create"], "", "pods"), ours);
        all.extend(within(named(rights(&["get", "list"], "", "pods"), "app"), ours));
        all.extend(within(rights(&["get"], "apps", "deployments"), ours));
        all.extend(within(rights(&["delete"], "", "namespaces"), ours));
        all.extend(within(rights(&["list"], "coordination.k8s.io", "leases"), "kube-system"));
        all.extend(within(rights(&["get"], "", "secrets"), "brinell-k7f3a10"));
        all.push(Right::to_send(Method::Get, "/metrics?x"));
        let (everywhere, there) = warrant(all).rules();
        let rule = |group: &str, resource: &str, verbs: &[&str]| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
        let mut list = rule("", "pods", &["list"]);
        list["resourceNames"] = json!(["app"]);
        let pods = rule("", "pods", &["create", "get"]);
        let deleting = rule("", "namespaces", &["delete"]);
        let deployments = rule("apps", "deployments", &["get"]);
        let metrics = json!({"nonResourceURLs": ["/metrics"], "verbs": ["get"]});
        assert_eq!(everywhere, [pods, deleting, list, deployments, metrics]);
        let leases = rule("coordination.k8s.io", "leases", &["list"]);
        assert_eq!(there["kube-system"], [leases]);
        assert_eq!(there["brinell-k7f3a10"], [rule("", "secrets", &["get"])]);
    }

    #[test]
    fn somebody_is_named_as_bindings_name_them() {
        let of = |text: &str| text.parse::<Grantee>().map(|it| it.0).ok();
        let jane = json!({"apiGroup": RBAC, "kind": "User", "name": "https://idp/jane"});
        assert_eq!(of("User/https://idp/jane"), Some(jane));
        let account = json!({"kind": "ServiceAccount", "namespace": "ci", "name": "brinell"});
        assert_eq!(of("ServiceAccount/ci/brinell"), Some(account));
        for text in [
            "jane",
            "User/",
            "User",
            "ServiceAccount/ci",
            "ServiceAccount/a/b/c",
            "ServiceAccount//b",
            "Role/a",
            "",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
