//! A catalog of the reader's on a cluster of theirs: its own files declare what has been set up there by others.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use brinell::model::{Reason, Results, Verdict};

use super::existing::Theirs;
use crate::support::Ran;

/// The controls of the example.
const CONTROLS: [&str; 2] = ["images-from-our-registry", "no-load-balancers"];

/// Nothing is set up, the same scenarios run, and a control that is not there is a finding.
pub(super) fn is_declared_by_its_own_files(theirs: &Theirs) {
    CONTROLS.iter().for_each(|control| theirs.kubectl(&["apply"], &policy(control)));
    let before = theirs.settled();
    let (results, ran) = tried(theirs);
    assert_eq!(verdicts(&results), [Verdict::Passed; 3], "{ran:?}");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    theirs.assert_same(&before);

    theirs.kubectl(&["delete"], &policy(CONTROLS[0]));
    // An API server knows a moment later that a policy is gone.
    let gone = (0..10).map(|_| tried(theirs)).find(|(it, _)| verdicts(it)[0] != Verdict::Passed);
    let (results, ran) = gone.expect("nobody refuses it any more");
    assert_eq!(verdicts(&results), [Verdict::Failed, Verdict::Failed, Verdict::Passed], "{ran:?}");
    let attempts = results.scenarios.iter().flat_map(|it| &it.attempts);
    let found: BTreeSet<Reason> =
        attempts.flat_map(|it| &it.judgement.findings).map(|it| it.reason).collect();
    assert_eq!(found, BTreeSet::from([Reason::Bypassed]), "{ran:?}");
    theirs.kubectl(&["delete"], &policy(CONTROLS[1]));
}

fn tried(theirs: &Theirs) -> (Results, Ran) {
    let example = example();
    let example = example.to_str().expect("a path");
    let ran = theirs.run(&["--catalog", example, "--only-mine", "--json", "mine.json"]);
    let json = std::fs::read(theirs.home.path("mine.json")).unwrap_or_else(|_| panic!("{ran:?}"));
    (Results::read(&json).expect("results"), ran)
}

/// In the order of the scenarios' names.
fn verdicts(results: &Results) -> Vec<Verdict> {
    results.scenarios.iter().map(|it| it.verdict).collect()
}

/// The catalog of the example.
fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/example/hardening")
}

fn policy(control: &str) -> String {
    let file = example().join(format!("manifests/controls/{control}/policy.yaml"));
    std::fs::read_to_string(file).expect("read")
}
