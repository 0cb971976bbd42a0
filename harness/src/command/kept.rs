//! The files in which the results of two runs are kept that are compared (`--results DIR`).

use std::vec::IntoIter;

use brinell::cli::Both;
use brinell::report::{ReportError, ReportFile};

use super::Error;
use super::conduct::refusal;

/// Those of which the run has not begun, in order.
pub struct Kept(IntoIter<ReportFile>);

impl Kept {
    /// Opens both before anything else is asked: what an earlier check left in them must not be taken for what comes of
    /// this one.
    pub fn open(both: &Both, names: [&str; 2]) -> Result<Kept, Error> {
        if let Some(folder) = &both.results {
            let unopened = |cause| ReportError::Open { path: folder.clone(), cause };
            std::fs::create_dir_all(folder).map_err(unopened)?;
        }
        Ok(Kept(both.kept(names).open()?.into_iter()))
    }

    /// That of the run that begins now; none where no results are kept.
    pub fn next(&mut self) -> Vec<ReportFile> {
        self.0.next().into_iter().collect()
    }

    /// Writes into those that are left why there is no run.
    pub fn refuse(self, error: &Error) {
        for mut file in self.0 {
            // Why there is no run is said at the end as well.
            let _ = file.write(&refusal(&error.to_string()));
        }
    }
}
