//! Running scenarios side by side.

use std::convert::Infallible;
use std::time::Duration;

use futures::StreamExt;
use tokio::time::Instant;

use super::collect::await_all;
use super::play::Play;
use super::stage::Stage;
use super::{Plan, Progress};
use crate::catalog::Entry;
use crate::model::{Attack, RunEvent, ScenarioResult, Unit, Verdict};
use crate::text::count;

/// Runs every scenario of the plan, `jobs` at a time, until `deadline`.
pub async fn execute(
    plan: &Plan<'_>,
    stage: &Stage,
    jobs: usize,
    deadline: Instant,
    progress: &Progress,
) {
    tell_all(plan, progress);
    let running = begun(&plan.scenarios).into_iter().map(|(_, entry)| async move {
        let result = started(stage, entry, progress).run(Some(deadline)).await;
        progress.tell(RunEvent::ScenarioFinished(Box::new(result)));
        stage.leave(entry).await;
    });
    futures::stream::iter(running).buffer_unordered(jobs).collect::<()>().await;
}

/// Runs the plan's scenarios where the log is late: everything is sent first and what it made removed, then the log is
/// waited for once, and then all is judged.
pub async fn execute_late(
    plan: &Plan<'_>,
    stage: &Stage,
    jobs: usize,
    deadline: Instant,
    progress: &Progress,
) {
    tell_all(plan, progress);
    let trying = begun(&plan.scenarios).into_iter().map(|(_, entry)| async move {
        let play = started(stage, entry, progress);
        let tried = play.try_all(Some(deadline)).await;
        stage.leave(entry).await;
        (play, tried)
    });
    let tried: Vec<_> = futures::stream::iter(trying).buffer_unordered(jobs).collect().await;
    let awaited: Vec<_> = tried.iter().flat_map(|(_, tried)| tried.awaited()).collect();
    let doing = format!("waiting for the audit log of {}", count(awaited.len(), "request"));
    let waiting = async {
        await_all(stage, &awaited).await;
        Ok::<_, Infallible>(((), "as much of it as comes is there".to_owned()))
    };
    let Ok(()) = progress.step("log", &doing, waiting).await;
    for (play, tried) in tried {
        let result = play.conclude(tried);
        progress.tell(RunEvent::ScenarioFinished(Box::new(result)));
    }
}

/// Says how many attempts there are.
fn tell_all(plan: &Plan<'_>, progress: &Progress) {
    progress.tell(RunEvent::Planned { all: plan.turns().count(), of: Unit::Attempt });
}

/// Says that a scenario is begun.
fn started<'a>(stage: &'a Stage, entry: &'a Entry, progress: &'a Progress) -> Play<'a> {
    progress.tell(RunEvent::ScenarioStarted { id: entry.id.clone() });
    Play::new(stage, entry, progress)
}

/// Runs these scenarios on a stage, `jobs` at a time, and returns their results in the same order.
pub(crate) async fn together(
    stage: &Stage,
    entries: &[&Entry],
    jobs: usize,
) -> Vec<ScenarioResult> {
    let progress = &Progress::unheard();
    let running = begun(entries).into_iter().map(|(position, entry)| async move {
        (position, Play::new(stage, entry, progress).run(None).await)
    });
    let mut results: Vec<_> = futures::stream::iter(running).buffer_unordered(jobs).collect().await;
    results.sort_by_key(|(position, _)| *position);
    results.into_iter().map(|(_, result)| result).collect()
}

/// The order in which scenarios begin: what looks at all that is there before all others, since no namespace of ours goes
/// before it has ended; then those that wait for others, so that the run does not wait for one of them
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
    order.sort_by_key(|(_, entry)| {
        (!entry.looks_at_large(), !waits_for_controllers(entry), !waits(entry))
    });
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
        audit_lines: None,
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
        assert!(place("bindings-reviewed") < place("pod-through-workloads"), "reviews");
        assert!(place("pod-through-workloads") < place("exec-relabelled-pod"), "controllers");
        assert!(place("exec-relabelled-pod") < place("exec-interactive"), "steps");
    }
}
