//! A report in a file: opened before the run begins, so that a bad path costs no cluster, and written when it
//! is over.

use std::fs::File;
use std::io::{self, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::Errno;

use super::{Format, ReportError};
use crate::model::Results;

/// A report that becomes a file.
pub struct ReportFile {
    path: PathBuf,
    format: &'static Format,
    target: Target,
}

/// Where a report goes. No file is ever renamed: that would replace links and devices by plain files.
enum Target {
    /// A plain file, which holds a report from the first moment on and is rewritten in place.
    Plain(File),
    /// A pipe or a device, which takes one document.
    Once(File),
    /// Standard output itself: opening `/dev/stdout` again would overwrite what is already printed to a file.
    Output,
}

impl ReportFile {
    /// Opens the file. A plain file holds, from now until the end, a report of a run that did not finish:
    /// neither an old result nor an empty file is taken for this one's.
    pub fn open(
        format: &'static Format,
        path: impl Into<PathBuf>,
    ) -> Result<ReportFile, ReportError> {
        let path = path.into();
        let target = match Target::open(&path) {
            Ok(target) => target,
            Err(cause) => return Err(ReportError::Open { path, cause }),
        };
        let mut report = ReportFile { path, format, target };
        if matches!(report.target, Target::Plain(_)) {
            // An old result must not stay where there is no room to say that there is a new run.
            report.write(&Results::default()).inspect_err(|_| report.target.empty())?;
        }
        Ok(report)
    }

    /// Writes the whole report. A pipe and standard output take one only.
    pub fn write(&mut self, results: &Results) -> Result<(), ReportError> {
        (self.format.render)(results)
            .and_then(|document| self.target.write(&document))
            .map_err(|cause| ReportError::Write { path: self.path.clone(), cause })
    }

    /// Writes what there is before the end into a plain file, which is written again then: an error shows there, if it lasts.
    pub(super) fn draft(&mut self, results: &Results) {
        if matches!(self.target, Target::Plain(_)) {
            let _ = self.write(results);
        }
    }

    /// As the terminal names it: `JUnit: junit.xml`.
    pub(super) fn label(&self) -> String {
        format!("{}: {}", self.format.name, self.path.display())
    }
}

impl Target {
    fn open(path: &Path) -> io::Result<Target> {
        if path == Path::new("/dev/stdout") {
            return Ok(Target::Output);
        }
        // Non-blocking, because opening a pipe waits for its other end. Files do not know the difference.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::from(0o666));
        let file = File::from(opened.map_err(|error| match error {
            Errno::NXIO => io::Error::other("it is a pipe or a socket, and nobody reads from it"),
            other => other.into(),
        })?);
        if file.metadata()?.is_file() { Ok(Target::Plain(file)) } else { Ok(Target::Once(file)) }
    }

    /// Leaves nothing in a plain file. That it could not be written is the greater trouble.
    fn empty(&self) {
        if let Target::Plain(file) = self {
            let _ = file.set_len(0);
        }
    }

    fn write(&mut self, document: &[u8]) -> io::Result<()> {
        match self {
            Target::Plain(file) => {
                make_room(file, document.len())?;
                // A part of a report is none.
                replace(file, document).inspect_err(|_| self.empty())
            }
            Target::Once(file) => deliver(file, document, PATIENCE),
            Target::Output => {
                let mut output = io::stdout().lock();
                output.write_all(document)?;
                output.flush()
            }
        }
    }
}

/// Makes room for a whole document, which changes nothing of what is in the file.
fn make_room(file: &File, needed: usize) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, needed as u64) {
        // Not every file system can say it before it is written.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        made => Ok(made?),
    }
}

/// Writes a document over what is in a file: to empty it first would give its room away.
fn replace(mut file: &File, document: &[u8]) -> io::Result<()> {
    file.rewind()?;
    file.write_all(document)?;
    file.set_len(document.len() as u64)?;
    // Some file systems tell of a full disk only here.
    file.sync_all()
}

/// How long the other end of a pipe may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes a document to a pipe or a device, as long as its other end takes it.
fn deliver(file: &mut File, mut document: &[u8], patience: Duration) -> io::Result<()> {
    while !document.is_empty() {
        match file.write(document) {
            Ok(written) => document = &document[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait(file, patience)?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits until something can be written.
fn wait(file: &File, patience: Duration) -> io::Result<()> {
    let timeout = Timespec::try_from(patience).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(file, PollFlags::OUT)], Some(&timeout)) {
        Ok(0) => Err(io::Error::other(format!("nobody read from it for {patience:?}"))),
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{MemfdFlags, SealFlags};

    use super::*;
    use crate::report::{FORMATS, json, junit, sample};

    fn write(report: &mut ReportFile) -> Result<(), ReportError> {
        report.write(&sample::results(&sample::passing()))
    }

    #[test]
    fn a_bad_path_is_known_before_the_run() {
        let error = ReportFile::open(&junit::FORMAT, "/nowhere/junit.xml").err().unwrap();
        let expected =
            "the report /nowhere/junit.xml could not be opened: No such file or directory";
        assert!(error.to_string().starts_with(expected), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let error = ReportFile::open(&json::FORMAT, folder.path()).err().unwrap();
        assert!(error.to_string().contains("Is a directory"), "{error}");
    }

    #[test]
    fn a_full_disk_is_known_at_the_end() {
        for format in FORMATS.iter().copied() {
            let mut report = ReportFile::open(format, "/dev/full").unwrap();
            let error = write(&mut report).unwrap_err();
            assert!(matches!(error, ReportError::Write { .. }));
            assert!(error.to_string().contains("No space left on device"), "{error}");
        }
    }

    /// A report in a file in memory that holds something, on which these seals are.
    fn sealed(seals: SealFlags) -> (ReportFile, File) {
        let flags = MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC;
        let file = File::from(rustix::fs::memfd_create("report", flags).unwrap());
        (&file).write_all(b"the run did not finish").unwrap();
        rustix::fs::fcntl_add_seals(&file, seals).unwrap();
        let target = Target::Plain(file.try_clone().unwrap());
        (ReportFile { path: "report".into(), format: &json::FORMAT, target }, file)
    }

    #[test]
    fn a_report_is_written_whole_or_not_at_all() {
        let held = |mut file: File| {
            let mut text = String::new();
            file.rewind().unwrap();
            io::Read::read_to_string(&mut file, &mut text).unwrap();
            text
        };
        // There is no room for more than there is already.
        let (mut full, file) = sealed(SealFlags::GROW);
        assert!(matches!(write(&mut full), Err(ReportError::Write { .. })));
        assert_eq!(held(file), "the run did not finish");
        // There is room, and it cannot be written.
        let (mut broken, file) = sealed(SealFlags::WRITE);
        assert!(matches!(write(&mut broken), Err(ReportError::Write { .. })));
        assert_eq!(held(file), "");
    }

    #[test]
    fn until_the_end_the_file_says_that_the_run_did_not_finish() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        std::fs::write(&path, "an old and much longer document ".repeat(1000)).unwrap();
        let mut report = ReportFile::open(&json::FORMAT, &path).unwrap();
        let early = Results::read(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(early.aborted.as_deref(), Some("the run did not finish"));
        write(&mut report).unwrap();
        let late = Results::read(&std::fs::read(&path).unwrap()).unwrap();
        assert!(late.aborted.is_none() && late.summary.is_some());
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("junit.xml"), folder.path().join("link.xml"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write(&mut ReportFile::open(&junit::FORMAT, &link).unwrap()).unwrap();
        assert!(link.is_symlink());
        assert!(std::fs::read_to_string(&file).unwrap().contains("exec-interactive"));
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_known_before_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RWXU).unwrap();
        let error = ReportFile::open(&json::FORMAT, &path).err().unwrap().to_string();
        assert!(error.ends_with("it is a pipe or a socket, and nobody reads from it"), "{error}");
    }

    #[test]
    fn a_reader_that_reads_nothing_is_not_waited_for_for_ever() {
        let (reader, writer) = io::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
        let Target::Once(mut file) = Target::open(Path::new(&path)).unwrap() else { panic!() };
        // More than a pipe holds.
        let error = deliver(&mut file, &[0; 1 << 20], Duration::from_millis(10)).unwrap_err();
        assert_eq!(error.to_string(), "nobody read from it for 10ms");
        drop(reader);
    }

    #[test]
    fn a_pipe_gets_one_document() {
        let (mut reader, writer) = io::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
        let mut report = ReportFile::open(&json::FORMAT, path).unwrap();
        drop(writer);
        write(&mut report).unwrap();
        drop(report);
        let mut document = Vec::new();
        io::Read::read_to_end(&mut reader, &mut document).unwrap();
        assert!(Results::read(&document).unwrap().aborted.is_none());
    }
}
