//! The run's own folder: its lock says that the run is alive, its files hold what must not be seen by others.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file in a folder that was taken over: whoever holds its lock then removes what its run has left.
const TAKEN: &str = "taken";

/// A folder that only its owner can enter, locked as long as the run lives.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    lock: File,
}

/// What came of taking over a run's folder.
pub enum Takeover {
    /// It is ours now.
    Taken(RunFolder),
    /// Its run is alive.
    Alive,
    /// There is none.
    Absent,
}

impl RunFolder {
    /// Makes the folder of a new run below `$XDG_STATE_HOME/brinell/runs` and locks it.
    pub fn create(run: &str) -> io::Result<Self> {
        let path = path(run)?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        let lock = writing().create(true).open(path.join("lock"))?;
        lock.lock()?;
        Ok(RunFolder { path, lock })
    }

    /// Takes over the folder of a run that is no longer alive.
    ///
    /// # Errors
    /// When its lock cannot be tried.
    pub fn take_over(run: &str) -> io::Result<Takeover> {
        let path = path(run)?;
        // It is never made here: the run may be removing its folder.
        let lock = match writing().open(path.join("lock")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Takeover::Absent),
            other => other?,
        };
        match lock.try_lock() {
            Ok(()) => {
                let folder = RunFolder { path, lock };
                // It tells others to wait: a disk that is full keeps nobody from removing something.
                let _ = folder.write(TAKEN, b"");
                Ok(Takeover::Taken(folder))
            }
            Err(fs::TryLockError::WouldBlock) => Ok(Takeover::Alive),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// The runs that left a folder, alive or not.
    pub fn all() -> io::Result<Vec<String>> {
        match fs::read_dir(parent()?) {
            Ok(entries) => {
                entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a file of the run lies.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes a folder below it that only its owner can enter.
    pub fn make(&self, name: &str) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(self.file(name))
    }

    /// Writes a file that only its owner can read.
    pub fn write(&self, name: &str, content: &[u8]) -> io::Result<PathBuf> {
        use io::Write;
        let path = self.file(name);
        let mut file = writing().create(true).truncate(true).open(&path)?;
        file.write_all(content)?;
        Ok(path)
    }

    /// Writes a file that only its owner can read, whole or not at all, and lasting: what was made is found by it,
    /// whatever comes.
    pub fn write_down(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let part = self.write(&format!("{name}.part"), content)?;
        File::open(&part)?.sync_all()?;
        fs::rename(&part, self.file(name))?;
        File::open(&self.path)?.sync_all()
    }

    /// Removes the folder and lets go of the lock.
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.path)?;
        self.lock.unlock()
    }
}

/// To write a file that only its owner can read.
fn writing() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Where a run's folder lies.
pub(super) fn path(run: &str) -> io::Result<PathBuf> {
    Ok(parent()?.join(run))
}

/// Whether the lock of a folder is held, so that its run is alive. Where that cannot be told it counts as held.
pub(super) fn is_held(folder: &Path) -> bool {
    match File::open(folder.join("lock")) {
        Ok(lock) => lock.try_lock_shared().is_err(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// Whether somebody else removes what the run of a folder has left.
pub(super) fn is_swept(folder: &Path) -> bool {
    folder.join(TAKEN).exists() && is_held(folder)
}

fn parent() -> io::Result<PathBuf> {
    let state = folder_of("XDG_STATE_HOME")
        .or_else(|| folder_of("HOME").map(|home| home.join(".local").join("state")));
    let missing = || io::Error::other("neither XDG_STATE_HOME nor HOME names a folder");
    Ok(state.ok_or_else(missing)?.join("brinell").join("runs"))
}

/// The folder that a variable names. A relative one means nothing (XDG Base Directory Specification).
fn folder_of(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}
