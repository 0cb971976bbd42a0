//! One scenario: its attempts are sent, their events collected, and what is recorded then is judged.

use std::time::Duration;

use tokio::time::Instant;

use super::Plan;
use super::collect::collect;
use super::execute::whole;
use super::send::{Sender, Sending};
use super::stage::Stage;
use crate::attack::Ledger;
use crate::catalog::Entry;
use crate::judge::{Decider, Judged, judge};
use crate::model::{LeftOver, Record, ScenarioResult, Steadiness, Turn};

/// How long the removal of what a scenario made may take: a moment, where the API server answers.
const TIDYING: Duration = Duration::from_secs(10);

/// One scenario on its stage.
pub(super) struct Play<'a> {
    plan: &'a Plan<'a>,
    stage: &'a Stage,
    entry: &'a Entry,
    ledger: Ledger,
}

impl<'a> Play<'a> {
    /// Nothing of it is tried yet.
    pub(super) fn new(plan: &'a Plan<'a>, stage: &'a Stage, entry: &'a Entry) -> Self {
        Play { plan, stage, entry, ledger: stage.ledger() }
    }

    /// Tries everything, until the deadline or the end of the cluster. What was sent up to there is judged.
    pub(super) async fn run(&self, deadline: Option<Instant>) -> ScenarioResult {
        let started = Instant::now();
        let turns = self.entry.scenario.turns();
        let (sendings, process, cause) = self.send(&turns, deadline).await;
        let attempts = collect(self.stage, sendings).await;
        let steadiness = self.steadiness(process);
        let took = started.elapsed();
        let left_over = self.tidy().await;
        let record = Record { attempts, steadiness, left_over, cause };
        let Judged { verdict, cause, attempts } =
            judge(&turns, record, |control| self.decider(control));
        ScenarioResult { cause, attempts, took, ..whole(self.entry, verdict, String::new()) }
    }

    /// Sends as much as can be sent. Returns it with the API server's process at the beginning and why it ended early.
    async fn send(
        &self,
        turns: &[Turn<'_>],
        deadline: Option<Instant>,
    ) -> (Vec<Sending>, Option<u64>, Option<String>) {
        let mut sendings = Vec::new();
        let mut process = None;
        let sending = async {
            self.stage.pulse.awake().await;
            process = self.stage.pulse.process();
            Sender::new(self.stage, self.entry, &self.ledger).send_all(turns, &mut sendings).await;
        };
        let cause = tokio::select! {
            () = sending => None,
            cause = self.over(deadline) => Some(cause),
        };
        (sendings, process, cause)
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

    /// Whether the process that was there at the beginning still is.
    fn steadiness(&self, before: Option<u64>) -> Steadiness {
        match before.is_some() && self.stage.pulse.process() == before {
            true => Steadiness::Steady,
            false => Steadiness::Restarted,
        }
    }

    /// Removes what the attempts made, and returns what may stay.
    async fn tidy(&self) -> Vec<LeftOver> {
        tokio::select! {
            left = self.ledger.empty(Instant::now() + TIDYING) => left,
            // Nothing stays on a cluster that is gone.
            _ = self.stage.gone() => Vec::new(),
        }
    }

    /// The control that must refuse, or be configured rightly.
    fn decider(&self, control: &str) -> Decider<'a> {
        let entry = &self.plan.catalog.controls[control];
        Decider {
            control: &entry.id,
            decides: &entry.control.decides,
            leaves: self.stage.values.fill_map(&entry.control.leaves),
            look_at: &entry.control.look_at,
        }
    }
}
