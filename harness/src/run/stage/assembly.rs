//! The cluster made, the profile's controls set up, targets and personas in place.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::try_join_all;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::runtime::wait::await_condition;
use kube::{Api, Client};

use super::end::End;
use super::{AuditIds, OwnStage, Stage, StageError, not_ready};
use crate::attack::{Identity, StagedTarget, World};
use crate::audit::AuditLog;
use crate::catalog::Values;
use crate::cluster::{Access, Applier, Created, Group, Own, STARTING, Settings, Sight};
use crate::model::RunEvent;
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
    let mut own = OwnStage::new(cluster, created, values, &settings).await?;
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
        tokio::spawn(async move { reading.read(source).await });
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
            world: World { access, sight, canary },
            identities: BTreeMap::new(),
            targets: BTreeMap::new(),
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
        let (_, targets) = tokio::try_join!(stage.apply_controls(plan), stage.targets(plan))?;
        self.stage.targets = targets;
        for labels in plan.controls.values().filter_map(|planned| planned.set_up.stopped.as_deref())
        {
            self.stop(labels).await?;
        }
        // A persona may be a pod's own ServiceAccount, or one that a control makes: both are there now.
        self.stage.identities = self.stage.identify_all(plan).await?;
        let Stage { targets, identities, .. } = &self.stage;
        let detail =
            format!("{}, {}", count(targets.len(), "target"), count(identities.len(), "persona"));
        Ok(((), detail))
    }
}

impl Stage {
    async fn apply_controls(&self, plan: &Plan<'_>) -> Result<(), StageError> {
        let applying =
            plan.controls.values().map(|planned| self.applier.apply(&planned.set_up.objects));
        try_join_all(applying).await?;
        Ok(())
    }

    async fn apply_targets(&self, plan: &Plan<'_>) -> Result<(), StageError> {
        let names = plan.targets();
        let applying = names.iter().map(|name| self.apply_target(plan, name));
        try_join_all(applying).await?;
        Ok(())
    }

    async fn targets(&self, plan: &Plan<'_>) -> Result<BTreeMap<String, StagedTarget>, StageError> {
        let names = plan.targets();
        let ready = names.iter().map(|name| self.until_ready(plan, name));
        Ok(try_join_all(ready).await?.into_iter().collect())
    }

    /// Gives every persona an identity.
    pub(super) async fn identify_all(
        &self,
        plan: &Plan<'_>,
    ) -> Result<BTreeMap<String, Identity>, StageError> {
        let names = plan.personas();
        let acting = names.iter().map(|name| self.identify(plan, name));
        let identities = try_join_all(acting).await?;
        Ok(identities.into_iter().map(|identity| (identity.name.clone(), identity)).collect())
    }

    async fn identify(&self, plan: &Plan<'_>, name: &str) -> Result<Identity, StageError> {
        let persona = &plan.catalog.personas[name];
        let Access { admin, config, .. } = &self.world.access;
        let identity = async { Ok(Identity::of(name, &persona.who, admin, config).await?) };
        let held = persona.roles.iter().filter(|role| role.is_made_up());
        let made_up = try_join_all(held.map(|role| see_made_up(admin, &role.cluster_role)));
        Ok(tokio::try_join!(identity, made_up)?.0)
    }
}

/// Waits until a role that is made up of others is: a controller does it when it has started.
async fn see_made_up(admin: &Client, name: &str) -> Result<(), StageError> {
    let has_rules = |role: Option<&ClusterRole>| {
        role.is_some_and(|role| role.rules.as_ref().is_some_and(|rules| !rules.is_empty()))
    };
    let roles = Api::<ClusterRole>::all(admin.clone());
    match tokio::time::timeout(STARTING, await_condition(roles, name, has_rules)).await {
        Ok(seen) => Ok(seen.map(drop)?),
        Err(_) => Err(not_ready(format!("ClusterRole {name}"), "it is made up of no role yet")),
    }
}
