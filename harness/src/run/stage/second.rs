//! The stage of a second API server of the same cluster, which has settings of its own.

use std::sync::Arc;

use super::assembly::{follow, writes_log};
use super::end::End;
use super::identities::Identities;
use super::in_use::InUse;
use super::settings::not_set;
use super::{OwnStage, Stage, StageError};
use crate::attack::World;
use crate::cluster::{
    Access, ClusterError, Group, Pulse, Second, Servers, Settings, Sight, client,
};
use crate::model::AUDIT_POLICY;
use crate::run::Plan;

/// The cluster by a second API server, which ends with this value.
pub(crate) struct SecondStage {
    /// What attacks need of it.
    pub stage: Stage,
    second: Second,
    /// The process that follows the log.
    following: Option<Group>,
}

impl OwnStage {
    /// This stage by a second API server, which is started with these settings.
    ///
    /// # Errors
    /// When it does not start, or a persona gets no identity.
    pub async fn second(
        &self,
        plan: &Plan<'_>,
        settings: &Settings,
    ) -> Result<SecondStage, StageError> {
        let second = self.cluster.start_second(settings).await?;
        let log = writes_log(settings).then(|| second.log()).transpose()?;
        let (log, following) = follow(log, &self.stage.values);
        let config = second.config.clone();
        let access = Access { config, ..self.stage.world.access.clone() };
        let access = Access { admin: client(access.config.clone(), &access.pace).await?, ..access };
        let sight = Sight {
            log,
            servers: Servers::One(Pulse::of(access.admin.clone())),
            settings: Some(settings.of_server()),
            controllers: false,
            ..self.stage.world.sight.clone()
        };
        let end = End::of(self.cluster.ended(), sight.clone());
        let stage = self.stage.by_way_of(access, sight, end);
        stage.identify_all(plan).await?;
        let second = SecondStage { stage, second, following };
        second.see_no_other_log().await?;
        Ok(second)
    }
}

impl SecondStage {
    /// Asks the node too whether nothing is logged: our own settings do not prove it. By now there would be something.
    async fn see_no_other_log(&self) -> Result<(), StageError> {
        if self.stage.world.sight.log.is_none() && self.second.has_log().await? {
            let found = not_set(AUDIT_POLICY, "--audit-log-path", "not set", "written to");
            return Err(found.into());
        }
        Ok(())
    }

    /// Ends the second API server.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub async fn end(self) -> Result<(), ClusterError> {
        let SecondStage { stage, second, following } = self;
        drop((stage, following));
        second.end().await
    }
}

impl Stage {
    /// This stage through another API server of the same cluster. Its personas have no identities yet.
    fn by_way_of(&self, access: Access, sight: Sight, end: End) -> Stage {
        Stage {
            end,
            applier: self.applier.through(access.admin.clone()),
            world: World { access, sight, ..self.world.clone() },
            identities: Identities::default(),
            values: self.values.clone(),
            outside: self.outside.clone(),
            in_use: InUse::default(),
            ids: Arc::clone(&self.ids),
        }
    }
}
