//! A run: validated without a cluster, then conducted.

use std::time::{Duration, Instant};

use brinell::cli::RunArguments;
use brinell::cluster::Choice;
use brinell::report::{ExitCode, KeptLines};
use brinell::run::{self, Options, Plan, Progress};

use super::conduct::{Made, begun, conduct, options, reporter};
use super::{Asked, Error, asked, catalog, visit};

/// How long the scenarios of a run may take altogether.
pub(super) const DEADLINE: Duration = Duration::from_secs(600);

/// Validates what can be validated without a cluster, then runs.
pub async fn start(arguments: RunArguments) -> Result<ExitCode, Error> {
    let started = Instant::now();
    let catalog = catalog(&arguments.selection.catalogs)?;
    let waivers = arguments.expected.as_deref().map(|path| catalog.waivers(path)).transpose()?;
    let waivers = waivers.unwrap_or_default();
    let Asked { entries, profile, place } =
        asked(&catalog, &arguments.selection, &arguments.existing)?;
    if let Some(place) = place {
        if let Some(flag) = arguments.of_own() {
            return Err(Error::OnlyOwn { flag });
        }
        return visit::start(arguments, waivers, &catalog, &profile, place).await;
    }
    let choice = Choice::make(arguments.selection.cluster).await;
    let options = options(&arguments.conditions, choice.cluster, arguments.manner(DEADLINE))?;
    if arguments.keep {
        choice.cluster.see_keepable()?;
    }
    let lines = arguments.keep_evidence.as_deref().map(KeptLines::open).transpose()?;
    let reporter = reporter(&arguments.output)?.waiving(waivers).keeping(lines);
    let plan = Plan::new(&catalog, &profile, choice.cluster, entries).without_bystanders(&catalog);
    let work = async |made: &Made, progress: &Progress| {
        begin(&plan, &options, choice, made, progress).await
    };
    Ok(conduct(work, &arguments.output, arguments.keep, reporter, started).await?.code)
}

/// Says what is begun, and runs.
pub(super) async fn begin(
    plan: &Plan<'_>,
    options: &Options,
    choice: Choice,
    made: &Made,
    progress: &Progress,
) -> Result<Duration, Error> {
    progress.tell(begun(options.run.clone(), &choice, options, plan));
    run::skip(&plan.skipped, options.manner.require_all, progress);
    if plan.scenarios.is_empty() {
        return Ok(Duration::ZERO);
    }
    if let Some(missing) = choice.missing {
        return Err(missing.into());
    }
    let folder = made.folder(&options.run)?;
    Ok(run::run(plan, options, folder, progress).await?)
}
