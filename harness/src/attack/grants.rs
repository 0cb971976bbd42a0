//! Who is granted something, by all roles and bindings, which the admin reads. This also finds grants that no attack
//! can try: those that authentication stops on most paths, and those that take another step first.

mod rule;
mod scope;
pub(super) mod subject;

use std::collections::{BTreeSet, HashMap};

use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::{Client, ResourceExt};

pub(super) use self::rule::{Asked, Reach, reach};
use self::scope::Scope;
use self::subject::Allowed;
pub(super) use self::subject::normal;
use super::{ActionError, Attempt, Observation};
use crate::cluster::all;
use crate::model::{Answer, Granted, Grants};

/// Lists everybody to whom a role grants it, in any namespace.
pub(super) async fn review(
    attempt: &Attempt<'_>,
    grants: &Grants,
) -> Result<Observation, ActionError> {
    let admin = &attempt.world.access.admin;
    let asked = Asked::of(grants);
    let (scope, roles) = tokio::try_join!(scope::of(admin, &asked), Roles::read(admin))?;
    let granted = roles.granted(&asked, scope, &Allowed::of(&grants.allowed)?);
    let sent = attempt.sent_past("READ", format!("grants of {asked}"));
    Ok(Observation::of(sent, Answer::Grants(granted)))
}

/// All roles and bindings of a cluster.
#[derive(Default)]
pub(super) struct Roles {
    /// The rules of ClusterRoles by name.
    cluster_roles: HashMap<String, Vec<PolicyRule>>,
    /// The rules of Roles by namespace and name.
    roles: HashMap<(String, String), Vec<PolicyRule>>,
    pub(super) bindings: Vec<Binding>,
}

/// A ClusterRoleBinding or a RoleBinding.
pub(super) struct Binding {
    /// With its kind, for a person.
    pub(super) name: String,
    /// Where it grants; `None` of a ClusterRoleBinding, which grants everywhere.
    pub(super) namespace: Option<String>,
    /// When it should no longer be there, as its annotation says.
    pub(super) expires: Option<String>,
    role: RoleRef,
    subjects: Vec<Subject>,
}

/// The annotation of a binding that says when it should no longer be there. Kubernetes reads it as little as any other.
const EXPIRES: &str = "brinell.dev/expires";

impl From<ClusterRoleBinding> for Binding {
    fn from(binding: ClusterRoleBinding) -> Self {
        Binding {
            name: format!("ClusterRoleBinding/{}", binding.name_any()),
            namespace: None,
            expires: binding.annotations().get(EXPIRES).cloned(),
            role: binding.role_ref,
            subjects: binding.subjects.unwrap_or_default(),
        }
    }
}

impl From<RoleBinding> for Binding {
    fn from(binding: RoleBinding) -> Self {
        let namespace = binding.namespace().unwrap_or_default();
        Binding {
            name: format!("RoleBinding/{namespace}/{}", binding.name_any()),
            expires: binding.annotations().get(EXPIRES).cloned(),
            namespace: Some(namespace),
            role: binding.role_ref,
            subjects: binding.subjects.unwrap_or_default(),
        }
    }
}

impl Binding {
    /// The names of those to whom it grants.
    pub(super) fn subjects(&self) -> impl Iterator<Item = String> {
        self.subjects.iter().filter_map(|it| subject::named(it, self.namespace.as_deref()))
    }
}

impl Roles {
    /// Reads them.
    pub(super) async fn read(admin: &Client) -> Result<Self, ActionError> {
        let (cluster_roles, roles, everywhere, somewhere) = futures::try_join!(
            all::<ClusterRole>(admin),
            all::<Role>(admin),
            all::<ClusterRoleBinding>(admin),
            all::<RoleBinding>(admin)
        )?;
        let somewhere = somewhere.into_iter().map(Binding::from);
        let named = |role: ClusterRole| (role.name_any(), role.rules.unwrap_or_default());
        let placed = |role: Role| {
            let place = (role.namespace().unwrap_or_default(), role.name_any());
            (place, role.rules.unwrap_or_default())
        };
        Ok(Roles {
            cluster_roles: cluster_roles.into_iter().map(named).collect(),
            roles: roles.into_iter().map(placed).collect(),
            bindings: everywhere.into_iter().map(Binding::from).chain(somewhere).collect(),
        })
    }

    /// Those that a test has.
    #[cfg(test)]
    pub(super) fn with(cluster_roles: Vec<ClusterRole>, bindings: Vec<Binding>) -> Self {
        let named = |role: ClusterRole| (role.name_any(), role.rules.unwrap_or_default());
        let cluster_roles = cluster_roles.into_iter().map(named).collect();
        Roles { cluster_roles, bindings, ..Roles::default() }
    }

    fn granted(&self, asked: &Asked<'_>, scope: Scope, allowed: &Allowed) -> Granted {
        let mut fitting = BTreeSet::new();
        let mut others = BTreeSet::new();
        for binding in &self.bindings {
            let granted = reach(self.rules(binding), asked);
            let Some(reach) = granted.and_then(|reach| scope.of_binding(reach, asked, binding))
            else {
                continue;
            };
            for name in binding.subjects() {
                if allowed.covers(&name) {
                    fitting.insert(name);
                } else {
                    others.insert(format!("{name} ({}{})", binding.name, only(&reach, asked)));
                }
            }
        }
        Granted { allowed: fitting.into_iter().collect(), others: others.into_iter().collect() }
    }

    /// The rules of the role that a binding names. A role that is not there has none.
    pub(super) fn rules(&self, binding: &Binding) -> &[PolicyRule] {
        let name = binding.role.name.clone();
        let rules = match (binding.role.kind.as_str(), &binding.namespace) {
            ("ClusterRole", _) => self.cluster_roles.get(&name),
            (_, Some(namespace)) => self.roles.get(&(namespace.clone(), name)),
            (_, None) => None,
        };
        rules.map(Vec::as_slice).unwrap_or_default()
    }
}

/// What a grant is limited to, for a person.
fn only(reach: &Reach, asked: &Asked<'_>) -> String {
    let Reach::Named(names) = reach else { return String::new() };
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    let how = match asked {
        Asked::Resource { verb: "list" | "watch", .. } => ", by fieldSelector metadata.name",
        Asked::Resource { verb: "create", subresource: None, .. } => ", by server-side apply",
        _ => "",
    };
    format!(", only {}{how}", names.join(" and "))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What a role grants by a binding in `namespace`, or by one for the whole cluster.
    fn granted(rules: &Value, namespace: Option<&str>, asked: &Asked<'_>, scope: Scope) -> Granted {
        let rules = serde_json::from_value(rules.clone()).expect("rules");
        let binding = json!({
            "metadata": {"name": "binding", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "role"},
            "subjects": [{"kind": "Group", "name": "people"}, {"kind": "User", "name": "ann"}],
        });
        let binding = match namespace {
            Some(_) => serde_json::from_value::<RoleBinding>(binding).expect("a binding").into(),
            None => {
                serde_json::from_value::<ClusterRoleBinding>(binding).expect("a binding").into()
            }
        };
        let roles = Roles {
            cluster_roles: HashMap::from([("role".to_owned(), rules)]),
            bindings: vec![binding],
            ..Roles::default()
        };
        let allowed = Allowed::of(&["User/ann".to_owned()]).expect("patterns");
        roles.granted(asked, scope, &allowed)
    }

    fn resource(verb: &'static str, resource: &'static str) -> Asked<'static> {
        Asked::Resource { verb, group: "", resource, subresource: None }
    }

    fn everything() -> Value {
        json!([
            {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
            {"nonResourceURLs": ["*"], "verbs": ["*"]},
        ])
    }

    #[test]
    fn whoever_is_granted_it_is_named_with_the_binding() {
        let found = granted(&everything(), Some("a"), &resource("get", "pods"), Scope::Namespaced);
        assert_eq!(found.allowed, ["User/ann"]);
        assert_eq!(found.others, ["Group/people (RoleBinding/a/binding)"]);
        let found = granted(&everything(), None, &resource("get", "nodes"), Scope::Cluster);
        assert_eq!(found.others, ["Group/people (ClusterRoleBinding/binding)"]);
    }

    #[test]
    fn a_binding_in_a_namespace_grants_nothing_outside_of_it() {
        let url = Asked::Url { verb: "get", url: "/metrics" };
        for asked in [resource("get", "nodes"), url] {
            let found = granted(&everything(), Some("a"), &asked, Scope::Cluster);
            assert_eq!(found, Granted::default(), "{asked}");
        }
    }

    #[test]
    fn a_binding_in_a_namespace_grants_that_namespace_itself() {
        let others = |verb: &'static str| {
            let asked = resource(verb, "namespaces");
            granted(&everything(), Some("a"), &asked, Scope::Namespaces).others
        };
        assert_eq!(others("patch"), [r#"Group/people (RoleBinding/a/binding, only "a")"#]);
        for verb in ["create", "list", "watch", "deletecollection"] {
            assert!(others(verb).is_empty(), "{verb}");
        }
    }

    #[test]
    fn a_grant_by_name_says_so() {
        let rules = json!([{
            "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["b", "a"],
            "verbs": ["get", "list", "create", "patch"],
        }]);
        let others = |verb: &'static str| {
            granted(&rules, None, &resource(verb, "secrets"), Scope::Namespaced).others
        };
        let binding = "Group/people (ClusterRoleBinding/binding, only \"a\" and \"b\"";
        assert_eq!(others("get"), [format!("{binding})")]);
        assert_eq!(others("list"), [format!("{binding}, by fieldSelector metadata.name)")]);
        assert_eq!(others("create"), [format!("{binding}, by server-side apply)")]);
    }

    #[test]
    fn a_role_that_is_not_there_grants_nothing() {
        let binding = json!({
            "metadata": {"name": "binding", "namespace": "a"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "gone"},
            "subjects": [{"kind": "User", "name": "ann"}],
        });
        let binding: RoleBinding = serde_json::from_value(binding).expect("a binding");
        let roles = Roles { bindings: vec![binding.into()], ..Roles::default() };
        let allowed = Allowed::of(&[]).expect("patterns");
        let found = roles.granted(&resource("get", "pods"), Scope::Namespaced, &allowed);
        assert_eq!(found, Granted::default());
    }
}
