//! Asking until something acts, where no event tells when it does.

use std::time::Duration;

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

#[cfg(test)]
mod tests {
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
}
