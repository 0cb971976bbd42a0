//! What became of each scenario over many results.

use std::path::{Path, PathBuf};

use brinell::input::Unreadable;
use brinell::model::Results;
use brinell::report::{ExitCode, ReportError, Shown, show_trend};
use brinell::trend::{Runs, Trend};

use super::report::read;
use super::{Error, complain, print};

/// Reads all results, and says when each scenario turned. In a folder there may be files that are none: each is told,
/// and left out.
pub fn trend(paths: &[PathBuf], shown: Shown) -> Result<ExitCode, Error> {
    let mut runs = Runs::default();
    for path in paths {
        if path.is_dir() {
            let read = files(path)?.into_iter().map(|file| read(&file, Results::read));
            read.filter_map(|read| read.inspect_err(complain).ok()).for_each(|it| runs.add(it));
        } else {
            runs.add(read(path, Results::read)?);
        }
    }
    let trend = Trend::of(&runs);
    print(&show_trend(&trend, shown).map_err(ReportError::Print)?)?;
    Ok(if trend.runs() == 0 { ExitCode::NothingJudged } else { ExitCode::Passed })
}

/// The JSON files of a folder, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable =
        |cause| Error::Unreadable { path: folder.to_owned(), cause: Unreadable::Refused(cause) };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(unreadable)?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    paths.sort();
    Ok(paths)
}
