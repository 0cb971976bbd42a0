//! Other forms of a result, made from its JSON.

use std::path::Path;
use std::process::ExitCode as Code;

use brinell::input;
use brinell::model::Results;
use brinell::report::{ExitCode, markdown as render};

use super::{fail, print};

/// How many bytes a result may have.
const LARGEST: u64 = 128 << 20;

/// Prints a result as Markdown.
pub fn markdown(path: &Path) -> Code {
    match results(path) {
        Ok(results) => print(render(&results).as_bytes()),
        Err(error) => fail(ExitCode::Usage, &format!("{}: {error}", path.display())),
    }
}

fn results(path: &Path) -> Result<Results, String> {
    let bytes = input::read(path, LARGEST).map_err(|error| error.to_string())?;
    Results::read(&bytes).map_err(|error| error.to_string())
}
