//! An existing cluster with our own namespaces on it, or with what we make in those that are given: targets, and personas
//! with their roles. Nothing else is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::end::End;
use super::{Stage, StageError};
use crate::attack::closed;
use crate::catalog::{Document, Entry, Grounded, Values, namespace, outside};
use crate::cluster::{Existing, Outside, PullCredentials, Refusals, Sight};
use crate::model::Door;
use crate::run::Plan;
use crate::text::count;

impl Stage {
    /// The stage on an existing cluster, empty.
    pub(in crate::run) async fn on(
        existing: &Existing,
        plan: &Plan<'_>,
        values: Values,
        pull: Option<PullCredentials>,
        outside: Outside,
    ) -> Result<Stage, StageError> {
        let Existing { access, sight, .. } = existing;
        // A log that is gone leaves the cluster: what was made there is still to be removed. Without credentials
        // nothing more can be told.
        let end = End::of(existing.ended(), Sight { log: None, ..sight.clone() });
        let (run, rights) = (values.run.clone(), Arc::clone(&plan.rights));
        let mut stage =
            Stage::new(access.clone(), sight.clone(), None, values, rights, end).await?;
        let outside = Arc::new(outside);
        stage.applier = stage.applier.visiting(pull, Arc::clone(&outside));
        stage.outside = Some(outside);
        if plan.turns().any(|turn| Door::STREAMS.contains(&turn.door)) {
            stage.world.closed = Arc::new(closed(access, &run).await);
        }
        Ok(stage)
    }

    /// Makes our namespaces, where they are not given, with what scenarios act on. Returns what the cluster refuses of it.
    pub(in crate::run) async fn furnish(
        &self,
        plan: &Plan<'_>,
        grounded: &Grounded,
        with_pods: bool,
    ) -> Result<Refusals, StageError> {
        self.identify_own(plan).await?;
        let targets = plan.targets();
        let documents = grounded.documents(&targets, &plan.personas(), with_pods);
        let in_given = |it: &&Document| {
            it.object["metadata"]["namespace"]
                .as_str()
                .is_some_and(|it| grounded.given.contains(it))
        };
        self.applier.see_free(&documents.iter().filter(in_given).collect::<Vec<_>>()).await?;
        let places = grounded.namespaces(&targets).filter_map(|it| namespace(&it.object));
        let places: Vec<&str> = places.collect();
        let given = places.iter().copied().filter(|name| grounded.given.contains(*name));
        let pulling = given.chain(outside(&documents, &places)).collect();
        Ok(self.applier.create(&documents, &pulling).await?)
    }

    /// Waits until what was made can be acted on, and gives personas their identities. Returns why scenarios cannot be
    /// tried, by their ids: a pod that they go into is not ready in time.
    pub(in crate::run) async fn settle(
        &self,
        plan: &Plan<'_>,
        grounded: &Grounded,
        with_pods: bool,
    ) -> Result<(BTreeMap<String, String>, String), StageError> {
        let awaited = if with_pods { plan.awaited() } else { BTreeSet::new() };
        let late = self.late(awaited).await?;
        self.identify_all(plan).await?;
        let namespaces = grounded.namespaces(&plan.targets()).count();
        let personas = count(plan.personas().len(), "persona");
        let mut detail = format!("{}, {personas}", count(namespaces, "namespace"));
        if !late.is_empty() {
            detail.push_str(&format!("; {} not ready", count(late.len(), "pod")));
        }
        let why = |entry: &&Entry| {
            let why = entry.awaited().find_map(|pod| late.get(pod))?;
            Some((entry.id.clone(), why.clone()))
        };
        Ok((plan.scenarios.iter().copied().filter_map(|it| why(&it)).collect(), detail))
    }
}
