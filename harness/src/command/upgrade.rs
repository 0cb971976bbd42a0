//! The check before an upgrade: the same scenarios and profile on two minor versions of Kubernetes, and what is different then.

use std::path::Path;
use std::time::Instant;

use brinell::catalog::{Catalog, Entry, ProfileEntry};
use brinell::cli::{Conditions, Output, UpgradeArguments};
use brinell::cluster::Choice;
use brinell::compare::Comparison;
use brinell::model::Results;
use brinell::report::{
    Detail, ExitCode, Format, ReportError, ReportFile, Reporter, Shown, Terminal, show_comparison,
};
use brinell::run::{Options, Plan, Progress};

use super::conduct::{Made, conducted, options};
use super::run::{DEADLINE, begin};
use super::{Error, catalog, chosen, print};

/// Runs on both versions, one after the other, and says what is worse, better or otherwise different on the second one. Where a
/// run ended early there is nothing to compare.
pub async fn upgrade(arguments: UpgradeArguments) -> Result<ExitCode, Error> {
    if arguments.from == arguments.to {
        return Err(Error::SameVersion(arguments.from));
    }
    let catalog = catalog(&arguments.selection.catalogs)?;
    let (entries, profile) = chosen(&catalog, &arguments.selection)?;
    let mut told = Vec::new();
    for version in [&arguments.from, &arguments.to] {
        let choice = Choice::make(arguments.selection.cluster).await;
        // Both are seen to be there before the first one is made.
        let options = options(&conditions(&arguments, version), choice.cluster, DEADLINE)?;
        let file =
            arguments.results.as_deref().map(|folder| report(folder, version)).transpose()?;
        told.push((choice, options, file));
    }
    let mut ended = Vec::new();
    for (choice, options, file) in told {
        let files = file.into_iter().collect();
        let (results, code) = run(&catalog, &profile, &entries, choice, &options, files).await?;
        if results.aborted.is_some() {
            return Ok(if code.is_foreign() { code } else { ExitCode::Broken });
        }
        ended.push((results, code));
    }
    let is_broken = ended.iter().any(|(_, code)| *code == ExitCode::Broken);
    let code = if is_broken { ExitCode::Broken } else { ExitCode::Passed };
    let [(before, _), (after, _)] = ended.as_slice() else { return Ok(code) };
    let compared = Comparison::of(before, after).map_err(|(cause, is_after)| {
        let version = if is_after { &arguments.to } else { &arguments.from };
        Error::NotCompared { path: version.into(), cause }
    })?;
    print(b"\n")?;
    print(&show_comparison(&compared, Shown::Text).map_err(ReportError::Print)?)?;
    Ok(code.or_worse(ExitCode::of_comparison(&compared)))
}

/// The conditions of the run on one version.
fn conditions(arguments: &UpgradeArguments, version: &str) -> Conditions {
    Conditions {
        kubernetes_version: version.to_owned(),
        node_image: None,
        jobs: arguments.jobs,
        deadline: arguments.deadline,
    }
}

/// The file in which the results on one version are kept: `1.36.json`.
fn report(folder: &Path, version: &str) -> Result<ReportFile, Error> {
    let path = folder.join(format!("{version}.json"));
    let opened = |cause| ReportError::Open { path: path.clone(), cause };
    std::fs::create_dir_all(folder).map_err(opened)?;
    let format = Format::of(&path).map_err(std::io::Error::other).map_err(opened)?;
    Ok(ReportFile::open(format, &path)?)
}

/// Runs on one version. Which scenarios passed is for the comparison to say.
async fn run(
    catalog: &Catalog,
    profile: &ProfileEntry,
    entries: &[&Entry],
    choice: Choice,
    options: &Options,
    files: Vec<ReportFile>,
) -> Result<(Results, ExitCode), Error> {
    let plan = Plan::new(catalog, profile, choice.cluster, entries.to_vec());
    let work = async |made: &Made, progress: &Progress| {
        begin(&plan, options, false, choice, made, progress).await
    };
    let reporter = Reporter::new(Terminal::standard(Detail::Steps), files);
    conducted(work, &Output::default(), false, reporter, Instant::now()).await
}
