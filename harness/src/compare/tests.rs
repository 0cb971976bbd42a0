use super::*;
use crate::model::{
    Answer, Decision, Event, Finding, Granted, Held, Holding, Log, Reason, Reviewed, RunEvent,
    existing, rehearsed,
};
use crate::report::{ExitCode, Shown, sample, show_comparison};

fn results(events: &[RunEvent]) -> Results {
    sample::results(events)
}

fn comparison(comparison: &Comparison) -> String {
    let shown = show_comparison(comparison, Shown::Text).expect("shown");
    String::from_utf8(shown).expect("text")
}

fn compared(before: &Results, after: &Results) -> Comparison {
    Comparison::of(before, after).expect("compared")
}

/// The weights of a change from one verdict to another, with nothing else changed.
fn weighed(before: Option<Verdict>, after: Option<Verdict>) -> Option<Weight> {
    let of = |verdict: Option<Verdict>| {
        let mut results = results(&sample::mixed());
        match verdict {
            Some(verdict) => results.scenarios[0].verdict = verdict,
            None => drop(results.scenarios.remove(0)),
        }
        results
    };
    let compared = compared(&of(before), &of(after));
    assert!(compared.scenarios.len() <= 1);
    compared.scenarios.first().map(|change| change.weight)
}

#[test]
fn what_is_no_longer_known_to_pass_is_worse() {
    use Verdict::{Failed, Inconclusive, Passed, Skipped};
    let all = [Some(Passed), None, Some(Skipped), Some(Inconclusive), Some(Failed)];
    let (same, other) = (None, Some(Weight::Other));
    let (worse, better) = (Some(Weight::Worse), Some(Weight::Better));
    let table = [
        [same, worse, worse, worse, worse],
        [better, same, other, worse, worse],
        [better, other, same, worse, worse],
        [better, other, other, same, worse],
        [better, other, other, other, same],
    ];
    for (before, row) in all.into_iter().zip(table) {
        for (after, expected) in all.into_iter().zip(row) {
            assert_eq!(weighed(before, after), expected, "{before:?} to {after:?}");
        }
    }
}

#[test]
fn the_same_is_no_difference_whatever_the_run_is_called() {
    for events in [sample::passing(), sample::failing(), sample::mixed(), sample::waived()] {
        let before = results(&events);
        let text = serde_json::to_string(&before).expect("JSON");
        let text = text.replace("k7f3", "0c11a9").replace("2026-11-20T10", "2026-12-01T11");
        let after = Results::read(text.as_bytes()).expect("results");
        let compared = compared(&before, &after);
        assert!(compared.scenarios.is_empty(), "{}", comparison(&compared));
        assert_eq!(ExitCode::of_comparison(&compared), ExitCode::Passed);
    }
}

#[test]
fn attempts_are_matched_by_who_and_how_and_not_by_position() {
    let before = results(&sample::failing());
    let mut after = before.clone();
    after.scenarios[0].attempts.rotate_left(1);
    assert!(compared(&before, &after).scenarios.is_empty());
    after.scenarios[0].attempts[0].name = "another".to_owned();
    let compared = compared(&before, &after);
    let whos: Vec<&str> =
        compared.scenarios[0].attempts.iter().map(|attempt| attempt.who.as_str()).collect();
    assert_eq!(whos, ["another, operator, POST SPDY", "a shell, operator, POST SPDY"]);
    let weights = compared.scenarios[0].attempts.iter().map(|it| it.changes[0].weight);
    assert_eq!(weights.collect::<Vec<_>>(), [Weight::Worse, Weight::Other]);
}

#[test]
fn one_reason_more_is_worse_and_one_less_is_better() {
    let more = results(&sample::failing());
    let mut less = more.clone();
    let attempt = &mut less.scenarios[0].attempts[0];
    attempt.judgement.findings.retain(|finding| finding.reason != Reason::Unlogged);
    let weight = |before: &Results, after: &Results| compared(before, after).scenarios[0].weight;
    assert_eq!(weight(&less, &more), Weight::Worse);
    assert_eq!(weight(&more, &less), Weight::Better);
    // What could be told and cannot any more is no success.
    let blind = |of: &Results| {
        let mut of = of.clone();
        of.scenarios[0].attempts[0].judgement.causes.push("the log is cut".to_owned());
        of
    };
    assert_eq!(weight(&more, &blind(&more)), Weight::Worse);
    assert_eq!(weight(&more, &blind(&less)), Weight::Other);
    assert_eq!(weight(&less, &blind(&more)), Weight::Worse);
    assert_eq!(weight(&blind(&more), &less), Weight::Better);
    assert_eq!(weight(&blind(&more), &more), Weight::Other);
    assert_eq!(weight(&blind(&more), &blind(&less)), Weight::Other);
    let mut blinder = blind(&more);
    blinder.scenarios[0].attempts[0].judgement.causes.push("a node is silent".to_owned());
    assert_eq!(weight(&blind(&more), &blinder), Weight::Worse);
    let told = compared(&more, &blind(&more));
    let after = &told.scenarios[0].attempts[0].changes[0].after;
    assert!(after.ends_with(", and not all of it could be told"), "{after}");
}

/// A result of which the first attempt failed for this, and answered so.
fn failed(reason: Reason, gots: &[&str], answer: Answer) -> Results {
    let mut failed = results(&sample::failing());
    let attempt = &mut failed.scenarios[0].attempts[0];
    let finding = attempt.judgement.findings[0].clone();
    let finding = |got: &&str| Finding { reason, got: (*got).to_owned(), ..finding.clone() };
    attempt.judgement.findings = gots.iter().map(finding).collect();
    attempt.evidence.as_mut().expect("evidence").answer = answer;
    failed
}

fn reviewed(flaws: &[&str], more: usize) -> Results {
    let answer = Answer::Review(Reviewed { objects: 9, more, ..Reviewed::default() });
    failed(Reason::Misconfigured, flaws, answer)
}

fn granted(others: &[&str]) -> Results {
    let others = others.iter().map(|it| (*it).to_owned()).collect();
    let answer = Answer::Grants(Granted { others, ..Granted::default() });
    failed(Reason::Bypassed, &["granted"], answer)
}

fn held(rights: &[&str]) -> Results {
    let holding = Holding {
        who: "ann".to_owned(),
        rights: rights.iter().map(|it| (*it).to_owned()).collect(),
        place: "in kube-system".to_owned(),
        reason: "RBAC".to_owned(),
        expired: None,
    };
    let answer = Answer::Rights(Held { others: vec![holding], ..Held::default() });
    failed(Reason::Bypassed, &["held"], answer)
}

/// One reason may be many flaws, rights or grants.
#[test]
fn one_flaw_right_or_grant_more_is_worse_and_one_less_is_better() {
    let weight = |before: &Results, after: &Results| {
        let compared = compared(before, after);
        let attempts = compared.scenarios.first().map(|it| &it.attempts[0].changes);
        attempts.and_then(|it| it.iter().find(|it| it.what == VERDICT)).map(|it| it.weight)
    };
    let each: [fn(&[&str]) -> Results; 3] = [|some| reviewed(some, 0), granted, held];
    for of in each {
        let (one, other, both) = (of(&["a"]), of(&["b"]), of(&["a", "b"]));
        assert_eq!(weight(&one, &both), Some(Weight::Worse));
        assert_eq!(weight(&one, &other), Some(Weight::Worse));
        assert_eq!(weight(&both, &one), Some(Weight::Better));
        assert_eq!(weight(&both, &of(&["b", "a"])), None);
        let told = compared(&one, &other);
        let after = &told.scenarios[0].attempts[0].changes[0].after;
        assert!(after.ends_with(", for 1 thing, 1 new"), "{after}");
    }
    // The same on two runs, whatever it is called there.
    let named = |run: &str| {
        let pods = [format!("Pod attack-{run}-1 is there"), format!("Pod attack-{run}-2 is there")];
        let run = run.to_owned();
        Results { run, ..reviewed(&pods.each_ref().map(String::as_str), 0) }
    };
    assert_eq!(weight(&named("k7f3"), &named("0c11a9")), None);
    // Of many the first are named: one that was not named before is not new for that.
    assert_eq!(weight(&reviewed(&["a"], 1), &reviewed(&["b"], 0)), Some(Weight::Other));
    assert_eq!(weight(&reviewed(&["a"], 1), &reviewed(&["b"], 1)), Some(Weight::Other));
    assert_eq!(weight(&reviewed(&["a"], 1), &reviewed(&["a"], 2)), Some(Weight::Worse));
    assert_eq!(weight(&reviewed(&["a"], 2), &reviewed(&["a"], 1)), Some(Weight::Better));
    // Of what was not answered nobody knows whether it is held.
    let mut unanswered = held(&["a"]);
    let evidence = unanswered.scenarios[0].attempts[0].evidence.as_mut().expect("evidence");
    let Answer::Rights(rights) = &mut evidence.answer else { panic!("another answer") };
    rights.unanswered.push("no route".to_owned());
    assert_eq!(weight(&held(&["a", "b"]), &unanswered), Some(Weight::Other));
    assert_eq!(weight(&held(&["a"]), &unanswered), Some(Weight::Worse));
    // What an attack answered beside is no other failure.
    let attack = |got: &str| failed(Reason::Bypassed, &[got], Answer::Worked(got.to_owned()));
    assert_eq!(weight(&attack("a"), &attack("b")), None);
}

#[test]
fn another_answer_with_the_same_verdict_is_told_with_its_place() {
    let before = results(&sample::passing());
    let mut after = before.clone();
    let evidence = after.scenarios[0].attempts[0].evidence.as_mut().expect("evidence");
    let Answer::Http(response) = &mut evidence.answer else { panic!("another answer") };
    response.code = 422;
    let Decision::Denied(denial) = &mut evidence.decision else { panic!("another decision") };
    denial.message = "no".to_owned();
    let compared = compared(&before, &after);
    let changes = &compared.scenarios[0].attempts[0].changes;
    let told = |change: &Change| (change.what, change.place.clone(), change.after.clone());
    let told: Vec<_> = changes.iter().map(told).collect();
    let place = "answer.http.code".to_owned();
    let expected =
        [("words", String::new(), "no".to_owned()), ("evidence", place, "422".to_owned())];
    assert_eq!(told, expected);
    assert_eq!(ExitCode::of_comparison(&compared), ExitCode::Passed);
}

#[test]
fn attempts_that_passed_and_were_not_made_are_told() {
    let mut before = results(&sample::failing());
    let attempts = &mut before.scenarios[0].attempts;
    attempts[1].judgement.verdict = Verdict::Passed;
    attempts[2].judgement.verdict = Verdict::Passed;
    let change = |verdict: Verdict, cluster: &str| {
        let mut after = before.clone();
        (after.scenarios[0].verdict, after.cluster) = (verdict, cluster.to_owned());
        after.scenarios[0].attempts.clear();
        let compared = compared(&before, &after);
        let changes = &compared.scenarios[0].changes;
        let change = changes.iter().find(|change| change.what == "attempts").expect("told");
        assert_eq!(change.before, "2 passed");
        (change.weight, ExitCode::of_comparison(&compared))
    };
    let (worse, other) = ((Weight::Worse, ExitCode::Failed), (Weight::Other, ExitCode::Passed));
    assert_eq!(change(Verdict::Inconclusive, "kind"), worse);
    assert_eq!(change(Verdict::Inconclusive, "embedded"), other);
    assert_eq!(change(Verdict::Skipped, "kind"), other);
}

#[test]
fn what_differs_by_design_is_masked_behind_line_breaks_too() {
    let with = |run: &str, address: &str| {
        let mut results = results(&sample::passing());
        results.run = run.to_owned();
        let evidence = results.scenarios[0].attempts[3].evidence.as_mut().expect("evidence");
        let Answer::Stream(stream) = &mut evidence.answer else { panic!("another answer") };
        stream.stdout = format!("pods:\n{run}-7\n\t{address}\u{1b}{run}\n");
        results
    };
    let compared = compared(&with("97a0a8", "10.0.0.7"), &with("0c11a9", "10.0.0.9"));
    assert!(compared.scenarios.is_empty(), "{}", comparison(&compared));
}

#[test]
fn how_far_a_stream_had_come_and_how_long_it_took_is_no_difference() {
    let before = results(&sample::passing());
    let with = |change: fn(&mut Vec<Event>)| {
        let mut after = before.clone();
        let evidence = after.scenarios[0].attempts[3].evidence.as_mut().expect("evidence");
        let Log::Read { events, .. } = &mut evidence.log else { panic!("another log") };
        change(events);
        compared(&before, &after)
    };
    let later = with(|events| {
        let mut more = events[0].clone();
        more.stage = "ResponseStarted".to_owned();
        more.annotations.insert("a.example/b".to_owned(), "c".to_owned());
        events.insert(0, more);
    });
    assert!(later.scenarios.is_empty(), "{}", comparison(&later));
    let slow = with(|events| {
        let key = "apiserver.latency.k8s.io/total".to_owned();
        events[0].annotations.insert(key, "601.8ms".to_owned());
    });
    assert!(slow.scenarios.is_empty(), "{}", comparison(&slow));
    let noted = with(|events| {
        events[0].annotations.insert("a.example/b".to_owned(), "c".to_owned());
    });
    let change = &noted.scenarios[0].attempts[0].changes[0];
    assert_eq!(change.place, "log.read.events[ResponseComplete get].annotations.a.example/b");
}

#[test]
fn a_run_that_ended_early_or_lost_a_control_is_worse() {
    let before = results(&sample::passing());
    let mut early = before.clone();
    early.aborted = Some("the cluster is gone".to_owned());
    let killed = Results { summary: None, ..before.clone() };
    let unmet = results(&sample::unmet());
    for after in [early, killed, unmet, sample::left_behind()] {
        let worse = compared(&before, &after);
        assert_eq!(ExitCode::of_comparison(&worse), ExitCode::Failed, "{}", comparison(&worse));
        let better = compared(&after, &before);
        assert_eq!(ExitCode::of_comparison(&better), ExitCode::Passed);
        assert_eq!(better.whole[0].weight, Weight::Better);
    }
}

#[test]
fn on_another_cluster_a_skip_says_nothing_and_the_head_says_so() {
    let before = results(&sample::passing());
    let mut after = before.clone();
    after.scenarios[0].verdict = Verdict::Skipped;
    after.scenarios[0].attempts.clear();
    assert_eq!(compared(&before, &after).scenarios[0].weight, Weight::Worse);
    for change in [
        |it: &mut Results| it.cluster = "embedded (asked for)".to_owned(),
        |it: &mut Results| it.profile = "open".to_owned(),
    ] {
        let mut after = after.clone();
        change(&mut after);
        let compared = compared(&before, &after);
        assert_eq!(compared.scenarios[0].weight, Weight::Other);
        assert_eq!(compared.limits.len(), 1, "{:?}", compared.limits);
    }
    // Another version is what an upgrade changes.
    after.kubernetes = "1.37".to_owned();
    let compared = compared(&before, &after);
    assert_eq!((compared.scenarios[0].weight, compared.limits.len()), (Weight::Worse, 1));
}

#[test]
fn of_two_existing_clusters_the_head_says_so_and_a_rehearsal_is_of_one() {
    let on = |cluster: String| Results { cluster, ..results(&sample::passing()) };
    let limits = |before, after| compared(&on(before), &on(after)).limits;
    let told = limits(existing("staging"), existing("production"));
    assert!(told[0].starts_with("existing cluster (staging, then production): "), "{told:?}");
    assert_eq!(limits(existing("staging"), rehearsed("staging")), [""; 0]);
    assert_eq!(limits(existing("staging"), rehearsed("production")).len(), 1);
    // Merged ones are told apart by it.
    let both = || {
        let run = |id: &str, context: &str| Results { run: id.to_owned(), ..on(existing(context)) };
        Results::merged(vec![run("a", "staging"), run("b", "production")])
    };
    assert_eq!(compared(&both(), &both()).in_both, 2);
}

#[test]
fn of_another_format_verdicts_are_compared() {
    let before = results(&sample::passing());
    let mut document = serde_json::to_value(results(&sample::failing())).expect("JSON");
    document["format"] = 2.into();
    document["scenarios"][0]["attempts"][0]["evidence"] = "in another form".into();
    let text = document.to_string();
    assert!(Results::read(text.as_bytes()).is_err());
    let after = Results::read_core(text.as_bytes()).expect("what every format has");
    let changed = compared(&before, &after);
    assert_eq!(changed.scenarios[0].weight, Weight::Worse);
    assert!(changed.limits[0].contains("only verdicts"), "{:?}", changed.limits);
    let whats = changed.scenarios[0].attempts.iter().flat_map(|attempt| &attempt.changes);
    assert!(whats.clone().count() > 0 && whats.clone().all(|change| change.what == VERDICT));
    // Of a failure the other format may say more, and nothing is worse for that.
    let same = Comparison::of(&after, &results(&sample::failing())).expect("compared");
    assert!(same.scenarios.is_empty(), "{}", comparison(&same));
}

#[test]
fn merged_runs_are_told_apart_and_a_proof_is_refused() {
    let run = |id: &str, cluster: &str, events: &[RunEvent]| Results {
        run: id.to_owned(),
        cluster: cluster.to_owned(),
        ..results(events)
    };
    let both = |events: &[RunEvent]| {
        Results::merged(vec![run("a", "one", &sample::passing()), run("b", "two", events)])
    };
    let compared = compared(&both(&sample::passing()), &both(&sample::failing()));
    assert_eq!((compared.scenarios.len(), compared.in_both), (1, 2));
    assert_eq!(compared.scenarios[0].place, "two, profile hardened");
    let alike = Results::merged(vec![
        run("a", "one", &sample::passing()),
        run("b", "one", &sample::passing()),
    ]);
    let refused = Comparison::of(&results(&sample::passing()), &alike).expect_err("refused");
    assert_eq!(refused, (NotCompared::Alike("one, profile hardened".to_owned()), true));
    let proof = results(&sample::proof());
    let refused = Comparison::of(&proof, &alike).expect_err("refused");
    assert_eq!(refused, (NotCompared::Proof, false));
}

#[test]
fn every_scenario_is_counted_by_what_it_was_and_is() {
    let before = results(&sample::mixed());
    let mut after = before.clone();
    after.scenarios[0].verdict = Verdict::Failed;
    after.scenarios.remove(2);
    let moves = compared(&before, &after).moves;
    use Verdict::{Failed, Inconclusive, Passed, Skipped};
    let expected = [
        ((Some(Passed), Some(Failed)), (Weight::Worse, 1)),
        ((Some(Failed), Some(Failed)), (Weight::Other, 1)),
        ((Some(Skipped), None), (Weight::Other, 1)),
        ((Some(Inconclusive), Some(Inconclusive)), (Weight::Other, 1)),
    ];
    assert_eq!(moves, BTreeMap::from(expected));
}

#[test]
fn nothing_in_common_is_told() {
    let before = results(&sample::passing());
    let mut after = before.clone();
    after.scenarios[0].id = "another".to_owned();
    let code =
        |before: &Results, after: &Results| ExitCode::of_comparison(&compared(before, after));
    // What passed is gone, and that is said first.
    assert_eq!(code(&before, &after), ExitCode::Failed);
    let mut failed = before.clone();
    failed.scenarios[0].verdict = Verdict::Failed;
    after.scenarios.clear();
    assert_eq!(code(&failed, &after), ExitCode::NothingJudged);
}

#[test]
fn a_comparison_as_a_person_reads_it() {
    let before = results(&sample::passing());
    let mut after = results(&sample::failing());
    after.kubernetes = "1.37".to_owned();
    insta::assert_snapshot!(comparison(&compared(&before, &after)));
}
