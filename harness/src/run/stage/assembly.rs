//! The cluster made, the profile's controls set up, targets and personas in place.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;

use super::identities::Identities;
use super::pulse::Pulse;
use super::{AuditIds, OwnStage, Stage, StageError};
use crate::attack::World;
use crate::audit::AuditLog;
use crate::catalog::Values;
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
            world: World { access, sight: Sight { log, ..sight }, canary },
            identities: Identities::default(),
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
        let controls = plan.controls.iter().map(|planned| applier.apply(&planned.set_up.objects));
        try_join_all(controls).await?;
        for labels in plan.controls.iter().filter_map(|planned| planned.set_up.stopped.as_deref()) {
            self.stop(labels).await?;
        }
        self.stage.people(plan).await?;
        let (targets, personas) = (plan.targets().len(), plan.personas().len());
        let detail = format!("{}, {}", count(targets, "target"), count(personas, "persona"));
        Ok(((), detail))
    }
}

impl Stage {
    /// Puts targets and personas in place. A persona may be a pod's own ServiceAccount, so the targets come first.
    async fn people(&self, plan: &Plan<'_>) -> Result<(), StageError> {
        let targets = plan.targets();
        try_join_all(targets.into_iter().map(|target| self.stage_target(target))).await?;
        self.identify_all(plan).await
    }

    /// Gives every persona an identity, before anything rests on it.
    pub(super) async fn identify_all(&self, plan: &Plan<'_>) -> Result<(), StageError> {
        let personas = plan.personas();
        try_join_all(personas.into_iter().map(|persona| self.identity(persona))).await?;
        Ok(())
    }
}
