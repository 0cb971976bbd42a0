//! One scenario: its attempts, one after the other.

use std::time::Duration;

use tokio::time::Instant;

use super::Plan;
use super::execute::whole;
use super::stage::Stage;
use crate::attack::{Attempt, Ledger, LeftOver, Observation};
use crate::catalog::Entry;
use crate::cluster::webhooks;
use crate::judge::{Expected, Signature, attribute, judge_attack, judge_permit, judge_step};
use crate::model::{
    Action, Answer, Attack, AttemptResult, Blocked, Decision, Door, Evidence, Finding, Judgement,
    Layer, Log, Logged, Method, Permit, Reason, Role, ScenarioResult, Verdict,
};

/// No attempt takes longer: the longest waits for a controller and a stream.
const ATTEMPT: Duration = Duration::from_secs(90);

/// How long a change may take to act on every part of the API server, and no event tells when it does.
const SETTLING: Duration = Duration::from_secs(2);

/// How long the removal of what a scenario made may take: a moment, where the API server answers.
const TIDYING: Duration = Duration::from_secs(10);

/// One scenario on its stage.
pub(super) struct Play<'a> {
    plan: &'a Plan<'a>,
    stage: &'a Stage,
    entry: &'a Entry,
    ledger: Ledger,
}

/// What was seen of an attempt, or why it could not be made.
struct Seen {
    evidence: Result<Evidence, String>,
    /// The Audit-ID of an earlier sending that came too soon to tell.
    too_soon: Option<String>,
}

impl<'a> Play<'a> {
    /// Nothing of it is tried yet.
    pub(super) fn new(plan: &'a Plan<'a>, stage: &'a Stage, entry: &'a Entry) -> Self {
        Play { plan, stage, entry, ledger: stage.ledger() }
    }

    /// Tries everything, until the deadline or the end of the cluster. What was judged up to there is kept.
    pub(super) async fn run(&self, deadline: Option<Instant>) -> ScenarioResult {
        let started = Instant::now();
        let mut attempts = Vec::new();
        let mut before = None;
        let trying = async {
            self.stage.pulse.awake().await;
            before = self.stage.pulse.process();
            self.try_all(&mut attempts).await;
        };
        let cause = tokio::select! {
            () = trying => None,
            cause = self.over(deadline) => Some(cause),
        };
        let is_same = before.is_some() && self.stage.pulse.process() == before;
        if !is_same {
            attempts.iter_mut().for_each(doubt);
        }
        let verdicts = attempts.iter().map(|attempt| attempt.judgement.verdict);
        let verdict = verdicts.chain(cause.iter().map(|_| Verdict::Inconclusive)).max();
        let mut result = ScenarioResult {
            cause,
            attempts,
            took: started.elapsed(),
            ..whole(self.entry, verdict.unwrap_or(Verdict::Inconclusive), String::new())
        };
        tokio::select! {
            left = self.ledger.empty(Instant::now() + TIDYING) => {
                left.iter().for_each(|left| tell_left_over(&mut result, left));
            }
            // Nothing stays on a cluster that is gone.
            _ = self.stage.gone() => {}
        }
        result
    }

    async fn try_all(&self, attempts: &mut Vec<AttemptResult>) {
        let mut changed = None;
        for attack in &self.entry.scenario.attacks {
            for door in doors(&attack.r#do, attack.only) {
                attempts.push(self.attack(attack, door, &mut changed).await);
            }
        }
        for permit in &self.entry.scenario.permits {
            let door = permit.only.unwrap_or(permit.r#do.doors()[0]);
            attempts.push(self.permit(permit, door, &mut changed).await);
        }
    }

    /// Waits until nothing more can be told, and says why.
    async fn over(&self, deadline: Option<Instant>) -> String {
        let late = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = late => "the run's deadline passed before it ended".to_owned(),
            cause = self.stage.gone() => cause,
        }
    }

    async fn attack(
        &self,
        attack: &Attack,
        door: Door,
        changed: &mut Option<Instant>,
    ) -> AttemptResult {
        let control = |blocked: &Blocked| &self.plan.catalog.controls[&blocked.by].control;
        let leaves =
            attack.blocked.as_ref().map(|it| self.stage.values.fill_map(&control(it).leaves));
        let expected = attack.blocked.as_ref().zip(leaves.as_ref()).map(|(blocked, leaves)| {
            let control = control(blocked);
            let signature = Signature {
                layers: blocked.at.as_ref().map_or(&control.decides, std::slice::from_ref),
                saying: blocked.saying.as_deref(),
                leaves,
            };
            Expected { control: &blocked.by, signature, look_at: &control.look_at }
        });
        let logged = attack.logged.as_ref();
        let seen = self.settled(&attack.r#as, &attack.r#do, door, true, changed).await;
        let judge = |evidence: &Evidence| match &attack.succeeds {
            _ if self.is_half(&attack.r#do, evidence) => half(logged, evidence),
            Some(succeeds) => judge_step(succeeds, logged, evidence),
            None => judge_attack(expected.as_ref(), logged, evidence),
        };
        result(&attack.name, Role::Attack, &attack.r#as, door, judged(seen, judge))
    }

    async fn permit(
        &self,
        permit: &Permit,
        door: Door,
        changed: &mut Option<Instant>,
    ) -> AttemptResult {
        let logged = permit.logged.as_ref();
        let seen = self.settled(&permit.r#as, &permit.r#do, door, false, changed).await;
        let judge = |evidence: &Evidence| match self.is_half(&permit.r#do, evidence) {
            true => half(logged, evidence),
            false => judge_permit(&permit.succeeds, logged, evidence),
        };
        result(&permit.name, Role::Permit, &permit.r#as, door, judged(seen, judge))
    }

    /// Whether a workload was let in whose controller does its own part by another API server, of which nothing could
    /// be told here.
    fn is_half(&self, action: &Action, evidence: &Evidence) -> bool {
        let by_controller = matches!(action, Action::Pod(pod) if pod.through.is_some());
        let has_controllers = self.stage.world.sight.controllers;
        by_controller && !has_controllers && evidence.decision == Decision::LetIn
    }

    /// Sends, and once more where it was not let in so soon after a step that what this changed may not act yet:
    /// believed at once, such a refusal would hide the way that the step has opened.
    async fn settled(
        &self,
        persona: &str,
        action: &Action,
        door: Door,
        stays: bool,
        changed: &mut Option<Instant>,
    ) -> Seen {
        let evidence = self.attempt(persona, action, door, stays).await;
        let mut seen = Seen { evidence, too_soon: None };
        let settled = changed.map(|changed| changed + SETTLING);
        if let (Some(settled), Ok(evidence)) = (settled, &seen.evidence)
            && evidence.decision != Decision::LetIn
            && Instant::now() < settled
        {
            seen.too_soon.clone_from(&evidence.sent.audit_id);
            tokio::time::sleep_until(settled).await;
            seen.evidence = self.attempt(persona, action, door, stays).await;
        }
        if matches!(&seen.evidence, Ok(evidence) if is_change(action, evidence)) {
            *changed = Some(Instant::now());
        }
        seen
    }

    /// Sends once and gathers what there is to know about it. What an attack makes `stays` for those after it.
    async fn attempt(
        &self,
        persona: &str,
        action: &Action,
        door: Door,
        stays: bool,
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
            ledger: &self.ledger,
            stays,
        };
        let observation = match tokio::time::timeout(ATTEMPT, attempt.send(action)).await {
            Ok(Ok(observation)) => observation,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err(format!("the attempt did not end within {ATTEMPT:?}")),
        };
        let log = self.log(&observation).await;
        let decision = attribute(&observation.sent, &observation.answer, &log);
        let Observation { sent, answer, effect, .. } = observation;
        let namesakes = self.namesakes(&decision).await;
        Ok(Evidence { sent, answer, decision, effect, log, namesakes })
    }

    /// The configurations with a webhook of the name that refused. Read for each refusal: one that was not there at an
    /// earlier one would earn our control the credit for its own.
    async fn namesakes(&self, decision: &Decision) -> Vec<String> {
        let Decision::Denied(denial) = decision else { return Vec::new() };
        let (Layer::Webhook(name) | Layer::WebhookFailure(name)) = &denial.layer else {
            return Vec::new();
        };
        // Where they cannot be read, whose refusal it was is not clear: the judge sees none.
        let all = webhooks(&self.stage.world.access.admin).await.into_iter().flatten();
        all.filter(|webhook| webhook.name == *name).map(|webhook| webhook.to_string()).collect()
    }

    /// The events of an attempt, read up to a fence that was sent after it.
    async fn log(&self, observation: &Observation) -> Log {
        let Some(audit_id) = &observation.sent.audit_id else { return Log::NotApplicable };
        let Some(audit) = &self.stage.world.sight.log else { return Log::Disabled };
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
}

/// Whether a request has changed what others are decided by.
fn is_change(action: &Action, evidence: &Evidence) -> bool {
    let writes = matches!(action, Action::Request(request) if request.method != Method::Get);
    writes && matches!(&evidence.answer, Answer::Http(response) if response.is_success())
}

/// What can be told of a workload without what its controller makes of it.
fn half(logged: Option<&Logged>, evidence: &Evidence) -> Judgement {
    let mut judgement = judge_attack(None, logged, evidence);
    judgement.outcome.push_str("; its controller asks another API server");
    if judgement.verdict == Verdict::Passed {
        judgement.verdict = Verdict::Skipped;
    }
    judgement
}

/// Takes back a verdict that rests on a refusal by authorization, where not one process was awake all the time: while
/// it starts, an API server refuses everybody.
fn doubt(attempt: &mut AttemptResult) {
    let Some(evidence) = &attempt.evidence else { return };
    // A review of grants was refused by nobody.
    let rests_on_authorization = evidence.sent.audit_id.is_some()
        && matches!(&evidence.decision, Decision::Denied(denial)
        if matches!(denial.layer, Layer::Impersonation | Layer::Authorization | Layer::UpgradeCheck));
    if rests_on_authorization && attempt.judgement.verdict == Verdict::Passed {
        let cause = "the API server restarted meanwhile, and a starting one refuses everybody";
        attempt.judgement.verdict = Verdict::Inconclusive;
        attempt.judgement.causes.push(cause.to_owned());
    }
}

/// Adds to a result what stays on the cluster, at the attempt that may have made it.
fn tell_left_over(result: &mut ScenarioResult, left: &LeftOver) {
    let finding = Finding {
        reason: Reason::LeftOver,
        expected: "what the scenario made is removed when it ends".to_owned(),
        got: left.words.clone(),
        who: String::new(),
        look_at: format!("objects with the label brinell.dev/attempt={}", left.attempt),
    };
    let made = |attempt: &AttemptResult| match &attempt.evidence {
        Some(evidence) => evidence.sent.audit_id.as_ref() == Some(&left.attempt),
        // An attempt that did not end has no evidence.
        None => true,
    };
    result.verdict = Verdict::Failed;
    match result.attempts.iter_mut().rfind(|attempt| made(attempt)) {
        Some(attempt) => {
            attempt.judgement.verdict = Verdict::Failed;
            attempt.judgement.findings.push(finding);
        }
        None => result.cause = Some(format!("left over: {}", left.words)),
    }
}

fn doors(action: &Action, only: Option<Door>) -> Vec<Door> {
    only.map_or_else(|| action.doors().to_vec(), |door| vec![door])
}

fn result(
    name: &str,
    role: Role,
    persona: &str,
    door: Door,
    (judgement, seen): (Judgement, Seen),
) -> AttemptResult {
    AttemptResult {
        name: name.to_owned(),
        role,
        persona: persona.to_owned(),
        door: door.label().to_owned(),
        judgement,
        evidence: seen.evidence.ok(),
        too_soon: seen.too_soon,
    }
}

fn judged(seen: Seen, judge: impl Fn(&Evidence) -> Judgement) -> (Judgement, Seen) {
    let judgement = match &seen.evidence {
        Ok(evidence) => judge(evidence),
        Err(cause) => unmade(cause.clone()),
    };
    (judgement, seen)
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
