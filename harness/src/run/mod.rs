//! A run, from the plan to its last event.

mod collect;
mod execute;
mod plan;
mod play;
mod progress;
mod send;
mod stage;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use execute::together;
pub use plan::{Plan, needs};
pub use progress::Progress;
use stage::stage;
pub(crate) use stage::{OwnStage, SecondStage, Stage};
pub use stage::{Rehearsal, StageError};

use crate::catalog::{Entry, Grounded, Values};
use crate::cluster::assets::{self, Assets};
use crate::cluster::{
    ClusterType, Existing, Outside, Own, PullCredentials, RunFolder, Wanted, image_name, own,
};
use crate::model::{RunEvent, Verdict};
use crate::pod::guard::certificates;

/// Where webhooks are called on a cluster without nodes.
const LOOPBACK: &str = "127.0.0.1";

/// How many requests an attempt takes at most: it is sent again where it came too soon, each time with a marked one
/// after it.
const REQUESTS: usize = 4;

/// The step in which programs are found.
const ASSETS: &str = "assets";

/// How a run is run.
#[derive(Clone)]
pub struct Options {
    /// The run's id.
    pub run: String,
    /// On which kind of our own clusters.
    pub cluster: ClusterType,
    /// The Kubernetes minor version.
    pub kubernetes: String,
    /// The node image of a cluster with real nodes.
    pub node_image: String,
    /// How its scenarios are run.
    pub manner: Manner,
}

/// How the scenarios of a run are run.
#[derive(Clone, Copy)]
pub struct Manner {
    /// How many at a time.
    pub jobs: usize,
    /// How long they may take altogether.
    pub deadline: Duration,
    /// Whether one that cannot run is inconclusive.
    pub require_all: bool,
    /// Whether the lines of the audit log are kept.
    pub keeps_lines: bool,
}

/// Tells of scenarios that cannot run, and why.
pub fn skip(skipped: &[(&Entry, String)], require_all: bool, progress: &Progress) {
    let verdict = if require_all { Verdict::Inconclusive } else { Verdict::Skipped };
    leave_out(skipped, verdict, progress);
}

fn leave_out(skipped: &[(&Entry, String)], verdict: Verdict, progress: &Progress) {
    for (entry, cause) in skipped {
        let skipped = execute::without_attempts(entry, verdict, cause.clone());
        progress.tell(RunEvent::ScenarioFinished(Box::new(skipped)));
    }
}

/// Makes the cluster, runs the plan's scenarios and returns how long the cluster's own programs took. Whatever becomes
/// of it, the caller tidies up.
pub async fn run(
    plan: &Plan<'_>,
    options: &Options,
    folder: Arc<RunFolder>,
    progress: &Progress,
) -> Result<Duration, StageError> {
    let own = make_stage(plan, options, folder, progress).await?;
    let Manner { jobs, deadline, keeps_lines, .. } = options.manner;
    keep_lines(&own.stage, keeps_lines, progress).await?;
    let deadline = tokio::time::Instant::now() + deadline;
    execute::execute(plan, &own.stage, jobs, deadline, progress).await;
    // What ended meanwhile, and let in what it should refuse, has last words.
    own.stage.while_there(own.see_servers()).await??;
    // Fails if the cluster has ended. This waits for nothing: each scenario would have noticed the end.
    own.stage.while_there(std::future::ready(own.made_in)).await
}

/// How a run on an existing cluster is run.
pub struct Visit {
    /// Where it is written down what is made outside of our own namespaces.
    pub outside: Outside,
    /// Whether the cluster's nodes can have our image, so that pods of ours run.
    pub with_pods: bool,
    /// With what they pull it; `None` if they need nothing.
    pub pull: Option<PullCredentials>,
    /// How its scenarios are run.
    pub manner: Manner,
}

/// Has the log keep its lines, and says so where there is none.
async fn keep_lines(
    stage: &Stage,
    keeps_lines: bool,
    progress: &Progress,
) -> Result<(), StageError> {
    match &stage.world.sight.log {
        Some(log) if keeps_lines => {
            log.keep_lines();
            Ok(())
        }
        None if keeps_lines => {
            let none = "none is kept: there is no audit log here to keep lines of";
            let looking = async { Ok::<_, StageError>(((), none.to_owned())) };
            progress.step("evidence", "looking for the audit log", looking).await
        }
        _ => Ok(()),
    }
}

/// Makes what scenarios act on, on an existing cluster, and runs the plan's scenarios there. Whatever becomes of it,
/// the caller tidies up.
pub async fn visit(
    plan: &mut Plan<'_>,
    grounded: &Grounded,
    existing: &Existing,
    values: Values,
    visit: Visit,
    progress: &Progress,
) -> Result<(), StageError> {
    let Manner { jobs, deadline, require_all, keeps_lines } = visit.manner;
    let mut stage = Stage::on(existing, plan, values, visit.pull, visit.outside).await?;
    let planned = plan.skipped.len();
    let furnishing = async {
        let refusals = stage.furnish(plan, grounded, visit.with_pods).await?;
        plan.skip(&grounded.unmade(&plan.scenarios, &refusals, visit.with_pods));
        stage.settle(plan, grounded, visit.with_pods).await
    };
    let furnishing = async { stage.while_there(furnishing).await? };
    let late = progress.step("staged", "making what scenarios act on", furnishing).await?;
    skip(&plan.skipped[planned..], require_all, progress);
    let refused = plan.skipped.len();
    plan.skip(&late);
    // It may be ready another night: nobody has said that these cannot be tried here.
    leave_out(&plan.skipped[refused..], Verdict::Inconclusive, progress);
    stage.is_used_by(plan, grounded);
    keep_lines(&stage, keeps_lines, progress).await?;
    let deadline = tokio::time::Instant::now() + deadline;
    match &existing.sight.log {
        Some(log) if !log.is_in_order() => {
            log.keep(plan.turns().count() * REQUESTS);
            execute::execute_late(plan, &stage, jobs, deadline, progress).await;
        }
        _ => execute::execute(plan, &stage, jobs, deadline, progress).await,
    }
    stage.while_there(std::future::ready(())).await
}

/// Makes a cluster of our own and sets the stage on it.
pub(crate) async fn make_stage(
    plan: &Plan<'_>,
    options: &Options,
    folder: Arc<RunFolder>,
    progress: &Progress,
) -> Result<OwnStage, StageError> {
    let cluster = not_made(options, folder, progress).await?;
    let values = values(&options.run, &image_name(&options.run), &plan.webhook_hosts())?;
    stage(plan, &options.kubernetes, cluster, values, progress).await
}

/// A cluster of our own that is not made yet.
async fn not_made(
    options: &Options,
    folder: Arc<RunFolder>,
    progress: &Progress,
) -> Result<Arc<dyn Own>, StageError> {
    let Options { run, node_image, kubernetes, .. } = options;
    let wanted = Wanted { run, node_image, folder };
    own(options.cluster, wanted, async || programs(kubernetes, progress).await).await
}

/// Makes a cluster of our own and sets up on it what was captured of one that is there, which the plan has among its
/// controls.
///
/// # Errors
/// When it cannot be made, or what was captured does not act on it.
pub async fn rehearse(
    plan: &Plan<'_>,
    options: &Options,
    folder: Arc<RunFolder>,
    progress: &Progress,
) -> Result<Rehearsal, StageError> {
    let cluster = not_made(options, Arc::clone(&folder), progress).await?;
    let values = values(&options.run, &image_name(&options.run), &plan.webhook_hosts())?;
    Rehearsal::make(plan, &options.kubernetes, cluster, values, folder, progress).await
}

/// Finds the programs of a cluster, and builds those that are missing.
async fn programs(version: &str, progress: &Progress) -> Result<Assets, StageError> {
    let tell = |doing: &str| {
        progress.tell(RunEvent::StepStarted { name: ASSETS.to_owned(), doing: doing.to_owned() });
    };
    let finding = async {
        let found = match assets::find_all(version).await? {
            Ok(found) => found,
            Err(_) => assets::install(version, tell).await?,
        };
        let detail = found.to_string();
        Ok::<_, StageError>((found, detail))
    };
    progress.step(ASSETS, "looking for them", finding).await
}

/// What only this run knows, with a certificate for webhooks that are called by these names.
///
/// # Errors
/// When no certificate can be made.
pub fn values(run: &str, image: &str, hosts: &BTreeSet<String>) -> Result<Values, StageError> {
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).chain([LOOPBACK]).collect();
    let certificates = certificates(&hosts)?;
    let base64 = |text: &str| crate::text::base64(text.as_bytes());
    Ok(Values {
        image: image.to_owned(),
        run: run.to_owned(),
        canary: crate::text::random_hex(16),
        encryption_key: crate::text::base64(&crate::text::random_bytes(32)),
        ca: base64(&certificates.ca),
        cert: base64(&certificates.certificate),
        key: base64(&certificates.key),
        client_cert: base64(&certificates.client_certificate),
        client_key: base64(&certificates.client_key),
    })
}
