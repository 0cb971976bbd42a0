//! The waivers of a file of the user's.

use std::path::Path;

use super::source::Source;
use super::{Catalog, File, Problems, check};
use crate::model::{Waiver, WaiverEntry};

impl Catalog {
    /// The waivers that a file holds, each with its place.
    ///
    /// # Errors
    /// When the file cannot be read, or one of its waivers names what the catalog does not have.
    pub fn waivers(&self, path: &Path) -> Result<Vec<WaiverEntry>, Problems> {
        let source = Source::new(File::read(path)?)?;
        let written: Vec<Waiver> = source.parse()?;
        Problems::none_or(check::waivers(self, &source, &written))?;
        let placed = written.into_iter().enumerate().map(|(position, waiver)| {
            let line = source.place(&format!("/{position}")).map_or(1, |(line, _)| line);
            WaiverEntry { place: format!("{}:{line}", source.file), waiver }
        });
        Ok(placed.collect())
    }
}
