//! From nothing to a cluster on which every control of the profile was seen acting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::TryStreamExt;
use futures::future::{join_all, try_join_all};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, ListParams, WatchEvent, WatchParams};
use kube::runtime::conditions;
use kube::runtime::wait::await_condition;
use kube::{Api, Client};

use super::{Plan, Planned, Progress};
use crate::action::{Attempt, Scene, World};
use crate::audit::AuditLog;
use crate::catalog::{AUDIT_POLICY, Action, Need, Permit};
use crate::cluster::assets::AssetError;
use crate::cluster::{Cluster, ClusterError, ClusterKind, Group, Settings};
use crate::control::{Applier, ApplyError, Ready, Values, is_ready, until_ready};
use crate::persona::{Identity, client};
use crate::text::count;
use crate::verdict::{Answer, Decision, Layer, Log, attribute};

/// How long a control may take to act. Objects act within a second, a webhook's pod within a few (measured).
const ACTING: Duration = Duration::from_secs(60);

/// How long the cluster's own pods may take, and those of targets.
pub(super) const STARTING: Duration = Duration::from_secs(120);

/// How long it may take until names are looked up when CoreDNS is ready. kube-proxy takes a second (measured).
const NAMES: Duration = Duration::from_secs(15);

/// Between two questions whether a control acts: no event tells it.
pub(crate) const BETWEEN_QUESTIONS: Duration = Duration::from_millis(50);

/// How long a kubelet may take to answer before it is asked again.
const ANSWER: Duration = Duration::from_secs(5);

/// How long a marked request may take to reach the log.
pub const FENCE: Duration = Duration::from_secs(10);

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
    Identity(#[from] crate::persona::IdentityError),
    /// A certificate.
    #[error("the webhook's certificate could not be made: {0}")]
    Certificate(#[from] rcgen::Error),
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
    /// Something did not start.
    #[error("{what} did not become ready within {STARTING:?}; {state}")]
    NotReady {
        /// What.
        what: String,
        /// How it stands.
        state: String,
    },
    /// The log.
    #[error("the control audit-policy was not seen acting: {0}")]
    Audit(#[from] crate::audit::LogError),
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
    /// Whether the API server is a second one, beside the one that the cluster's own parts ask.
    pub is_beside: bool,
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
    let world = World { admin, cluster, node, node_name, audit, canary: values.canary.clone() };
    let mut stage = Stage {
        world,
        made_in,
        is_beside: false,
        applier,
        values,
        config,
        identities: BTreeMap::new(),
        scenes: BTreeMap::new(),
        ids,
        _log: log,
    };
    progress.step("staged", "applying controls and targets", stage.fill(plan)).await?;
    progress
        .step(&plan.profile, "waiting until every control acts", stage.see_acting(plan, &settings))
        .await?;
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

    /// Stages one target and waits until its pods are ready.
    async fn stage_target(
        &self,
        plan: &Plan<'_>,
        name: &str,
    ) -> Result<(String, Scene), StageError> {
        let target = &plan.catalog.targets[name];
        self.applier.apply(&target.objects).await?;
        let ready = target.pods.iter().map(|(namespace, pod)| self.await_pod(namespace, pod));
        try_join_all(ready).await?;
        let pod = target.pods.first().map(|(_, pod)| pod.clone());
        Ok((name.to_owned(), Scene { namespace: target.namespace.clone(), pod }))
    }

    /// Stages a target anew, as an attack may have changed it. A debug container that was let in stays in its pod for
    /// good: where there may be one, the pod is made again.
    ///
    /// # Errors
    /// When an object cannot be applied, or a pod does not become ready.
    pub async fn restage(
        &self,
        plan: &Plan<'_>,
        name: &str,
        debugged: bool,
    ) -> Result<(), StageError> {
        if debugged {
            for (namespace, pod) in &plan.catalog.targets[name].pods {
                self.remove_debugged(namespace, pod).await?;
            }
        }
        self.stage_target(plan, name).await.map(drop)
    }

    /// Deletes a pod that holds a debug container, and waits until it is gone.
    async fn remove_debugged(&self, namespace: &str, name: &str) -> Result<(), StageError> {
        let pods = Api::<Pod>::namespaced(self.world.admin.clone(), namespace);
        let Some(pod) = pods.get_opt(name).await? else { return Ok(()) };
        let spec = pod.spec.unwrap_or_default();
        if spec.ephemeral_containers.unwrap_or_default().is_empty() {
            return Ok(());
        }
        let uid = pod.metadata.uid.unwrap_or_default();
        pods.delete(name, &DeleteParams::default().grace_period(0)).await?;
        let gone = await_condition(pods, name, conditions::is_deleted(&uid));
        match tokio::time::timeout(STARTING, gone).await {
            Ok(seen) => Ok(seen.map(drop)?),
            Err(_) => Err(StageError::NotReady {
                what: format!("pod {namespace}/{name}"),
                state: "it was deleted, and is still there".to_owned(),
            }),
        }
    }

    async fn await_pod(&self, namespace: &str, pod: &str) -> Result<(), StageError> {
        let waiting = until_ready(&self.world.admin, namespace, pod);
        let what = format!("pod {namespace}/{pod}");
        match tokio::time::timeout(STARTING, waiting).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(state)) => Err(StageError::NotReady { what, state }),
            Err(_) => {
                let pods = Api::<Pod>::namespaced(self.world.admin.clone(), namespace);
                let state = pods.get(pod).await?.status.unwrap_or_default();
                let state = serde_json::to_string(&state.container_statuses).unwrap_or_default();
                Err(StageError::NotReady { what, state })
            }
        }
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
        let persona = &plan.catalog.personas[name];
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
        let mut stage = Stage {
            world: World { admin, audit, ..self.world.clone() },
            scenes: self.scenes.clone(),
            identities: BTreeMap::new(),
            made_in: self.made_in,
            is_beside: true,
            applier,
            values: self.values.clone(),
            config,
            ids: Arc::clone(&self.ids),
            _log: log,
        };
        stage.identities = stage.identify_all(plan).await?;
        // That nothing is logged must not rest on our own settings: by now there would be something.
        if stage.world.audit.is_none() && stage.world.cluster.has_beside_log().await? {
            return Err(not_set(AUDIT_POLICY, "--audit-log-path", "not set", "written to"));
        }
        Ok(stage)
    }

    /// Waits until the kubelet has these settings and knows its pods: a restarted one answers before it does, and
    /// then says of each that it does not exist (measured).
    ///
    /// # Errors
    /// When it does not get them.
    pub async fn see_kubelet(
        &self,
        control: &str,
        settings: &serde_json::Value,
    ) -> Result<(), StageError> {
        let mut last = String::new();
        let asking = async {
            loop {
                match tokio::time::timeout(ANSWER, self.kubelet_lacks(settings)).await {
                    Ok(None) => break,
                    Ok(Some(lack)) => last = lack,
                    Err(_) => last = format!("unknown: it did not answer within {ANSWER:?}"),
                }
                tokio::time::sleep(BETWEEN_QUESTIONS).await;
            }
        };
        let waited = tokio::time::timeout(ACTING, asking).await;
        let expected = settings.to_string();
        waited.map_err(|_| not_set(control, "the KubeletConfiguration", &expected, &last))
    }

    /// Sees every whole control acting, the cluster's own pods running, and the log written.
    async fn see_acting(
        &self,
        plan: &Plan<'_>,
        settings: &Settings,
    ) -> Result<((), String), StageError> {
        let whole: Vec<&Planned> = plan.controls.values().filter(|planned| planned.whole).collect();
        let asking = whole.iter().map(|planned| self.see_control(planned));
        let files = settings.files.iter().map(|(name, text)| self.read_file(plan, name, text));
        tokio::try_join!(
            self.read_back(plan),
            try_join_all(files),
            try_join_all(asking),
            self.await_system(plan)
        )?;
        if whole.iter().any(|planned| planned.set_up.flags.contains_key("audit-log-path")) {
            self.fence().await?;
        }
        let absent = plan.controls.len() - whole.len();
        let mut detail = match (whole.len(), absent) {
            (acting, 0) => format!("{acting} of {acting} controls act, each seen acting"),
            (0, absent) => format!("{absent} of {absent} controls absent, as the profile says"),
            (acting, absent) => format!("{acting} controls act, {absent} weakened"),
        };
        if !plan.left_out.is_empty() {
            let ids: Vec<&str> = plan.left_out.keys().map(String::as_str).collect();
            let cluster = self.world.cluster.kind().name();
            let ids = ids.join(" and ");
            detail.push_str(&format!("; {ids} cannot on {cluster} clusters and are left out"));
        }
        Ok(((), detail))
    }

    /// Compares every setting with what the running processes have: kind drops a wrong form silently.
    async fn read_back(&self, plan: &Plan<'_>) -> Result<(), StageError> {
        let asked = plan.controls.values().any(|planned| planned.set_up.kubelet.is_some());
        let (flags, kubelet) =
            tokio::try_join!(async { Ok(self.world.cluster.api_server_flags().await?) }, async {
                if asked { self.configz().await } else { Ok(serde_json::Value::Null) }
            })?;
        for (id, planned) in &plan.controls {
            for (flag, expected) in &planned.set_up.flags {
                let found = flags.get(flag).map_or("not set", String::as_str);
                if found != expected {
                    return Err(not_set(id, &format!("--{flag}"), expected, found));
                }
            }
            let Some(expected) = &planned.set_up.kubelet else { continue };
            if !crate::merge::contains(&kubelet, expected) {
                return Err(not_set(
                    id,
                    "the KubeletConfiguration",
                    &expected.to_string(),
                    "something else",
                ));
            }
        }
        Ok(())
    }

    /// Compares a file with what lies where the API server reads it. Its content may be a key: it is not shown.
    async fn read_file(
        &self,
        plan: &Plan<'_>,
        name: &String,
        text: &str,
    ) -> Result<(), StageError> {
        if self.world.cluster.has_settings_file(name, text).await? {
            return Ok(());
        }
        let owner =
            plan.controls.iter().find(|(_, planned)| planned.set_up.files.contains_key(name));
        let control = owner.map_or("", |(id, _)| id.as_str());
        Err(not_set(control, name, "as the profile has it", "different"))
    }

    /// What the kubelet lacks of its settings and of the pods that attacks go to, or why it does not tell: while it
    /// starts it does not answer.
    async fn kubelet_lacks(&self, settings: &serde_json::Value) -> Option<String> {
        let (present, known) = match tokio::try_join!(self.configz(), self.ask_kubelet_pods()) {
            Ok(answers) => answers,
            Err(error) => return Some(error.to_string()),
        };
        if !has(&present, settings) {
            return Some(present.to_string());
        }
        self.scenes.values().find_map(|scene| {
            let name = scene.pod.as_ref()?;
            let is_it = |pod: &serde_json::Value| {
                pod["metadata"]["namespace"] == scene.namespace && pod["metadata"]["name"] == *name
            };
            let unknown = || format!("without the pod {}/{name}", scene.namespace);
            (!known.iter().any(is_it)).then(unknown)
        })
    }

    async fn ask_kubelet_pods(&self) -> Result<Vec<serde_json::Value>, StageError> {
        let mut list = self.ask_kubelet("pods").await?;
        Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Asks the kubelet by way of the API server.
    async fn ask_kubelet(&self, what: &str) -> Result<serde_json::Value, kube::Error> {
        let path = format!("/api/v1/nodes/{}/proxy/{what}", self.world.node_name);
        let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        self.world.admin.request(request).await
    }

    /// The kubelet's configuration, as the running kubelet tells it.
    async fn configz(&self) -> Result<serde_json::Value, StageError> {
        Ok(self.ask_kubelet("configz").await?["kubeletconfig"].clone())
    }

    /// Asks what a control must refuse until it does.
    ///
    /// # Errors
    /// When it does not within its time.
    pub async fn see_control(&self, planned: &Planned<'_>) -> Result<(), StageError> {
        for ready in &planned.control.control.ready {
            let mut last = String::new();
            let asking = async {
                loop {
                    match self.ask(ready).await {
                        Ok(decision) if acts(planned, ready, &decision) => break,
                        Ok(decision) => last = format!("{decision:?}"),
                        Err(error) => last = error.to_string(),
                    }
                    tokio::time::sleep(BETWEEN_QUESTIONS).await;
                }
            };
            if tokio::time::timeout(ACTING, asking).await.is_err() {
                return Err(StageError::NotActing {
                    control: planned.control.id.clone(),
                    waited: ACTING,
                    last: crate::text::cut(&last, 600),
                });
            }
        }
        Ok(())
    }

    /// Waits until a control's webhook is reached, as long as a weakened control may take to act: its pods may be
    /// ready before the node's rules lead to them. One that is meant to be unreachable stays so.
    pub async fn see_reached(&self, planned: &Planned<'_>, patience: Duration) {
        let asking = async {
            for ready in &planned.control.control.ready {
                while self.ask(ready).await.is_ok_and(|decision| is_unreached(&decision)) {
                    tokio::time::sleep(BETWEEN_QUESTIONS).await;
                }
            }
        };
        // What it says then is judged, whatever it is.
        let _ = tokio::time::timeout(patience, asking).await;
    }

    async fn ask(&self, ready: &Ready) -> Result<Decision, crate::action::ActionError> {
        let nowhere = Scene { namespace: String::new(), pod: None };
        let scene = ready.target.as_ref().and_then(|name| self.scenes.get(name));
        let attempt = Attempt {
            world: &self.world,
            identity: &self.identities[&ready.r#as],
            scene: scene.unwrap_or(&nowhere),
            door: ready.r#do.doors()[0],
            audit_id: &self.ids.next(),
            user_agent: concat!("brinell/", env!("CARGO_PKG_VERSION"), " (control)"),
        };
        let observation = attempt.send(&ready.r#do).await?;
        let unread = Log::Unreadable("a control is asked, not judged".to_owned());
        Ok(attribute(&observation.sent, &observation.answer, &unread))
    }

    /// kind says that a cluster is ready before its own pods are: Pod Security may be refusing them. They must
    /// run; CoreDNS must be ready as well where a scenario looks up names.
    async fn await_system(&self, plan: &Plan<'_>) -> Result<(), StageError> {
        if !self.world.cluster.has_own_pods() {
            return Ok(());
        }
        let names = plan.scenarios.iter().any(|entry| entry.needs().contains(&Need::PodNetwork));
        let pods = Api::<Pod>::namespaced(self.world.admin.clone(), "kube-system");
        let waiting = async {
            let first = pods.list(&ListParams::default()).await?;
            let mut present = first.items;
            let version = first.metadata.resource_version.unwrap_or_default();
            let changes = pods.watch(&WatchParams::default(), &version).await?;
            let mut changes = std::pin::pin!(changes);
            while !missing_parts(&present, names).is_empty() {
                match changes.try_next().await? {
                    Some(WatchEvent::Added(pod) | WatchEvent::Modified(pod)) => {
                        present.retain(|other| other.metadata.name != pod.metadata.name);
                        present.push(pod);
                    }
                    Some(_) => {}
                    // The server ends a watch after some minutes, which is longer than we wait.
                    None => break,
                }
            }
            Ok::<_, kube::Error>(missing_parts(&present, names))
        };
        if let Ok(result) = tokio::time::timeout(STARTING, waiting).await
            && result?.is_empty()
        {
            self.await_names(plan).await;
            return Ok(());
        }
        let missing = missing_parts(&pods.list(&ListParams::default()).await?.items, names);
        Err(StageError::NotReady {
            what: "the cluster's own pods".to_owned(),
            state: format!("missing: {}", missing.join(", ")),
        })
    }

    /// Waits until names are looked up as scenarios permit it: kube-proxy refuses what is sent to CoreDNS for some
    /// time after its pods are ready, and no event tells when it no longer does. What does not work by then is judged.
    async fn await_names(&self, plan: &Plan<'_>) {
        let permits = plan.scenarios.iter().flat_map(|entry| {
            let names =
                entry.scenario.permits.iter().filter(|it| matches!(it.r#do, Action::Resolve(_)));
            names.map(|permit| (&entry.scenario.target, permit))
        });
        let asking = permits.map(|(target, permit)| async move {
            while !self.works(target, permit).await {
                tokio::time::sleep(BETWEEN_QUESTIONS).await;
            }
        });
        let _ = tokio::time::timeout(NAMES, join_all(asking)).await;
    }

    async fn works(&self, target: &str, permit: &Permit) -> bool {
        let attempt = Attempt {
            world: &self.world,
            identity: &self.identities[&permit.r#as],
            scene: &self.scenes[target],
            door: permit.r#do.doors()[0],
            audit_id: &self.ids.next(),
            user_agent: concat!("brinell/", env!("CARGO_PKG_VERSION"), " (control)"),
        };
        let observation = attempt.send(&permit.r#do).await;
        observation.is_ok_and(|observation| matches!(observation.answer, Answer::Worked(_)))
    }

    /// Sends a marked request and waits until it is in the log. Returns its Audit-ID.
    pub async fn fence(&self) -> Result<String, crate::audit::LogError> {
        let id = self.ids.next();
        let Some(audit) = &self.world.audit else { return Ok(id) };
        let request = http::Request::get("/apis/brinell.dev/fence")
            .header("Audit-ID", &id)
            .body(kube::client::Body::empty());
        if let Ok(request) = request {
            // Whatever it is answered, and if it is answered at all, shows in the log.
            let _ = self.world.admin.send(request).await;
        }
        audit.wait_for(&id, FENCE).await?;
        Ok(id)
    }

    /// The next Audit-ID.
    pub fn next_id(&self) -> String {
        self.ids.next()
    }
}

fn acts(planned: &Planned, ready: &Ready, decision: &Decision) -> bool {
    matches!(decision, Decision::Denied(denial)
        if planned.control.control.decides.contains(&denial.layer)
            && ready.saying.as_ref().is_none_or(|words| denial.message.contains(words)))
}

fn is_unreached(decision: &Decision) -> bool {
    matches!(decision, Decision::Denied(denial) if matches!(denial.layer, Layer::WebhookFailure(_)))
}

/// Whether a kubelet's configuration has these settings; a profile without any has none that could be missing.
fn has(present: &serde_json::Value, settings: &serde_json::Value) -> bool {
    settings.is_null() || crate::merge::contains(present, settings)
}

fn not_set(control: &str, setting: &str, expected: &str, found: &str) -> StageError {
    StageError::NotSet {
        control: control.to_owned(),
        setting: setting.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

/// The parts of a cluster made by kubeadm, by the labels that their pods carry.
const PARTS: [(&str, &str); 6] = [
    ("component", "kube-apiserver"),
    ("component", "etcd"),
    ("component", "kube-controller-manager"),
    ("component", "kube-scheduler"),
    ("k8s-app", "kube-proxy"),
    ("k8s-app", DNS),
];

const DNS: &str = "kube-dns";

/// The parts of which no pod runs; `names` asks for more of CoreDNS than to run.
fn missing_parts(pods: &[Pod], names: bool) -> Vec<&'static str> {
    let stands = |part: &str, pod: &Pod| match part {
        DNS if names => is_ready(pod),
        _ => pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running")),
    };
    let is_there = |label: &str, part: &str| {
        pods.iter().any(|pod| {
            let labels = pod.metadata.labels.as_ref();
            labels.and_then(|labels| labels.get(label)).is_some_and(|value| value == part)
                && stands(part, pod)
        })
    };
    PARTS.iter().filter(|(label, part)| !is_there(label, part)).map(|(_, part)| *part).collect()
}
