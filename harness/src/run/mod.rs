//! A run, from the plan to its last event.

mod event;
mod execute;
mod plan;
mod progress;
mod seconds;
mod stage;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use event::{AttemptResult, Role, RunEvent, ScenarioResult, Summary};
pub use plan::{Plan, Planned};
pub use progress::Progress;
pub use stage::StageError;

use crate::cluster::{Kind, RunFolder};
use crate::control::{Values, certificates};
use crate::verdict::Verdict;

/// The name under which the API server reaches exec-guard.
const GUARD: &str = "exec-guard.brinell-exec-guard.svc";

/// How a run is run.
pub struct Options {
    /// The run's id.
    pub run: String,
    /// The node image.
    pub node_image: String,
    /// How many scenarios at a time.
    pub jobs: usize,
    /// How long the scenarios may take altogether.
    pub deadline: Duration,
}

/// What came of a run.
#[derive(Default)]
pub struct Outcome {
    /// The scenarios' results.
    pub results: Vec<ScenarioResult>,
    /// How long kind itself took.
    pub took_by_cluster: Duration,
}

/// Makes the cluster, runs the plan's scenarios and returns their results. Whatever becomes of it, the caller
/// tidies up.
pub async fn run(
    plan: &Plan<'_>,
    options: &Options,
    folder: Arc<RunFolder>,
    progress: &Progress,
) -> Result<Outcome, StageError> {
    let mut outcome = Outcome::default();
    for (entry, cause) in &plan.skipped {
        let skipped = execute::whole(entry, Verdict::Skipped, cause.clone());
        progress.tell(RunEvent::ScenarioFinished(Box::new(skipped.clone())));
        outcome.results.push(skipped);
    }
    if plan.scenarios.is_empty() {
        return Ok(outcome);
    }
    let kind = Arc::new(Kind::new(&options.run, folder));
    let values = values(&options.run, &kind.image())?;
    let stage = stage::stage(plan, kind, &options.node_image, values, progress).await?;
    let deadline = tokio::time::Instant::now() + options.deadline;
    outcome.took_by_cluster = stage.made_in;
    let results = execute::execute(plan, &stage, options.jobs, deadline, progress).await;
    outcome.results.extend(results);
    Ok(outcome)
}

/// What only this run knows.
fn values(run: &str, image: &str) -> Result<Values, rcgen::Error> {
    let certificates = certificates(&[GUARD])?;
    let base64 = |text: &str| crate::text::base64(text.as_bytes());
    Ok(Values {
        image: image.to_owned(),
        run: run.to_owned(),
        canary: crate::text::random_hex(16),
        encryption_key: crate::text::base64(&crate::text::random_bytes(32)),
        ca: base64(&certificates.ca),
        cert: base64(&certificates.certificate),
        key: base64(&certificates.key),
    })
}

/// Counts results into the end of a run.
pub fn summary(
    results: &[ScenarioResult],
    started: Instant,
    took_by_cluster: Duration,
    tidy: String,
) -> Summary {
    let count = |verdict| results.iter().filter(|result| result.verdict == verdict).count();
    Summary {
        passed: count(Verdict::Passed),
        failed: count(Verdict::Failed),
        inconclusive: count(Verdict::Inconclusive),
        skipped: count(Verdict::Skipped),
        attempts: results.iter().map(|result| result.attempts.len()).sum(),
        took: started.elapsed(),
        took_by_cluster,
        tidy,
    }
}
