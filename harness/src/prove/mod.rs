//! The proof that scenarios can fail: each control is weakened, one way at a time, and the scenarios that test it
//! must notice, for the reason that is expected.
//!
//! ```text
//! Trials ─▶ Lane, one a cluster: weaken ─ run scenarios until they notice ─ restore ─ see them green again ─▶ Proof
//! ```

mod judge;
mod lane;
mod trial;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::try_join_all;

use trial::{Trial, Untried};
pub use trial::{Trials, Who, about};

use crate::cluster::RunFolder;
use crate::lock::lock;
use crate::model::{Minor, Outcome, RunEvent, ScenarioResult, Unit, WeakeningResult};
use crate::run::{Options, Plan, Progress, StageError};
use lane::Lane;

/// A proof could not be brought to its end.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// A cluster could not be made, weakened or restored.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// These scenarios do not pass where nothing is weakened.
    #[error(
        "nothing can be proven while a scenario fails on the whole profile: {}; `brinell --scenario` shows why",
        ids(.0)
    )]
    NotGreen(Vec<ScenarioResult>),
    /// After a weakening the cluster was not as before.
    #[error("after {weakening} was restored, these scenarios were not green again: {}", ids(red))]
    NotRestored {
        /// The control and its weakening.
        weakening: String,
        /// What the scenarios did.
        red: Vec<ScenarioResult>,
    },
    /// After the last weakening the cluster was not as before the first, and each seemed to be restored.
    #[error("after the last weakening these scenarios were not green any more: {}", ids(.0))]
    NotGreenAtEnd(Vec<ScenarioResult>),
    /// It took too long.
    #[error("the proof did not end within {0:?}: give it more with --deadline")]
    Late(Duration),
}

fn ids(results: &[ScenarioResult]) -> String {
    results.iter().map(|result| result.id.as_str()).collect::<Vec<_>>().join(", ")
}

/// The run of one lane, on a cluster of its own.
pub struct LaneRun {
    /// The run's id.
    pub run: String,
    /// Its folder.
    pub folder: Arc<RunFolder>,
}

/// Tries every weakening, on as many clusters side by side as there are runs, and tells what was found. Returns how
/// long the clusters' own programs took. Whatever becomes of it, the caller tidies up.
///
/// # Errors
/// When a cluster cannot be made, or is not green before the first weakening or after one.
pub async fn prove(
    plan: &Plan<'_>,
    mut trials: Trials<'_>,
    options: &Options,
    lane_runs: &[LaneRun],
    progress: &Progress,
) -> Result<Duration, ProofError> {
    let proving = async {
        let who = trials.who;
        let making =
            lane_runs.iter().enumerate().map(|(position, lane_run)| {
                let options = Options { run: lane_run.run.clone(), ..options.clone() };
                // All clusters take the same steps: the first one shows them.
                let progress = if position == 0 { progress.clone() } else { Progress::unheard() };
                async move {
                    Lane::make(plan, who, options, Arc::clone(&lane_run.folder), &progress).await
                }
            });
        let lanes = try_join_all(making).await?;
        let version = Minor::try_from(options.kubernetes.clone()).ok();
        trials.leave_out(|trial| trial.outlived(version?));
        trials.leave_out(|trial| {
            let kind = lanes.first()?.unserved(trial)?;
            Some(format!("Kubernetes {} does not serve {kind}", options.kubernetes))
        });
        progress.tell(RunEvent::Planned { all: trials.trials.len(), of: Unit::Weakening });
        let queue = Mutex::new(trials.trials.iter().collect::<VecDeque<_>>());
        let results = try_join_all(lanes.iter().map(|lane| work(lane, &queue, progress))).await?;
        let made_in = lanes.iter().map(Lane::made_in).max().unwrap_or_default();
        Ok((results.concat(), made_in))
    };
    let proven = tokio::time::timeout(options.manner.deadline, proving).await;
    let proven = proven.unwrap_or(Err(ProofError::Late(options.manner.deadline)));
    if let Err(
        ProofError::NotGreen(red)
        | ProofError::NotRestored { red, .. }
        | ProofError::NotGreenAtEnd(red),
    ) = &proven
    {
        for result in red {
            progress.tell(RunEvent::ScenarioFinished(Box::new(result.clone())));
        }
    }
    let (mut results, made_in) = proven?;
    results.extend(trials.skipped.iter().map(skipped));
    let proof = judge::proof(plan, &trials, results);
    progress.tell(RunEvent::Proven(Box::new(proof)));
    Ok(made_in)
}

/// Takes trials from the queue until it is empty.
async fn work<'a>(
    lane: &Lane<'a>,
    queue: &Mutex<VecDeque<&Trial<'a>>>,
    progress: &Progress,
) -> Result<Vec<WeakeningResult>, ProofError> {
    let next = || lock(queue).pop_front();
    let mut results = Vec::new();
    while let Some(trial) = next() {
        progress.tell(RunEvent::WeakeningStarted { id: trial.id() });
        let (result, restored) = lane.run(trial).await?;
        progress.tell(RunEvent::WeakeningFinished(Box::new(result.clone())));
        results.push(result);
        restored?;
    }
    lane.see_end().await?;
    Ok(results)
}

fn skipped(untried: &Untried<'_>) -> WeakeningResult {
    WeakeningResult {
        control: untried.planned.control.id.clone(),
        name: untried.weakened.name.clone(),
        why: untried.weakened.weakening.why.clone(),
        outcome: Outcome::Skipped,
        cause: Some(untried.cause.clone()),
        deviation: None,
        unasked: Vec::new(),
        cells: Vec::new(),
        took: Duration::ZERO,
    }
}
