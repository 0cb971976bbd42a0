//! Telling what goes on. Whoever works sends events; a reporter somewhere draws them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::{RunEvent, ScenarioResult, Summary};
use crate::verdict::Verdict;

/// Where events go. It counts what ends, so that nothing that was judged is lost when a run is.
#[derive(Clone)]
pub struct Progress {
    events: UnboundedSender<RunEvent>,
    ended: Arc<Mutex<Vec<(Verdict, usize)>>>,
}

impl Progress {
    /// Sends to `events`.
    pub fn new(events: UnboundedSender<RunEvent>) -> Self {
        Progress { events, ended: Arc::default() }
    }

    /// Tells something.
    pub fn tell(&self, event: RunEvent) {
        if let RunEvent::ScenarioFinished(result) = &event {
            self.count(result);
        }
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
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.push((result.verdict, result.attempts.len()));
    }

    /// The end of the run, from all scenarios that ended.
    pub fn summary(&self, took: Duration, took_by_cluster: Duration, tidy: String) -> Summary {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |verdict| ended.iter().filter(|(other, _)| *other == verdict).count();
        Summary {
            passed: count(Verdict::Passed),
            failed: count(Verdict::Failed),
            inconclusive: count(Verdict::Inconclusive),
            skipped: count(Verdict::Skipped),
            attempts: ended.iter().map(|(_, attempts)| attempts).sum(),
            took,
            took_by_cluster,
            tidy,
        }
    }
}
