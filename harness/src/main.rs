//! The `brinell` command: arguments, one runtime, a run, an exit code.

use std::panic::AssertUnwindSafe;
use std::process::ExitCode as Code;
use std::sync::Arc;
use std::time::{Duration, Instant};

use brinell::catalog::{Catalog, Entry, ProfileEntry, select};
use brinell::cli::{Cli, Command, ListFormat, RunArguments, Selection};
use brinell::cluster::{self, Engine, RunFolder, Swept};
use brinell::report::{Detail, ExitCode, FileReport, Format, Reporters, Terminal, visible};
use brinell::run::{Options, Outcome, Plan, Progress, RunEvent, run, summary};
use brinell::{in_cluster, text};
use clap::{CommandFactory, Parser};
use futures::FutureExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

fn main() -> Code {
    let cli = parse();
    match cli.command {
        Some(Command::InCluster(work)) => work.run(),
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "brinell", &mut std::io::stdout());
            ExitCode::Passed.into()
        }
        Some(Command::Explain { id }) => explain(&id),
        Some(Command::Plan(selection)) => show_plan(&selection),
        Some(Command::Sweep { run }) => in_runtime(sweep(run)),
        None if cli.run.list.is_some() => list(&cli.run),
        None => in_runtime(start(cli.run)),
    }
}

/// Reads the arguments. In our image `probe` is another name for `brinell in-cluster probe`.
fn parse() -> Cli {
    let arguments: Vec<_> = std::env::args_os().collect();
    if arguments.first().is_some_and(|name| in_cluster::invoked_as_probe(name)) {
        let prefix = ["brinell", "in-cluster", "probe"].map(Into::into);
        return Cli::parse_from(prefix.into_iter().chain(arguments.into_iter().skip(1)));
    }
    Cli::try_parse_from(&arguments).unwrap_or_else(|error| {
        if let Some(id) = arguments.get(1).and_then(|word| word.to_str()) {
            let known = Catalog::load(None)
                .is_ok_and(|catalog| catalog.scenarios.iter().any(|entry| entry.id == id));
            if known {
                fail(ExitCode::Usage, &format!("did you mean `brinell --scenario {id}`?"));
                std::process::exit(ExitCode::Usage as i32);
            }
        }
        error.exit()
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

fn show_plan(selection: &Selection) -> Code {
    let catalog = match Catalog::load(selection.scenarios.as_deref()) {
        Ok(catalog) => catalog,
        Err(problems) => return fail(ExitCode::Usage, &problems.to_string()),
    };
    let (entries, profile) = match chosen(&catalog, selection) {
        Ok(chosen) => chosen,
        Err(message) => return fail(ExitCode::Usage, &message),
    };
    let plan = Plan::new(&catalog, &profile, entries);
    println!("profile {}: {}", plan.profile, visible(&profile.profile.title));
    for (id, planned) in &plan.controls {
        let state = if planned.whole { "set up, seen acting" } else { "weakened" };
        println!("  control  {id}: {state}");
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
    let node_image = match node_image(&arguments) {
        Ok(image) => image,
        Err(message) => return fail(ExitCode::Usage, &message),
    };
    let reporters = match reporters(&arguments) {
        Ok(reporters) => reporters,
        Err(error) => return fail(ExitCode::Usage, &error.to_string()),
    };
    let plan = Plan::new(&catalog, &profile, entries);
    let options = Options {
        run: text::random_hex(3),
        node_image,
        jobs: arguments.jobs.into(),
        deadline: Duration::from_secs(arguments.deadline),
    };
    conduct(&plan, &options, &arguments, reporters, started).await
}

fn node_image(arguments: &RunArguments) -> Result<String, String> {
    if let Some(image) = &arguments.node_image {
        return Ok(image.clone());
    }
    let version = &arguments.kubernetes_version;
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

/// How a run ended.
enum Ending {
    Done(Outcome),
    Aborted(String),
    Panicked,
    Signalled(ExitCode),
}

/// Runs, tidies up whatever happened, and reports.
async fn conduct(
    plan: &Plan<'_>,
    options: &Options,
    arguments: &RunArguments,
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
    let ending = run_until_end(plan, options, arguments, &progress).await;
    if let Some(error) = ending.error() {
        progress.tell(RunEvent::Aborted { error });
    }
    let tidying = Instant::now();
    let (tidy, is_tidy) = tidy(&options.run, arguments.keep).await;
    let (outcome, code) = match ending {
        Ending::Done(outcome) => (outcome, None),
        Ending::Aborted(_) => (Outcome::default(), Some(ExitCode::Broken as u8)),
        Ending::Panicked => (Outcome::default(), Some(101)),
        Ending::Signalled(code) => (Outcome::default(), Some(code as u8)),
    };
    let took_by_cluster = outcome.took_by_cluster + tidying.elapsed();
    let summary = summary(&outcome.results, started, took_by_cluster, tidy);
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
    let judged = ExitCode::of(&summary, !reported || !is_tidy, arguments.require_all);
    code.unwrap_or(judged as u8).into()
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
    arguments: &RunArguments,
    progress: &Progress,
) -> Ending {
    let running = AssertUnwindSafe(begin(plan, options, arguments, progress)).catch_unwind();
    tokio::select! {
        ended = running => match ended {
            Ok(Ok(outcome)) => Ending::Done(outcome),
            Ok(Err(error)) => Ending::Aborted(error),
            Err(_) => Ending::Panicked,
        },
        code = signalled() => Ending::Signalled(code),
    }
}

/// Finds the engine and kind, then runs.
async fn begin(
    plan: &Plan<'_>,
    options: &Options,
    arguments: &RunArguments,
    progress: &Progress,
) -> Result<Outcome, String> {
    let found = found().await;
    progress.tell(RunEvent::Started {
        run: options.run.clone(),
        cluster: match &found {
            Ok(found) => format!("kind ({found})"),
            Err(_) => "kind".to_owned(),
        },
        kubernetes: arguments.kubernetes_version.clone(),
        profile: plan.profile.clone(),
    });
    if !plan.scenarios.is_empty() {
        found?;
    }
    let folder = RunFolder::create(&options.run)
        .map_err(|error| format!("the run's own folder could not be made: {error}"))?;
    run(plan, options, Arc::new(folder), progress).await.map_err(|error| error.to_string())
}

/// Looks for what a kind cluster needs, and says how to get what is missing.
async fn found() -> Result<String, String> {
    let engine = Engine::version().await.map_err(|error| {
        format!(
            "no Docker engine answers. Install one (https://docs.docker.com/engine/install/) \
             or start it; `docker version` shows whether it answers.\n{error}"
        )
    })?;
    let kind = cluster::kind_version().await.map_err(|error| {
        format!(
            "kind is not there. Install it (https://kind.sigs.k8s.io/docs/user/quick-start/) \
             and put it on the PATH.\n{error}"
        )
    })?;
    Ok(format!("Docker {engine} and kind {kind} answer"))
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
    let removed = cluster::remove(run).await.map_err(|error| error.to_string());
    match removed.and_then(|_| folder.remove().map_err(|error| error.to_string())) {
        Ok(()) => ("Cluster deleted, nothing left behind.".to_owned(), true),
        Err(error) => (format!("LEFT BEHIND: {error}\n`brinell sweep {run}` tries again."), false),
    }
}
