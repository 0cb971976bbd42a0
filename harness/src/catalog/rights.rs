//! What rights are asked about, and which of them a persona's file promises.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Catalog;
use crate::model::{Danger, Persona, Promise, Rule};

/// What whoever asks about rights must know.
#[derive(Debug, Clone, Default)]
pub struct KnownRights {
    /// The rights that are dangerous.
    pub dangers: Vec<Danger>,
    /// Each persona, and what its file promises.
    pub personas: BTreeMap<String, (Persona, Promise)>,
}

impl Catalog {
    /// What whoever asks about rights must know.
    pub fn known_rights(&self) -> KnownRights {
        let known = |(name, entry): (&String, &Arc<super::PersonaEntry>)| {
            (name.clone(), (entry.who.clone(), self.promise(name)))
        };
        KnownRights {
            dangers: self.dangers.clone(),
            personas: self.personas.iter().map(known).collect(),
        }
    }

    /// What a persona's file promises; nothing if there is no such persona.
    pub(super) fn promise(&self, persona: &str) -> Promise {
        let roles = self.personas.get(persona).map(|entry| entry.roles.as_slice());
        let held = roles.unwrap_or_default().iter();
        Promise { held: held.map(|it| (it.bound.clone(), self.rules(&it.cluster_role))).collect() }
    }

    /// The rules of a role: those that a file has, or of Kubernetes' own role the dangerous rights that are a part of it.
    /// These are not read from the cluster: a package may have added others there.
    fn rules(&self, role: &str) -> Vec<Rule> {
        if let Some(written) = self.written_rules(role) {
            return written;
        }
        let parts = self.dangers.iter().filter(|it| it.part_of.iter().any(|part| part == role));
        let verbs = |it: &Danger| [it.verbs.as_slice(), &it.also].concat();
        parts.map(|it| Rule::on(&it.group, &it.resources, &verbs(it))).collect()
    }

    /// The rules of a role that personas' files write; `None` of one that a cluster has itself.
    pub fn written_rules(&self, role: &str) -> Option<Vec<Rule>> {
        let held = self.personas.values().flat_map(|entry| &entry.roles);
        let mut written = held.filter(|it| it.cluster_role == role && !it.rules.is_empty());
        written.next().map(|held| held.rules.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Right;

    fn right(verb: &str, resource: &str) -> Right {
        Right {
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            r#in: Some("team-a".to_owned()),
            ..Right::default()
        }
    }

    #[test]
    fn a_role_of_kubernetes_promises_what_it_is_meant_to_grant() {
        let catalog = Catalog::load(None).expect("our own catalog");
        let viewer = catalog.promise("viewer");
        assert!(viewer.covers(&right("get", "pods/log")));
        assert!(!viewer.covers(&right("list", "secrets")));
    }

    #[test]
    fn a_role_that_another_file_has_promises_the_same() {
        let mut catalog = Catalog::load(None).expect("our own catalog");
        let developer = &catalog.personas["developer"].roles[0];
        let mut held = developer.clone();
        held.rules.clear();
        let stranger = catalog.personas.get_mut("stranger").expect("a persona of ours");
        Arc::make_mut(stranger).roles.push(held);
        assert!(catalog.promise("stranger").covers(&right("list", "secrets")));
    }
}
