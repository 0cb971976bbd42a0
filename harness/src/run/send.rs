//! Sending the attempts of a scenario, one after the other.

use std::time::Duration;

use tokio::time::Instant;

use super::collect;
use super::stage::Stage;
use crate::attack::{Attempt, Ledger, Observation};
use crate::catalog::Entry;
use crate::cluster::webhooks;
use crate::judge::attribute;
use crate::model::{Action, Answer, Decision, Response, Role, Turn, Webhook};

/// No attempt takes longer: the longest waits for a controller and a stream.
const ATTEMPT: Duration = Duration::from_secs(90);

/// How long a change may take to act on every part of the API server, and no event tells when it does.
const SETTLING: Duration = Duration::from_secs(2);

/// An attempt that was sent. What the audit log holds of it is collected later.
pub(super) struct Sending {
    /// What was seen, or why it could not be made.
    pub(super) seen: Result<Uncollected, String>,
    /// The Audit-ID of an earlier sending that came too soon to tell.
    pub(super) too_soon: Option<String>,
}

/// What was seen of one sending, before the audit log is read.
pub(super) struct Uncollected {
    pub(super) observation: Observation,
    /// The cluster's webhooks, if the answer speaks of one.
    pub(super) webhooks: Vec<Webhook>,
    /// Whether it was a workload whose controller asks another API server.
    pub(super) is_controller_elsewhere: bool,
}

/// Who sends the attempts of one scenario.
pub(super) struct Sender<'a> {
    stage: &'a Stage,
    entry: &'a Entry,
    ledger: &'a Ledger,
    /// When others' decisions were last changed.
    changed: Option<Instant>,
}

impl<'a> Sender<'a> {
    /// Nothing is sent yet. What the attempts make is written down in `ledger`.
    pub(super) fn new(stage: &'a Stage, entry: &'a Entry, ledger: &'a Ledger) -> Self {
        Sender { stage, entry, ledger, changed: None }
    }

    /// Sends all attempts. Those that ended are kept in `sendings` even if this is dropped.
    pub(super) async fn send_all(&mut self, turns: &[Turn<'_>], sendings: &mut Vec<Sending>) {
        for turn in turns {
            sendings.push(self.settled(turn).await);
        }
    }

    /// Sends, and once more if it was not let in so soon after a step that what this changed may not act yet: believed
    /// at once, such a refusal would hide the way that the step has opened.
    async fn settled(&mut self, turn: &Turn<'_>) -> Sending {
        let settled = self.changed.map(|changed| changed + SETTLING);
        let is_soon = settled.is_some_and(|settled| Instant::now() < settled);
        let mut sending = Sending { seen: self.once(turn).await, too_soon: None };
        if let (Some(settled), Ok(seen)) = (settled.filter(|_| is_soon), &sending.seen)
            && !self.is_let_in(seen).await
        {
            sending.too_soon.clone_from(&seen.observation.sent.audit_id);
            tokio::time::sleep_until(settled).await;
            sending.seen = self.once(turn).await;
        }
        if matches!(&sending.seen, Ok(seen) if is_change(turn.action, &seen.observation)) {
            self.changed = Some(Instant::now());
        }
        sending
    }

    /// Whether it was let in, as the judge will see it: by its answer and its events, which are collected at once.
    async fn is_let_in(&self, seen: &Uncollected) -> bool {
        let observation = &seen.observation;
        let fence = collect::fence(self.stage).await;
        let log = collect::log(self.stage, observation, &fence);
        attribute(&observation.sent, &observation.answer, &log) == Decision::LetIn
    }

    /// Sends once.
    async fn once(&self, turn: &Turn<'_>) -> Result<Uncollected, String> {
        let audit_id = self.stage.next_id();
        let user_agent =
            format!("brinell/{} scenario/{}", env!("CARGO_PKG_VERSION"), self.entry.id);
        let attempt = Attempt {
            world: &self.stage.world,
            identity: &self.stage.identities[turn.persona],
            scene: &self.stage.scenes[&self.entry.scenario.target],
            door: turn.door,
            audit_id: &audit_id,
            user_agent: &user_agent,
            ledger: self.ledger,
            // What a step or an attack makes is there for the attacks after it.
            stays: turn.role != Role::Permit,
        };
        let observation = match tokio::time::timeout(ATTEMPT, attempt.send(turn.action)).await {
            Ok(Ok(observation)) => observation,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err(format!("the attempt did not end within {ATTEMPT:?}")),
        };
        Ok(Uncollected {
            webhooks: self.webhooks(&observation.answer).await,
            is_controller_elsewhere: self.is_controller_elsewhere(turn.action),
            observation,
        })
    }

    /// The cluster's webhooks, if the answer speaks of one. Read for each refusal: one that was not there at an earlier
    /// one would earn our control the credit for its own.
    async fn webhooks(&self, answer: &Answer) -> Vec<Webhook> {
        if !speaks_of_webhook(answer) {
            return Vec::new();
        }
        // Where they cannot be read, whose refusal it was is not clear: the judge sees none.
        let all = webhooks(&self.stage.world.access.admin).await.into_iter().flatten();
        all.map(|it| Webhook { configuration: it.to_string(), name: it.name }).collect()
    }

    fn is_controller_elsewhere(&self, action: &Action) -> bool {
        action.facts().by_controller && !self.stage.world.sight.controllers
    }
}

/// Whether a request has changed what others are decided by.
fn is_change(action: &Action, observation: &Observation) -> bool {
    action.facts().changes
        && matches!(&observation.answer, Answer::Http(response) if response.is_success())
}

/// Whether a webhook may have given this answer: every refusal by one says so.
fn speaks_of_webhook(answer: &Answer) -> bool {
    let speaks = |response: &Response| response.words().contains("webhook");
    match answer {
        Answer::Http(response) => speaks(response),
        Answer::Through(through) => speaks(&through.workload) || speaks(&through.pod),
        Answer::Stream(_)
        | Answer::Worked(_)
        | Answer::Nothing(_)
        | Answer::Storage(_)
        | Answer::AuditLog(_)
        | Answer::Grants(_)
        | Answer::Rights(_) => false,
    }
}
