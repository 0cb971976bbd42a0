//! A YAML file: read into types, and places in it found again for what is wrong beyond its syntax.

use std::cell::OnceCell;

use serde::de::DeserializeOwned;
use serde_saphyr::Options;

use super::outline::Outline;
use super::{File, Position, Problem};

/// The text of a YAML file.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) file: String,
    pub(super) place: String,
    pub(super) built_in: bool,
    pub(super) text: String,
    /// Whether it is what a command has printed, and no file: a place in it is named by its document, too.
    pub(super) is_printed: bool,
    /// Of each document. Made once, when something is wrong: there may be thousands of mistakes.
    outlines: OnceCell<Vec<Outline>>,
}

/// How many values a file may hold, those that its aliases repeat included.
pub(super) const MOST_VALUES: usize = 100_000;

/// How deep its lists and maps may be nested.
pub(super) const DEEPEST: usize = 64;

/// Strict booleans keep the label value `no` a text; legacy octal makes `defaultMode: 0440` what the API server
/// makes of it. A key that appears twice and a number that is not finite are errors by default.
pub(super) fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MOST_VALUES,
            max_recorded_anchor_events: MOST_VALUES,
            max_depth: DEEPEST,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MOST_VALUES },
        strict_booleans: true,
        legacy_octal_numbers: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// The documents of YAML that is none of the catalog's, read in the same way.
pub(crate) fn documents(text: &str) -> Result<Vec<serde_json::Value>, String> {
    serde_saphyr::from_multiple_with_options(text, options()).map_err(|error| error.to_string())
}

/// Where the parts of a file of one document are; `None` if it is none.
pub(super) fn outline(text: &str) -> Option<Outline> {
    serde_saphyr::from_str_with_options(text, options()).ok()
}

impl Source {
    /// A file that is text.
    pub(super) fn new(file: File) -> Result<Source, Problem> {
        let text = match std::str::from_utf8(&file.bytes) {
            Ok(text) => text.find('\0').map_or(Ok(text), Err),
            Err(error) => Err(error.valid_up_to()),
        };
        match text {
            Ok(text) => Ok(Source {
                text: text.to_owned(),
                file: file.path,
                place: file.place,
                built_in: file.built_in,
                is_printed: false,
                outlines: OnceCell::new(),
            }),
            Err(wrong) => {
                let line = file.bytes[..wrong].split(|byte| *byte == b'\n').count();
                Err(Problem::of_file(&file.path, &format!("line {line} is not text in UTF-8")))
            }
        }
    }

    /// A file that was read before, with this text.
    pub(super) fn again(file: &str, built_in: bool, text: &str) -> Result<Source, Problem> {
        let (path, bytes) = (file.to_owned(), text.to_owned().into_bytes().into());
        Source::new(File { place: path.clone(), path, built_in, bytes })
    }

    /// What a command has printed, which is text.
    pub(super) fn printed(file: File) -> Result<Source, Problem> {
        let mut source = Source::new(file)?;
        source.is_printed = true;
        Ok(source)
    }

    /// How one of its documents is named, counted from 0.
    pub(super) fn document(&self, position: usize) -> String {
        match self.is_printed {
            true => format!("{}, document {}", self.file, position + 1),
            false => self.file.clone(),
        }
    }

    /// Whether its one document is a map that has none of these keys.
    pub(super) fn is_without(&self, keys: &[&str]) -> bool {
        self.outline().is_some_and(|outline| outline.is_without(keys))
    }

    /// Its one document.
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        if self.is_empty() {
            return Err(Problem::of_file(&self.file, "the file is empty"));
        }
        serde_saphyr::from_str_with_options(&self.text, options())
            .map_err(|error| self.explain(&error))
    }

    /// Its documents.
    pub(super) fn parse_all<T: DeserializeOwned>(&self) -> Result<Vec<T>, Problem> {
        serde_saphyr::from_multiple_with_options(&self.text, options())
            .map_err(|error| self.explain(&error))
    }

    /// The place of what a JSON pointer names in its one document.
    pub(super) fn place(&self, pointer: &str) -> Option<(usize, usize)> {
        self.outline()?.place(pointer)
    }

    /// The place of what a JSON pointer names in one of its documents, counted from 0.
    pub(super) fn place_in(&self, document: usize, pointer: &str) -> Option<(usize, usize)> {
        self.outlines().get(document)?.place(pointer)
    }

    /// The first place where a text stands.
    pub(super) fn text_place(&self, text: &str) -> Option<(usize, usize)> {
        let before = &self.text[..self.text.find(text)?];
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Some((before.split('\n').count(), column))
    }

    /// A problem at a place.
    pub(super) fn problem(
        &self,
        place: Option<(usize, usize)>,
        message: &str,
        hint: &str,
    ) -> Problem {
        Problem {
            file: self.file.clone(),
            place: place.map(|(line, column)| Position::new(&self.text, line, column)),
            message: message.to_owned(),
            hint: Some(hint).filter(|hint| !hint.is_empty()).map(str::to_owned),
        }
    }

    fn is_empty(&self) -> bool {
        self.text.lines().all(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#') || line == "---"
        })
    }

    /// Where the map begins that has a key at this place.
    pub(super) fn beginning(&self, place: (usize, usize)) -> (usize, usize) {
        self.outline().and_then(|outline| outline.beginning(place)).unwrap_or(place)
    }

    /// Where a key is of the map that begins at this place.
    pub(super) fn key(&self, place: (usize, usize), key: &str) -> Option<(usize, usize)> {
        self.outline()?.key(place, key)
    }

    /// Of its one document; `None` where it has several.
    fn outline(&self) -> Option<&Outline> {
        let [outline] = self.outlines() else { return None };
        Some(outline)
    }

    fn outlines(&self) -> &[Outline] {
        let parse = || serde_saphyr::from_multiple_with_options(&self.text, options());
        self.outlines.get_or_init(|| parse().unwrap_or_default())
    }
}
