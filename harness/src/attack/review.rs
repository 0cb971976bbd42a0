//! What decides tomorrow? Configuration, read by the admin and held against rules. Nobody is attacked: what is found
//! right here may still let somebody in, and what is found wrong may be open to nobody yet. One file per subject; each
//! reads, and has its rules apart from that as functions of what was read.

mod bindings;
mod encryption;
mod namespaces;
mod policies;
mod rule;
mod service_accounts;
mod settings;
mod webhooks;

use serde_json::Value;

use super::{ActionError, Attempt, Observation};
use crate::catalog::documents;
use crate::cluster::ServerSettings;
use crate::model::{Answer, Flaw, Review, Reviewed};
use crate::text::first_of;

/// How many flaws are kept: a cluster may have one for each of its bindings.
const MOST: usize = 50;

/// Reads the subject of a review.
pub(super) async fn read(
    attempt: &Attempt<'_>,
    review: &Review,
) -> Result<Observation, ActionError> {
    let world = attempt.world;
    let admin = &world.access.admin;
    let mut reviewed = match review {
        Review::Webhooks(review) => webhooks::read(admin, review).await?,
        Review::Policies(review) => policies::read(admin, review).await?,
        Review::Namespaces(review) => namespaces::read(admin, world.settings()?, review).await?,
        Review::Bindings(review) => bindings::read(admin, review).await?,
        Review::ServiceAccounts(review) => service_accounts::read(admin, review).await?,
        Review::Encryption(review) => encryption::read(world, review).await?,
        Review::Settings(review) => settings::read(world, review).await?,
    };
    reviewed.more = reviewed.flaws.len().saturating_sub(MOST);
    reviewed.flaws.truncate(MOST);
    Ok(Observation::of(attempt.sent_past("READ", review.words()), Answer::Review(reviewed)))
}

/// What is wrong with a field of an object, and what follows from it.
fn flaw(object: &str, field: &str, is: impl Into<String>, follows: impl Into<String>) -> Flaw {
    Flaw {
        object: object.to_owned(),
        field: field.to_owned(),
        is: is.into(),
        follows: follows.into(),
    }
}

/// What was found where everything could be read.
fn all_read(objects: usize, flaws: Vec<Flaw>) -> Reviewed {
    Reviewed { objects, flaws, ..Reviewed::default() }
}

/// How many names are told of many.
const NAMED: usize = 10;

/// Several names in a sentence.
fn names(names: &[&str]) -> String {
    first_of(names, NAMED)
}

/// The one document of the file that a flag names; `None` if the flag is not set.
///
/// # Errors
/// Why it cannot be read. Files may hold keys: none of their text is told.
fn file(settings: &ServerSettings, flag: &str) -> Result<Option<Value>, String> {
    let Some(path) = settings.flags.get(flag) else { return Ok(None) };
    let unread = |why: &str| format!("--{flag}: {path} {why}");
    let text = settings.files.get(path).ok_or_else(|| unread("is not known here"))?;
    let parsed: Result<[Value; 1], _> = documents(text).unwrap_or_default().try_into();
    parsed.map(|[document]| Some(document)).map_err(|_| unread("is no single YAML document"))
}

/// Texts of a list in a document.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}
