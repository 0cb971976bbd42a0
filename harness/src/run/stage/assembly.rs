//! The cluster made, the profile's controls set up, targets and personas in place.

use std::sync::Arc;

use futures::future::try_join_all;

use super::end::End;
use super::identities::Identities;
use super::{AuditIds, OwnStage, Stage, StageError};
use crate::attack::World;
use crate::audit::AuditLog;
use crate::catalog::{KnownRights, Values};
use crate::cluster::{Applier, Created, Group, Own, Settings, Sight};
use crate::model::{LogFormat, RunEvent};
use crate::run::{Plan, Progress};
use crate::text::count;

/// Makes the cluster, sets the profile up, and waits until it acts.
pub async fn stage(
    plan: &Plan<'_>,
    cluster: Arc<dyn Own>,
    values: Values,
    progress: &Progress,
) -> Result<OwnStage, StageError> {
    let settings = plan.settings(&values);
    let created = progress.step("cluster", "creating", create(&*cluster, &settings)).await?;
    let rights = Arc::clone(&plan.rights);
    let mut own = OwnStage::new(cluster, created, values, &settings, rights).await?;
    progress.step("staged", "applying controls and targets", own.fill(plan)).await?;
    let acting = own.see_acting(plan, &settings);
    let seeing = progress.step(&plan.profile, "waiting until every control acts", acting);
    own.unmet = own.stage.while_there(seeing).await??;
    for unmet in &own.unmet {
        progress.tell(RunEvent::ControlUnmet {
            control: unmet.control().to_owned(),
            cause: unmet.to_string(),
        });
    }
    Ok(own)
}

async fn create(cluster: &dyn Own, settings: &Settings) -> Result<(Created, String), StageError> {
    let created = cluster.create(settings).await?;
    let words = created.words.to_owned();
    Ok((created, words))
}

/// Whether an API server with these settings writes an audit log.
pub(super) fn writes_log(settings: &Settings) -> bool {
    settings.flags.contains_key("audit-log-path")
}

/// Reads an audit log from now on, where there is one.
pub(super) fn follow(group: Option<Group>, values: &Values) -> (Option<AuditLog>, Option<Group>) {
    let Some(mut group) = group else { return (None, None) };
    let log = AuditLog::new(&values.run, &values.canary);
    if let Some(source) = group.stdout() {
        let reading = log.clone();
        tokio::spawn(async move { reading.read(source, Some(LogFormat::Kubernetes)).await });
    }
    (Some(log), Some(group))
}

impl OwnStage {
    /// The stage of a cluster that was just made: nothing is on it yet.
    async fn new(
        cluster: Arc<dyn Own>,
        created: Created,
        values: Values,
        settings: &Settings,
        rights: Arc<KnownRights>,
    ) -> Result<Self, StageError> {
        let Created { took, access, sight, .. } = created;
        let log = writes_log(settings).then(|| cluster.log()).transpose()?;
        let (log, following) = follow(log, &values);
        let sight = Sight { log, ..sight };
        let stand_in = Arc::clone(&cluster).stand_in();
        let applier = Applier::new(access.admin.clone(), stand_in, values.clone()).await?;
        let end = End::of(cluster.ended(), sight.clone());
        let canary = values.canary.clone();
        let stage = Stage {
            world: World { access, sight, canary, rights },
            identities: Identities::default(),
            end,
            applier,
            ids: Arc::new(AuditIds::new(&values.run)),
            values,
        };
        Ok(OwnStage { stage, made_in: took, unmet: Vec::new(), cluster, _following: following })
    }

    /// Puts controls, targets and personas in place.
    async fn fill(&mut self, plan: &Plan<'_>) -> Result<((), String), StageError> {
        let stage = &self.stage;
        // An object may be both a target's and a control's: then it is as the control says, which may be weakened.
        stage.apply_targets(plan).await?;
        tokio::try_join!(stage.apply_controls(plan), stage.until_targets_ready(plan))?;
        for labels in plan.controls.iter().filter_map(|planned| planned.set_up.stopped.as_deref()) {
            self.stop(labels).await?;
        }
        // A persona may be a pod's own ServiceAccount, or one that a control makes: both are there now.
        self.stage.identify_all(plan).await?;
        let (targets, personas) = (plan.targets().len(), plan.personas().len());
        let detail = format!("{}, {}", count(targets, "target"), count(personas, "persona"));
        Ok(((), detail))
    }
}

impl Stage {
    async fn apply_controls(&self, plan: &Plan<'_>) -> Result<(), StageError> {
        let objects = plan.controls.iter().map(|planned| &planned.set_up.objects);
        try_join_all(objects.map(|objects| self.applier.apply(objects))).await?;
        Ok(())
    }

    async fn apply_targets(&self, plan: &Plan<'_>) -> Result<(), StageError> {
        let targets = plan.targets().into_iter();
        try_join_all(targets.map(|target| self.applier.apply(&target.objects))).await?;
        Ok(())
    }

    async fn until_targets_ready(&self, plan: &Plan<'_>) -> Result<(), StageError> {
        let targets = plan.targets().into_iter();
        try_join_all(targets.map(|target| self.until_ready(target))).await?;
        Ok(())
    }

    /// Gives every persona an identity, before anything rests on it.
    pub(super) async fn identify_all(&self, plan: &Plan<'_>) -> Result<(), StageError> {
        let personas = plan.personas();
        let made = personas.iter().map(|persona| async { Ok(self.identity(persona).await?) });
        let made_up = personas.iter().map(|persona| self.see_made_up(persona));
        tokio::try_join!(try_join_all(made), try_join_all(made_up))?;
        Ok(())
    }
}
