//! The cluster made, the profile's controls set up, targets and personas in place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use serde_json::Value;

use super::end::End;
use super::lacking::{self, DEFINITION};
use super::{OwnStage, Stage, StageError};
use crate::audit::AuditLog;
use crate::catalog::{Document, Planned, Values};
use crate::cluster::{Created, Group, Own, Settings, Sight, WebhookServers};
use crate::model::{RunEvent, api_group};
use crate::run::{Plan, Progress};
use crate::text::{count, from_base64};

/// Makes the cluster, which is to be of this version, sets the profile up, and waits until it acts.
pub async fn stage(
    plan: &Plan<'_>,
    version: &str,
    cluster: Arc<dyn Own>,
    values: Values,
    progress: &Progress,
) -> Result<OwnStage, StageError> {
    lacking::see_none(plan, cluster.brings())?;
    let settings = plan.settings(&values);
    let creating = create(&*cluster, &settings, version);
    let created = progress.step("cluster", "creating", creating).await?;
    let mut own = OwnStage::new(plan, cluster, created, values, &settings).await?;
    progress.step("staged", "applying controls and targets", own.fill(plan)).await?;
    let acting = own.see_acting(plan, &settings);
    let seeing = progress.step(&plan.profile, "waiting until every control acts", acting);
    own.unmet = own.stage.while_there(seeing).await??;
    own.tell_unmet(progress);
    Ok(own)
}

pub(super) async fn create(
    cluster: &dyn Own,
    settings: &Settings,
    version: &str,
) -> Result<(Created, String), StageError> {
    let created = cluster.create(settings).await?;
    see_version(&created.access.admin.apiserver_version().await?.git_version, version)?;
    let words = created.words.to_owned();
    Ok((created, words))
}

/// Sees that an API server that says this version, such as `v1.36.3`, is of the minor version that was asked for: a
/// node image may be of another.
fn see_version(said: &str, asked: &str) -> Result<(), StageError> {
    let parts: Vec<&str> = said.trim_start_matches('v').split('.').take(2).collect();
    let found = parts.join(".");
    match found == asked {
        true => Ok(()),
        false => Err(StageError::OtherVersion { found, asked: asked.to_owned() }),
    }
}

/// Whether an API server with these settings writes an audit log.
pub(super) fn writes_log(settings: &Settings) -> bool {
    settings.flags.contains_key("audit-log-path")
}

/// What serves webhooks where there are no nodes.
fn webhook_servers(plan: &Plan<'_>, values: &Values) -> WebhookServers {
    let pem = |base64: &str| from_base64(base64).unwrap_or_default();
    let (certificate, key) = (pem(&values.cert), pem(&values.key));
    WebhookServers { servers: plan.servers(), certificate, key }
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
    pub(super) async fn new(
        plan: &Plan<'_>,
        cluster: Arc<dyn Own>,
        created: Created,
        values: Values,
        settings: &Settings,
    ) -> Result<Self, StageError> {
        let Created { took, access, sight, .. } = created;
        let log = writes_log(settings).then(|| cluster.log()).transpose()?;
        let (log, following) = follow(log, &values);
        let sight = Sight { log, ..sight };
        let servers = webhook_servers(plan, &values);
        let stand_in = Arc::clone(&cluster).stand_in(servers)?;
        let rights = Arc::clone(&plan.rights);
        let end = End::of(cluster.ended(), sight.clone());
        let stage = Stage::new(access, sight, stand_in, values, rights, end).await?;
        Ok(OwnStage { stage, made_in: took, unmet: Vec::new(), cluster, _following: following })
    }

    /// Tells which controls are not as the profile says.
    pub(super) fn tell_unmet(&self, progress: &Progress) {
        for unmet in &self.unmet {
            let (control, cause) = (unmet.control().to_owned(), unmet.to_string());
            progress.tell(RunEvent::ControlUnmet { control, cause });
        }
    }

    /// Puts controls, targets and personas in place while the cluster becomes complete.
    async fn fill(&mut self, plan: &Plan<'_>) -> Result<((), String), StageError> {
        let is_late = |it: &Document| rests_on_its_own(&it.object) || guards_roles(&it.object);
        let (completing, ()) = match plan.objects().any(is_late) {
            true => (self.complete().await?, self.put_in_place(plan).await?),
            false => tokio::try_join!(self.complete(), self.put_in_place(plan))?,
        };
        self.is_complete(completing);
        let (targets, personas) = (plan.targets().len(), plan.personas().len());
        let detail = format!("{}, {}", count(targets, "target"), count(personas, "persona"));
        Ok(((), detail))
    }

    /// Notes that the cluster is complete, which took so long. Only now all its programs run, whose end is to be
    /// noticed.
    pub(super) fn is_complete(&mut self, completing: Duration) {
        self.made_in += completing;
        self.stage.end = End::of(self.cluster.ended(), self.stage.world.sight.clone());
    }

    /// Waits until the cluster is complete, and returns how long that took.
    pub(super) async fn complete(&self) -> Result<Duration, StageError> {
        let started = Instant::now();
        self.cluster.complete().await?;
        Ok(started.elapsed())
    }

    async fn put_in_place(&self, plan: &Plan<'_>) -> Result<(), StageError> {
        let stage = &self.stage;
        self.cluster.bring_images(&plan.images()).await?;
        // One control may define what another one has, or a target.
        let definitions = plan.objects().filter(|it| it.object["kind"] == DEFINITION);
        stage.applier.apply(&definitions.cloned().collect::<Vec<Document>>()).await?;
        // An object may be both a target's and a control's: then it is as the control says, which may be weakened.
        stage.apply_targets(plan).await?;
        stage.applier.apply(&plan.people).await?;
        let (guards, others) = parts(&plan.controls);
        tokio::try_join!(stage.apply_all(&others), stage.until_ready(plan.awaited()))?;
        if guards.iter().any(|guard| !guard.is_empty()) {
            // They may refuse those that are made to see it, and the controller that puts roles together.
            stage.see_roles(plan).await?;
            stage.apply_all(&guards).await?;
        }
        for labels in plan.controls.iter().filter_map(|planned| planned.set_up.stopped.as_deref()) {
            self.stop(labels).await?;
        }
        // A persona may be a pod's own ServiceAccount, or one that a control makes: both are there now.
        self.stage.identify_all(plan).await
    }
}

/// The roles that the API server makes itself and whose names do not say so
/// (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings>).
const UNMARKED: [&str; 5] =
    ["cluster-admin", "admin", "edit", "view", "extension-apiserver-authentication-reader"];

/// Whether an object would become another if it were there before what the API server makes itself: it adds its own
/// rules to a role of its own name, and admits no pod whose priority it has not made yet.
fn rests_on_its_own(object: &Value) -> bool {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let group = api_group(object["apiVersion"].as_str().unwrap_or_default());
    let is_its_name = name.starts_with("system:") || UNMARKED.contains(&name);
    group == "rbac.authorization.k8s.io" && is_its_name
        || group == "scheduling.k8s.io"
        || object["spec"]["priorityClassName"].is_string()
}

/// The objects of each control: those that guard roles, and all others.
pub(super) fn parts<'p>(
    controls: impl IntoIterator<Item = &'p Planned>,
) -> (Vec<Vec<Document>>, Vec<Vec<Document>>) {
    let parted = controls.into_iter().map(|planned| {
        planned.set_up.objects.iter().cloned().partition(|it| guards_roles(&it.object))
    });
    parted.unzip()
}

/// Whether admission is asked, by an object, of roles or of what binds them.
pub(super) fn guards_roles(object: &Value) -> bool {
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let of_webhooks = items(&object["webhooks"]).into_iter().flat_map(|it| items(&it["rules"]));
    let of_policy = items(&object["spec"]["matchConstraints"]["resourceRules"]);
    let mut groups = of_webhooks.chain(of_policy).flat_map(|rule| items(&rule["apiGroups"]));
    groups.any(|group| group == "*" || group == "rbac.authorization.k8s.io")
}

impl Stage {
    /// Applies the objects of several controls, side by side.
    pub(super) async fn apply_all(&self, controls: &[Vec<Document>]) -> Result<(), StageError> {
        try_join_all(controls.iter().map(|objects| self.applier.apply(objects))).await?;
        Ok(())
    }

    async fn apply_targets(&self, plan: &Plan<'_>) -> Result<(), StageError> {
        let targets = plan.targets().into_iter();
        try_join_all(targets.map(|target| self.applier.apply(&target.objects))).await?;
        Ok(())
    }

    /// Gives every persona an identity, before anything rests on it.
    pub(super) async fn identify_all(&self, plan: &Plan<'_>) -> Result<(), StageError> {
        let personas = plan.personas();
        let made = personas.iter().map(|persona| async {
            // On a cluster that is there it was asked before.
            if self.outside.is_none() {
                self.see_account(persona).await?;
            }
            Ok::<_, StageError>(self.identity(persona).await?)
        });
        let made_up = personas.iter().map(|persona| self.see_made_up(persona));
        tokio::try_join!(try_join_all(made), try_join_all(made_up))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cluster_is_of_the_version_that_results_name() {
        for said in ["v1.36.3", "v1.36.0-rc.1", "v1.36.3+k3s1"] {
            assert!(see_version(said, "1.36").is_ok(), "{said}");
        }
        for (said, asked) in [("v1.34.2", "1.36"), ("v1.34.2", "1.3"), ("v1.34.2", "1.34.2")] {
            let error = see_version(said, asked).expect_err("another").to_string();
            assert!(error.contains("is Kubernetes 1.34 and not "), "{error}");
            assert!(error.contains("add --kubernetes-version 1.34"), "{error}");
        }
    }

    #[test]
    fn what_the_api_server_makes_itself_or_needs_first_waits_for_it() {
        let role = |kind: &str, name: &str| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}});
        let pod = |spec: Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "view"}, "spec": spec});
        for object in [
            role("ClusterRole", "view"),
            role("ClusterRoleBinding", "system:basic-user"),
            role("ClusterRoleBinding", "cluster-admin"),
            json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}),
            pod(json!({"priorityClassName": "system-node-critical"})),
        ] {
            assert!(rests_on_its_own(&object), "{object}");
        }
        for object in [role("ClusterRoleBinding", "viewers"), pod(json!({"priority": null}))] {
            assert!(!rests_on_its_own(&object), "{object}");
        }
    }

    #[test]
    fn what_guards_roles_is_known_by_its_rules() {
        let webhooks = |groups: Value| json!({"kind": "ValidatingWebhookConfiguration", "webhooks": [{}, {"rules": [{"apiGroups": groups}]}]});
        let policy = |groups: Value| json!({"kind": "ValidatingAdmissionPolicy", "spec": {"matchConstraints": {"resourceRules": [{"apiGroups": groups}]}}});
        for groups in [json!(["", "rbac.authorization.k8s.io"]), json!(["*"])] {
            assert!(guards_roles(&webhooks(groups.clone())), "{groups}");
            assert!(guards_roles(&policy(groups.clone())), "{groups}");
        }
        assert!(!guards_roles(&webhooks(json!(["", "apps"]))));
        assert!(!guards_roles(&policy(json!([]))));
        assert!(!guards_roles(&json!({"kind": "ClusterRole", "rules": [{"apiGroups": ["*"]}]})));
    }
}
