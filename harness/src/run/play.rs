//! One scenario: its attempts are sent, their events collected, what they made is removed, and what is recorded then is
//! judged.

use std::time::Duration;

use tokio::time::Instant;

use super::collect::{Fence, collect, fence_after};
use super::execute::without_attempts;
use super::progress::Progress;
use super::send::{Sender, Sending};
use super::stage::Stage;
use crate::attack::Ledger;
use crate::audit::Awaited;
use crate::catalog::{Entry, Turn};
use crate::cluster::Servers;
use crate::judge::{Judged, judge};
use crate::model::{LeftOver, Record, RunEvent, ScenarioResult, Steadiness};

/// What is waited for when everything is sent.
const AWAITED: &str = "what the audit log holds of it";

/// What was tried of a scenario, and not judged yet.
pub(super) struct Tried {
    sendings: Vec<Sending>,
    /// What shows that the log holds all that was sent.
    fence: Fence,
    /// Whether the API server stayed the same meanwhile.
    steadiness: Steadiness,
    /// What could not be removed.
    left_over: Vec<LeftOver>,
    /// Why it ended early; `None` if it did not.
    cause: Option<String>,
    took: Duration,
}

impl Tried {
    /// What was sent to an API server.
    pub(super) fn awaited(&self) -> impl Iterator<Item = Awaited> {
        let seen = self.sendings.iter().filter_map(|sending| sending.seen.as_ref().ok());
        seen.filter_map(|seen| {
            let fence = seen.fence.clone().and_then(Result::ok);
            let traced = seen.observation.traced.clone();
            Some(Awaited { audit_id: seen.observation.sent.audit_id.clone()?, traced, fence })
        })
    }
}

/// One scenario on its stage.
pub(super) struct Play<'a> {
    stage: &'a Stage,
    entry: &'a Entry,
    progress: &'a Progress,
    ledger: Ledger,
}

impl<'a> Play<'a> {
    /// Nothing of it is tried yet.
    pub(super) fn new(stage: &'a Stage, entry: &'a Entry, progress: &'a Progress) -> Self {
        Play { stage, entry, progress, ledger: stage.ledger() }
    }

    /// Says what is waited for.
    fn tell(&self, sent: usize, doing: &str) {
        let (id, doing) = (self.entry.id.clone(), doing.to_owned());
        self.progress.tell(RunEvent::ScenarioDoing { id, doing, sent });
    }

    /// Tries everything, until the deadline or the end of the cluster. What was sent up to there is judged.
    pub(super) async fn run(&self, deadline: Option<Instant>) -> ScenarioResult {
        let tried = self.try_all(deadline).await;
        self.conclude(tried)
    }

    /// Tries everything, until the deadline or the end of the cluster, and removes what it made. The log is waited for
    /// before where it is in order: a restart up to then may have cost events whose absence is judged. What comes in a
    /// late one rests neither on what is still there nor on who answers then: so nothing stays for so long.
    pub(super) async fn try_all(&self, deadline: Option<Instant>) -> Tried {
        let started = Instant::now();
        let (sendings, process, cause) = self.send(deadline).await;
        self.tell(sendings.len(), AWAITED);
        let fence = fence_after(self.stage, &sendings).await;
        let steadiness = self.steadiness(process);
        let took = started.elapsed();
        self.tell(sendings.len(), "removing what it made");
        let left_over = self.tidy().await;
        self.tell(sendings.len(), AWAITED);
        Tried { sendings, fence, steadiness, left_over, cause, took }
    }

    /// Judges what was tried by what the log holds of it.
    pub(super) fn conclude(&self, tried: Tried) -> ScenarioResult {
        let Tried { sendings, fence, steadiness, left_over, cause, took } = tried;
        let attempts = collect(self.stage, sendings, &fence);
        let record = Record { attempts, steadiness, left_over, cause };
        let Judged { verdict, cause, mut attempts } =
            judge(&self.entry.turns, record, &self.stage.values);
        for (attempt, line) in attempts.iter_mut().zip(self.entry.lines()) {
            attempt.line = *line;
        }
        ScenarioResult {
            cause,
            attempts,
            took,
            ..without_attempts(self.entry, verdict, String::new())
        }
    }

    /// Sends as much as can be sent. Returns it with the API server's process at the beginning and why it ended early.
    async fn send(&self, deadline: Option<Instant>) -> (Vec<Sending>, Option<u64>, Option<String>) {
        let mut sendings = Vec::new();
        let mut process = None;
        let sending = async {
            process = self.stage.awake().await;
            let tell = |sent, turn: &Turn| self.tell(sent, &turn.who());
            Sender::new(self.stage, self.entry, &self.ledger).send_all(&mut sendings, tell).await;
        };
        let cause = tokio::select! {
            () = sending => None,
            cause = self.over(deadline) => Some(cause),
        };
        (sendings, process, cause)
    }

    /// Waits until the deadline has passed or the cluster has ended, and says which.
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

    /// Whether one process of the API server answered all the time: the one that was there at the beginning.
    fn steadiness(&self, before: Option<u64>) -> Steadiness {
        match &self.stage.world.sight.servers {
            Servers::One(pulse) if pulse.is_joined() => return Steadiness::Unknown,
            Servers::One(_) => {}
            Servers::OneAConnection(_) => return Steadiness::Several,
            Servers::Unknown => return Steadiness::Unknown,
        }
        match before.is_some() && self.stage.process() == before {
            true => Steadiness::Steady,
            false => Steadiness::Restarted,
        }
    }

    /// Removes what the attempts made, and returns what may stay.
    async fn tidy(&self) -> Vec<LeftOver> {
        tokio::select! {
            left = self.ledger.empty() => left,
            // Nothing stays on a cluster that is gone.
            _ = self.stage.gone() => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;
    use crate::audit::AuditLog;
    use crate::catalog::Catalog;
    use crate::cluster::{AUDIT_ID, Access, FENCE, Sight};
    use crate::model::{Action, Persona, Role};

    /// What an API server answers where every pod of an attempt's is there.
    fn answer(path: &str) -> Value {
        match path.rsplit_once("/attack-") {
            Some((_, attempt)) => {
                let labels = json!({"brinell.dev/attempt": attempt});
                json!({"metadata": {"name": format!("attack-{attempt}"), "uid": "u", "labels": labels}})
            }
            None => json!({
                "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
                "metadata": {}, "items": [],
            }),
        }
    }

    /// A stage with this log, and what the admin asks there. The log holds every request at once.
    async fn stage(log: AuditLog) -> (Stage, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (written, heard) = (log.clone(), Arc::clone(&asked));
        let answering = tower::service_fn(move |request: Request<Body>| {
            let path = request.uri().path().to_owned();
            heard.lock().expect("unharmed").push(format!("{} {path}", request.method()));
            let id = request.headers().get(AUDIT_ID).and_then(|id| id.to_str().ok());
            let event = json!({
                "auditID": id.unwrap_or_default(), "level": "Metadata", "stage": "ResponseComplete",
                "verb": "get", "requestURI": path,
            });
            let log = written.clone();
            async move {
                log.read_through(format!("{event}\n").as_bytes()).await.expect("read");
                let body = answer(&path).to_string().into_bytes();
                Ok::<_, Infallible>(Response::new(Body::from(body)))
            }
        });
        let access = Access::of(kube::Client::new(answering, "default"));
        let sight = Sight { log: Some(log), ..Sight::of(Servers::Unknown) };
        let values = crate::run::values("k7f3", "image", &BTreeSet::new()).expect("certificates");
        (Stage::of(access, sight, values).await, asked)
    }

    /// An attack by which a pod may be made, as nobody answers.
    fn pod() -> Entry {
        let catalog = Catalog::load(None).expect("a catalog");
        let makes_pod = |turn: &Turn| {
            turn.role == Role::Attack
                && matches!(&turn.action, Action::Pod(pod) if pod.through.is_none())
        };
        let entry = catalog.scenarios.iter().find(|entry| entry.turns.iter().any(makes_pod));
        let mut entry = entry.expect("one with such an attack").clone();
        let nobody = catalog.personas.values().find(|it| matches!(it.who, Persona::Anonymous));
        entry.turns.retain(makes_pod);
        entry.turns.truncate(1);
        entry.turns[0].persona = Arc::clone(nobody.expect("a persona"));
        entry
    }

    #[tokio::test]
    async fn what_was_made_does_not_stay_until_a_late_log_comes() {
        let entry = pod();
        let log = || AuditLog::new("k7f3", "c4n4ry");
        for (log, is_late) in [(log(), false), (log().in_disorder("batches"), true)] {
            let (stage, asked) = stage(log).await;
            let progress = Progress::unheard();
            let play = Play::new(&stage, &entry, &progress);
            let tried = play.try_all(None).await;
            let asked = asked.lock().expect("unharmed").clone();
            let place = |start: &str| asked.iter().position(|it| it.starts_with(start));
            let removed = place("DELETE ").expect("removed");
            let fence = place(&format!("GET {FENCE}"));
            assert_eq!(fence.is_none(), is_late, "{asked:?}");
            assert!(fence.is_none_or(|fence| fence < removed), "{asked:?}");
            assert_eq!(play.conclude(tried).attempts.len(), 1);
        }
    }
}
