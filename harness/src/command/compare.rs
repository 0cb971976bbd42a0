//! What is different between two results.

use std::path::Path;

use brinell::compare::Comparison;
use brinell::model::{ReadError, Results};
use brinell::report::{ExitCode, ReportError, Shown, show_comparison};

use super::report::read;
use super::{Error, print};

/// Reads two results, and says what of the first is worse, better or otherwise different in the second.
pub fn compare(before: &Path, after: &Path, shown: Shown) -> Result<ExitCode, Error> {
    let compared = Comparison::of(&read(before, parse)?, &read(after, parse)?);
    let compared = compared.map_err(|(cause, is_after)| {
        let path = if is_after { after } else { before }.to_owned();
        Error::NotCompared { path, cause }
    })?;
    print(&show_comparison(&compared, shown).map_err(ReportError::Print)?)?;
    Ok(ExitCode::of_comparison(&compared))
}

/// All of a result, or of another format what every format has.
fn parse(document: &[u8]) -> Result<Results, ReadError> {
    match Results::read(document) {
        Err(ReadError::Format(_)) => Results::read_core(document),
        read => read,
    }
}
