//! What every command that makes clusters has in common: it shows what it does, ends on a signal, and tidies up.

use std::convert::Infallible;
use std::io;
use std::ops::Add;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use brinell::cli::{Conditions, Output, Reports};
use brinell::cluster::{self, Choice, ClusterType, DEFAULT_VERSION, Existing, Pace, RunFolder};
use brinell::lock::lock;
use brinell::model::{Results, RunEvent, Summary};
use brinell::report::{Detail, ExitCode, ReportFile, Reporter, Terminal};
use brinell::run::{Manner, Options, Plan, Progress};
use brinell::text;
use futures::FutureExt;
use k8s_openapi::jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::{Error, complain};

/// The runs whose folders were made: whatever happens, they are tidied up.
#[derive(Default)]
pub struct Made(Mutex<Vec<MadeRun>>);

/// A run whose folder was made.
#[derive(Clone)]
struct MadeRun {
    id: String,
    folder: Arc<RunFolder>,
    /// How fast its cluster is asked; `None` if it is one of ours.
    pace: Option<Pace>,
}

impl Made {
    /// Makes the folder of a run on a cluster of ours.
    pub fn folder(&self, run: &str) -> Result<Arc<RunFolder>, Error> {
        self.folder_at(run, None)
    }

    /// Makes the folder of a run on an existing cluster, which is tidied up as fast as it was asked.
    pub fn folder_on(&self, existing: &Existing, run: &str) -> Result<Arc<RunFolder>, Error> {
        self.folder_at(run, Some(existing.access.pace.clone()))
    }

    fn folder_at(&self, run: &str, pace: Option<Pace>) -> Result<Arc<RunFolder>, Error> {
        let folder = Arc::new(RunFolder::create(run).map_err(Error::Folder)?);
        lock(&self.0).push(MadeRun { id: run.to_owned(), folder: Arc::clone(&folder), pace });
        Ok(folder)
    }

    /// How many requests existing clusters were sent; `None` if there was none.
    fn sent(&self) -> Option<u64> {
        lock(&self.0).iter().filter_map(|run| run.pace.as_ref()).map(Pace::sent).reduce(Add::add)
    }
}

/// What came of a run.
pub struct Conducted {
    /// What was judged.
    pub results: Results,
    /// How it ended.
    pub code: ExitCode,
    /// How it ended whatever was judged.
    pub own: ExitCode,
    /// The signal that came while a run that had ended by itself was tidied up; `None` if none did. It ends nothing but
    /// what would come after the run.
    pub signalled: Option<ExitCode>,
}

/// Conducts one of two runs that are compared. Its steps are shown; which scenarios passed is for the comparison to
/// say.
pub async fn conduct_one(
    work: impl AsyncFnOnce(&Made, &Progress) -> Result<Duration, Error>,
    files: Vec<ReportFile>,
) -> Result<Conducted, Error> {
    let reporter = Reporter::new(Terminal::standard(Detail::Steps), files);
    conduct(work, &Output::default(), false, reporter, Instant::now()).await
}

/// Works, tidies up whatever happened, and reports. The work returns how long the cluster's own programs took to make
/// it.
pub async fn conduct(
    work: impl AsyncFnOnce(&Made, &Progress) -> Result<Duration, Error>,
    output: &Output,
    keep: bool,
    mut reporter: Reporter,
    started: Instant,
) -> Result<Conducted, Error> {
    let mut signals = Signals::caught().map_err(Error::Signals)?;
    let (sender, mut events) = mpsc::unbounded_channel();
    let progress = Progress::new(sender);
    let listening = tokio::task::spawn_blocking(move || {
        while let Some(event) = events.blocking_recv() {
            reporter.on(event);
        }
        reporter
    });
    let made = Made::default();
    let ending = until_end(work, &made, &progress, &mut signals).await;
    if let Err(error) = &ending {
        let error = text::without_credentials(&error.to_string());
        progress.tell(RunEvent::Aborted { error });
    }
    progress.tell(RunEvent::Judged);
    let tidying = Instant::now();
    let is_signalled = matches!(ending, Err(Error::Interrupted | Error::Terminated));
    let mut signalled = None;
    let tidied = tokio::select! {
        tidied = tidy_all(&made, keep) => tidied,
        () = insisted(&mut signals, is_signalled, &mut signalled) => not_tidied(&made),
    };
    if let Some(sent) = made.sent() {
        let counting = async { Ok::<_, Infallible>(((), format!("{sent} requests"))) };
        let Ok(()) = progress.step("asked", "counting", counting).await;
    }
    let took_by_cluster = ending.as_ref().copied().unwrap_or_default() + tidying.elapsed();
    // The listener ends when the last sender of events is dropped.
    drop(progress);
    // A panic while something was shown: what was judged is lost. The caller writes that into the files.
    let mut reporter = listening.await.map_err(|_| Error::Panicked)?;
    let took = started.elapsed();
    let summary = reporter.results().summarise(took, took_by_cluster, told(&tidied));
    let left_behind = tidied.iter().any(Result::is_err);
    let summary = Summary { left_behind, ..summary };
    reporter.on(RunEvent::Finished(summary));
    let (results, reported) = reporter.finish();
    let reported = reported.map_err(Error::from).inspect_err(complain);
    let errors = ending.err().into_iter().chain(tidied.into_iter().filter_map(Result::err));
    let codes = errors.chain(reported.err()).map(|error| error.code());
    let own = codes.fold(ExitCode::Passed, ExitCode::or_worse);
    let code = ExitCode::of(&results, output.require_all).or_worse(own);
    Ok(Conducted { results, code, own, signalled })
}

async fn until_end(
    work: impl AsyncFnOnce(&Made, &Progress) -> Result<Duration, Error>,
    made: &Made,
    progress: &Progress,
    signals: &mut Signals,
) -> Result<Duration, Error> {
    let working = AssertUnwindSafe(work(made, progress)).catch_unwind();
    tokio::select! {
        ended = working => ended.unwrap_or(Err(Error::Panicked)),
        signal = signals.next() => Err(signal),
    }
}

/// Waits for the second signal, which ends tidying up too. If no signal has ended the run, two must come while it
/// tidies up, of which the `first` is written down.
async fn insisted(signals: &mut Signals, is_signalled: bool, first: &mut Option<ExitCode>) {
    if !is_signalled {
        *first = Some(signals.next().await.code());
    }
    // A terminal goes once, and may say so twice: by its shell, and by the kernel when that ends.
    signals.hangup = None;
    signals.next().await;
}

/// The signals that end a run. They are caught from the moment at which this value is made, which is before there is
/// anything to tidy up. They are caught while a run tidies up, too: the second one ends that.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// The terminal is gone; `None` for who is to outlive it.
    hangup: Option<Signal>,
}

impl Signals {
    fn caught() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: (!outlives_terminal()).then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    async fn next(&mut self) -> Error {
        tokio::select! {
            _ = self.interrupt.recv() => Error::Interrupted,
            _ = self.terminate.recv() => Error::Terminated,
            Some(()) = recv(self.hangup.as_mut()) => Error::Terminated,
        }
    }
}

async fn recv(signal: Option<&mut Signal>) -> Option<()> {
    signal?.recv().await
}

/// Whether we were started as by `nohup`, which has the kernel ignore SIGHUP; where it does not say so, it is taken for
/// no.
fn outlives_terminal() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // SIGHUP is the first.
    ignored.is_some_and(|mask| mask & 1 == 1)
}

/// What becomes of every run when a second signal has ended tidying up.
fn not_tidied(made: &Made) -> Vec<Result<String, Error>> {
    lock(&made.0).iter().map(|run| Err(Error::NotTidied { run: run.id.clone() })).collect()
}

/// Tidies up after every run. Returns what became of each.
async fn tidy_all(made: &Made, keep: bool) -> Vec<Result<String, Error>> {
    let runs = lock(&made.0).clone();
    if runs.is_empty() {
        return vec![Ok("Nothing was made.".to_owned())];
    }
    let mut tidied = Vec::new();
    for run in &runs {
        tidied.push(tidy(run, keep).await);
    }
    tidied
}

/// Leaves nothing behind, or says what stays and how to remove it.
async fn tidy(made: &MadeRun, keep: bool) -> Result<String, Error> {
    let MadeRun { id: run, folder, pace } = made;
    let kubeconfig = folder.file("kubeconfig");
    // Of a cluster that could not be made there is none, or an empty one.
    if keep && std::fs::metadata(&kubeconfig).is_ok_and(|it| it.len() > 0) {
        cluster::keep(folder).map_err(Error::NotMarked)?;
        return Ok(format!(
            "Cluster kept: KUBECONFIG={} kubectl get pods -A; `brinell sweep {run}` removes it.",
            kubeconfig.display()
        ));
    }
    let left_behind = |cause| Error::LeftBehind { run: run.to_owned(), cause };
    let pace = pace.clone().unwrap_or_else(Pace::free);
    let removed = cluster::remove(run, folder, &pace).await.map_err(left_behind)?;
    Ok(format!("{removed} deleted, nothing left behind."))
}

/// What became of the runs, each thing said once.
fn told(tidied: &[Result<String, Error>]) -> String {
    let mut told: Vec<String> = Vec::new();
    for became in tidied {
        let words = became.as_ref().map_or_else(ToString::to_string, Clone::clone);
        if !told.contains(&words) {
            told.push(words);
        }
    }
    told.join("\n")
}

/// How a run or a proof is run.
pub fn options(
    conditions: &Conditions,
    cluster: ClusterType,
    manner: Manner,
) -> Result<Options, Error> {
    if conditions.names_node_image() {
        cluster.see_nodes()?;
    }
    let version = conditions.kubernetes_version.as_deref().unwrap_or(DEFAULT_VERSION);
    Ok(Options {
        run: text::random_hex(3),
        cluster,
        kubernetes: version.to_owned(),
        node_image: cluster.node_image(version, conditions.node_image.as_deref())?,
        manner,
    })
}

/// The first event.
pub fn begun(run: String, choice: &Choice, options: &Options, plan: &Plan<'_>) -> RunEvent {
    RunEvent::Started {
        run,
        at: format!("{:.0}", Timestamp::now()),
        cluster: format!("{} ({})", choice.cluster.name(), choice.why),
        kubernetes: options.kubernetes.clone(),
        profile: plan.profile.clone(),
        places: plan.places.clone(),
    }
}

/// The terminal and the report files. These are opened now, so that a bad path costs no cluster.
pub fn reporter(arguments: &Output) -> Result<Reporter, Error> {
    let files = reports(&arguments.reports)?;
    let detail = match (arguments.quiet, arguments.verbose) {
        (true, _) => Detail::Quiet,
        (_, true) => Detail::Verbose,
        _ => Detail::Normal,
    };
    Ok(Reporter::new(Terminal::standard(detail), files))
}

/// The report files, opened.
pub fn reports(asked: &Reports) -> Result<Vec<ReportFile>, Error> {
    if let Some((one, other)) = asked.in_one_file() {
        return Err(Error::OneFile { one, other });
    }
    Ok(asked.open()?)
}

/// Writes into the reports why there is no run: those of an earlier one must not be taken for this one's.
pub fn refuse(arguments: &Output, message: &str) {
    for file in arguments.reports.each() {
        // A report that cannot be written is the lesser trouble: why there is no run is on the terminal.
        let _ = file.and_then(|mut file| file.write(&refusal(message)));
    }
}

/// What is in the reports of a run that was not begun.
pub fn refusal(message: &str) -> Results {
    let mut results = Results::default();
    results.on(RunEvent::Aborted { error: text::without_credentials(message) });
    results
}
