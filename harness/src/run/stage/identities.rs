//! Personas with their credentials.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Stage;
use crate::attack::{Identity, IdentityError};
use crate::catalog::PersonaEntry;

/// The identities that were made on a stage, by the persona's name.
#[derive(Default)]
pub(super) struct Identities(Mutex<BTreeMap<String, Identity>>);

impl Identities {
    fn made(&self) -> MutexGuard<'_, BTreeMap<String, Identity>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let access = &self.world.access;
        let PersonaEntry { name, who, .. } = persona;
        let identity = Identity::of(name, who, &access.admin, &access.config).await?;
        self.identities.made().insert(name.clone(), identity.clone());
        Ok(identity)
    }
}
