//! Other forms of a result, made from its JSON.

use std::path::Path;
use std::process::ExitCode as Code;

use brinell::report::{ExitCode, Results, markdown as render};

use super::{fail, print};

/// Prints a result as Markdown.
pub fn markdown(path: &Path) -> Code {
    let read = std::fs::read(path).map_err(|error| error.to_string());
    let results = read.and_then(|bytes| Results::read(&bytes).map_err(|error| error.to_string()));
    match results {
        Ok(results) => print(render(&results).as_bytes()),
        Err(error) => fail(ExitCode::Usage, &format!("{} cannot be read: {error}", path.display())),
    }
}
