//! Other forms of a result, made from its JSON.

use std::path::Path;

use brinell::input;
use brinell::model::{ReadError, Results};
use brinell::report::{ExitCode, Format, ReportError};

use super::{Error, print};

/// How many bytes a result may have.
const LARGEST: u64 = 128 << 20;

/// Prints a result in a format.
pub fn print_as(path: &Path, format: &Format) -> Result<ExitCode, Error> {
    print(&(format.render)(&read(path, Results::read)?).map_err(ReportError::Print)?)
}

/// Reads a result, as `parse` understands it.
pub(super) fn read(
    path: &Path,
    parse: impl FnOnce(&[u8]) -> Result<Results, ReadError>,
) -> Result<Results, Error> {
    let unreadable = |cause| Error::Unreadable { path: path.to_owned(), cause };
    let document = input::read(path, LARGEST).map_err(unreadable)?;
    parse(&document).map_err(|cause| Error::NoResults { path: path.to_owned(), cause })
}
