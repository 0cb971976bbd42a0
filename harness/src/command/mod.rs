//! What each command does, one file each; what they share is here.

pub mod assets;
mod conduct;
mod error;
pub mod image;
pub mod list;
pub mod merge;
pub mod prove;
pub mod report;
pub mod run;
pub mod sweep;
mod visit;

use std::io::{ErrorKind, Write};

use brinell::catalog::{Catalog, Entry, ProfileEntry, select};
use brinell::cli::{ExistingArguments, Output, Selection};
use brinell::model::Whereabouts;
use brinell::report::{ExitCode, ReportError};
use brinell::text::{visible, without_credentials};

pub use self::conduct::refuse;
pub use self::error::Error;

/// Says what went wrong, for a person.
pub fn complain(error: &Error) {
    let text = without_credentials(&error.to_string());
    let lines: Vec<String> = text.lines().map(visible).collect();
    // If standard error cannot be written, the exit code still says it.
    let _ = writeln!(std::io::stderr(), "error: {}", lines.join("\n"));
}

/// Prints a whole answer. A reader who has read enough, as in `brinell --list | head`, is no error.
pub fn print(answer: &[u8]) -> Result<ExitCode, Error> {
    let mut output = std::io::stdout().lock();
    match output.write_all(answer).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(ReportError::Print(error).into())
        }
        _ => Ok(ExitCode::Passed),
    }
}

/// The catalog with the user's own scenarios.
fn catalog(selection: &Selection) -> Result<Catalog, Error> {
    Ok(Catalog::load(selection.scenarios.as_deref())?)
}

/// How a command ended that writes reports. They say what is wrong as well.
pub fn reported(answered: Result<ExitCode, Error>, output: &Output) -> Result<ExitCode, Error> {
    answered.inspect_err(|error| refuse(output, &error.to_string()))
}

/// The profile of a cluster of our own for which none is asked.
const HARDENED: &str = "hardened";

/// The profile of an existing cluster for which none is asked.
const FOUND: &str = "found";

/// The profile that is asked for.
fn profile(catalog: &Catalog, selection: &Selection, default: &str) -> Result<ProfileEntry, Error> {
    Ok(catalog.profile(selection.profile.as_deref().unwrap_or(default))?)
}

/// The existing cluster that is asked for, and its profile; `None` if it is to be one of our own.
fn existing(
    catalog: &Catalog,
    selection: &Selection,
    arguments: &ExistingArguments,
) -> Result<Option<(ProfileEntry, Whereabouts)>, Error> {
    let profile = profile(catalog, selection, FOUND)?;
    let whereabouts = visit::whereabouts(selection, arguments, &profile);
    Ok(whereabouts.map(|whereabouts| (profile, whereabouts)))
}

/// The scenarios and the profile that are asked for.
fn chosen<'a>(
    catalog: &'a Catalog,
    selection: &Selection,
) -> Result<(Vec<&'a Entry>, ProfileEntry), Error> {
    let entries = select(catalog, &selection.scenario, &selection.tag, &selection.skip)?;
    Ok((entries, profile(catalog, selection, HARDENED)?))
}
