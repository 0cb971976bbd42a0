//! The check before an upgrade of a cluster that is there: what decides on it is captured and set up on a cluster of
//! another minor version, and the same scenarios and profile are run on both.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use brinell::catalog::{
    CAPTURED, Captured, Catalog, ControlEntry, Entry, File, Files, Handed, Lacks, NewFile, Planned,
    ProfileEntry, captured, identity, is_of_roles, rests_on, rests_on_settings,
};
use brinell::cli::{RehearseArguments, THERE};
use brinell::cluster::{Choice, Existing, Refusals};
use brinell::model::{self, AUDIT_POLICY, Action, Control, Layer, Player, Verdict};
use brinell::report::{ExitCode, show_captured, show_not_taken};
use brinell::run::{self, Options, Plan, Progress};
use serde_json::Value;

use super::conduct::{Conducted, Made, conduct_one, options};
use super::kept::Kept;
use super::new::write_all;
use super::upgrade::{compare, early_end};
use super::visit::{self, DEADLINE, Errand, Reached};
use super::{Asked, Error, asked, catalog, print};

/// What no API tells.
const UNKNOWN: &str = "the API server's settings, which nobody handed in: --settings FILE, `flags: {}` where it has none of its own";

/// Why no review is compared.
const REVIEWS: &str =
    "a review reads all that a cluster has, of which only what decides is captured";

/// Runs on the cluster that is there and on one of the other version with what decides on it, and says what is worse,
/// better or otherwise different there.
pub async fn rehearse(arguments: RehearseArguments) -> Result<ExitCode, Error> {
    let mut kept = Kept::open(&arguments.both, [THERE, &arguments.to])?;
    let ended = on_both(arguments, &mut kept).await;
    ended.inspect_err(|error| kept.refuse(error))
}

/// Captures what decides on the cluster that is there, and runs on it and on an embedded one of the other version.
async fn on_both(arguments: RehearseArguments, kept: &mut Kept) -> Result<ExitCode, Error> {
    let RehearseArguments { to, existing: place_arguments, selection, .. } = &arguments;
    let catalog = catalog(&selection.catalogs)?;
    let Asked { mut profile, place, .. } = asked(&catalog, selection, place_arguments)?;
    let place = place.ok_or(Error::NothingToRehearse)?;
    let handed = Handed::read(arguments.audit_policy.as_deref(), arguments.settings.as_deref())?;
    see_log(&mut profile, &handed)?;
    let choice = Choice::to_rehearse();
    let manner = arguments.both.limits.manner(DEADLINE);
    let options = options(&arguments.both.conditions(to), choice.cluster, manner)?;
    see_empty(arguments.captured.as_deref())?;

    let existing = visit::reach(place, place_arguments).await?;
    let found = existing.read_what_decides().await.map_err(|cause| existing.unusable(cause))?;
    let context = existing.way.name().to_owned();
    let called = format!("{context}, Kubernetes {}", existing.version);
    let ours = of_ours(&profile);
    let webhooks = ours.iter().flat_map(|(_, webhooks)| webhooks.clone()).collect();
    let captured = captured(found, &called, &handed, webhooks);
    if let Some(folder) = &arguments.captured {
        write_all(folder, &captured.files, OWNER)?;
    }
    print(show_captured(&captured, arguments.captured.as_deref()).as_bytes())?;
    let is_served = |(_, webhooks): &(&Planned, BTreeMap<String, Value>)| {
        !webhooks.is_empty() && webhooks.keys().all(|name| captured.served.contains(name))
    };
    let ours = ours.into_iter().filter(is_served);
    let ours: Vec<&Planned> = ours.map(|(planned, _)| planned).collect();
    let set_up = set_up(&captured, &ours, &profile)?;
    let other = for_other(&profile, &existing).await?;

    let rehearsal = Rehearsed {
        handed: &handed,
        captured: &captured,
        arguments: &arguments,
        catalog: &catalog,
        context: &context,
    };
    let (there, sees_log) = rehearsal.run_there(&profile, existing, &ours, kept).await?;
    if let Some(code) = early_end(&there) {
        return Ok(code);
    }
    let second = Second { profile: &other, set_up: &set_up, options, sees_log };
    let mut refused = Refusals::new();
    let here = rehearsal.run_here(second, skipped(&there), kept, &mut refused).await?;
    print(show_not_taken(&refused, to).as_bytes())?;
    if let Some(code) = early_end(&here) {
        return Ok(code);
    }
    Ok(compare((&there, THERE), (&here, to))?.or_worse(of_refusals(&refused, &there, &here)))
}

/// What it says of the other version that it does not take something: it decides otherwise by that, whether or not
/// something that was tried rests on it.
fn of_refusals(refused: &Refusals, there: &Conducted, here: &Conducted) -> ExitCode {
    match refused.is_empty() && !is_newly_skipped(there, here) {
        true => ExitCode::Passed,
        false => ExitCode::Inconclusive,
    }
}

/// Whether something was tried there that was not tried on the second cluster, which did not take what it rests on.
fn is_newly_skipped(there: &Conducted, here: &Conducted) -> bool {
    let before = skipped(there);
    skipped(here).keys().any(|id| !before.contains_key(id))
}

/// What is the same of both runs.
struct Rehearsed<'a> {
    handed: &'a Handed,
    captured: &'a Captured,
    arguments: &'a RehearseArguments,
    catalog: &'a Catalog,
    context: &'a str,
}

/// What the second cluster is.
struct Second<'a> {
    /// The profile, as it is there.
    profile: &'a ProfileEntry,
    /// The catalog with what was captured, and the profile that sets it up.
    set_up: &'a (Catalog, ProfileEntry),
    /// How it is made.
    options: Options,
    /// Whether the log of the first one was read.
    sees_log: bool,
}

impl Rehearsed<'_> {
    /// Runs on the cluster that is there. Returns also whether its log was read.
    async fn run_there(
        &self,
        profile: &ProfileEntry,
        existing: Existing,
        ours: &[&Planned],
        kept: &mut Kept,
    ) -> Result<(Conducted, bool), Error> {
        let arguments = &self.arguments.existing;
        let (reached, values, unread) =
            visit::open(self.catalog, profile, existing, arguments).await?;
        let sees_log = reached.existing.sight.log.is_some();
        let left_out = self.beyond(&reached, ours)?;
        let errand = self.errand(model::existing(self.context), left_out);
        let work = async |made: &Made, progress: &Progress| {
            visit::begin(&reached, values, unread, &errand, made, progress).await
        };
        Ok((conduct_one(work, kept.next()).await?, sees_log))
    }

    /// Runs on a cluster of ours with what was captured.
    async fn run_here(
        &self,
        second: Second<'_>,
        left_out: BTreeMap<String, String>,
        kept: &mut Kept,
        refused: &mut Refusals,
    ) -> Result<Conducted, Error> {
        let Second { profile, set_up: (with_captured, entry), options, sees_log } = second;
        let plan = Plan::new(with_captured, entry, options.cluster, Vec::new());
        let mut errand = self.errand(model::rehearsed(self.context), left_out);
        let work = async |made: &Made, progress: &Progress| {
            progress.tell(visit::started(&options.run, &options.kubernetes, profile, &errand));
            let folder = made.folder(&options.run)?;
            let rehearsal = run::rehearse(&plan, &options, folder, progress).await?;
            refused.clone_from(&rehearsal.refused);
            let (existing, unread) = rehearsal.existing(sees_log).await?;
            let sees_log = existing.sight.log.is_some();
            let means = visit::means(profile, &self.arguments.existing, sees_log);
            let reached = Reached::new(self.catalog, profile, existing, &options.run, means)?;
            let not_taken = kinds(refused);
            for entry in reached.plan(&self.arguments.selection)?.scenarios {
                let why = self.resting(&reached.grounded.catalog, entry, &not_taken);
                let why = why.map(|it| it + ", of which the other cluster did not take all");
                let why = why.map(|why| (entry.id.clone(), why));
                errand.left_out.extend(why);
            }
            let visiting = async {
                let mut plan = visit::prepare(&reached, unread, &errand, progress).await?;
                if plan.scenarios.is_empty() {
                    return Ok(());
                }
                let visit = reached.visit(errand.manner, rehearsal.outside(), None);
                let Reached { existing, grounded, .. } = &reached;
                let values = rehearsal.values();
                run::visit(&mut plan, grounded, existing, values, visit, progress).await?;
                // What ended meanwhile let in what it should refuse.
                Ok::<_, Error>(rehearsal.see_servers().await?)
            };
            rehearsal.while_there(visiting).await??;
            Ok(rehearsal.made_in())
        };
        conduct_one(work, kept.next()).await
    }

    fn errand(&self, called: String, left_out: BTreeMap<String, String>) -> Errand<'_> {
        let manner = self.arguments.both.limits.manner(DEADLINE);
        Errand { selection: &self.arguments.selection, called, left_out, manner }
    }

    /// Why scenarios are tried on neither cluster, by their ids: an embedded one lacks what they need, or what refuses
    /// there was not captured.
    fn beyond(
        &self,
        reached: &Reached,
        ours: &[&Planned],
    ) -> Result<BTreeMap<String, String>, Error> {
        let lacks = Lacks::from(Choice::to_rehearse().cluster);
        let grounded = &reached.grounded.catalog;
        let decides = |id: &str| grounded.controls.get(id).map(|it| it.control.decides.as_slice());
        let is_set = |id: &str| grounded.controls.get(id).is_some_and(|it| is_of_settings(it));
        let is_ours = |id: &str| ours.iter().any(|planned| planned.control.id == id);
        let plan = reached.plan(&self.arguments.selection)?;
        let why = plan.scenarios.iter().filter_map(|entry| {
            let is_review = |action: &Action| matches!(action, Action::Review(_));
            let reviews = entry.scenario.actions().any(is_review).then(|| REVIEWS.to_owned());
            let unread = || {
                let why = self.resting(grounded, entry, &self.captured.lacking);
                why.map(|it| it + ", of which not all is captured")
            };
            let lacking = lacks.why_not(&run::needs(grounded, entry)).or(reviews).or_else(unread);
            let mut tested = entry.scenario.controls().into_iter().filter(|id| !is_ours(id));
            let unknown = || {
                tested.find_map(|id| {
                    let missing =
                        decides(id)?.iter().find(|layer| is_missing(layer, self.captured));
                    let missing =
                        missing.map(|it| format!("{id} is known by {it}, which is not captured"));
                    let unset = !self.handed.has_settings() && is_set(id);
                    missing.or_else(|| unset.then(|| format!("{id} rests on {UNKNOWN}")))
                })
            };
            Some((entry.id.clone(), lacking.or_else(unknown)?))
        });
        Ok(why.collect())
    }

    fn resting(
        &self,
        catalog: &Catalog,
        entry: &Entry,
        kinds: &BTreeSet<String>,
    ) -> Option<String> {
        resting(catalog, entry, kinds, &self.captured.asking)
    }
}

/// By what a scenario rests on one of these kinds: by a control that it tests, or by who acts in it. `None` if it does
/// not.
fn resting(
    catalog: &Catalog,
    entry: &Entry,
    kinds: &BTreeSet<String>,
    asking: &[Layer],
) -> Option<String> {
    let tested = entry.scenario.controls();
    kinds.iter().find_map(|kind| {
        let rests = |layer: &Layer| rests_on(layer, kind, asking);
        let decides = |id: &str| {
            let control = catalog.controls.get(id);
            control.is_some_and(|it| it.control.decides.iter().any(rests))
        };
        let control = tested.iter().find(|id| decides(id)).map(|id| (*id).to_owned());
        let mut personas = entry.turns.iter().map(|turn| &turn.persona);
        let mut player = || is_of_roles(kind).then(|| personas.find(|it| it.played)).flatten();
        let who = control.or_else(|| player().map(|it| it.name.clone()))?;
        Some(format!("{who} rests on every {kind}"))
    })
}

/// The kinds of what was not taken, by kind and name.
fn kinds(refused: &Refusals) -> BTreeSet<String> {
    let kinds = refused.keys().filter_map(|name| name.split('/').next());
    kinds.map(str::to_owned).collect()
}

/// Whether a control acts by settings of the API server: by the layers that a profile declares of it, and else as ours
/// does.
fn is_of_settings(entry: &ControlEntry) -> bool {
    let Control { decides, api_server, .. } = &entry.control;
    match entry.declared {
        Some(_) => decides.iter().any(rests_on_settings),
        // The audit policy is handed in by itself.
        None => entry.id != AUDIT_POLICY && !api_server.flags.is_empty(),
    }
}

/// Whether somebody refuses by this layer who was not captured.
fn is_missing(layer: &Layer, captured: &Captured) -> bool {
    match layer {
        Layer::Webhook(_) | Layer::WebhookFailure(_) | Layer::MatchCondition => true,
        Layer::Policy(_) | Layer::PolicyFailure(_) => {
            let covers = |it: &Layer| layer.covers(it);
            !captured.decides.iter().any(covers) || captured.uncaptured.iter().any(covers)
        }
        _ => false,
    }
}

/// Why scenarios are left out of the second run, by their ids: what the first one did not try is compared with nothing.
fn skipped(there: &Conducted) -> BTreeMap<String, String> {
    let skipped = there.results.scenarios.iter().filter(|it| it.verdict == Verdict::Skipped);
    skipped.map(|it| (it.id.clone(), it.cause.clone().unwrap_or_default())).collect()
}

/// The log is read on both clusters or on neither, and no pod of theirs is there on the second one.
fn see_log(profile: &mut ProfileEntry, handed: &Handed) -> Result<(), Error> {
    let has_log = profile.profile.audit.as_ref().is_some_and(|it| it.is_there());
    if handed.writes_log() && !has_log {
        return Err(Error::NoLogToRehearse);
    }
    if !handed.writes_log() {
        profile.profile.audit = None;
    }
    if let Some(cluster) = &mut profile.profile.cluster {
        cluster.pod = None;
    }
    Ok(())
}

/// The controls that are known as ours, each with the webhook configurations that it has, by kind and name.
fn of_ours(profile: &ProfileEntry) -> Vec<(&Planned, BTreeMap<String, Value>)> {
    let is_ours = |planned: &&Planned| {
        let setting = profile.profile.controls.get(&planned.control.id);
        setting.is_some_and(|setting| setting.decides.is_empty())
    };
    let webhooks = |planned: &Planned| {
        let objects = planned.set_up.objects.iter();
        let named = objects.map(|it| (identity(&it.object), it.object.clone()));
        named.filter(|(name, _)| name.contains("WebhookConfiguration/")).collect()
    };
    profile.controls.iter().filter(is_ours).map(|it| (it, webhooks(it))).collect()
}

/// What is set up on the second cluster: what was captured, and controls of ours that serve it. Nothing of them is
/// asked: that they act is for the scenarios to find.
fn set_up(
    captured: &Captured,
    ours: &[&Planned],
    profile: &ProfileEntry,
) -> Result<(Catalog, ProfileEntry), Error> {
    let mut files = Files::embedded();
    files.manifests.extend(captured.files.iter().map(|NewFile { place, text }| File {
        path: place.clone(),
        place: place.clone(),
        built_in: false,
        bytes: text.clone().into_bytes().into(),
    }));
    let catalog = Catalog::read(files)?;
    let mut entry = ProfileEntry { name: profile.name.clone(), ..catalog.profile(CAPTURED)? };
    let unasked = |planned: &Planned| Planned { questions: Vec::new(), ..planned.clone() };
    entry.controls.extend(ours.iter().map(|planned| unasked(planned)));
    Ok((catalog, entry))
}

/// The profile as it is on the second cluster: nobody's credentials are taken there, so that the admin acts as them.
async fn for_other(profile: &ProfileEntry, existing: &Existing) -> Result<ProfileEntry, Error> {
    let mut profile = profile.clone();
    for player in profile.profile.personas.values_mut() {
        if let Player::Credentials(credentials) = player {
            *player = Player::Impersonated(existing.somebody(credentials).await?);
        }
    }
    if let Some(cluster) = &mut profile.profile.cluster {
        cluster.pull_secret = None;
    }
    Ok(profile)
}

/// The mode of what its owner alone may look into.
const OWNER: u32 = 0o700;

/// Makes the folder of what is captured for its owner alone, where it is not there. What is in one already is never
/// mixed with it, and nobody else may look into it.
fn see_empty(folder: Option<&Path>) -> Result<(), Error> {
    let Some(folder) = folder else { return Ok(()) };
    let unwritten = |cause| Error::Unwritten { path: folder.to_owned(), cause };
    match fs::read_dir(folder).map(|mut inside| inside.next().is_none()) {
        Ok(true) => match folder.metadata().map_err(unwritten)?.permissions().mode() & 0o077 {
            0 => Ok(()),
            _ => Err(Error::NotPrivate(folder.to_owned())),
        },
        Ok(false) => Err(Error::NotEmpty(folder.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(OWNER).create(folder).map_err(unwritten)
        }
        Err(error) => Err(unwritten(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use brinell::catalog::Declared;
    use brinell::model::Results;

    use super::*;

    fn catalog() -> Catalog {
        Catalog::read(Files::embedded()).expect("our catalog")
    }

    /// By what each of these rests on a kind.
    fn rests(kind: &str, ids: &[&str], asking: &[Layer]) -> Vec<bool> {
        let (catalog, kinds) = (catalog(), BTreeSet::from([kind.to_owned()]));
        let entries = |id: &str| catalog.scenarios.iter().find(|it| it.id == id).cloned();
        let rests = |id: &&str| {
            let entry = entries(id).expect("a scenario of ours");
            resting(&catalog, &entry, &kinds, asking).is_some()
        };
        ids.iter().map(rests).collect()
    }

    #[test]
    fn what_was_not_carried_takes_out_what_rests_on_it() {
        let ids = ["exec-get-only-role", "exec-interactive"];
        assert_eq!(rests("RoleBinding", &ids, &[]), [true, false]);
        assert_eq!(rests("Namespace", &ids, &[]), [false, true]);
        assert_eq!(rests("ResourceQuota", &ids, &[]), [false, false]);
        let asking = [Layer::Webhook("exec-guard.brinell.dev".to_owned())];
        assert_eq!(rests("RoleBinding", &ids, &asking), [true, true]);
    }

    /// What our control sets says nothing of one that a profile declares.
    #[test]
    fn what_acts_by_settings_is_known_by_what_is_declared() {
        let catalog = catalog();
        let is_set = |id: &str, declared: Option<Layer>| {
            let mut entry = ControlEntry::clone(&catalog.controls[id]);
            if let Some(layer) = declared {
                entry.declared = Some(Declared { is_other: true, saying: None, same: Vec::new() });
                entry.control.decides = vec![layer];
            }
            is_of_settings(&entry)
        };
        let policy = || Layer::Policy("theirs".to_owned());
        let plug_in = |name: &str| Layer::AdmissionPlugin(name.to_owned());
        assert!(is_set("pod-security", None) && is_set("anonymous-auth", None));
        assert!(!is_set("exec-policy", None) && !is_set(AUDIT_POLICY, None));
        for layer in [
            policy(),
            Layer::Webhook("a".to_owned()),
            Layer::Quota,
            Layer::Network,
            plug_in("LimitRanger"),
        ] {
            assert!(!is_set("pod-security", Some(layer.clone())), "{layer}");
        }
        let set = [
            Layer::Authentication,
            Layer::PodSecurity,
            Layer::Encryption,
            plug_in("AlwaysPullImages"),
        ];
        for layer in set {
            assert!(is_set("exec-policy", Some(layer.clone())), "{layer}");
        }
    }

    #[test]
    fn what_is_known_by_a_policy_needs_all_that_it_may_mean() {
        let named =
            |name: &str| [Layer::Policy(name.to_owned()), Layer::PolicyFailure(name.to_owned())];
        let captured = |uncaptured: Vec<Layer>| Captured {
            decides: named("images-a").to_vec(),
            uncaptured,
            ..Captured::default()
        };
        let missing =
            |layer: &Layer, uncaptured: &[Layer]| is_missing(layer, &captured(uncaptured.to_vec()));
        for layer in named("images-a").into_iter().chain([Layer::Policy("images-*".to_owned())]) {
            assert!(!missing(&layer, &[]) && !missing(&layer, &named("other")), "{layer}");
        }
        assert!(missing(&Layer::Policy("images-*".to_owned()), &named("images-b")));
        assert!(named("images-b").iter().all(|layer| missing(layer, &[])));
    }

    #[test]
    fn what_the_other_version_does_not_take_is_no_success() {
        let ran = || Conducted {
            results: Results::default(),
            code: ExitCode::Passed,
            own: ExitCode::Passed,
            signalled: None,
        };
        let (there, here) = (ran(), ran());
        let refused = Refusals::from([("FlowSchema/a".to_owned(), "no".to_owned())]);
        assert_eq!(of_refusals(&Refusals::new(), &there, &here), ExitCode::Passed);
        assert_eq!(of_refusals(&refused, &there, &here), ExitCode::Inconclusive);
    }

    #[test]
    fn whoever_plays_a_persona_holds_roles_of_the_cluster() {
        let catalog = catalog();
        let entry = catalog.scenarios.iter().find(|it| it.id == "exec-interactive");
        let mut entry: Entry = entry.expect("a scenario of ours").clone();
        for turn in &mut entry.turns {
            std::sync::Arc::make_mut(&mut turn.persona).played = true;
        }
        let kinds = kinds(&Refusals::from([("Role/shop/a".to_owned(), "no".to_owned())]));
        let why = resting(&catalog, &entry, &kinds, &[]).unwrap_or_default();
        assert!(why.ends_with("rests on every Role"), "{why}");
    }

    #[test]
    fn a_folder_into_which_others_may_look_is_not_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let set = |mode: u32| fs::set_permissions(folder.path(), Permissions::from_mode(mode));
        for mode in [0o755, 0o710, 0o701, 0o720] {
            set(mode).expect("its mode");
            let refused = see_empty(Some(folder.path()));
            assert!(matches!(refused, Err(Error::NotPrivate(_))), "{mode:o}");
        }
        set(0o700).expect("its mode");
        assert!(see_empty(Some(folder.path())).is_ok());
    }
}
