//! Credentials that end while a run goes on.

use std::time::{Duration, Instant};

use brinell::model::{AttemptResult, Verdict};

use super::{Network, Open, attempts};

/// Who plays the operator where nothing else is said.
const OPERATOR: &str = "  operator: {service-account: {roles: [enters-pods]}}\n";

/// How long a certificate is good: longer than it takes to make namespaces.
const LIFE: Duration = Duration::from_secs(20);

/// What they then try nobody refused.
pub(super) fn a_persona_whose_certificate_ends_is_not_refused(open: &Open) {
    let network = Network::before(&open.held);
    let user = open.server.user("jane", "system:masters", LIFE);
    let made = Instant::now();
    open.held.context("ending", Some(network.server.clone()), Some(user));
    let played = "  deployer: {context: ending}\n  operator: {context: ending}\n";
    open.held.profile("ending", OPERATOR, played);
    let (told, ran) = open.run_by("ending", "network", || until_ended(&network, made));
    open.assert_true(&told);
    let words = "are not accepted any more";
    let is_ended = |it: &&AttemptResult| it.judgement.causes.iter().any(|why| why.ends_with(words));
    let ended = attempts(&told).filter(is_ended);
    let ended: Vec<Verdict> = ended.map(|it| it.judgement.verdict).collect();
    assert!(!ended.is_empty(), "{ran:?} {told:#?}");
    assert!(ended.iter().all(|it| *it == Verdict::Inconclusive), "{ended:?}");
    assert!(ran.stdout.contains("nothing left behind"), "{ran:?}");
}

/// Nothing more can be told, and what stays is swept with other credentials.
pub(super) fn a_run_whose_own_certificate_ends_ends(open: &Open) {
    let network = Network::before(&open.held);
    let user = open.server.user("admin", "system:masters", LIFE);
    let made = Instant::now();
    open.held.context("ending", Some(network.server.clone()), Some(user));
    let operator = "  operator: {impersonated: {user: john@example.com, roles: [edit]}}\n";
    open.held.profile("ending", OPERATOR, operator);
    let (mut gone_on, mut before) = (Instant::now(), Vec::new());
    let (told, ran) = open.run_by("ending", "ending", || {
        before = open.namespaces();
        until_ended(&network, made);
        gone_on = Instant::now();
    });
    assert!(gone_on.elapsed() < Duration::from_secs(10), "{:?}: {ran:?}", gone_on.elapsed());
    open.assert_true(&told);
    // What failed before that is kept, and is the worse news.
    let has_failed = told.scenarios.iter().any(|it| it.verdict == Verdict::Failed);
    assert_eq!(ran.code, Some(if has_failed { 1 } else { 4 }), "{ran:?}");
    let why = told.aborted.clone().unwrap_or_default();
    assert!(why.contains("context ending"), "{why}: {ran:?}");
    assert!(!before.is_empty());
    assert_eq!(open.namespaces(), before, "{ran:?}");
    let swept = open.sweep();
    assert_eq!(swept.code, Some(0), "{swept:?}");
    assert_eq!(open.namespaces(), [""; 0], "{swept:?}");
}

/// Lets nothing through until the certificate has ended, so that most of what is tried comes after its end.
fn until_ended(network: &Network, made: Instant) {
    network.stop();
    assert!(made.elapsed() < LIFE, "it ended before attacks began");
    // A certificate says in whole seconds when it ends.
    std::thread::sleep((LIFE + Duration::from_secs(2)).saturating_sub(made.elapsed()));
    network.go_on();
}
