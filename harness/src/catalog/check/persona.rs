//! Personas: the accounts and namespaces that they name are there, and no two files make the same object.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Check;
use crate::catalog::persona::{PersonaEntry, namespace};
use crate::catalog::{Catalog, did_you_mean, identity};
use crate::model::{Bound, HeldRole, Persona, ServiceAccount};

/// The roles that every cluster has for people. Those of Kubernetes' own components begin with `system:`.
const KUBERNETES_OWN: [&str; 4] = ["admin", "cluster-admin", "edit", "view"];

/// What personas may name: made once, for all their files.
pub(super) struct Known {
    /// Of each object that a persona's file makes the first file, and the place in it.
    makers: BTreeMap<String, (String, String)>,
    /// The ServiceAccounts of personas and targets, as `namespace/name`.
    accounts: Vec<String>,
    /// The namespaces of targets.
    namespaces: Vec<String>,
    /// The roles whose rules are known.
    roles: Vec<String>,
}

impl Known {
    pub(super) fn of(catalog: &Catalog) -> Known {
        let mut makers = BTreeMap::new();
        for entry in catalog.personas.values() {
            for made in entry.objects() {
                let maker = (entry.file.clone(), made.pointer);
                makers.entry(identity(&made.object)).or_insert(maker);
            }
        }
        let objects = catalog.targets.values().flat_map(|target| &target.objects);
        let objects: Vec<&Value> = objects.map(|document| &document.object).collect();
        let namespaces = objects.iter().filter_map(|object| namespace(object));
        let namespaces: Vec<String> = namespaces.map(str::to_owned).collect();
        let of_targets: Vec<String> = objects.iter().map(|object| identity(object)).collect();
        let named = |kind: &str| {
            let made = makers.keys().chain(&of_targets);
            let names = made.filter_map(|made| made.strip_prefix(kind)?.strip_prefix('/'));
            names.map(str::to_owned).collect::<Vec<_>>()
        };
        let own = KUBERNETES_OWN.map(str::to_owned);
        let defaults = namespaces.iter().map(|namespace| format!("{namespace}/default"));
        let accounts = named("ServiceAccount").into_iter().chain(defaults).collect();
        let roles = named("ClusterRole").into_iter().chain(own).collect();
        Known { accounts, roles, namespaces, makers }
    }
}

impl Check<'_> {
    pub(super) fn persona(&mut self, entry: &PersonaEntry, known: &Known) {
        match &entry.who {
            Persona::ServiceAccount(account) => {
                self.account(account, "/who/service-account", known);
            }
            Persona::Impersonated(it) => {
                if let Some(by) = &it.by {
                    self.account(by, "/who/impersonated/by", known);
                }
            }
            Persona::Anonymous | Persona::Admin | Persona::BadToken | Persona::Credentials(_) => {
                if !entry.roles.is_empty() {
                    let hint =
                        "roles are held by a `service-account` or by the user of `impersonated`";
                    self.wrong("/roles", "this persona holds no roles", hint);
                }
            }
        }
        for (position, role) in entry.roles.iter().enumerate() {
            self.held_role(role, &format!("/roles/{position}"), known);
        }
        self.made_once(entry, known);
    }

    /// One in a namespace of Kubernetes' own is there on every cluster.
    fn account(&mut self, account: &ServiceAccount, pointer: &str, known: &Known) {
        if !account.namespace.starts_with("kube-") {
            let name = format!("{}/{}", account.namespace, account.name);
            let known = known.accounts.iter().map(String::as_str);
            self.known("ServiceAccount", &name, &format!("{pointer}/name"), known);
        }
    }

    fn held_role(&mut self, role: &HeldRole, pointer: &str, known: &Known) {
        let name = &role.cluster_role;
        let is_system = name.starts_with("system:");
        let at = format!("{pointer}/cluster-role");
        if role.rules.is_empty() && !is_system && !known.roles.contains(name) {
            let nearest = did_you_mean(name, known.roles.iter().map(String::as_str));
            let message = format!("no file has the rules of a role `{name}`");
            self.wrong(
                &at,
                &message,
                &format!("write its `rules:` here, or name another: {nearest}"),
            );
        }
        if !role.rules.is_empty() && (is_system || KUBERNETES_OWN.contains(&name.as_str())) {
            let hint = "leave `rules` out, or give the role another name";
            self.wrong(&at, &format!("the role `{name}` is Kubernetes' own"), hint);
        }
        if matches!(&role.bound, Bound::In(namespaces) if namespaces.is_empty()) {
            let hint = "name a namespace of a target, or write `bound: everywhere`";
            self.wrong(&format!("{pointer}/bound/in"), "it is bound nowhere", hint);
        }
        for (position, namespace) in role.bound.namespaces().enumerate() {
            let known = known.namespaces.iter().map(String::as_str);
            self.known("namespace", namespace, &format!("{pointer}/bound/in/{position}"), known);
        }
    }

    fn made_once(&mut self, entry: &PersonaEntry, known: &Known) {
        for made in entry.objects() {
            let name = identity(&made.object);
            let maker = known.makers.get(&name);
            let Some((file, _)) =
                maker.filter(|(file, pointer)| (file, pointer) != (&entry.file, &made.pointer))
            else {
                continue;
            };
            let message = format!("{name} is made by {file} already");
            let hint = match made.object["kind"].as_str() {
                Some("ClusterRole") => "a role that several hold has its `rules` in one file",
                Some("ServiceAccount") => {
                    "two personas are two ServiceAccounts: give it another name"
                }
                _ => "give one of the two another name: `binding: {name: …}`",
            };
            self.wrong(&made.pointer, &message, hint);
        }
    }
}
