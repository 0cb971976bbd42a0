//! Results of several jobs as one: each run once, none lost.

use std::path::Path;

use brinell::cli::MergeArguments;
use brinell::model::Results;
use brinell::report::{ExitCode, one_line};

use super::conduct::reports;
use super::report::read;
use super::{Error, print};

/// Reads every file, writes the reports of all runs together, and says what came of each.
pub fn merge(arguments: &MergeArguments) -> Result<ExitCode, Error> {
    let mut runs: Vec<(&Path, Results)> = Vec::new();
    for path in &arguments.results {
        for run in of_file(path)? {
            add(&mut runs, path, run)?;
        }
    }
    let merged = Results::merged(runs.into_iter().map(|(_, run)| run).collect());
    for mut file in reports(&arguments.reports)? {
        file.write(&merged)?;
    }
    let told = merged.split();
    print(told.iter().map(one_line).collect::<String>().as_bytes())?;
    Ok(ExitCode::of(&merged, false))
}

/// The runs of a file; of one that is not there or holds none, a run that did not begin, so that the others are not
/// lost with it. A run that had not begun has no id: it is known by its file, and by each that it was merged into, so
/// that two which two jobs call alike stay two.
fn of_file(path: &Path) -> Result<Vec<Results>, Error> {
    let results = match read(path, Results::read) {
        Err(error @ (Error::Unreadable { .. } | Error::NoResults { .. })) => {
            Results { aborted: Some(error.to_string()), ..Results::default() }
        }
        results => results?,
    };
    if results.proof.is_some() {
        return Err(Error::MergedProof(path.to_owned()));
    }
    let mut runs = results.split();
    for run in runs.iter_mut().filter(|run| run.started.is_empty()) {
        let names = [path.display().to_string(), std::mem::take(&mut run.run)];
        let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
        run.run = names.join(": ");
    }
    Ok(runs)
}

/// Adds a run that is not there yet. The same one may be in two files, but then as the same.
fn add<'a>(runs: &mut Vec<(&'a Path, Results)>, path: &'a Path, run: Results) -> Result<(), Error> {
    let Some((other, there)) = runs.iter().find(|(_, it)| it.run == run.run) else {
        runs.push((path, run));
        return Ok(());
    };
    let written = |run: &Results| serde_json::to_string(run).unwrap_or_default();
    if written(there) == written(&run) {
        return Ok(());
    }
    Err(Error::TwoOfOneRun { run: run.run, one: other.to_path_buf(), other: path.to_owned() })
}
