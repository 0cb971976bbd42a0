//! Personas with their credentials.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use k8s_openapi::api::core::v1::ServiceAccount as Account;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use kube::runtime::wait::await_condition;

use super::{Stage, StageError, in_time};
use crate::attack::{Identity, IdentityError};
use crate::catalog::PersonaEntry;
use crate::lock::lock;
use crate::model::Persona;
use crate::run::Plan;

/// The identities that were made on a stage, by the persona's name.
#[derive(Default)]
pub(super) struct Identities(Mutex<BTreeMap<String, Identity>>);

impl Identities {
    fn made(&self) -> MutexGuard<'_, BTreeMap<String, Identity>> {
        lock(&self.0)
    }
}

impl Stage {
    /// A persona's identity, which is made when it is first asked for.
    ///
    /// # Errors
    /// When it gets no credentials.
    pub(crate) async fn identity(&self, persona: &PersonaEntry) -> Result<Identity, IdentityError> {
        let made = self.identities.made().get(&persona.name).cloned();
        if let Some(identity) = made {
            return Ok(identity);
        }
        let PersonaEntry { name, who, .. } = persona;
        let identity = Identity::of(name, who, &self.world.access).await?;
        self.identities.made().insert(name.clone(), identity.clone());
        Ok(identity)
    }

    /// Gives those an identity who have credentials of their own. It asks, and makes nothing.
    pub(super) async fn identify_own(&self, plan: &Plan<'_>) -> Result<(), StageError> {
        for persona in plan.personas() {
            if matches!(persona.who, Persona::Credentials(_)) {
                self.identity(persona).await?;
            }
        }
        Ok(())
    }

    /// Waits until the account of a persona that is a controller is there: the controllers make their own when they
    /// start.
    pub(super) async fn see_account(&self, persona: &PersonaEntry) -> Result<(), StageError> {
        let Some(account) = persona.controllers_account() else { return Ok(()) };
        let admin = self.world.access.admin.clone();
        let accounts = Api::<Account>::namespaced(admin, &account.namespace);
        let made = await_condition(accounts, &account.name, |it: Option<&Account>| it.is_some());
        let what = format!("the ServiceAccount {}/{}", account.namespace, account.name);
        in_time(made, what, "no controller has made it").await.map(drop)
    }

    /// Waits until the roles of a persona that are made up of others are: a controller does it when it has started.
    pub(super) async fn see_made_up(&self, persona: &PersonaEntry) -> Result<(), StageError> {
        let roles = Api::<ClusterRole>::all(self.world.access.admin.clone());
        for role in persona.roles.iter().filter(|role| role.is_made_up()) {
            let name = &role.cluster_role;
            let made = await_condition(roles.clone(), name, has_rules);
            in_time(made, format!("ClusterRole {name}"), "it is made up of no role yet").await?;
        }
        Ok(())
    }
}

fn has_rules(role: Option<&ClusterRole>) -> bool {
    let rules = role.and_then(|role| role.rules.as_ref());
    rules.is_some_and(|rules| !rules.is_empty())
}
