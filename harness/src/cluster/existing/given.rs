//! Namespaces that are there already and that a profile gives us: they are looked at, and never changed.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use serde_json::Value;

use super::{Existing, ReachError};
use crate::catalog::{Document, Grounded, Target, namespace};

/// What the labels begin with by which Pod Security knows what to enforce.
const POD_SECURITY: &str = "pod-security.kubernetes.io/";

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
        let deciding = deciding(grounded);
        let mut unfit = BTreeMap::new();
        let given =
            grounded.namespaces(targets).filter_map(|it| Some((namespace(&it.object)?, it)));
        for (name, document) in given.filter(|(name, _)| grounded.given.contains(*name)) {
            let found = self.look(name).await?;
            let wanted = &document.object["metadata"]["labels"];
            let why = why_not(name, found.as_ref(), wanted);
            let why = why.or_else(|| why_more(name, found.as_ref()?, wanted, &deciding));
            unfit.extend(why.map(|why| (name.to_owned(), why)));
        }
        let accounts = namespace(&grounded.accounts.object).unwrap_or_default();
        match unfit.remove(accounts) {
            Some(why) => Err(ReachError::Unfit { why }),
            None => Ok(unfit),
        }
    }

    /// A namespace; `None` if it is not there.
    pub(super) async fn look(&self, name: &str) -> Result<Option<ObjectMeta>, ReachError> {
        let namespaces = Api::<Namespace>::all(self.access.admin.clone());
        match namespaces.get_metadata(name).await {
            Ok(found) => Ok(Some(found.metadata)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(cause) => Err(self.unusable(cause)),
        }
    }
}

/// The labels of namespaces by which somebody decides what is refused there.
fn deciding(grounded: &Grounded) -> BTreeSet<&str> {
    let targets = grounded.catalog.targets.values();
    let objects = targets.flat_map(|target| &target.objects).chain([&grounded.accounts]);
    let labels = objects.filter(|it| namespace(&it.object).is_some()).map(labels);
    labels.flatten().collect()
}

fn labels(document: &Document) -> impl Iterator<Item = &str> {
    let labels = document.object["metadata"]["labels"].as_object();
    labels.into_iter().flatten().map(|(key, _)| key.as_str())
}

/// Why a namespace is not what ours would be; `None` if it is.
pub(super) fn why_not(name: &str, found: Option<&ObjectMeta>, wanted: &Value) -> Option<String> {
    let Some(found) = found else {
        return Some(format!("the namespace {name} is not there"));
    };
    if found.deletion_timestamp.is_some() {
        return Some(format!("the namespace {name} is being deleted"));
    }
    let has = |key: &String| found.labels.as_ref()?.get(key).map(String::as_str);
    let wanted = wanted.as_object().into_iter().flatten();
    let wanted = wanted.filter_map(|(key, value)| Some((key, value.as_str()?)));
    let missing = wanted.filter(|(key, value)| has(key) != Some(*value));
    let missing: Vec<String> = missing.map(|(key, value)| format!("{key}={value}")).collect();
    let missing = missing.join(" ");
    let command = format!("kubectl label namespace {name} {missing}");
    let why = || format!("the namespace {name} has not the labels of a target: {command}");
    (!missing.is_empty()).then(why)
}

/// Why somebody would decide something else in a namespace than in ours; `None` if nobody would.
fn why_more(
    name: &str,
    found: &ObjectMeta,
    wanted: &Value,
    deciding: &BTreeSet<&str>,
) -> Option<String> {
    let decides = |key: &str| key.starts_with(POD_SECURITY) || deciding.contains(key);
    let labels = found.labels.iter().flat_map(BTreeMap::keys);
    let more = labels.filter(|key| decides(key) && wanted.get(key).is_none());
    let more: Vec<String> = more.map(|key| format!("{key}-")).collect();
    let more = more.join(" ");
    let command = format!("kubectl label namespace {name} {more}");
    let why = || format!("the namespace {name} has labels that its target has not: {command}");
    (!more.is_empty()).then(why)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_namespace_that_is_given_has_the_labels_of_its_target_and_no_other_that_decides() {
        let deciding = BTreeSet::from(["guard", "team"]);
        let why = |labels: Value, wanted: Value| {
            let found = serde_json::from_value(json!({"labels": labels})).expect("metadata");
            let why = why_not("app", Some(&found), &wanted);
            why.or_else(|| why_more("app", &found, &wanted, &deciding))
        };
        let guarded = json!({"guard": "on"});
        assert_eq!(why(json!({"guard": "on", "owner": "jane"}), guarded.clone()), None);
        assert_eq!(why(json!({"owner": "jane"}), Value::Null), None);
        for (labels, wanted, command) in [
            (json!({}), guarded.clone(), "app guard=on"),
            (json!({"guard": "off"}), guarded.clone(), "app guard=on"),
            (json!({"guard": "on", "team": "a"}), guarded, "app team-"),
            (
                json!({"pod-security.kubernetes.io/enforce": "restricted"}),
                Value::Null,
                "app pod-security.kubernetes.io/enforce-",
            ),
        ] {
            let why = why(labels, wanted).expect("it is unfit");
            assert!(why.ends_with(&format!("kubectl label namespace {command}")), "{why}");
        }
    }
}
