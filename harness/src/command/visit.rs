//! A run on an existing cluster: reached before anything is planned, because what runs depends on what can be seen there.

use std::time::{Duration, Instant};

use brinell::catalog::{Catalog, Entry, Ground, Grounded, ProfileEntry, Values, select};
use brinell::cli::{ExistingArguments, RunArguments, Selection};
use brinell::cluster::{Existing, Pace, ReachError, Way, namespace_prefix};
use brinell::model::{RunEvent, WaiverEntry, Whereabouts};
use brinell::report::ExitCode;
use brinell::run::{self, Plan, Progress, Visit};
use brinell::text;
use k8s_openapi::jiff::Timestamp;

use super::Error;
use super::conduct::{Made, conduct, reporter};

/// How long the scenarios may take altogether.
const DEADLINE: Duration = Duration::from_secs(1800);

/// An existing cluster with the catalog as it is tried there.
pub struct Reached {
    /// The cluster.
    pub existing: Existing,
    /// What is tried there.
    pub grounded: Grounded,
    /// What only this run knows.
    pub values: Values,
    /// Why the log that the profile names is of no use; `None` if it is read, or none is named.
    pub unread: Option<String>,
    /// Whether pods of ours run there.
    pub with_pods: bool,
}

/// Where the existing cluster is that arguments or the profile name; `None` if neither does.
pub fn whereabouts(
    selection: &Selection,
    arguments: &ExistingArguments,
    profile: &ProfileEntry,
) -> Option<Whereabouts> {
    if selection.cluster.is_some() {
        return None;
    }
    let there = profile.profile.cluster.clone().unwrap_or_default();
    let context = arguments.context.clone().or(there.context)?;
    Some(Whereabouts {
        context: Some(context),
        kubeconfig: arguments.kubeconfig.clone().or(there.kubeconfig),
        image: arguments.image.clone().or(there.image),
        pull_secret: there.pull_secret,
        namespace_labels: there.namespace_labels,
    })
}

/// Reaches the cluster and moves the catalog there, for the run of this id.
pub async fn reach(
    catalog: &Catalog,
    profile: &ProfileEntry,
    whereabouts: Whereabouts,
    arguments: &ExistingArguments,
    run: &str,
) -> Result<Reached, Error> {
    let Whereabouts { context, kubeconfig, image, pull_secret, .. } = whereabouts;
    let allowed = arguments.allow_production.as_deref();
    let way = Way { kubeconfig, context: context.unwrap_or_default() };
    let pace = Pace::of(arguments.rate);
    let mut existing = Existing::reach(way, image.as_deref(), pace, allowed).await?;
    if let Some(from) = &pull_secret {
        existing.read_pull_secret(from).await.map_err(ReachError::from)?;
    }
    let values = run::values(run, &existing.access.image).map_err(run::StageError::from)?;
    let unread = match &profile.profile.audit {
        Some(source) => existing.read_log(source, run, &values.canary).await?,
        None => None,
    };
    let ground = Ground { prefix: namespace_prefix(run), sees_log: existing.sight.log.is_some() };
    let grounded = catalog.on(&ground, profile)?;
    Ok(Reached { existing, grounded, values, unread, with_pods: image.is_some() })
}

impl Reached {
    /// What runs there of what is selected.
    pub fn plan(&self, selection: &Selection) -> Result<Plan<'_>, Error> {
        let Grounded { catalog, profile, .. } = &self.grounded;
        let Selection { scenario, tag, skip, .. } = selection;
        let selected: Vec<&Entry> = select(catalog, scenario, tag, skip)?;
        Ok(Plan::new(catalog, profile, self.existing.lacks(self.with_pods), selected))
    }
}

/// Runs there.
pub async fn start(
    arguments: RunArguments,
    waivers: Vec<WaiverEntry>,
    catalog: &Catalog,
    profile: &ProfileEntry,
    whereabouts: Whereabouts,
) -> Result<ExitCode, Error> {
    let started = Instant::now();
    let reporter = reporter(&arguments.output)?.waiving(waivers);
    let run = text::random_hex(3);
    let reached = reach(catalog, profile, whereabouts, &arguments.existing, &run).await?;
    let visit = Visit {
        with_pods: reached.with_pods,
        jobs: arguments.conditions.jobs.into(),
        deadline: arguments.conditions.deadline.map_or(DEADLINE, Duration::from_secs),
    };
    let work = async |made: &Made, progress: &Progress| {
        begin(reached, &arguments, &visit, made, progress).await
    };
    conduct(work, &arguments.output, false, reporter, started).await
}

/// Says where, and runs.
async fn begin(
    reached: Reached,
    arguments: &RunArguments,
    visit: &Visit,
    made: &Made,
    progress: &Progress,
) -> Result<Duration, Error> {
    let plan = reached.plan(&arguments.selection)?;
    progress.tell(RunEvent::Started {
        run: reached.values.run.clone(),
        at: format!("{:.0}", Timestamp::now()),
        cluster: format!("existing ({})", reached.existing.way.context),
        kubernetes: reached.existing.version.trim_start_matches('v').to_owned(),
        profile: plan.profile.clone(),
    });
    let mut told = reached.existing.told();
    told.extend(reached.unread.iter().flat_map(|why| [": ", why]));
    let reaching = async { Ok::<_, Error>(((), told)) };
    progress.step("cluster", "reaching it", reaching).await?;
    run::skip(&plan, arguments.output.require_all, progress);
    if plan.scenarios.is_empty() {
        return Ok(Duration::ZERO);
    }
    let folder = made.folder(&reached.values.run)?;
    let Reached { existing, grounded, values, .. } = &reached;
    existing.mark(&folder).map_err(run::StageError::from)?;
    run::visit(&plan, grounded, existing, values.clone(), visit, progress).await?;
    Ok(Duration::ZERO)
}
