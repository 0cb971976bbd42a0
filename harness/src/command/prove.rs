//! A proof: validated without a cluster, then conducted.

use std::process::ExitCode as Code;
use std::time::{Duration, Instant};

use brinell::catalog::{Catalog, Entry, did_you_mean};
use brinell::cli::ProveArguments;
use brinell::cluster::{Choice, ClusterKind};
use brinell::prove::{Place, Trials, prove};
use brinell::report::ExitCode;
use brinell::run::{Options, Plan, Progress, RunEvent};
use brinell::text;

use super::conduct::{Made, conduct, node_image, reporters};
use super::{chosen, fail};

/// How long a proof may take altogether.
const DEADLINE: Duration = Duration::from_secs(3600);

/// Validates what can be validated without a cluster, then proves.
pub async fn start(arguments: ProveArguments) -> Code {
    let started = Instant::now();
    let catalog = match Catalog::load(arguments.selection.scenarios.as_deref()) {
        Ok(catalog) => catalog,
        Err(problems) => return fail(ExitCode::Usage, &problems.to_string()),
    };
    let (mut entries, profile) = match chosen(&catalog, &arguments.selection) {
        Ok(chosen) => chosen,
        Err(message) => return fail(ExitCode::Usage, &message),
    };
    if let Some(unknown) = arguments.control.iter().find(|id| !catalog.controls.contains_key(*id)) {
        let hint = did_you_mean(unknown, catalog.controls.keys().map(String::as_str));
        return fail(ExitCode::Usage, &format!("there is no control `{unknown}`; {hint}"));
    }
    entries.retain(|entry| tests_one_of(entry, &arguments.control));
    let choice = Choice::make(arguments.selection.cluster).await;
    let node_image = match node_image(&arguments.conditions, choice.kind) {
        Ok(image) => image,
        Err(message) => return fail(ExitCode::Usage, &message),
    };
    let reporters = match reporters(&arguments.output) {
        Ok(reporters) => reporters,
        Err(message) => return fail(ExitCode::Usage, &message),
    };
    let plan = Plan::new(&catalog, &profile, choice.kind, entries);
    let trials = Trials::new(&plan, &arguments.control);
    let options = Options {
        run: text::random_hex(3),
        cluster: choice.kind,
        kubernetes: arguments.conditions.kubernetes_version.clone(),
        node_image,
        require_all: arguments.output.require_all,
        jobs: arguments.conditions.jobs.into(),
        deadline: arguments.conditions.deadline.map_or(DEADLINE, Duration::from_secs),
    };
    let clusters = arguments.clusters.map_or_else(|| side_by_side(choice.kind), usize::from);
    let clusters = clusters.min(trials.trials.len());
    let work = async |made: &Made, progress: &Progress| {
        begin(&plan, &trials, &options, &choice, clusters, made, progress).await
    };
    conduct(work, &arguments.output, false, reporters, started).await
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
    progress.tell(RunEvent::Started {
        run: runs.join(" and "),
        cluster: format!("{} ({})", choice.kind.name(), choice.why),
        kubernetes: options.kubernetes.clone(),
        profile: plan.profile.clone(),
    });
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
