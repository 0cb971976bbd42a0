//! A cluster of our own with what was captured of one that is there, to be tried as that is.

use std::sync::Arc;
use std::time::Duration;

use super::assembly::{create, parts};
use super::{OwnStage, Stage, StageError};
use crate::catalog::{CAPTURED, Document, Planned, Values, identity};
use crate::cluster::{Existing, Outside, Own, Refusals, RunFolder, Settings};
use crate::run::{Plan, Progress};
use crate::text::count;

/// Such a cluster. It ends with this value.
pub struct Rehearsal {
    own: OwnStage,
    folder: Arc<RunFolder>,
    /// What the cluster does not take of what was captured, and why, by the object's kind and name.
    pub refused: Refusals,
}

impl Rehearsal {
    /// Makes the cluster and sets up what was captured, which is one of the plan's controls. The others are ours and
    /// serve what was captured.
    pub(in crate::run) async fn make(
        plan: &Plan<'_>,
        version: &str,
        cluster: Arc<dyn Own>,
        values: Values,
        folder: Arc<RunFolder>,
        progress: &Progress,
    ) -> Result<Rehearsal, StageError> {
        let settings = plan.settings(&values);
        let creating = create(&*cluster, &settings, version);
        let created = progress.step("cluster", "creating", creating).await?;
        let mut own = OwnStage::new(plan, cluster, created, values, &settings).await?;
        let taking = own.take_over(plan, &settings);
        let refused = progress.step(CAPTURED, "setting it up", taking).await?;
        own.tell_unmet(progress);
        Ok(Rehearsal { own, folder, refused })
    }

    /// How long the cluster's own programs took to make it.
    pub fn made_in(&self) -> Duration {
        self.own.made_in
    }

    /// What only this run knows.
    pub fn values(&self) -> Values {
        self.own.stage.values.clone()
    }

    /// The cluster, seen as one that is there. Its log is read if the other cluster's is. Returns why its log is of no
    /// use, if it is of none.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn existing(
        &self,
        reads_log: bool,
    ) -> Result<(Existing, Option<String>), StageError> {
        let Stage { world, .. } = &self.own.stage;
        let (access, mut sight) = (world.access.clone(), world.sight.clone());
        sight.log = sight.log.filter(|_| reads_log);
        let version = access.admin.apiserver_version().await?.git_version;
        let mut existing = Existing::of_ours(access, sight, version, &self.folder);
        let unread = existing.choose_fence().await;
        Ok((existing, unread))
    }

    /// Where it is written down what is made on it: it goes with the cluster.
    pub fn outside(&self) -> Outside {
        Outside::new(&self.own.stage.values.run, self.folder.path())
    }

    /// Sees that whatever serves webhooks still does.
    ///
    /// # Errors
    /// When something of it has ended by itself, with its last words.
    pub async fn see_servers(&self) -> Result<(), StageError> {
        self.own.see_servers().await
    }

    /// Does something that the end of the cluster ends.
    ///
    /// # Errors
    /// When the cluster or its log is gone before it is done.
    pub async fn while_there<T>(&self, work: impl Future<Output = T>) -> Result<T, StageError> {
        self.own.stage.while_there(work).await
    }
}

impl OwnStage {
    async fn take_over(
        &mut self,
        plan: &Plan<'_>,
        settings: &Settings,
    ) -> Result<(Refusals, String), StageError> {
        let completing = self.complete().await?;
        self.is_complete(completing);
        let (captured, ours): (Vec<&Planned>, Vec<&Planned>) =
            plan.controls.iter().partition(|planned| planned.control.id == CAPTURED);
        // What they have may refuse what is ours, and what guards roles all that is made up to then.
        let (guards, first) = parts(ours);
        self.stage.apply_all(&first).await?;
        let objects = captured.iter().flat_map(|planned| planned.set_up.objects.iter().cloned());
        let (deciding, others): (Vec<Document>, Vec<Document>) = objects.partition(is_of_admission);
        let mut refused = self.take(&others).await?;
        self.unmet = self.read_back(plan, settings).await?;
        // It makes roles of its own, which policies of theirs may refuse.
        self.stage.while_there(self.stage.see_roles(plan)).await??;
        self.stage.apply_all(&guards).await?;
        self.stage.while_there(self.see_servers()).await??;
        refused.extend(self.take(&deciding).await?);
        let is_taken = |it: &&Document| !refused.contains_key(&identity(&it.object));
        let taken: Vec<&Document> = deciding.iter().filter(is_taken).collect();
        let seeing = self.stage.see_policies(&taken, settings);
        self.unmet.extend(self.stage.while_there(seeing).await??);
        let taken = count(others.len() + deciding.len() - refused.len(), "object");
        let detail = match refused.len() {
            0 => taken,
            number => format!("{taken}, {number} not taken"),
        };
        Ok((refused, detail))
    }

    async fn take(&self, documents: &[Document]) -> Result<Refusals, StageError> {
        let taking = self.stage.applier.take_over(documents);
        Ok(self.stage.while_there(taking).await??)
    }
}

/// Whether an object is a policy or its binding.
fn is_of_admission(document: &Document) -> bool {
    let version = document.object["apiVersion"].as_str();
    version.is_some_and(|version| version.starts_with("admissionregistration.k8s.io/"))
}
