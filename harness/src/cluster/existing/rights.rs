//! What the admin of an existing cluster's context may do: the cluster is asked, so that every authorizer of it
//! answers.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use kube::Client;
use serde::Deserialize;
use serde_json::json;

use super::{AT_A_TIME, Existing, ReachError};
use crate::catalog::{Claim, Warrant};
use crate::cluster::Servers;
use crate::model::Right;
use crate::text::first_of;

/// How many missing rights are told of a scenario.
const TOLD: usize = 5;

/// What a cluster says to one question.
#[derive(Deserialize)]
struct Reviewed {
    status: Said,
}

#[derive(Deserialize)]
struct Said {
    allowed: bool,
}

/// What falls away for want of rights.
pub struct Unmet {
    /// How many questions were asked.
    pub asked: usize,
    /// Why a scenario falls away, by its id.
    pub why: BTreeMap<String, String>,
}

impl Existing {
    /// Asks for everything that a run needs.
    ///
    /// # Errors
    /// When something is missing that every run needs, and when the cluster does not answer.
    pub async fn unmet(&self, warrant: &Warrant) -> Result<Unmet, ReachError> {
        let asking = missing(&self.access.admin, warrant.claims()).await;
        let (mut missing, asked) = asking.map_err(|cause| self.unusable(cause))?;
        // Leases show which API server answers, where connections do not.
        if matches!(self.sight.servers, Servers::OneAConnection(_)) {
            missing.retain(|claim| claim.right.resource != "leases");
        }
        let told = |claims: &BTreeSet<Claim>| -> BTreeSet<String> {
            claims.iter().filter(|claim| missing.contains(claim)).map(told).collect()
        };
        let of_all = told(&warrant.all);
        if !of_all.is_empty() {
            return Err(ReachError::Unauthorized {
                way: self.way.clone(),
                user: self.user().to_owned(),
                missing: of_all.into_iter().collect(),
            });
        }
        let why = warrant.each.iter().filter_map(|(id, claims)| {
            let told: Vec<String> = told(claims).into_iter().collect();
            let why = || format!("needs {}, which {} may not", first_of(&told, TOLD), self.user());
            (!told.is_empty()).then(|| (id.clone(), why()))
        });
        Ok(Unmet { asked, why: why.collect() })
    }
}

/// A right with its place, for a person.
fn told(claim: &Claim) -> String {
    match &claim.right.r#in {
        Some(namespace) => format!("`{}` in {namespace}", claim.right),
        None => format!("`{}`", claim.right),
    }
}

/// Those claims that are not met, and how many questions that took. Each right is asked about in all namespaces at once
/// first: where it is held there, that is one question for all.
async fn missing<'a>(
    admin: &Client,
    claims: BTreeSet<&'a Claim>,
) -> Result<(BTreeSet<&'a Claim>, usize), kube::Error> {
    let mut known: BTreeMap<Right, bool> = BTreeMap::new();
    let mut open = claims;
    for form in [wide, or_wide, narrow, or_narrow] {
        let asked: BTreeSet<Right> = open.iter().filter_map(|claim| form(claim)).collect();
        let asked = asked.into_iter().filter(|right| !known.contains_key(right));
        let asking = asked.collect::<Vec<_>>().into_iter().map(async |right| {
            let allowed = may(admin, &right).await?;
            Ok::<_, kube::Error>((right, allowed))
        });
        let said: Vec<_> = stream::iter(asking).buffer_unordered(AT_A_TIME).try_collect().await?;
        known.extend(said);
        open.retain(|claim| form(claim).is_none_or(|right| !known[&right]));
    }
    Ok((open, known.len()))
}

fn wide(claim: &Claim) -> Option<Right> {
    Some(claim.right.everywhere())
}

fn or_wide(claim: &Claim) -> Option<Right> {
    claim.or.as_ref().map(Right::everywhere)
}

fn narrow(claim: &Claim) -> Option<Right> {
    Some(claim.right.clone())
}

fn or_narrow(claim: &Claim) -> Option<Right> {
    claim.or.clone()
}

/// Whether the cluster allows this to whom it takes us for.
pub(super) async fn may(admin: &Client, right: &Right) -> Result<bool, kube::Error> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": right.spec(),
    });
    let request = http::Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        .header("Content-Type", "application/json")
        .body(review.to_string().into_bytes())
        .map_err(kube::Error::HttpError)?;
    Ok(admin.request::<Reviewed>(request).await?.status.allowed)
}
