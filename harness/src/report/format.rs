//! The forms in which results are written down. A new one is its file, with a [`Format`], and its line in `FORMATS`.

use std::io;
use std::path::Path;

use super::FORMATS;
use crate::model::Results;

/// One form in which results are written down.
#[derive(Debug)]
pub struct Format {
    /// As the terminal names it.
    pub name: &'static str,
    /// As `brinell report --as` takes it.
    pub word: &'static str,
    /// How the names of its files end: `brinell --report FILE` knows it by that.
    pub endings: &'static [&'static str],
    /// What `--help` says of a flag of its own, which is its word: for a file whose name ends otherwise. `None` where there
    /// is no such flag.
    pub flag: Option<&'static str>,
    /// Makes the whole document.
    pub render: fn(&Results) -> io::Result<Vec<u8>>,
}

/// A file's name ends in none of the known ways.
#[derive(Debug, thiserror::Error)]
#[error("its ending says no format: {}", endings())]
pub struct NoEnding;

/// `.xml is JUnit, .json is JSON`
pub(crate) fn endings() -> String {
    let told = |format: &&Format| {
        let endings: Vec<String> = format.endings.iter().map(|it| format!(".{it}")).collect();
        format!("{} is {}", endings.join(" or "), format.name)
    };
    FORMATS.iter().map(told).collect::<Vec<_>>().join(", ")
}

impl Format {
    /// The format of a file by the end of its name.
    ///
    /// # Errors
    /// When it says none.
    pub fn of(path: &Path) -> Result<&'static Format, NoEnding> {
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase());
        let name = name.unwrap_or_default();
        let ends =
            |ending: &&str| name.strip_suffix(*ending).is_some_and(|rest| rest.ends_with('.'));
        let is_it = |format: &&&Format| format.endings.iter().any(&ends);
        FORMATS.iter().find(is_it).copied().ok_or(NoEnding)
    }

    /// The format that `--as` names.
    pub(crate) fn named(word: &str) -> Option<&'static Format> {
        FORMATS.iter().find(|format| format.word == word).copied()
    }
}
