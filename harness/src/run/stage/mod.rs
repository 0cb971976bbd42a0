//! From nothing to a cluster on which every control of the profile was seen acting.

mod pulse;
mod readiness;
mod settings;
mod targets;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client};

use super::{Plan, Progress};
use crate::attack::{Identity, client};
use crate::attack::{Ledger, Scene, World};
use crate::audit::{AuditLog, LogError};
use crate::catalog::Values;
use crate::cluster::assets::AssetError;
use crate::cluster::{Applier, ApplyError};
use crate::cluster::{Cluster, ClusterError, ClusterKind, Group, Settings};
use crate::model::{AUDIT_POLICY, RunEvent};
use crate::text::count;
use pulse::Pulse;
use settings::not_set;

/// How long a control may take to act. Objects act within a second, a webhook's pod within a few (measured).
const ACTING: Duration = Duration::from_secs(60);

/// How long the cluster's own pods may take, and those of targets.
pub(super) const STARTING: Duration = Duration::from_secs(120);

/// Within this the end of a node is known that has ended its log.
const SOON: Duration = Duration::from_secs(1);

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
    /// Something did not start.
    #[error("{what} did not become ready within {STARTING:?}; {state}")]
    NotReady {
        /// What.
        what: String,
        /// How it stands.
        state: String,
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

/// A cluster that is ready for attacks.
pub struct Stage {
    /// The cluster, as actions reach it.
    pub world: World,
    /// Who acts, by the persona's name.
    pub identities: BTreeMap<String, Identity>,
    /// On what, by the target's name.
    pub scenes: BTreeMap<String, Scene>,
    /// How long kind itself took to make the cluster.
    pub made_in: Duration,
    /// Whether the API server is there, and which process it is.
    pub(crate) pulse: Pulse,
    /// The controls that are not as the profile says.
    pub unmet: Vec<ControlError>,
    /// Applies objects as the admin.
    pub applier: Applier,
    /// What only this run knows.
    pub values: Values,
    config: kube::Config,
    ids: Arc<AuditIds>,
    // Ends with the stage: it holds the process that follows the log.
    _log: Option<Group>,
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

/// Makes the cluster, sets the profile up, and waits until it acts.
pub async fn stage(
    plan: &Plan<'_>,
    cluster: Arc<Cluster>,
    values: Values,
    progress: &Progress,
) -> Result<Stage, StageError> {
    let settings = plan.settings(&values);
    let (config, made_in) = progress.step("cluster", "creating", make(&cluster, &settings)).await?;
    let admin = client(config.clone())?;
    let ids = Arc::new(AuditIds::new(&values.run));
    let log = writes_log(&settings).then(|| cluster.audit_log()).transpose()?;
    let (audit, log) = follow(log, &values);
    let (node_name, node) = the_node(&admin).await?;
    let applier = Applier::new(admin.clone(), Arc::clone(&cluster), values.clone()).await?;
    let pulse = Pulse::of(admin.clone(), end(cluster.ended(), audit.clone()));
    let canary = values.canary.clone();
    let world = World { admin, cluster, node, node_name, audit, canary, has_controllers: true };
    let mut stage = Stage {
        world,
        made_in,
        pulse,
        unmet: Vec::new(),
        applier,
        values,
        config,
        identities: BTreeMap::new(),
        scenes: BTreeMap::new(),
        ids,
        _log: log,
    };
    progress.step("staged", "applying controls and targets", stage.fill(plan)).await?;
    let acting = stage.see_acting(plan, &settings);
    let seeing = progress.step(&plan.profile, "waiting until every control acts", acting);
    stage.unmet = stage.while_there(seeing).await??;
    for unmet in &stage.unmet {
        progress.tell(RunEvent::ControlUnmet {
            control: unmet.control().to_owned(),
            cause: unmet.to_string(),
        });
    }
    Ok(stage)
}

async fn make(
    cluster: &Cluster,
    settings: &Settings,
) -> Result<((kube::Config, Duration), String), StageError> {
    let made_in = cluster.create(settings).await?;
    let detail = match cluster.kind() {
        ClusterKind::Kind => "created, 1 node",
        ClusterKind::Embedded => "started, 1 simulated node",
    };
    Ok(((cluster.admin().await?, made_in), detail.to_owned()))
}

fn writes_log(settings: &Settings) -> bool {
    settings.flags.contains_key("audit-log-path")
}

/// Follows an audit log, where there is one.
fn follow(group: Option<Group>, values: &Values) -> (Option<AuditLog>, Option<Group>) {
    let Some(mut group) = group else { return (None, None) };
    let log = AuditLog::new(&values.run, &values.canary);
    if let Some(source) = group.stdout() {
        let reading = log.clone();
        tokio::spawn(async move { reading.read(tokio::io::BufReader::new(source)).await });
    }
    (Some(log), Some(group))
}

/// Waits until the cluster has ended or its log can no longer be read, and says why.
async fn end(ended: impl Future<Output = ClusterError>, log: Option<AuditLog>) -> String {
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

/// The node's name and address.
async fn the_node(admin: &Client) -> Result<(String, String), StageError> {
    let nodes = Api::<Node>::all(admin.clone()).list(&ListParams::default()).await?;
    let mut reachable = nodes.items.into_iter().filter_map(|node| {
        let addresses = node.status?.addresses?;
        let internal = addresses.into_iter().find(|address| address.type_ == "InternalIP")?;
        Some((node.metadata.name?, internal.address))
    });
    reachable.next().ok_or_else(|| StageError::NotReady {
        what: "the node".to_owned(),
        state: "it has no address".to_owned(),
    })
}

impl Stage {
    /// Puts objects, targets and personas in place.
    async fn fill(&mut self, plan: &Plan<'_>) -> Result<((), String), StageError> {
        let applier = &self.applier;
        let controls = plan.controls.values().map(|planned| applier.apply(&planned.set_up.objects));
        try_join_all(controls).await?;
        for labels in plan.controls.values().filter_map(|planned| planned.set_up.stopped.as_deref())
        {
            self.stop(labels).await?;
        }
        let targets = plan.targets();
        let staging = targets.iter().map(|name| self.stage_target(plan, name));
        // A persona may be a pod's own ServiceAccount, so the targets come first.
        let scenes = try_join_all(staging).await?;
        self.scenes = scenes.into_iter().collect();
        self.identities = self.identify_all(plan).await?;
        let detail = format!(
            "{}, {}",
            count(self.scenes.len(), "target"),
            count(self.identities.len(), "persona")
        );
        Ok(((), detail))
    }

    async fn identify_all(
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
        Ok(Identity::of(name, persona, &self.world.admin, &self.config).await?)
    }

    /// The same stage by a second API server, which is started with these settings.
    ///
    /// # Errors
    /// When it does not start, or a persona gets no identity.
    pub async fn beside(&self, plan: &Plan<'_>, settings: &Settings) -> Result<Stage, StageError> {
        let cluster = Arc::clone(&self.world.cluster);
        let config = cluster.start_beside(settings).await?;
        let admin = client(config.clone())?;
        let log = writes_log(settings).then(|| cluster.beside_log()).transpose()?;
        let (audit, log) = follow(log, &self.values);
        let applier = self.applier.through(admin.clone());
        let pulse = Pulse::of(admin.clone(), end(cluster.ended(), audit.clone()));
        let mut stage = Stage {
            world: World { admin, audit, has_controllers: false, ..self.world.clone() },
            scenes: self.scenes.clone(),
            identities: BTreeMap::new(),
            made_in: self.made_in,
            pulse,
            unmet: Vec::new(),
            applier,
            values: self.values.clone(),
            config,
            ids: Arc::clone(&self.ids),
            _log: log,
        };
        stage.identities = stage.identify_all(plan).await?;
        // That nothing is logged must not rest on our own settings: by now there would be something.
        if stage.world.audit.is_none() && stage.world.cluster.has_beside_log().await? {
            let found = not_set(AUDIT_POLICY, "--audit-log-path", "not set", "written to");
            return Err(found.into());
        }
        Ok(stage)
    }

    /// Sends a marked request and waits until it is in the log. Returns its Audit-ID.
    pub async fn fence(&self) -> Result<String, LogError> {
        let id = self.ids.next();
        self.world.fence(&id).await?;
        Ok(id)
    }

    /// Waits until the cluster or its log is gone for good, and says why: whatever is asked after that tells nothing.
    pub async fn gone(&self) -> String {
        self.pulse.gone().await
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
        Ledger::new(self.world.admin.clone(), &self.values.run, &self.next_id())
    }

    /// The next Audit-ID.
    pub fn next_id(&self) -> String {
        self.ids.next()
    }
}
