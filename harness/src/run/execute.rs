//! Running scenarios side by side.

use std::time::Duration;

use futures::StreamExt;
use tokio::time::Instant;

use super::play::Play;
use super::stage::Stage;
use super::{Plan, Progress};
use crate::catalog::Entry;
use crate::model::{Attack, RunEvent, ScenarioResult, Verdict};

/// Runs every scenario of the plan, `jobs` at a time, until `deadline`.
pub async fn execute(
    plan: &Plan<'_>,
    stage: &Stage,
    jobs: usize,
    deadline: Instant,
    progress: &Progress,
) {
    let running = begun(&plan.scenarios).into_iter().map(|(_, entry)| async move {
        progress.tell(RunEvent::ScenarioStarted { id: entry.id.clone() });
        let result = Play::new(stage, entry).run(Some(deadline)).await;
        progress.tell(RunEvent::ScenarioFinished(Box::new(result)));
    });
    futures::stream::iter(running).buffer_unordered(jobs).collect::<()>().await;
}

/// Runs these scenarios on a stage, `jobs` at a time, and returns their results in the same order.
pub(crate) async fn together(
    stage: &Stage,
    entries: &[&Entry],
    jobs: usize,
) -> Vec<ScenarioResult> {
    let running = begun(entries).into_iter().map(|(position, entry)| async move {
        (position, Play::new(stage, entry).run(None).await)
    });
    let mut results: Vec<_> = futures::stream::iter(running).buffer_unordered(jobs).collect().await;
    results.sort_by_key(|(position, _)| *position);
    results.into_iter().map(|(_, result)| result).collect()
}

/// The order in which scenarios begin: those that wait for others first, so that the run does not wait for one of them
/// at its end. The longest wait for one controller after the other (1.6 s of a run of 55 scenarios, measured); after a
/// step that works a refusal waits until the step has settled.
fn begun<'a>(entries: &[&'a Entry]) -> Vec<(usize, &'a Entry)> {
    let mut order: Vec<_> = entries.iter().copied().enumerate().collect();
    let waits_for_controllers =
        |entry: &Entry| entry.scenario.actions().any(|action| action.facts().by_controller);
    let waits = |entry: &Entry| {
        let has_step = entry.scenario.attacks.iter().any(Attack::is_step);
        has_step || entry.scenario.actions().any(|action| action.facts().waits)
    };
    order.sort_by_key(|(_, entry)| (!waits_for_controllers(entry), !waits(entry)));
    order
}

/// A result without attempts.
pub fn without_attempts(entry: &Entry, verdict: Verdict, cause: String) -> ScenarioResult {
    ScenarioResult {
        run: None,
        id: entry.id.clone(),
        family: entry.family.clone(),
        file: entry.users_file(),
        title: entry.scenario.title.clone(),
        why: entry.scenario.why.clone(),
        fix: entry.scenario.fix.clone(),
        tags: entry.scenario.tags.clone(),
        controls: entry.scenario.controls().into_iter().map(str::to_owned).collect(),
        verdict,
        cause: Some(cause),
        waived: None,
        attempts: Vec::new(),
        took: Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn who_waits_longest_begins_first() {
        let catalog = Catalog::load(None).expect("a catalog");
        let entries: Vec<&Entry> = catalog.scenarios.iter().collect();
        let order = begun(&entries);
        let place = |id: &str| order.iter().position(|(_, entry)| entry.id == id).expect(id);
        assert!(place("pod-through-workloads") < place("exec-relabelled-pod"), "controllers");
        assert!(place("exec-relabelled-pod") < place("exec-interactive"), "steps");
    }
}
