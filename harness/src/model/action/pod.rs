//! A pod that is made: what it says of itself, and who makes it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Door, Facts};

/// A pod that is laid over one that the profile admits, so that its only sin is the one written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PodAction {
    /// Laid over the admitted pod's `metadata`.
    #[serde(default)]
    pub metadata: Option<PodMetadata>,
    /// Laid over the admitted pod's `spec` as a JSON merge patch; `containers` are merged by position, and an init container
    /// that names no image is laid over one that is admitted.
    #[serde(default)]
    pub spec: Option<Value>,
    /// The workload kind that creates the pod; without it the persona does.
    #[serde(default)]
    pub through: Option<Workload>,
}

impl PodAction {
    /// What brinell must know of it beside how it is sent.
    pub fn facts(&self) -> Facts {
        Facts {
            doors: &[Door::Direct],
            needs: &[],
            waits: false,
            is_logged: true,
            prints: false,
            settles: None,
            by_controller: self.through.is_some(),
        }
    }
}

/// What a pod says of itself beside its spec. The keys are Kubernetes' own.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct PodMetadata {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations, such as `container.apparmor.security.beta.kubernetes.io/attack`: the container's name is `attack`.
    pub annotations: BTreeMap<String, String>,
    /// To whom the pod claims to belong. A controller writes its own, so that there are none with `through`.
    pub owner_references: Vec<Owner>,
}

/// An owner that a pod names.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Owner {
    /// Its API version, such as `apps/v1`.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its UID, where it is forged; without it that of the object which is there.
    #[serde(default)]
    pub uid: Option<String>,
    /// Whether it is the pod's controller.
    #[serde(default)]
    pub controller: bool,
    /// Whether it must not go before the pod.
    #[serde(default)]
    pub block_owner_deletion: bool,
}

/// A kind whose controller creates pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Workload {
    /// `apps/v1` Deployment, by its ReplicaSet.
    Deployment,
    /// `apps/v1` ReplicaSet.
    ReplicaSet,
    /// `v1` ReplicationController.
    ReplicationController,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `apps/v1` DaemonSet.
    DaemonSet,
    /// `batch/v1` Job.
    Job,
    /// `batch/v1` CronJob, by its Job. Its minute is not waited for.
    CronJob,
}

impl Workload {
    /// Its API group, which is empty for the core group, and its resource.
    pub fn resource(self) -> (&'static str, &'static str) {
        match self {
            Workload::Deployment => ("apps", "deployments"),
            Workload::ReplicaSet => ("apps", "replicasets"),
            Workload::StatefulSet => ("apps", "statefulsets"),
            Workload::DaemonSet => ("apps", "daemonsets"),
            Workload::ReplicationController => ("", "replicationcontrollers"),
            Workload::Job => ("batch", "jobs"),
            Workload::CronJob => ("batch", "cronjobs"),
        }
    }
}
