//! Who may? All roles and bindings, read by the admin. What nobody can try, because authentication stops it on most
//! paths or because it takes another step first, shows here all the same.

use std::collections::BTreeSet;

use globset::{Glob, GlobSet, GlobSetBuilder};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::{ActionError, Attempt, Observation};
use crate::catalog::Grants;
use crate::verdict::{Answer, Effect, Granted};

/// Lists everybody to whom a role grants it, in any namespace.
pub(super) async fn review(
    attempt: &Attempt<'_>,
    grants: &Grants,
) -> Result<Observation, ActionError> {
    let roles = Roles::read(&attempt.world.admin).await?;
    let granted = roles.granted(grants, &patterns(&grants.allowed)?);
    let what = format!("grants of {} {}", grants.verb, grants.resource);
    Ok(Observation {
        sent: attempt.sent_past("READ", what),
        answer: Answer::Grants(granted),
        effect: Effect::NotApplicable,
        traced: None,
    })
}

fn patterns(allowed: &[String]) -> Result<GlobSet, ActionError> {
    let mut set = GlobSetBuilder::new();
    let wrong = |error: globset::Error| ActionError::Missing(error.to_string());
    for pattern in allowed {
        set.add(Glob::new(pattern).map_err(wrong)?);
    }
    set.build().map_err(wrong)
}

/// All roles and bindings of a cluster.
#[derive(Default)]
struct Roles {
    cluster_roles: Vec<ClusterRole>,
    roles: Vec<Role>,
    cluster_bindings: Vec<ClusterRoleBinding>,
    bindings: Vec<RoleBinding>,
}

impl Roles {
    async fn read(admin: &Client) -> Result<Self, kube::Error> {
        let all = ListParams::default();
        let cluster_roles = Api::<ClusterRole>::all(admin.clone());
        let roles = Api::<Role>::all(admin.clone());
        let cluster_bindings = Api::<ClusterRoleBinding>::all(admin.clone());
        let bindings = Api::<RoleBinding>::all(admin.clone());
        let (cluster_roles, roles, cluster_bindings, bindings) = futures::try_join!(
            cluster_roles.list(&all),
            roles.list(&all),
            cluster_bindings.list(&all),
            bindings.list(&all)
        )?;
        Ok(Roles {
            cluster_roles: cluster_roles.items,
            roles: roles.items,
            cluster_bindings: cluster_bindings.items,
            bindings: bindings.items,
        })
    }

    fn granted(&self, grants: &Grants, allowed: &GlobSet) -> Granted {
        let everywhere = self.cluster_bindings.iter().map(|binding| {
            let name = format!("ClusterRoleBinding/{}", binding.name_any());
            (name, None, &binding.role_ref, &binding.subjects)
        });
        let somewhere = self.bindings.iter().map(|binding| {
            let namespace = binding.namespace().unwrap_or_default();
            let name = format!("RoleBinding/{namespace}/{}", binding.name_any());
            (name, Some(namespace), &binding.role_ref, &binding.subjects)
        });
        let mut fitting = BTreeSet::new();
        let mut others = BTreeSet::new();
        for (binding, namespace, role, subjects) in everywhere.chain(somewhere) {
            let rules = self.rules(role, namespace.as_deref());
            if !rules.iter().any(|rule| grant(rule, grants)) {
                continue;
            }
            for subject in subjects.iter().flatten() {
                let name = named(subject, namespace.as_deref());
                if allowed.is_match(&name) {
                    fitting.insert(name);
                } else {
                    others.insert(format!("{name} ({binding})"));
                }
            }
        }
        Granted { allowed: fitting.into_iter().collect(), others: others.into_iter().collect() }
    }

    /// The rules of the role that a binding names; none where there is no such role.
    fn rules(&self, role: &RoleRef, namespace: Option<&str>) -> &[PolicyRule] {
        let rules = if role.kind == "ClusterRole" {
            let mut roles = self.cluster_roles.iter();
            roles.find(|it| it.name_any() == role.name).and_then(|it| it.rules.as_deref())
        } else {
            let mut roles = self.roles.iter();
            let named =
                |it: &&Role| it.name_any() == role.name && it.namespace().as_deref() == namespace;
            roles.find(named).and_then(|it| it.rules.as_deref())
        };
        rules.unwrap_or_default()
    }
}

/// Whether a rule grants it, to all objects or to some.
fn grant(rule: &PolicyRule, asked: &Grants) -> bool {
    let any = |list: Option<&Vec<String>>, fits: &dyn Fn(&str) -> bool| {
        list.is_some_and(|list| list.iter().any(|item| item == "*" || fits(item)))
    };
    any(Some(&rule.verbs), &|verb| verb == asked.verb)
        && any(rule.api_groups.as_ref(), &|group| group == asked.group)
        && any(rule.resources.as_ref(), &|resource| covers(resource, &asked.resource))
}

/// Whether a rule's resource covers the one that is asked for: `*/exec` covers `pods/exec`, `pods` does not.
fn covers(resource: &str, asked: &str) -> bool {
    resource == asked
        || resource.strip_prefix("*/").is_some_and(|subresource| {
            asked.split_once('/').is_some_and(|(_, asked)| asked == subresource)
        })
}

fn named(subject: &Subject, namespace: Option<&str>) -> String {
    let Subject { kind, name, .. } = subject;
    match kind.as_str() {
        "ServiceAccount" => {
            let namespace = subject.namespace.as_deref().or(namespace).unwrap_or_default();
            format!("{kind}/{namespace}/{name}")
        }
        _ => format!("{kind}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn granted(rule: serde_json::Value, subject: serde_json::Value, allowed: &[&str]) -> Granted {
        let role = json!({"metadata": {"name": "role"}, "rules": [rule]});
        let binding = json!({
            "metadata": {"name": "binding", "namespace": "a"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "role"},
            "subjects": [subject],
        });
        let roles = Roles {
            cluster_roles: vec![serde_json::from_value(role).expect("a role")],
            bindings: vec![serde_json::from_value(binding).expect("a binding")],
            ..Roles::default()
        };
        let allowed: Vec<String> = allowed.iter().map(|it| (*it).to_owned()).collect();
        let grants = Grants {
            verb: "create".to_owned(),
            resource: "pods/exec".to_owned(),
            group: String::new(),
            allowed: allowed.clone(),
        };
        roles.granted(&grants, &patterns(&allowed).expect("patterns"))
    }

    fn rule(group: &str, resource: &str, verb: &str) -> serde_json::Value {
        json!({"apiGroups": [group], "resources": [resource], "verbs": [verb]})
    }

    #[test]
    fn every_way_to_write_a_grant_is_one() {
        let group = json!({"kind": "Group", "name": "system:unauthenticated"});
        for grants in [
            rule("", "pods/exec", "create"),
            rule("*", "*", "*"),
            rule("", "*/exec", "create"),
            json!({"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"], "resourceNames": ["p"]}),
        ] {
            let found = granted(grants.clone(), group.clone(), &["Group/system:masters"]);
            let other = "Group/system:unauthenticated (RoleBinding/a/binding)";
            assert_eq!(found.others, [other], "{grants}");
        }
        for grants in [
            rule("", "pods", "create"),
            rule("", "pods/*", "create"),
            rule("apps", "*", "*"),
            rule("", "pods/exec", "get"),
            json!({"nonResourceURLs": ["*"], "verbs": ["*"]}),
        ] {
            assert_eq!(granted(grants.clone(), group.clone(), &[]), Granted::default(), "{grants}");
        }
    }

    #[test]
    fn a_service_account_is_named_with_its_namespace() {
        let account = json!({"kind": "ServiceAccount", "name": "operator", "namespace": "b"});
        let allowed = ["ServiceAccount/b/*"];
        let found = granted(rule("", "pods/exec", "create"), account.clone(), &allowed);
        assert_eq!(found.allowed, ["ServiceAccount/b/operator"]);
        assert!(found.others.is_empty());
        let found = granted(rule("", "pods/exec", "create"), account, &["Group/b/*"]);
        assert_eq!(found.others, ["ServiceAccount/b/operator (RoleBinding/a/binding)"]);
    }
}
