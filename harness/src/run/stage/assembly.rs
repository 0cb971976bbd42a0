//! The cluster made, the profile's controls set up, targets and personas in place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;

use super::pulse::Pulse;
use super::{AuditIds, OwnStage, Stage, StageError};
use crate::attack::{Identity, World};
use crate::audit::AuditLog;
use crate::catalog::{KnownRights, Values};
use crate::cluster::{Applier, ClusterError, Created, Group, Own, Settings, Sight};
use crate::model::RunEvent;
use crate::run::{Plan, Progress};
use crate::text::count;

/// Within this the end of a node is known that has ended its log.
const SOON: Duration = Duration::from_secs(1);

/// Makes the cluster, sets the profile up, and waits until it acts.
pub async fn stage(
    plan: &Plan<'_>,
    cluster: Arc<dyn Own>,
    values: Values,
    progress: &Progress,
) -> Result<OwnStage, StageError> {
    let settings = plan.settings(&values);
    let created = progress.step("cluster", "creating", create(&*cluster, &settings)).await?;
    let rights = plan.catalog.known_rights();
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
        tokio::spawn(async move { reading.read(tokio::io::BufReader::new(source)).await });
    }
    (Some(log), Some(group))
}

/// Waits until the cluster has ended or its log can no longer be read, and says why.
pub(super) async fn end(
    ended: impl Future<Output = ClusterError>,
    log: Option<AuditLog>,
) -> String {
    let log_gone = async {
        match log {
            Some(log) => log.gone().await,
            None => std::future::pending().await,
        }
    };
    let mut ended = std::pin::pin!(ended);
    tokio::select! {
        error = &mut ended => error.to_string(),
        // The log ends with its node, whose end says more.
        cause = log_gone => match tokio::time::timeout(SOON, ended).await {
            Ok(error) => error.to_string(),
            Err(_) => cause,
        },
    }
}

impl OwnStage {
    /// The stage of a cluster that was just made: nothing is on it yet.
    async fn new(
        cluster: Arc<dyn Own>,
        created: Created,
        values: Values,
        settings: &Settings,
        rights: KnownRights,
    ) -> Result<Self, StageError> {
        let Created { took, access, sight, .. } = created;
        let log = writes_log(settings).then(|| cluster.log()).transpose()?;
        let (log, following) = follow(log, &values);
        let admin = access.admin.clone();
        let stand_in = Arc::clone(&cluster).stand_in();
        let applier = Applier::new(admin.clone(), stand_in, values.clone()).await?;
        let pulse = Pulse::of(admin, end(cluster.ended(), log.clone()));
        let canary = values.canary.clone();
        let stage = Stage {
            world: World {
                access,
                sight: Sight { log, ..sight },
                canary,
                rights: Arc::new(rights),
            },
            identities: BTreeMap::new(),
            scenes: BTreeMap::new(),
            pulse,
            applier,
            ids: Arc::new(AuditIds::new(&values.run)),
            values,
        };
        Ok(OwnStage { stage, made_in: took, unmet: Vec::new(), cluster, _following: following })
    }

    /// Puts controls, targets and personas in place.
    async fn fill(&mut self, plan: &Plan<'_>) -> Result<((), String), StageError> {
        let applier = &self.stage.applier;
        let controls = plan.controls.values().map(|planned| applier.apply(&planned.set_up.objects));
        try_join_all(controls).await?;
        for labels in plan.controls.values().filter_map(|planned| planned.set_up.stopped.as_deref())
        {
            self.stop(labels).await?;
        }
        self.stage.people(plan).await?;
        let Stage { scenes, identities, .. } = &self.stage;
        let detail =
            format!("{}, {}", count(scenes.len(), "target"), count(identities.len(), "persona"));
        Ok(((), detail))
    }
}

impl Stage {
    /// Puts targets and personas in place. A persona may be a pod's own ServiceAccount, so the targets come first.
    async fn people(&mut self, plan: &Plan<'_>) -> Result<(), StageError> {
        let targets = plan.targets();
        let staging = targets.iter().map(|name| self.stage_target(plan, name));
        let scenes = try_join_all(staging).await?;
        self.scenes = scenes.into_iter().collect();
        self.identities = self.identify_all(plan).await?;
        Ok(())
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
        let persona = &plan.catalog.personas[name].who;
        let access = &self.world.access;
        Ok(Identity::of(name, persona, &access.admin, &access.config).await?)
    }
}
