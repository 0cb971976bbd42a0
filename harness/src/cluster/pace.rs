//! How fast a cluster is asked. One of our own answers as fast as it can; on an existing one others wait in the same
//! line.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::lock::lock;

/// How many requests a second an existing cluster is asked at most, where nothing else is said.
const USUAL: u32 = 20;

/// How many requests of others stand in line before one, as scenarios are run side by side.
const OTHERS: u32 = 16;

/// The pace of all requests to one cluster, whoever sends them. Its copies share it.
#[derive(Debug, Clone)]
pub struct Pace {
    /// The time between two requests; `None` is as fast as the cluster answers.
    gap: Option<Duration>,
    turns: Arc<Mutex<Turns>>,
}

#[derive(Debug)]
struct Turns {
    /// When the next request may be sent.
    next: Instant,
    given: u64,
}

impl Pace {
    /// As fast as the cluster answers.
    pub fn free() -> Pace {
        Pace::with(None)
    }

    /// The pace at which an existing cluster is asked where nothing else is said.
    pub fn usual() -> Pace {
        Pace::of(USUAL)
    }

    /// At most so many requests a second; 0 is as fast as the cluster answers.
    pub fn of(a_second: u32) -> Pace {
        Pace::with(Duration::from_secs(1).checked_div(a_second))
    }

    fn with(gap: Option<Duration>) -> Pace {
        Pace { gap, turns: Arc::new(Mutex::new(Turns { next: Instant::now(), given: 0 })) }
    }

    /// Waits until one more request may be sent.
    pub async fn turn(&self) {
        let at = {
            let mut turns = lock(&self.turns);
            turns.given += 1;
            let Some(gap) = self.gap else { return };
            let at = turns.next.max(Instant::now());
            turns.next = at + gap;
            at
        };
        tokio::time::sleep_until(at).await;
    }

    /// How long so many requests may wait for their turns that are sent one after the other: each behind all that
    /// stands in line now, and behind what others send meanwhile.
    pub fn waiting(&self, requests: u32) -> Duration {
        let Some(gap) = self.gap else { return Duration::ZERO };
        let turns = lock(&self.turns);
        let line = turns.next.saturating_duration_since(Instant::now());
        (line + OTHERS * gap) * requests
    }

    /// How many requests were sent.
    pub fn sent(&self) -> u64 {
        lock(&self.turns).given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn however_many_ask_at_once_they_take_turns() {
        let pace = Pace::of(20);
        let started = Instant::now();
        futures::future::join_all((0..21).map(|_| pace.turn())).await;
        assert_eq!(started.elapsed(), Duration::from_secs(1));
        // Time in which nobody asked is not made up for.
        tokio::time::sleep(Duration::from_secs(5)).await;
        let started = Instant::now();
        pace.turn().await;
        pace.turn().await;
        assert_eq!(started.elapsed(), Duration::from_millis(50));
        assert_eq!(pace.sent(), 23);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cluster_of_our_own_is_not_waited_for() {
        let started = Instant::now();
        for pace in [Pace::free(), Pace::of(0)] {
            futures::future::join_all((0..100).map(|_| pace.turn())).await;
        }
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
