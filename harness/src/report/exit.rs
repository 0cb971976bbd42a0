//! What the command's exit code says.

use crate::model::{Outcome, Proof, Summary};

/// The exit code of a run. A panic is 101, which is Rust's own.
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
    /// Ended by SIGINT.
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

impl ExitCode {
    /// The code of a run that was not ended by a signal: 1 beats 4 beats 5 beats 3. `broken` says that the run
    /// ended early, left something behind or could not write a report; `require_all` counts a skip as inconclusive.
    pub fn of(summary: &Summary, broken: bool, require_all: bool) -> ExitCode {
        if summary.failed > 0 {
            ExitCode::Failed
        } else if broken || summary.unmet > 0 {
            ExitCode::Broken
        } else if summary.inconclusive > 0 || (require_all && summary.skipped > 0) {
            ExitCode::Inconclusive
        } else if summary.passed == 0 {
            ExitCode::NothingJudged
        } else {
            ExitCode::Passed
        }
    }

    /// The code of a proof that was not ended by a signal, in the same order.
    pub fn of_proof(proof: &Proof, broken: bool, require_all: bool) -> ExitCode {
        if proof.is_failure() {
            ExitCode::Failed
        } else if broken {
            ExitCode::Broken
        } else if proof.count(Outcome::Wrong) > 0 || (require_all && !proof.is_all()) {
            ExitCode::Inconclusive
        } else if proof.tried() == 0 {
            ExitCode::NothingJudged
        } else {
            ExitCode::Passed
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
            assert_eq!(ExitCode::of(&summary, broken, require_all), code, "{summary:?} {broken}");
        }
        let unmet = |failed| Summary { unmet: 1, ..sample::summary(9, failed, 0, 0) };
        assert_eq!(ExitCode::of(&unmet(0), false, false), Broken);
        assert_eq!(ExitCode::of(&unmet(1), false, false), Failed);
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
            assert_eq!(ExitCode::of_proof(&of(names), broken, require_all), code, "{names:?}");
        }
        let vacuous = Proof { vacuous: whole.vacuous.clone(), ..of(&["absent"]) };
        assert_eq!(ExitCode::of_proof(&vacuous, false, false), Failed);
        let stale = Proof { stale: whole.stale.clone(), ..of(&["absent"]) };
        assert_eq!(ExitCode::of_proof(&stale, false, false), Failed);
    }

    #[test]
    fn the_numbers_are_those_of_the_table() {
        use ExitCode::*;
        let codes =
            [Passed, Failed, Usage, NothingJudged, Broken, Inconclusive, Interrupted, Terminated];
        assert_eq!(codes.map(|code| code as u8), [0, 1, 2, 3, 4, 5, 130, 143]);
    }
}
