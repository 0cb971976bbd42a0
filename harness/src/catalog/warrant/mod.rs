//! What brinell itself must be allowed on an existing cluster. It is derived from what scenarios make and do there, so
//! that nobody can forget it, and takes no cluster. What Kubernetes allows everybody who has an identity (the roles
//! `system:basic-user`, `system:discovery` and `system:public-info-viewer`) is not asked for.

mod action;
mod manifest;
mod object;

use std::collections::{BTreeMap, BTreeSet};

use super::{Document, Entry, Grounded, PersonaEntry, Turn, namespace};
use crate::model::{
    Action, Bound, Expectation, HeldRole, Impersonated, Layer, Persona, PullSecret, Right,
    is_question,
};

pub use manifest::{Grantee, NoGrantee};
pub(super) use object::resource;

/// A right that brinell needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The right.
    pub right: Right,
    /// Another one that makes it needless; `None` if there is none.
    pub or: Option<Right>,
}

impl From<Right> for Claim {
    fn from(right: Right) -> Claim {
        Claim { right, or: None }
    }
}

/// All that brinell must be allowed for a run.
#[derive(Debug)]
pub struct Warrant {
    /// What a run needs whatever its scenarios are.
    pub all: BTreeSet<Claim>,
    /// What each scenario needs, by its id.
    pub each: BTreeMap<String, BTreeSet<Claim>>,
    /// What the names of our namespaces begin with.
    prefix: String,
}

impl Warrant {
    /// Every claim.
    pub fn claims(&self) -> BTreeSet<&Claim> {
        self.all.iter().chain(self.each.values().flatten()).collect()
    }
}

impl Grounded {
    /// The rights to delete what a run may have left in namespaces that are given, whatever its scenarios were.
    pub fn left_in_given(&self) -> BTreeSet<Right> {
        let entries: Vec<&Entry> = self.catalog.scenarios.iter().collect();
        let warrant = self.warrant(&entries, true);
        let rights = warrant.claims().into_iter().map(|claim| &claim.right);
        let deletes = rights.filter(|right| right.verb == "delete" && right.named.is_none());
        let is_given =
            |right: &&Right| right.r#in.as_ref().is_some_and(|place| self.given.contains(place));
        deletes.filter(is_given).cloned().collect()
    }
}

/// The namespace whose UID tells a cluster from every other, and in which API servers have their leases.
const SYSTEM: &str = "kube-system";

const RBAC: &str = "rbac.authorization.k8s.io";

/// Rights with these verbs on a resource, wherever it is.
fn rights(verbs: &[&str], group: &str, resource: &str) -> Vec<Right> {
    let right = |verb: &&str| Right {
        verb: (*verb).to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        ..Right::default()
    };
    verbs.iter().map(right).collect()
}

/// These rights on one object.
fn named(rights: Vec<Right>, name: &str) -> Vec<Right> {
    rights.into_iter().map(|right| Right { named: Some(name.to_owned()), ..right }).collect()
}

/// These rights in one namespace.
fn within(rights: Vec<Right>, namespace: &str) -> Vec<Right> {
    rights.into_iter().map(|right| right.within(namespace)).collect()
}

impl Grounded {
    /// What brinell must be allowed to run these scenarios there, with pods of ours or without.
    pub fn warrant(&self, entries: &[&Entry], with_pods: bool) -> Warrant {
        let mut all: BTreeSet<Claim> = self.place(&self.accounts).into_iter().collect();
        // Which cluster it is, and what is left to be removed.
        let system = within(rights(&["get"], "", "namespaces"), SYSTEM);
        let left = match self.given.is_empty() {
            true => rights(&["list", "watch"], "", "namespaces"),
            false => Vec::new(),
        };
        let pulled = self.pull_secret().and_then(PullSecret::place);
        let pulled = pulled.into_iter().flat_map(|(namespace, name)| {
            within(named(rights(&["get"], "", "secrets"), name), namespace)
        });
        all.extend(system.into_iter().chain(left).chain(pulled).map(Claim::from));
        all.extend(self.pulling(namespace(&self.accounts.object)));
        let all = self.with_removal(all);
        let each = entries.iter().map(|entry| (entry.id.clone(), self.claims(entry, with_pods)));
        Warrant { all, each: each.collect(), prefix: self.prefix.clone() }
    }

    /// What it takes that a namespace is there.
    fn place(&self, document: &Document) -> Vec<Claim> {
        match namespace(&document.object).filter(|_| self.is_given(&document.object)) {
            Some(name) => {
                let looked = within(rights(&["get"], "", "namespaces"), name);
                looked.into_iter().map(Claim::from).collect()
            }
            None => object::made(document, &[]),
        }
    }

    /// These claims, and what it takes to find and remove, one by one, what is made outside of namespaces of our own.
    fn with_removal(&self, mut claims: BTreeSet<Claim>) -> BTreeSet<Claim> {
        let is_kept = |right: &Right| {
            let is_made = ["create", "delete"].contains(&right.verb.as_str());
            // Namespaces are listed in any case.
            let is_object = !right.resource.contains('/') && right.resource != "namespaces";
            is_made && is_object && !is_question(&right.group)
        };
        let made = claims.iter().filter(|claim| claim.or.is_none() && is_kept(&claim.right));
        let outside = made.filter(|claim| {
            let place = claim.right.r#in.as_deref();
            !place.is_some_and(|name| is_ours(name, &self.prefix))
        });
        let removal = outside.flat_map(|claim| {
            let of =
                |verb: &str| Right { verb: verb.to_owned(), named: None, ..claim.right.clone() };
            [of("list"), of("delete")]
        });
        let removal: Vec<Claim> = removal.map(Claim::from).collect();
        claims.extend(removal);
        claims
    }

    fn claims(&self, entry: &Entry, with_pods: bool) -> BTreeSet<Claim> {
        let personas = entry.personas();
        let documents = self.documents(&[&entry.target], &personas, with_pods);
        let targets = [&*entry.target];
        let places: Vec<&Document> = self.namespaces(&targets).collect();
        let ours: Vec<&str> = places.iter().filter_map(|it| namespace(&it.object)).collect();
        let placed = places.iter().flat_map(|document| self.place(document));
        let made = documents.iter().filter(|it| namespace(&it.object).is_none());
        let made = made.flat_map(|document| object::made(document, &documents)).chain(placed);
        let lent = entry.lent_place().into_iter();
        let lent = lent.flat_map(|(_, place)| within(rights(&["get"], "", "namespaces"), place));
        let acting = personas.iter().flat_map(|persona| identified(persona, &ours));
        let sent = entry.turns.iter().flat_map(|turn| {
            let looked = judged(turn).into_iter().chain(action::looked(entry, turn));
            let own = match turn.persona.who {
                Persona::Admin => action::sent(entry, turn, &documents),
                _ => Vec::new(),
            };
            looked.map(Claim::from).chain(own)
        });
        let placed_there = outside(&documents, &ours);
        let pulling = self.pulling(ours.iter().copied().chain(placed_there));
        let looked = acting.chain(lent).chain(action::awaited(entry)).map(Claim::from);
        let all = made.chain(looked).chain(sent).chain(pulling);
        self.with_removal(all.collect())
    }

    /// With what nodes pull our image, where the profile says it.
    fn pull_secret(&self) -> Option<&PullSecret> {
        self.profile.profile.cluster.as_ref()?.pull_secret.as_ref()
    }

    /// What it takes to have the pods of these namespaces pull our image with it.
    fn pulling<'a>(&self, namespaces: impl IntoIterator<Item = &'a str>) -> Vec<Claim> {
        let pulling = |name| object::pulling(name, is_ours(name, &self.prefix));
        let pulling = self.pull_secret().map(|_| namespaces.into_iter().flat_map(pulling));
        pulling.into_iter().flatten().collect()
    }
}

/// The namespaces outside of these in which pods of ours are.
pub(crate) fn outside<'a>(documents: &'a [Document], ours: &[&str]) -> BTreeSet<&'a str> {
    let pods = documents.iter().map(|it| &it.object).filter(|object| object["kind"] == "Pod");
    let places = pods.filter_map(|object| object["metadata"]["namespace"].as_str());
    places.filter(|place| !ours.contains(place)).collect()
}

/// Whether a namespace is made by the run whose namespaces begin with this prefix.
fn is_ours(namespace: &str, prefix: &str) -> bool {
    namespace.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('-'))
}

/// What giving a persona its identity takes.
fn identified(persona: &PersonaEntry, ours: &[&str]) -> Vec<Right> {
    let mut needed = match &persona.who {
        Persona::ServiceAccount(account)
        | Persona::Impersonated(Impersonated { by: Some(account), .. }) => {
            let token = named(rights(&["create"], "", "serviceaccounts/token"), &account.name);
            within(token, &account.namespace)
        }
        Persona::Impersonated(somebody) => impersonated(somebody),
        _ => Vec::new(),
    };
    needed.extend(persona.controllers_account().into_iter().flat_map(|account| {
        within(named(rights(&["get"], "", "serviceaccounts"), &account.name), &account.namespace)
    }));
    // The roles that a controller makes up are looked at: on a cluster that is there they need not be waited for.
    let is_here = |role: &&HeldRole| match &role.bound {
        Bound::In(namespaces) => namespaces.iter().any(|it| ours.contains(&it.as_str())),
        Bound::Everywhere => true,
    };
    let awaited = persona.roles.iter().filter(|role| role.is_made_up()).filter(is_here);
    needed.extend(
        awaited.flat_map(|role| named(rights(&["list"], RBAC, "clusterroles"), &role.cluster_role)),
    );
    needed
}

/// The API group of what is impersonated beside users, groups and ServiceAccounts.
const AUTHENTICATION: &str = "authentication.k8s.io";

/// What the admin must be allowed to act as somebody
/// (<https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/>).
fn impersonated(somebody: &Impersonated) -> Vec<Right> {
    let act = |group: &str, resource: &str, name: &str| {
        named(rights(&["impersonate"], group, resource), name)
    };
    let account = somebody.user.strip_prefix("system:serviceaccount:");
    let mut needed = match account.and_then(|account| account.split_once(':')) {
        Some((namespace, name)) => within(act("", "serviceaccounts", name), namespace),
        None => act("", "users", &somebody.user),
    };
    needed.extend(somebody.groups.iter().flat_map(|group| act("", "groups", group)));
    needed.extend(somebody.uid.iter().flat_map(|uid| act(AUTHENTICATION, "uids", uid)));
    needed.extend(somebody.extra.iter().flat_map(|(key, values)| {
        let resource = format!("userextras/{key}");
        values.iter().flat_map(move |value| act(AUTHENTICATION, &resource, value))
    }));
    needed
}

/// What must be read to judge what is expected to be stopped: which process of the API server answered, because a
/// starting one refuses everybody, and a log of several is not searched; whose webhook a webhook's name is.
fn judged(turn: &Turn) -> Vec<Right> {
    let Expectation::Blocked(blocked, _) = &turn.expected else { return Vec::new() };
    let decides = &blocked.by.control.decides;
    let mut needed = Vec::new();
    let by_authorization = |layer: &Layer| {
        matches!(layer, Layer::Authorization | Layer::Impersonation | Layer::UpgradeCheck)
    };
    if matches!(turn.action, Action::AuditLog(_)) || decides.iter().any(by_authorization) {
        let leases = rights(&["list", "watch"], "coordination.k8s.io", "leases");
        needed.extend(within(leases, SYSTEM));
    }
    if decides.iter().any(|layer| {
        matches!(layer, Layer::Webhook(_) | Layer::WebhookFailure(_) | Layer::MatchCondition)
    }) {
        needed.extend(webhooks());
    }
    needed
}

fn webhooks() -> Vec<Right> {
    let kinds = ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"];
    kinds.iter().flat_map(|kind| rights(&["list"], "admissionregistration.k8s.io", kind)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Ground};

    /// A kubelet keeps a refusal from before the step, and tells for how long.
    #[test]
    fn a_kubelet_that_is_asked_after_a_change_of_rights_is_asked_how_it_is_set() {
        let file = tempfile::NamedTempFile::with_suffix(".yaml").expect("a file");
        std::fs::write(file.path(), "{title: t, controls: {kubelet-auth: {}}}").expect("written");
        let catalog = Catalog::load(None).expect("our own catalog");
        let profile = catalog.profile(&file.path().to_string_lossy()).expect("a profile");
        let ground = Ground {
            prefix: "brinell-k7f3".to_owned(),
            sees_log: true,
            has_image: true,
            effects: false,
            kubeconfig: Some("run.kc".into()),
        };
        let grounded = catalog.on(&ground, &profile).expect("it is only declared");
        let scenarios = &grounded.catalog.scenarios;
        let mut turns = scenarios.iter().flat_map(|entry| &entry.turns);
        let step = turns.find(|turn| turn.action.changes_rights()).expect("one of ours");
        let asked = scenarios.iter().find(|it| it.id == "kubelet-without-role").expect("ours");
        let is_needed = |entry: &Entry| {
            let warrant = grounded.warrant(&[entry], true);
            let mut rights = warrant.claims().into_iter().map(|claim| &claim.right);
            rights.any(|right| right.resource == "nodes/proxy" && right.verb == "get")
        };
        let mut entry = asked.clone();
        assert!(!is_needed(&entry), "nothing is changed");
        entry.turns.push(step.clone());
        assert!(!is_needed(&entry), "it is changed afterwards");
        entry.turns.rotate_right(1);
        assert!(is_needed(&entry));
    }
}
