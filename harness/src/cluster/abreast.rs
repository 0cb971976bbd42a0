//! Work on a cluster that is done side by side, until more of it would be in vain.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::{StreamExt, stream};

/// Does work, `most` pieces of it at a time. Returns what came of it, in its order. Once a piece ends so that more would
/// be in vain, no other one is begun, and those beside it are waited for: what they still do there is to be known.
pub(super) async fn abreast<T>(
    most: usize,
    work: impl Iterator<Item = impl Future<Output = T>>,
    is_in_vain: impl Fn(&T) -> bool,
) -> Vec<T> {
    let (is_over, is_in_vain) = (&AtomicBool::new(false), &is_in_vain);
    let begun = work.take_while(|_| !is_over.load(Ordering::Relaxed)).map(|piece| async move {
        let done = piece.await;
        is_over.fetch_or(is_in_vain(&done), Ordering::Relaxed);
        done
    });
    stream::iter(begun).buffered(most).collect().await
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_what_is_begun_ends_and_nothing_else_begins() {
        let ended = Mutex::new(Vec::new());
        let work = [(0, true), (5, false), (9, true), (0, false), (0, false)];
        let work = work.iter().enumerate().map(|(number, (seconds, is_well))| {
            let ended = &ended;
            async move {
                sleep(Duration::from_secs(*seconds)).await;
                ended.lock().expect("unharmed").push(number);
                is_well.then_some(number).ok_or(number)
            }
        });
        let done = abreast(3, work, Result::is_err).await;
        assert_eq!(done, [Ok(0), Err(1), Ok(2), Err(3)]);
        assert_eq!(*ended.lock().expect("unharmed"), [0, 3, 1, 2]);
    }
}
