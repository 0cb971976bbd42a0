//! What a cluster holds of a kind, read page by page: of bindings it may have tens of thousands.

use std::fmt::Debug;

use kube::api::ListParams;
use kube::core::ObjectList;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

/// How many objects are read at once.
pub const PAGE: u32 = 500;

/// Every object of a list, of which `read` gets a page.
///
/// # Errors
/// When a page cannot be read.
pub async fn pages<T: Clone>(
    list: ListParams,
    read: impl AsyncFn(&ListParams) -> Result<ObjectList<T>, kube::Error>,
) -> Result<Vec<T>, kube::Error> {
    let mut page = list.limit(PAGE);
    let mut found = Vec::new();
    loop {
        let list = read(&page).await?;
        found.extend(list.items);
        let Some(token) = list.metadata.continue_.filter(|token| !token.is_empty()) else {
            return Ok(found);
        };
        // The token says of which version of the list it is.
        page = ListParams { resource_version: None, version_match: None, ..page };
        page = page.continue_token(&token);
    }
}

/// Every object of a kind.
///
/// # Errors
/// When a page cannot be read.
pub async fn all<K>(admin: &Client) -> Result<Vec<K>, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let api = Api::<K>::all(admin.clone());
    pages(ListParams::default(), async |page| api.list(page).await).await
}
