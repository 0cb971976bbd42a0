//! The lines of the audit log behind the attempts of a run, kept on request: a file for each scenario, in one folder.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::ReportError;
use crate::model::{Event, Log, ScenarioResult};

/// A folder for the lines of one run.
pub struct KeptLines(PathBuf);

const NOT_EMPTY: &str =
    "there is something in it, which would be taken for evidence of this run; name an empty folder";

const NOT_PRIVATE: &str =
    "others may write into it; name a folder that is not there yet, or `chmod 700` it";

impl KeptLines {
    /// Takes an empty folder, or makes one into which its owner alone may look.
    ///
    /// # Errors
    /// When it cannot be made, something is in it, or others may write into it.
    pub fn open(folder: &Path) -> Result<KeptLines, ReportError> {
        let taken = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        let taken = taken.and_then(|()| fs::read_dir(folder)).and_then(|mut entries| {
            entries.next().map_or(Ok(()), |_| Err(io::Error::other(NOT_EMPTY)))
        });
        let taken = taken.and_then(|()| match folder.metadata()?.permissions().mode() & 0o022 {
            0 => Ok(()),
            _ => Err(io::Error::other(NOT_PRIVATE)),
        });
        let path = folder.to_owned();
        taken.map_err(|cause| ReportError::Open { path: path.clone(), cause })?;
        Ok(KeptLines(path))
    }

    /// Writes the lines of a scenario, where there are any, and names the file in its result.
    pub(super) fn keep(&self, result: &mut ScenarioResult) -> Result<(), ReportError> {
        let lines: String = lines(result).into_iter().map(|line| format!("{line}\n")).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let name = format!("{}.jsonl", result.id);
        let path = self.0.join(&name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let written = file.and_then(|file| fill(file, &path, &lines));
        written.map_err(|cause| ReportError::Write { path, cause })?;
        result.audit_lines = Some(name);
        // They are in the file now, and a run holds its results to its end.
        events_of(result).for_each(|event| event.line = None);
        Ok(())
    }
}

/// Writes all lines into a file, or removes it: some of them would be taken for all.
fn fill(mut file: File, path: &Path, lines: &str) -> io::Result<()> {
    file.write_all(lines.as_bytes()).inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}

/// Every event behind its attempts.
fn events_of(result: &mut ScenarioResult) -> impl Iterator<Item = &mut Event> {
    let evidence = result.attempts.iter_mut().filter_map(|attempt| attempt.evidence.as_mut());
    evidence.flat_map(|evidence| match &mut evidence.log {
        Log::Read { events, traces, .. } => events.iter_mut().chain(traces).collect(),
        Log::NotApplicable | Log::Disabled | Log::Unreadable(_) => Vec::<&mut Event>::new(),
    })
}

/// Each line behind its attempts once, in their order.
fn lines(result: &ScenarioResult) -> Vec<&str> {
    let evidence = result.attempts.iter().filter_map(|attempt| attempt.evidence.as_ref());
    let events = evidence.flat_map(|evidence| match &evidence.log {
        Log::Read { events, traces, .. } => events.iter().chain(traces).collect(),
        Log::NotApplicable | Log::Disabled | Log::Unreadable(_) => Vec::<&Event>::new(),
    });
    let mut known = BTreeSet::new();
    events.filter_map(|event| event.line.as_deref()).filter(|line| known.insert(*line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    /// A scenario of which every event has a line, the same one of two attempts.
    fn with_lines() -> ScenarioResult {
        let mut result = sample::results(&sample::failing()).scenarios.remove(0);
        for (number, attempt) in result.attempts.iter_mut().enumerate() {
            let Some(Log::Read { events, .. }) = attempt.evidence.as_mut().map(|it| &mut it.log)
            else {
                continue;
            };
            for event in events {
                event.line = Some(format!("line {}", number / 2).into());
            }
        }
        result
    }

    #[test]
    fn the_lines_of_a_scenario_are_for_their_owner_alone_and_named_in_its_result() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a/b");
        let kept = KeptLines::open(&folder).unwrap();
        let mut result = with_lines();
        kept.keep(&mut result).unwrap();
        assert_eq!(result.audit_lines.as_deref(), Some("exec-interactive.jsonl"));
        let file = folder.join("exec-interactive.jsonl");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.lines().all(|line| line.starts_with("line ")), "{text}");
        assert_eq!(text.lines().collect::<BTreeSet<_>>().len(), text.lines().count(), "{text}");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(&folder)), (0o600, 0o700));
        // A file that is there is another's, and a link may lead anywhere.
        assert!(matches!(kept.keep(&mut with_lines()), Err(ReportError::Write { .. })));
    }

    #[test]
    fn a_file_that_could_not_be_written_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exec-interactive.jsonl");
        fs::write(&path, "line 0\n").unwrap();
        // What is opened to be read cannot be written.
        fill(File::open(&path).unwrap(), &path, "line 0\nline 1\n").unwrap_err();
        assert!(!path.exists());
    }

    #[test]
    fn nothing_is_written_where_no_line_was_kept() {
        let folder = tempfile::tempdir().unwrap();
        let kept = KeptLines::open(folder.path()).unwrap();
        let mut result = sample::results(&sample::failing()).scenarios.remove(0);
        kept.keep(&mut result).unwrap();
        assert_eq!((result.audit_lines, fs::read_dir(folder.path()).unwrap().count()), (None, 0));
    }

    #[test]
    fn what_is_in_the_folder_is_never_mixed_with_a_run() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x"), "").unwrap();
        let error = KeptLines::open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("there is something in it"), "{error}");
        let error = KeptLines::open(&folder.path().join("x")).err().unwrap();
        assert!(matches!(error, ReportError::Open { .. }), "{error}");
    }

    #[test]
    fn a_folder_into_which_others_may_write_is_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o770)).unwrap();
        let error = KeptLines::open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("others may write into it"), "{error}");
    }

    #[test]
    fn no_result_holds_a_line() {
        let result = with_lines();
        let written = serde_json::to_string(&result).unwrap();
        assert!(!written.contains("line 0"), "{written}");
    }
}
