//! The audit log of an existing cluster: opened before anything is sent, and tried with a request that it must hold.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::client::Body;

use super::{Existing, ReachError};
use crate::audit::AuditLog;
use crate::audit::source::{Losses, Opened, RunStart, Stream, open};
use crate::cluster::{AUDIT_ID, FENCE, Servers, ask_for_log, client};
use crate::model::{AtEnd, AuditSource};

/// Requests of which a policy logs one: a path that is nothing, for policies with a rule for all; objects that are not
/// there, for policies with rules for what matters.
const FENCES: [&str; 3] = [
    FENCE,
    "/api/v1/namespaces/kube-system/secrets/brinell-fence",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles/brinell-fence",
];

/// Why a fence proves nothing where there may be more than one API server.
const SEVERAL: &str = "each API server of the cluster writes a log of its own, and which of them answered is not known";

/// Why no log is of use where what stands before the API server takes the id out of requests.
const WITHOUT_ID: &str = "the way to the API server does not keep our Audit-ID (`GET /version` is answered without it), by which \
                          requests are found in it";

impl Existing {
    /// Reads the cluster's log from now on. Returns why it is of no use, if it is of none: then nothing is known of it,
    /// and what needs it is skipped.
    ///
    /// # Errors
    /// When it cannot be opened, or its command fails: later nothing could be told any more of what was done.
    pub async fn read_log(
        &mut self,
        source: &AuditSource,
        run: &str,
        canary: &str,
    ) -> Result<Option<String>, ReachError> {
        if self.access.keeps_id(run).await == Some(false) {
            return Ok(Some(WITHOUT_ID.to_owned()));
        }
        let start = RunStart { id: run.to_owned(), at: Timestamp::now() };
        let servers = self.sight.servers.clone();
        let log = |losses| {
            let log = AuditLog::new(run, canary).of_source(source, losses);
            match servers {
                Servers::One(_) => log,
                Servers::OneAConnection(_) => log.of_several(),
                Servers::Unknown => log.in_disorder(SEVERAL),
            }
        };
        match open(source, &start).await? {
            Opened::None => return Ok(None),
            Opened::Command(command) => {
                let log = log(Losses::default());
                ask_for_log(&command, &log).await.map_err(ReachError::AuditCommand)?;
                self.sight.command = Some(Arc::new(command));
                self.sight.log = Some(log);
            }
            Opened::Stream(stream) => {
                let log = log(stream.losses());
                tokio::spawn(follow(log.clone(), stream, source.clone()));
                self.sight.log = Some(log);
            }
        }
        Ok(self.choose_fence().await)
    }

    /// Finds a request that the log holds, where it keeps order. Returns why the log is of no use, where it is of none.
    pub async fn choose_fence(&mut self) -> Option<String> {
        let keeps_order = |log: &AuditLog| log.is_in_order() || log.is_in_order_of_each();
        let log = self.sight.log.clone().filter(keeps_order)?;
        let mut ids = Vec::new();
        for _ in 0..self.connections() {
            // Another connection leads to another API server, of which the log may be.
            let admin = client(self.access.config.clone(), &self.access.pace).await;
            let Ok(admin) = admin else { continue };
            for path in FENCES {
                let id = log.fence_id();
                let request = http::Request::get(path).header(AUDIT_ID, &id).body(Body::empty());
                if let Ok(request) = request
                    && admin.send(request).await.is_ok()
                {
                    ids.push((id, path));
                }
            }
        }
        match log.first_of(ids.iter().map(|(id, _)| id.as_str())).await {
            Some(seen) => {
                let seen = ids.iter().find(|(id, _)| *id == seen);
                self.sight.fence = seen.map_or(FENCE, |(_, path)| path);
                None
            }
            None => {
                self.sight.log = None;
                let why = log.misread().unwrap_or_else(|| {
                    "it is another API server's, or its policy logs none of them".to_owned()
                });
                Some(format!(
                    "none of {} requests of ours is in the audit log {:?} later: {why}",
                    ids.len(),
                    log.patience()
                ))
            }
        }
    }
}

impl Existing {
    /// How many connections lead to every API server, as far as a load balancer deals them out evenly.
    fn connections(&self) -> usize {
        match self.sight.servers {
            Servers::One(_) => 1,
            Servers::OneAConnection(_) | Servers::Unknown => 2 * self.api_servers.unwrap_or(2),
        }
    }
}

/// Reads what a source gives. One that is meant to end has told all that it had.
async fn follow(log: AuditLog, stream: Stream, source: AuditSource) {
    match source.at_end() {
        AtEnd::Gone => log.read(stream).await,
        AtEnd::Complete => {
            if let Err(unread) = log.read_through(stream).await {
                log.end(unread.to_string());
            }
        }
    }
}
