//! Which webhooks a cluster has, and in which configuration each is: a refusal tells a webhook's name alone.

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::api::ListParams;
use kube::{Api, Client};

use super::pages::pages;
use crate::model::Webhook;

/// Every webhook of a cluster, validating and mutating ones. They are read from the API server's cache, from which it
/// decides too; a list past the cache takes a tenth of a second (measured).
///
/// # Errors
/// When the API server cannot be asked.
pub async fn webhooks(admin: &Client) -> Result<Vec<Webhook>, kube::Error> {
    let validating = Api::<ValidatingWebhookConfiguration>::all(admin.clone());
    let mutating = Api::<MutatingWebhookConfiguration>::all(admin.clone());
    let cached = ListParams::default().match_any();
    let (validating, mutating) = tokio::try_join!(
        pages(cached.clone(), async |page| validating.list(page).await),
        pages(cached, async |page| mutating.list(page).await)
    )?;
    let validating = validating.into_iter().flat_map(|it| {
        let names = it.webhooks.into_iter().flatten().map(|webhook| webhook.name);
        named("ValidatingWebhookConfiguration", it.metadata.name, names)
    });
    let mutating = mutating.into_iter().flat_map(|it| {
        let names = it.webhooks.into_iter().flatten().map(|webhook| webhook.name);
        named("MutatingWebhookConfiguration", it.metadata.name, names)
    });
    Ok(validating.chain(mutating).collect())
}

fn named(
    kind: &str,
    configuration: Option<String>,
    names: impl Iterator<Item = String>,
) -> Vec<Webhook> {
    let configuration = format!("{kind}/{}", configuration.unwrap_or_default());
    names.map(|name| Webhook { name, configuration: configuration.clone() }).collect()
}
