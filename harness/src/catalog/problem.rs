//! What is wrong with a file, in words for the person who wrote it.

use std::fmt;

use crate::text::{count, cut, visible};

/// How many characters of a line are shown, at most half of them before the place.
const SHOWN: usize = 100;

/// How many bytes of a message or a hint are shown: a name in it may be as long as the file.
const SHOWN_TEXT: usize = 4000;

/// How many problems are shown: nobody mends more at once.
pub(super) const SHOWN_PROBLEMS: usize = 20;

/// One thing that is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as a person finds it.
    pub file: String,
    /// Where in the file; `None` where it is about the file as a whole.
    pub place: Option<Position>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A place in a file, with the part of its line that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The part of the line.
    shown: String,
    /// How many characters of it are before the place.
    before: usize,
}

/// Everything that is wrong, in all files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problem {
    /// A problem with the file as a whole.
    pub(super) fn of_file(file: &str, message: &str) -> Problem {
        Problem { file: file.to_owned(), place: None, message: message.to_owned(), hint: None }
    }

    /// The problem with what to do about it.
    pub(super) fn hint(self, hint: &str) -> Problem {
        Problem { hint: Some(hint.to_owned()), ..self }
    }
}

impl Position {
    /// The place in a text that a line and a column name.
    pub(super) fn new(text: &str, line: usize, column: usize) -> Position {
        let text = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let before = column.saturating_sub(1);
        let cut = before.saturating_sub(SHOWN / 2);
        let part = |from, count| {
            let part: String = text.chars().skip(from).take(count).collect();
            visible(&part)
        };
        let (head, tail) = (part(cut, before - cut), part(before, SHOWN - (before - cut)));
        Position { line, column, before: head.chars().count(), shown: head + &tail }
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
        write!(f, ": {}", visible(&cut(&self.message, SHOWN_TEXT)))?;
        if let Some(Position { line, shown, before, .. }) = &self.place {
            let margin = line.to_string().len();
            write!(f, "\n  {line} | {shown}")?;
            write!(f, "\n  {:margin$} | {:before$}^", "", "")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  {}", visible(&cut(hint, SHOWN_TEXT)))?;
        }
        Ok(())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.0.iter().take(SHOWN_PROBLEMS).enumerate() {
            if position > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{problem}")?;
        }
        match self.0.len().saturating_sub(SHOWN_PROBLEMS) {
            0 => Ok(()),
            more => write!(f, "\n\nand {}", count(more, "more problem")),
        }
    }
}
