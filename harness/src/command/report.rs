//! Other forms of a result, made from its JSON.

use std::path::Path;

use brinell::input;
use brinell::model::Results;
use brinell::report::{ExitCode, MARKDOWN, ReportError};

use super::{Error, print};

/// How many bytes a result may have.
const LARGEST: u64 = 128 << 20;

/// Prints a result as Markdown.
pub fn markdown(path: &Path) -> Result<ExitCode, Error> {
    let unreadable = |cause| Error::Unreadable { path: path.to_owned(), cause };
    let document = input::read(path, LARGEST).map_err(unreadable)?;
    let no_results = |cause| Error::NoResults { path: path.to_owned(), cause };
    let results = Results::read(&document).map_err(no_results)?;
    print(&(MARKDOWN.render)(&results).map_err(ReportError::Print)?)
}
