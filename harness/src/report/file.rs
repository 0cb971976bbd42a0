//! A report in a file: opened before the run begins, so that a bad path costs no cluster, and written when it
//! is over.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use super::{ReportError, Reporter, Results, json, junit};
use crate::run::RunEvent;

/// How a report is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JUnit XML.
    JUnit,
    /// JSON, which can be read back.
    Json,
}

/// A report that becomes a file.
pub struct FileReport {
    path: PathBuf,
    format: Format,
    target: Target,
    results: Results,
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

impl Format {
    /// As the summary names it.
    pub fn label(self) -> &'static str {
        match self {
            Format::JUnit => "JUnit",
            Format::Json => "JSON",
        }
    }

    fn render(self, results: &Results) -> io::Result<Vec<u8>> {
        match self {
            Format::JUnit => junit::render(results),
            Format::Json => json::render(results),
        }
    }
}

impl FileReport {
    /// Opens the file. A plain file holds, from now until the end, a report of a run that did not finish:
    /// neither an old result nor an empty file is taken for this one's.
    pub fn open(format: Format, path: impl Into<PathBuf>) -> Result<FileReport, ReportError> {
        let path = path.into();
        let target = match Target::open(&path) {
            Ok(target) => target,
            Err(cause) => return Err(ReportError::Open { path, cause }),
        };
        let mut report = FileReport { path, format, target, results: Results::default() };
        if matches!(report.target, Target::Plain(_)) {
            report.write()?;
        }
        Ok(report)
    }

    fn write(&mut self) -> Result<(), ReportError> {
        self.format
            .render(&self.results)
            .and_then(|document| self.target.write(&document))
            .map_err(|cause| ReportError::Write { path: self.path.clone(), cause })
    }
}

impl Reporter for FileReport {
    fn on(&mut self, event: &RunEvent) -> Result<(), ReportError> {
        self.results.on(event);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ReportError> {
        self.write()
    }
}

impl Target {
    fn open(path: &Path) -> io::Result<Target> {
        if path == Path::new("/dev/stdout") {
            return Ok(Target::Output);
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        if file.metadata()?.is_file() { Ok(Target::Plain(file)) } else { Ok(Target::Once(file)) }
    }

    fn write(&mut self, document: &[u8]) -> io::Result<()> {
        match self {
            Target::Plain(file) => {
                file.rewind()?;
                file.set_len(0)?;
                file.write_all(document)?;
                // Some file systems tell of a full disk only here.
                file.sync_all()
            }
            Target::Once(file) => file.write_all(document),
            Target::Output => {
                let mut output = io::stdout().lock();
                output.write_all(document)?;
                output.flush()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn run(report: &mut FileReport) -> Result<(), ReportError> {
        sample::passing().iter().try_for_each(|event| report.on(event))?;
        report.finish()
    }

    #[test]
    fn a_bad_path_is_known_before_the_run() {
        let error = FileReport::open(Format::JUnit, "/nowhere/junit.xml").err().unwrap();
        let expected =
            "the report /nowhere/junit.xml could not be opened: No such file or directory";
        assert!(error.to_string().starts_with(expected), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let error = FileReport::open(Format::Json, folder.path()).err().unwrap();
        assert!(error.to_string().contains("Is a directory"), "{error}");
    }

    #[test]
    fn a_full_disk_is_known_at_the_end() {
        for format in [Format::JUnit, Format::Json] {
            let mut report = FileReport::open(format, "/dev/full").unwrap();
            let error = run(&mut report).unwrap_err();
            assert!(matches!(error, ReportError::Write { .. }));
            assert!(error.to_string().contains("No space left on device"), "{error}");
        }
    }

    #[test]
    fn until_the_end_the_file_says_that_the_run_did_not_finish() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        std::fs::write(&path, "an old and much longer document ".repeat(1000)).unwrap();
        let mut report = FileReport::open(Format::Json, &path).unwrap();
        let early = Results::read(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(early.aborted.as_deref(), Some("the run did not finish"));
        run(&mut report).unwrap();
        let late = Results::read(&std::fs::read(&path).unwrap()).unwrap();
        assert!(late.aborted.is_none() && late.summary.is_some());
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("junit.xml"), folder.path().join("link.xml"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        run(&mut FileReport::open(Format::JUnit, &link).unwrap()).unwrap();
        assert!(link.is_symlink());
        assert!(std::fs::read_to_string(&file).unwrap().contains("exec-interactive"));
    }

    #[test]
    fn a_pipe_gets_one_document() {
        let (mut reader, writer) = io::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
        let mut report = FileReport::open(Format::Json, path).unwrap();
        drop(writer);
        run(&mut report).unwrap();
        drop(report);
        let mut document = Vec::new();
        io::Read::read_to_end(&mut reader, &mut document).unwrap();
        assert!(Results::read(&document).unwrap().aborted.is_none());
    }
}
