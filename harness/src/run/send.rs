//! Sending the attempts of a scenario, one after the other.

use std::time::Duration;

use tokio::time::Instant;

use super::collect::{self, Fence};
use super::stage::Stage;
use crate::attack::{Attempt, Ledger, Observation, Wire};
use crate::catalog::{Entry, Turn};
use crate::cluster::webhooks;
use crate::judge::attribute;
use crate::model::{Action, Answer, Decision, Response, Role, Unmade, Webhook};
use crate::text::api_words;

/// No attempt takes longer that is asked for once: the longest waits for a controller and a stream.
const ATTEMPT: Duration = Duration::from_secs(90);

/// How long an action may take; `None` where it asks about all that is there, each question when its turn comes: the run's
/// deadline ends it.
fn limit(action: &Action) -> Option<Duration> {
    let asks_about_all =
        matches!(action, Action::Rights(_) | Action::Grants(_) | Action::Review(_));
    (!asks_about_all).then_some(ATTEMPT)
}

/// An attempt that was sent. What the audit log holds of it is collected later.
pub(super) struct Sending {
    /// What was seen, or why it could not be made.
    pub(super) seen: Result<Uncollected, Unmade>,
    /// The Audit-ID of an earlier sending that came too soon to tell.
    pub(super) too_soon: Option<String>,
}

/// What was seen of one sending, before the audit log is read.
pub(super) struct Uncollected {
    pub(super) observation: Observation,
    /// The Audit-ID of a marked request that was sent afterwards by the same connection, or why none could be; `None` where
    /// none was to be.
    pub(super) fence: Option<Fence>,
    /// Why it is not known that the one of several API servers that answered was awake.
    pub(super) unseen: Option<String>,
    /// The cluster's webhooks, if the answer speaks of one.
    pub(super) webhooks: Vec<Webhook>,
    /// Whether it was a workload whose controller asks another API server.
    pub(super) is_controller_elsewhere: bool,
    /// Whether the API server had taken the persona's credentials before.
    pub(super) was_taken: bool,
}

/// Who sends the attempts of one scenario.
pub(super) struct Sender<'a> {
    stage: &'a Stage,
    entry: &'a Entry,
    ledger: &'a Ledger,
    /// By when what was changed so far acts on others' requests.
    settled: Option<Instant>,
}

impl<'a> Sender<'a> {
    /// Nothing is sent yet. What the attempts make is written down in `ledger`.
    pub(super) fn new(stage: &'a Stage, entry: &'a Entry, ledger: &'a Ledger) -> Self {
        Sender { stage, entry, ledger, settled: None }
    }

    /// Sends all attempts, and tells of each before. Those that ended are kept in `sendings` even if this is dropped.
    pub(super) async fn send_all(
        &mut self,
        sendings: &mut Vec<Sending>,
        tell: impl Fn(usize, &Turn),
    ) {
        for turn in &self.entry.turns {
            tell(sendings.len(), turn);
            sendings.push(self.settled(turn).await);
        }
    }

    /// Sends, and once more if it was not let in so soon after a step that what this changed may not act yet: believed
    /// at once, such a refusal would hide the way that the step has opened.
    async fn settled(&mut self, turn: &Turn) -> Sending {
        let soon = self.settled.filter(|settled| Instant::now() < *settled);
        let mut sending = Sending { seen: self.once(turn).await, too_soon: None };
        if let (Some(settled), Ok(seen)) = (soon, &sending.seen)
            && !self.is_let_in(seen).await
        {
            sending.too_soon.clone_from(&seen.observation.sent.audit_id);
            tokio::time::sleep_until(settled).await;
            sending.seen = self.once(turn).await;
        }
        let settles = sending.seen.as_ref().ok().and_then(|seen| settles(&turn.action, seen));
        self.settled = self.settled.max(settles.map(|settles| Instant::now() + settles));
        sending
    }

    /// Whether it was let in, as the judge will see it: by its answer and its events, which are collected at once.
    async fn is_let_in(&self, seen: &Uncollected) -> bool {
        let observation = &seen.observation;
        let fence = collect::fence(self.stage).await;
        let log = collect::log(self.stage, observation, &fence);
        attribute(&observation.sent, &observation.answer, &log) == Decision::LetIn
    }

    /// Sends once, where the way to the cluster has the door.
    async fn once(&self, turn: &Turn) -> Result<Uncollected, Unmade> {
        match self.stage.world.closed.get(&turn.door) {
            Some(why) => Err(Unmade::Closed(why.clone())),
            None => self.through(turn).await.map_err(Unmade::Failed),
        }
    }

    async fn through(&self, turn: &Turn) -> Result<Uncollected, String> {
        let audit_id = self.stage.next_id();
        let user_agent =
            format!("brinell/{} scenario/{}", env!("CARGO_PKG_VERSION"), self.entry.id);
        let identity = self.stage.identity(&turn.persona).await.map_err(|it| it.to_string())?;
        let was_taken = identity.was_taken();
        let world = &self.stage.world;
        let wire = world.wire(&identity).await.map_err(|error| api_words(&error))?;
        let attempt = Attempt {
            world,
            identity: &identity,
            wire: wire.as_ref(),
            target: &self.entry.target,
            door: turn.door,
            audit_id: &audit_id,
            user_agent: &user_agent,
            ledger: self.ledger,
            // What a step or an attack makes is there for the attacks after it.
            stays: turn.role != Role::Permit,
        };
        let sending = attempt.send(&turn.action);
        let sent = match limit(&turn.action) {
            Some(limit) => tokio::time::timeout(limit, sending)
                .await
                .map_err(|_| format!("the attempt did not end within {limit:?}"))?,
            None => sending.await,
        };
        let observation = sent.map_err(|error| error.to_string())?;
        identity.note(&observation);
        let fence = match &wire {
            Some(wire) => self.fence(wire).await,
            None => None,
        };
        Ok(Uncollected {
            fence,
            unseen: wire.and_then(|wire| wire.unseen()),
            webhooks: self.webhooks(&observation.answer).await,
            is_controller_elsewhere: self.is_controller_elsewhere(&turn.action),
            was_taken,
            observation,
        })
    }

    /// Sends a marked request by the connection of an attempt, where the log keeps the order of each API server.
    async fn fence(&self, wire: &Wire) -> Option<Fence> {
        let sight = &self.stage.world.sight;
        sight.log.as_ref().filter(|log| log.is_in_order_of_each())?;
        let id = self.stage.next_id();
        Some(wire.mark(sight.fence, &id).await?.map(|()| id))
    }

    /// The cluster's webhooks, if the answer speaks of one. Read anew for each refusal: a webhook that was added since
    /// would be overlooked, and its refusal counted as one by our control.
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

/// How long what was changed may take to act on others; `None` where nothing was.
fn settles(action: &Action, seen: &Uncollected) -> Option<Duration> {
    let is_made = matches!(&seen.observation.answer, Answer::Http(it) if it.is_success());
    action.facts().settles.filter(|_| is_made)
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
        | Answer::Review(_)
        | Answer::Rights(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// At 20 questions a second those about a cluster of 200 namespaces take longer than any attempt that is asked for once.
    #[test]
    fn what_asks_about_all_that_is_there_has_the_time_of_the_run() {
        for (action, is_limited) in [
            (json!({"rights": {"of": "default-accounts"}}), false),
            (json!({"grants": {"verb": "get", "resource": "secrets", "allowed": []}}), false),
            (json!({"review": {"service-accounts": {}}}), false),
            (json!({"request": {"method": "GET", "path": "/api"}}), true),
            (json!({"pod": {}}), true),
        ] {
            let read: Action = serde_json::from_value(action.clone()).expect("an action");
            assert_eq!(limit(&read).is_some(), is_limited, "{action}");
        }
    }
}
