//! The `brinell` command: arguments, one runtime, a run, an exit code.

use std::ffi::OsString;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode as Code;
use std::sync::Arc;
use std::time::{Duration, Instant};

use brinell::catalog::{Catalog, Entry, ProfileEntry, select};
use brinell::cli::{AssetsWork, Cli, Command, ListFormat, RunArguments, Selection};
use brinell::cluster::assets::{self, AssetError, Program};
use brinell::cluster::{self, Choice, ClusterKind, RunFolder, Swept};
use brinell::report::{Detail, ExitCode, FileReport, Format, Reporters, Terminal, visible};
use brinell::run::{Options, Plan, Progress, RunEvent, run};
use brinell::{in_cluster, text};
use clap::{CommandFactory, Parser};
use futures::FutureExt;
use tokio::signal::unix::{SignalKind, signal};
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
            clap_complete::generate(shell, &mut Cli::command(), "brinell", &mut std::io::stdout());
            ExitCode::Passed.into()
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
    Cli::try_parse_from(&arguments).map_err(|error| match arguments.get(1).and_then(scenario) {
        Some(id) => fail(ExitCode::Usage, &format!("did you mean `brinell --scenario {id}`?")),
        None => error.exit(),
    })
}

/// The scenario that a word names.
fn scenario(word: &OsString) -> Option<&str> {
    let id = word.to_str()?;
    let catalog = Catalog::load(None).ok()?;
    catalog.scenarios.iter().any(|entry| entry.id == id).then_some(id)
}

fn in_runtime(work: impl Future<Output = Code>) -> Code {
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => fail(ExitCode::Broken, &format!("no runtime could be started: {error}")),
    }
}

/// Says what went wrong, for a person.
fn fail(code: ExitCode, message: &str) -> Code {
    eprintln!("error: {message}");
    code.into()
}

fn explain(id: &str) -> Code {
    let catalog = match Catalog::load(None) {
        Ok(catalog) => catalog,
        Err(problems) => return fail(ExitCode::Usage, &problems.to_string()),
    };
    match select(&catalog, &[id.to_owned()], &[], &[]) {
        Ok(entries) => {
            for entry in entries {
                println!("{}\n\n{}", entry.file, entry.text.trim_end());
            }
            ExitCode::Passed.into()
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
        println!("{:#}", serde_json::Value::from(entries));
    } else {
        let width = entries.iter().map(|entry| entry.id.len()).max().unwrap_or_default();
        for entry in entries {
            println!("{:width$}  {}", entry.id, visible(&entry.scenario.title));
        }
    }
    ExitCode::Passed.into()
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
    println!("cluster {} ({})", choice.kind.name(), choice.why);
    println!("profile {}: {}", plan.profile, visible(&profile.profile.title));
    for (id, planned) in &plan.controls {
        let state = if planned.whole { "set up, seen acting" } else { "weakened" };
        println!("  control  {id}: {state}");
    }
    for (id, why) in &plan.left_out {
        println!("  without  {id}: {why}");
    }
    for target in plan.targets() {
        println!("  target   {target}");
    }
    for persona in plan.personas() {
        println!("  persona  {persona}");
    }
    for entry in &plan.scenarios {
        println!("  run      {}: {}", entry.id, visible(&entry.scenario.title));
    }
    for (entry, why) in &plan.skipped {
        println!("  skip     {}: {why}", entry.id);
    }
    ExitCode::Passed.into()
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
    match cluster::sweep(named.as_deref()).await {
        Ok(swept) if swept.is_empty() => println!("nothing to sweep"),
        Ok(swept) => {
            swept.iter().for_each(|(run, became)| println!("{run}: {}", told(run, became)))
        }
        Err(error) => return fail(ExitCode::Broken, &error.to_string()),
    }
    ExitCode::Passed.into()
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
    if let Some(image) = &arguments.node_image {
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
    let ending = run_until_end(plan, options, choice, &progress).await;
    if let Some(error) = ending.error() {
        progress.tell(RunEvent::Aborted { error });
    }
    let tidying = Instant::now();
    let (tidy, is_tidy) = tidy(&options.run, arguments.keep).await;
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
            eprintln!("error: {error}");
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
    progress: &Progress,
) -> Ending {
    let running = AssertUnwindSafe(begin(plan, options, choice, progress)).catch_unwind();
    tokio::select! {
        ended = running => match ended {
            Ok(Ok(outcome)) => Ending::Done(outcome),
            Ok(Err(error)) => Ending::Aborted(error),
            Err(_) => Ending::Panicked,
        },
        code = signalled() => Ending::Signalled(code),
    }
}

/// Says what is begun, and runs.
async fn begin(
    plan: &Plan<'_>,
    options: &Options,
    choice: &Choice,
    progress: &Progress,
) -> Result<Duration, String> {
    progress.tell(RunEvent::Started {
        run: options.run.clone(),
        cluster: format!("{} ({})", choice.kind.name(), choice.why),
        kubernetes: options.kubernetes.clone(),
        profile: plan.profile.clone(),
    });
    if let Some(missing) = choice.missing.as_ref().filter(|_| !plan.scenarios.is_empty()) {
        return Err(missing.clone());
    }
    let folder = RunFolder::create(&options.run)
        .map_err(|error| format!("the run's own folder could not be made: {error}"))?;
    run(plan, options, Arc::new(folder), progress).await.map_err(|error| error.to_string())
}

async fn signalled() -> ExitCode {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers the signals end the process themselves; `brinell sweep` finds the rest.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => ExitCode::Interrupted,
        _ = terminate.recv() => ExitCode::Terminated,
    }
}

/// Leaves nothing behind, or says what stays and how to remove it.
async fn tidy(run: &str, keep: bool) -> (String, bool) {
    let folder = match RunFolder::take_over(run) {
        Ok(Some(folder)) => folder,
        // Nothing was begun.
        Ok(None) | Err(_) => return ("Nothing was made.".to_owned(), true),
    };
    if keep {
        let kubeconfig = folder.file("kubeconfig");
        return match cluster::keep(&folder) {
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
