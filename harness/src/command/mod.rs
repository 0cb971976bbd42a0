//! What each command does, one file each; what they share is here.

pub mod assets;
mod conduct;
pub mod list;
pub mod prove;
pub mod report;
pub mod run;
pub mod sweep;

use std::io::{ErrorKind, Write};
use std::process::ExitCode as Code;

use brinell::catalog::{Catalog, Entry, ProfileEntry, select};
use brinell::cli::{Output, Selection};
use brinell::report::{ExitCode, visible};
use brinell::text::without_credentials;

pub use self::conduct::refuse;

/// Says what went wrong, for a person.
pub fn fail(code: ExitCode, message: &str) -> Code {
    complain(message);
    code.into()
}

fn complain(message: &str) {
    let lines: Vec<String> = without_credentials(message).lines().map(visible).collect();
    // Where nobody can be told, the exit code tells.
    let _ = writeln!(std::io::stderr(), "error: {}", lines.join("\n"));
}

/// Prints a whole answer. A reader who has read enough, as in `brinell --list | head`, is no error.
pub fn print(answer: &[u8]) -> Code {
    let mut output = std::io::stdout().lock();
    match output.write_all(answer).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            fail(ExitCode::Broken, &format!("the output could not be written: {error}"))
        }
        _ => ExitCode::Passed.into(),
    }
}

/// The catalog with the user's own scenarios.
fn catalog(selection: &Selection) -> Result<Catalog, String> {
    Catalog::load(selection.scenarios.as_deref()).map_err(|problems| problems.to_string())
}

/// The exit code of a command, or of what is wrong with what was asked for.
pub fn code(answered: Result<Code, String>) -> Code {
    answered.unwrap_or_else(|message| fail(ExitCode::Usage, &message))
}

/// The exit code of a command that writes reports. They say what is wrong as well.
pub fn reported(answered: Result<Code, String>, output: &Output) -> Code {
    if let Err(message) = &answered {
        refuse(output, message);
    }
    code(answered)
}

/// The scenarios and the profile that are asked for.
fn chosen<'a>(
    catalog: &'a Catalog,
    selection: &Selection,
) -> Result<(Vec<&'a Entry>, ProfileEntry), String> {
    let entries = select(catalog, &selection.scenario, &selection.tag, &selection.skip)
        .map_err(|error| error.to_string())?;
    let profile = catalog.profile(&selection.profile).map_err(|error| error.to_string())?;
    Ok((entries, profile))
}
