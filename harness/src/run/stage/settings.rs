//! Settings that the running processes really have: kind drops a wrong form silently.

use std::time::Duration;

use serde_json::Value;

use super::{ACTING, ControlError, Stage, StageError};
use crate::poll;
use crate::run::Plan;

/// How long a kubelet may take to answer before it is asked again.
const ANSWER: Duration = Duration::from_secs(5);

impl Stage {
    /// Waits until the kubelet has these settings and knows its pods: a restarted one answers before it does, and
    /// then says of each that it does not exist (measured).
    ///
    /// # Errors
    /// When it does not get them.
    pub async fn see_kubelet(&self, control: &str, settings: &Value) -> Result<(), ControlError> {
        let set = poll::until(ACTING, async || {
            match tokio::time::timeout(ANSWER, self.kubelet_lacks(settings)).await {
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

    /// Compares every setting with what the running processes have: kind drops a wrong form silently.
    pub(super) async fn read_back(&self, plan: &Plan<'_>) -> Result<Vec<ControlError>, StageError> {
        let asked = plan.controls.values().any(|planned| planned.set_up.kubelet.is_some());
        let (flags, kubelet) =
            tokio::try_join!(async { Ok(self.world.cluster.api_server_flags().await?) }, async {
                if asked { self.configz().await } else { Ok(Value::Null) }
            })?;
        let mut unmet = Vec::new();
        for (id, planned) in &plan.controls {
            for (flag, expected) in &planned.set_up.flags {
                let found = flags.get(flag).map_or("not set", String::as_str);
                if found != expected {
                    unmet.push(not_set(id, &format!("--{flag}"), expected, found));
                }
            }
            let Some(expected) = &planned.set_up.kubelet else { continue };
            if !crate::merge::contains(&kubelet, expected) {
                let expected = expected.to_string();
                unmet.push(not_set(id, "the KubeletConfiguration", &expected, "something else"));
            }
        }
        Ok(unmet)
    }

    /// Compares a file with what lies where the API server reads it. Its content may be a key: it is not shown.
    pub(super) async fn read_file(
        &self,
        plan: &Plan<'_>,
        name: &String,
        text: &str,
    ) -> Result<Option<ControlError>, StageError> {
        if self.world.cluster.has_settings_file(name, text).await? {
            return Ok(None);
        }
        let owner =
            plan.controls.iter().find(|(_, planned)| planned.set_up.files.contains_key(name));
        let control = owner.map_or("", |(id, _)| id.as_str());
        Ok(Some(not_set(control, name, "as the profile has it", "different")))
    }

    /// What the kubelet lacks of its settings and of the pods that attacks go to, or why it does not tell: while it
    /// starts it does not answer.
    async fn kubelet_lacks(&self, settings: &Value) -> Option<String> {
        let (present, known) = match tokio::try_join!(self.configz(), self.ask_kubelet_pods()) {
            Ok(answers) => answers,
            Err(error) => return Some(error.to_string()),
        };
        if !has(&present, settings) {
            return Some(present.to_string());
        }
        self.scenes.values().find_map(|scene| {
            let name = scene.pod.as_ref()?;
            let is_it = |pod: &Value| {
                pod["metadata"]["namespace"] == scene.namespace && pod["metadata"]["name"] == *name
            };
            let unknown = || format!("without the pod {}/{name}", scene.namespace);
            (!known.iter().any(is_it)).then(unknown)
        })
    }

    async fn ask_kubelet_pods(&self) -> Result<Vec<Value>, StageError> {
        let mut list = self.ask_kubelet("pods").await?;
        Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Asks the kubelet by way of the API server.
    async fn ask_kubelet(&self, what: &str) -> Result<Value, kube::Error> {
        let path = format!("/api/v1/nodes/{}/proxy/{what}", self.world.node_name);
        let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        self.world.admin.request(request).await
    }

    /// The kubelet's configuration, as the running kubelet tells it.
    async fn configz(&self) -> Result<Value, StageError> {
        Ok(self.ask_kubelet("configz").await?["kubeletconfig"].clone())
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
