use serde_json::{Value, json};

use super::*;
use crate::model::{Finding, Results};
use crate::report::sample;

const TODAY: &str = "2026-11-20";

/// A waiver of what fails in `exec-interactive`, with something else in it.
fn waiver(over: Value) -> WaiverEntry {
    let mut waiver = json!({
        "scenario": "exec-interactive", "why": "it is being replaced", "owner": "team-a",
        "expires": "2026-11-20",
    });
    crate::merge::lay_over(&mut waiver, &over);
    let waiver = serde_json::from_value(waiver).expect("a waiver");
    WaiverEntry { place: "expected.yaml:1".to_owned(), waiver }
}

/// What a run found, of which `exec-interactive` failed: bypassed and unlogged, its permit unlogged alone.
fn found() -> Results {
    sample::results(&sample::mixed())
}

fn scenario(id: &str) -> ScenarioResult {
    found().scenarios.into_iter().find(|it| it.id == id).expect("a scenario of the sample")
}

/// Whether all of a scenario is waived by these.
fn is_waived(mut result: ScenarioResult, waivers: &[Value]) -> bool {
    let waivers: Vec<WaiverEntry> = waivers.iter().cloned().map(waiver).collect();
    waive(&mut result, &waivers, TODAY);
    result.is_waived()
}

#[test]
fn what_fails_as_it_is_known_to_is_waived() {
    for waivers in [
        vec![json!({})],
        vec![json!({"findings": ["bypassed", "unlogged"]})],
        vec![json!({"findings": ["bypassed"]}), json!({"findings": ["unlogged"]})],
    ] {
        assert!(is_waived(scenario("exec-interactive"), &waivers), "{waivers:?}");
    }
}

#[test]
fn what_fails_otherwise_than_it_is_known_to_is_not_waived() {
    let name = scenario("exec-interactive").attempts[0].name.clone();
    for waivers in [
        vec![],
        vec![json!({"findings": ["unlogged"]})],
        vec![json!({"findings": ["bypassed"]})],
        vec![json!({"scenario": "exec-get-only-role"})],
        vec![json!({"verdict": "inconclusive"})],
        vec![json!({"expires": "2026-11-19"})],
        vec![json!({"attempt": name, "door": "GET WebSocket"})],
        vec![json!({"door": "POST SPDY"}), json!({"door": "GET SPDY"})],
        vec![json!({"persona": "nobody"})],
    ] {
        assert!(!is_waived(scenario("exec-interactive"), &waivers), "{waivers:?}");
    }
}

#[test]
fn what_is_inconclusive_is_waived_only_where_a_waiver_says_so() {
    let inconclusive = || scenario("secret-list-cluster");
    let says =
        |verdict: Value| vec![json!({"scenario": "secret-list-cluster", "verdict": verdict})];
    assert!(!is_waived(inconclusive(), &says(json!("failed"))));
    assert!(is_waived(inconclusive(), &says(json!("inconclusive"))));
    // A known failure does not answer for what could not be told beside it.
    let mut doubted = scenario("exec-interactive");
    doubted.attempts[0].judgement.causes.push("the answer matches no known layer".to_owned());
    assert!(!is_waived(doubted.clone(), &[json!({})]));
    assert!(is_waived(doubted, &[json!({}), json!({"verdict": "inconclusive"})]));
}

#[test]
fn what_ended_a_scenario_early_or_stays_on_the_cluster_is_never_waived() {
    let both = [json!({}), json!({"verdict": "inconclusive"})];
    let mut early = scenario("exec-interactive");
    early.cause = Some("the run's deadline passed before it ended".to_owned());
    assert!(!is_waived(early, &both));
    let mut left = scenario("exec-interactive");
    let finding = left.attempts[0].judgement.findings[0].clone();
    left.attempts[0].judgement.findings.push(Finding { reason: Reason::LeftOver, ..finding });
    assert!(!is_waived(left.clone(), &both));
    assert!(!is_waived(left, &[json!({"findings": ["bypassed", "unlogged", "left-over"]})]));
    let mut unnamed = scenario("exec-interactive");
    unnamed.attempts[0].judgement.findings.clear();
    assert!(!is_waived(unnamed, &both));
}

#[test]
fn what_is_waived_says_by_whom_and_for_which_attempts() {
    let mut result = scenario("exec-interactive");
    let waivers = [waiver(json!({"door": "POST SPDY"})), waiver(json!({"persona": "nobody"}))];
    waive(&mut result, &waivers, TODAY);
    let Waived { all, by } = result.waived.expect("a part is waived");
    assert!(!all);
    let by: Vec<_> = by.into_iter().map(|by| (by.entry, by.attempts)).collect();
    assert_eq!(by, [(waivers[0].clone(), vec![1])]);
}

/// What became of a waiver.
fn settled(scenarios: &[ScenarioResult], over: Value) -> (WaiverState, String) {
    let SettledWaiver { state, told, .. } =
        settle(&[waiver(over)], scenarios, TODAY).pop().expect("one");
    (state, told)
}

#[test]
fn a_waiver_that_is_needed_or_of_which_nothing_is_known_is_left_alone() {
    let all = found().scenarios;
    for (over, state) in [
        (json!({}), WaiverState::Needed),
        (json!({"findings": ["bypassed", "unlogged"]}), WaiverState::Needed),
        (json!({"scenario": "egress-database"}), WaiverState::Untouched),
        (json!({"scenario": "egress-database", "expires": "2026-01-01"}), WaiverState::Untouched),
        (json!({"scenario": "not-chosen"}), WaiverState::Untouched),
        // What is inconclusive may be what the waiver knows of.
        (json!({"scenario": "secret-list-cluster"}), WaiverState::Untouched),
        (
            json!({"scenario": "secret-list-cluster", "verdict": "inconclusive"}),
            WaiverState::Needed,
        ),
        // Not tried.
        (json!({"attempt": "another"}), WaiverState::Untouched),
    ] {
        assert_eq!(settled(&all, over.clone()).0, state, "{over}");
    }
    let mut early = scenario("exec-get-only-role");
    early.cause = Some("the run's deadline passed before it ended".to_owned());
    let over = json!({"scenario": "exec-get-only-role"});
    assert_eq!(settled(&[early], over).0, WaiverState::Untouched);
}

#[test]
fn a_waiver_that_has_expired_or_is_stale_must_go() {
    let all = found().scenarios;
    for (over, state, words) in [
        (json!({"expires": "2026-11-19"}), WaiverState::Expired, "its last day was 2026-11-19"),
        (
            json!({"scenario": "exec-get-only-role"}),
            WaiverState::Stale,
            "its scenario ran, and nothing that it covers came: remove it",
        ),
        (
            json!({"scenario": "exec-get-only-role", "verdict": "inconclusive"}),
            WaiverState::Stale,
            "its scenario ran, and nothing that it covers came: remove it",
        ),
        (
            json!({"findings": ["bypassed", "unlogged", "wrong-layer"]}),
            WaiverState::Stale,
            "its scenario ran, and nothing that it is about was wrong layer: remove it",
        ),
    ] {
        assert_eq!(settled(&all, over.clone()), (state, words.to_owned()), "{over}");
        assert!(state.is_bad());
    }
}

/// A scenario with one attempt, in which several things came.
fn listed(got: &[&str]) -> ScenarioResult {
    let mut result = scenario("exec-interactive");
    result.attempts.truncate(1);
    let finding = result.attempts[0].judgement.findings[0].clone();
    let findings = got.iter().map(|got| Finding { got: (*got).to_owned(), ..finding.clone() });
    result.attempts[0].judgement.findings = findings.collect();
    result
}

#[test]
fn what_is_known_of_one_hides_no_other_in_the_same_attempt() {
    let known = [json!({"got": "granted to team-x"})];
    assert!(is_waived(listed(&["granted to team-x"]), &known));
    assert!(!is_waived(listed(&["granted to everybody"]), &known));
    assert!(!is_waived(listed(&["granted to team-x", "granted to everybody"]), &known));
}

#[test]
fn what_rests_on_a_step_that_did_not_work_needs_a_waiver_of_its_own() {
    let mut result = scenario("exec-interactive");
    result.attempts.truncate(2);
    for attempt in &mut result.attempts {
        attempt.judgement.findings.clear();
        attempt.judgement.causes.clear();
    }
    let [step, attack] = result.attempts.as_mut_slice() else { panic!("two") };
    (step.role, step.name, step.judgement.verdict) =
        (Role::Step, "a step".to_owned(), Verdict::Inconclusive);
    (attack.role, attack.name, attack.judgement.verdict) =
        (Role::Attack, "an attack".to_owned(), Verdict::Passed);
    let of_step = json!({"verdict": "inconclusive", "attempt": "a step"});
    let of_attack = json!({"verdict": "inconclusive", "attempt": "an attack"});
    assert!(!is_waived(result.clone(), std::slice::from_ref(&of_step)));
    assert!(is_waived(result, &[of_step, of_attack]));
}

#[test]
fn a_waiver_of_what_was_skipped_is_left_alone_where_everything_is_required() {
    let mut result = scenario("exec-interactive");
    result.verdict = Verdict::Inconclusive;
    result.attempts.clear();
    let settled = settle(&[waiver(json!({"expires": "2026-11-19"}))], &[result], TODAY);
    assert_eq!(settled[0].state, WaiverState::Untouched);
}
