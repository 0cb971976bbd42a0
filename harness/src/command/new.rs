//! First files of a reader's own.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use brinell::catalog::{New, NewFile, Problems, control_from};
use brinell::cli::NewArguments;
use brinell::report::ExitCode;

use super::{Error, print};

/// Writes the files of something new. What is there is never written over.
pub fn new(arguments: &NewArguments) -> Result<ExitCode, Error> {
    let NewArguments { what, name, from, catalog } = arguments;
    let files = match from {
        Some(file) if *what == New::Control => {
            let (called, files) = control_from(name.as_deref(), file).map_err(Problems::from)?;
            see_name(&called)?;
            files
        }
        Some(_) => return Err(Error::OnlyControlFrom),
        None => {
            let name = name.as_deref().unwrap_or("own");
            see_name(name)?;
            what.files(name)
        }
    };
    for NewFile { place, .. } in &files {
        let path = catalog.join(place);
        if fs::symlink_metadata(&path).is_ok() {
            let cause = io::ErrorKind::AlreadyExists.into();
            return Err(Error::Unwritten { path, cause });
        }
    }
    write_all(catalog, &files)?;
    let written = files.iter().map(|it| format!("{}\n", catalog.join(&it.place).display()));
    print(written.collect::<String>().as_bytes())
}

/// Writes files of a catalog. What is there is never written over.
pub fn write_all(catalog: &Path, files: &[NewFile]) -> Result<(), Error> {
    for NewFile { place, text } in files {
        let path = catalog.join(place);
        write(&path, text).map_err(|cause| Error::Unwritten { path: path.clone(), cause })?;
    }
    Ok(())
}

fn see_name(name: &str) -> Result<(), Error> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = !name.is_empty() && name.chars().all(allowed);
    is_name.then_some(()).ok_or_else(|| Error::NoName(name.to_owned()))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}
