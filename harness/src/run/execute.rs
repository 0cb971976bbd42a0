//! Running scenarios side by side, and each scenario's attempts one after the other.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::try_join_all;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::ListParams;
use kube::client::Body;

use super::stage::Stage;
use super::{AttemptResult, Plan, Progress, Role, RunEvent, ScenarioResult};
use crate::action::{Attempt, Observation};
use crate::catalog::{Action, Attack, Door, Entry, Permit};
use crate::persona::Identity;
use crate::verdict::{
    Decision, Evidence, Expected, Judgement, Layer, Log, Verdict, attribute, judge_attack,
    judge_permit, judge_step,
};

/// No attempt takes longer: the longest waits for a controller and a stream.
const ATTEMPT: Duration = Duration::from_secs(90);

/// Runs every scenario of the plan, `jobs` at a time, until `deadline`.
pub async fn execute(
    plan: &Plan<'_>,
    stage: &Stage,
    jobs: usize,
    deadline: tokio::time::Instant,
    progress: &Progress,
) {
    let running = begun(&plan.scenarios).into_iter().map(|(_, entry)| async move {
        progress.tell(RunEvent::ScenarioStarted { id: entry.id.clone() });
        let play = Play { plan, stage, entry };
        let result = match tokio::time::timeout_at(deadline, play.run()).await {
            Ok(result) => result,
            Err(_) => whole(
                entry,
                Verdict::Inconclusive,
                "the run's deadline passed before it ended".to_owned(),
            ),
        };
        progress.tell(RunEvent::ScenarioFinished(Box::new(result)));
    });
    futures::stream::iter(running).buffer_unordered(jobs).collect::<()>().await;
}

/// Runs these scenarios on a stage, `jobs` at a time, and returns their results in the same order.
pub(crate) async fn together(
    plan: &Plan<'_>,
    stage: &Stage,
    entries: &[&Entry],
    jobs: usize,
) -> Vec<ScenarioResult> {
    let running = begun(entries).into_iter().map(|(position, entry)| async move {
        (position, Play { plan, stage, entry }.run().await)
    });
    let mut results: Vec<_> = futures::stream::iter(running).buffer_unordered(jobs).collect().await;
    results.sort_by_key(|(position, _)| *position);
    results.into_iter().map(|(_, result)| result).collect()
}

/// The order in which scenarios begin: what waits for a clock first, so that nothing waits for it in the end.
fn begun<'a>(entries: &[&'a Entry]) -> Vec<(usize, &'a Entry)> {
    let mut order: Vec<_> = entries.iter().copied().enumerate().collect();
    order.sort_by_key(|(_, entry)| !entry.scenario.actions().any(Action::waits));
    order
}

/// A result without attempts.
pub fn whole(entry: &Entry, verdict: Verdict, cause: String) -> ScenarioResult {
    ScenarioResult {
        id: entry.id.clone(),
        family: entry.family.clone(),
        file: entry.file.clone(),
        title: entry.scenario.title.clone(),
        why: entry.scenario.why.clone(),
        fix: entry.scenario.fix.clone(),
        tags: entry.scenario.tags.clone(),
        controls: entry.controls().into_iter().map(str::to_owned).collect(),
        verdict,
        cause: Some(cause),
        attempts: Vec::new(),
        took: Duration::ZERO,
    }
}

/// One scenario on its stage.
struct Play<'a> {
    plan: &'a Plan<'a>,
    stage: &'a Stage,
    entry: &'a Entry,
}

/// What must be the same before and after, for a refusal by authorization to count.
#[derive(PartialEq)]
struct Bearings {
    /// Which API server processes there are, by the leases that they take when they start.
    servers: BTreeSet<String>,
    /// The personas whom authorization lets do what everybody may.
    known: BTreeSet<String>,
}

impl Play<'_> {
    async fn run(&self) -> ScenarioResult {
        let started = Instant::now();
        let before = self.bearings().await;
        let mut attempts = Vec::new();
        for attack in &self.entry.scenario.attacks {
            for door in doors(&attack.r#do, attack.only) {
                attempts.push(self.attack(attack, door).await);
            }
        }
        for permit in &self.entry.scenario.permits {
            let door = permit.only.unwrap_or(permit.r#do.doors()[0]);
            attempts.push(self.permit(permit, door).await);
        }
        let after = self.bearings().await;
        for attempt in &mut attempts {
            doubt(attempt, &before, &after);
        }
        let verdict = attempts.iter().map(|attempt| attempt.judgement.verdict).max();
        ScenarioResult {
            cause: None,
            attempts,
            took: started.elapsed(),
            ..whole(self.entry, verdict.unwrap_or(Verdict::Inconclusive), String::new())
        }
    }

    async fn attack(&self, attack: &Attack, door: Door) -> AttemptResult {
        let expected = attack.blocked.as_ref().map(|blocked| {
            let control = &self.plan.catalog.controls[&blocked.by].control;
            Expected {
                control: &blocked.by,
                layers: blocked.at.as_ref().map_or(&control.decides, std::slice::from_ref),
                saying: blocked.saying.as_deref(),
                look_at: &control.look_at,
            }
        });
        if let Some(unsent) = self.unsent(&attack.r#do) {
            return result(&attack.name, Role::Attack, &attack.r#as, door, unsent);
        }
        let seen = self.attempt(&attack.r#as, &attack.r#do, door).await;
        let logged = attack.logged.as_ref();
        let judge = |evidence: &Evidence| match &attack.succeeds {
            Some(succeeds) => judge_step(succeeds, logged, evidence),
            None => judge_attack(expected.as_ref(), logged, evidence),
        };
        result(&attack.name, Role::Attack, &attack.r#as, door, judged(seen, judge))
    }

    async fn permit(&self, permit: &Permit, door: Door) -> AttemptResult {
        if let Some(unsent) = self.unsent(&permit.r#do) {
            return result(&permit.name, Role::Permit, &permit.r#as, door, unsent);
        }
        let seen = self.attempt(&permit.r#as, &permit.r#do, door).await;
        let judge =
            |evidence: &Evidence| judge_permit(&permit.succeeds, permit.logged.as_ref(), evidence);
        result(&permit.name, Role::Permit, &permit.r#as, door, judged(seen, judge))
    }

    /// What a controller does on the persona's behalf it asks of the first API server: from a second one, nothing
    /// of it could be told.
    fn unsent(&self, action: &Action) -> Option<(Judgement, Option<Evidence>)> {
        let by_controller = matches!(action, Action::Pod(pod) if pod.through.is_some());
        let judgement = Judgement {
            verdict: Verdict::Skipped,
            outcome: "not sent: its controller asks another API server".to_owned(),
            logged: String::new(),
            findings: Vec::new(),
            causes: Vec::new(),
        };
        (by_controller && self.stage.is_beside).then_some((judgement, None))
    }

    /// Sends once and gathers what there is to know about it.
    async fn attempt(
        &self,
        persona: &str,
        action: &Action,
        door: Door,
    ) -> Result<Evidence, String> {
        let audit_id = self.stage.next_id();
        let user_agent =
            format!("brinell/{} scenario/{}", env!("CARGO_PKG_VERSION"), self.entry.id);
        let attempt = Attempt {
            world: &self.stage.world,
            identity: &self.stage.identities[persona],
            scene: &self.stage.scenes[&self.entry.scenario.target],
            door,
            audit_id: &audit_id,
            user_agent: &user_agent,
        };
        let observation = match tokio::time::timeout(ATTEMPT, attempt.send(action)).await {
            Ok(Ok(observation)) => observation,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err(format!("the attempt did not end within {ATTEMPT:?}")),
        };
        let log = self.log(&observation).await;
        let decision = attribute(&observation.sent, &observation.answer, &log);
        let Observation { sent, answer, effect, .. } = observation;
        Ok(Evidence { sent, answer, decision, effect, log })
    }

    /// The events of an attempt, read up to a fence that was sent after it.
    async fn log(&self, observation: &Observation) -> Log {
        let Some(audit_id) = &observation.sent.audit_id else { return Log::NotApplicable };
        let Some(audit) = &self.stage.world.audit else { return Log::Disabled };
        match self.stage.fence().await {
            Ok(fence) => Log::Read {
                events: audit.events(audit_id),
                traces: observation
                    .traced
                    .as_ref()
                    .map(|traced| audit.traces(|event| traced.matches(event)))
                    .unwrap_or_default(),
                fence,
            },
            Err(error) => Log::Unreadable(error.to_string()),
        }
    }

    async fn bearings(&self) -> Bearings {
        let mut known = BTreeSet::new();
        for name in self.personas() {
            let identity = &self.stage.identities[name];
            if identity.user.is_some() && is_known(identity).await {
                known.insert(name.to_owned());
            }
        }
        Bearings { servers: self.servers().await.unwrap_or_default(), known }
    }

    fn personas(&self) -> BTreeSet<&str> {
        self.entry.scenario.attacks.iter().map(|attack| attack.r#as.as_str()).collect()
    }

    /// A lease is taken anew by every API server that starts (KEP-1965), before it says that it is ready (measured).
    /// Which there are may come from a cache: a list that may not waits for a tenth of a second (measured). Who holds
    /// one is read from etcd.
    async fn servers(&self) -> Result<BTreeSet<String>, kube::Error> {
        let leases = Api::<Lease>::namespaced(self.stage.world.admin.clone(), "kube-system");
        let of_servers = ListParams::default()
            .labels("apiserver.kubernetes.io/identity=kube-apiserver")
            .match_any();
        let names = leases.list_metadata(&of_servers).await?.items;
        let names = names.into_iter().filter_map(|lease| lease.metadata.name);
        let holding = names.map(async |name| leases.get(&name).await);
        let found = try_join_all(holding).await?.into_iter();
        Ok(found.filter_map(|lease| lease.spec?.holder_identity).collect())
    }
}

/// Whether authorization knows what this persona may: everybody authenticated may ask who they are. A server
/// that is still starting refuses everybody, in the very words of a refusal that is meant (measured).
async fn is_known(identity: &Identity) -> bool {
    let question = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
    let request = http::Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews")
        .header("Content-Type", "application/json")
        .body(Body::from(question.as_bytes().to_vec()));
    let Ok(request) = request else { return false };
    identity.own.send(request).await.is_ok_and(|response| response.status().is_success())
}

/// Takes back a verdict that rests on a refusal by authorization, unless the same persona was let do something
/// before and after, by the same unrestarted API server.
fn doubt(attempt: &mut AttemptResult, before: &Bearings, after: &Bearings) {
    let Some(evidence) = &attempt.evidence else { return };
    // A review of grants was refused by nobody.
    let rests_on_authorization = evidence.sent.audit_id.is_some()
        && matches!(&evidence.decision, Decision::Denied(denial)
        if matches!(denial.layer, Layer::Impersonation | Layer::Authorization | Layer::UpgradeCheck));
    if !rests_on_authorization || attempt.judgement.verdict != Verdict::Passed {
        return;
    }
    let known = |bearings: &Bearings| bearings.known.contains(&attempt.persona);
    let cause = if before.servers.is_empty() || before.servers != after.servers {
        "the API server restarted meanwhile, and a starting one refuses everybody"
    } else if !known(before) || !known(after) {
        "the persona was refused what everybody may, so this refusal tells nothing"
    } else {
        return;
    };
    attempt.judgement.verdict = Verdict::Inconclusive;
    attempt.judgement.causes.push(cause.to_owned());
}

fn doors(action: &Action, only: Option<Door>) -> Vec<Door> {
    only.map_or_else(|| action.doors().to_vec(), |door| vec![door])
}

fn result(
    name: &str,
    role: Role,
    persona: &str,
    door: Door,
    (judgement, evidence): (Judgement, Option<Evidence>),
) -> AttemptResult {
    AttemptResult {
        name: name.to_owned(),
        role,
        persona: persona.to_owned(),
        door: door.label().to_owned(),
        judgement,
        evidence,
    }
}

fn judged(
    seen: Result<Evidence, String>,
    judge: impl Fn(&Evidence) -> Judgement,
) -> (Judgement, Option<Evidence>) {
    match seen {
        Ok(evidence) => (judge(&evidence), Some(evidence)),
        Err(cause) => (unmade(cause), None),
    }
}

fn unmade(cause: String) -> Judgement {
    Judgement {
        verdict: Verdict::Inconclusive,
        outcome: "NOT MADE".to_owned(),
        logged: String::new(),
        findings: Vec::new(),
        causes: vec![cause],
    }
}
