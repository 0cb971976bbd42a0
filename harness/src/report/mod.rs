//! What a run looks like to a person and to a machine. Reporters know [`RunEvent`]s and nothing else.
//!
//! ```text
//! RunEvent ─▶ Reporters ─┬▶ Terminal ─▶ Screen
//!                        └▶ FileReport: Results ─▶ JUnit or JSON
//! ```

mod block;
mod exit;
mod file;
mod json;
mod junit;
mod markdown;
mod paint;
mod proof;
mod screen;
mod terminal;
mod text;

#[cfg(test)]
pub(crate) mod sample;

use std::io;
use std::path::PathBuf;

use crate::model::RunEvent;

pub use exit::ExitCode;
pub use file::{FileReport, Format};
pub use markdown::markdown;
pub use terminal::{Detail, Terminal};
pub use text::visible;

/// Shows or keeps what happens in a run.
pub trait Reporter: Send {
    /// Takes one event.
    fn on(&mut self, event: &RunEvent) -> Result<(), ReportError>;

    /// Takes the end: no event comes any more, whether the run finished or not.
    fn finish(&mut self) -> Result<(), ReportError>;
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

/// Tells several reporters the same. Add the terminal last: its last line names the files.
#[derive(Default)]
pub struct Reporters {
    all: Vec<Box<dyn Reporter>>,
    error: Option<ReportError>,
}

impl Reporters {
    /// Adds one.
    pub fn add(&mut self, reporter: impl Reporter + 'static) {
        self.all.push(Box::new(reporter));
    }

    /// Tells all of one event. An error waits for [`Reporters::finish`]: a run does not stop in the middle, its
    /// cluster still there, because a disk is full.
    pub fn on(&mut self, event: &RunEvent) {
        self.tell(|reporter| reporter.on(event));
    }

    /// Tells all of the end, and gives the first error of any reporter.
    pub fn finish(mut self) -> Result<(), ReportError> {
        self.tell(|reporter| reporter.finish());
        self.error.map_or(Ok(()), Err)
    }

    fn tell(&mut self, mut what: impl FnMut(&mut dyn Reporter) -> Result<(), ReportError>) {
        for reporter in &mut self.all {
            if let Err(error) = what(reporter.as_mut()) {
                self.error.get_or_insert(error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use crate::report::terminal::Look;

    #[test]
    fn an_error_of_one_reporter_waits_for_the_end_and_spares_the_others() {
        let shared = sample::Shared::default();
        let look = Look { colour: false, live: false };
        let mut reporters = Reporters::default();
        reporters.add(FileReport::open(Format::Json, "/dev/full").unwrap());
        reporters.add(Terminal::new(shared.clone(), look, Detail::Normal, vec![]));
        sample::passing().iter().for_each(|event| reporters.on(event));
        let error = reporters.finish().unwrap_err().to_string();
        assert!(error.starts_with("the report /dev/full could not be written: "), "{error}");
        assert!(shared.text().contains("1 passed, 0 failed"));
    }
}
