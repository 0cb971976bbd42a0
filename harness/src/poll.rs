//! Asking until something acts, where no event tells when it does.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{sleep, timeout};

/// The pause between two questions.
pub const PAUSE: Duration = Duration::from_millis(20);

/// Asks until the answer is `Ok`, for as long as `patience`.
///
/// # Errors
/// What was answered last, or `None` if not even one question was answered in time.
pub async fn until<T, Not>(
    patience: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, Not>,
) -> Result<T, Option<Not>> {
    let mut last = None;
    let asking = async {
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(not) => last = Some(not),
            }
            sleep(PAUSE).await;
        }
    };
    let answer = timeout(patience, asking).await;
    answer.map_err(|_| last)
}

/// Asks until one answer is `Ok`, for as long as `patience`. Where a question has no answer yet after `alone`, the next
/// one is asked beside it: it may come to where the first one did not.
///
/// # Errors
/// What was answered last, or `None` if not even one question was answered in time.
pub async fn until_any<T, Not>(
    patience: Duration,
    alone: Duration,
    ask: impl AsyncFn() -> Result<T, Not>,
) -> Result<T, Option<Not>> {
    let mut last = None;
    let asking = async {
        let mut asked = FuturesUnordered::new();
        loop {
            asked.push(ask());
            match timeout(alone, asked.next()).await {
                Ok(Some(Ok(answer))) => return answer,
                Ok(Some(Err(not))) => last = Some(not),
                Ok(None) | Err(_) => {}
            }
            sleep(PAUSE).await;
        }
    };
    let answer = timeout(patience, asking).await;
    answer.map_err(|_| last)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn it_is_asked_until_it_is_so() {
        let mut asked = 0;
        let answer = until(Duration::from_secs(1), async || {
            asked += 1;
            if asked == 3 { Ok("yes") } else { Err("no") }
        });
        assert_eq!(answer.await, Ok("yes"));
        assert_eq!(asked, 3);
    }

    #[tokio::test]
    async fn the_last_answer_is_told_when_it_takes_too_long() {
        let never = async || Err::<(), _>("no");
        assert_eq!(until(Duration::from_millis(1), never).await, Err(Some("no")));
        let silent = async || std::future::pending::<Result<(), ()>>().await;
        assert_eq!(until(Duration::from_millis(1), silent).await, Err(None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_got_lost_does_not_hold_up_the_next_one() {
        let asked = Cell::new(0);
        let (patience, alone) = (Duration::from_secs(60), Duration::from_secs(1));
        let began = tokio::time::Instant::now();
        let answer = until_any(patience, alone, async || {
            asked.set(asked.get() + 1);
            match asked.get() {
                1 => sleep(Duration::from_secs(5)).await,
                2 => return Err("no"),
                _ => return Ok("yes"),
            }
            Err("lost")
        });
        assert_eq!(answer.await, Ok("yes"));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        let silent = async || std::future::pending::<Result<(), ()>>().await;
        assert_eq!(until_any(patience, alone, silent).await, Err(None));
    }
}
