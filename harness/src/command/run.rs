//! A run: validated without a cluster, then conducted.

use std::process::ExitCode as Code;
use std::time::{Duration, Instant};

use brinell::catalog::Catalog;
use brinell::cli::RunArguments;
use brinell::cluster::{Choice, ClusterKind};
use brinell::report::ExitCode;
use brinell::run::{self, Options, Plan, Progress, RunEvent};
use brinell::text;

use super::conduct::{Made, conduct, node_image, reporters};
use super::{chosen, fail};

/// How long the scenarios of a run may take altogether.
const DEADLINE: Duration = Duration::from_secs(600);

/// Validates what can be validated without a cluster, then runs.
pub async fn start(arguments: RunArguments) -> Code {
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
    let node_image = match node_image(&arguments.conditions, choice.kind) {
        Ok(image) => image,
        Err(message) => return fail(ExitCode::Usage, &message),
    };
    if arguments.keep && choice.kind == ClusterKind::Embedded {
        let message = "an embedded cluster ends with its run; --keep needs --cluster kind";
        return fail(ExitCode::Usage, message);
    }
    let reporters = match reporters(&arguments.output) {
        Ok(reporters) => reporters,
        Err(message) => return fail(ExitCode::Usage, &message),
    };
    let plan = Plan::new(&catalog, &profile, choice.kind, entries);
    let options = Options {
        run: text::random_hex(3),
        cluster: choice.kind,
        kubernetes: arguments.conditions.kubernetes_version.clone(),
        node_image,
        require_all: arguments.output.require_all,
        jobs: arguments.conditions.jobs.into(),
        deadline: arguments.conditions.deadline.map_or(DEADLINE, Duration::from_secs),
    };
    let work = async |made: &Made, progress: &Progress| {
        begin(&plan, &options, &choice, made, progress).await
    };
    conduct(work, &arguments.output, arguments.keep, reporters, started).await
}

/// Says what is begun, and runs.
async fn begin(
    plan: &Plan<'_>,
    options: &Options,
    choice: &Choice,
    made: &Made,
    progress: &Progress,
) -> Result<Duration, String> {
    progress.tell(RunEvent::Started {
        run: options.run.clone(),
        cluster: format!("{} ({})", choice.kind.name(), choice.why),
        kubernetes: options.kubernetes.clone(),
        profile: plan.profile.clone(),
    });
    run::skip(plan, options, progress);
    if plan.scenarios.is_empty() {
        return Ok(Duration::ZERO);
    }
    if let Some(missing) = &choice.missing {
        return Err(missing.clone());
    }
    let folder = made.folder(&options.run)?;
    let making =
        run::run(plan, options, folder, progress).await.map_err(|error| error.to_string())?;
    Ok(making)
}
