//! Personas as objects: their ServiceAccounts, their roles, and the bindings that give them these.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::ground::end_of;
use super::{Document, Target, identity};
use crate::model::{Bound, HeldRole, Impersonated, PERSONAS, Persona, Rule, ServiceAccount};

/// The ServiceAccounts.
pub(super) const ACCOUNTS: &str = "personas/accounts";
/// The namespaces in which a role is bound: controls are set up before targets.
pub(super) const NAMESPACES: &str = "personas/namespaces";
/// The roles of which a file has the rules.
pub(super) const ROLES: &str = "personas/roles";
/// The bindings of ServiceAccounts.
pub(super) const BINDINGS: &str = "personas/bindings";
/// The bindings of users without a ServiceAccount.
pub(super) const PEOPLE: &str = "personas/people";

/// What a control may name among its `objects`.
pub(super) const PARTS: [&str; 5] = [ACCOUNTS, NAMESPACES, ROLES, BINDINGS, PEOPLE];

const RBAC: &str = "rbac.authorization.k8s.io";

/// A persona with where it comes from.
#[derive(Debug, Clone)]
pub struct PersonaEntry {
    /// The file's name without `.yaml`.
    pub name: String,
    /// The file, as a person finds it.
    pub file: String,
    /// The identity that requests are sent with.
    pub who: Persona,
    /// The ClusterRoles that it holds, and where.
    pub roles: Vec<HeldRole>,
    /// Whether its ServiceAccount is made for it.
    pub has_own_account: bool,
    /// Whether somebody of an existing cluster's plays it: then what it may do there is the cluster's to say.
    pub played: bool,
}

/// An object that a persona's file makes.
pub(super) struct Made {
    /// One of [`PARTS`].
    pub(super) part: &'static str,
    /// What it is made of: a JSON pointer into the file.
    pub(super) pointer: String,
    /// The object.
    pub(super) object: Value,
}

/// Every object that the personas' files make, by part.
pub(super) fn parts(
    personas: &BTreeMap<String, PersonaEntry>,
    targets: &BTreeMap<String, Target>,
) -> BTreeMap<&'static str, Vec<Document>> {
    let mut parts: BTreeMap<&str, Vec<Document>> =
        PARTS.into_iter().map(|part| (part, Vec::new())).collect();
    let mut known = BTreeSet::new();
    for entry in personas.values() {
        for Made { part, object, .. } in entry.objects() {
            // What two files make is told of the second one, and not once more by every weakening.
            if known.insert(identity(&object)) {
                let document = Document { file: entry.file.clone(), object };
                parts.entry(part).or_default().push(document);
            }
        }
    }
    parts.insert(NAMESPACES, namespaces(personas, targets));
    parts
}

/// What the files of these personas make, for a profile in which no control makes it: the Namespace of their accounts,
/// the accounts, the roles, which may be written in the files of others, and their bindings in these namespaces.
pub(crate) fn people(
    personas: &[&PersonaEntry],
    all: &BTreeMap<String, Arc<PersonaEntry>>,
    namespaces: &BTreeSet<&str>,
) -> Vec<Document> {
    let held = personas.iter().flat_map(|entry| &entry.roles);
    let held: BTreeSet<&str> = held.map(|role| role.cluster_role.as_str()).collect();
    let is_there = |name: &str| name == PERSONAS || namespaces.contains(name);
    let mut made = Vec::new();
    for entry in all.values() {
        let is_used = personas.iter().any(|used| used.name == entry.name);
        for Made { part, object, .. } in entry.objects() {
            let metadata = &object["metadata"];
            let is_meant = match part {
                ROLES => metadata["name"].as_str().is_some_and(|name| held.contains(name)),
                _ => is_used && metadata["namespace"].as_str().is_none_or(is_there),
            };
            if is_meant {
                made.push((part, Document { file: entry.file.clone(), object }));
            }
        }
    }
    made.sort_by_key(|(part, _)| PARTS.iter().position(|it| it == part));
    let own = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PERSONAS}});
    let own = Document { file: "manifests/personas".to_owned(), object: own };
    [own].into_iter().chain(made.into_iter().map(|(_, document)| document)).collect()
}

/// The Namespaces in which a role is bound, as their targets have them.
fn namespaces(
    personas: &BTreeMap<String, PersonaEntry>,
    targets: &BTreeMap<String, Target>,
) -> Vec<Document> {
    let roles = personas.values().flat_map(|entry| &entry.roles);
    let mut bound: BTreeSet<&str> = roles.flat_map(|role| role.bound.namespaces()).collect();
    let of_targets = targets.values().flat_map(|target| &target.objects);
    // Each once, were it in two targets.
    let is_bound = |it: &&Document| namespace(&it.object).is_some_and(|name| bound.remove(name));
    of_targets.filter(is_bound).cloned().collect()
}

/// The name of an object that is a Namespace.
pub(crate) fn namespace(object: &Value) -> Option<&str> {
    object["metadata"]["name"].as_str().filter(|_| object["kind"] == "Namespace")
}

/// How the namespaces are named in which controllers make accounts.
const SYSTEM: &str = "kube-";

impl PersonaEntry {
    /// The account of one of the cluster's own controllers, as which it acts; `None` if it does not.
    pub(crate) fn controllers_account(&self) -> Option<&ServiceAccount> {
        let (Persona::ServiceAccount(account)
        | Persona::Impersonated(Impersonated { by: Some(account), .. })) = &self.who
        else {
            return None;
        };
        Some(account).filter(|account| account.namespace.starts_with(SYSTEM))
    }

    /// The objects that its file makes.
    pub(super) fn objects(&self) -> Vec<Made> {
        let mut objects = Vec::new();
        if let Persona::ServiceAccount(account) = &self.who
            && self.has_own_account
        {
            let (pointer, object) = ("/who".to_owned(), account.object());
            objects.push(Made { part: ACCOUNTS, pointer, object });
        }
        for (position, role) in self.roles.iter().enumerate() {
            if !role.rules.is_empty() {
                let pointer = format!("/roles/{position}/cluster-role");
                objects.push(Made { part: ROLES, pointer, object: role.object() });
            }
            objects.extend(self.bindings(position, role));
        }
        objects
    }

    fn bindings(&self, position: usize, role: &HeldRole) -> Vec<Made> {
        let Some((part, subject)) = self.who.subject() else { return Vec::new() };
        let made = |pointer, object| Made { part, pointer, object };
        let pointer = format!("/roles/{position}/bound");
        match &role.bound {
            Bound::Everywhere => {
                let named = role.binding.name.clone();
                let name = named.unwrap_or_else(|| format!("brinell-{}", self.name));
                let metadata = json!({"name": name});
                vec![made(pointer, role.binding("ClusterRoleBinding", metadata, &subject))]
            }
            Bound::In(namespaces) => {
                let name = role.binding.name.as_ref().unwrap_or(&self.name);
                let binding = |(number, namespace): (usize, &String)| {
                    let metadata = json!({"name": name, "namespace": namespace});
                    let object = role.binding("RoleBinding", metadata, &subject);
                    made(format!("{pointer}/in/{number}"), object)
                };
                namespaces.iter().enumerate().map(binding).collect()
            }
        }
    }
}

impl PersonaEntry {
    /// Its account, its roles and their bindings in these namespaces alone. A role whose rules are `written` in
    /// personas' files is a Role in each of them; any other is a ClusterRole that the cluster has. Roles that it holds
    /// everywhere are ClusterRoles whose names begin with `everywhere`; none where that is `None`.
    pub fn objects_in(
        &self,
        namespaces: &BTreeSet<&str>,
        everywhere: Option<&str>,
        written: impl Fn(&str) -> Option<Vec<Rule>>,
    ) -> Vec<Document> {
        let account = match &self.who {
            Persona::ServiceAccount(account) if self.has_own_account => Some(account.object()),
            _ => None,
        };
        let mut objects: Vec<Value> = account.into_iter().collect();
        let Some((_, subject)) = self.who.subject() else { return Vec::new() };
        for role in &self.roles {
            let rules = written(&role.cluster_role);
            let kind = if rules.is_some() { "Role" } else { "ClusterRole" };
            let name = role.binding.name.as_ref().unwrap_or(&self.name);
            for namespace in role.bound.namespaces().filter(|it| namespaces.contains(it)) {
                objects.extend(rules.iter().map(|rules| role.within(namespace, rules)));
                let metadata = json!({"name": name, "namespace": namespace});
                let mut binding = role.binding("RoleBinding", metadata, &subject);
                binding["roleRef"]["kind"] = kind.into();
                objects.push(binding);
            }
            if let (Bound::Everywhere, Some(prefix)) = (&role.bound, everywhere) {
                objects.extend(self.everywhere(role, prefix, rules, &subject));
            }
        }
        let document = |object| Document { file: self.file.clone(), object };
        objects.into_iter().map(document).collect()
    }
}

impl PersonaEntry {
    /// A role that it holds everywhere, and its binding, by names of a run's own; a ClusterRole that the cluster has
    /// keeps its name.
    fn everywhere(
        &self,
        role: &HeldRole,
        prefix: &str,
        rules: Option<Vec<Rule>>,
        subject: &Value,
    ) -> Vec<Value> {
        let own = |name: &str| format!("{prefix}-{}", end_of(name));
        let mut role = role.clone();
        let mut objects = Vec::new();
        if let Some(rules) = rules {
            role.cluster_role = own(&role.cluster_role);
            role.rules = rules;
            objects.push(role.object());
        }
        let name = role.binding.name.as_ref().unwrap_or(&self.name);
        objects.push(role.binding("ClusterRoleBinding", json!({"name": own(name)}), subject));
        objects
    }
}

impl Persona {
    /// How a binding names it, and the part that its bindings belong to. `None` for those who hold no roles.
    fn subject(&self) -> Option<(&'static str, Value)> {
        match self {
            Persona::ServiceAccount(ServiceAccount { namespace, name }) => Some((
                BINDINGS,
                json!({"kind": "ServiceAccount", "name": name, "namespace": namespace}),
            )),
            Persona::Impersonated(impersonated) => {
                let user = &impersonated.user;
                Some((PEOPLE, json!({"apiGroup": RBAC, "kind": "User", "name": user})))
            }
            Persona::Anonymous | Persona::Admin | Persona::BadToken | Persona::Credentials(_) => {
                None
            }
        }
    }
}

impl ServiceAccount {
    fn object(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "automountServiceAccountToken": false,
        })
    }
}

impl HeldRole {
    fn object(&self) -> Value {
        json!({
            "apiVersion": format!("{RBAC}/v1"),
            "kind": "ClusterRole",
            "metadata": {"name": self.cluster_role},
            "rules": self.rules,
        })
    }

    /// A Role of the same name in a namespace, with these rules.
    fn within(&self, namespace: &str, rules: &[Rule]) -> Value {
        json!({
            "apiVersion": format!("{RBAC}/v1"),
            "kind": "Role",
            "metadata": {"name": self.cluster_role, "namespace": namespace},
            "rules": rules,
        })
    }

    /// A binding of this role to one subject.
    fn binding(&self, kind: &str, mut metadata: Value, subject: &Value) -> Value {
        if !self.binding.annotations.is_empty() {
            metadata["annotations"] = json!(self.binding.annotations);
        }
        json!({
            "apiVersion": format!("{RBAC}/v1"),
            "kind": kind,
            "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": self.cluster_role},
            "subjects": [subject],
        })
    }
}

impl Bound {
    /// The namespaces that it names.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &str> {
        let namespaces = match self {
            Bound::Everywhere => [].as_slice(),
            Bound::In(namespaces) => namespaces,
        };
        namespaces.iter().map(String::as_str)
    }
}
