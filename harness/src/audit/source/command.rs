//! A command that prints what a vendor has kept of the log. It is asked again until the events that are waited for have
//! come, or until what has not come never will.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{RunStart, SourceError};
use crate::catalog::substitutions;
use crate::model::AuditCommand;

/// The pauses between two questions. Each costs its user a call of a vendor's API, which are counted and throttled.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(10)];

/// How many questions are asked at most while the delay goes by, apart from the time that they take.
const QUESTIONS: u32 = 30;

/// A command, with everything filled in that only the run knows.
#[derive(Debug, Clone)]
pub struct Command {
    arguments: Vec<String>,
    deadline: Duration,
    delay: Duration,
}

/// What was waited for did not come.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCome<E> {
    /// The command was asked after the whole delay, and does not have it.
    #[error("the command of `audit.command` does not print it {waited:?} later")]
    Absent {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The command failed the last time.
    #[error("`audit.command`: {0}")]
    Failed(E),
}

impl Command {
    /// The command of a run.
    ///
    /// # Errors
    /// When nothing stands for a substitution.
    pub(super) fn new(
        command: &AuditCommand,
        delay: Duration,
        run: &RunStart,
    ) -> Result<Self, SourceError> {
        let arguments = command.arguments.iter().map(|argument| fill(argument, run));
        let arguments = arguments.collect::<Result<_, _>>()?;
        Ok(Command { arguments, deadline: command.deadline, delay })
    }

    /// The program and its arguments.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// How long it may take, each time.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Asks until everything `has_come`, and for the last time when the delay is over. `ask` runs the command once and
    /// reads what it prints, which is everything since the run's start each time.
    ///
    /// # Errors
    /// When something has not come, or nothing can be told. A command that fails may be throttled and is asked again: that
    /// it is right was seen when the log was opened.
    pub async fn until<E>(
        &self,
        mut ask: impl AsyncFnMut() -> Result<(), E>,
        mut has_come: impl FnMut() -> bool,
    ) -> Result<(), NotCome<E>> {
        let first = Instant::now();
        let pause = (self.delay / QUESTIONS).clamp(PAUSES[0], PAUSES[1]);
        loop {
            let waited = first.elapsed();
            match ask().await {
                Ok(()) if has_come() => return Ok(()),
                Ok(()) if waited >= self.delay => return Err(NotCome::Absent { waited }),
                Err(error) if waited >= self.delay => return Err(NotCome::Failed(error)),
                _ => {}
            }
            sleep(pause.min(self.delay.saturating_sub(first.elapsed()))).await;
        }
    }
}

/// An argument with its substitutions made. The start is told to the second before it: no event of the run is earlier.
fn fill(argument: &str, run: &RunStart) -> Result<String, SourceError> {
    let second = run.at.as_second();
    let since = Timestamp::from_second(second).unwrap_or(run.at).to_string();
    let known =
        [("since", since), ("since-ms", (second * 1000).to_string()), ("run", run.id.clone())];
    let is_known = |name: &&str| known.iter().any(|(known, _)| known == name);
    if let Some(unknown) = substitutions(argument).find(|name| !is_known(name)) {
        return Err(SourceError::Substitution(unknown.to_owned()));
    }
    Ok(known.iter().fold(argument.to_owned(), |text, (name, value)| {
        text.replace(&format!("${{{name}}}"), value)
    }))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const DELAY: Duration = Duration::from_millis(500);

    fn command(arguments: &[&str]) -> Result<Command, SourceError> {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let command = AuditCommand { arguments, deadline: Duration::from_secs(1) };
        let at = "2026-11-26T15:04:05.987Z".parse().expect("a time");
        Command::new(&command, DELAY, &RunStart { id: "k7f3".to_owned(), at })
    }

    #[test]
    fn arguments_are_filled_with_what_the_run_knows() {
        let filled = command(&[
            "logs",
            "--since=${since}",
            "${since-ms}",
            "{ $.x = \"${run}-*\" }",
            "$HOME",
        ]);
        let filled = filled.expect("known");
        let expected = [
            "logs",
            "--since=2026-11-26T15:04:05Z",
            "1795705445000",
            "{ $.x = \"k7f3-*\" }",
            "$HOME",
        ];
        assert_eq!(filled.arguments(), expected);
    }

    #[test]
    fn an_unknown_substitution_is_told() {
        let error = command(&["logs", "${sinc}"]).expect_err("unknown").to_string();
        assert_eq!(
            error,
            "`audit.command`: nothing stands for `${sinc}`; there are ${since}, ${since-ms} and ${run}"
        );
    }

    /// What becomes of it when the first answers are these, and the last of them goes on; how often it was asked.
    async fn asked(
        answers: &[Result<bool, &'static str>],
    ) -> (Result<(), NotCome<&'static str>>, usize) {
        let (count, came) = (Cell::new(0), Cell::new(false));
        let ask = async || {
            let answer = answers[count.get().min(answers.len() - 1)];
            count.set(count.get() + 1);
            came.set(answer?);
            Ok(())
        };
        let command = command(&["logs"]).expect("known");
        let ended = command.until(ask, || came.get()).await;
        (ended, count.get())
    }

    #[tokio::test]
    async fn it_is_asked_until_everything_has_come() {
        assert_eq!(asked(&[Ok(true)]).await, (Ok(()), 1));
        assert_eq!(asked(&[Ok(false), Ok(true)]).await, (Ok(()), 2));
        assert_eq!(asked(&[Err("throttled"), Ok(false), Ok(true)]).await, (Ok(()), 3));
    }

    #[tokio::test]
    async fn what_has_not_come_when_the_delay_is_over_is_absent() {
        let (ended, count) = asked(&[Ok(false)]).await;
        assert!(matches!(ended, Err(NotCome::Absent { waited }) if waited >= DELAY), "{ended:?}");
        assert!((2..10).contains(&count), "{count}");
    }

    #[tokio::test]
    async fn a_command_that_fails_at_last_proves_nothing() {
        let (ended, count) = asked(&[Ok(false), Err("throttled")]).await;
        assert_eq!(ended, Err(NotCome::Failed("throttled")));
        assert!(count > 2, "{count}");
    }
}
