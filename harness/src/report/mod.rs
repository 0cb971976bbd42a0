//! What a run looks like to a person and to a machine.
//!
//! ```text
//! RunEvent ─▶ Reporter: Results ─┬▶ Terminal ─▶ Screen
//!                                ├▶ ReportFile, in a Format
//!                                └▶ ExitCode
//! ```
//!
//! The terminal is told of each event as well, to show what goes on.

mod block;
mod captured;
mod comparison;
mod evidence;
mod exit;
mod file;
mod format;
mod html;
mod json;
mod junit;
mod lines;
mod markdown;
mod open_metrics;
mod paint;
mod proof;
mod sarif;
mod screen;
mod story;
mod terminal;
mod text;
mod trend;

#[cfg(test)]
pub(crate) mod sample;

use std::io::{self, Stdout, Write};
use std::path::PathBuf;

use clap::ValueEnum;

use crate::compare::Comparison;
use crate::judge::{settle, waive};
use crate::model::{Results, RunEvent, WaiverEntry};
use crate::trend::Trend;

pub use captured::{show_captured, show_not_taken};
pub use exit::{ExitCode, Meaning};
pub use file::ReportFile;
pub(crate) use format::endings;
pub use format::{Format, NoEnding};
pub use lines::KeptLines;
pub use story::{all_needs, listing, story};
pub use terminal::{Detail, Terminal, one_line};

/// Every format, in the order in which files of them are written.
pub const FORMATS: &[&Format] = &[
    &html::FORMAT,
    &markdown::FORMAT,
    &junit::FORMAT,
    &sarif::FORMAT,
    &open_metrics::FORMAT,
    &json::FORMAT,
];

/// How a comparison or a trend is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shown {
    /// As text, for a terminal.
    Text,
    /// As one HTML page.
    Html,
}

/// A comparison, as it is shown.
pub fn show_comparison(it: &Comparison, shown: Shown) -> io::Result<Vec<u8>> {
    match shown {
        Shown::Text => Ok(comparison::comparison(it).into_bytes()),
        Shown::Html => html::comparison::page(it),
    }
}

/// A trend, as it is shown.
pub fn show_trend(it: &Trend, shown: Shown) -> io::Result<Vec<u8>> {
    match shown {
        Shown::Text => Ok(trend::trend(it).into_bytes()),
        Shown::Html => html::trend::page(it),
    }
}

/// A report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Its file could not be opened, which is known before the run begins.
    #[error("the report {} could not be opened: {cause}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Its file could not be written.
    #[error("the report {} could not be written: {cause}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The terminal, or what stands in its place, could not be written.
    #[error("the output could not be written: {0}")]
    Print(io::Error),
}

/// Gathers the results of a session, shows them while they come, and writes them down when they are judged, and again
/// at the end.
pub struct Reporter<W: Write + Send + 'static = Stdout> {
    results: Results,
    terminal: Terminal<W>,
    files: Vec<ReportFile>,
    waivers: Vec<WaiverEntry>,
    lines: Option<KeptLines>,
    error: Option<ReportError>,
}

impl<W: Write + Send + 'static> Reporter<W> {
    /// Nothing has happened yet.
    pub fn new(terminal: Terminal<W>, files: Vec<ReportFile>) -> Self {
        let (results, waivers) = (Results::default(), Vec::new());
        Reporter { results, terminal, files, waivers, lines: None, error: None }
    }

    /// This reporter, which keeps the lines of the audit log too.
    pub fn keeping(self, lines: Option<KeptLines>) -> Self {
        Reporter { lines, ..self }
    }

    /// This reporter, with failures that somebody answers for.
    pub fn waiving(self, waivers: Vec<WaiverEntry>) -> Self {
        Reporter { waivers, ..self }
    }

    /// Takes one event. An error waits for [`Reporter::finish`]: a run does not stop in the middle, its cluster still
    /// there, because a disk is full.
    pub fn on(&mut self, mut event: RunEvent) {
        if let RunEvent::ScenarioFinished(result) = &mut event {
            waive(result, &self.waivers, self.results.day());
            let kept = self.lines.as_ref().map_or(Ok(()), |lines| lines.keep(result));
            self.keep(kept);
        }
        let is_judged = matches!(event, RunEvent::Judged);
        let shown = self.terminal.on(&event);
        self.keep(shown);
        self.results.on(event);
        if is_judged {
            self.settle();
        }
    }

    /// Says what became of the waivers. Whoever is killed while it tidies up leaves what was judged.
    fn settle(&mut self) {
        let settled = settle(&self.waivers, &self.results.scenarios, self.results.day());
        self.on(RunEvent::WaiversSettled(settled));
        self.files.iter_mut().for_each(|file| file.draft(&self.results));
    }

    /// What has come of the session up to now.
    pub fn results(&self) -> &Results {
        &self.results
    }

    /// Writes the files, and then shows the summary, which names them. Returns all that came of the session, and the
    /// first error of any report.
    pub fn finish(mut self) -> (Results, Result<(), ReportError>) {
        let written: Vec<_> = self.files.iter_mut().map(|file| file.write(&self.results)).collect();
        written.into_iter().for_each(|written| self.keep(written));
        let names: Vec<String> = self.files.iter().map(ReportFile::label).collect();
        let shown = self.terminal.finish(&self.results, &names);
        self.keep(shown);
        (self.results, self.error.map_or(Ok(()), Err))
    }

    fn keep(&mut self, done: Result<(), ReportError>) {
        if let Err(error) = done {
            self.error.get_or_insert(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use crate::report::terminal::Look;

    #[test]
    fn what_is_known_is_waived_before_it_is_shown_and_counted() {
        let settled = |events: &[RunEvent]| {
            let mut waivers = events.iter().filter_map(|event| match event {
                RunEvent::WaiversSettled(all) => Some(all.iter().map(|it| it.entry.clone())),
                _ => None,
            });
            waivers.next().unwrap().collect::<Vec<_>>()
        };
        let waivers = settled(&sample::waived());
        for (waivers, counts) in [(waivers, (0, 1, 2)), (Vec::new(), (1, 0, 0))] {
            let shared = sample::Shared::default();
            let look = Look { colour: false, live: false };
            let terminal = Terminal::new(shared.clone(), look, Detail::Normal);
            let mut reporter = Reporter::new(terminal, Vec::new()).waiving(waivers);
            sample::failing().into_iter().for_each(|event| reporter.on(event));
            reporter.on(RunEvent::Judged);
            let took = std::time::Duration::ZERO;
            let summary = reporter.results().summarise(took, took, String::new());
            assert_eq!((summary.failed, summary.waived, summary.bad_waivers), counts);
            assert_eq!(shared.text().contains("WAIVED  exec-interactive"), counts.1 == 1);
        }
    }

    #[test]
    fn what_was_judged_is_written_before_it_is_tidied_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        let file = ReportFile::open(&json::FORMAT, &path).unwrap();
        let look = Look { colour: false, live: false };
        let terminal = Terminal::new(sample::Shared::default(), look, Detail::Normal);
        let mut reporter = Reporter::new(terminal, vec![file]);
        let events = sample::passing().into_iter();
        let is_end = |event: &RunEvent| matches!(event, RunEvent::Finished(_));
        events.filter(|event| !is_end(event)).for_each(|event| reporter.on(event));
        reporter.on(RunEvent::Judged);
        let left = Results::read(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!((left.scenarios.len(), left.summary.is_none()), (1, true));
        assert_eq!(ExitCode::of(&left, false), ExitCode::Broken);
    }

    #[test]
    fn an_error_of_one_report_waits_for_the_end_and_spares_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("junit.xml");
        let full = ReportFile::open(&json::FORMAT, "/dev/full").unwrap();
        let whole = ReportFile::open(&junit::FORMAT, &path).unwrap();
        let shared = sample::Shared::default();
        let look = Look { colour: false, live: false };
        let terminal = Terminal::new(shared.clone(), look, Detail::Normal);
        let mut reporter = Reporter::new(terminal, vec![full, whole]);
        sample::passing().into_iter().for_each(|event| reporter.on(event));
        let (results, reported) = reporter.finish();
        let error = reported.unwrap_err().to_string();
        assert!(error.starts_with("the report /dev/full could not be written: "), "{error}");
        assert!(std::fs::read_to_string(path).unwrap().contains("exec-interactive"));
        assert!(shared.text().contains("1 passed, 0 failed"));
        assert_eq!(results.scenarios.len(), 1);
    }
}
