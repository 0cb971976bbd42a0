//! What each command does, one file each; what they share is here.

pub mod assets;
pub mod compare;
mod conduct;
mod error;
pub mod image;
mod kept;
pub mod list;
pub mod merge;
pub mod new;
pub mod prove;
pub mod rehearse;
pub mod report;
pub mod run;
pub mod sweep;
pub mod trend;
pub mod upgrade;
mod visit;

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use brinell::catalog::{Catalog, Entry, ProfileEntry, select};
use brinell::cli::{Catalogs, ExistingArguments, Output, Reports, Selection};
use brinell::cluster::{self, PRINTING};
use brinell::report::{ExitCode, ReportError};
use brinell::text::{visible, without_credentials};

pub use self::conduct::refuse;
pub use self::error::Error;
use self::visit::Place;

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

/// Our catalog with those of the reader's. Their commands print objects now, before any cluster is made.
fn catalog(catalogs: &Catalogs) -> Result<Catalog, Error> {
    let print = |folder: &Path, command: &[String]| {
        let printed = cluster::print(folder, command, PRINTING);
        printed.map_err(|error| error.to_string().replace(":\n", ": ").replace('\n', "; "))
    };
    Ok(Catalog::load_with(catalogs.folders.iter().map(PathBuf::as_path), &print)?)
}

/// Hands on how a command ended; an error is written into the reports too.
pub fn reported(answered: Result<ExitCode, Error>, output: &Output) -> Result<ExitCode, Error> {
    answered.inspect_err(|error| refuse(output, &error.to_string()))
}

/// Sees that no report would overwrite a file that is read. The other reports say so.
pub fn see_apart(reports: &Reports, read: &[PathBuf]) -> Result<(), Error> {
    let Some(flag) = reports.over(read) else { return Ok(()) };
    let error = Error::OverInput { flag };
    let mut output = Output { reports: reports.clone(), ..Output::default() };
    output.reports.spare(read);
    refuse(&output, &error.to_string());
    Err(error)
}

/// The profile of a cluster of our own for which none is asked.
const HARDENED: &str = "hardened";

/// The profile of an existing cluster for which none is asked.
const FOUND: &str = "found";

/// What is asked for.
struct Asked<'a> {
    /// The scenarios.
    entries: Vec<&'a Entry>,
    /// The profile.
    profile: ProfileEntry,
    /// Where the existing cluster is; `None` if it is to be one of our own.
    place: Option<Place>,
}

/// What the arguments of a command ask for that takes existing clusters too.
fn asked<'a>(
    catalog: &'a Catalog,
    selection: &Selection,
    arguments: &ExistingArguments,
) -> Result<Asked<'a>, Error> {
    let entries = selected(catalog, selection)?;
    let named = selection.profile.as_deref().map(|name| catalog.profile(name)).transpose()?;
    let says = named.as_ref().and_then(|it| it.profile.cluster.clone()).unwrap_or_default();
    let place = Place::of(selection, arguments, &says)?;
    let default = if place.is_some() { FOUND } else { HARDENED };
    let profile = named.map_or_else(|| catalog.profile(default), Ok)?;
    Ok(Asked { entries, profile, place })
}

/// The scenarios that are asked for.
fn selected<'a>(catalog: &'a Catalog, selection: &Selection) -> Result<Vec<&'a Entry>, Error> {
    let mut selected = select(catalog, &selection.scenario, &selection.tag, &selection.skip)?;
    selected.retain(|entry| !selection.only_mine || !entry.built_in);
    Ok(selected)
}

/// The scenarios and the profile that are asked for on a cluster of our own.
fn chosen<'a>(
    catalog: &'a Catalog,
    selection: &Selection,
) -> Result<(Vec<&'a Entry>, ProfileEntry), Error> {
    let profile = catalog.profile(selection.profile.as_deref().unwrap_or(HARDENED))?;
    Ok((selected(catalog, selection)?, profile))
}
