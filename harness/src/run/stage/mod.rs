//! Makes a cluster, and sets the profile up on it until every control was seen acting.

mod assembly;
mod end;
mod existing;
mod identities;
mod in_use;
mod lacking;
mod newest;
mod policies;
mod readiness;
mod rehearsal;
mod roles;
mod rollout;
mod second;
mod settings;
mod targets;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::attack::{Crowds, Ledger, World};
use crate::audit::LogError;
use crate::catalog::{KnownRights, Values};
use crate::cluster::assets::AssetError;
use crate::cluster::{
    Access, Applier, ApplyError, ClusterError, Group, Outside, Own, STARTING, Sight, StandIn,
};
use crate::model::AUDIT_POLICY;
pub use assembly::stage;
use end::End;
use identities::Identities;
use in_use::InUse;
pub use rehearsal::Rehearsal;
pub(crate) use second::SecondStage;

/// How long a control may take to act. Objects act within a second, a webhook's pod within a few (measured).
const ACTING: Duration = Duration::from_secs(60);

/// The cluster could not be made ready for attacks.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Its programs.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// The API server.
    #[error("the API server could not be asked: {}", crate::text::api_words(.0))]
    Api(#[from] kube::Error),
    /// A watch on one of its objects.
    #[error("the API server could not be watched: {0}")]
    Watch(#[from] kube::runtime::wait::Error),
    /// An object.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A persona.
    #[error(transparent)]
    Identity(#[from] crate::attack::IdentityError),
    /// A certificate.
    #[error("the webhook's certificate could not be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A control is not as the profile says.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The cluster is not of the version that results would name.
    #[error(
        "the new cluster is Kubernetes {found} and not {asked}: add --kubernetes-version {found}, or name a node image of \
         {asked}"
    )]
    OtherVersion {
        /// The minor version that it says.
        found: String,
        /// The minor version that was asked for.
        asked: String,
    },
    /// There is nothing more to ask.
    #[error("nothing more can be told: {0}")]
    Gone(String),
}

/// A control is not as the profile says.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A setting is not what it should be.
    #[error(
        "the control {control} is not set up: {setting} is {found}, not {expected}; \
         the node's Kubernetes version may want another form of configuration"
    )]
    NotSet {
        /// The control.
        control: String,
        /// The flag or field.
        setting: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A control that does not act.
    #[error("the control {control} was not seen acting within {waited:?}: {last}")]
    NotActing {
        /// The control.
        control: String,
        /// How long it was asked.
        waited: Duration,
        /// The last answer.
        last: String,
    },
    /// A control whose requests do not reach the log.
    #[error("the control {AUDIT_POLICY} was not seen acting: {0}")]
    Unlogged(#[from] LogError),
}

impl ControlError {
    /// The control.
    pub fn control(&self) -> &str {
        match self {
            ControlError::NotSet { control, .. } | ControlError::NotActing { control, .. } => {
                control
            }
            ControlError::Unlogged(_) => AUDIT_POLICY,
        }
    }
}

/// The error for something that did not become ready in time.
fn not_ready(what: String, state: &str) -> StageError {
    ClusterError::NotReady { what, state: state.to_owned() }.into()
}

/// Waits until something is ready.
///
/// # Errors
/// When it is not in time; its state says what is missing.
async fn in_time<T, E: Into<StageError>>(
    ready: impl Future<Output = Result<T, E>>,
    what: String,
    state: &str,
) -> Result<T, StageError> {
    match tokio::time::timeout(STARTING, ready).await {
        Ok(ready) => ready.map_err(Into::into),
        Err(_) => Err(not_ready(what, state)),
    }
}

/// A cluster that is ready for attacks, one of ours or not.
pub struct Stage {
    /// The cluster, as actions know it.
    pub world: World,
    /// Who acts.
    identities: Identities,
    /// Applies objects as the admin.
    pub applier: Applier,
    /// What only this run knows.
    pub values: Values,
    /// Where it is written down what is made outside of our own namespaces on an existing cluster.
    outside: Option<Arc<Outside>>,
    /// Which of our own namespaces there are still needed.
    in_use: InUse,
    end: End,
    ids: Arc<AuditIds>,
}

/// A cluster of our own that is ready for attacks, and can be weakened.
pub struct OwnStage {
    /// What attacks need of it.
    pub stage: Stage,
    /// How long the cluster's own programs took to make it.
    pub made_in: Duration,
    /// The controls that are not as the profile says.
    pub unmet: Vec<ControlError>,
    cluster: Arc<dyn Own>,
    // Ends with the stage: it holds the process that follows the log.
    _following: Option<Group>,
}

/// Hands out Audit-IDs, each once in a run.
pub struct AuditIds {
    run: String,
    next: AtomicU64,
}

impl AuditIds {
    /// The ids of a run.
    pub fn new(run: &str) -> Self {
        AuditIds { run: run.to_owned(), next: AtomicU64::new(1) }
    }

    /// The next one.
    pub fn next(&self) -> String {
        format!("{}-{}", self.run, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

impl Stage {
    /// The stage of a cluster that ends as `end` says: nothing is on it yet.
    async fn new(
        access: Access,
        sight: Sight,
        stand_in: Option<Arc<dyn StandIn>>,
        values: Values,
        rights: Arc<KnownRights>,
        end: End,
    ) -> Result<Stage, StageError> {
        let applier = Applier::new(access.admin.clone(), stand_in, values.clone()).await?;
        let canary = values.canary.clone();
        Ok(Stage {
            world: World {
                access,
                sight,
                canary,
                rights,
                closed: Arc::default(),
                crowds: Crowds::default(),
            },
            identities: Identities::default(),
            end,
            applier,
            outside: None,
            in_use: InUse::default(),
            ids: Arc::new(AuditIds::new(&values.run)),
            values,
        })
    }

    /// Waits until the cluster or its log is gone for good, and says why: whatever is asked after that tells nothing.
    pub async fn gone(&self) -> String {
        self.end.cause().await
    }

    /// Waits until a process of the API server is awake, and returns its number; `None` if it cannot be known which
    /// process answers, or if none does any more.
    pub(crate) async fn awake(&self) -> Option<u64> {
        self.world.sight.servers.pulse()?.awake().await;
        self.process()
    }

    /// The process of the API server that answers; `None` if that cannot be known, if none answers, and after the
    /// cluster's end.
    pub(crate) fn process(&self) -> Option<u64> {
        let pulse = self.world.sight.servers.pulse().filter(|_| !self.end.has_come());
        pulse?.process()
    }

    /// Does something that the end of the cluster ends.
    ///
    /// # Errors
    /// When the cluster or its log is gone before it is done.
    pub(crate) async fn while_there<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T, StageError> {
        tokio::select! {
            biased;
            cause = self.gone() => Err(StageError::Gone(cause)),
            done = work => Ok(done),
        }
    }

    /// An empty ledger, with a name of its own.
    pub fn ledger(&self) -> Ledger {
        let access = &self.world.access;
        Ledger::new(access, &self.values.run, &self.next_id(), self.outside.clone())
    }

    /// The next Audit-ID.
    pub fn next_id(&self) -> String {
        self.ids.next()
    }
}

#[cfg(test)]
impl Stage {
    /// One on a cluster that does not end.
    pub(in crate::run) async fn of(access: Access, sight: Sight, values: Values) -> Stage {
        let end = End::of(std::future::pending(), Sight { log: None, ..sight.clone() });
        let stage = Stage::new(access, sight, None, values, Arc::default(), end).await;
        stage.expect("it tells what kinds it has")
    }
}
