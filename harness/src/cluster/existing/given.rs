//! What is there already and what may be made there: namespaces that a profile gives us are looked at and never changed, and
//! the cluster is asked what of ours it would refuse.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;

use super::{Existing, ReachError};
use crate::catalog::{Document, Grounded, Target, Values, namespace};
use crate::cluster::{Applier, Refusals};

impl Existing {
    /// Why namespaces that are given cannot be used for these targets, by their names.
    ///
    /// # Errors
    /// When the one of the personas' accounts cannot be, and when the cluster does not answer.
    pub async fn unfit(
        &self,
        grounded: &Grounded,
        targets: &[&Target],
    ) -> Result<BTreeMap<String, String>, ReachError> {
        let mut unfit = BTreeMap::new();
        let given =
            grounded.namespaces(targets).filter_map(|it| Some((namespace(&it.object)?, it)));
        for (name, document) in given.filter(|(name, _)| grounded.given.contains(*name)) {
            if let Some(why) = self.why_unfit(name, document).await? {
                unfit.insert(name.to_owned(), why);
            }
        }
        let accounts = namespace(&grounded.accounts.object).unwrap_or_default();
        match unfit.remove(accounts) {
            Some(why) => Err(ReachError::Unfit { why }),
            None => Ok(unfit),
        }
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

    /// Why a namespace is not what ours would be; `None` if it is.
    async fn why_unfit(
        &self,
        name: &str,
        document: &Document,
    ) -> Result<Option<String>, ReachError> {
        let namespaces = Api::<Namespace>::all(self.access.admin.clone());
        let found = match namespaces.get_metadata(name).await {
            Ok(found) => found.metadata,
            Err(kube::Error::Api(status)) if status.code == 404 => {
                return Ok(Some(format!("the namespace {name} is not there")));
            }
            Err(cause) => return Err(self.unusable(cause)),
        };
        if found.deletion_timestamp.is_some() {
            return Ok(Some(format!("the namespace {name} is being deleted")));
        }
        let labels = found.labels.unwrap_or_default();
        let wanted = document.object["metadata"]["labels"].as_object().into_iter().flatten();
        let wanted = wanted.filter_map(|(key, value)| Some((key, value.as_str()?)));
        let missing =
            wanted.filter(|(key, value)| labels.get(*key).map(String::as_str) != Some(*value));
        let missing: Vec<String> = missing.map(|(key, value)| format!("{key}={value}")).collect();
        let missing = missing.join(" ");
        let why = || {
            format!(
                "the namespace {name} has not the labels of a target: kubectl label namespace {name} {missing}"
            )
        };
        Ok((!missing.is_empty()).then(why))
    }
}
