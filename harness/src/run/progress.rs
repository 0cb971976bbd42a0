//! Telling what goes on. Whoever works sends events; a reporter somewhere draws them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use crate::model::{Proof, RunEvent, ScenarioResult, Summary, Verdict};

/// Where events go. It remembers what ends, so that nothing that was judged is lost when a run is.
#[derive(Clone)]
pub struct Progress {
    events: UnboundedSender<RunEvent>,
    ended: Arc<Mutex<Vec<(Verdict, usize)>>>,
    unmet: Arc<Mutex<BTreeSet<String>>>,
    proof: Arc<Mutex<Option<Proof>>>,
}

impl Progress {
    /// Sends to `events`.
    pub fn new(events: UnboundedSender<RunEvent>) -> Self {
        Progress { events, ended: Arc::default(), unmet: Arc::default(), proof: Arc::default() }
    }

    /// Tells something.
    pub fn tell(&self, event: RunEvent) {
        match &event {
            RunEvent::ScenarioFinished(result) => self.count(result),
            RunEvent::ControlUnmet { control, .. } => {
                lock(&self.unmet).insert(control.clone());
            }
            _ => {}
        }
        Proof::gather(&mut lock(&self.proof), &event);
        // When nobody listens any more the run is ending, and there is nobody to tell.
        let _ = self.events.send(event);
    }

    /// Does one step, telling its begin and, when it went well, what came of it.
    pub async fn step<T, E>(
        &self,
        name: &str,
        doing: &str,
        work: impl Future<Output = Result<(T, String), E>>,
    ) -> Result<T, E> {
        self.tell(RunEvent::StepStarted { name: name.to_owned(), doing: doing.to_owned() });
        let started = Instant::now();
        let (result, detail) = work.await?;
        let took = started.elapsed();
        self.tell(RunEvent::StepFinished { name: name.to_owned(), detail, took });
        Ok(result)
    }

    fn count(&self, result: &ScenarioResult) {
        lock(&self.ended).push((result.verdict, result.attempts.len()));
    }

    /// The end of the run, from all scenarios that ended.
    pub fn summary(&self, took: Duration, took_by_cluster: Duration, tidy: String) -> Summary {
        let ended = lock(&self.ended);
        let count = |verdict| ended.iter().filter(|(other, _)| *other == verdict).count();
        Summary {
            passed: count(Verdict::Passed),
            failed: count(Verdict::Failed),
            inconclusive: count(Verdict::Inconclusive),
            skipped: count(Verdict::Skipped),
            unmet: lock(&self.unmet).len(),
            attempts: ended.iter().map(|(_, attempts)| attempts).sum(),
            took,
            took_by_cluster,
            tidy,
        }
    }

    /// What was proven, in a proof that was aborted up to there; none where nothing was.
    pub fn proof(&self) -> Option<Proof> {
        lock(&self.proof).clone()
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
