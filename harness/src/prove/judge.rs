//! Who noticed: pure functions of what scenarios found.

use std::collections::{BTreeMap, BTreeSet};

use super::trial::{Trial, Trials, Who};
use crate::catalog::Entry;
use crate::model::{
    AUDIT_POLICY, Attack, AttemptResult, Cell, Deviation, Log, Mark, Outcome, Proof, Reason, Role,
    ScenarioResult, Vacuous, VacuousAttack, Verdict, WeakeningResult,
};
use crate::run::Plan;

/// What a scenario did while `control` was weak. A scenario that is not expected to notice may do so for any of
/// the reasons that the weakening expects, and for those like them; none may fail at another control as well.
pub(super) fn mark(
    control: &str,
    expect: &BTreeMap<String, Reason>,
    entry: &Entry,
    result: &ScenarioResult,
) -> Mark {
    let reasons: BTreeSet<Reason> = match expect.get(&entry.id) {
        Some(reason) => [*reason].into(),
        None => expect.values().copied().flat_map(alike).collect(),
    };
    let findings: Vec<(Option<&str>, Reason)> = findings(entry, result).collect();
    let inconclusive =
        result.attempts.iter().any(|it| it.judgement.verdict == Verdict::Inconclusive);
    if inconclusive
        || result.verdict == Verdict::Inconclusive
        || findings.iter().any(|(promise, _)| promise.is_none())
    {
        return Mark::Wrong;
    }
    let (own, others): (Vec<_>, Vec<_>) =
        findings.into_iter().partition(|(promise, _)| *promise == Some(control));
    match (own.is_empty(), others.is_empty()) {
        (true, true) => Mark::Green,
        (true, false) => Mark::Collateral,
        (false, true) if own.iter().any(|(_, reason)| reasons.contains(reason)) => Mark::Caught,
        (false, _) => Mark::Wrong,
    }
}

/// The reasons for which one weakening makes different requests fail: a rule of the audit policy that drops answers
/// leaves no event of a request that was refused at once, and an incomplete one of a request that was let in.
fn alike(reason: Reason) -> Vec<Reason> {
    match reason {
        Reason::Unlogged | Reason::WronglyLogged => {
            vec![Reason::Unlogged, Reason::WronglyLogged, Reason::Misconfigured]
        }
        // What lets an attack in may show in the configuration too; not the other way round.
        Reason::Bypassed | Reason::WrongLayer | Reason::OtherReason => {
            vec![reason, Reason::Misconfigured]
        }
        Reason::Misconfigured | Reason::PermitBroken | Reason::LeftOver => vec![reason],
    }
}

/// The control that each finding is about, and its reason; no control if a legitimate use broke.
fn findings<'a>(
    entry: &'a Entry,
    result: &'a ScenarioResult,
) -> impl Iterator<Item = (Option<&'a str>, Reason)> {
    result.attempts.iter().flat_map(|attempt| broken(entry, attempt))
}

/// The control that each finding of one attempt is about, and its reason.
fn broken<'a>(
    entry: &'a Entry,
    attempt: &'a AttemptResult,
) -> impl Iterator<Item = (Option<&'a str>, Reason)> {
    let mut attacks = entry.scenario.attacks.iter();
    let control = attacks.find(|attack| attack.name == attempt.name).and_then(Attack::control);
    attempt.judgement.findings.iter().map(move |finding| {
        let promise = match finding.reason {
            Reason::Bypassed | Reason::WrongLayer | Reason::OtherReason | Reason::Misconfigured => {
                control
            }
            Reason::Unlogged | Reason::WronglyLogged => Some(AUDIT_POLICY),
            Reason::PermitBroken | Reason::LeftOver => None,
        };
        (promise, finding.reason)
    })
}

/// What came of a weakening, from what its scenarios did; and what went wrong, in words.
pub(super) fn outcome(trial: &Trial<'_>, cells: &[Cell]) -> (Outcome, Option<String>) {
    let ids = |mark: Mark| {
        let such = cells.iter().filter(|cell| cell.mark == mark);
        such.map(|cell| cell.result.id.as_str()).collect::<Vec<_>>().join(", ")
    };
    let wrong = ids(Mark::Wrong);
    if !wrong.is_empty() {
        let cause = format!("something else than the expected came of it: {wrong}");
        return (Outcome::Wrong, Some(cause));
    }
    let expected: Vec<&Cell> = cells.iter().filter(|cell| cell.expected.is_some()).collect();
    let blind: Vec<&str> = expected
        .iter()
        .filter(|cell| cell.mark != Mark::Caught)
        .map(|cell| cell.result.id.as_str())
        .collect();
    if !blind.is_empty() {
        let cause =
            format!("not noticed by {}: {}", blind.join(", "), trial.weakened.weakening.why);
        return (Outcome::Missed, Some(cause));
    }
    if expected.is_empty() && cells.iter().all(|cell| cell.mark != Mark::Caught) {
        let names: Vec<&str> = trial.weakened.weakening.expect.keys().map(String::as_str).collect();
        let cause = format!("{} must notice, and was not chosen", names.join(", "));
        return (Outcome::Skipped, Some(cause));
    }
    (Outcome::Caught, None)
}

/// The whole proof: the weakenings in the order of the catalog, with what the deviations say of them.
pub(super) fn proof(
    plan: &Plan<'_>,
    trials: &Trials<'_>,
    mut weakenings: Vec<WeakeningResult>,
) -> Proof {
    let deviations = plan.deviations;
    weakenings.sort_by_key(WeakeningResult::id);
    let catching: BTreeSet<Test<'_>> = weakenings
        .iter()
        .flat_map(|it| it.cells.iter().map(|cell| (cell, it.control.as_str())))
        .filter(|(cell, control)| cell.mark == Mark::Caught && tells(cell, control))
        .flat_map(|(cell, control)| caught(plan, cell, control))
        .collect();
    let pairs = trials.told();
    let told: BTreeSet<Test<'_>> = plan
        .scenarios
        .iter()
        .flat_map(|entry| tests(entry))
        .filter(|(id, _, control)| pairs.contains(&(*id, *control)))
        .collect();
    let vacuous: Vec<Vacuous> = told
        .difference(&catching)
        .map(|test @ (id, attack, control)| Vacuous {
            scenario: (*id).to_owned(),
            attack: (*attack).to_owned(),
            control: (*control).to_owned(),
            deviation: pardon(deviations, test),
        })
        .collect();
    let only_expected = trials.who == Who::Expected;
    let run: &[&Entry] = if only_expected { &[] } else { &plan.scenarios };
    let run: BTreeSet<&str> = run.iter().map(|entry| entry.id.as_str()).collect();
    let stale = stale(deviations, &weakenings, &told, &catching, &run);
    Proof { only_expected, weakenings, vacuous, stale }
}

/// A scenario, an attack of it, and a control that the attack tests.
type Test<'a> = (&'a str, &'a str, &'a str);

/// What a scenario's attacks test.
fn tests(entry: &Entry) -> impl Iterator<Item = Test<'_>> {
    entry.scenario.controls().into_iter().flat_map(move |control| {
        let attacks = entry.scenario.attacks.iter().filter(move |attack| attack.tests(control));
        attacks.map(move |attack| (entry.id.as_str(), attack.name.as_str(), control))
    })
}

/// The attacks that turned red at the control.
fn caught<'a>(plan: &Plan<'a>, cell: &'a Cell, control: &'a str) -> Vec<Test<'a>> {
    let Some(entry) = plan.scenarios.iter().find(|entry| entry.id == cell.result.id) else {
        return Vec::new();
    };
    let is_red = |attempt: &&AttemptResult| {
        attempt.role != Role::Permit
            && broken(entry, attempt).any(|(promise, _)| promise == Some(control))
    };
    let red = cell.result.attempts.iter().filter(is_red);
    red.map(|attempt| (cell.result.id.as_str(), attempt.name.as_str(), control)).collect()
}

/// Whether what was caught tells anything of the control. Where nothing at all is logged, whatever asks for an event
/// fails, and tells nothing of what it asks for; of the controls that refuse it tells as much as with a log.
fn tells(cell: &Cell, control: &str) -> bool {
    let mut evidence = cell.result.attempts.iter().filter_map(|attempt| attempt.evidence.as_ref());
    control != AUDIT_POLICY || !evidence.any(|evidence| matches!(evidence.log, Log::Disabled))
}

/// Notes what the deviations say of a weakening.
pub(super) fn excuse(deviations: &[Deviation], weakening: &mut WeakeningResult) {
    weakening.deviation = permit(deviations, weakening);
    let id = weakening.id();
    for cell in weakening.cells.iter_mut().filter(|cell| cell.mark == Mark::Collateral) {
        cell.deviation = condone(deviations, &id, &cell.result.id);
    }
}

fn permit(deviations: &[Deviation], weakening: &WeakeningResult) -> Option<String> {
    deviations.iter().find_map(|deviation| match deviation {
        Deviation::Missed(missed)
            if missed.weakening == weakening.id() && weakening.outcome == Outcome::Missed =>
        {
            Some(missed.why.clone())
        }
        _ => None,
    })
}

fn pardon(deviations: &[Deviation], test: &Test<'_>) -> Option<String> {
    deviations.iter().find_map(|deviation| match deviation {
        Deviation::Vacuous(vacuous) if named(vacuous) == *test => Some(vacuous.why.clone()),
        _ => None,
    })
}

fn named(vacuous: &VacuousAttack) -> Test<'_> {
    (&vacuous.scenario, &vacuous.attack, &vacuous.control)
}

fn condone(deviations: &[Deviation], weakening: &str, scenario: &str) -> Option<String> {
    deviations.iter().find_map(|deviation| match deviation {
        Deviation::Collateral(known)
            if known.weakening == weakening && known.scenario == scenario =>
        {
            Some(known.why.clone())
        }
        _ => None,
    })
}

/// The deviations that this proof has shown to be needless. `run` are the scenarios that were asked of every weakening.
fn stale(
    deviations: &[Deviation],
    weakenings: &[WeakeningResult],
    told: &BTreeSet<Test<'_>>,
    catching: &BTreeSet<Test<'_>>,
    run: &BTreeSet<&str>,
) -> Vec<String> {
    let needless = |deviation: &Deviation| match deviation {
        Deviation::Missed(missed) => weakenings
            .iter()
            .any(|it| {
                it.id() == missed.weakening
                    && it.outcome == Outcome::Caught
                    && it.unasked.is_empty()
            })
            .then(|| format!("{} is said to be missed, and it is caught", missed.weakening)),
        Deviation::Vacuous(vacuous) => {
            let test @ (id, attack, control) = named(vacuous);
            (told.contains(&test) && catching.contains(&test)).then(|| {
                format!("{id}, {attack}, is said to catch nothing of {control}, and it does")
            })
        }
        Deviation::Collateral(known) => {
            let (weakening, scenario) = (&known.weakening, known.scenario.as_str());
            let red = |it: &WeakeningResult| {
                let mut cells = it.cells.iter();
                cells.any(|cell| cell.result.id == scenario && cell.mark != Mark::Green)
            };
            let tried = |it: &&WeakeningResult| {
                it.id() == *weakening && it.outcome != Outcome::Skipped && run.contains(scenario)
            };
            let needless = weakenings.iter().find(tried).is_some_and(|it| !red(it));
            needless
                .then(|| format!("{scenario} is said to turn red by {weakening}, and it does not"))
        }
    };
    deviations.iter().filter_map(needless).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::catalog::Catalog;
    use crate::cluster::ClusterType;
    use crate::model::{Evidence, Expectation, Finding, Judgement, Missed};

    /// The scenarios of exec-guard, which the audit policy is tested by as well.
    fn catalog() -> Catalog {
        Catalog::load(None).expect("our own catalog")
    }

    fn entry<'a>(catalog: &'a Catalog, id: &str) -> &'a Entry {
        catalog.scenarios.iter().find(|entry| entry.id == id).expect("a scenario of ours")
    }

    /// What a scenario found: of each attempt its name and the reasons for which it failed.
    fn found(entry: &Entry, attempts: &[(&str, &[Reason])]) -> ScenarioResult {
        let attempt = |(name, reasons): &(&str, &[Reason])| {
            let finding = |reason: &Reason| Finding {
                reason: *reason,
                expected: String::new(),
                got: String::new(),
                who: String::new(),
                look_at: String::new(),
            };
            let verdict = if reasons.is_empty() { Verdict::Passed } else { Verdict::Failed };
            AttemptResult {
                name: (*name).to_owned(),
                role: Role::Attack,
                persona: String::new(),
                door: String::new(),
                line: None,
                judgement: Judgement {
                    verdict,
                    outcome: String::new(),
                    logged: String::new(),
                    findings: reasons.iter().map(finding).collect(),
                    causes: Vec::new(),
                    causes_of_log: 0,
                },
                evidence: None,
                too_soon: None,
            }
        };
        let attempts: Vec<AttemptResult> = attempts.iter().map(attempt).collect();
        let worst = attempts.iter().map(|attempt| attempt.judgement.verdict).max();
        ScenarioResult {
            run: None,
            id: entry.id.clone(),
            family: entry.family.clone(),
            file: entry.users_file(),
            title: String::new(),
            why: String::new(),
            fix: String::new(),
            tags: Vec::new(),
            controls: Vec::new(),
            verdict: worst.unwrap_or(Verdict::Passed),
            cause: None,
            waived: None,
            audit_lines: None,
            attempts,
            took: Duration::ZERO,
        }
    }

    #[test]
    fn only_the_expected_reason_at_the_weakened_control_is_caught() {
        use Reason::*;
        let catalog = catalog();
        let entry = entry(&catalog, "exec-interactive");
        let expect = BTreeMap::from([(entry.id.clone(), Bypassed)]);
        type Attempts<'a> = &'a [(&'a str, &'a [Reason])];
        let table: [(Attempts<'_>, Mark); 8] = [
            (&[("a shell", &[])], Mark::Green),
            (&[("a shell", &[Bypassed])], Mark::Caught),
            (&[("a shell", &[Bypassed, Unlogged])], Mark::Wrong),
            (&[("a shell", &[WrongLayer])], Mark::Wrong),
            (&[("a shell", &[Unlogged])], Mark::Collateral),
            (&[("a single command", &[PermitBroken])], Mark::Wrong),
            (&[("a shell", &[Bypassed]), ("a single command", &[PermitBroken])], Mark::Wrong),
            (&[("a shell", &[Bypassed, LeftOver])], Mark::Wrong),
        ];
        for (attempts, expected) in table {
            let result = found(entry, attempts);
            assert_eq!(mark("exec-guard", &expect, entry, &result), expected, "{attempts:?}");
        }
        let unlogged = found(entry, &[("a shell", &[Unlogged])]);
        let expect = BTreeMap::from([(entry.id.clone(), Unlogged)]);
        assert_eq!(mark("audit-policy", &expect, entry, &unlogged), Mark::Caught);
    }

    /// What lets an attack in may show in the configuration. That an attack is let in by what only a review should
    /// notice has to be written down.
    #[test]
    fn a_review_may_notice_beside_an_attack_and_not_the_other_way_round() {
        use Reason::*;
        let catalog = catalog();
        let (review, attack) = ("webhooks-reviewed", "exec-interactive");
        let webhook = "the webhook of exec-guard";
        for (named, reason, unnamed, attempt, found_reason, expected) in [
            (attack, Bypassed, review, webhook, Misconfigured, Mark::Caught),
            (attack, WrongLayer, review, webhook, Misconfigured, Mark::Caught),
            (review, Misconfigured, attack, "a shell", Bypassed, Mark::Wrong),
        ] {
            let entry = entry(&catalog, unnamed);
            let expect = BTreeMap::from([(named.to_owned(), reason)]);
            let result = found(entry, &[(attempt, &[found_reason])]);
            assert_eq!(mark("exec-guard", &expect, entry, &result), expected, "{unnamed}");
            // Another control's weakening is none of its business.
            let aside = mark("exec-policy", &expect, entry, &result);
            assert_eq!(aside, Mark::Collateral, "{unnamed}");
        }
    }

    #[test]
    fn what_is_inconclusive_is_never_caught() {
        let catalog = catalog();
        let entry = entry(&catalog, "exec-interactive");
        let expect = BTreeMap::from([(entry.id.clone(), Reason::Bypassed)]);
        let mut result = found(entry, &[("a shell", &[Reason::Bypassed]), ("a shell", &[])]);
        result.attempts[1].judgement.verdict = Verdict::Inconclusive;
        assert_eq!(mark("exec-guard", &expect, entry, &result), Mark::Wrong);
        let whole = ScenarioResult {
            verdict: Verdict::Inconclusive,
            attempts: Vec::new(),
            ..found(entry, &[])
        };
        assert_eq!(mark("exec-guard", &expect, entry, &whole), Mark::Wrong);
    }

    /// The trials of exec-guard's own weakening `absent`, and what came of it.
    /// Where it is caught, every attack is red but the one that is `blind`.
    fn judged_but(marks: &[(&str, Mark)], blind: &str, deviations: Vec<Deviation>) -> Proof {
        let mut catalog = catalog();
        catalog.deviations = deviations;
        let mut profile = catalog.profile("hardened").expect("a profile of ours");
        for planned in &mut profile.controls {
            let expect = BTreeMap::from([("exec-interactive".to_owned(), Reason::Bypassed)]);
            let absent = planned.weakenings.iter().filter(|it| it.name == "absent").cloned();
            let expecting = absent.map(|mut it| {
                it.weakening.expect = expect.clone();
                it
            });
            planned.weakenings = expecting.collect();
        }
        let selected = ["exec-interactive", "attach-sensitive-pod"].map(|id| {
            let mut entry = entry(&catalog, id).clone();
            for attack in &mut entry.scenario.attacks {
                if let Expectation::Blocked(_, logged) = &mut attack.expected {
                    *logged = None;
                }
            }
            entry.scenario.permits.iter_mut().for_each(|permit| permit.logged = None);
            entry
        });
        let plan = Plan::new(&catalog, &profile, ClusterType::Embedded, selected.iter().collect());
        let trials = Trials::new(&plan, &["exec-guard".to_owned()], Who::Everybody);
        let trial = &trials.trials[0];
        let cells: Vec<Cell> = marks
            .iter()
            .map(|(id, mark)| Cell {
                expected: trial.weakened.weakening.expect.get(*id).copied(),
                mark: *mark,
                deviation: None,
                result: {
                    let entry = entry(&catalog, id);
                    let attacks = entry.scenario.attacks.iter().map(|attack| attack.name.as_str());
                    let is_red = |name: &&str| *mark == Mark::Caught && *name != blind;
                    let red = attacks.filter(is_red).map(|name| (name, &[Reason::Bypassed][..]));
                    found(entry, &red.collect::<Vec<_>>())
                },
            })
            .collect();
        let (outcome, cause) = outcome(trial, &cells);
        let mut result = WeakeningResult {
            control: "exec-guard".to_owned(),
            name: "absent".to_owned(),
            why: String::new(),
            outcome,
            cause,
            deviation: None,
            unasked: trial.unasked(),
            cells,
            took: Duration::ZERO,
        };
        excuse(&catalog.deviations, &mut result);
        proof(&plan, &trials, vec![result])
    }

    fn judged(marks: &[(&str, Mark)], deviations: Vec<Deviation>) -> Proof {
        judged_but(marks, "", deviations)
    }

    #[test]
    fn an_attack_that_stays_green_is_vacuous_whatever_else_of_its_scenario_turns_red() {
        let both = [("exec-interactive", Mark::Caught), ("attach-sensitive-pod", Mark::Caught)];
        let proof = judged_but(&both, "attaching with a keyboard", Vec::new());
        let vacuous: Vec<_> =
            proof.vacuous.iter().map(|it| (it.scenario.as_str(), it.attack.as_str())).collect();
        assert_eq!(vacuous, [("exec-interactive", "attaching with a keyboard")]);
        assert!(proof.is_failure());
    }

    /// What a step leaves in the log is a test of the audit policy, as what an attack leaves.
    #[test]
    fn a_step_that_is_not_logged_notices() {
        let catalog = catalog();
        let profile = catalog.profile("hardened").expect("a profile of ours");
        let entry = entry(&catalog, "exec-relabelled-pod");
        let plan = Plan::new(&catalog, &profile, ClusterType::Embedded, vec![entry]);
        let name = "the pod is sensitive";
        let mut result = found(entry, &[(name, &[Reason::Unlogged])]);
        result.attempts[0].role = Role::Step;
        let cell = Cell { expected: None, mark: Mark::Caught, deviation: None, result };
        let test = ("exec-relabelled-pod", name, AUDIT_POLICY);
        assert_eq!(caught(&plan, &cell, AUDIT_POLICY), [test]);
        assert!(tests(entry).any(|told| told == test));
    }

    #[test]
    fn a_weakening_is_caught_when_those_who_must_notice_do() {
        let both = [("exec-interactive", Mark::Caught), ("attach-sensitive-pod", Mark::Caught)];
        let proof = judged(&both, Vec::new());
        assert_eq!((proof.count(Outcome::Caught), proof.tried()), (1, 1));
        assert!(!proof.is_failure());
    }

    #[test]
    fn a_weakening_that_the_expected_scenario_misses_is_missed_whoever_else_notices() {
        let other = [("exec-interactive", Mark::Green), ("attach-sensitive-pod", Mark::Caught)];
        let proof = judged(&other, Vec::new());
        assert_eq!(proof.count(Outcome::Missed), 1);
        assert!(proof.is_failure());
    }

    #[test]
    fn what_goes_wrong_beside_a_catch_is_no_catch() {
        let wrong = [("exec-interactive", Mark::Caught), ("attach-sensitive-pod", Mark::Wrong)];
        let proof = judged(&wrong, Vec::new());
        assert_eq!((proof.count(Outcome::Wrong), proof.count(Outcome::Caught)), (1, 0));
    }

    #[test]
    fn a_scenario_that_catches_nothing_is_vacuous() {
        let one = [("exec-interactive", Mark::Caught), ("attach-sensitive-pod", Mark::Green)];
        let proof = judged(&one, Vec::new());
        assert_eq!(proof.count(Outcome::Caught), 1);
        let attacks: Vec<&str> = proof.vacuous.iter().map(|it| it.attack.as_str()).collect();
        assert_eq!(attacks, ["a single command in it", "reading along"]);
        assert!(proof.vacuous.iter().all(|it| it.scenario == "attach-sensitive-pod"));
        assert!(proof.is_failure());
    }

    #[test]
    fn what_fails_because_nothing_is_logged_at_all_tells_nothing_of_the_audit_policy() {
        let catalog = catalog();
        let entry = entry(&catalog, "exec-interactive");
        let result = found(entry, &[("a shell", &[Reason::Unlogged])]);
        let mut cell = Cell { expected: None, mark: Mark::Caught, deviation: None, result };
        assert!(tells(&cell, AUDIT_POLICY));
        let results = crate::report::sample::results(&crate::report::sample::proof());
        let mut cells = results.proof.iter().flat_map(|it| &it.weakenings).flat_map(|it| &it.cells);
        let evidence = cells.find_map(|cell| cell.result.attempts[0].evidence.clone());
        let evidence = evidence.expect("a sample with evidence");
        cell.result.attempts[0].evidence = Some(Evidence { log: Log::Disabled, ..evidence });
        assert!(!tells(&cell, AUDIT_POLICY));
        assert!(tells(&cell, "exec-guard"), "a refusal is told by its answer as well");
    }

    #[test]
    fn another_controls_scenario_that_turns_red_is_a_failure() {
        let red = [("exec-interactive", Mark::Caught), ("attach-sensitive-pod", Mark::Collateral)];
        let proof = judged(&red, Vec::new());
        assert_eq!(proof.collateral(), 1);
        assert!(proof.is_failure());
    }

    #[test]
    fn a_deviation_excuses_what_is_so_and_is_stale_where_it_is_not() {
        let missed = Deviation::Missed(Missed {
            weakening: "exec-guard/absent".to_owned(),
            why: "nobody can see it".to_owned(),
        });
        let vacuous = Deviation::Vacuous(VacuousAttack {
            scenario: "attach-sensitive-pod".to_owned(),
            attack: "reading along".to_owned(),
            control: "exec-guard".to_owned(),
            why: "it documents".to_owned(),
        });
        let deviations = || vec![missed.clone(), vacuous.clone()];
        let blind = [("exec-interactive", Mark::Green), ("attach-sensitive-pod", Mark::Green)];
        let excused = judged(&blind, deviations());
        assert_eq!(excused.count(Outcome::Missed), 1, "it is told all the same");
        // The others catch nothing either, and nothing excuses that.
        let unexcused: Vec<_> =
            excused.vacuous.iter().filter(|vacuous| vacuous.deviation.is_none()).collect();
        assert_eq!(unexcused.len(), 4);
        assert!(excused.stale.is_empty());
        let both = [("exec-interactive", Mark::Caught), ("attach-sensitive-pod", Mark::Caught)];
        let needless = judged(&both, deviations());
        assert_eq!(needless.stale.len(), 2, "{:?}", needless.stale);
        assert!(needless.is_failure());
    }
}
