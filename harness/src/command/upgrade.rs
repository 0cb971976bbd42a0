//! The check before an upgrade: the same scenarios and profile on two minor versions of Kubernetes, and what is
//! different then.

use brinell::catalog::{Catalog, Entry, ProfileEntry};
use brinell::cli::UpgradeArguments;
use brinell::cluster::Choice;
use brinell::compare::Comparison;
use brinell::model::Verdict;
use brinell::report::{ExitCode, ReportError, ReportFile, Shown, show_comparison};
use brinell::run::{Options, Plan, Progress};

use super::conduct::{Conducted, Made, conduct_one, options};
use super::kept::Kept;
use super::run::{DEADLINE, begin};
use super::{Error, catalog, chosen, print};

/// Runs on both versions, and says what is worse, better or otherwise different on the second one.
pub async fn upgrade(arguments: UpgradeArguments) -> Result<ExitCode, Error> {
    let mut kept = Kept::open(&arguments.both, [&arguments.from, &arguments.to])?;
    let ended = on_both(arguments, &mut kept).await;
    ended.inspect_err(|error| kept.refuse(error))
}

/// Runs on one version after the other. Where a run ended early there is nothing to compare.
async fn on_both(arguments: UpgradeArguments, kept: &mut Kept) -> Result<ExitCode, Error> {
    if arguments.from == arguments.to {
        return Err(Error::SameVersion(arguments.from));
    }
    let catalog = catalog(&arguments.selection.catalogs)?;
    let (entries, profile) = chosen(&catalog, &arguments.selection)?;
    let mut told = Vec::new();
    let mut cluster = arguments.selection.cluster;
    for version in [&arguments.from, &arguments.to] {
        let choice = Choice::make(cluster).await;
        // An engine that does not answer a second time changes nothing.
        cluster = Some(choice.cluster);
        // Both are seen to be there before the first one is made.
        let conditions = arguments.both.conditions(version);
        let options = options(&conditions, choice.cluster, conditions.limits.manner(DEADLINE))?;
        told.push((choice, options));
    }
    let mut ended = Vec::new();
    for (choice, options) in told {
        let ran = run(&catalog, &profile, &entries, choice, &options, kept.next()).await?;
        if let Some(code) = early_end(&ran) {
            return Ok(code);
        }
        ended.push(ran);
    }
    let [before, after] = ended.as_slice() else { return Ok(ExitCode::Broken) };
    compare((before, &arguments.from), (after, &arguments.to))
}

/// The exit code of a run after which nothing is compared; `None` where it came to its end.
pub(super) fn early_end(ran: &Conducted) -> Option<ExitCode> {
    if ran.results.aborted.is_some() {
        return Some(if ran.code.is_foreign() { ran.code } else { ExitCode::Broken });
    }
    ran.signalled
}

/// Says what is different between two runs, each with what it is called.
pub(super) fn compare(
    (before, old): (&Conducted, &str),
    (after, new): (&Conducted, &str),
) -> Result<ExitCode, Error> {
    let code = of_runs(before, after);
    let compared = Comparison::of(&before.results, &after.results);
    let compared = compared.map_err(|(cause, is_after)| {
        let path = if is_after { new } else { old };
        Error::NotCompared { path: path.into(), cause }
    })?;
    print(b"\n")?;
    print(&show_comparison(&compared, Shown::Text).map_err(ReportError::Print)?)?;
    Ok(code.or_worse(ExitCode::of_comparison(&compared)))
}

/// What the two runs say, beside how they compare: that nothing is worse means nothing where nothing was told.
fn of_runs(before: &Conducted, after: &Conducted) -> ExitCode {
    let is = |conducted: &Conducted, verdicts: &[Verdict]| {
        conducted.results.scenarios.iter().any(|it| verdicts.contains(&it.verdict))
    };
    let runs = [before, after];
    let mut code = before.own.or_worse(after.own);
    if runs.iter().any(|it| !it.results.unmet.is_empty()) {
        code = code.or_worse(ExitCode::Broken);
    }
    if !runs.iter().all(|it| is(it, &[Verdict::Passed, Verdict::Failed])) {
        code = code.or_worse(ExitCode::NothingJudged);
    }
    if is(after, &[Verdict::Inconclusive]) {
        code = code.or_worse(ExitCode::Inconclusive);
    }
    code
}

/// Runs on one version.
async fn run(
    catalog: &Catalog,
    profile: &ProfileEntry,
    entries: &[&Entry],
    choice: Choice,
    options: &Options,
    files: Vec<ReportFile>,
) -> Result<Conducted, Error> {
    let plan =
        Plan::new(catalog, profile, choice.cluster, entries.to_vec()).without_bystanders(catalog);
    let work = async |made: &Made, progress: &Progress| {
        begin(&plan, options, choice, made, progress).await
    };
    conduct_one(work, files).await
}

#[cfg(test)]
mod tests {
    use brinell::model::{Results, Unmet};
    use serde_json::json;

    use super::*;

    /// A run with scenarios of these verdicts.
    fn ran(verdicts: &[&str]) -> Conducted {
        let scenario = |verdict: &&str| {
            json!({
                "id": "a", "family": "b", "file": null, "title": "", "why": "", "fix": "", "tags": [],
                "controls": [], "verdict": verdict, "cause": null, "attempts": [], "took": 0.0,
            })
        };
        let scenarios = verdicts.iter().map(scenario);
        let scenarios = scenarios.map(|it| serde_json::from_value(it).expect("a scenario"));
        let results = Results { scenarios: scenarios.collect(), ..Results::default() };
        Conducted { results, code: ExitCode::Failed, own: ExitCode::Passed, signalled: None }
    }

    #[test]
    fn that_nothing_is_worse_means_nothing_where_nothing_was_told() {
        let sound = || ran(&["passed", "failed"]);
        assert_eq!(of_runs(&sound(), &sound()), ExitCode::Passed);
        assert_eq!(of_runs(&ran(&["skipped"]), &sound()), ExitCode::NothingJudged);
        assert_eq!(of_runs(&sound(), &ran(&["passed", "inconclusive"])), ExitCode::Inconclusive);
        assert_eq!(of_runs(&ran(&["inconclusive", "passed"]), &sound()), ExitCode::Passed);
        // A scenario that failed hides neither.
        let left_behind = Conducted { own: ExitCode::Broken, ..sound() };
        assert_eq!(of_runs(&left_behind, &sound()), ExitCode::Broken);
        let mut unmet = sound();
        let (control, cause) = ("exec-guard".to_owned(), "it does not act".to_owned());
        unmet.results.unmet.push(Unmet { run: None, control, cause });
        assert_eq!(of_runs(&sound(), &unmet), ExitCode::Broken);
    }
}
