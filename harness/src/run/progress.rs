//! What goes on in a run, as events: the work sends them, and the session gathers and shows them.

use std::time::Instant;

use tokio::sync::mpsc::{self, UnboundedSender};

use crate::model::RunEvent;

/// Where events go.
#[derive(Clone)]
pub struct Progress(UnboundedSender<RunEvent>);

impl Progress {
    /// Sends to `events`.
    pub fn new(events: UnboundedSender<RunEvent>) -> Self {
        Progress(events)
    }

    /// Sends to nobody.
    pub fn unheard() -> Self {
        Progress::new(mpsc::unbounded_channel().0)
    }

    /// Tells something.
    pub fn tell(&self, event: RunEvent) {
        // If nothing receives events any more, the run is ending.
        let _ = self.0.send(event);
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
}
