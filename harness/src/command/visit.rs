//! A run on an existing cluster: reached before anything is planned, because what runs depends on what can be seen there.

use std::time::{Duration, Instant};

use brinell::catalog::{Catalog, Grantee, Ground, Grounded, Lacks, ProfileEntry, Values};
use brinell::cli::{ExistingArguments, PlanArguments, RunArguments, Selection};
use brinell::cluster::{Existing, Pace, PullCredentials, ReachError, Way, lacks, namespace_prefix};
use brinell::model::{AuditSource, Context, RunEvent, WaiverEntry, Whereabouts};
use brinell::report::ExitCode;
use brinell::run::{self, Plan, Progress, Visit};
use brinell::text;
use k8s_openapi::jiff::Timestamp;

use super::conduct::{Made, conduct, reporter};
use super::{Error, selected};

/// How long the scenarios may take altogether.
const DEADLINE: Duration = Duration::from_secs(1800);

/// How many requests a second are sent at most, where nothing else is said: others use the cluster too.
const RATE: u32 = 20;

/// An existing cluster with the catalog as it is tried there.
pub struct Reached {
    /// The cluster.
    pub existing: Existing,
    /// What is tried there.
    grounded: Grounded,
    /// What the cluster does not have.
    lacks: Lacks,
    /// Whether pods of ours run there.
    with_pods: bool,
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

/// Reaches the cluster.
async fn reach(place: Place, arguments: &ExistingArguments) -> Result<Existing, Error> {
    let Place { way, image } = place;
    let allowed = arguments.allow_production.as_deref();
    let pace = Pace::of(arguments.rate.unwrap_or(RATE));
    Ok(Existing::reach(way, image.as_deref(), pace, allowed).await?)
}

/// Reaches the cluster for a plan. Its log is not opened: a plan reads nothing of it.
pub async fn look(
    catalog: &Catalog,
    profile: &ProfileEntry,
    place: Place,
    arguments: &ExistingArguments,
) -> Result<Reached, Error> {
    let with_pods = place.image.is_some();
    let existing = reach(place, arguments).await?;
    // Nothing is made: the id only shows what namespaces would be called.
    let run = text::random_hex(3);
    Reached::new(catalog, profile, existing, &run, names_log(profile), with_pods)
}

/// Whether a profile says where the cluster's log comes from.
fn names_log(profile: &ProfileEntry) -> bool {
    profile.profile.audit.as_ref().is_some_and(AuditSource::is_there)
}

/// Roles with what a run would need of brinell's own, bound to somebody. It takes no cluster.
pub fn roles(
    catalog: &Catalog,
    profile: &ProfileEntry,
    arguments: &PlanArguments,
    grantee: &Grantee,
) -> Result<String, Error> {
    let there = profile.profile.cluster.as_ref();
    let with_pods =
        arguments.existing.image.is_some() || there.is_some_and(|it| it.image.is_some());
    let sees_log = names_log(profile);
    let ground = Ground { prefix: namespace_prefix("run"), sees_log, kubeconfig: None };
    let grounded = catalog.on(&ground, profile)?;
    let plan = plan(&grounded, lacks("", sees_log, with_pods), &arguments.selection)?;
    Ok(grounded.warrant(&plan.scenarios, with_pods).manifest(grantee))
}

/// What runs of what is selected.
fn plan<'a>(
    grounded: &'a Grounded,
    lacks: Lacks,
    selection: &Selection,
) -> Result<Plan<'a>, Error> {
    let Grounded { catalog, profile, .. } = grounded;
    Ok(Plan::new(catalog, profile, lacks, selected(catalog, selection)?))
}

impl Reached {
    /// Moves the catalog there, for the run of this id.
    fn new(
        catalog: &Catalog,
        profile: &ProfileEntry,
        existing: Existing,
        run: &str,
        sees_log: bool,
        with_pods: bool,
    ) -> Result<Reached, Error> {
        let kubeconfig = existing.way.kubeconfig().cloned();
        let ground = Ground { prefix: namespace_prefix(run), sees_log, kubeconfig };
        let grounded = catalog.on(&ground, profile)?;
        let lacks = lacks(existing.way.name(), sees_log, with_pods);
        Ok(Reached { existing, grounded, lacks, with_pods })
    }

    /// What runs there of what is selected, as far as it can be told without asking.
    pub fn plan(&self, selection: &Selection) -> Result<Plan<'_>, Error> {
        plan(&self.grounded, self.lacks.clone(), selection)
    }

    /// Asks the cluster for the rights that the plan needs, and skips what lacks any. Returns how many questions that took.
    pub async fn ask(&self, plan: &mut Plan<'_>) -> Result<usize, Error> {
        if plan.scenarios.is_empty() {
            return Ok(0);
        }
        let warrant = self.grounded.warrant(&plan.scenarios, self.with_pods);
        let unmet = self.existing.unmet(&warrant).await?;
        plan.skip(&unmet.why);
        Ok(unmet.asked)
    }

    /// Reads what the nodes pull our image with, once it is known that it may be read; `None` if they need nothing.
    pub async fn pull_credentials(&self) -> Result<Option<PullCredentials>, Error> {
        let says = self.grounded.profile.profile.cluster.as_ref();
        match says.and_then(|it| it.pull_secret.as_ref()) {
            Some(from) => {
                let read = self.existing.pull_credentials(from).await;
                Ok(Some(read.map_err(ReachError::from)?))
            }
            None => Ok(None),
        }
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
    let with_pods = place.image.is_some();
    let mut existing = reach(place, &arguments.existing).await?;
    let values = run::values(&run, &existing.access.image).map_err(run::StageError::from)?;
    let unread = match &profile.profile.audit {
        Some(source) => existing.read_log(source, &run, &values.canary).await?,
        None => None,
    };
    let sees_log = existing.sight.log.is_some();
    let reached = Reached::new(catalog, profile, existing, &run, sees_log, with_pods)?;
    let work = async |made: &Made, progress: &Progress| {
        begin(&reached, values, unread, &arguments, made, progress).await
    };
    conduct(work, &arguments.output, false, reporter, started).await
}

/// Says where, and runs.
async fn begin(
    reached: &Reached,
    values: Values,
    unread: Option<String>,
    arguments: &RunArguments,
    made: &Made,
    progress: &Progress,
) -> Result<Duration, Error> {
    let Reached { existing, grounded, .. } = reached;
    let mut plan = reached.plan(&arguments.selection)?;
    progress.tell(RunEvent::Started {
        run: values.run.clone(),
        at: format!("{:.0}", Timestamp::now()),
        cluster: format!("existing ({})", existing.way.name()),
        kubernetes: existing.version.trim_start_matches('v').to_owned(),
        profile: plan.profile.clone(),
    });
    let mut told = format!("{}, {}", existing.told(), existing.told_log());
    told.extend(unread.iter().flat_map(|why| [": ", why]));
    let reaching = async { Ok::<_, Error>(((), told)) };
    progress.step("cluster", "reaching it", reaching).await?;
    let asking = async {
        let asked = reached.ask(&mut plan).await?;
        Ok::<_, Error>(((), text::count(asked, "question")))
    };
    progress.step("rights", "asking what brinell may do", asking).await?;
    run::skip(&plan, arguments.output.require_all, progress);
    if plan.scenarios.is_empty() {
        return Ok(Duration::ZERO);
    }
    let visit = Visit {
        with_pods: reached.with_pods,
        pull: reached.pull_credentials().await?,
        jobs: arguments.conditions.jobs.into(),
        deadline: arguments.conditions.deadline.map_or(DEADLINE, Duration::from_secs),
    };
    let folder = made.folder(&values.run)?;
    existing.mark(&folder).map_err(run::StageError::from)?;
    run::visit(&plan, grounded, existing, values, &visit, progress).await?;
    Ok(Duration::ZERO)
}
