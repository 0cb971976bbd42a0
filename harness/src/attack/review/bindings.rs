//! RoleBindings and ClusterRoleBindings: Kubernetes ends none of them, and asks of no subject whether it is there.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, RoleBinding, Subject,
};
use k8s_openapi::jiff::Timestamp;
use kube::{Client, ResourceExt};

use super::{all_read, flaw};
use crate::attack::ActionError;
use crate::attack::grants::subject::{Allowed, named};
use crate::cluster::all;
use crate::model::{BindingReview, Flaw, Reviewed};

/// A binding of either kind, as far as it is looked at.
struct Binding {
    /// With its kind, for a person.
    object: String,
    namespace: Option<String>,
    /// What its annotation says; `None` if there is none.
    expires: Option<String>,
    role: String,
    subjects: Vec<Subject>,
}

/// Reads every binding and ServiceAccount.
pub(super) async fn read(admin: &Client, review: &BindingReview) -> Result<Reviewed, ActionError> {
    let (everywhere, somewhere, roles, accounts) = futures::try_join!(
        all::<ClusterRoleBinding>(admin),
        all::<RoleBinding>(admin),
        all::<ClusterRole>(admin),
        all::<ServiceAccount>(admin)
    )?;
    let everywhere =
        everywhere.into_iter().map(|binding| of_the_cluster(binding, &roles, &review.expires));
    let somewhere = somewhere.into_iter().map(|binding| Binding {
        object: format!(
            "RoleBinding/{}/{}",
            binding.namespace().unwrap_or_default(),
            binding.name_any()
        ),
        namespace: binding.namespace(),
        expires: binding.annotations().get(&review.expires).cloned(),
        role: binding.role_ref.name,
        subjects: binding.subjects.unwrap_or_default(),
    });
    let bindings: Vec<Binding> = everywhere.chain(somewhere).collect();
    let accounts: BTreeSet<String> = accounts.iter().map(account).collect();
    let absent = Absent { accounts, allowed: Allowed::of(&review.except)? };
    let now = Timestamp::now();
    let flaws = bindings.iter().flat_map(|binding| {
        let over = over(binding, review, now);
        over.into_iter().chain(absent.subjects(binding))
    });
    Ok(all_read(bindings.len(), flaws.collect()))
}

/// A ClusterRoleBinding, without the subject to whom Kubernetes itself binds its role.
fn of_the_cluster(binding: ClusterRoleBinding, roles: &[ClusterRole], expires: &str) -> Binding {
    let is_everybodys = is_everybodys(&binding, roles);
    let mut subjects = binding.subjects.clone().unwrap_or_default();
    subjects.retain(|it| !(is_everybodys && it.kind == "Group" && it.name == EVERYBODY));
    Binding {
        object: format!("ClusterRoleBinding/{}", binding.name_any()),
        namespace: None,
        expires: binding.annotations().get(expires).cloned(),
        role: binding.role_ref.name,
        subjects,
    }
}

fn account(account: &ServiceAccount) -> String {
    format!("ServiceAccount/{}/{}", account.namespace().unwrap_or_default(), account.name_any())
}

/// A binding that should not be there any more, or does not say how long.
fn over(binding: &Binding, review: &BindingReview, now: Timestamp) -> Option<Flaw> {
    let field = format!("annotation {}", review.expires);
    let tell = |is: String, follows: &str| Some(flaw(&binding.object, &field, is, follows));
    let Some(expires) = &binding.expires else {
        let follows = "nobody knows when it should end, so that it never does: what an incident gave stays in hand";
        let is_meant = review.temporary.contains(&binding.role);
        return is_meant.then(|| flaw(&binding.object, &field, "not set", follows));
    };
    match expires.parse::<Timestamp>() {
        Ok(end) if end > now => None,
        Ok(_) => tell(
            format!("{expires}, which is over"),
            "Kubernetes reads no annotation: whoever had it for an hour has it still",
        ),
        Err(_) => tell(
            format!("{expires:?}, which is no time"),
            "whatever removes what is over does not understand it, and leaves it",
        ),
    }
}

/// The group of every ServiceAccount.
const EVERYBODY: &str = "system:serviceaccounts";

/// What every ServiceAccount is granted by Kubernetes itself, by a ClusterRoleBinding of the role's name
/// (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#discovery-roles>): who issues tokens, and from 1.37 on
/// whose certificates are trusted (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`).
const EVERYBODYS: [&str; 2] =
    ["system:service-account-issuer-discovery", "system:cluster-trust-bundle-discovery"];

/// Where it is told who issues tokens, and what signs them.
const ISSUER: [&str; 4] = [
    "/.well-known/openid-configuration",
    "/.well-known/openid-configuration/",
    "/openid/v1/jwks",
    "/openid/v1/jwks/",
];

/// Whether it is Kubernetes' own binding of such a role, and the role grants no more than Kubernetes lets it.
fn is_everybodys(binding: &ClusterRoleBinding, roles: &[ClusterRole]) -> bool {
    let role = &binding.role_ref;
    let is_own = role.kind == "ClusterRole"
        && binding.name_any() == role.name
        && EVERYBODYS.contains(&&*role.name);
    let rules = roles.iter().find(|it| it.name_any() == role.name).map(|it| &it.rules);
    is_own && rules.is_some_and(|rules| rules.iter().flatten().all(is_discovery))
}

/// Whether a rule lets somebody only read who issues tokens, or whose certificates are trusted.
fn is_discovery(rule: &PolicyRule) -> bool {
    let only = |list: &Option<Vec<String>>, known: &[&str]| {
        list.iter().flatten().all(|it| known.contains(&&**it))
    };
    let reads = |known: &[&str]| rule.verbs.iter().all(|verb| known.contains(&&**verb));
    let issuer = only(&rule.non_resource_urls, &ISSUER) && only(&rule.resources, &[]);
    let trust = only(&rule.non_resource_urls, &[])
        && only(&rule.resources, &["clustertrustbundles"])
        && only(&rule.api_groups, &["certificates.k8s.io"]);
    issuer && reads(&["get"]) || trust && reads(&["get", "list", "watch"])
}

/// Those who are there, and those who need not be.
struct Absent {
    accounts: BTreeSet<String>,
    allowed: Allowed,
}

impl Absent {
    /// ServiceAccounts that a binding names and that are not there, or that are whatever is there one day. Other users
    /// and groups are known to nobody.
    fn subjects(&self, binding: &Binding) -> Vec<Flaw> {
        let names =
            binding.subjects.iter().filter_map(|it| named(it, binding.namespace.as_deref()));
        let absent = names.filter(|name| {
            let is_one = name.starts_with("ServiceAccount/");
            let is_known = self.accounts.contains(name) || self.allowed.covers(name);
            is_one && !is_known
        });
        let tell = |name: String| {
            let (is, who) = match name.ends_with("/*") {
                true => (format!("{name}, which is whatever is made there"), "there"),
                false => (format!("{name}, which is not there"), "of that name, or its namespace,"),
            };
            let follows =
                format!("whoever may create a ServiceAccount {who} is granted {}", binding.role);
            flaw(&binding.object, "subjects", is, follows)
        };
        absent.map(tell).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn review() -> BindingReview {
        BindingReview {
            expires: "expires".to_owned(),
            temporary: vec!["break-glass".to_owned()],
            except: vec!["ServiceAccount/kube-system/*".to_owned()],
        }
    }

    fn binding(role: &str, expires: Option<&str>, subject: &serde_json::Value) -> Binding {
        Binding {
            object: "RoleBinding/a/b".to_owned(),
            namespace: Some("a".to_owned()),
            expires: expires.map(str::to_owned),
            role: role.to_owned(),
            subjects: vec![serde_json::from_value(subject.clone()).expect("a subject")],
        }
    }

    #[test]
    fn a_binding_ends_when_it_says_so() {
        let now: Timestamp = "2026-06-01T12:00:00Z".parse().expect("a time");
        let find = |role: &str, expires: Option<&str>| {
            let binding = binding(role, expires, &json!({"kind": "User", "name": "u"}));
            over(&binding, &review(), now).map(|flaw| flaw.is)
        };
        assert_eq!(find("view", None), None);
        assert_eq!(find("break-glass", Some("2026-06-01T12:00:01Z")), None);
        assert_eq!(find("break-glass", Some("2026-06-01T15:00:00+02:00")), None);
        assert_eq!(find("break-glass", None).as_deref(), Some("not set"));
        for role in ["view", "break-glass"] {
            let is = "2026-06-01T12:00:00Z, which is over";
            assert_eq!(find(role, Some("2026-06-01T12:00:00Z")).as_deref(), Some(is));
            assert!(find(role, Some("2026-06-01T13:00:00+02:00")).is_some());
            assert_eq!(
                find(role, Some("tomorrow")).as_deref(),
                Some("\"tomorrow\", which is no time")
            );
        }
    }

    #[test]
    fn a_subject_is_there_or_may_be_made_by_anybody() {
        let absent = Absent {
            accounts: BTreeSet::from(["ServiceAccount/a/here".to_owned()]),
            allowed: Allowed::of(&review().except).expect("patterns"),
        };
        let find =
            |subject: serde_json::Value| absent.subjects(&binding("view", None, &subject)).len();
        for right in [
            json!({"kind": "ServiceAccount", "name": "here", "namespace": "a"}),
            json!({"kind": "ServiceAccount", "name": "here"}),
            json!({"kind": "User", "name": "system:serviceaccount:a:here"}),
            json!({"kind": "User", "name": "gone"}),
            json!({"kind": "Group", "name": "people"}),
            json!({"kind": "Group", "name": "system:serviceaccounts:kube-system"}),
            json!({"kind": "ServiceAccount", "name": "gone", "namespace": "kube-system"}),
        ] {
            assert_eq!(find(right.clone()), 0, "{right}");
        }
        for wrong in [
            json!({"kind": "ServiceAccount", "name": "gone", "namespace": "a"}),
            json!({"kind": "ServiceAccount", "name": "here", "namespace": "b"}),
            json!({"kind": "User", "name": "system:serviceaccount:a:gone"}),
            json!({"kind": "Group", "name": "system:serviceaccounts:a"}),
            json!({"kind": "Group", "name": "system:serviceaccounts"}),
        ] {
            assert_eq!(find(wrong.clone()), 1, "{wrong}");
        }
    }

    const TRUST: &str = "system:cluster-trust-bundle-discovery";

    /// What is found in the binding of this name to this role of these rules, for this subject.
    fn found(
        (name, kind, role): (&str, &str, &str),
        rules: &serde_json::Value,
        subject: &serde_json::Value,
    ) -> usize {
        let binding = json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": [subject],
        });
        let binding: ClusterRoleBinding = serde_json::from_value(binding).expect("a binding");
        let rules = json!({"metadata": {"name": role}, "rules": rules});
        let roles = [serde_json::from_value(rules).expect("a role")];
        let absent = Absent {
            accounts: BTreeSet::new(),
            allowed: Allowed::of(&review().except).expect("patterns"),
        };
        absent.subjects(&of_the_cluster(binding, &roles, "expires")).len()
    }

    fn everybody() -> serde_json::Value {
        json!({"kind": "Group", "name": EVERYBODY, "apiGroup": "rbac.authorization.k8s.io"})
    }

    fn trust_bundles(verbs: &[&str]) -> serde_json::Value {
        json!({"apiGroups": ["certificates.k8s.io"], "resources": ["clustertrustbundles"], "verbs": verbs})
    }

    #[test]
    fn what_kubernetes_grants_to_every_service_account_is_no_flaw() {
        let issuer = json!([{"nonResourceURLs": ISSUER, "verbs": ["get"]}]);
        let trust = json!([trust_bundles(&["get", "list", "watch"])]);
        for (role, rules) in [(EVERYBODYS[0], issuer), (TRUST, trust)] {
            assert_eq!(found((role, "ClusterRole", role), &rules, &everybody()), 0, "{role}");
        }
    }

    #[test]
    fn only_kubernetes_own_binding_is_excused_and_only_for_its_own_subject() {
        let trust = json!([trust_bundles(&["get", "list", "watch"])]);
        let own = (TRUST, "ClusterRole", TRUST);
        for of in
            [("mine", "ClusterRole", TRUST), (TRUST, "Role", TRUST), (TRUST, "ClusterRole", "view")]
        {
            assert_eq!(found(of, &trust, &everybody()), 1, "{of:?}");
        }
        for subject in [
            json!({"kind": "ServiceAccount", "name": "gone", "namespace": "a"}),
            json!({"kind": "Group", "name": "system:serviceaccounts:a"}),
        ] {
            assert_eq!(found(own, &trust, &subject), 1, "{subject}");
        }
        // In a namespace its owner makes roles of any name.
        let absent =
            Absent { accounts: BTreeSet::new(), allowed: Allowed::of(&[]).expect("no pattern") };
        assert_eq!(absent.subjects(&binding(TRUST, None, &everybody())).len(), 1);
    }

    #[test]
    fn a_role_that_grants_more_than_kubernetes_lets_it_is_not_excused() {
        for rule in [
            trust_bundles(&["get", "update"]),
            trust_bundles(&["*"]),
            json!({"apiGroups": ["certificates.k8s.io"], "resources": ["*"], "verbs": ["get"]}),
            json!({"apiGroups": ["*"], "resources": ["clustertrustbundles"], "verbs": ["get"]}),
            json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}),
            json!({"nonResourceURLs": ["/metrics"], "verbs": ["get"]}),
            json!({"nonResourceURLs": ["/openid/v1/jwks"], "verbs": ["get", "post"]}),
            json!({"nonResourceURLs": ["/openid/*"], "verbs": ["get"]}),
        ] {
            let rules = json!([trust_bundles(&["get"]), rule]);
            assert_eq!(found((TRUST, "ClusterRole", TRUST), &rules, &everybody()), 1, "{rules}");
        }
    }
}
