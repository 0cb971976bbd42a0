//! A run on an existing cluster: reached before anything is planned, because what runs depends on what can be seen
//! there.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use brinell::catalog::{Catalog, Entry, Grantee, Ground, Grounded, Lacks, ProfileEntry, Values};
use brinell::cli::{Allowance, ExistingArguments, PlanArguments, RunArguments, Selection, There};
use brinell::cluster::{
    Existing, Means, Outside, Pace, PullCredentials, ReachError, Way, lacks, namespace_prefix,
};
use brinell::model::{self, AuditSource, Context, Right, RunEvent, WaiverEntry, Whereabouts};
use brinell::report::{ExitCode, KeptLines};
use brinell::run::{self, Manner, Plan, Progress, Visit};
use brinell::text;
use k8s_openapi::jiff::Timestamp;

use super::conduct::{Made, conduct, reporter};
use super::sweep::told_of;
use super::{Error, selected};

/// How long the scenarios may take altogether.
pub const DEADLINE: Duration = Duration::from_secs(1800);

/// An existing cluster with the catalog as it is tried there.
pub struct Reached {
    /// The cluster.
    pub existing: Existing,
    /// What is tried there.
    pub grounded: Grounded,
    /// What scenarios can have there.
    means: Means,
    /// The run's id.
    run: String,
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
        let way = selection.cluster.is_none().then(|| way(&arguments.there, says)).flatten();
        see_meant(arguments, way.as_ref())?;
        let image = arguments.image.as_ref().or(says.image.as_ref()).cloned();
        Ok(way.map(|way| Place { way, image }))
    }
}

/// How the cluster is found. What an argument says stands before what the profile says.
fn way(there: &There, says: &Whereabouts) -> Option<Way> {
    if there.in_cluster || there.context.is_none() && says.in_cluster {
        return Some(Way::InCluster);
    }
    let context = there.context.as_ref().or(says.context.as_ref())?.clone();
    let kubeconfig = there.kubeconfig.as_ref().or(says.kubeconfig.as_ref()).cloned();
    Some(Way::Context(Context { kubeconfig, context }))
}

/// Sees that no argument is given of which nothing would come.
fn see_meant(arguments: &ExistingArguments, way: Option<&Way>) -> Result<(), Error> {
    let ExistingArguments { there, image, rate, allow, allow_production } = arguments;
    let has_context = matches!(way, Some(Way::Context(_)));
    let given = [
        ("kubeconfig", there.kubeconfig.is_some() && !has_context),
        ("allow-production", allow_production.is_some() && !has_context),
        ("image", image.is_some() && way.is_none()),
        ("rate", rate.is_some() && way.is_none()),
        ("allow", allow.is_some() && way.is_none()),
    ];
    match given.into_iter().find(|(_, is_vain)| *is_vain) {
        Some((flag, _)) => Err(Error::NoPlace { flag }),
        None => Ok(()),
    }
}

/// Reaches the cluster.
pub async fn reach(place: Place, arguments: &ExistingArguments) -> Result<Existing, Error> {
    let Place { way, image } = place;
    let allowed = arguments.allow_production.as_deref();
    let pace = arguments.rate.map_or_else(Pace::usual, Pace::of);
    Ok(Existing::reach(way, image.as_deref(), pace, allowed).await?)
}

/// Reaches the cluster for a plan. Its log is not opened: a plan reads nothing of it.
pub async fn look(
    catalog: &Catalog,
    profile: &ProfileEntry,
    place: Place,
    arguments: &ExistingArguments,
) -> Result<Reached, Error> {
    let existing = reach(place, arguments).await?;
    // Nothing is made: the id only shows what namespaces would be called.
    let run = text::random_hex(3);
    Reached::new(catalog, profile, existing, &run, means(profile, arguments, names_log(profile)))
}

/// Whether a profile says where the cluster's log comes from.
fn names_log(profile: &ProfileEntry) -> bool {
    profile.profile.audit.as_ref().is_some_and(AuditSource::is_there)
}

/// What a run of this id may have left in the namespaces that its profile gives, as rights to delete it, and how the
/// cluster is found.
pub fn left(
    catalog: &Catalog,
    profile: &str,
    there: &There,
    run: &str,
) -> Result<(BTreeSet<Right>, Option<Way>), Error> {
    let profile = catalog.profile(profile)?;
    let says = profile.profile.cluster.clone().unwrap_or_default();
    if says.namespaces.is_empty() {
        return Err(Error::NoneGiven { profile: profile.name });
    }
    let means = Means { sees_log: true, has_image: true, is_given: true, effects: false };
    let way = way(there, &says);
    let kubeconfig = way.as_ref().and_then(Way::kubeconfig).cloned();
    let grounded = catalog.on(&ground(run, means, kubeconfig), &profile)?;
    Ok((grounded.left_in_given(), way))
}

/// Roles with what a run would need of brinell's own, bound to somebody. It takes no cluster.
pub fn roles(
    catalog: &Catalog,
    profile: &ProfileEntry,
    arguments: &PlanArguments,
    grantee: &Grantee,
) -> Result<String, Error> {
    let means = means(profile, &arguments.existing, names_log(profile));
    let grounded = catalog.on(&ground("run", means, None), profile)?;
    let plan = plan(&grounded, lacks("", means), &arguments.selection)?;
    Ok(grounded.warrant(&plan.scenarios, means.has_image).manifest(grantee))
}

/// What scenarios can have on a cluster.
pub fn means(profile: &ProfileEntry, arguments: &ExistingArguments, sees_log: bool) -> Means {
    let there = profile.profile.cluster.as_ref();
    Means {
        sees_log,
        has_image: arguments.image.is_some() || there.is_some_and(|it| it.image.is_some()),
        is_given: there.is_some_and(|it| !it.namespaces.is_empty()),
        effects: arguments.allow == Some(Allowance::ClusterEffects),
    }
}

/// What a cluster gives to the scenarios of a run.
fn ground(run: &str, means: Means, kubeconfig: Option<PathBuf>) -> Ground {
    let Means { sees_log, has_image, effects, .. } = means;
    Ground { prefix: namespace_prefix(run), sees_log, has_image, effects, kubeconfig }
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
    pub fn new(
        catalog: &Catalog,
        profile: &ProfileEntry,
        existing: Existing,
        run: &str,
        means: Means,
    ) -> Result<Reached, Error> {
        let kubeconfig = existing.way.kubeconfig().cloned();
        let grounded = catalog.on(&ground(run, means, kubeconfig), profile)?;
        Ok(Reached { existing, grounded, means, run: run.to_owned() })
    }

    /// What is meant beside the making of our own namespaces, for a person.
    pub fn meant(&self) -> String {
        let Means { is_given, effects, .. } = self.means;
        let given = is_given.then_some("; no namespace is made, and those that are given are used");
        let effects = effects.then_some(
            "; objects may be made outside of brinell's namespaces, and are removed by their UID",
        );
        given.into_iter().chain(effects).collect()
    }

    /// What runs there of what is selected, as far as it can be told without asking.
    pub fn plan(&self, selection: &Selection) -> Result<Plan<'_>, Error> {
        plan(&self.grounded, lacks(self.existing.way.name(), self.means), selection)
    }

    /// Asks the cluster for the rights that the plan needs, and skips what lacks any. Returns how many questions that
    /// took.
    pub async fn ask(&self, plan: &mut Plan<'_>) -> Result<usize, Error> {
        if plan.scenarios.is_empty() {
            return Ok(0);
        }
        let warrant = self.grounded.warrant(&plan.scenarios, self.means.has_image);
        let unmet = self.existing.unmet(&warrant).await?;
        plan.skip(&unmet.why);
        let unfit = self.existing.unfit(&self.grounded, &plan.targets()).await?;
        plan.skip(&unfit_for(&plan.scenarios, &unfit));
        plan.skip(&self.existing.wanting(&self.grounded, &plan.scenarios).await?);
        Ok(unmet.asked)
    }

    /// Asks the cluster what it would refuse of what scenarios act on, and skips what needs that.
    pub async fn try_out(&self, plan: &mut Plan<'_>) -> Result<(), Error> {
        let Reached { existing, grounded, means: Means { has_image, .. }, run } = self;
        let values = run::values(run, &existing.access.image, &BTreeSet::new())?;
        let documents = grounded.documents(&plan.targets(), &plan.personas(), *has_image);
        let refusals = existing.would_refuse(&documents, values).await?;
        plan.skip(&grounded.unmade(&plan.scenarios, &refusals, *has_image));
        Ok(())
    }

    /// How it is visited.
    pub fn visit(&self, manner: Manner, outside: Outside, pull: Option<PullCredentials>) -> Visit {
        Visit { outside, with_pods: self.means.has_image, pull, manner }
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

/// Why scenarios fall away whose namespaces cannot be used, by their id.
fn unfit_for(entries: &[&Entry], unfit: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let why = |entry: &&Entry| {
        let why = entry.target.given.iter().find_map(|name| unfit.get(name))?;
        Some((entry.id.clone(), why.clone()))
    };
    entries.iter().filter_map(why).collect()
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
    let lines = arguments.keep_evidence.as_deref().map(KeptLines::open).transpose()?;
    let reporter = reporter(&arguments.output)?.waiving(waivers).keeping(lines);
    let existing = reach(place, &arguments.existing).await?;
    let (reached, values, unread) = open(catalog, profile, existing, &arguments.existing).await?;
    let errand = Errand {
        selection: &arguments.selection,
        called: model::existing(reached.existing.way.name()),
        left_out: BTreeMap::new(),
        manner: arguments.manner(DEADLINE),
    };
    let work = async |made: &Made, progress: &Progress| {
        begin(&reached, values, unread, &errand, made, progress).await
    };
    Ok(conduct(work, &arguments.output, false, reporter, started).await?.code)
}

/// Opens the cluster's log for a run that begins, and moves the catalog there. Returns also what only this run knows,
/// and why the log is of no use, where it is of none.
pub async fn open(
    catalog: &Catalog,
    profile: &ProfileEntry,
    mut existing: Existing,
    arguments: &ExistingArguments,
) -> Result<(Reached, Values, Option<String>), Error> {
    let run = text::random_hex(3);
    let values = run::values(&run, &existing.access.image, &BTreeSet::new())?;
    let unread = match &profile.profile.audit {
        Some(source) => existing.read_log(source, &run, &values.canary).await?,
        None => None,
    };
    let means = means(profile, arguments, existing.sight.log.is_some());
    let reached = Reached::new(catalog, profile, existing, &run, means)?;
    Ok((reached, values, unread))
}

/// What is run on a cluster, and how.
pub struct Errand<'a> {
    /// Which scenarios.
    pub selection: &'a Selection,
    /// As the results name the cluster.
    pub called: String,
    /// Why scenarios are left out from the beginning, by their ids.
    pub left_out: BTreeMap<String, String>,
    /// How they are run.
    pub manner: Manner,
}

/// Says where, and runs.
pub async fn begin(
    reached: &Reached,
    values: Values,
    unread: Option<String>,
    errand: &Errand<'_>,
    made: &Made,
    progress: &Progress,
) -> Result<Duration, Error> {
    let Reached { existing, grounded, .. } = reached;
    let version = existing.version.trim_start_matches('v');
    progress.tell(started(&values.run, version, &grounded.profile, errand));
    let mut plan = prepare(reached, unread, errand, progress).await?;
    if plan.scenarios.is_empty() {
        return Ok(Duration::ZERO);
    }
    if reached.means.is_given {
        let sweeping = async { Ok::<_, Infallible>(((), swept(existing).await)) };
        let Ok(()) = progress.step("swept", "removing what ended runs left", sweeping).await;
    }
    let pull = reached.pull_credentials().await?;
    let folder = made.folder_on(existing, &values.run)?;
    let outside = existing.mark(&values.run, &folder, reached.means.is_given);
    let outside = outside.map_err(run::StageError::from)?;
    let visit = reached.visit(errand.manner, outside, pull);
    run::visit(&mut plan, grounded, existing, values, visit, progress).await?;
    Ok(Duration::ZERO)
}

/// Removes what ended runs have left in namespaces that are given, where two runs cannot be. What does not go is told:
/// whether it is in the way is seen when something is made there.
async fn swept(existing: &Existing) -> String {
    match existing.sweep_ended().await {
        Ok(swept) if swept.is_empty() => "nothing was left".to_owned(),
        Ok(swept) => told_of(&existing.way, &swept).collect::<Vec<_>>().join("; "),
        Err(error) => error.to_string(),
    }
}

/// The first event of a run.
pub fn started(run: &str, version: &str, profile: &ProfileEntry, errand: &Errand<'_>) -> RunEvent {
    RunEvent::Started {
        run: run.to_owned(),
        at: format!("{:.0}", Timestamp::now()),
        cluster: errand.called.clone(),
        kubernetes: version.to_owned(),
        profile: profile.name.clone(),
        places: profile.places(),
    }
}

/// Says how it was reached, and asks what can be tried there.
pub async fn prepare<'a>(
    reached: &'a Reached,
    unread: Option<String>,
    errand: &Errand<'_>,
    progress: &Progress,
) -> Result<Plan<'a>, Error> {
    let existing = &reached.existing;
    let mut plan = reached.plan(errand.selection)?;
    plan.skip(&errand.left_out);
    let mut told = format!("{}, {}", existing.told(), existing.told_log());
    told.extend(unread.iter().flat_map(|why| [": ", why]));
    told.push_str(&reached.meant());
    let reaching = async { Ok::<_, Error>(((), told)) };
    progress.step("cluster", "reaching it", reaching).await?;
    let asking = async {
        let asked = reached.ask(&mut plan).await?;
        Ok::<_, Error>(((), text::count(asked, "question")))
    };
    progress.step("rights", "asking what brinell may do", asking).await?;
    run::skip(&plan.skipped, errand.manner.require_all, progress);
    Ok(plan)
}
