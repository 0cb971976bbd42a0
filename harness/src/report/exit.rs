//! What the command's exit code says.

use crate::compare::Comparison;
use crate::model::{Outcome, Proof, Results, Summary};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// All that was judged passed.
    Passed = 0,
    /// A scenario failed.
    Failed = 1,
    /// Wrong arguments, or YAML that cannot be read.
    Usage = 2,
    /// Nothing was selected, or everything was skipped.
    NothingJudged = 3,
    /// The run ended early, a control was not seen acting, something may be left behind, or a report could not be
    /// written.
    Broken = 4,
    /// A scenario is inconclusive.
    Inconclusive = 5,
    /// Ended by a panic. The number is Rust's own.
    Panicked = 101,
    /// Ended by SIGINT.
    Interrupted = 130,
    /// Ended by SIGTERM, or by SIGHUP.
    Terminated = 143,
}

/// What an exit code says, for people: README has more room than `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// README's table, of a run.
    pub run: &'static str,
    /// README's table, of a proof.
    pub proof: &'static str,
    /// `brinell --help`.
    pub run_help: &'static str,
    /// `brinell prove --help`.
    pub proof_help: &'static str,
    /// `brinell compare --help` and its page; empty where it never ends so.
    pub comparison: &'static str,
}

impl Meaning {
    /// What means the same everywhere.
    const fn same(text: &'static str) -> Meaning {
        Meaning { run: text, proof: text, run_help: text, proof_help: text, comparison: text }
    }
}

impl ExitCode {
    /// All of them, by their numbers.
    pub const ALL: [ExitCode; 9] = [
        ExitCode::Passed,
        ExitCode::Failed,
        ExitCode::Usage,
        ExitCode::NothingJudged,
        ExitCode::Broken,
        ExitCode::Inconclusive,
        ExitCode::Panicked,
        ExitCode::Interrupted,
        ExitCode::Terminated,
    ];

    /// What it says. `--help` and README's table are made from this.
    pub fn meaning(self) -> Meaning {
        match self {
            ExitCode::Passed => Meaning {
                run: "everything that was judged passed",
                proof: "every weakening that was tried was caught, or is missed as known",
                run_help: "everything that was judged passed",
                proof_help: "every weakening was caught, or is missed as known",
                comparison: "nothing is worse",
            },
            ExitCode::Failed => Meaning {
                run: "a scenario failed and is not waived, or a waiver has expired or is stale",
                proof: "a weakening was missed, an attack is vacuous, a scenario is collateral, a deviation is stale, \
                        or a scenario fails where nothing is weakened",
                run_help: "a scenario failed and is not waived, or a waiver has expired or is stale",
                proof_help: "a weakening was missed, a scenario catches nothing or turned red for another control, \
                             a deviation is stale,\n\
                             or a scenario fails where nothing is weakened",
                comparison: "something is worse",
            },
            ExitCode::Usage => Meaning {
                comparison: "wrong arguments, or a result that cannot be read or compared",
                ..Meaning::same("wrong arguments, or YAML that cannot be read")
            },
            ExitCode::NothingJudged => Meaning {
                run: "nothing was judged: nothing selected, or everything skipped",
                proof: "nothing was tried",
                run_help: "nothing was judged: nothing selected, or everything skipped",
                proof_help: "nothing was tried",
                comparison: "nothing is worse, and the two have no scenario in common, or one of the two runs of `upgrade` or `rehearse` \
                             judged nothing",
            },
            ExitCode::Broken => Meaning {
                run: "the run ended early (no cluster could be made, or it was lost on the way), a control was not \
                      seen acting, something may be left behind, or a report could not be written",
                proof: "the same, or a cluster could not be weakened or restored",
                run_help: "the cluster or a control could not be set up, or a report could not be written",
                proof_help: "a cluster could not be made, weakened or restored, or a report could not be written",
                comparison: "what was found could not be written; by `upgrade` and `rehearse` also: a run ended early, a control was \
                             not seen acting on one of the two, or something may be left behind",
            },
            ExitCode::Inconclusive => Meaning {
                run: "a scenario is inconclusive (with `--require-all` a skipped one too)",
                proof: "a weakening went wrong (with `--require-all` also one that was skipped, or one for which not \
                        every expected scenario was run)",
                run_help: "a scenario is inconclusive",
                proof_help: "a weakening went wrong: something else than the expected came of it; with --require-all \
                             also one that was\n\
                             skipped, or one for which not every expected scenario was run",
                comparison: "by `upgrade` and `rehearse`: a scenario is inconclusive on the version of `--to`; by `rehearse` \
                             also where one was tried on the first cluster and not there, or the other version does not take \
                             something of what was captured",
            },
            ExitCode::Panicked => Meaning::same("a panic"),
            ExitCode::Interrupted => Meaning::same("SIGINT"),
            ExitCode::Terminated => Meaning {
                comparison: "SIGTERM, or the terminal was closed during a run",
                ..Meaning::same("SIGTERM, or the terminal was closed")
            },
        }
    }

    /// Whether it says how the command was ended from outside of its work, in shells' own numbers.
    pub fn is_foreign(self) -> bool {
        self as u8 > 100
    }

    /// The code of all that was judged. `require_all` counts a skip as inconclusive.
    pub fn of(results: &Results, require_all: bool) -> ExitCode {
        if !results.runs.is_empty() {
            let codes = results.split().into_iter().map(|run| ExitCode::of(&run, require_all));
            return codes.fold(ExitCode::Passed, ExitCode::or_worse);
        }
        let code = match (&results.proof, &results.summary) {
            (Some(proof), _) => ExitCode::of_proof(proof, require_all),
            (None, Some(summary)) => ExitCode::of_run(summary, require_all),
            (None, None) => ExitCode::Broken,
        };
        let is_broken = results.aborted.is_some() || results.left_behind().is_some();
        code.or_worse(if is_broken { ExitCode::Broken } else { ExitCode::Passed })
    }

    /// The code of a comparison.
    pub fn of_comparison(comparison: &Comparison) -> ExitCode {
        if comparison.is_worse() {
            ExitCode::Failed
        } else if comparison.in_both == 0 {
            ExitCode::NothingJudged
        } else {
            ExitCode::Passed
        }
    }

    fn of_run(summary: &Summary, require_all: bool) -> ExitCode {
        if summary.failed + summary.bad_waivers > 0 {
            ExitCode::Failed
        } else if summary.unmet > 0 {
            ExitCode::Broken
        } else if summary.inconclusive > 0 || (require_all && summary.skipped > 0) {
            ExitCode::Inconclusive
        } else if summary.passed + summary.waived == 0 {
            ExitCode::NothingJudged
        } else {
            ExitCode::Passed
        }
    }

    fn of_proof(proof: &Proof, require_all: bool) -> ExitCode {
        if proof.is_failure() {
            ExitCode::Failed
        } else if proof.count(Outcome::Wrong) > 0 || (require_all && !proof.is_all()) {
            ExitCode::Inconclusive
        } else if proof.tried() == 0 {
            ExitCode::NothingJudged
        } else {
            ExitCode::Passed
        }
    }

    /// The worse of two.
    pub fn or_worse(self, other: ExitCode) -> ExitCode {
        if other.rank() > self.rank() { other } else { self }
    }

    /// The higher, the worse: 1 beats 4 beats 5 beats 3.
    fn rank(self) -> u8 {
        match self {
            ExitCode::Passed => 0,
            ExitCode::NothingJudged => 1,
            ExitCode::Inconclusive => 2,
            ExitCode::Broken => 3,
            ExitCode::Failed => 4,
            ExitCode::Usage => 5,
            ExitCode::Interrupted => 6,
            ExitCode::Terminated => 7,
            ExitCode::Panicked => 8,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        (code as u8).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    /// A summary's code, with something broken beside it or not.
    fn with(code: ExitCode, broken: bool) -> ExitCode {
        code.or_worse(if broken { ExitCode::Broken } else { ExitCode::Passed })
    }

    #[test]
    fn the_worst_decides() {
        use ExitCode::*;
        // passed, failed, inconclusive, skipped, broken, --require-all
        let table = [
            ((1, 0, 0, 0, false, false), Passed),
            ((1, 0, 0, 0, false, true), Passed),
            ((1, 0, 0, 1, false, false), Passed),
            ((1, 0, 0, 1, false, true), Inconclusive),
            ((0, 0, 0, 0, false, false), NothingJudged),
            ((0, 0, 0, 0, false, true), NothingJudged),
            ((0, 0, 0, 9, false, false), NothingJudged),
            ((0, 0, 0, 9, false, true), Inconclusive),
            ((0, 0, 1, 9, false, false), Inconclusive),
            ((9, 0, 1, 0, false, false), Inconclusive),
            ((9, 0, 0, 0, true, false), Broken),
            ((0, 0, 0, 0, true, false), Broken),
            ((0, 0, 1, 1, true, true), Broken),
            ((9, 1, 0, 0, false, false), Failed),
            ((9, 1, 1, 1, true, true), Failed),
        ];
        for ((passed, failed, inconclusive, skipped, broken, require_all), code) in table {
            let summary = sample::summary(passed, failed, inconclusive, skipped);
            let found = with(ExitCode::of_run(&summary, require_all), broken);
            assert_eq!(found, code, "{summary:?} {broken}");
        }
        let waived =
            |waived, bad_waivers| Summary { waived, bad_waivers, ..sample::summary(0, 0, 0, 0) };
        assert_eq!(ExitCode::of_run(&waived(1, 0), false), Passed);
        assert_eq!(ExitCode::of_run(&waived(0, 1), false), Failed);
        assert_eq!(ExitCode::of_run(&waived(9, 1), false), Failed);
        let unmet = |failed| Summary { unmet: 1, ..sample::summary(9, failed, 0, 0) };
        assert_eq!(ExitCode::of_run(&unmet(0), false), Broken);
        assert_eq!(ExitCode::of_run(&unmet(1), false), Failed);
    }

    #[test]
    fn the_worst_of_a_proof_decides() {
        use ExitCode::*;
        let results = sample::results(&sample::proof());
        let whole = results.proof.expect("a proof");
        let of = |names: &[&str]| Proof {
            weakenings: whole
                .weakenings
                .iter()
                .filter(|it| names.contains(&it.name.as_str()))
                .cloned()
                .collect(),
            ..Proof::default()
        };
        let table: [(&[&str], bool, bool, ExitCode); 10] = [
            (&["absent"], false, false, Passed),
            (&["absent"], false, true, Inconclusive),
            (&["absent", "match-policy-exact"], false, false, Passed),
            (&["absent", "without-a-node"], false, false, Passed),
            (&["absent", "without-a-node"], false, true, Inconclusive),
            (&["without-a-node"], false, false, NothingJudged),
            (&["absent", "tty-only"], false, false, Inconclusive),
            (&["absent", "tty-only"], true, false, Broken),
            (&["absent", "misses-attach", "tty-only"], true, false, Failed),
            (&["fails-open"], false, false, Failed),
        ];
        for (names, broken, require_all, code) in table {
            let found = with(ExitCode::of_proof(&of(names), require_all), broken);
            assert_eq!(found, code, "{names:?}");
        }
        let vacuous = Proof { vacuous: whole.vacuous.clone(), ..of(&["absent"]) };
        assert_eq!(ExitCode::of_proof(&vacuous, false), Failed);
        let stale = Proof { stale: whole.stale.clone(), ..of(&["absent"]) };
        assert_eq!(ExitCode::of_proof(&stale, false), Failed);
    }

    #[test]
    fn a_signal_and_a_panic_beat_everything() {
        for code in ExitCode::ALL.into_iter().filter(|code| code.is_foreign()) {
            for other in ExitCode::ALL.into_iter().filter(|code| !code.is_foreign()) {
                assert_eq!((other.or_worse(code), code.or_worse(other)), (code, code));
            }
        }
    }

    #[test]
    fn results_that_have_no_end_are_broken() {
        assert_eq!(ExitCode::of(&Results::default(), false), ExitCode::Broken);
        let proof = sample::results(&sample::proof());
        assert_eq!(ExitCode::of(&proof, false), ExitCode::Failed);
        let passed = sample::results(&sample::passing());
        assert_eq!(ExitCode::of(&passed, false), ExitCode::Passed);
    }

    #[test]
    fn the_numbers_are_those_of_the_table() {
        let numbers = ExitCode::ALL.map(|code| code as u8);
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 101, 130, 143]);
    }
}
