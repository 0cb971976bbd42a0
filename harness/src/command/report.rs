//! Other forms of a result, made from its JSON.

use std::path::Path;

use brinell::input;
use brinell::model::Results;
use brinell::report::{ExitCode, Format, ReportError};

use super::{Error, print};

/// How many bytes a result may have.
pub(super) const LARGEST: u64 = 128 << 20;

/// Prints a result in a format.
pub fn print_as(path: &Path, format: &Format) -> Result<ExitCode, Error> {
    print(&(format.render)(&read(path)?).map_err(ReportError::Print)?)
}

/// Reads a result.
pub(super) fn read(path: &Path) -> Result<Results, Error> {
    let unreadable = |cause| Error::Unreadable { path: path.to_owned(), cause };
    let document = input::read(path, LARGEST).map_err(unreadable)?;
    let no_results = |cause| Error::NoResults { path: path.to_owned(), cause };
    Results::read(&document).map_err(no_results)
}
