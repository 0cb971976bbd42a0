//! Reading the log while it grows. One reader takes every line, and wakes those that wait for an event. Only events of
//! this run and traces are kept, so a log of gigabytes needs no memory.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;

use super::format::{
    ENOUGH, Element, Elements, Layout, Line, LineState, Undetected, detect, is_empty, layout,
};
use super::line::keepable;
use super::pieces::{Marks, Piece, Pieces};
use super::source::Losses;
use crate::lock::lock;
use crate::model::{
    ATTEMPT_LABEL, AuditSource, CONTROLLER_MANAGER, Event, Leak, LogFormat, Order, Traced,
};

/// Requests of ours whose events are kept, and traces: those of the last attempts. What the log holds of an attempt is
/// collected when its scenario has sent all others, and a proof makes a hundred thousand of them. Where all is
/// collected at the end, [`AuditLog::keep`] says how many there are.
const KEPT: usize = 4096;

/// The audit log of a run, as far as it was read.
#[derive(Clone)]
pub struct AuditLog {
    run: String,
    canary: String,
    /// In which envelope events come; `None`: found out from how the log begins.
    format: Option<LogFormat>,
    order: Order,
    patience: Duration,
    losses: Losses,
    state: Arc<Mutex<State>>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    /// Of how many requests events are kept at least.
    kept: usize,
    /// How many requests of ours came.
    came: u64,
    own: Latest,
    traces: Latest,
    /// Whether a trace was forgotten that may still be looked for.
    is_crowded: bool,
    /// Whether each event keeps the line that it was read from.
    keeps_lines: bool,
    /// How many lines came, and how many of them were torn, too long or no event. A command prints everything anew each
    /// time: those of its last answer.
    lines: u64,
    skipped_lines: u64,
    leaks: Leaks,
    /// What tells lines apart that are leaks, as a source may deliver one twice.
    leaked: HashSet<u64>,
    /// The format that its beginning has told.
    found: Option<LogFormat>,
    ended: Option<String>,
}

/// The events of the latest requests.
#[derive(Default)]
struct Latest {
    events: HashMap<String, Vec<Event>>,
    /// The keys of `events`, the oldest first, each with how many requests of ours had come by then.
    requests: VecDeque<(u64, String)>,
}

impl Latest {
    /// Keeps an event, once, however often it comes.
    fn keep(&mut self, event: Event, came: u64) {
        let events = self.events.entry(event.audit_id.clone()).or_default();
        if events.is_empty() {
            self.requests.push_back((came, event.audit_id.clone()));
        }
        if !events.iter().any(|kept| kept.is_same(&event)) {
            events.push(event);
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, audit_id)) = self.requests.pop_front() {
            self.events.remove(&audit_id);
        }
    }

    /// How many requests of ours had come by the oldest of these.
    fn since(&self) -> Option<u64> {
        self.requests.front().map(|(came, _)| *came)
    }

    /// All events, request by request.
    fn all(&self) -> impl Iterator<Item = &Event> {
        self.requests.iter().filter_map(move |(_, audit_id)| self.events.get(audit_id)).flatten()
    }
}

impl State {
    /// How many requests are kept.
    fn most(&self) -> usize {
        self.kept.max(KEPT)
    }

    fn keep(&mut self, event: Event) {
        self.came += u64::from(!self.own.events.contains_key(&event.audit_id));
        self.own.keep(event, self.came);
        if self.own.requests.len() > self.most() {
            self.own.forget_oldest();
        }
        // What a controller did before the oldest of them it did for none of them.
        let since = self.own.since();
        while self.traces.since().is_some_and(|came| Some(came) < since) {
            self.traces.forget_oldest();
        }
    }

    /// Keeps a trace. It may take the place of one that is still looked for.
    fn keep_trace(&mut self, event: Event) {
        self.traces.keep(event, self.came);
        if self.traces.requests.len() > self.most() {
            self.traces.forget_oldest();
            self.is_crowded = true;
        }
    }

    fn keep_leak(&mut self, line: &[u8]) {
        let mut hasher = DefaultHasher::new();
        line.hash(&mut hasher);
        if self.leaked.len() < KEPT && !self.leaked.insert(hasher.finish()) {
            return;
        }
        self.leaks.count += 1;
        if self.leaks.first.len() < LEAKS {
            self.leaks.first.extend(leak(line));
        }
    }
}

/// What was found of the canary in the whole log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leaks {
    /// How many lines hold it.
    pub count: u64,
    /// The first events that do.
    pub first: Vec<Leak>,
    /// How many lines were not searched to their end: too long, or torn off there.
    pub unsearched: u64,
}

/// Why a fence proves nothing of what another API server was asked.
const SEVERAL: &str = "each API server writes a log of its own";

/// A request whose events are waited for.
pub struct Awaited {
    /// Its Audit-ID.
    pub audit_id: String,
    /// How the events are known of a controller that acted for it; `None` if none did.
    pub traced: Option<Traced>,
    /// That of a marked request which the same API server answered after it: when it is there, nothing more comes.
    /// `None` where none was sent.
    pub fence: Option<String>,
}

/// How long a marked request may take to reach the log of a cluster of ours.
const FENCE: Duration = Duration::from_secs(10);

/// What is lost with a line of ours that is not whole.
const CUT: &str = "a line of a request of ours was cut off";

/// Why a trace that is not there may have been: controllers of a busy cluster made more than is kept.
const CROWDED: &str = "controllers made more meanwhile than is kept of it";

/// Leaks that are kept; all are counted.
const LEAKS: usize = 8;

/// Why nothing more is read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] io::Error),
    /// Its format cannot be told.
    #[error(transparent)]
    Format(#[from] Undetected),
}

/// The log ended before the event that was waited for, or it did not come in time.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The reader stopped.
    #[error("the audit log can no longer be read: {0}")]
    Ended(String),
    /// The marked request was not answered.
    #[error("the marked request {fence} could not be sent: {}", crate::text::api_words(source))]
    Unsent {
        /// Its Audit-ID.
        fence: String,
        /// Why.
        source: kube::Error,
    },
    /// A fence would tell nothing.
    #[error("nothing tells when all of the audit log is there: {0}")]
    Disorder(String),
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
    /// that holds `canary` (or its base64 form) is a leak.
    pub fn new(run: &str, canary: &str) -> Self {
        AuditLog {
            run: format!("{run}-"),
            canary: canary.to_owned(),
            format: Some(LogFormat::Kubernetes),
            order: Order::Kept,
            patience: FENCE,
            losses: Losses::default(),
            state: Arc::default(),
            changed: watch::Sender::new(()),
        }
    }

    /// This log in this format; `None`: found out from how the log begins.
    pub fn in_format(self, format: Option<LogFormat>) -> Self {
        AuditLog { format, ..self }
    }

    /// This log as it comes from a source of the user's.
    pub fn of_source(self, source: &AuditSource, losses: Losses) -> Self {
        AuditLog {
            format: source.format,
            order: source.order(),
            patience: source.delay,
            losses,
            ..self
        }
    }

    /// This log as one of which something else shows that a fence proves nothing.
    pub fn in_disorder(self, why: &'static str) -> Self {
        AuditLog { order: Order::Lost(why), ..self }
    }

    /// This log as one that several API servers write.
    pub fn of_several(self) -> Self {
        let order = match self.order {
            Order::Kept => Order::OfEach,
            other => other,
        };
        AuditLog { order, ..self }
    }

    /// Keeps the events of so many requests at least.
    pub fn keep(&self, requests: usize) {
        let mut state = self.state();
        state.kept = state.kept.max(requests);
    }

    /// Keeps the line of each event from now on, without what Secrets and tokens hold.
    pub fn keep_lines(&self) {
        self.state().keeps_lines = true;
    }

    /// Why it can no longer be read; `None` while it can.
    pub fn ended(&self) -> Option<String> {
        self.state().ended.clone().map(|why| LogError::Ended(why).to_string())
    }

    /// How late an event may be there.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Why what is not in it is not proved to be absent; `None` while a fence proves it.
    pub fn disorder(&self) -> Option<String> {
        match self.order() {
            Order::Lost(why) => Some(why.to_owned()),
            Order::OfEach => Some(SEVERAL.to_owned()),
            Order::Kept => self.losses.first(),
        }
    }

    /// The order that its source keeps, unless its format, which may have been found out, is one that keeps none.
    fn order(&self) -> Order {
        let format = self.format.or_else(|| self.state().found);
        format.and_then(LogFormat::disorder).map_or(self.order, Order::Lost)
    }

    /// The Audit-ID of a marked request. Nobody can know it before the request is sent, and so write an event under it
    /// that is there too early.
    pub fn fence_id(&self) -> String {
        format!("{}fence-{}", self.run, crate::text::random_hex(8))
    }

    /// Whether a fence says when all of it is there that was answered before. Where none does, what a run left is
    /// collected once, at its end.
    pub fn is_in_order(&self) -> bool {
        self.order() == Order::Kept
    }

    /// Reads what a source has, whose end is no loss.
    ///
    /// # Errors
    /// When it cannot be read, or its format cannot be told.
    pub async fn read_through(&self, source: impl AsyncRead + Unpin) -> Result<(), Unread> {
        self.begin();
        match self.format {
            Some(format) => Ok(self.read_as(source, format).await?),
            None => self.read_as_it_begins(source).await,
        }
    }

    /// Reads until the source ends. Where no format is named it is found out from how the log begins. Torn and foreign
    /// lines are counted and skipped.
    pub async fn read(&self, source: impl AsyncRead + Unpin) {
        self.end(match self.read_through(source).await {
            Ok(()) => "the command that follows it ended".to_owned(),
            Err(unread) => unread.to_string(),
        });
    }

    /// Counts lines anew.
    fn begin(&self) {
        let mut state = self.state();
        (state.lines, state.skipped_lines) = (0, 0);
    }

    /// Waits for as much as tells the format. Where nothing is in it, nothing needs to.
    async fn read_as_it_begins(&self, mut source: impl AsyncRead + Unpin) -> Result<(), Unread> {
        let mut beginning = Vec::new();
        let format = loop {
            let read = source.read_buf(&mut beginning).await?;
            match detect(&beginning) {
                Ok(format) => break format,
                Err(_) if read == 0 && is_empty(&beginning) => return Ok(()),
                Err(undetected) if read == 0 || beginning.len() >= ENOUGH => Err(undetected)?,
                Err(_) => {}
            }
        };
        self.state().found = Some(format);
        Ok(self.read_as(beginning.as_slice().chain(source), format).await?)
    }

    async fn read_as(&self, source: impl AsyncRead + Unpin, format: LogFormat) -> io::Result<()> {
        let encoded = crate::text::base64(self.canary.as_bytes());
        let canaries = [self.canary.as_bytes(), encoded.as_bytes()];
        match layout(format) {
            Layout::Lines(event) => self.read_lines(source, event, canaries).await,
            Layout::Documents { list, line } => {
                let mut elements = Elements::new(source, list);
                while let Some(element) = elements.next().await? {
                    self.take_element(element, line, canaries);
                }
                Ok(())
            }
        }
    }

    async fn read_lines(
        &self,
        source: impl AsyncRead + Unpin,
        event: fn(&[u8]) -> &[u8],
        canaries: [&[u8]; 2],
    ) -> io::Result<()> {
        let marks = [self.run.as_bytes(), canaries[0], canaries[1], CREATED];
        let marks = Marks::of(&marks);
        let mut pieces = Pieces::new(source);
        while let Some(piece) = pieces.next().await? {
            match piece {
                Piece::Lines(lines) => {
                    marks.lines(lines).for_each(|line| self.take_line(event(line), canaries));
                    self.count(memchr::memchr_iter(b'\n', lines).count());
                }
                Piece::Torn(line) => {
                    self.take(line, line, LineState::Torn, canaries);
                    self.count(1);
                }
            }
        }
        Ok(())
    }

    fn take_element(
        &self,
        element: Element,
        line: fn(&[u8]) -> Option<Line>,
        canaries: [&[u8]; 2],
    ) {
        let torn = |came: &[u8]| Line { text: came.to_vec(), state: LineState::Torn };
        let foreign = |came: &[u8]| Line { text: came.to_vec(), state: LineState::Foreign };
        let (came, line) = match element {
            Element::Whole(came) => (came, line(came).unwrap_or_else(|| foreign(came))),
            Element::Foreign(came) => (came, foreign(came)),
            Element::Torn(came) => (came, torn(came)),
        };
        self.take(came, &line.text, line.state, canaries);
        self.count(1);
    }

    /// Counts lines that came.
    fn count(&self, lines: usize) {
        self.state().lines += u64::try_from(lines).unwrap_or(u64::MAX);
    }

    /// Says that it can no longer be read.
    pub fn end(&self, why: String) {
        self.state().ended.get_or_insert(why);
        self.changed.send_replace(());
    }

    /// Waits until it can no longer be read, and says why.
    pub async fn gone(&self) -> String {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            if let Some(why) = &self.state().ended {
                return LogError::Ended(why.clone()).to_string();
            }
            // The sender lives as long as this log.
            let _ = changed.changed().await;
        }
    }

    /// Takes a line of the API server's own, which may be a list of events.
    fn take_line(&self, line: &[u8], canaries: [&[u8]; 2]) {
        match listed(line) {
            Some(events) => {
                events.iter().for_each(|event| self.take(event, event, LineState::Whole, canaries));
            }
            None => self.take(line, line, LineState::Whole, canaries),
        }
    }

    /// Takes a line, and with it what it came in, where the canary may stand too.
    fn take(&self, came: &[u8], line: &[u8], line_state: LineState, canaries: [&[u8]; 2]) {
        let mut state = self.state();
        if is_leak(line, canaries) || is_leak(came, canaries) {
            state.keep_leak(line);
        }
        match line_state {
            LineState::Whole => {}
            LineState::Bodiless => state.leaks.unsearched += 1,
            LineState::Torn => {
                if contains(line, self.run.as_bytes()) || contains(came, self.run.as_bytes()) {
                    self.losses.tell(CUT.to_owned());
                }
                state.skipped_lines += 1;
                state.leaks.unsearched += 1;
                return;
            }
            LineState::Foreign => {
                state.skipped_lines += 1;
                return;
            }
        }
        if !contains(line, self.run.as_bytes()) && !is_trace(line) {
            return;
        }
        // Of traces the lines of those that carry an attempt's label: every controller of a cluster leaves others.
        let keeps_lines = state.keeps_lines;
        let kept =
            |is_ours: bool| (keeps_lines && is_ours).then(|| keepable(line, canaries)).flatten();
        match serde_json::from_slice::<Event>(line) {
            Ok(event) if event.audit_id.starts_with(&self.run) => {
                state.keep(Event { line: kept(true), ..event });
                self.changed.send_replace(());
            }
            Ok(event) if is_controller(&event.user.username) => {
                // One that names what is not ours is none of ours.
                if !contains(line, self.run.as_bytes()) && !event.is_nameless() {
                    return;
                }
                let attempt = labelled(line);
                let trace = Event { line: kept(attempt.is_some()), attempt, ..event };
                state.keep_trace(trace);
                self.changed.send_replace(());
            }
            Ok(_) => {}
            Err(_) => {
                if self.was_ours(line) {
                    self.losses.tell(CUT.to_owned());
                }
                state.skipped_lines += 1;
            }
        }
    }

    /// Whether a line that is no event was one of a request of ours. An API server that was ended while it wrote, or
    /// whose disk was full, goes on behind the torn line, and ends it. What a crash has left of a file may lack its
    /// beginning, or have zeros in its place.
    fn was_ours(&self, line: &[u8]) -> bool {
        let own_id = format!("\"auditID\":\"{}", self.run);
        let begins =
            contains(line, self.run.as_bytes()) && line.trim_ascii_start().starts_with(b"{");
        begins || contains(line, own_id.as_bytes())
    }

    /// Why a trace that is not there may have been in it; `None` if all are kept that may still be looked for.
    pub fn crowded(&self) -> Option<&'static str> {
        self.state().is_crowded.then_some(CROWDED)
    }

    /// Whether it keeps the order of each of several API servers.
    pub fn is_in_order_of_each(&self) -> bool {
        self.order() == Order::OfEach
    }

    /// Whether this marked request is in it, and shows that whatever the API server that answered it had answered
    /// before is in it too.
    ///
    /// # Errors
    /// Why it shows nothing.
    pub fn see_fence(&self, audit_id: &str) -> Result<(), String> {
        let is_there = self.state().own.events.contains_key(audit_id);
        // What was lost before it is told by now.
        match (self.losses.first(), is_there) {
            (Some(loss), _) => Err(loss),
            (None, true) => Ok(()),
            (None, false) => Err(format!(
                "{SEVERAL}, and a marked request of the same persona that the same one answered after it is not there either: \
                 it is another one's log, or its policy logs nothing of that persona"
            )),
        }
    }

    /// Whether of each of these requests an event is there that says how it ended, or its fence, and one of the controller
    /// that acted for it.
    pub fn has_answers(&self, awaited: &[Awaited]) -> bool {
        let state = self.state();
        awaited.iter().all(|Awaited { audit_id, traced, fence }| {
            let events = state.own.events.get(audit_id);
            let is_answered = events.is_some_and(|events| events.iter().any(Event::is_answered));
            let is_fenced = fence.as_ref().is_some_and(|id| state.own.events.contains_key(id));
            let is_shown = |traced: &Traced| state.traces.all().any(|it| traced.is_shown_by(it));
            (is_answered || is_fenced) && traced.as_ref().is_none_or(is_shown)
        })
    }

    /// Waits until an event says of each of these requests how it ended, as long as events may be late.
    pub async fn wait_for_answers(&self, audit_ids: &[Awaited]) {
        let mut changed = self.changed.subscribe();
        let coming = async {
            while !self.has_answers(audit_ids) {
                // The sender lives as long as this log.
                let _ = changed.changed().await;
            }
        };
        // What is not there by then is missing, which the collector says.
        let _ = tokio::time::timeout(self.patience, coming).await;
    }

    /// The first of these requests that is in the log, as long as events may be late; `None` if none is.
    pub async fn first_of(&self, audit_ids: impl Iterator<Item = &str> + Clone) -> Option<String> {
        let mut changed = self.changed.subscribe();
        let coming = async {
            loop {
                let found = audit_ids.clone().find(|id| self.state().own.events.contains_key(*id));
                if let Some(id) = found {
                    return id.to_owned();
                }
                // The sender lives as long as this log.
                let _ = changed.changed().await;
            }
        };
        tokio::time::timeout(self.patience, coming).await.ok()
    }

    /// Waits until an event with this Audit-ID, which the API server has answered, is in the log. Where not one line
    /// comes in that time, none will: the log is not written any more, or no longer where it is read.
    pub async fn wait_for(&self, audit_id: &str, patience: Duration) -> Result<(), LogError> {
        let before = self.state().lines;
        let Ok(waited) = tokio::time::timeout(patience, self.seen(audit_id)).await else {
            if self.state().lines == before {
                self.end(format!(
                    "not one line came in {patience:?}, while the API server answers"
                ));
            }
            return Err(LogError::NoFence { fence: audit_id.to_owned(), waited: patience });
        };
        waited
    }

    async fn seen(&self, audit_id: &str) -> Result<(), LogError> {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            {
                let state = self.state();
                if state.own.events.contains_key(audit_id) {
                    return Ok(());
                }
                if let Some(why) = &state.ended {
                    return Err(LogError::Ended(why.clone()));
                }
            }
            // The sender lives as long as this log.
            let _ = changed.changed().await;
        }
    }

    /// The events of one request, all stages, in the order of the log.
    pub fn events(&self, audit_id: &str) -> Vec<Event> {
        self.state().own.events.get(audit_id).cloned().unwrap_or_default()
    }

    /// The traces that `wanted` accepts, each once.
    pub fn traces(&self, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
        self.state().traces.all().filter(|event| wanted(event)).cloned().collect()
    }

    /// What was found of the canary up to now.
    pub fn leaks(&self) -> Leaks {
        self.state().leaks.clone()
    }

    /// How much of what came is nothing in its format; `None` where all of it is something.
    pub fn misread(&self) -> Option<String> {
        let state = self.state();
        let format = self.format.or(state.found).filter(|_| state.skipped_lines > 0)?;
        let (skipped, lines) = (state.skipped_lines, state.lines);
        Some(format!(
            "{skipped} of {lines} entries could not be read in the format {}",
            format.label()
        ))
    }

    /// How many lines were torn, too long or no event.
    #[cfg(test)]
    pub(super) fn skipped_lines(&self) -> u64 {
        self.state().skipped_lines
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// The events of a line with which the API server's webhook backend sends many; `None` for any other line.
fn listed(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct List {
        kind: String,
        api_version: String,
        items: Vec<Value>,
    }
    if !contains(line, b"\"EventList\"") {
        return None;
    }
    let list: List = serde_json::from_slice(line).ok()?;
    let is_audit = list.kind == "EventList" && list.api_version.starts_with("audit.k8s.io/");
    is_audit.then(|| list.items.iter().map(|event| event.to_string().into_bytes()).collect())
}

/// The event of a line that holds what it must not, where the line is one.
fn leak(line: &[u8]) -> Option<Leak> {
    let event: Event = serde_json::from_slice(line).ok()?;
    Some(Leak {
        audit_id: event.audit_id,
        level: event.level,
        verb: event.verb,
        resource: event.object_ref.map(|object| object.resource).unwrap_or_default(),
        user: event.user.username,
    })
}

fn is_leak(text: &[u8], canaries: [&[u8]; 2]) -> bool {
    canaries.iter().any(|canary| contains(text, canary))
}

/// Whether a line may be of what a controller makes for a workload. It is decided on the text, before anything is
/// parsed: anybody can have such words in a line of theirs.
fn is_trace(line: &[u8]) -> bool {
    let by_account = || contains(line, ACCOUNTS.as_bytes()) && contains(line, b"-controller\"");
    (contains(line, CONTROLLER_MANAGER.as_bytes()) || by_account())
        && contains(line, CREATED)
        && MADE.iter().any(|resource| contains(line, resource))
}

/// Whether a controller of the cluster's own is called so.
fn is_controller(user: &str) -> bool {
    let is_account = || user.starts_with(ACCOUNTS) && user.ends_with("-controller");
    user == CONTROLLER_MANAGER || is_account()
}

/// What the names of controllers' accounts begin with.
const ACCOUNTS: &str = "system:serviceaccount:kube-system:";

/// In every line of something that is made.
const CREATED: &[u8] = b"\"verb\":\"create\"";

/// What controllers make for workloads.
const MADE: [&[u8]; 3] =
    [b"\"resource\":\"pods\"", b"\"resource\":\"replicasets\"", b"\"resource\":\"jobs\""];

/// The attempt whose label the body of a request carries. Nothing else of a body is kept.
fn labelled(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Request {
        #[serde(rename = "requestObject")]
        body: Body,
    }
    #[derive(Deserialize)]
    struct Body {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        labels: Map<String, Value>,
    }
    // A body without the label is not ours.
    let request: Request = serde_json::from_slice(line).ok()?;
    Some(request.body.metadata.labels.get(ATTEMPT_LABEL)?.as_str()?.to_owned())
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && memchr::memmem::find(text, part).is_some()
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::super::pieces::LONGEST_LINE;
    use super::super::source::{Opened, RunStart, open};
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
    async fn a_line_of_ours_that_was_cut_proves_nothing_absent() {
        let mut text = vec![b'x'; LONGEST_LINE];
        text.push(b'\n');
        assert_eq!(read(&text).await.disorder(), None, "it is of somebody else's request");
        let mut text = event("k7f3-1").into_bytes();
        text.resize(LONGEST_LINE + 1, b'x');
        text.push(b'\n');
        assert_eq!(read(&text).await.disorder().as_deref(), Some(CUT));
    }

    #[tokio::test]
    async fn of_several_api_servers_a_fence_shows_what_its_own_one_wrote() {
        let log = AuditLog::new("k7f3", "c4n4ry").of_several();
        log.read(format!("{}\n", event("k7f3-2")).as_bytes()).await;
        assert_eq!(log.see_fence("k7f3-2"), Ok(()));
        let missing = log.see_fence("k7f3-4").expect_err("another one's");
        assert!(missing.starts_with(SEVERAL), "{missing}");
        assert_eq!(log.disorder().as_deref(), Some(SEVERAL), "a fence for all proves nothing");
        let awaited = |id: &str, fence: Option<&str>| Awaited {
            audit_id: id.to_owned(),
            traced: None,
            fence: fence.map(str::to_owned),
        };
        assert!(log.has_answers(&[awaited("k7f3-2", None), awaited("k7f3-1", Some("k7f3-2"))]));
        assert!(!log.has_answers(&[awaited("k7f3-1", None)]));
        assert!(!log.has_answers(&[awaited("k7f3-1", Some("k7f3-4"))]));

        let mut torn = event("k7f3-1").into_bytes();
        torn.resize(LONGEST_LINE + 1, b'x');
        torn.push(b'\n');
        log.read(torn.as_slice()).await;
        assert!(log.see_fence("k7f3-2").is_err(), "a line of ours was cut");
    }

    #[test]
    fn a_source_that_keeps_no_order_keeps_none_of_several_api_servers() {
        let log = AuditLog::new("k7f3", "c4n4ry").in_disorder("batches").of_several();
        assert!(!log.is_in_order_of_each());
    }

    #[tokio::test]
    async fn torn_foreign_and_binary_lines_are_counted_and_nothing_else_is_lost() {
        let mut text = format!("{}\n", event("k7f3-1")).into_bytes();
        text.extend_from_slice(&event("other-2").as_bytes()[..40]);
        text.extend_from_slice(b"\n\xff\xfe k7f3-\n{\"level\":\n");
        text.extend_from_slice(format!("{}\n", event("k7f3-3")).as_bytes());
        assert_eq!(read(&text).await.disorder(), None, "none of them is of a request of ours");
        text.extend_from_slice(&event("k7f3-4").as_bytes()[..60]);
        let log = read(&text).await;
        assert_eq!(log.events("k7f3-1").len(), 1);
        assert_eq!(log.events("k7f3-3").len(), 1);
        assert!(log.events("k7f3-4").is_empty(), "a line without its end is not an event");
        assert_eq!(log.skipped_lines(), 2);
        assert_eq!(log.disorder().as_deref(), Some(CUT));
    }

    #[tokio::test]
    async fn a_torn_line_of_ours_that_something_has_ended_proves_nothing_absent() {
        let (torn, next) = (&event("k7f3-2")[..60], event("k7f3-3"));
        for (text, after) in [
            (format!("{torn}\n{next}\n"), 1),
            (format!(" {torn}\r\n{next}\n"), 1),
            // What came behind it is lost with it.
            (format!("{torn}{next}\n"), 0),
            (format!("{}{next}\n", &event("other-2")[..60]), 0),
        ] {
            let log = read(text.as_bytes()).await;
            assert!(log.events("k7f3-2").is_empty());
            assert_eq!((log.events("k7f3-3").len(), log.skipped_lines()), (after, 1), "{text}");
            assert_eq!(log.disorder().as_deref(), Some(CUT), "{text}");
        }
    }

    #[tokio::test]
    async fn a_line_of_ours_without_its_beginning_proves_nothing_absent() {
        let whole =
            event("k7f3-2").replace(r#"{"kind"#, r#"{"apiVersion":"audit.k8s.io/v1","kind"#);
        for line in [format!("\0\0{whole}"), whole[30..].to_owned()] {
            let log = read(format!("{}\n{line}\n", event("k7f3-1")).as_bytes()).await;
            assert_eq!(log.disorder().as_deref(), Some(CUT), "{line}");
        }
    }

    const CONTROLLER: &str = "system:serviceaccount:kube-system:job-controller";

    /// The line of a pod that somebody made, which shows nothing else of it.
    fn made(id: &str, user: &str, agent: &str) -> String {
        format!(
            r#"{{"auditID":"{id}","level":"Metadata","stage":"ResponseComplete","verb":"create","requestURI":"/x","userAgent":"{agent}","user":{{"username":"{user}"}},"objectRef":{{"resource":"pods","namespace":"a"}},"responseStatus":{{"code":201}}}}"#
        ) + "\n"
    }

    #[tokio::test]
    async fn a_trace_is_pushed_out_by_controllers_alone_and_told_to_be_lost() {
        let forged = |id| made(&format!("f-{id}"), "jane", CONTROLLER);
        let others = |id| made(&format!("f-{id}"), CONTROLLER, "");
        let many = |line: &dyn Fn(usize) -> String| (0..5000).map(line).collect::<String>();
        for (many, lost) in [(many(&forged), None), (many(&others), Some(CROWDED))] {
            let log = read((made("own", CONTROLLER, "") + &many).as_bytes()).await;
            let own = log.traces(|event| event.audit_id == "own");
            assert_eq!(own.len(), usize::from(lost.is_none()));
            assert_eq!(log.crowded(), lost);
            // It is none of what other attempts have left.
            assert_eq!(log.disorder(), None);
        }
    }

    #[tokio::test]
    async fn traces_that_were_judged_long_ago_are_no_loss() {
        let pair = |id| {
            format!("{}\n", event(&format!("k7f3-{id}")))
                + &made(&format!("c-{id}"), CONTROLLER, "")
        };
        let log = read((0..2 * KEPT).map(pair).collect::<String>().as_bytes()).await;
        assert_eq!(log.disorder(), None);
        assert_eq!(
            (log.events("k7f3-0").len(), log.traces(|it| it.audit_id == "c-0").len()),
            (0, 0)
        );
        assert_eq!(log.traces(|it| it.audit_id == format!("c-{KEPT}")).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_waited_for_with_what_its_controller_does() {
        let traced = Traced {
            user: CONTROLLER.to_owned(),
            namespace: "a".to_owned(),
            resource: "pods",
            attempt: "k7f3-1".to_owned(),
            name: "attack-k7f3-1".to_owned(),
        };
        let awaited = |fence: Option<&str>| {
            let (audit_id, fence) = ("k7f3-1".to_owned(), fence.map(str::to_owned));
            [Awaited { audit_id, traced: Some(traced.clone()), fence }]
        };
        let (mut writer, reader) = tokio::io::duplex(4096);
        let log = AuditLog::new("k7f3", "c4n4ry").in_disorder("batches");
        let reading = log.clone();
        tokio::spawn(async move { reading.read(reader).await });
        let others = made("c-1", CONTROLLER, "");
        let text = format!("{}\n{}\n{others}", event("k7f3-1"), event("k7f3-2"));
        writer.write_all(text.as_bytes()).await.expect("written");
        log.first_of(["k7f3-2"].into_iter()).await.expect("it comes");
        assert!(!log.has_answers(&awaited(None)) && !log.has_answers(&awaited(Some("k7f3-2"))));

        let own = made("c-2", CONTROLLER, "")
            .replace("\"namespace\"", "\"name\":\"attack-k7f3-1-x\",\"namespace\"");
        let begun = tokio::time::Instant::now();
        let (all, written) =
            (awaited(None), async { writer.write_all(own.as_bytes()).await.expect("written") });
        tokio::join!(log.wait_for_answers(&all), written);
        assert!(log.has_answers(&all) && begun.elapsed() < FENCE, "{:?}", begun.elapsed());
    }

    /// What a command of no format prints while it has nothing (`gcloud`, `az`), and what it prints then.
    #[tokio::test(start_paused = true)]
    async fn a_command_that_has_nothing_yet_is_asked_again() {
        let written = serde_json::json!({"command": ["logs"], "delay": "10s"});
        let source: AuditSource = serde_json::from_value(written).expect("a source");
        let run = RunStart { id: "k7f3".to_owned(), at: "2026-11-26T15:04:05Z".parse().unwrap() };
        let Ok(Opened::Command(command)) = open(&source, &run).await else { panic!("a command") };
        let log = AuditLog::new("k7f3", "c4n4ry").of_source(&source, Losses::default());
        let entry = serde_json::json!({"message": event("k7f3-1"), "ingestionTime": 1});
        let mut answers =
            ["[]\n".to_owned(), "[]\n".to_owned(), format!("[{entry}]\n")].into_iter();
        let ask = async || {
            let answer = answers.next().expect("it had everything");
            let read = log.read_through(answer.as_bytes()).await;
            read.expect("what is empty is no mistake");
            Ok::<_, io::Error>(())
        };
        let ended = command.until(ask, || !log.events("k7f3-1").is_empty()).await;
        assert!(ended.is_ok() && log.ended().is_none(), "{ended:?}");
    }

    #[tokio::test]
    async fn what_was_judged_long_ago_takes_no_memory() {
        let last = KEPT + 1;
        let text: String =
            (0..=last).map(|id| format!("{}\n", event(&format!("k7f3-{id}")))).collect();
        let log = read(text.as_bytes()).await;
        assert_eq!(log.state().own.events.len(), KEPT);
        assert!(log.events("k7f3-1").is_empty());
        assert_eq!(log.events(&format!("k7f3-{last}")).len(), 1);
    }

    #[tokio::test]
    async fn what_is_judged_at_the_end_is_kept_until_then() {
        let last = KEPT + 1;
        let text: String =
            (0..=last).map(|id| format!("{}\n", event(&format!("k7f3-{id}")))).collect();
        let log = AuditLog::new("k7f3", "c4n4ry");
        log.keep(last + 1);
        log.read(text.as_bytes()).await;
        assert_eq!(log.events("k7f3-0").len(), 1);
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
        let accounts = ["replicaset", "replication", "statefulset", "daemon-set", "job"];
        let own = accounts.map(|it| format!("system:serviceaccount:kube-system:{it}-controller"));
        // Without accounts of their own all of them are this one.
        for account in own.into_iter().chain(["system:kube-controller-manager".to_owned()]) {
            let line = format!(
                r#"{{"kind":"Event","auditID":"c","level":"Request","stage":"ResponseComplete","verb":"create","requestURI":"/x","user":{{"username":"{account}"}},"objectRef":{{"resource":"pods","namespace":"a"}},"requestObject":{{"metadata":{{"labels":{{"brinell.dev/attempt":"k7f3-1","app":"b"}}}},"spec":{{}}}}}}"#
            );
            let traces = read(format!("{line}\n").as_bytes()).await.traces(|_| true);
            assert_eq!(traces[0].attempt.as_deref(), Some("k7f3-1"), "{account}");
            let kept = serde_json::to_string(&traces[0]).expect("JSON");
            assert!(!kept.contains("spec") && !kept.contains("app"), "{kept}");
            // Without a body nothing of a success names the run.
            let (bare, _) = line.split_once(r#","requestObject""#).expect("a body");
            let bare = format!("{bare},\"responseStatus\":{{\"code\":201}}}}\n");
            assert_eq!(read(bare.as_bytes()).await.traces(|_| true).len(), 1, "{account}");
            // What names another's is none of ours.
            let others = line.replace("k7f3-1", "b5c2-1");
            let traces = read(format!("{others}\n").as_bytes()).await.traces(|_| true);
            assert!(traces.is_empty(), "{traces:?}");
        }
    }

    #[tokio::test]
    async fn the_canary_is_found_plain_and_encoded_and_the_event_is_named_without_it() {
        let encoded = crate::text::base64(b"c4n4ry");
        let plain = event("k7f3-1").replace("[1]", "\"c4n4ry\"").replace("/x", "/x?c4n4ry");
        let other = event("other").replace("[1]", &format!("\"{encoded}\""));
        let text = format!("{plain}\n{other}\nno event c4n4ry\n{}\n", event("k7f3-2"));
        let Leaks { count, first, unsearched } = read(text.as_bytes()).await.leaks();
        assert_eq!((count, unsearched), (3, 0));
        assert_eq!(
            first.iter().map(|leak| leak.audit_id.as_str()).collect::<Vec<_>>(),
            ["k7f3-1", "other"]
        );
        assert_eq!((first[0].verb.as_str(), first[0].user.as_str()), ("get", "u"));
        assert!(!serde_json::to_string(&first).unwrap().contains("c4n4ry"));
    }

    #[tokio::test]
    async fn what_was_not_searched_to_its_end_is_counted() {
        let mut text = vec![b'x'; LONGEST_LINE];
        text.extend_from_slice(b"c4n4ry\n");
        assert_eq!(read(&text).await.leaks(), Leaks { count: 0, first: Vec::new(), unsearched: 1 });
    }

    #[tokio::test]
    async fn a_log_of_which_not_one_line_comes_is_gone() {
        let (mut writer, reader) = tokio::io::duplex(4096);
        let log = AuditLog::new("k7f3", "c4n4ry");
        let reading = log.clone();
        tokio::spawn(async move { reading.read(reader).await });
        let patience = Duration::from_millis(100);
        let late = async {
            tokio::time::sleep(patience / 4).await;
            let line = format!("{}\n", event("k7f3-1"));
            tokio::io::AsyncWriteExt::write_all(&mut writer, line.as_bytes()).await.unwrap();
        };
        let (missed, ()) = tokio::join!(log.wait_for("k7f3-9", patience), late);
        assert!(matches!(missed, Err(LogError::NoFence { .. })), "another line came: {missed:?}");
        assert!(log.wait_for("k7f3-1", patience).await.is_ok());
        assert!(log.wait_for("k7f3-9", patience).await.is_err());
        assert_eq!(
            log.gone().await,
            "the audit log can no longer be read: not one line came in 100ms, while the API server answers"
        );
        let for_ever = Duration::from_secs(600);
        assert!(matches!(log.wait_for("k7f3-10", for_ever).await, Err(LogError::Ended(_))));
    }

    #[tokio::test]
    async fn waiting_for_an_event_ends_when_the_source_does() {
        let log = read(b"").await;
        let result = log.wait_for("k7f3-9", Duration::from_secs(30)).await;
        assert!(matches!(result, Err(LogError::Ended(_))));
    }
}
