//! The `brinell` command: arguments, one runtime, a run, an exit code.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write as _};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode as Code;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use brinell::catalog::{Catalog, Entry, ProfileEntry, select};
use brinell::cli::{AssetsWork, Cli, Command, ListFormat, RunArguments, Selection};
use brinell::cluster::assets::{self, AssetError, Program};
use brinell::cluster::{self, Choice, ClusterKind, RunFolder, Swept};
use brinell::report::{Detail, ExitCode, FileReport, Format, Reporters, Terminal, visible};
use brinell::run::{Options, Plan, Progress, RunEvent, run, skip};
use brinell::{in_cluster, text};
use clap::error::ContextValue;
use clap::{CommandFactory, Parser};
use futures::FutureExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

fn main() -> Code {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match cli.command {
        Some(Command::InCluster(work)) => work.run(),
        Some(Command::Supervise { program, arguments }) => cluster::supervise(&program, &arguments)
            .unwrap_or_else(|error| {
                let program = program.to_string_lossy();
                fail(ExitCode::Broken, &format!("{program} could not be started: {error}"))
            }),
        Some(Command::Assets { work, kubernetes_version }) => {
            in_runtime(handle_assets(work, kubernetes_version))
        }
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "brinell", &mut script);
            print(&script)
        }
        Some(Command::Explain { id }) => explain(&id),
        Some(Command::Plan(selection)) => in_runtime(show_plan(selection)),
        Some(Command::Sweep { run }) => in_runtime(sweep(run)),
        None if cli.run.list.is_some() => list(&cli.run),
        None => in_runtime(start(cli.run)),
    }
}

/// Reads the arguments. In our image `probe` is another name for `brinell in-cluster probe`.
fn parse() -> Result<Cli, Code> {
    let arguments: Vec<_> = std::env::args_os().collect();
    if arguments.first().is_some_and(|name| in_cluster::invoked_as_probe(name)) {
        let prefix = ["brinell", "in-cluster", "probe"].map(Into::into);
        return Ok(Cli::parse_from(prefix.into_iter().chain(arguments.into_iter().skip(1))));
    }
    Cli::try_parse_from(&arguments).map_err(|error| match scenario(&error) {
        Some(id) => fail(ExitCode::Usage, &format!("did you mean `brinell --scenario {id}`?")),
        None => error.exit(),
    })
}

/// The scenario that stands where nothing, or something else, should.
fn scenario(error: &clap::Error) -> Option<&str> {
    let catalog = Catalog::load(None).ok()?;
    error.context().find_map(|(_, value)| match value {
        ContextValue::String(word) => {
            catalog.scenarios.iter().any(|entry| entry.id == *word).then_some(word.as_str())
        }
        _ => None,
    })
}

fn in_runtime(work: impl Future<Output = Code>) -> Code {
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => fail(ExitCode::Broken, &format!("no runtime could be started: {error}")),
    }
}

/// Says what went wrong, for a person.
fn fail(code: ExitCode, message: &str) -> Code {
    complain(message);
    code.into()
}

fn complain(message: &str) {
    // Where nobody can be told, the exit code tells.
    let _ = writeln!(std::io::stderr(), "error: {message}");
}

/// Prints a whole answer. A reader who has read enough, as in `brinell --list | head`, is no error.
fn print(answer: &[u8]) -> Code {
    let mut output = std::io::stdout().lock();
    match output.write_all(answer).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            fail(ExitCode::Broken, &format!("the output could not be written: {error}"))
        }
        _ => ExitCode::Passed.into(),
    }
}

fn explain(id: &str) -> Code {
    let catalog = match Catalog::load(None) {
        Ok(catalog) => catalog,
        Err(problems) => return fail(ExitCode::Usage, &problems.to_string()),
    };
    match select(&catalog, &[id.to_owned()], &[], &[]) {
        Ok(entries) => {
            let told = |entry: &&Entry| format!("{}\n\n{}\n", entry.file, entry.text.trim_end());
            print(entries.iter().map(told).collect::<String>().as_bytes())
        }
        Err(error) => fail(ExitCode::Usage, &error.to_string()),
    }
}

fn list(arguments: &RunArguments) -> Code {
    let catalog = match Catalog::load(arguments.selection.scenarios.as_deref()) {
        Ok(catalog) => catalog,
        Err(problems) => return fail(ExitCode::Usage, &problems.to_string()),
    };
    let entries = match chosen(&catalog, &arguments.selection) {
        Ok((entries, _)) => entries,
        Err(message) => return fail(ExitCode::Usage, &message),
    };
    if arguments.list == Some(ListFormat::Json) {
        let entries: Vec<_> = entries.iter().map(|entry| listed(entry)).collect();
        return print(format!("{:#}\n", serde_json::Value::from(entries)).as_bytes());
    }
    let width = entries.iter().map(|entry| entry.id.len()).max().unwrap_or_default();
    let line =
        |entry: &&Entry| format!("{:width$}  {}\n", entry.id, visible(&entry.scenario.title));
    print(entries.iter().map(line).collect::<String>().as_bytes())
}

fn listed(entry: &Entry) -> serde_json::Value {
    serde_json::json!({
        "id": entry.id,
        "family": entry.family,
        "file": entry.file,
        "title": entry.scenario.title,
        "tags": entry.scenario.tags,
        "controls": entry.controls(),
    })
}

async fn show_plan(selection: Selection) -> Code {
    let catalog = match Catalog::load(selection.scenarios.as_deref()) {
        Ok(catalog) => catalog,
        Err(problems) => return fail(ExitCode::Usage, &problems.to_string()),
    };
    let (entries, profile) = match chosen(&catalog, &selection) {
        Ok(chosen) => chosen,
        Err(message) => return fail(ExitCode::Usage, &message),
    };
    let choice = Choice::make(selection.cluster).await;
    let plan = Plan::new(&catalog, &profile, choice.kind, entries);
    let title = visible(&profile.profile.title);
    let mut answer = format!("cluster {} ({})\n", choice.kind.name(), choice.why);
    writeln!(answer, "profile {}: {title}", plan.profile).expect("writing to memory does not fail");
    for (kind, name, about) in planned(&plan) {
        let about = if about.is_empty() { about } else { format!(": {about}") };
        writeln!(answer, "  {kind:7}  {name}{about}").expect("writing to memory does not fail");
    }
    print(answer.as_bytes())
}

/// What a plan holds: of which kind, its name, and what there is to say about it.
fn planned<'a>(plan: &'a Plan) -> Vec<(&'static str, &'a str, String)> {
    let state = |whole| if whole { "set up, seen acting" } else { "weakened" }.to_owned();
    let controls =
        plan.controls.iter().map(|(id, control)| ("control", id.as_str(), state(control.whole)));
    let without = plan.left_out.iter().map(|(id, why)| ("without", id.as_str(), why.clone()));
    let targets = plan.targets().into_iter().map(|name| ("target", name, String::new()));
    let personas = plan.personas().into_iter().map(|name| ("persona", name, String::new()));
    let running = plan
        .scenarios
        .iter()
        .map(|entry| ("run", entry.id.as_str(), visible(&entry.scenario.title)));
    let skipped = plan.skipped.iter().map(|(entry, why)| ("skip", entry.id.as_str(), why.clone()));
    let staged = controls.chain(without).chain(targets).chain(personas);
    staged.chain(running).chain(skipped).collect()
}

async fn handle_assets(work: AssetsWork, version: String) -> Code {
    let done = match work {
        AssetsWork::List => list_assets().await,
        AssetsWork::Install => assets::install(&version, |doing| eprintln!("{doing} …"))
            .await
            .map(|assets| println!("{assets}")),
        AssetsWork::Remove => {
            assets::remove().map(|folder| println!("removed {}", folder.display()))
        }
    };
    match done {
        Ok(()) => ExitCode::Passed.into(),
        Err(error @ AssetError::UnknownVersion { .. }) => fail(ExitCode::Usage, &error.to_string()),
        Err(error) => fail(ExitCode::Broken, &error.to_string()),
    }
}

async fn list_assets() -> Result<(), AssetError> {
    for version in assets::versions() {
        println!("Kubernetes {version}");
        for program in Program::ALL {
            let told = match assets::find(program, version).await {
                Ok(Some(asset)) => format!("from {}: {}", asset.origin, asset.path.display()),
                Ok(None) => format!(
                    "missing; `brinell assets install --kubernetes-version {version}` builds it"
                ),
                Err(error) => error.to_string(),
            };
            println!("  {:<24} {told}", program.name());
        }
    }
    Ok(())
}

/// The scenarios and the profile that are asked for.
fn chosen<'a>(
    catalog: &'a Catalog,
    selection: &Selection,
) -> Result<(Vec<&'a Entry>, ProfileEntry), String> {
    let entries = select(catalog, &selection.scenario, &selection.tag, &selection.skip)
        .map_err(|error| error.to_string())?;
    let profile = catalog.profile(&selection.profile).map_err(|error| error.to_string())?;
    Ok((entries, profile))
}

async fn sweep(named: Option<String>) -> Code {
    let sweeping = match cluster::sweep(named.as_deref()).await {
        Ok(sweeping) => sweeping,
        Err(error) => return fail(ExitCode::Broken, &error.to_string()),
    };
    let line = |(run, became): &(String, Swept)| format!("{run}: {}\n", told(run, became));
    let lines: String = sweeping.swept.iter().map(line).collect();
    if let Some(error) = sweeping.unasked {
        print(lines.as_bytes());
        let what = "the engine could not be asked for what kind clusters left there";
        return fail(ExitCode::Broken, &format!("{what}: {error}"));
    }
    print(if lines.is_empty() { b"nothing to sweep\n" } else { lines.as_bytes() })
}

fn told(run: &str, became: &Swept) -> String {
    match became {
        Swept::Removed(count) => format!("removed, {count} things"),
        Swept::Alive => "is running".to_owned(),
        Swept::Kept => format!("was kept on purpose; `brinell sweep {run}` removes it"),
        Swept::Elsewhere => {
            format!("was not started from here; `brinell sweep {run}` removes it all the same")
        }
    }
}

/// Validates what can be validated without a cluster, then runs.
async fn start(arguments: RunArguments) -> Code {
    let started = Instant::now();
    let catalog = match Catalog::load(arguments.selection.scenarios.as_deref()) {
        Ok(catalog) => catalog,
        Err(problems) => return fail(ExitCode::Usage, &problems.to_string()),
    };
    let (entries, profile) = match chosen(&catalog, &arguments.selection) {
        Ok(chosen) => chosen,
        Err(message) => return fail(ExitCode::Usage, &message),
    };
    let choice = Choice::make(arguments.selection.cluster).await;
    let node_image = match node_image(&arguments, choice.kind) {
        Ok(image) => image,
        Err(message) => return fail(ExitCode::Usage, &message),
    };
    if is_one_file(arguments.junit.as_deref(), arguments.json.as_deref()) {
        return fail(ExitCode::Usage, "--junit and --json name the same file");
    }
    if arguments.keep && choice.kind == ClusterKind::Embedded {
        let message = "an embedded cluster ends with its run; --keep needs --cluster kind";
        return fail(ExitCode::Usage, message);
    }
    let reporters = match reporters(&arguments) {
        Ok(reporters) => reporters,
        Err(error) => return fail(ExitCode::Usage, &error.to_string()),
    };
    let plan = Plan::new(&catalog, &profile, choice.kind, entries);
    let options = Options {
        run: text::random_hex(3),
        cluster: choice.kind,
        kubernetes: arguments.kubernetes_version.clone(),
        node_image,
        require_all: arguments.require_all,
        jobs: arguments.jobs.into(),
        deadline: Duration::from_secs(arguments.deadline),
    };
    conduct(&plan, &options, &arguments, &choice, reporters, started).await
}

/// The node image of a kind cluster; none is needed for an embedded one, but its version must be known.
fn node_image(arguments: &RunArguments, kind: ClusterKind) -> Result<String, String> {
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
fn reporters(arguments: &RunArguments) -> Result<Reporters, brinell::report::ReportError> {
    let mut reporters = Reporters::default();
    let mut names = Vec::new();
    let files = [(Format::JUnit, &arguments.junit), (Format::Json, &arguments.json)];
    for (format, path) in files {
        if let Some(path) = path {
            reporters.add(FileReport::open(format, path)?);
            names.push(format!("{}: {}", format.label(), path.display()));
        }
    }
    let detail = match (arguments.quiet, arguments.verbose) {
        (true, _) => Detail::Quiet,
        (_, true) => Detail::Verbose,
        _ => Detail::Normal,
    };
    reporters.add(Terminal::standard(detail, names));
    Ok(reporters)
}

/// Rust's own exit code of a panic.
const PANICKED: u8 = 101;

/// How a run ended.
enum Ending {
    Done(Duration),
    Aborted(String),
    Panicked,
    Signalled(ExitCode),
}

/// Runs, tidies up whatever happened, and reports.
async fn conduct(
    plan: &Plan<'_>,
    options: &Options,
    arguments: &RunArguments,
    choice: &Choice,
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
    let folder = OnceLock::new();
    let ending = run_until_end(plan, options, choice, &folder, &progress).await;
    if let Some(error) = ending.error() {
        progress.tell(RunEvent::Aborted { error });
    }
    let tidying = Instant::now();
    let (tidy, is_tidy) = match folder.get() {
        Some(folder) => tidy(&options.run, folder, arguments.keep).await,
        None => ("Nothing was made.".to_owned(), true),
    };
    let took_by_cluster = match ending {
        Ending::Done(making) => making + tidying.elapsed(),
        _ => tidying.elapsed(),
    };
    let summary = progress.summary(started.elapsed(), took_by_cluster, tidy);
    progress.tell(RunEvent::Finished(summary.clone()));
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
    match ending {
        Ending::Panicked => PANICKED.into(),
        Ending::Signalled(code) => code.into(),
        _ => ExitCode::of(&summary, broken, arguments.require_all).into(),
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

async fn run_until_end(
    plan: &Plan<'_>,
    options: &Options,
    choice: &Choice,
    folder: &OnceLock<Arc<RunFolder>>,
    progress: &Progress,
) -> Ending {
    let mut signals = match Signals::caught() {
        Ok(signals) => signals,
        Err(error) => return Ending::Aborted(format!("signals cannot be caught: {error}")),
    };
    let running = begin(plan, options, choice, folder, progress);
    let running = AssertUnwindSafe(running).catch_unwind();
    tokio::select! {
        ended = running => match ended {
            Ok(Ok(outcome)) => Ending::Done(outcome),
            Ok(Err(error)) => Ending::Aborted(error),
            Err(_) => Ending::Panicked,
        },
        code = signals.next() => Ending::Signalled(code),
    }
}

/// Says what is begun, and runs. `folder` is set as soon as there is something to tidy up.
async fn begin(
    plan: &Plan<'_>,
    options: &Options,
    choice: &Choice,
    folder: &OnceLock<Arc<RunFolder>>,
    progress: &Progress,
) -> Result<Duration, String> {
    progress.tell(RunEvent::Started {
        run: options.run.clone(),
        cluster: format!("{} ({})", choice.kind.name(), choice.why),
        kubernetes: options.kubernetes.clone(),
        profile: plan.profile.clone(),
    });
    skip(plan, options, progress);
    if plan.scenarios.is_empty() {
        return Ok(Duration::ZERO);
    }
    if let Some(missing) = &choice.missing {
        return Err(missing.clone());
    }
    let made = RunFolder::create(&options.run)
        .map_err(|error| format!("the run's own folder could not be made: {error}"))?;
    let folder = folder.get_or_init(|| Arc::new(made));
    run(plan, options, Arc::clone(folder), progress).await.map_err(|error| error.to_string())
}

/// The signals that end a run. They are caught from the moment on at which this is made: before anything is that
/// would have to be tidied up. While a run tidies up they are caught as well, and change nothing.
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
