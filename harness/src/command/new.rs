//! First files of a reader's own.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use brinell::catalog::{New, NewFile, Problems, control_from, is_name};
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
    write_all(catalog, &files, OF_EVERYBODY)?;
    let written = files.iter().map(|it| format!("{}\n", catalog.join(&it.place).display()));
    print(written.collect::<String>().as_bytes())
}

/// Who may look into what is written: whom the umask lets.
const OF_EVERYBODY: u32 = 0o777;

/// Writes files of a catalog and makes their folders, for those whom a mode lets in. What is there is never written
/// over.
pub fn write_all(catalog: &Path, files: &[NewFile], mode: u32) -> Result<(), Error> {
    for NewFile { place, text } in files {
        let path = catalog.join(place);
        write(&path, text, mode).map_err(|cause| Error::Unwritten { path: path.clone(), cause })?;
    }
    Ok(())
}

fn see_name(name: &str) -> Result<(), Error> {
    let is_named = !name.is_empty() && is_name(name);
    is_named.then_some(()).ok_or_else(|| Error::NoName(name.to_owned()))
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(mode).create(folder)?;
    }
    let mut file = OpenOptions::new();
    let mut file = file.write(true).create_new(true).mode(mode & 0o666).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_for_its_owner_alone_is_written_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = NewFile { place: "a/b/c.yaml".to_owned(), text: "text".to_owned() };
        write_all(folder.path(), std::slice::from_ref(&file), 0o700).expect("written");
        let mode = |place: &str| {
            let metadata = fs::metadata(folder.path().join(place)).expect("it is there");
            metadata.permissions().mode() & 0o777
        };
        assert_eq!([mode("a"), mode("a/b"), mode("a/b/c.yaml")], [0o700, 0o700, 0o600]);
        assert!(write_all(folder.path(), &[file], 0o700).is_err());
    }
}
