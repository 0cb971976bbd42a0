//! A proof: validated without a cluster, then conducted.

use std::time::{Duration, Instant};

use brinell::catalog::{Entry, did_you_mean};
use brinell::cli::ProveArguments;
use brinell::cluster::Choice;
use brinell::prove::{LaneRun, Trials, Who, about, prove};
use brinell::report::ExitCode;
use brinell::run::{Options, Plan, Progress};
use brinell::text;

use super::conduct::{Made, begun, conduct, options, reporter};
use super::{Error, catalog, chosen};

/// How long a proof may take altogether.
const DEADLINE: Duration = Duration::from_secs(3600);

/// Validates what can be validated without a cluster, then proves.
pub async fn start(arguments: ProveArguments) -> Result<ExitCode, Error> {
    let started = Instant::now();
    let catalog = catalog(&arguments.selection.catalogs)?;
    let (mut entries, profile) = chosen(&catalog, &arguments.selection)?;
    if let Some(unknown) = arguments.control.iter().find(|id| !catalog.controls.contains_key(*id)) {
        let hint = did_you_mean(unknown, catalog.controls.keys().map(String::as_str));
        return Err(Error::UnknownControl { id: unknown.clone(), hint });
    }
    let controls = match arguments.selection.only_mine && arguments.control.is_empty() {
        true => about(&entries),
        false => arguments.control.clone(),
    };
    entries.retain(|entry| tests_one_of(entry, &controls));
    let choice = Choice::make(arguments.selection.cluster).await;
    let manner = arguments.conditions.limits.manner(DEADLINE);
    let options = options(&arguments.conditions, choice.cluster, manner)?;
    let reporter = reporter(&arguments.output)?;
    let plan = Plan::new(&catalog, &profile, choice.cluster, entries);
    let who = if arguments.only_expected { Who::Expected } else { Who::Everybody };
    let trials = Trials::new(&plan, &controls, who);
    let clusters = arguments.clusters.map_or_else(|| choice.cluster.side_by_side(), usize::from);
    let clusters = clusters.min(trials.trials.len());
    let work = async |made: &Made, progress: &Progress| {
        begin(&plan, trials, &options, choice, clusters, made, progress).await
    };
    Ok(conduct(work, &arguments.output, false, reporter, started).await?.code)
}

/// Whether a scenario tests one of the chosen controls; others show nothing of them.
fn tests_one_of(entry: &Entry, controls: &[String]) -> bool {
    let tested = entry.scenario.controls();
    controls.is_empty() || controls.iter().any(|control| tested.contains(control.as_str()))
}

/// Says what is begun, and proves.
async fn begin(
    plan: &Plan<'_>,
    trials: Trials<'_>,
    options: &Options,
    choice: Choice,
    clusters: usize,
    made: &Made,
    progress: &Progress,
) -> Result<Duration, Error> {
    let mut runs = vec![options.run.clone()];
    runs.extend((1..clusters).map(|_| text::random_hex(3)));
    progress.tell(begun(runs.join(" and "), &choice, options, plan));
    if let Some(missing) = choice.missing {
        return Err(missing.into());
    }
    let mut lane_runs = Vec::new();
    if !trials.trials.is_empty() {
        for run in runs {
            let folder = made.folder(&run)?;
            lane_runs.push(LaneRun { run, folder });
        }
    }
    Ok(prove(plan, trials, options, &lane_runs, progress).await?)
}
