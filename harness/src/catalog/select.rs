//! Which scenarios of the catalog run.

use std::collections::BTreeSet;

use globset::{Glob, GlobMatcher};

use super::nearest::did_you_mean;
use super::{Catalog, Entry};

/// A selection that names nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// No scenario has this id.
    #[error("there is no scenario `{id}`; {hint}")]
    UnknownScenario {
        /// As it was given.
        id: String,
        /// What may have been meant.
        hint: String,
    },
    /// No scenario has this tag.
    #[error("no scenario has the tag `{tag}`; {hint}")]
    UnknownTag {
        /// As it was given.
        tag: String,
        /// What may have been meant.
        hint: String,
    },
    /// Not a glob.
    #[error("`{glob}` is not a glob: {error}")]
    BrokenGlob {
        /// As it was given.
        glob: String,
        /// What is wrong with it.
        error: String,
    },
}

/// The scenarios that match one of the globs (all, where there is none) and have one of the tags (if there are
/// any), without those that match a skip. A glob, tag or skip that matches no scenario at all is an error: most
/// likely it is misspelt, and a run that tests less than was meant must not look like a success.
pub fn select<'a>(
    catalog: &'a Catalog,
    globs: &[String],
    tags: &[String],
    skips: &[String],
) -> Result<Vec<&'a Entry>, SelectError> {
    let wanted = matchers(catalog, globs)?;
    let unwanted = matchers(catalog, skips)?;
    tags.iter().try_for_each(|tag| known_tag(catalog, tag))?;
    let selected = catalog.scenarios.iter().filter(|entry| {
        (wanted.is_empty() || matches(&wanted, &entry.id))
            && (tags.is_empty() || entry.scenario.tags.iter().any(|tag| tags.contains(tag)))
            && !matches(&unwanted, &entry.id)
    });
    Ok(selected.collect())
}

fn matches(matchers: &[GlobMatcher], id: &str) -> bool {
    matchers.iter().any(|matcher| matcher.is_match(id))
}

fn matchers(catalog: &Catalog, globs: &[String]) -> Result<Vec<GlobMatcher>, SelectError> {
    globs.iter().map(|glob| matcher(catalog, glob)).collect()
}

fn matcher(catalog: &Catalog, glob: &str) -> Result<GlobMatcher, SelectError> {
    let matcher = Glob::new(glob)
        .map_err(|error| SelectError::BrokenGlob {
            glob: glob.to_owned(),
            error: error.kind().to_string(),
        })?
        .compile_matcher();
    let ids = catalog.scenarios.iter().map(|entry| entry.id.as_str());
    if ids.clone().any(|id| matcher.is_match(id)) {
        return Ok(matcher);
    }
    Err(SelectError::UnknownScenario { id: glob.to_owned(), hint: did_you_mean(glob, ids) })
}

fn known_tag(catalog: &Catalog, tag: &str) -> Result<(), SelectError> {
    let tags: BTreeSet<&str> = catalog
        .scenarios
        .iter()
        .flat_map(|entry| entry.scenario.tags.iter().map(String::as_str))
        .collect();
    if tags.contains(tag) {
        return Ok(());
    }
    Err(SelectError::UnknownTag { tag: tag.to_owned(), hint: did_you_mean(tag, tags) })
}
