//! What every command that makes clusters has in common: it is told of, it ends when it is told to, and it tidies up.

use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode as Code;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use brinell::cli::{Conditions, Output};
use brinell::cluster::assets::{self, AssetError};
use brinell::cluster::{self, Choice, ClusterKind, RunFolder};
use brinell::model::RunEvent;
use brinell::report::{Detail, ExitCode, FileReport, Format, Reporter, Reporters, Terminal};
use brinell::run::{Options, Plan, Progress};
use brinell::text;
use futures::FutureExt;
use k8s_openapi::jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::complain;

/// The runs whose folders were made: whatever happens, they are tidied up.
#[derive(Default)]
pub struct Made(Mutex<Vec<(String, Arc<RunFolder>)>>);

impl Made {
    /// Makes the folder of a run.
    pub fn folder(&self, run: &str) -> Result<Arc<RunFolder>, String> {
        let folder = RunFolder::create(run)
            .map_err(|error| format!("the run's own folder could not be made: {error}"))?;
        let folder = Arc::new(folder);
        self.lock().push((run.to_owned(), Arc::clone(&folder)));
        Ok(folder)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(String, Arc<RunFolder>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rust's own exit code of a panic.
const PANICKED: u8 = 101;

/// How a run ended.
enum Ending {
    /// With how long the cluster's own programs took to make it.
    Done(Duration),
    Aborted(String),
    Panicked,
    Signalled(ExitCode),
}

/// Works, tidies up whatever happened, and reports. The work returns how long the cluster's own programs took to make it.
pub async fn conduct(
    work: impl AsyncFnOnce(&Made, &Progress) -> Result<Duration, String>,
    output: &Output,
    keep: bool,
    mut reporters: Reporters,
    started: Instant,
) -> Code {
    let (sender, mut events) = mpsc::unbounded_channel();
    let progress = Progress::new(sender);
    let reporting = tokio::task::spawn_blocking(move || {
        while let Some(event) = events.blocking_recv() {
            reporters.on(&event);
        }
        reporters.finish()
    });
    let made = Made::default();
    let mut signals = Signals::caught();
    let ending = until_end(work, &made, &progress, signals.as_mut()).await;
    if let Some(error) = ending.error() {
        progress.tell(RunEvent::Aborted { error: text::without_credentials(&error) });
    }
    let tidying = Instant::now();
    let is_signalled = matches!(ending, Ending::Signalled(_));
    let (tidied, is_tidy) = tokio::select! {
        tidied = tidy_all(&made, keep) => tidied,
        () = insisted(signals.as_mut().ok(), is_signalled) => (left_behind(&made), false),
    };
    let took_by_cluster = match &ending {
        Ending::Done(making) => *making + tidying.elapsed(),
        _ => tidying.elapsed(),
    };
    let summary = progress.summary(started.elapsed(), took_by_cluster, tidied);
    progress.tell(RunEvent::Finished(summary.clone()));
    let proof = progress.proof();
    drop(progress);
    let reported = match reporting.await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            complain(&error.to_string());
            false
        }
        Err(_) => false,
    };
    let broken = !reported || !is_tidy || matches!(ending, Ending::Aborted(_));
    match (ending, proof) {
        (Ending::Panicked, _) => PANICKED.into(),
        (Ending::Signalled(code), _) => code.into(),
        (_, Some(proof)) => ExitCode::of_proof(&proof, broken, output.require_all).into(),
        (_, None) => ExitCode::of(&summary, broken, output.require_all).into(),
    }
}

impl Ending {
    /// Why no scenario runs any more.
    fn error(&self) -> Option<String> {
        match self {
            Ending::Done(_) => None,
            Ending::Aborted(error) => Some(error.clone()),
            Ending::Panicked => Some("a panic; this is a bug in brinell".to_owned()),
            Ending::Signalled(ExitCode::Terminated) => Some("ended by SIGTERM".to_owned()),
            Ending::Signalled(_) => Some("interrupted".to_owned()),
        }
    }
}

async fn until_end(
    work: impl AsyncFnOnce(&Made, &Progress) -> Result<Duration, String>,
    made: &Made,
    progress: &Progress,
    signals: Result<&mut Signals, &mut io::Error>,
) -> Ending {
    let signals = match signals {
        Ok(signals) => signals,
        Err(error) => return Ending::Aborted(format!("signals cannot be caught: {error}")),
    };
    let working = AssertUnwindSafe(work(made, progress)).catch_unwind();
    tokio::select! {
        ended = working => match ended {
            Ok(Ok(making)) => Ending::Done(making),
            Ok(Err(error)) => Ending::Aborted(error),
            Err(_) => Ending::Panicked,
        },
        code = signals.next() => Ending::Signalled(code),
    }
}

/// Waits for the second signal, which ends tidying up too. A run that nobody ended needs two while it tidies up.
async fn insisted(signals: Option<&mut Signals>, is_signalled: bool) {
    let Some(signals) = signals else { return std::future::pending().await };
    if !is_signalled {
        signals.next().await;
    }
    signals.next().await;
}

/// The signals that end a run. They are caught from the moment on at which this is made: before anything is that
/// would have to be tidied up. While a run tidies up they are caught as well; the second one ends that too.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn caught() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> ExitCode {
        tokio::select! {
            _ = self.interrupt.recv() => ExitCode::Interrupted,
            _ = self.terminate.recv() => ExitCode::Terminated,
        }
    }
}

/// What is told when a second signal has ended tidying up.
fn left_behind(made: &Made) -> String {
    let sweep = |(run, _): &(String, Arc<RunFolder>)| {
        format!(
            "LEFT BEHIND: a second signal ended tidying up, so that parts of run {run} may still be there; \
             `brinell sweep {run}` removes them."
        )
    };
    made.lock().iter().map(sweep).collect::<Vec<_>>().join("\n")
}

/// Tidies up after every run. Returns what became of them, and whether all is well.
async fn tidy_all(made: &Made, keep: bool) -> (String, bool) {
    let runs = made.lock().clone();
    if runs.is_empty() {
        return ("Nothing was made.".to_owned(), true);
    }
    let mut told: Vec<String> = Vec::new();
    let mut all_is_well = true;
    for (run, folder) in &runs {
        let (words, is_tidy) = tidy(run, folder, keep).await;
        all_is_well &= is_tidy;
        if !told.contains(&words) {
            told.push(words);
        }
    }
    (told.join("\n"), all_is_well)
}

/// Leaves nothing behind, or says what stays and how to remove it.
async fn tidy(run: &str, folder: &RunFolder, keep: bool) -> (String, bool) {
    if keep {
        let kubeconfig = folder.file("kubeconfig");
        return match cluster::keep(folder) {
            Ok(()) => (
                format!(
                    "Cluster kept: KUBECONFIG={} kubectl get pods -A; `brinell sweep {run}` removes it.",
                    kubeconfig.display()
                ),
                true,
            ),
            Err(error) => (format!("Cluster kept, but not marked so: {error}"), false),
        };
    }
    match cluster::remove(run, folder).await {
        Ok(_) => ("Cluster deleted, nothing left behind.".to_owned(), true),
        Err(error) => (format!("LEFT BEHIND: {error}\n`brinell sweep {run}` tries again."), false),
    }
}

/// How a run or a proof is run. Without a deadline of the user's it has `deadline`.
pub fn options(
    conditions: &Conditions,
    output: &Output,
    kind: ClusterKind,
    deadline: Duration,
) -> Result<Options, String> {
    Ok(Options {
        run: text::random_hex(3),
        cluster: kind,
        kubernetes: conditions.kubernetes_version.clone(),
        node_image: node_image(conditions, kind)?,
        require_all: output.require_all,
        jobs: conditions.jobs.into(),
        deadline: conditions.deadline.map_or(deadline, Duration::from_secs),
    })
}

/// What is told first.
pub fn begun(run: String, choice: &Choice, options: &Options, plan: &Plan<'_>) -> RunEvent {
    RunEvent::Started {
        run,
        at: format!("{:.0}", Timestamp::now()),
        cluster: format!("{} ({})", choice.kind.name(), choice.why),
        kubernetes: options.kubernetes.clone(),
        profile: plan.profile.clone(),
    }
}

/// The node image of a kind cluster; none is needed for an embedded one, but its version must be known.
fn node_image(arguments: &Conditions, kind: ClusterKind) -> Result<String, String> {
    let version = &arguments.kubernetes_version;
    if kind == ClusterKind::Embedded {
        let known = assets::versions().contains(&version.as_str());
        let unknown = || AssetError::UnknownVersion { version: version.clone() }.to_string();
        return known.then(String::new).ok_or_else(unknown);
    }
    if let Some(image) = arguments.node_image.as_ref().filter(|image| !image.is_empty()) {
        return Ok(image.clone());
    }
    cluster::node_image(version).map(str::to_owned).ok_or_else(|| {
        format!(
            "there is no node image for Kubernetes {version}; there is one for {}, \
             and --node-image names any other",
            cluster::versions().join(", ")
        )
    })
}

/// Whether two reports would overwrite each other.
fn is_one_file(one: Option<&Path>, other: Option<&Path>) -> bool {
    one.zip(other).is_some_and(|(one, other)| resolved(one) == resolved(other))
}

/// The path without links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    path.canonicalize().unwrap_or_else(|_| {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        path.file_name().map_or_else(|| folder.clone(), |name| folder.join(name))
    })
}

/// The report files first, so that a bad path costs no cluster; the terminal last, because it names them.
pub fn reporters(arguments: &Output) -> Result<Reporters, String> {
    if is_one_file(arguments.junit.as_deref(), arguments.json.as_deref()) {
        return Err("--junit and --json name the same file".to_owned());
    }
    let mut reporters = Reporters::default();
    let mut names = Vec::new();
    for (format, path) in files(arguments) {
        reporters.add(FileReport::open(format, path).map_err(|error| error.to_string())?);
        names.push(format!("{}: {}", format.label(), path.display()));
    }
    let detail = match (arguments.quiet, arguments.verbose) {
        (true, _) => Detail::Quiet,
        (_, true) => Detail::Verbose,
        _ => Detail::Normal,
    };
    reporters.add(Terminal::standard(detail, names));
    Ok(reporters)
}

/// The report files that are asked for.
fn files(arguments: &Output) -> impl Iterator<Item = (Format, &Path)> {
    let files = [(Format::JUnit, &arguments.junit), (Format::Json, &arguments.json)];
    files.into_iter().filter_map(|(format, path)| Some((format, path.as_deref()?)))
}

/// Writes into the reports why there is no run: those of an earlier one must not be taken for this one's.
pub fn refuse(arguments: &Output, message: &str) {
    for (format, path) in files(arguments) {
        // A report that cannot be written is the lesser trouble: why there is no run is on the terminal.
        let _ = FileReport::open(format, path).and_then(|mut report| {
            report.on(&RunEvent::Aborted { error: message.to_owned() })?;
            report.finish()
        });
    }
}
