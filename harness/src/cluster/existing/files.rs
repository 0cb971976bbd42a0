//! Files on the way to an existing cluster: kubeconfigs, what they name, and tokens. The way is found again when what a
//! run made is removed, so that whatever can be read only once would leave it there.

use std::path::{Path, PathBuf};

use crate::cluster::access::is_bearer;
use crate::input::{self, Unreadable};

/// How many bytes one may have: 16 MiB. The largest kubeconfigs have one, with hundreds of clusters.
const LARGEST: u64 = 16 << 20;

/// Such a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is no file, too large, or not readable.
    #[error("{what} {} {cause}{}", .path.display(), hint(.cause))]
    Unreadable {
        /// What it is for.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        cause: Unreadable,
    },
    /// A kubeconfig in UTF-16 is not whole.
    #[error("the kubeconfig {} is UTF-16 and ends in the middle of a letter", .0.display())]
    Cut(PathBuf),
    /// The file of a token holds none.
    #[error("the token file {} holds no token: expected one word without control characters", .0.display())]
    NoToken(PathBuf),
}

/// What to do.
fn hint(cause: &Unreadable) -> &'static str {
    match cause {
        Unreadable::NoFile(_) => "; it is read again later, so name a file",
        _ => "",
    }
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, FileError> {
    let unreadable = |cause| FileError::Unreadable { what, path: path.to_owned(), cause };
    input::read(path, LARGEST).map_err(unreadable)
}

/// Sees that kube can read a file and will not wait for it. One that is not there is for kube to name. Returns what it
/// holds.
fn see(what: &'static str, path: &Path) -> Result<Vec<u8>, FileError> {
    match read(what, path) {
        Err(FileError::Unreadable { cause: Unreadable::Refused(_), .. }) => Ok(Vec::new()),
        seen => seen,
    }
}

/// Sees that kube can read a file that a kubeconfig names.
pub(super) fn see_named(path: &Path) -> Result<(), FileError> {
    see("the kubeconfig's", path).map(drop)
}

/// Sees that kube can read a kubeconfig. At half a letter of UTF-16 it panics.
pub(super) fn see_kubeconfig(path: &Path) -> Result<(), FileError> {
    let bytes = see("the kubeconfig", path)?;
    let is_wide = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    match is_wide && bytes.len() % 2 == 1 {
        true => Err(FileError::Cut(path.to_owned())),
        false => Ok(()),
    }
}

/// A token in a file, and whether it is all that the file holds: `kubectl create token` ends it with a line break, a
/// kubelet does not.
pub(super) fn token(path: &Path) -> Result<(String, bool), FileError> {
    let text = String::from_utf8(read("the token file", path)?).unwrap_or_default();
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some(token), None) if is_bearer(token) => Ok((token.to_owned(), token == text)),
        _ => Err(FileError::NoToken(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_that_fits_into_a_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let held = |text: &[u8]| {
            std::fs::write(&path, text).unwrap();
            token(&path).map_err(|error| error.to_string())
        };
        assert_eq!(held(b"t0k3n"), Ok(("t0k3n".to_owned(), true)));
        assert_eq!(held(b"t0k3n\n"), Ok(("t0k3n".to_owned(), false)));
        for text in [&b""[..], b"\n", b"t0k3n other", b"t0k3n\x01", b"t0k3n\xff"] {
            let error = held(text).expect_err("none");
            assert!(error.contains("holds no token") && !error.contains("t0k3n"), "{error}");
        }
    }
}
