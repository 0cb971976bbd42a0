//! The `brinell` command: arguments, one runtime, a command, an exit code.

mod command;

use std::process::ExitCode as Code;

use brinell::catalog::Catalog;
use brinell::cli::{Cli, Command, Output};
use brinell::pod;
use brinell::report::ExitCode;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser};
use command::{
    Error, assets, compare, complain, image, list, merge, new, print, prove, refuse, rehearse,
    report, reported, run, see_apart, sweep, trend, upgrade,
};

fn main() -> Code {
    parse().and_then(follow).unwrap_or_else(|error| {
        complain(&error);
        error.code().into()
    })
}

/// Does what the arguments say. What runs inside pods or beside a cluster has exit codes of its own.
fn follow(cli: Cli) -> Result<Code, Error> {
    let ended = match cli.command {
        Some(Command::InCluster(work)) => return Ok(work.run()),
        Some(Command::Supervise(supervision)) => {
            return supervision.supervise().map_err(Error::Supervise);
        }
        Some(Command::Tied(tied)) => {
            let program = tied.program();
            Err(Error::Tied { program, cause: tied.tie() })
        }
        Some(Command::PlugIn(plug_in)) => {
            in_runtime(async { print(&plug_in.run().await.map_err(Error::PlugIn)?) })
        }
        Some(Command::Assets { work, kubernetes_version }) => {
            in_runtime(assets::handle(work, kubernetes_version))
        }
        Some(Command::New(arguments)) => new::new(&arguments),
        Some(Command::Docs { folder }) => list::docs(folder),
        Some(Command::Schema { kind }) => print(kind.schema().as_bytes()),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "brinell", &mut script);
            print(&script)
        }
        Some(Command::Explain(arguments)) => list::explain(&arguments),
        Some(Command::Plan(arguments)) => in_runtime(list::plan(arguments)),
        Some(Command::Prove(arguments)) => {
            let output = arguments.output.clone();
            see_apart(&output.reports, &arguments.selection.reads())?;
            in_runtime(async { reported(prove::start(arguments).await, &output) })
        }
        Some(Command::Image { file, executable }) => image::image(&file, executable.as_deref()),
        Some(Command::Merge(arguments)) => {
            see_apart(&arguments.reports, &arguments.results)?;
            let output = Output { reports: arguments.reports.clone(), ..Output::default() };
            reported(merge::merge(&arguments), &output)
        }
        Some(Command::Compare { before, after, r#as }) => compare::compare(&before, &after, r#as),
        Some(Command::Upgrade(arguments)) => in_runtime(upgrade::upgrade(arguments)),
        Some(Command::Rehearse(arguments)) => in_runtime(rehearse::rehearse(*arguments)),
        Some(Command::Trend { results, r#as }) => trend::trend(&results, r#as),
        Some(Command::Report { results, r#as }) => report::print_as(&results, r#as),
        Some(Command::Sweep(arguments)) => in_runtime(sweep::sweep(arguments)),
        None if cli.run.list.is_some() => list::list(&cli.run),
        None => {
            let output = cli.run.output.clone();
            see_apart(&output.reports, &cli.run.reads())?;
            in_runtime(async { reported(run::start(cli.run).await, &output) })
        }
    };
    ended.map(Code::from)
}

/// Reads the arguments. In our image `probe` is another name for `brinell in-cluster probe`.
fn parse() -> Result<Cli, Error> {
    let arguments: Vec<_> = std::env::args_os().collect();
    if arguments.first().is_some_and(|name| pod::invoked_as_probe(name)) {
        let prefix = ["brinell", "in-cluster", "probe"].map(Into::into);
        return Ok(Cli::parse_from(prefix.into_iter().chain(arguments.into_iter().skip(1))));
    }
    Cli::try_parse_from(&arguments).map_err(|error| {
        let meant = meant(&error);
        if error.use_stderr() {
            let words = meant.as_ref().map_or_else(|| error.to_string(), ToString::to_string);
            refuse(&Output::of_broken(&arguments), &words);
        }
        meant.unwrap_or_else(|| error.exit())
    })
}

/// What to write in the place of what was given, where that is known better than by its letters.
fn meant(error: &clap::Error) -> Option<Error> {
    let invalid = error.get(ContextKind::InvalidArg).map(ToString::to_string);
    if invalid.is_some_and(|it| it.starts_with("--scenarios")) {
        return Some(Error::OldScenarios);
    }
    scenario(error).map(|id| Error::BareScenario(id.to_owned()))
}

/// The scenario that was given where no argument, or another one, belongs.
fn scenario(error: &clap::Error) -> Option<&str> {
    let catalog = Catalog::load(None).ok()?;
    error.context().find_map(|(_, value)| match value {
        ContextValue::String(word) => {
            catalog.scenarios.iter().any(|entry| entry.id == *word).then_some(word.as_str())
        }
        _ => None,
    })
}

fn in_runtime(work: impl Future<Output = Result<ExitCode, Error>>) -> Result<ExitCode, Error> {
    let runtime = tokio::runtime::Runtime::new().map_err(Error::Runtime)?;
    let ended = runtime.block_on(work);
    // Whoever reads standard input cannot be waited for until it ends.
    runtime.shutdown_background();
    ended
}
