//! A proof: validated without a cluster, then conducted.

use std::process::ExitCode as Code;
use std::time::{Duration, Instant};

use brinell::catalog::{Entry, did_you_mean};
use brinell::cli::ProveArguments;
use brinell::cluster::{Choice, ClusterKind};
use brinell::prove::{Place, Trials, prove};
use brinell::run::{Options, Plan, Progress};
use brinell::text;

use super::conduct::{Made, begun, conduct, options, reporters};
use super::{catalog, chosen};

/// How long a proof may take altogether.
const DEADLINE: Duration = Duration::from_secs(3600);

/// Validates what can be validated without a cluster, then proves.
pub async fn start(arguments: ProveArguments) -> Result<Code, String> {
    let started = Instant::now();
    let catalog = catalog(&arguments.selection)?;
    let (mut entries, profile) = chosen(&catalog, &arguments.selection)?;
    if let Some(unknown) = arguments.control.iter().find(|id| !catalog.controls.contains_key(*id)) {
        let hint = did_you_mean(unknown, catalog.controls.keys().map(String::as_str));
        return Err(format!("there is no control `{unknown}`; {hint}"));
    }
    entries.retain(|entry| tests_one_of(entry, &arguments.control));
    let choice = Choice::make(arguments.selection.cluster).await;
    let options = options(&arguments.conditions, &arguments.output, choice.kind, DEADLINE)?;
    let reporters = reporters(&arguments.output)?;
    let plan = Plan::new(&catalog, &profile, choice.kind, entries);
    let trials = Trials::new(&plan, &arguments.control);
    let clusters = arguments.clusters.map_or_else(|| side_by_side(choice.kind), usize::from);
    let clusters = clusters.min(trials.trials.len());
    let work = async |made: &Made, progress: &Progress| {
        begin(&plan, &trials, &options, &choice, clusters, made, progress).await
    };
    Ok(conduct(work, &arguments.output, false, reporters, started).await)
}

/// A scenario of none of the chosen controls can tell nothing.
fn tests_one_of(entry: &Entry, controls: &[String]) -> bool {
    let tested = entry.controls();
    controls.is_empty() || controls.iter().any(|control| tested.contains(control.as_str()))
}

/// A second embedded cluster costs little; a second node costs as much as the first.
fn side_by_side(kind: ClusterKind) -> usize {
    match kind {
        ClusterKind::Kind => 1,
        ClusterKind::Embedded => 2,
    }
}

/// Says what is begun, and proves.
async fn begin(
    plan: &Plan<'_>,
    trials: &Trials<'_>,
    options: &Options,
    choice: &Choice,
    clusters: usize,
    made: &Made,
    progress: &Progress,
) -> Result<Duration, String> {
    let mut runs = vec![options.run.clone()];
    runs.extend((1..clusters).map(|_| text::random_hex(3)));
    progress.tell(begun(runs.join(" and "), choice, options, plan));
    if let Some(missing) = &choice.missing {
        return Err(missing.clone());
    }
    let mut places = Vec::new();
    if !trials.trials.is_empty() {
        for run in runs {
            let folder = made.folder(&run)?;
            places.push(Place { run, folder });
        }
    }
    prove(plan, trials, options, &places, progress).await.map_err(|error| error.to_string())
}
