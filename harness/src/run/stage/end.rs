//! The end of a cluster for good: whatever is asked after it tells nothing.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cluster::{ClusterError, Sight};

/// How long after its log a node may end, so that the end of the node is the cause that is named.
const SOON: Duration = Duration::from_secs(1);

/// A cluster's end, which is waited for until this is dropped.
pub(crate) struct End {
    cause: watch::Receiver<Option<String>>,
    _waiting: JoinSet<()>,
}

impl End {
    /// Waits for the end of a cluster: `ended` says that one of its programs has ended by itself; the log that can no
    /// longer be read and the API server that does not come back are known by sight.
    pub fn of(ended: impl Future<Output = ClusterError> + Send + 'static, sight: Sight) -> End {
        let (sender, cause) = watch::channel(None);
        let mut waiting = JoinSet::new();
        waiting.spawn(async move {
            let cause = cause_of(ended, &sight).await;
            sender.send_replace(Some(cause));
        });
        End { cause, _waiting: waiting }
    }

    /// Waits until the cluster has ended, and says why.
    pub async fn cause(&self) -> String {
        let mut cause = self.cause.clone();
        let known = cause.wait_for(Option::is_some).await.ok().and_then(|cause| cause.clone());
        match known {
            Some(cause) => cause,
            // The task that waits is gone without a cause, so that none will be known.
            None => std::future::pending().await,
        }
    }

    /// Whether the cluster has ended.
    pub fn has_come(&self) -> bool {
        self.cause.borrow().is_some()
    }
}

async fn cause_of(ended: impl Future<Output = ClusterError>, sight: &Sight) -> String {
    let log_gone = async {
        match &sight.log {
            Some(log) => log.gone().await,
            None => std::future::pending().await,
        }
    };
    let lost = async {
        match sight.servers.pulse() {
            Some(pulse) => pulse.lost().await,
            None => std::future::pending().await,
        }
    };
    let mut ended = std::pin::pin!(ended);
    tokio::select! {
        error = &mut ended => error.to_string(),
        cause = lost => cause,
        // The log ends with its node, whose end says more.
        cause = log_gone => match tokio::time::timeout(SOON, ended).await {
            Ok(error) => error.to_string(),
            Err(_) => cause,
        },
    }
}
