//! Settings that the running processes really have.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{ACTING, ControlError, OwnStage, Stage, StageError};
use crate::catalog::{Planned, SetUp, Target};
use crate::cluster::{ClusterError, ReadBack, Settings};
use crate::poll;
use crate::run::Plan;

/// How long a kubelet may take to answer before it is asked again.
const ANSWER: Duration = Duration::from_secs(5);

impl OwnStage {
    /// Lays settings over the kubelet's own, or nothing, which restores them; and waits until it has what it should.
    ///
    /// # Errors
    /// When the node has no kubelet, or it does not get them.
    pub async fn set_kubelet(
        &self,
        plan: &Plan<'_>,
        control: &str,
        over: Option<&Value>,
        settings: &Value,
    ) -> Result<(), StageError> {
        self.cluster.kubelet().ok_or(ClusterError::NoKubelet)?.set(over).await?;
        Ok(self.stage.see_kubelet(control, settings, &plan.targets()).await?)
    }

    /// Compares every setting with what the running processes have. Files may hold keys: they are not shown.
    pub(super) async fn read_back(
        &self,
        plan: &Plan<'_>,
        settings: &Settings,
    ) -> Result<Vec<ControlError>, StageError> {
        let asked = plan.controls.iter().any(|planned| planned.set_up.kubelet.is_some());
        let access = &self.stage.world.access;
        let configuration =
            async { if asked { access.kubelet_configuration().await } else { Ok(Value::Null) } };
        let (found, kubelet) = tokio::try_join!(self.cluster.read_back(settings), configuration)?;
        let mut unmet = Vec::new();
        for planned in &plan.controls {
            unmet.extend(unmet_flags(planned, settings, &found));
            unmet.extend(unmet_kubelet(planned, &kubelet));
        }
        unmet.extend(found.different.iter().map(|name| different(plan, name)));
        Ok(unmet)
    }
}

/// The flags of a control that the API server does not run with, or runs with although they are taken away. A list has what
/// other controls add to it.
fn unmet_flags(planned: &Planned, settings: &Settings, found: &ReadBack) -> Vec<ControlError> {
    const NOT_SET: &str = "not set";
    let SetUp { flags, removed, .. } = &planned.set_up;
    let value = |flags: &BTreeMap<String, String>, flag: &str| {
        flags.get(flag).map_or(NOT_SET.to_owned(), Clone::clone)
    };
    let unmet = flags.keys().chain(removed).filter_map(|flag| {
        let (expected, found) = (value(&settings.flags, flag), value(&found.flags, flag));
        let setting = format!("--{flag}");
        (found != expected).then(|| not_set(&planned.control.id, &setting, &expected, &found))
    });
    unmet.collect()
}

/// That the kubelet does not have a control's settings.
fn unmet_kubelet(planned: &Planned, kubelet: &Value) -> Option<ControlError> {
    let id = &planned.control.id;
    let expected = planned.set_up.kubelet.as_ref()?;
    let is_set = crate::merge::contains(kubelet, expected);
    let expected = expected.to_string();
    (!is_set).then(|| not_set(id, "the KubeletConfiguration", &expected, "something else"))
}

/// The error for a file whose content is another where the API server reads it.
fn different(plan: &Plan<'_>, name: &String) -> ControlError {
    let owner = plan.controls.iter().find(|planned| planned.set_up.files.contains_key(name));
    let control = owner.map_or("", |planned| planned.control.id.as_str());
    not_set(control, name, "as the profile has it", "different")
}

impl Stage {
    /// Waits until the kubelet has these settings and knows its pods: a restarted one answers before it does, and
    /// then says of each that it does not exist (measured).
    async fn see_kubelet(
        &self,
        control: &str,
        settings: &Value,
        targets: &[&Target],
    ) -> Result<(), ControlError> {
        let set = poll::until(ACTING, async || {
            match tokio::time::timeout(ANSWER, self.kubelet_lacks(settings, targets)).await {
                Ok(None) => Ok(()),
                Ok(Some(lack)) => Err(lack),
                Err(_) => Err(format!("unknown: it did not answer within {ANSWER:?}")),
            }
        });
        set.await.map_err(|last| {
            let found = last.unwrap_or_default();
            not_set(control, "the KubeletConfiguration", &settings.to_string(), &found)
        })
    }

    /// What the kubelet lacks of its settings and of the pods that attacks go to, or why it does not tell: while it
    /// starts it does not answer.
    async fn kubelet_lacks(&self, settings: &Value, targets: &[&Target]) -> Option<String> {
        let (present, known) = match tokio::try_join!(
            self.world.access.kubelet_configuration(),
            self.kubelet_pods()
        ) {
            Ok(answers) => answers,
            Err(error) => return Some(error.to_string()),
        };
        if !has(&present, settings) {
            return Some(present.to_string());
        }
        targets.iter().find_map(|target| {
            let (namespace, name) = (&*target.namespace, target.pod()?);
            let is_it = |pod: &Value| {
                pod["metadata"]["namespace"] == namespace && pod["metadata"]["name"] == name
            };
            (!known.iter().any(is_it)).then(|| format!("without the pod {namespace}/{name}"))
        })
    }

    async fn kubelet_pods(&self) -> Result<Vec<Value>, ClusterError> {
        let mut list = self.world.access.ask_kubelet("pods").await?;
        Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }
}

/// Whether a kubelet's configuration has these settings; a profile without any has none that could be missing.
fn has(present: &Value, settings: &Value) -> bool {
    settings.is_null() || crate::merge::contains(present, settings)
}

pub(super) fn not_set(control: &str, setting: &str, expected: &str, found: &str) -> ControlError {
    ControlError::NotSet {
        control: control.to_owned(),
        setting: setting.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}
