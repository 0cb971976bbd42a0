//! The `brinell` command: arguments, one runtime, a command, an exit code.

mod command;

use std::process::ExitCode as Code;

use brinell::catalog::Catalog;
use brinell::cli::{Cli, Command, Output};
use brinell::pod;
use brinell::report::ExitCode;
use clap::error::ContextValue;
use clap::{CommandFactory, Parser};
use command::{assets, code, fail, list, print, prove, refuse, report, reported, run, sweep};

fn main() -> Code {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match cli.command {
        Some(Command::InCluster(work)) => work.run(),
        Some(Command::Supervise(supervision)) => supervision.supervise().unwrap_or_else(|error| {
            fail(ExitCode::Broken, &format!("a program could not be supervised: {error}"))
        }),
        Some(Command::Tied(tied)) => {
            let program = tied.program();
            let error = tied.tie();
            fail(ExitCode::Broken, &format!("{program} could not be started: {error}"))
        }
        Some(Command::Assets { work, kubernetes_version }) => {
            in_runtime(assets::handle(work, kubernetes_version))
        }
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "brinell", &mut script);
            print(&script)
        }
        Some(Command::Explain { id }) => code(list::explain(&id)),
        Some(Command::Plan(selection)) => in_runtime(async { code(list::plan(selection).await) }),
        Some(Command::Prove(arguments)) => {
            let output = arguments.output.clone();
            in_runtime(async { reported(prove::start(arguments).await, &output) })
        }
        Some(Command::Report { results }) => report::markdown(&results),
        Some(Command::Sweep { run }) => in_runtime(sweep::sweep(run)),
        None if cli.run.list.is_some() => code(list::list(&cli.run)),
        None => {
            let output = cli.run.output.clone();
            in_runtime(async { reported(run::start(cli.run).await, &output) })
        }
    }
}

/// Reads the arguments. In our image `probe` is another name for `brinell in-cluster probe`.
fn parse() -> Result<Cli, Code> {
    let arguments: Vec<_> = std::env::args_os().collect();
    if arguments.first().is_some_and(|name| pod::invoked_as_probe(name)) {
        let prefix = ["brinell", "in-cluster", "probe"].map(Into::into);
        return Ok(Cli::parse_from(prefix.into_iter().chain(arguments.into_iter().skip(1))));
    }
    Cli::try_parse_from(&arguments).map_err(|error| {
        if error.use_stderr() {
            refuse(&Output::of_broken(&arguments), &error.to_string());
        }
        match scenario(&error) {
            Some(id) => fail(ExitCode::Usage, &format!("did you mean `brinell --scenario {id}`?")),
            None => error.exit(),
        }
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
