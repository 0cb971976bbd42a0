//! Colours, where they help the eye. What they say is always said in words too.

use anstyle::{AnsiColor, Color, Effects, Style};

use crate::model::Verdict;

/// Colours text, or leaves it as it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    /// Whether there are colours.
    pub(super) colour: bool,
}

impl Paint {
    /// Text without any colour.
    pub(super) const PLAIN: Paint = Paint { colour: false };

    /// Text in the colour of a verdict.
    pub(super) fn verdict(self, verdict: Verdict, text: &str) -> String {
        let colour = match verdict {
            Verdict::Passed => AnsiColor::Green,
            Verdict::Skipped => AnsiColor::Cyan,
            Verdict::Inconclusive => AnsiColor::Yellow,
            Verdict::Failed => AnsiColor::Red,
        };
        if !self.colour {
            return text.to_owned();
        }
        let style = Style::new().fg_color(Some(Color::Ansi(colour))).effects(Effects::BOLD);
        format!("{style}{text}{style:#}")
    }
}
