//! Files of the user's, read whole: in bounded time and memory, whatever their names lead to.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The system refused.
    #[error("cannot be read: {0}")]
    Refused(#[from] io::Error),
    /// It is something else than a file.
    #[error("is {0} and no file: nothing is read from it")]
    NoFile(&'static str),
    /// It holds more than is read.
    #[error("is larger than {} MiB, the most that is read of one file", .0 >> 20)]
    TooLarge(u64),
}

/// All bytes of a regular file of at most `limit` bytes. Links are followed.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Unreadable> {
    // This is checked before it is opened: opening a device can change something.
    regular(&fs::metadata(path)?)?;
    // Non-blocking, because something else may have its name by now, and a few files of `/proc` block.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)?);
    regular(&file.metadata()?)?;
    let mut bytes = Vec::new();
    // The size that the system states is not asked: a file may grow, and one of `/proc` states none.
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(Unreadable::TooLarge(limit));
    }
    Ok(bytes)
}

/// Whether it is a regular file's.
///
/// # Errors
/// When it is something else's, from which nothing is read.
pub fn regular(metadata: &Metadata) -> Result<(), Unreadable> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    Err(Unreadable::NoFile(if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, mkfifoat};

    const LIMIT: u64 = 1 << 20;

    fn said(path: &Path) -> String {
        read(path, LIMIT).expect_err("not read").to_string()
    }

    #[test]
    fn a_file_and_a_link_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, vec![b'a'; 1 << 20]).unwrap();
        symlink(&file, &link).unwrap();
        assert_eq!(read(&file, LIMIT).unwrap().len(), 1 << 20);
        assert_eq!(read(&link, LIMIT).unwrap().len(), 1 << 20);
    }

    #[test]
    fn what_is_no_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, socket) = (folder.path().join("pipe"), folder.path().join("socket"));
        mkfifoat(CWD, &pipe, Mode::RWXU).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        let zero = folder.path().join("zero.yaml");
        symlink("/dev/zero", &zero).unwrap();
        assert_eq!(said(folder.path()), "is a folder and no file: nothing is read from it");
        assert_eq!(said(&pipe), "is a pipe and no file: nothing is read from it");
        assert_eq!(said(&socket), "is a socket and no file: nothing is read from it");
        assert_eq!(said(&zero), "is a device and no file: nothing is read from it");
        drop(listener);
    }

    #[test]
    fn what_leads_nowhere_is_refused_by_the_system() {
        let folder = tempfile::tempdir().unwrap();
        let (endless, nothing) = (folder.path().join("loop"), folder.path().join("nothing"));
        symlink(&endless, &endless).unwrap();
        assert!(said(&endless).starts_with("cannot be read: Too many levels of symbolic links"));
        assert!(said(&nothing).starts_with("cannot be read: No such file or directory"));
    }

    #[test]
    fn a_file_is_read_up_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        // A terabyte that takes no room.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(said(&path), "is larger than 1 MiB, the most that is read of one file");
        // States no size and has one.
        assert!(read(Path::new("/proc/self/status"), LIMIT).is_ok_and(|bytes| !bytes.is_empty()));
    }
}
