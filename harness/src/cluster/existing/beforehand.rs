//! What an existing cluster is asked before anything is made there: who and what scenarios need of it, and what of ours
//! it would refuse.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use serde_json::json;

use super::given::why_not;
use super::{Existing, ReachError};
use crate::catalog::{Document, Entry, Grounded, Values};
use crate::cluster::{Applier, Refusals};

impl Existing {
    /// Why scenarios fall away whose personas act as controllers that are not there, or whose permits are lent a pod
    /// where their control does not act, by their ids.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn wanting(
        &self,
        grounded: &Grounded,
        entries: &[&Entry],
    ) -> Result<BTreeMap<String, String>, ReachError> {
        let mut wanting = BTreeMap::new();
        for entry in entries {
            let why = match self.absent_account(entry).await? {
                Some(why) => Some(why),
                None => self.why_not_lent(grounded, entry).await?,
            };
            wanting.extend(why.map(|why| (entry.id.clone(), why)));
        }
        Ok(wanting)
    }

    async fn absent_account(&self, entry: &Entry) -> Result<Option<String>, ReachError> {
        for account in entry.turns.iter().filter_map(|turn| turn.persona.controllers_account()) {
            let (place, name) = (&account.namespace, &account.name);
            let accounts = Api::<ServiceAccount>::namespaced(self.access.admin.clone(), place);
            let found = accounts.get_opt(name).await.map_err(|cause| self.unusable(cause))?;
            if found.is_none() {
                return Ok(Some(format!(
                    "needs the ServiceAccount {place}/{name}: it is not there"
                )));
            }
        }
        Ok(None)
    }

    /// Why the pod that permits are lent is not where the control acts; `None` if it is.
    async fn why_not_lent(
        &self,
        grounded: &Grounded,
        entry: &Entry,
    ) -> Result<Option<String>, ReachError> {
        let Some((control, place)) = entry.lent_place() else { return Ok(None) };
        let controls = &grounded.profile.profile.controls;
        let declared = controls.get(&control.id).filter(|setting| !setting.decides.is_empty());
        let own = entry.target.object("Namespace", "", &entry.target.namespace);
        let wanted = match declared {
            Some(setting) => json!(setting.namespace_labels),
            None => own.map(|own| own["metadata"]["labels"].clone()).unwrap_or_default(),
        };
        let why = why_not(place, self.look(place).await?.as_ref(), &wanted);
        Ok(why.map(|why| format!("its permits would prove nothing where the pod is lent: {why}")))
    }

    /// What the cluster would refuse of these objects, by dry runs.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn would_refuse(
        &self,
        documents: &[Document],
        values: Values,
    ) -> Result<Refusals, ReachError> {
        let applier = Applier::new(self.access.admin.clone(), None, values).await;
        let applier = applier.map_err(|cause| self.unusable(cause))?;
        Ok(applier.would_refuse(documents).await?)
    }
}
