//! The proof of what only real nodes can hold; embedded clusters prove the rest.

use brinell::catalog::Catalog;
use brinell::cluster::{ClusterType, DEFAULT_VERSION};
use brinell::prove::Who;
use libtest_mimic::Trial;

use super::trial;
use crate::proof;

/// One test per weakening.
pub fn trials() -> Vec<Trial> {
    let catalog = Catalog::load(None).expect("our own catalog");
    let tests = proof::tests(&catalog, ClusterType::Kind, &scenarios(&catalog), Who::Everybody);
    let name = |name: &str| format!("proof/{DEFAULT_VERSION}/{name}");
    tests.into_iter().map(|(id, test)| trial(name(&id), test)).collect()
}

/// The scenarios that embedded clusters cannot hold, and one whose control is a setting of the API server: on kind a
/// second one is started in another way.
fn scenarios(catalog: &Catalog) -> Vec<String> {
    let plan = proof::plan(catalog, ClusterType::Embedded, catalog.scenarios.iter().collect());
    let skipped = plan.skipped.iter().map(|(entry, _)| entry.id.clone());
    skipped.chain(["anonymous-api".to_owned()]).collect()
}
