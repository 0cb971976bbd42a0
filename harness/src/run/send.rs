//! Sending the attempts of a scenario, one after the other.

use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;
use serde_json::Value;
use tokio::time::Instant;

use super::collect::{self, Fence};
use super::stage::Stage;
use crate::attack::{Attempt, Ledger, Observation, Wire, asked_node};
use crate::catalog::{Entry, Turn};
use crate::cluster::webhooks;
use crate::judge::attribute;
use crate::model::{Action, Answer, Decision, Response, Role, Unmade, Webhook};
use crate::text::api_words;

/// How long an attempt may take that asks about one thing. The longest waits for a controller and a stream.
const ATTEMPT: Duration = Duration::from_secs(90);

/// How long an action may take. `None` where it asks about all that is there: each of its questions waits for its turn,
/// and only the run's deadline ends it.
fn limit(action: &Action) -> Option<Duration> {
    (!action.is_at_large()).then_some(ATTEMPT)
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
    /// The Audit-ID of a marked request that was sent afterwards by the same connection, or why none could be; `None`
    /// where none was to be.
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
    /// By when the API server goes by all that was changed of who may do what.
    regranted: Option<Instant>,
}

impl<'a> Sender<'a> {
    /// Nothing is sent yet. What the attempts make is written down in `ledger`.
    pub(super) fn new(stage: &'a Stage, entry: &'a Entry, ledger: &'a Ledger) -> Self {
        Sender { stage, entry, ledger, settled: None, regranted: None }
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
        let begun = Instant::now();
        let seen = self.once(turn).await;
        let sending = match seen {
            Ok(seen) => self.once_settled(turn, begun, seen).await,
            unmade => Sending { seen: unmade, too_soon: None },
        };
        let settles = sending.seen.as_ref().ok().and_then(|seen| settles(&turn.action, seen));
        let settled = settles.map(|settles| Instant::now() + settles);
        self.settled = self.settled.max(settled);
        if turn.action.changes_rights() {
            self.regranted = self.regranted.max(settled);
        }
        sending
    }

    /// What was seen of a sending that was begun then, or of another one when it must be settled.
    async fn once_settled(&self, turn: &Turn, begun: Instant, seen: Uncollected) -> Sending {
        let settled = self.settled_for(turn).await;
        let is_known = settled.as_ref().is_ok_and(|it| it.is_none_or(|settled| settled <= begun));
        if is_known || self.is_let_in(&seen).await {
            return Sending { seen: Ok(seen), too_soon: None };
        }
        let too_soon = seen.observation.sent.audit_id;
        let again = match settled {
            Ok(settled) => {
                tokio::time::sleep_until(settled.unwrap_or(begun)).await;
                self.once(turn).await
            }
            Err(why) => Err(Unmade::Failed(why)),
        };
        Sending { seen: again, too_soon }
    }

    /// By when what was changed so far acts on what a turn asks. A kubelet asks the API server who may do what, and
    /// does not ask again for as long as it keeps the answer.
    async fn settled_for(&self, turn: &Turn) -> Result<Option<Instant>, String> {
        match (&turn.action, self.regranted) {
            (Action::Kubelet(_), Some(regranted)) => {
                let kept = self.keeps_refusals().await.map_err(|why| {
                    format!("how long the kubelet keeps a refusal from before the step is not known: {why}")
                })?;
                Ok(Some(regranted + kept))
            }
            _ => Ok(self.settled),
        }
    }

    /// How long the kubelet that is asked keeps a refusal.
    async fn keeps_refusals(&self) -> Result<Duration, String> {
        let world = &self.stage.world;
        let node = asked_node(world, &self.entry.target).await.map_err(|it| it.to_string())?;
        let configuration = world.access.kubelet_configuration_of(&node).await;
        keeps_refusals(&configuration.map_err(|error| error.to_string())?)
    }

    /// Whether it was let in, as the judge will see it: by its answer and its events, which are collected at once.
    async fn is_let_in(&self, seen: &Uncollected) -> bool {
        let observation = &seen.observation;
        let fence = collect::fence(self.stage).await;
        let log = collect::log(&self.stage.world.sight, observation, &fence);
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
        let log = sight.log.as_ref().filter(|log| log.is_in_order_of_each())?;
        let id = log.fence_id();
        Some(wire.mark(sight.fence, &id).await?.map(|()| id))
    }

    /// The cluster's webhooks, if the answer speaks of one. Read anew for each refusal: a webhook that was added since
    /// would be overlooked, and its refusal counted as one by our control.
    async fn webhooks(&self, answer: &Answer) -> Vec<Webhook> {
        if !speaks_of_webhook(answer) {
            return Vec::new();
        }
        // Where they cannot be read, whose refusal it was is not clear: the judge sees none.
        webhooks(&self.stage.world.access.admin).await.unwrap_or_default()
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

/// How long a kubelet that is set so keeps a refusal
/// (<https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/#kubelet-config-k8s-io-v1beta1-KubeletWebhookAuthorization>).
fn keeps_refusals(configuration: &Value) -> Result<Duration, String> {
    let kept = &configuration["authorization"]["webhook"]["cacheUnauthorizedTTL"];
    let kept = kept.as_str().and_then(|text| text.parse::<SignedDuration>().ok());
    kept.and_then(|it| it.try_into().ok())
        .ok_or_else(|| "its configuration has no cacheUnauthorizedTTL".to_owned())
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

    /// At 20 questions a second those about a cluster of 200 namespaces take longer than any attempt that is asked for
    /// once.
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

    #[test]
    fn a_kubelet_tells_how_long_it_keeps_a_refusal() {
        let kept = |ttl: Value| {
            let webhook = json!({"cacheAuthorizedTTL": "5m0s", "cacheUnauthorizedTTL": ttl});
            keeps_refusals(&json!({"authorization": {"mode": "Webhook", "webhook": webhook}}))
        };
        assert_eq!(kept(json!("30s")), Ok(Duration::from_secs(30)));
        assert_eq!(kept(json!("1m30s")), Ok(Duration::from_secs(90)));
        assert_eq!(kept(json!("1h0m0.5s")), Ok(Duration::from_millis(3_600_500)));
        for unknown in [json!(null), json!(""), json!("-30s"), json!("soon"), json!(30)] {
            assert!(kept(unknown.clone()).is_err(), "{unknown}");
        }
        assert!(keeps_refusals(&json!({})).is_err());
    }
}
