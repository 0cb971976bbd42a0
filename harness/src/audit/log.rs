//! Reading the log while it grows. One reader takes every line; whoever waits is woken by the line that it
//! waits for. Only events of this run and traces are kept, so a log of gigabytes needs no memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};
use tokio::sync::watch;

use crate::audit::Event;

/// A line longer than this is no event (the API server cuts them at 1.5 MiB by default where it cuts at all).
const LONGEST_LINE: usize = 16 * 1024 * 1024;

/// Traces that are kept: those of the last attempts, whatever the cluster's own controllers do meanwhile.
const TRACES: usize = 4096;

/// The audit log of a run, as far as it was read.
#[derive(Clone)]
pub struct AuditLog {
    run: String,
    canary: String,
    state: Arc<Mutex<State>>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    events: HashMap<String, Vec<Event>>,
    traces: VecDeque<Event>,
    skipped_lines: u64,
    canary_seen: bool,
    ended: Option<String>,
}

impl State {
    fn keep_trace(&mut self, event: Event) {
        self.traces.push_back(event);
        if self.traces.len() > TRACES {
            self.traces.pop_front();
        }
    }
}

/// The log ended before the event that was waited for, or it did not come in time.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The reader stopped.
    #[error("the audit log can no longer be read: {0}")]
    Ended(String),
    /// The event of a marked request did not come.
    #[error("the marked request {fence} is not in the audit log after {waited:?}")]
    NoFence {
        /// Its Audit-ID.
        fence: String,
        /// How long it was waited for.
        waited: Duration,
    },
}

impl AuditLog {
    /// A log of which nothing was read yet. Events belong to `run` when their Audit-ID begins with it; a line
    /// that holds `canary` (or its base64 form) is remembered.
    pub fn new(run: &str, canary: &str) -> Self {
        AuditLog {
            run: format!("{run}-"),
            canary: canary.to_owned(),
            state: Arc::default(),
            changed: watch::Sender::new(()),
        }
    }

    /// Reads lines until the source ends. Torn and foreign lines are counted and skipped.
    pub async fn read(&self, mut source: impl AsyncBufRead + Unpin) {
        let encoded = crate::text::base64(self.canary.as_bytes());
        let mut line = Vec::new();
        let end = loop {
            match next_line(&mut source, &mut line).await {
                Ok(Some(whole)) => self.take(&line, whole, encoded.as_bytes()),
                Ok(None) => break "its source ended".to_owned(),
                Err(error) => break error.to_string(),
            }
        };
        self.state().ended = Some(end);
        self.changed.send_replace(());
    }

    fn take(&self, line: &[u8], whole: bool, encoded_canary: &[u8]) {
        let mut state = self.state();
        if contains(line, self.canary.as_bytes()) || contains(line, encoded_canary) {
            state.canary_seen = true;
        }
        if !whole {
            state.skipped_lines += 1;
        } else if contains(line, self.run.as_bytes()) || is_trace(line) {
            match serde_json::from_slice::<Event>(line) {
                Ok(event) if event.audit_id.starts_with(&self.run) => {
                    state.events.entry(event.audit_id.clone()).or_default().push(event);
                }
                Ok(event) => state.keep_trace(Event { attempt: labelled(line), ..event }),
                Err(_) => state.skipped_lines += 1,
            }
        }
        drop(state);
        self.changed.send_replace(());
    }

    /// Waits until an event with this Audit-ID is in the log.
    pub async fn wait_for(&self, audit_id: &str, patience: Duration) -> Result<(), LogError> {
        self.wait_until(audit_id, patience, |state| state.events.contains_key(audit_id)).await
    }

    /// Waits until a trace is in the log that `wanted` accepts.
    pub async fn wait_for_trace(
        &self,
        patience: Duration,
        wanted: impl Fn(&Event) -> bool,
    ) -> Result<(), LogError> {
        self.wait_until("trace", patience, |state| state.traces.iter().any(&wanted)).await
    }

    async fn wait_until(
        &self,
        name: &str,
        patience: Duration,
        seen: impl Fn(&State) -> bool,
    ) -> Result<(), LogError> {
        let mut changed = self.changed.subscribe();
        let waiting = async {
            loop {
                changed.borrow_and_update();
                {
                    let state = self.state();
                    if seen(&state) {
                        return Ok(());
                    }
                    if let Some(why) = &state.ended {
                        return Err(LogError::Ended(why.clone()));
                    }
                }
                // The sender lives as long as this log.
                let _ = changed.changed().await;
            }
        };
        let late = LogError::NoFence { fence: name.to_owned(), waited: patience };
        tokio::time::timeout(patience, waiting).await.unwrap_or(Err(late))
    }

    /// The events of one request, all stages, in the order of the log.
    pub fn events(&self, audit_id: &str) -> Vec<Event> {
        self.state().events.get(audit_id).cloned().unwrap_or_default()
    }

    /// The traces that `wanted` accepts.
    pub fn traces(&self, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
        self.state().traces.iter().filter(|event| wanted(event)).cloned().collect()
    }

    /// Whether any line held the canary.
    pub fn canary_seen(&self) -> bool {
        self.state().canary_seen
    }

    /// How many lines were torn, too long or no event.
    pub fn skipped_lines(&self) -> u64 {
        self.state().skipped_lines
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads one line into `line`; false when it was too long and its end was passed over.
async fn next_line(
    source: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
) -> std::io::Result<Option<bool>> {
    line.clear();
    let mut whole = true;
    loop {
        let chunk = source.fill_buf().await?;
        if chunk.is_empty() {
            // A last line without its end is still being written: it is no event.
            return Ok((!line.is_empty()).then_some(false));
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(chunk.len(), |end| end + 1);
        if line.len() + taken <= LONGEST_LINE {
            line.extend_from_slice(&chunk[..taken]);
        } else {
            whole = false;
        }
        source.consume(taken);
        if end.is_some() {
            return Ok(Some(whole));
        }
    }
}

/// What a controller or a node does on somebody's behalf, told from the text before anything is parsed.
fn is_trace(line: &[u8]) -> bool {
    contains(line, b"\"system:serviceaccount:kube-system:")
        && contains(line, b"-controller\"")
        && contains(line, b"\"verb\":\"create\"")
        && MADE.iter().any(|resource| contains(line, resource))
        || contains(line, b"\"system:node:") && contains(line, b"subjectaccessreviews")
}

/// What controllers make for workloads.
const MADE: [&[u8]; 3] =
    [b"\"resource\":\"pods\"", b"\"resource\":\"replicasets\"", b"\"resource\":\"jobs\""];

/// The attempt whose label the body of a request carries. Nothing else of a body is kept.
fn labelled(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Whole {
        #[serde(rename = "requestObject")]
        body: Body,
    }
    #[derive(Deserialize)]
    struct Body {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        labels: Labels,
    }
    #[derive(Deserialize)]
    struct Labels {
        #[serde(rename = "brinell.dev/attempt")]
        attempt: String,
    }
    // A body without the label is not ours.
    let whole: Whole = serde_json::from_slice(line).ok()?;
    Some(whole.body.metadata.labels.attempt)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && memchr::memmem::find(text, part).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str) -> String {
        format!(
            r#"{{"kind":"Event","auditID":"{id}","level":"Metadata","stage":"ResponseComplete","verb":"get","requestURI":"/x","user":{{"username":"u"}},"requestObject":{{"a":[1]}}}}"#
        )
    }

    async fn read(text: &[u8]) -> AuditLog {
        let log = AuditLog::new("k7f3", "c4n4ry");
        log.read(text).await;
        log
    }

    #[tokio::test]
    async fn torn_foreign_and_binary_lines_are_counted_and_nothing_else_is_lost() {
        let mut text = format!("{}\n", event("k7f3-1")).into_bytes();
        text.extend_from_slice(&event("k7f3-2").as_bytes()[..40]);
        text.extend_from_slice(b"\n\xff\xfe k7f3-\n");
        text.extend_from_slice(format!("{}\n", event("k7f3-3")).as_bytes());
        text.extend_from_slice(&event("k7f3-4").as_bytes()[..60]);
        let log = read(&text).await;
        assert_eq!(log.events("k7f3-1").len(), 1);
        assert!(log.events("k7f3-2").is_empty());
        assert_eq!(log.events("k7f3-3").len(), 1);
        assert!(log.events("k7f3-4").is_empty(), "a line without its end is not an event");
        assert_eq!(log.skipped_lines(), 3);
    }

    #[tokio::test]
    async fn of_a_body_only_its_presence_is_kept() {
        let log = read(format!("{}\n", event("k7f3-1")).as_bytes()).await;
        let events = log.events("k7f3-1");
        assert!(events[0].request_object && !events[0].response_object);
    }

    #[tokio::test]
    async fn a_json_patch_is_a_body_too() {
        let patch = event("k7f3-1").replace(r#"{"a":[1]}"#, r#"[{"op":"test"}]"#);
        assert!(read(format!("{patch}\n").as_bytes()).await.events("k7f3-1")[0].request_object);
    }

    #[tokio::test]
    async fn of_a_controllers_body_only_our_own_label_is_kept() {
        for account in ["replicaset", "replication", "statefulset", "daemon-set", "job"] {
            let line = format!(
                r#"{{"kind":"Event","auditID":"c","level":"Request","stage":"ResponseComplete","verb":"create","requestURI":"/x","user":{{"username":"system:serviceaccount:kube-system:{account}-controller"}},"objectRef":{{"resource":"pods","namespace":"a"}},"requestObject":{{"metadata":{{"labels":{{"brinell.dev/attempt":"k7f3-1","app":"b"}}}},"spec":{{}}}}}}"#
            );
            let traces = read(format!("{line}\n").as_bytes()).await.traces(|_| true);
            assert_eq!(traces[0].attempt.as_deref(), Some("k7f3-1"), "{account}");
            let kept = serde_json::to_string(&traces[0]).expect("JSON");
            assert!(!kept.contains("spec") && !kept.contains("app"), "{kept}");
        }
    }

    #[tokio::test]
    async fn the_canary_is_seen_plain_and_encoded() {
        assert!(read(b"x c4n4ry y\n").await.canary_seen());
        let encoded = crate::text::base64(b"c4n4ry");
        assert!(read(format!("{{\"data\":\"{encoded}\"}}\n").as_bytes()).await.canary_seen());
        assert!(!read(b"nothing\n").await.canary_seen());
    }

    #[tokio::test]
    async fn waiting_for_an_event_ends_when_the_source_does() {
        let log = read(b"").await;
        let result = log.wait_for("k7f3-9", Duration::from_secs(30)).await;
        assert!(matches!(result, Err(LogError::Ended(_))));
    }
}
