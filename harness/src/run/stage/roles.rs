//! Whether what roles grant acts: only then does a refusal tell anything of a role, and a permit of its control.

use std::collections::BTreeSet;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::api::PostParams;
use kube::core::{Selector, SelectorExt};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::newest::newest;
use super::{ACTING, Stage, StageError, not_ready};
use crate::catalog::Document;
use crate::cluster::all;
use crate::poll;
use crate::run::Plan;

const RBAC: &str = "rbac.authorization.k8s.io";

/// The group of what is nothing, which only the newest roles grant.
const GROUP: &str = "newest.brinell.dev";

/// What the newest ClusterRole grants.
const EVERYWHERE: &str = "everywhere";

/// What the newest Role grants.
const SOMEWHERE: &str = "somewhere";

impl Stage {
    /// Waits until everything that is granted by now acts: the rules of aggregated roles are there, which a controller
    /// puts together, where anything of the plan rests on one, and the API server has read all roles and bindings.
    ///
    /// # Errors
    /// When a role lacks rules for too long, or the API server cannot be asked.
    pub(super) async fn see_roles(&self, plan: &Plan<'_>) -> Result<(), StageError> {
        self.until_aggregated(plan).await?;
        self.until_read().await
    }

    async fn until_aggregated(&self, plan: &Plan<'_>) -> Result<(), StageError> {
        let whole = poll::until(ACTING, async || {
            let roles = all::<ClusterRole>(&self.world.access.admin).await?;
            match plan.rests_on(&aggregated(&roles)) {
                true => see_whole(&roles),
                false => Ok(()),
            }
        });
        let unanswered = || not_ready("the ClusterRoles".to_owned(), "they could not be read");
        whole.await.map_err(|last| last.unwrap_or_else(unanswered))
    }

    /// Waits until the API server has read the newest of each of the four kinds of roles and bindings.
    async fn until_read(&self) -> Result<(), StageError> {
        let (name, namespace) = (self.next_id(), "default");
        self.applier.apply(&newest_roles(&name, namespace)).await?;
        for nothing in [EVERYWHERE, SOMEWHERE] {
            let asked = review(&name, nothing, namespace);
            let unread = || {
                not_ready(
                    "roles and bindings".to_owned(),
                    "the newest do not act; brinell needs RBAC among the authorizers",
                )
            };
            let read = poll::until(ACTING, async || match self.allows(&asked).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(unread()),
                Err(error) => Err(error),
            });
            read.await.map_err(|last| last.unwrap_or_else(unread))?;
        }
        Ok(())
    }

    async fn allows(&self, asked: &SubjectAccessReview) -> Result<bool, StageError> {
        let reviews = Api::<SubjectAccessReview>::all(self.world.access.admin.clone());
        let reviewed = reviews.create(&PostParams::default(), asked).await?;
        Ok(reviewed.status.is_some_and(|status| status.allowed))
    }
}

/// Sees that every aggregated role has the rules of all roles that it selects
/// (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles>).
fn see_whole(roles: &[ClusterRole]) -> Result<(), StageError> {
    let lacks = roles.iter().find(|role| {
        let parts = roles.iter().filter(|part| selects(role, part));
        parts.flat_map(rules).any(|rule| !rules(role).contains(rule))
    });
    match lacks {
        None => Ok(()),
        Some(role) => Err(not_ready(
            format!("the ClusterRole {}", role.name_any()),
            "it lacks rules of the roles that it aggregates",
        )),
    }
}

/// The names of the roles that are made up of others.
fn aggregated(roles: &[ClusterRole]) -> BTreeSet<String> {
    let aggregated = roles.iter().filter(|role| role.aggregation_rule.is_some());
    aggregated.map(ResourceExt::name_any).collect()
}

/// Whether the rules of one role belong in the other.
fn selects(role: &ClusterRole, part: &ClusterRole) -> bool {
    let aggregation = role.aggregation_rule.iter();
    let mut selectors = aggregation.flat_map(|it| it.cluster_role_selectors.iter().flatten());
    // A selector that makes no sense selects nothing.
    let is_met = |selector: Selector| selector.matches(part.labels());
    selectors.any(|it| Selector::try_from(it.clone()).is_ok_and(is_met))
}

fn rules(role: &ClusterRole) -> &[PolicyRule] {
    role.rules.as_deref().unwrap_or_default()
}

/// A role and a binding of each kind, by which a user who is nobody may read what is nothing.
fn newest_roles(name: &str, namespace: &str) -> [Document; 4] {
    let document = |kind: &str, mut what: Value| {
        if !kind.starts_with("Cluster") {
            what["metadata"]["namespace"] = namespace.into();
        }
        newest(&format!("{RBAC}/v1"), kind, name, &what)
    };
    let role = |kind: &str, nothing: &str| {
        let rule = json!({"apiGroups": [GROUP], "resources": [nothing], "verbs": ["get"]});
        document(kind, json!({"rules": [rule]}))
    };
    let binding = |kind: &str, role: &str| {
        let role = json!({"apiGroup": RBAC, "kind": role, "name": name});
        let user = json!({"apiGroup": RBAC, "kind": "User", "name": name});
        document(kind, json!({"roleRef": role, "subjects": [user]}))
    };
    [
        role("ClusterRole", EVERYWHERE),
        role("Role", SOMEWHERE),
        binding("ClusterRoleBinding", "ClusterRole"),
        binding("RoleBinding", "Role"),
    ]
}

/// The question whether the newest user may read one of them.
fn review(name: &str, nothing: &str, namespace: &str) -> SubjectAccessReview {
    let attributes = ResourceAttributes {
        verb: Some("get".to_owned()),
        group: Some(GROUP.to_owned()),
        resource: Some(nothing.to_owned()),
        namespace: Some(namespace.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: Some(name.to_owned()),
        resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    };
    SubjectAccessReview { spec, ..SubjectAccessReview::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str, labels: Value, selected: Option<Value>, verbs: &[&str]) -> ClusterRole {
        let rules: Vec<Value> = verbs
            .iter()
            .map(|verb| json!({"apiGroups": [""], "resources": ["pods"], "verbs": [verb]}))
            .collect();
        let selected = selected.map(|it| json!({"clusterRoleSelectors": [it]}));
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": labels}, "rules": rules, "aggregationRule": selected,
        }))
        .expect("a role")
    }

    #[test]
    fn an_aggregated_role_is_whole_with_every_rule_of_those_it_selects() {
        let parts = || {
            let look = json!({"to-view": "true"});
            let more = json!({"to-view": "true", "of": "a package"});
            [
                role("look", look, None, &["get", "list"]),
                role("more", more, None, &["watch"]),
                role("else", json!({}), None, &["delete"]),
            ]
        };
        let view = |verbs: &[&str]| {
            let selected = json!({"matchLabels": {"to-view": "true"}});
            parts().into_iter().chain([role("view", json!({}), Some(selected), verbs)]).collect()
        };
        let lacks = |verbs: &[&str]| {
            let roles: Vec<ClusterRole> = view(verbs);
            see_whole(&roles).err().map(|error| error.to_string())
        };
        assert_eq!(lacks(&["watch", "get", "list"]), None);
        for verbs in [&[][..], &["get", "list"], &["get", "watch"]] {
            let words = lacks(verbs).unwrap_or_default();
            assert!(words.contains("ClusterRole view"), "{verbs:?}: {words}");
        }
    }

    /// Of each kind one, and none of them acts in the place of another.
    #[test]
    fn the_newest_roles_and_bindings_grant_by_their_own_kind() {
        let [cluster_role, role, cluster_binding, binding] =
            newest_roles("run-1", "default").map(|it| it.object);
        assert_eq!(cluster_role["rules"][0]["resources"][0], EVERYWHERE);
        assert_eq!(role["rules"][0]["resources"][0], SOMEWHERE);
        assert_eq!(cluster_binding["roleRef"]["kind"], "ClusterRole");
        assert_eq!(binding["roleRef"]["kind"], "Role");
        for (object, namespace) in [(cluster_role, Value::Null), (role, json!("default"))] {
            assert_eq!(object["metadata"]["namespace"], namespace);
        }
        let spec = review("run-1", SOMEWHERE, "default").spec;
        let asked = spec.resource_attributes.expect("a resource");
        assert_eq!(asked.resource.as_deref(), Some(SOMEWHERE));
        assert_eq!(spec.user.as_deref(), binding["subjects"][0]["name"].as_str());
    }
}
