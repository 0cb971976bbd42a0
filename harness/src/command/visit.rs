//! A run on an existing cluster: reached before anything is planned, because what runs depends on what can be seen there.

use std::time::{Duration, Instant};

use brinell::catalog::{Catalog, Entry, Ground, Grounded, ProfileEntry, Values, select};
use brinell::cli::{ExistingArguments, RunArguments, Selection};
use brinell::cluster::{Existing, Pace, Way, namespace_prefix};
use brinell::model::{Context, RunEvent, WaiverEntry, Whereabouts};
use brinell::report::ExitCode;
use brinell::run::{self, Plan, Progress, Visit};
use brinell::text;
use k8s_openapi::jiff::Timestamp;

use super::Error;
use super::conduct::{Made, conduct, reporter};

/// How long the scenarios may take altogether.
const DEADLINE: Duration = Duration::from_secs(1800);

/// How many requests a second are sent at most, where nothing else is said: others use the cluster too.
const RATE: u32 = 20;

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

/// Where the existing cluster is, and what may be used there.
pub struct Place {
    /// How it is found.
    way: Way,
    /// The image of our own executable, as its nodes can pull it.
    image: Option<String>,
}

impl Place {
    /// The place that arguments or what the profile says of its cluster name; `None` if neither does.
    ///
    /// # Errors
    /// When an argument says nothing of such a place.
    pub fn of(
        selection: &Selection,
        arguments: &ExistingArguments,
        says: &Whereabouts,
    ) -> Result<Option<Place>, Error> {
        let way = selection.cluster.is_none().then(|| way(arguments, says)).flatten();
        see_meant(arguments, way.as_ref())?;
        let image = arguments.image.as_ref().or(says.image.as_ref()).cloned();
        Ok(way.map(|way| Place { way, image }))
    }
}

/// How the cluster is found. What an argument says stands before what the profile says.
fn way(arguments: &ExistingArguments, says: &Whereabouts) -> Option<Way> {
    if arguments.in_cluster || arguments.context.is_none() && says.in_cluster {
        return Some(Way::InCluster);
    }
    let context = arguments.context.as_ref().or(says.context.as_ref())?.clone();
    let kubeconfig = arguments.kubeconfig.as_ref().or(says.kubeconfig.as_ref()).cloned();
    Some(Way::Context(Context { kubeconfig, context }))
}

/// Sees that no argument is given of which nothing would come.
fn see_meant(arguments: &ExistingArguments, way: Option<&Way>) -> Result<(), Error> {
    let ExistingArguments { kubeconfig, image, rate, allow_production, .. } = arguments;
    let has_context = matches!(way, Some(Way::Context(_)));
    let given = [
        ("kubeconfig", kubeconfig.is_some() && !has_context),
        ("allow-production", allow_production.is_some() && !has_context),
        ("image", image.is_some() && way.is_none()),
        ("rate", rate.is_some() && way.is_none()),
    ];
    match given.into_iter().find(|(_, is_vain)| *is_vain) {
        Some((flag, _)) => Err(Error::NoPlace { flag }),
        None => Ok(()),
    }
}

/// Reaches the cluster and moves the catalog there, for the run of this id.
pub async fn reach(
    catalog: &Catalog,
    profile: &ProfileEntry,
    place: Place,
    arguments: &ExistingArguments,
    run: &str,
) -> Result<Reached, Error> {
    let Place { way, image } = place;
    let allowed = arguments.allow_production.as_deref();
    let pace = Pace::of(arguments.rate.unwrap_or(RATE));
    let mut existing = Existing::reach(way, image.as_deref(), pace, allowed).await?;
    let values = run::values(run, &existing.access.image).map_err(run::StageError::from)?;
    let unread = match &profile.profile.audit {
        Some(source) => existing.read_log(source, run, &values.canary).await?,
        None => None,
    };
    let ground = Ground {
        prefix: namespace_prefix(run),
        sees_log: existing.sight.log.is_some(),
        kubeconfig: existing.way.kubeconfig().cloned(),
    };
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
    place: Place,
) -> Result<ExitCode, Error> {
    let started = Instant::now();
    let reporter = reporter(&arguments.output)?.waiving(waivers);
    let run = text::random_hex(3);
    let reached = reach(catalog, profile, place, &arguments.existing, &run).await?;
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
        cluster: format!("existing ({})", reached.existing.way.name()),
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
