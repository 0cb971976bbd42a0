//! A second API server of a cluster of ours. It ends when its value is dropped, so that it cannot be forgotten.

use std::sync::Arc;

use futures::future::BoxFuture;
use kube::Config;

use crate::cluster::{ClusterError, Group};

/// A second API server that runs until this value is ended or dropped.
pub struct Second {
    /// The admin's way in to it.
    pub config: Config,
    server: Arc<dyn Server>,
    has_ended: bool,
}

/// What each kind of cluster knows of its second API server.
pub(super) trait Server: Send + Sync {
    /// Its audit log from its beginning, and on while it grows.
    fn log(&self) -> Result<Group, ClusterError>;

    /// Whether it has written any.
    fn has_log(&self) -> BoxFuture<'_, Result<bool, ClusterError>>;

    /// Ends it.
    fn end(self: Arc<Self>) -> BoxFuture<'static, Result<(), ClusterError>>;
}

impl Second {
    /// One that was started, and ends with this value from now on.
    pub(super) fn new(config: Config, server: Arc<dyn Server>) -> Self {
        Second { config, server, has_ended: false }
    }

    /// Its audit log from its beginning, and on while it grows.
    ///
    /// # Errors
    /// When the command that reads it does not start.
    pub fn log(&self) -> Result<Group, ClusterError> {
        self.server.log()
    }

    /// Whether it has written an audit log.
    ///
    /// # Errors
    /// When the node cannot be asked.
    pub async fn has_log(&self) -> Result<bool, ClusterError> {
        self.server.has_log().await
    }

    /// Ends it, and waits until it has ended.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub async fn end(mut self) -> Result<(), ClusterError> {
        Arc::clone(&self.server).end().await?;
        self.has_ended = true;
        Ok(())
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        // Without a runtime this process is ending, and the server ends with it or with its cluster.
        if let (false, Ok(runtime)) = (self.has_ended, tokio::runtime::Handle::try_current()) {
            runtime.spawn(Arc::clone(&self.server).end());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts how often it is ended.
    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Server for Counted {
        fn log(&self) -> Result<Group, ClusterError> {
            Err(ClusterError::NoApiServer)
        }

        fn has_log(&self) -> BoxFuture<'_, Result<bool, ClusterError>> {
            Box::pin(async { Ok(false) })
        }

        fn end(self: Arc<Self>) -> BoxFuture<'static, Result<(), ClusterError>> {
            Box::pin(async move {
                self.0.fetch_add(1, Ordering::SeqCst);
                Ok(())
            })
        }
    }

    fn second(server: &Arc<Counted>) -> Second {
        let nobody = Config::new("http://127.0.0.1:1".parse().expect("a URL"));
        let server: Arc<Counted> = Arc::clone(server);
        Second::new(nobody, server)
    }

    /// Lets everything run that was spawned.
    async fn settle() {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_second_api_server_that_is_ended_ends_once() {
        let server = Arc::new(Counted::default());
        second(&server).end().await.expect("ended");
        settle().await;
        assert_eq!(server.0.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_second_api_server_that_is_forgotten_ends_all_the_same() {
        let server = Arc::new(Counted::default());
        drop(second(&server));
        settle().await;
        assert_eq!(server.0.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_second_api_server_whose_end_is_not_waited_for_ends_all_the_same() {
        let server = Arc::new(Counted::default());
        drop(second(&server).end());
        settle().await;
        assert_eq!(server.0.load(Ordering::SeqCst), 1);
    }
}
