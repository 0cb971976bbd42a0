//! What a proof will try: each weakening of each chosen control, with the scenarios that may notice it.

use std::collections::BTreeSet;

use crate::catalog::{Entry, Planned, Weakened};
use crate::model::{Attack, Minor};
use crate::run::Plan;

/// One weakening to be tried.
pub struct Trial<'a> {
    /// The control as the profile has it: not weakened.
    pub planned: &'a Planned,
    /// The control with the weakening.
    pub weakened: &'a Weakened,
    /// The scenarios that test the control and can run here, in the order of the catalog; of these only those that are
    /// expected to notice, where no others are asked.
    pub scenarios: Vec<&'a Entry>,
}

/// Who is asked whether they notice a weakening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// All that may turn red.
    Everybody,
    /// Those that are expected to. That others notice too, that an attack catches nothing, and collateral stay unknown.
    Expected,
}

/// All that a proof will try.
pub struct Trials<'a> {
    /// Who is asked.
    pub who: Who,
    /// What is tried. Those that need a second API server, which takes longest, come first.
    pub trials: Vec<Trial<'a>>,
    /// What is not.
    pub skipped: Vec<Untried<'a>>,
}

/// One weakening that is not tried.
pub struct Untried<'a> {
    /// The control as the profile has it.
    pub planned: &'a Planned,
    /// The control with the weakening.
    pub weakened: &'a Weakened,
    /// Why it is not tried.
    pub cause: String,
}

impl<'a> Trials<'a> {
    /// The weakenings of these controls, or of all where none is named.
    pub fn new(plan: &'a Plan<'_>, controls: &[String], who: Who) -> Self {
        let mut trials = Trials { who, trials: Vec::new(), skipped: Vec::new() };
        let is_chosen = |it: &Planned| controls.is_empty() || controls.contains(&it.control.id);
        for planned in plan.controls.iter().filter(|it| is_chosen(it)) {
            if planned.unweakened {
                trials.add(plan, planned);
            } else {
                trials.skip(planned, "the profile has this control weakened already");
            }
        }
        for (planned, why) in plan.left_out.iter().filter(|(it, _)| is_chosen(it)) {
            trials.skip(planned, why);
        }
        trials.trials.sort_by_key(|trial| trial.same_api_server());
        trials
    }

    fn add(&mut self, plan: &'a Plan<'_>, planned: &'a Planned) {
        for weakened in planned.weakenings.iter() {
            let mut scenarios: Vec<&Entry> = plan
                .scenarios
                .iter()
                .filter(|entry| entry.scenario.controls().contains(planned.control.id.as_str()))
                .copied()
                .collect();
            let why_not = why_not(plan, planned, weakened, &scenarios);
            if self.who == Who::Expected {
                scenarios.retain(|entry| weakened.expects(entry));
            }
            let nobody = || "no scenario that is run is expected to notice it".to_owned();
            match why_not.or_else(|| scenarios.is_empty().then(nobody)) {
                Some(cause) => self.skipped.push(Untried { planned, weakened, cause }),
                None => self.trials.push(Trial { planned, weakened, scenarios }),
            }
        }
    }

    fn skip(&mut self, planned: &'a Planned, cause: &str) {
        for weakened in planned.weakenings.iter() {
            self.skipped.push(Untried { planned, weakened, cause: cause.to_owned() });
        }
    }

    /// Takes out those that cannot be tried on the clusters that were made, each with the reason.
    pub(super) fn leave_out(&mut self, why_not: impl Fn(&Trial<'a>) -> Option<String>) {
        for trial in std::mem::take(&mut self.trials) {
            let Trial { planned, weakened, .. } = trial;
            match why_not(&trial) {
                Some(cause) => self.skipped.push(Untried { planned, weakened, cause }),
                None => self.trials.push(trial),
            }
        }
    }

    /// The scenarios, with a control, of which this proof shows whether they catch any of its weakenings: those that
    /// are run against it, unless they are expected to notice a weakening that is not tried. None where not all are.
    pub fn told(&self) -> BTreeSet<(&'a str, &'a str)> {
        if self.who == Who::Expected {
            return BTreeSet::new();
        }
        let untried = |entry: &Entry, control: &str| {
            let mut skipped = self.skipped.iter();
            skipped.any(|it| it.planned.control.id == control && it.weakened.expects(entry))
        };
        let tried = self.trials.iter().flat_map(|trial| {
            let control = trial.planned.control.id.as_str();
            trial.scenarios.iter().map(move |entry| (*entry, control))
        });
        tried
            .filter(|(entry, control)| !untried(entry, control))
            .map(|(entry, control)| (entry.id.as_str(), control))
            .collect()
    }
}

/// The controls that scenarios are about: those that refuse in them, or of which they review the configuration. That
/// they ask for evidence as well says nothing of the audit policy; one that asks for nothing else is about it.
pub fn about(entries: &[&Entry]) -> Vec<String> {
    let mut controls: BTreeSet<&str> = BTreeSet::new();
    for Entry { scenario, .. } in entries {
        let decide: BTreeSet<&str> = scenario.attacks.iter().filter_map(Attack::control).collect();
        controls.extend(if decide.is_empty() { scenario.controls() } else { decide });
    }
    controls.into_iter().map(str::to_owned).collect()
}

/// Why a weakening is not tried: it clashes with another control, or what serves the webhook would not change, or no
/// scenario that is run is expected to notice it. This last reason does not count where a user's own scenario is run,
/// of which nothing is expected, unless one that is expected to notice cannot be run here.
fn why_not(
    plan: &Plan<'_>,
    planned: &Planned,
    weakened: &Weakened,
    scenarios: &[&Entry],
) -> Option<String> {
    let mut others = plan.controls.iter().filter(|it| it.control.id != planned.control.id);
    let clash = others.find_map(|other| Some((other, weakened.set_up.clash(&other.set_up)?)));
    if let Some((other, clash)) = clash {
        return Some(format!(
            "{} sets {clash} too, and the API server cannot have both",
            other.control.id
        ));
    }
    if let Some(object) = planned.changes_what_is_served(weakened, &plan.lacks) {
        return Some(format!(
            "it changes {object}, and what `servers` says runs the same whatever is in that"
        ));
    }
    if scenarios.iter().any(|entry| weakened.expects(entry)) {
        return None;
    }
    let unable = plan.skipped.iter().find(|(entry, _)| weakened.expects(entry));
    if let Some((entry, why)) = unable {
        return Some(format!("{} is expected to notice: {why}", entry.id));
    }
    let is_known = |entry: &Entry| planned.weakenings.iter().any(|it| it.expects(entry));
    if scenarios.iter().all(|entry| is_known(entry)) {
        let names: Vec<&str> = weakened.weakening.expect.keys().map(String::as_str).collect();
        return Some(format!("not chosen: {}", names.join(", ")));
    }
    None
}

impl Trial<'_> {
    /// `exec-guard/misses-attach`
    pub fn id(&self) -> String {
        format!("{}/{}", self.planned.control.id, self.weakened.name)
    }

    /// The scenarios that are expected to notice and are not run.
    pub fn unasked(&self) -> Vec<String> {
        let is_run = |id: &&String| self.scenarios.iter().any(|entry| entry.id == **id);
        self.weakened.weakening.expect.keys().filter(|id| !is_run(id)).cloned().collect()
    }

    /// Why it takes nothing away on this version of Kubernetes; `None` if it does.
    pub fn outlived(&self, version: Minor) -> Option<String> {
        let until = self.weakened.weakening.until.filter(|until| *until < version)?;
        Some(format!("on Kubernetes {version} nothing is lost by it, as it was until {until}"))
    }

    /// Whether the API server that is there will do.
    pub fn same_api_server(&self) -> bool {
        self.planned.set_up.same_api_server(&self.weakened.set_up)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::catalog::Catalog;
    use crate::cluster::ClusterType;

    fn tried(kind: ClusterType, controls: &[&str], scenarios: &[&str], look: impl Fn(&Trials<'_>)) {
        let catalog = Catalog::load(None).expect("our own catalog");
        let profile = catalog.profile("hardened").expect("a profile of ours");
        let is_chosen = |entry: &&Entry| scenarios.is_empty() || scenarios.contains(&&*entry.id);
        let entries = catalog.scenarios.iter().filter(is_chosen).collect();
        let plan = Plan::new(&catalog, &profile, kind, entries);
        let controls: Vec<String> = controls.iter().map(ToString::to_string).collect();
        look(&Trials::new(&plan, &controls, Who::Everybody));
    }

    /// The example's scenarios ask for evidence: each weakening of the audit policy would be tried for their sake.
    #[test]
    fn what_a_readers_scenarios_are_about_is_tried_and_nothing_else() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/example/hardening");
        let catalog = Catalog::load(Some(&*folder)).expect("the example");
        let profile = catalog.profile("hardened").expect("a profile of ours");
        let entries: Vec<&Entry> = catalog.scenarios.iter().filter(|it| !it.built_in).collect();
        let controls = about(&entries);
        assert_eq!(controls, ["images-from-our-registry", "no-load-balancers"]);
        let plan = Plan::new(&catalog, &profile, ClusterType::Embedded, entries);
        let tried = |controls: &[String]| {
            let trials = Trials::new(&plan, controls, Who::Everybody).trials;
            trials.iter().map(|trial| trial.planned.control.id.clone()).collect::<BTreeSet<_>>()
        };
        assert_eq!(tried(&controls), controls.iter().cloned().collect());
        assert!(tried(&[]).contains("audit-policy"));
    }

    #[test]
    fn where_only_those_are_asked_who_are_expected_to_notice_the_same_is_tried() {
        let catalog = Catalog::load(None).expect("our own catalog");
        let profile = catalog.profile("hardened").expect("a profile of ours");
        let plan = |entries| Plan::new(&catalog, &profile, ClusterType::Embedded, entries);
        let all = plan(catalog.scenarios.iter().collect());
        let [everybody, expected] =
            [Who::Everybody, Who::Expected].map(|who| Trials::new(&all, &[], who));
        let ids = |trials: &Trials<'_>| trials.trials.iter().map(Trial::id).collect::<Vec<_>>();
        assert_eq!(ids(&everybody), ids(&expected));
        for trial in &expected.trials {
            assert!(trial.scenarios.iter().all(|entry| trial.weakened.expects(entry)));
        }
        assert!(!everybody.told().is_empty() && expected.told().is_empty());

        // Nothing is expected of a scenario that nobody has told of.
        let mut own = catalog.scenarios[0].clone();
        own.id = "own".to_owned();
        let own = plan(vec![&own]);
        let tried = Trials::new(&own, &[], Who::Everybody).trials.len();
        let expected = Trials::new(&own, &[], Who::Expected);
        assert!(tried > 0 && expected.trials.is_empty());
        let cause = "no scenario that is run is expected to notice it";
        assert_eq!(expected.skipped.iter().filter(|it| it.cause == cause).count(), tried);
    }

    #[test]
    fn on_real_nodes_every_weakening_is_tried() {
        tried(ClusterType::Kind, &[], &[], |trials| {
            let skipped: Vec<&str> =
                trials.skipped.iter().map(|it| it.weakened.name.as_str()).collect();
            assert_eq!(skipped, [""; 0]);
        });
    }

    #[test]
    fn those_with_an_api_server_of_their_own_come_first() {
        tried(ClusterType::Kind, &[], &[], |trials| {
            assert!(trials.trials.is_sorted_by_key(Trial::same_api_server));
            assert!(!trials.trials[0].same_api_server());
        });
    }

    #[test]
    fn a_control_that_the_cluster_cannot_have_is_skipped_with_the_reason() {
        tried(ClusterType::Embedded, &["network-policy"], &[], |trials| {
            assert!(trials.trials.is_empty());
            for untried in &trials.skipped {
                assert_eq!(
                    untried.cause,
                    "needs a node that really runs pods and a network between pods, which embedded \
                     clusters lack"
                );
            }
        });
    }

    #[test]
    fn what_none_of_the_chosen_is_expected_to_notice_is_skipped_with_who_is() {
        tried(ClusterType::Kind, &["network-policy"], &["egress-outside"], |trials| {
            let names =
                trials.trials.iter().map(|trial| trial.weakened.name.as_str()).collect::<Vec<_>>();
            assert_eq!(names, ["allow-all", "egress-forgotten", "enforcement-stopped"]);
            let cause = |it: &Untried<'_>| (it.weakened.name.clone(), it.cause.clone());
            let expected = [
                ("absent", "egress-database"),
                ("backend-egress-open", "egress-behind"),
                ("backend-open", "ingress-other-namespace"),
                ("database-by-label", "ingress-other-namespace"),
                ("database-egress-open", "egress-behind"),
                ("database-open", "ingress-other-namespace"),
                ("wrong-selector", "egress-database"),
            ]
            .map(|(name, who)| (name.to_owned(), format!("not chosen: {who}")));
            assert_eq!(trials.skipped.iter().map(cause).collect::<Vec<_>>(), expected);
        });
    }

    #[test]
    fn what_the_clusters_cannot_have_is_skipped_and_nothing_is_told_of_who_would_notice() {
        let catalog = Catalog::load(None).expect("our own catalog");
        let profile = catalog.profile("hardened").expect("a profile of ours");
        let entries = catalog.scenarios.iter().collect();
        let plan = Plan::new(&catalog, &profile, ClusterType::Embedded, entries);
        let mut trials = Trials::new(&plan, &[], Who::Everybody);
        let pair = ("pod-host-namespaces", "pod-security");
        assert!(trials.told().contains(&pair));
        let all = trials.trials.len() + trials.skipped.len();
        let is_it = |trial: &Trial<'_>| trial.id() == "pod-security/defused";
        trials.leave_out(|trial| is_it(trial).then(|| "not served".to_owned()));
        assert!(!trials.trials.iter().any(is_it) && !trials.told().contains(&pair));
        assert_eq!(trials.trials.len() + trials.skipped.len(), all);
        assert!(trials.skipped.iter().any(|it| it.cause == "not served"));
    }

    #[test]
    fn nothing_is_told_of_a_scenario_that_is_expected_to_notice_what_is_not_tried() {
        let pair = ("kubelet-without-role", "least-privilege");
        tried(ClusterType::Kind, &["kubelet-auth", "audit-policy"], &[], |trials| {
            assert!(trials.told().contains(&("kubelet-without-role", "kubelet-auth")));
            assert!(!trials.told().contains(&pair), "its control was not chosen");
        });
        tried(ClusterType::Embedded, &[], &[], |trials| {
            let skipped = trials.skipped.iter().flat_map(|it| {
                it.weakened
                    .weakening
                    .expect
                    .keys()
                    .map(|id| (id.as_str(), it.planned.control.id.as_str()))
            });
            let told = trials.told();
            assert!(!told.is_empty());
            for pair in skipped {
                assert!(!told.contains(&pair), "{pair:?}");
            }
        });
    }
}
