//! What is wrong with a file, in words for the person who wrote it.

use std::fmt;

use crate::text::visible;

/// How many characters of a line are shown, at most half of them before the place.
const SHOWN: usize = 100;

/// One thing that is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as a person finds it.
    pub file: String,
    /// Where in the file; none where it is about the file as a whole.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line itself.
    pub text: String,
}

/// Everything that is wrong, in all files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problem {
    /// A problem with the file as a whole.
    pub(super) fn of_file(file: &str, message: &str) -> Problem {
        Problem { file: file.to_owned(), place: None, message: message.to_owned(), hint: None }
    }
}

impl Place {
    /// The place in a text that a line and a column name.
    pub(super) fn new(text: &str, line: usize, column: usize) -> Place {
        let text = text.lines().nth(line.saturating_sub(1)).unwrap_or_default().to_owned();
        Place { line, column, text }
    }

    /// The part of the line around the column, before it and from it on.
    fn shown(&self) -> (String, String) {
        let before = self.column.saturating_sub(1);
        let cut = before.saturating_sub(SHOWN / 2);
        let part = |from, count| {
            let part: String = self.text.chars().skip(from).take(count).collect();
            visible(&part)
        };
        (part(cut, before - cut), part(before, SHOWN - (before - cut)))
    }
}

impl Problems {
    /// Nothing wrong, or all that is.
    pub(super) fn none_or(problems: Vec<Problem>) -> Result<(), Problems> {
        if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        Problems(vec![problem])
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", visible(&self.file))?;
        if let Some(place) = &self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        write!(f, ": {}", visible(&self.message))?;
        if let Some(place) = &self.place {
            let (before, after) = place.shown();
            let margin = place.line.to_string().len();
            let caret = before.chars().count();
            write!(f, "\n  {} | {before}{after}", place.line)?;
            write!(f, "\n  {:margin$} | {:caret$}^", "", "")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  {}", visible(hint))?;
        }
        Ok(())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}
