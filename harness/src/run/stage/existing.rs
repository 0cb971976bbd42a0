//! An existing cluster with our own namespaces on it: targets, and personas with their roles. Nothing else is touched.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::end::End;
use super::identities::Identities;
use super::{AuditIds, Stage, StageError};
use crate::attack::{World, closed};
use crate::catalog::{Document, Grounded, Values, identity};
use crate::cluster::{Applier, Existing, Sight};
use crate::run::Plan;
use crate::text::count;

/// What is applied on an existing cluster.
struct Objects {
    documents: Vec<Document>,
}

impl Stage {
    /// The stage on an existing cluster, empty.
    pub(in crate::run) async fn on(
        existing: &Existing,
        plan: &Plan<'_>,
        values: Values,
    ) -> Result<Stage, StageError> {
        let Existing { access, sight, .. } = existing;
        let (access, sight) = (access.clone(), sight.clone());
        let applier = Applier::new(access.admin.clone(), None, values.clone()).await?;
        let applier = applier.pulling(existing.pull.clone());
        // A log that is gone leaves the cluster: what was made there is still to be removed.
        let end = End::of(std::future::pending(), Sight { log: None, ..sight.clone() });
        let (canary, rights) = (values.canary.clone(), Arc::clone(&plan.rights));
        let closed = Arc::new(closed(&access, &values.run).await);
        Ok(Stage {
            world: World { access, sight, canary, rights, closed },
            identities: Identities::default(),
            end,
            applier,
            ids: Arc::new(AuditIds::new(&values.run)),
            values,
        })
    }

    /// Makes our namespaces with what scenarios act on, and gives personas their identities.
    pub(in crate::run) async fn furnish(
        &self,
        plan: &Plan<'_>,
        grounded: &Grounded,
        with_pods: bool,
    ) -> Result<((), String), StageError> {
        let objects = Objects::of(plan, grounded, with_pods);
        self.applier.create(&objects.documents).await?;
        if with_pods {
            self.until_targets_ready(plan).await?;
        }
        self.identify_all(plan).await?;
        let namespaces = objects.namespaces().len();
        let personas = count(plan.personas().len(), "persona");
        Ok(((), format!("{}, {personas}", count(namespaces, "namespace"))))
    }
}

impl Objects {
    /// What the plan's scenarios act on and with: namespaces first, each object once.
    fn of(plan: &Plan<'_>, grounded: &Grounded, with_pods: bool) -> Objects {
        let accounts = grounded.accounts.clone();
        let targets = plan.targets().into_iter().flat_map(|target| target.objects.clone());
        let mut documents: Vec<Document> = [accounts].into_iter().chain(targets).collect();
        documents.retain(|it| with_pods || it.object["kind"] != "Pod");
        let made: BTreeSet<String> =
            documents.iter().filter_map(|it| namespace(&it.object)).map(str::to_owned).collect();
        let made: BTreeSet<&str> = made.iter().map(String::as_str).collect();
        for persona in plan.personas() {
            let written = |role: &str| grounded.catalog.written_rules(role);
            documents.extend(persona.objects_in(&made, written));
        }
        // Pods last: they may run as an account that is among the others.
        documents.sort_by_key(|it| match it.object["kind"].as_str() {
            Some("Namespace") => 0,
            Some("Pod") => 2,
            _ => 1,
        });
        let mut known = BTreeSet::new();
        documents.retain(|it| known.insert(identity(&it.object)));
        Objects { documents }
    }

    fn namespaces(&self) -> BTreeSet<&str> {
        self.documents.iter().filter_map(|it| namespace(&it.object)).collect()
    }
}

/// The name of a Namespace.
fn namespace(object: &Value) -> Option<&str> {
    object["metadata"]["name"].as_str().filter(|_| object["kind"] == "Namespace")
}
