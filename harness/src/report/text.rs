//! Text that may come from a cluster, made safe to show and laid out in lines.

use crate::text::visible;

/// What stands between two columns.
const GAP: &str = "  ";

/// Breaks text, made [`visible`], into lines of a width, between words where it can. What does not fit into so
/// many lines is cut, and the cut shown.
pub(super) fn wrap(text: &str, width: usize, lines: usize) -> Vec<String> {
    let mut wrapped = fill(&visible(text), width);
    if wrapped.len() > lines {
        wrapped.truncate(lines);
        if let Some(last) = wrapped.last_mut() {
            let kept: String = last.chars().take(width.saturating_sub(2)).collect();
            *last = format!("{} …", kept.trim_end());
        }
    }
    wrapped
}

/// Breaks text of our own, whose line breaks are meant.
pub(super) fn wrap_lines(text: &str, width: usize, lines: usize) -> Vec<String> {
    text.trim_end().lines().flat_map(|line| wrap(line, width, lines)).take(lines).collect()
}

fn fill(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        // A word that no line holds may as well begin on this one.
        if used > 0 && used + 1 + length > width && (length <= width || used + 1 >= width) {
            lines.push(std::mem::take(&mut line));
            used = 0;
        } else if used > 0 {
            line.push(' ');
            used += 1;
        }
        for character in word.chars() {
            if used == width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(character);
            used += 1;
        }
    }
    lines.push(line);
    lines
}

/// Lays cells of given widths side by side; a long cell goes on below itself.
pub(super) fn columns(cells: &[(&str, usize)]) -> Vec<String> {
    let wrapped: Vec<_> = cells.iter().map(|(text, width)| wrap(text, *width, 4)).collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
    (0..height)
        .map(|index| {
            let parts: Vec<_> = wrapped
                .iter()
                .zip(cells)
                .map(|(lines, (_, width))| {
                    format!("{:width$}", lines.get(index).map_or("", String::as_str))
                })
                .collect();
            parts.join(GAP).trim_end().to_owned()
        })
        .collect()
}

/// Lines behind an indent, of which the first stands out.
pub(super) fn hanging(lines: Vec<String>) -> Vec<String> {
    let indent = |number: usize| if number == 0 { "  " } else { "    " };
    let lines = lines.into_iter().enumerate();
    lines.map(|(number, line)| format!("{}{line}", indent(number))).collect()
}

/// Lines as one text, each ended.
pub(super) fn ended(lines: Vec<String>) -> String {
    lines.into_iter().map(|line| line + "\n").collect()
}

/// How many characters of a line a text takes.
pub(super) fn width(text: &str) -> usize {
    visible(text).chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::is_harmless;
    use proptest::prelude::*;

    #[test]
    fn hidden_characters_are_shown() {
        assert_eq!(visible("\u{1b}[2J\0\r\n\t"), r"\u{1b}[2J\u{0}\r\n\t");
        assert_eq!(visible("\u{9b}31m \u{7f}"), r"\u{9b}31m \u{7f}");
        assert_eq!(visible("abc\u{202e}cba\u{2066}"), r"abc\u{202e}cba\u{2066}");
        assert_eq!(
            visible("\u{fffe}\u{ffff}\u{feff}\u{200d}"),
            r"\u{fffe}\u{ffff}\u{feff}\u{200d}"
        );
        assert_eq!(visible("plain ünïcödé 漢字 🦀 <&\"'>"), "plain ünïcödé 漢字 🦀 <&\"'>");
    }

    #[test]
    fn long_text_is_wrapped_and_cut() {
        assert_eq!(wrap("one two three", 8, 9), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 4, 9), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("a bcdefghij", 4, 9), ["a bc", "defg", "hij"]);
        assert_eq!(wrap("one two three four", 8, 2), ["one two", "three …"]);
        assert_eq!(wrap("abcdefghij", 4, 1), ["ab …"]);
        assert_eq!(wrap("", 4, 1), [""]);
    }

    #[test]
    fn columns_go_on_below_themselves() {
        assert_eq!(columns(&[("a b", 1), ("c", 3), ("d", 1)]), ["a  c    d", "b"]);
    }

    proptest! {
        #[test]
        fn nothing_harmful_is_left(text in any::<String>()) {
            let shown = visible(&text);
            prop_assert!(shown.chars().all(is_harmless));
            prop_assert_eq!(visible(&shown), shown);
        }

        #[test]
        fn harmless_text_stays(text in "[ -~ä-ü漢字🦀]*") {
            prop_assert_eq!(visible(&text), text);
        }

        #[test]
        fn lines_hold_their_width_and_all_of_the_text(text in any::<String>(), width in 3..40_usize) {
            let lines = wrap(&text, width, usize::MAX);
            prop_assert!(lines.iter().all(|line| line.chars().count() <= width));
            let letters = |text: &str| text.replace(' ', "");
            prop_assert_eq!(letters(&lines.concat()), letters(&visible(&text)));
        }
    }
}
