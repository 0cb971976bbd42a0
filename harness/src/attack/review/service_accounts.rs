//! ServiceAccounts whose token is a Secret: it ends with the Secret, and not before.

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{ListParams, PartialObjectMeta};
use kube::{Api, Client, ResourceExt};

use super::{all_read, flaw};
use crate::attack::ActionError;
use crate::cluster::{all, pages};
use crate::model::{Flaw, Reviewed, ServiceAccountReview};

/// The type of such a Secret
/// (<https://kubernetes.io/docs/concepts/configuration/secret/#serviceaccount-token-secrets>).
const TOKENS: &str = "type=kubernetes.io/service-account-token";

/// The annotation that names whose token it is.
const OWNER: &str = "kubernetes.io/service-account.name";

/// Reads the names of all such Secrets, and never what they hold.
pub(super) async fn read(
    admin: &Client,
    review: &ServiceAccountReview,
) -> Result<Reviewed, ActionError> {
    let secrets = Api::<Secret>::all(admin.clone());
    let tokens = ListParams::default().fields(TOKENS);
    let tokens = pages(tokens, async |page| secrets.list_metadata(page).await);
    let (accounts, tokens) = futures::try_join!(all::<ServiceAccount>(admin), tokens)?;
    Ok(all_read(accounts.len() + tokens.len(), flaws(&tokens, review)))
}

fn flaws(tokens: &[PartialObjectMeta<Secret>], review: &ServiceAccountReview) -> Vec<Flaw> {
    let named = tokens
        .iter()
        .map(|it| (format!("{}/{}", it.namespace().unwrap_or_default(), it.name_any()), it));
    let wrong = named.filter(|(name, _)| !review.except.contains(name));
    let tell = |(name, token): (String, &PartialObjectMeta<Secret>)| {
        let owner = token.annotations().get(OWNER).map_or("nobody", String::as_str);
        let is = format!("a token of ServiceAccount {owner} that never expires");
        let follows = "read it once, by a Secret's get, list, backup or disk, and be that ServiceAccount until somebody \
                       deletes the Secret";
        flaw(&format!("Secret/{name}"), "type", is, follows)
    };
    wrong.map(tell).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_token_that_is_kept_is_found() {
        let secret = json!({"metadata": {"namespace": "a", "name": "t", "annotations": {OWNER: "operator"}}});
        let secret: PartialObjectMeta<Secret> = serde_json::from_value(secret).expect("metadata");
        let review = |except: &[&str]| ServiceAccountReview {
            except: except.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(flaws(&[], &review(&[])), []);
        assert_eq!(flaws(std::slice::from_ref(&secret), &review(&["a/t"])), []);
        let found = flaws(&[secret], &review(&["b/t"]));
        assert_eq!(found[0].object, "Secret/a/t");
        assert_eq!(found[0].is, "a token of ServiceAccount operator that never expires");
    }
}
