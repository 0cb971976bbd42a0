//! Which run of one result is compared with which of the other, and what of the two can be.

use std::collections::BTreeMap;

use super::mask::Mask;
use super::{Both, NotCompared};
use crate::model::{Results, ScenarioResult};

/// A run, as it was and as it is. One of them is missing where runs were merged and only one result has it.
pub(super) struct Pair {
    /// Which of several runs it is; empty where one was compared with one.
    pub(super) place: String,
    /// As it was.
    pub(super) before: Option<Results>,
    /// As it is.
    pub(super) after: Option<Results>,
}

/// The runs of two results, each with its counterpart. One run is compared with one, wherever the two were.
pub(super) fn pairs(before: &Results, after: &Results) -> Result<Vec<Pair>, (NotCompared, bool)> {
    let is_one = before.runs.is_empty() && after.runs.is_empty();
    let mut befores = places(before, is_one).map_err(|error| (error, false))?;
    let mut afters = places(after, is_one).map_err(|error| (error, true))?;
    let mut names: Vec<String> = befores.keys().chain(afters.keys()).cloned().collect();
    names.sort();
    names.dedup();
    let pair = |place: String| Pair {
        before: befores.remove(&place),
        after: afters.remove(&place),
        place,
    };
    Ok(names.into_iter().map(pair).collect())
}

/// The runs of a result: several by their clusters and profiles, one by no name.
fn places(results: &Results, is_one: bool) -> Result<BTreeMap<String, Results>, NotCompared> {
    if results.proof.is_some() {
        return Err(NotCompared::Proof);
    }
    let mut places = BTreeMap::new();
    for run in results.split() {
        let place = match is_one {
            true => String::new(),
            // It did not begin, and has the name of its file.
            false if run.started.is_empty() => run.run.clone(),
            false => format!("{}, profile {}", run.place(), run.profile),
        };
        if places.insert(place.clone(), run).is_some() {
            return Err(NotCompared::Alike(place));
        }
    }
    Ok(places)
}

fn all(run: &Option<Results>) -> impl Iterator<Item = &ScenarioResult> {
    run.iter().flat_map(|run| &run.scenarios)
}

fn by_id(run: &Option<Results>) -> BTreeMap<&str, &ScenarioResult> {
    all(run).map(|it| (it.id.as_str(), it)).collect()
}

impl Pair {
    /// Each scenario of either, as it was and as it is: those of now in their order, and then those that are gone.
    pub(super) fn scenarios(&self) -> Vec<Both<'_>> {
        let (befores, afters) = (by_id(&self.before), by_id(&self.after));
        let now = all(&self.after).map(|it| (befores.get(it.id.as_str()).copied(), Some(it)));
        let gone = all(&self.before).filter(|it| !afters.contains_key(it.id.as_str()));
        now.chain(gone.map(|it| (Some(it), None))).collect()
    }

    /// What makes the texts of each comparable.
    pub(super) fn masks(&self) -> (Mask, Mask) {
        (Mask::of(self.before.as_ref()), Mask::of(self.after.as_ref()))
    }

    /// Whether only what every format has can be compared.
    pub(super) fn is_core(&self) -> bool {
        self.before.iter().chain(&self.after).any(Results::is_core)
    }

    /// Whether both were made on the same kind of cluster with the same profile: what one of two others cannot try says
    /// nothing of the other.
    pub(super) fn is_alike(&self) -> bool {
        self.differing(|run| run.kind().to_owned()).is_none()
            && self.differing(|run| run.profile.clone()).is_none()
    }

    /// What cannot be compared, and why.
    pub(super) fn limits(&self) -> Vec<String> {
        let mut limits = Vec::new();
        if self.is_core() {
            let formats = self.differing(|run| run.format.to_string());
            let formats = formats.unwrap_or_else(|| "another than ours".to_owned());
            limits.push(format!("format ({formats}): only verdicts are compared"));
        }
        if let Some(clusters) = self.differing(|run| run.kind().to_owned()) {
            limits.push(format!(
                "cluster ({clusters}): what only one of them can try is not compared, nor how long it took"
            ));
        }
        if let Some(contexts) = self.contexts() {
            limits.push(format!(
                "existing cluster ({contexts}): two clusters, of which each may decide otherwise whatever has changed"
            ));
        }
        if let Some(profiles) = self.differing(|run| run.profile.clone()) {
            limits.push(format!(
                "profile ({profiles}): what only one of them has a control for is not compared"
            ));
        }
        if let Some(versions) = self.differing(|run| run.kubernetes.clone()) {
            limits
                .push(format!("Kubernetes ({versions}): words may differ where nothing else does"));
        }
        limits
    }

    /// Of which existing clusters the two are, where they are of two: a rehearsal is of the one that was captured.
    fn contexts(&self) -> Option<String> {
        let (before, after) = (self.before.as_ref()?.context()?, self.after.as_ref()?.context()?);
        (before != after).then(|| format!("{before}, then {after}"))
    }

    /// How the two differ in something: `kind, then embedded`.
    fn differing(&self, of: impl Fn(&Results) -> String) -> Option<String> {
        let (before, after) = (of(self.before.as_ref()?), of(self.after.as_ref()?));
        (before != after).then(|| format!("{before}, then {after}"))
    }
}
