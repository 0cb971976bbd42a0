//! Whether every control acts, and the cluster with it.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;

use super::assembly::guards_roles;
use super::{ACTING, ControlError, OwnStage, Stage, StageError};
use crate::attack::{Attempt, Observation};
use crate::catalog::{PersonaEntry, Planned, Question, Target, Turn};
use crate::cluster::{Needed, Settings};
use crate::judge::{Signature, attribute};
use crate::model::{
    Action, Aim, Answer, ApiPath, Decision, Door, Evidence, Layer, Log, NOT_ACTING, Need, Ready,
    Role,
};
use crate::poll;
use crate::run::Plan;

/// How long one question is waited for before another one is asked beside it. A call to a webhook is lost for good that
/// is sent before the node's rules know its Service: all that belongs to its connection goes where its first packet
/// went. The API server gives it up after the webhook's own time: `timeoutSeconds`, five of ours.
const ALONE: Duration = Duration::from_secs(1);

/// How long it may take until names are looked up when CoreDNS is ready. kube-proxy takes a second (measured).
const NAMES: Duration = Duration::from_secs(15);

impl OwnStage {
    /// Sees every control acting that is not weakened, the cluster's own pods running, and the log written. Returns the
    /// controls that are not as the profile says, which ends nothing: what they let through is for the scenarios to
    /// find.
    pub(super) async fn see_acting(
        &self,
        plan: &Plan<'_>,
        settings: &Settings,
    ) -> Result<(Vec<ControlError>, String), StageError> {
        let deciding: Vec<&Planned> = plan.deciding().collect();
        let asking = join_all(deciding.iter().map(|planned| self.stage.see_control(planned)));
        let asking = async { Ok(asking.await) };
        let (mut unmet, asked, (), ()) = tokio::try_join!(
            self.read_back(plan, settings),
            asking,
            self.see_parts(plan),
            self.see_roles(plan)
        )?;
        unmet.extend(asked.into_iter().filter_map(Result::err));
        if deciding.iter().any(|planned| planned.set_up.flags.contains_key("audit-log-path")) {
            unmet.extend(self.stage.world.fence().await.err().map(ControlError::from));
        }
        let detail = acting(plan, deciding.len(), &unmet);
        Ok((unmet, detail))
    }

    /// Waits until all roles act. Where something guards them, that was seen before it was set up.
    async fn see_roles(&self, plan: &Plan<'_>) -> Result<(), StageError> {
        match plan.objects().any(|it| guards_roles(&it.object)) {
            true => Ok(()),
            false => self.stage.see_roles(plan).await,
        }
    }

    /// Waits until the cluster's own parts run and webhooks are served, and names are looked up where scenarios rest on
    /// it.
    async fn see_parts(&self, plan: &Plan<'_>) -> Result<(), StageError> {
        self.cluster.see_parts(&self.stage.world.access.admin, needed(plan)).await?;
        self.see_servers().await?;
        self.stage.await_names(plan).await;
        Ok(())
    }
}

/// The parts of the cluster that the scenarios need.
fn needed(plan: &Plan<'_>) -> Needed {
    Needed {
        names: plan.scenarios.iter().any(|entry| entry.needs().contains(&Need::PodNetwork)),
        pods: plan.targets().iter().any(|target| target.namespace == OWN)
            || plan.turns().any(|turn| names_own_pod(&turn.action)),
    }
}

/// Where the cluster's own pods are.
const OWN: &str = "kube-system";

/// Whether an action names a pod that may be the cluster's own.
fn names_own_pod(action: &Action) -> bool {
    match action {
        Action::Request(request) => ApiPath::parse(&request.path).is_some_and(|path| {
            path.namespace == OWN && path.resource == "pods" && !path.name.is_empty()
        }),
        Action::Exec(exec) => exec.namespace.as_deref() == Some(OWN),
        Action::Ephemeral(ephemeral) => ephemeral.namespace.as_deref() == Some(OWN),
        _ => false,
    }
}

/// How many controls act, in words.
fn acting(plan: &Plan<'_>, deciding: usize, unmet: &[ControlError]) -> String {
    let failing: BTreeSet<&str> = unmet.iter().map(ControlError::control).collect();
    let acting = deciding.saturating_sub(failing.len());
    let absent = plan.controls.iter().filter(|planned| !planned.unweakened).count();
    let mut detail = match (deciding, absent) {
        (deciding, 0) => format!("{acting} of {deciding} controls act, each seen acting"),
        (0, absent) => format!("{absent} of {absent} controls absent, as the profile says"),
        (_, absent) => format!("{acting} controls act, {absent} weakened"),
    };
    if !failing.is_empty() {
        let ids: Vec<&str> = failing.into_iter().collect();
        detail.push_str(&format!("; {}: {}", NOT_ACTING.to_uppercase(), ids.join(", ")));
    }
    let whole = plan.controls.iter().filter(|planned| planned.unweakened);
    let idle: Vec<&str> = whole
        .filter(|planned| plan.is_out_of_play(planned))
        .map(|planned| planned.control.id.as_str())
        .collect();
    if !idle.is_empty() {
        detail.push_str(&format!("; nothing is tried where {} decides", idle.join(" and ")));
    }
    if !plan.left_out.is_empty() {
        let ids: Vec<&str> = plan.left_out.iter().map(|(it, _)| it.control.id.as_str()).collect();
        let (ids, who) = (ids.join(" and "), &plan.lacks.who);
        detail.push_str(&format!("; {ids} cannot on {who} and are left out"));
    }
    detail
}

impl Stage {
    /// Asks what a control must refuse until it does.
    ///
    /// # Errors
    /// When it does not within its time.
    pub async fn see_control(&self, planned: &Planned) -> Result<(), ControlError> {
        for question in &planned.questions {
            let acting = poll::until_any(ACTING, alone(question), async || {
                match self.ask(planned, question).await {
                    Ok(seen) if self.acts(planned, &question.ready, &seen) => Ok(()),
                    Ok(seen) => Err(format!("{:?}", seen.decision)),
                    Err(error) => Err(error),
                }
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
    pub async fn see_reached(&self, planned: &Planned, patience: Duration) {
        let reached = async || {
            for question in &planned.questions {
                if self.ask(planned, question).await.is_ok_and(|seen| is_unreached(&seen.decision))
                {
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
    async fn ask(&self, planned: &Planned, question: &Question) -> Result<Evidence, String> {
        let Question { ready, target, persona } = question;
        let nowhere = Target::default();
        let (target, action) = (target.as_deref().unwrap_or(&nowhere), &ready.r#do);
        let door = action.facts().doors[0];
        let (audit_id, observation) = self.send(persona, action, target, door).await?;
        let Observation { sent, answer, effect, .. } = observation;
        let mut log = Log::Unreadable("a control is asked, not judged".to_owned());
        let decision = attribute(&sent, &answer, &log);
        let signs = !planned.control.control.leaves.is_empty();
        if let (Some(audit), Decision::Denied(_), true) = (&self.world.sight.log, &decision, signs)
            && let Ok(fence) = self.world.fence().await
        {
            log = Log::Read { events: audit.events(&audit_id), traces: Vec::new(), fence };
        }
        Ok(Evidence { sent, answer, decision, effect, log, namesakes: Vec::new() })
    }

    /// Waits until names are looked up as scenarios permit it: kube-proxy refuses what is sent to CoreDNS for some
    /// time after its pods are ready, and no event tells when it no longer does. What does not work by then is judged.
    async fn await_names(&self, plan: &Plan<'_>) {
        let is_look_up =
            |turn: &&Turn| turn.role == Role::Permit && matches!(turn.action, Action::Resolve(_));
        let permits = plan.scenarios.iter().flat_map(|entry| {
            entry.turns.iter().filter(is_look_up).map(|permit| (&*entry.target, permit))
        });
        let asking = permits.map(|(target, permit)| {
            poll::until(NAMES, async || self.works(target, permit).await.then_some(()).ok_or(()))
        });
        join_all(asking).await;
    }

    async fn works(&self, target: &Target, permit: &Turn) -> bool {
        let seen = self.send(&permit.persona, &permit.action, target, permit.door).await;
        seen.is_ok_and(|(_, observation)| matches!(observation.answer, Answer::Worked(_)))
    }

    /// Sends an action that belongs to no scenario. Returns its Audit-ID, too.
    async fn send(
        &self,
        persona: &PersonaEntry,
        action: &Action,
        target: &Target,
        door: Door,
    ) -> Result<(String, Observation), String> {
        let identity = self.identity(persona).await.map_err(|error| error.to_string())?;
        let audit_id = self.ids.next();
        let attempt = Attempt {
            world: &self.world,
            identity: &identity,
            wire: None,
            target,
            door,
            audit_id: &audit_id,
            user_agent: concat!("brinell/", env!("CARGO_PKG_VERSION"), " (control)"),
            ledger: &self.ledger(),
            stays: false,
        };
        let observation = attempt.send(action).await.map_err(|error| error.to_string())?;
        Ok((audit_id, observation))
    }
}

/// How long a question is waited for before another one is asked beside it. Of those that are given up then nothing is
/// removed: one that may make something is asked alone.
fn alone(question: &Question) -> Duration {
    match &question.ready.r#do {
        Action::Request(request) if request.aim() == Aim::Other => ALONE,
        _ => ACTING,
    }
}

fn is_unreached(decision: &Decision) -> bool {
    matches!(decision, Decision::Denied(denial) if matches!(denial.layer, Layer::WebhookFailure(_)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whatever_goes_into_a_pod_may_name_the_clusters_own() {
        let names = |action: serde_json::Value| {
            names_own_pod(&serde_json::from_value(action).expect("an action"))
        };
        let pod = json!({"namespace": "kube-system", "pod": "etcd"});
        let mut exec = pod.clone();
        exec["command"] = json!(["sh"]);
        let path = "/api/v1/namespaces/kube-system/pods/etcd/log";
        assert!(names(json!({"exec": exec})));
        assert!(names(json!({"ephemeral": pod})));
        assert!(names(json!({"request": {"method": "GET", "path": path}})));
        assert!(!names(json!({"ephemeral": {"pod": "app"}})));
        assert!(!names(json!({"exec": {"namespace": "production-app", "command": ["sh"]}})));
    }
}
