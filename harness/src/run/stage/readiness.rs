//! Whether every control acts, and the cluster with it.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::TryStreamExt;
use futures::future::{join_all, try_join_all};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, WatchEvent, WatchParams};

use super::{ACTING, ControlError, STARTING, Stage, StageError};
use crate::attack::{ActionError, Attempt, Observation, Scene};
use crate::cluster::Settings;
use crate::cluster::is_pod_ready;
use crate::judge::{Signature, attribute};
use crate::model::{
    Action, Answer, Decision, Evidence, Layer, Log, NOT_ACTING, Need, Permit, Ready,
};
use crate::poll;
use crate::run::{Plan, Planned};

/// How long it may take until names are looked up when CoreDNS is ready. kube-proxy takes a second (measured).
const NAMES: Duration = Duration::from_secs(15);

impl Stage {
    /// Sees every whole control acting, the cluster's own pods running, and the log written. Returns the controls that
    /// are not as the profile says, which ends nothing: what they let through is for the scenarios to find.
    pub(super) async fn see_acting(
        &self,
        plan: &Plan<'_>,
        settings: &Settings,
    ) -> Result<(Vec<ControlError>, String), StageError> {
        let whole: Vec<&Planned> = plan.controls.values().filter(|planned| planned.whole).collect();
        let asking = join_all(whole.iter().map(|planned| self.see_control(planned)));
        let files = settings.files.iter();
        let files = try_join_all(files.map(|(name, text)| self.read_file(plan, name, text)));
        let asking = async { Ok(asking.await) };
        let (mut unmet, files, asked, ()) =
            tokio::try_join!(self.read_back(plan), files, asking, self.await_system(plan))?;
        unmet.extend(files.into_iter().flatten());
        unmet.extend(asked.into_iter().filter_map(Result::err));
        if whole.iter().any(|planned| planned.set_up.flags.contains_key("audit-log-path")) {
            unmet.extend(self.fence().await.err().map(ControlError::from));
        }
        let detail = self.acting(plan, whole.len(), &unmet);
        Ok((unmet, detail))
    }

    /// How many controls act, in words.
    fn acting(&self, plan: &Plan<'_>, whole: usize, unmet: &[ControlError]) -> String {
        let failing: BTreeSet<&str> = unmet.iter().map(ControlError::control).collect();
        let acting = whole.saturating_sub(failing.len());
        let absent = plan.controls.len() - whole;
        let mut detail = match (whole, absent) {
            (whole, 0) => format!("{acting} of {whole} controls act, each seen acting"),
            (0, absent) => format!("{absent} of {absent} controls absent, as the profile says"),
            (_, absent) => format!("{acting} controls act, {absent} weakened"),
        };
        if !failing.is_empty() {
            let ids: Vec<&str> = failing.into_iter().collect();
            detail.push_str(&format!("; {}: {}", NOT_ACTING.to_uppercase(), ids.join(", ")));
        }
        if !plan.left_out.is_empty() {
            let ids: Vec<&str> = plan.left_out.keys().map(String::as_str).collect();
            let cluster = self.world.cluster.kind().name();
            let ids = ids.join(" and ");
            detail.push_str(&format!("; {ids} cannot on {cluster} clusters and are left out"));
        }
        detail
    }

    /// Asks what a control must refuse until it does.
    ///
    /// # Errors
    /// When it does not within its time.
    pub async fn see_control(&self, planned: &Planned<'_>) -> Result<(), ControlError> {
        for ready in &planned.control.control.ready {
            let acting = poll::until(ACTING, async || match self.ask(planned, ready).await {
                Ok(seen) if self.acts(planned, ready, &seen) => Ok(()),
                Ok(seen) => Err(format!("{:?}", seen.decision)),
                Err(error) => Err(error.to_string()),
            });
            acting.await.map_err(|last| ControlError::NotActing {
                control: planned.control.id.clone(),
                waited: ACTING,
                last: crate::text::cut(&last.unwrap_or_default(), 600),
            })?;
        }
        Ok(())
    }

    /// Waits until a control's webhook is reached, as long as a weakened control may take to act: its pods may be
    /// ready before the node's rules lead to them. One that is meant to be unreachable stays so.
    pub async fn see_reached(&self, planned: &Planned<'_>, patience: Duration) {
        let reached = async || {
            for ready in &planned.control.control.ready {
                if self.ask(planned, ready).await.is_ok_and(|seen| is_unreached(&seen.decision)) {
                    return Err(());
                }
            }
            Ok(())
        };
        // What it says then is judged, whatever it is.
        let _ = poll::until(patience, reached).await;
    }

    /// Whether the control refused, in the way in which its block is known.
    fn acts(&self, planned: &Planned, ready: &Ready, seen: &Evidence) -> bool {
        let leaves = self.values.fill_map(&planned.control.control.leaves);
        let signature = Signature {
            layers: &planned.control.control.decides,
            saying: ready.saying.as_deref(),
            leaves: &leaves,
        };
        matches!(&seen.decision, Decision::Denied(denial) if signature.is_met(denial, seen))
    }

    /// Asks once. The log is read only where the control's refusals leave something there.
    async fn ask(&self, planned: &Planned<'_>, ready: &Ready) -> Result<Evidence, ActionError> {
        let nowhere = Scene { namespace: String::new(), pod: None };
        let scene = ready.target.as_ref().and_then(|name| self.scenes.get(name));
        let audit_id = self.ids.next();
        let attempt = Attempt {
            world: &self.world,
            identity: &self.identities[&ready.r#as],
            scene: scene.unwrap_or(&nowhere),
            door: ready.r#do.facts().doors[0],
            audit_id: &audit_id,
            user_agent: concat!("brinell/", env!("CARGO_PKG_VERSION"), " (control)"),
            ledger: &self.ledger(),
            stays: false,
        };
        let observation = attempt.send(&ready.r#do).await?;
        let Observation { sent, answer, effect, .. } = observation;
        let mut log = Log::Unreadable("a control is asked, not judged".to_owned());
        let decision = attribute(&sent, &answer, &log);
        let signs = !planned.control.control.leaves.is_empty();
        if let (Some(audit), Decision::Denied(_), true) = (&self.world.audit, &decision, signs)
            && let Ok(fence) = self.fence().await
        {
            log = Log::Read { events: audit.events(&audit_id), traces: Vec::new(), fence };
        }
        Ok(Evidence { sent, answer, decision, effect, log, namesakes: Vec::new() })
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
        let asking = permits.map(|(target, permit)| {
            poll::until(NAMES, async || self.works(target, permit).await.then_some(()).ok_or(()))
        });
        join_all(asking).await;
    }

    async fn works(&self, target: &str, permit: &Permit) -> bool {
        let attempt = Attempt {
            world: &self.world,
            identity: &self.identities[&permit.r#as],
            scene: &self.scenes[target],
            door: permit.r#do.facts().doors[0],
            audit_id: &self.ids.next(),
            user_agent: concat!("brinell/", env!("CARGO_PKG_VERSION"), " (control)"),
            ledger: &self.ledger(),
            stays: false,
        };
        let observation = attempt.send(&permit.r#do).await;
        observation.is_ok_and(|observation| matches!(observation.answer, Answer::Worked(_)))
    }
}

fn is_unreached(decision: &Decision) -> bool {
    matches!(decision, Decision::Denied(denial) if matches!(denial.layer, Layer::WebhookFailure(_)))
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
        DNS if names => is_pod_ready(pod),
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
