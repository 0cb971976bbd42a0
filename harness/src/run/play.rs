//! One scenario: its attempts are sent, their events collected, and what is recorded then is judged.

use std::time::Duration;

use tokio::time::Instant;

use super::collect::collect;
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

/// What was tried of a scenario, and not judged yet.
pub(super) struct Tried {
    sendings: Vec<Sending>,
    /// The API server's process at the beginning.
    process: Option<u64>,
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
            Some(Awaited { audit_id: seen.observation.sent.audit_id.clone()?, fence })
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
        self.conclude(tried).await
    }

    /// Tries everything, until the deadline or the end of the cluster.
    pub(super) async fn try_all(&self, deadline: Option<Instant>) -> Tried {
        let started = Instant::now();
        let (sendings, process, cause) = self.send(deadline).await;
        self.tell(sendings.len(), "what the audit log holds of it");
        Tried { sendings, process, cause, took: started.elapsed() }
    }

    /// Judges what was tried by what the log holds of it.
    pub(super) async fn conclude(&self, tried: Tried) -> ScenarioResult {
        let started = Instant::now();
        let Tried { sendings, process, cause, took } = tried;
        let sent = sendings.len();
        let attempts = collect(self.stage, sendings).await;
        let steadiness = self.steadiness(process);
        let took = took + started.elapsed();
        self.tell(sent, "removing what it made");
        let left_over = self.tidy().await;
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
