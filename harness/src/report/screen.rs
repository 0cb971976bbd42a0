//! Where text goes: a terminal, whose last line shows what is going on just now, or anything else, which gets
//! plain lines and no control characters.

use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};

/// Back to the line's start, and erase it.
const ERASE: &str = "\r\u{1b}[K";

/// How many characters the transient line has at most: a line that a narrow terminal breaks cannot be erased.
const NARROW: usize = 76;

/// An output with at most one transient line at its end.
pub(super) struct Screen<W: Write> {
    output: W,
    live: bool,
    gone: bool,
    shown: bool,
    tasks: Vec<Task>,
}

/// Something that is going on.
struct Task {
    name: String,
    line: String,
    since: Instant,
}

impl<W: Write> Screen<W> {
    /// An output; `live` where its last line can be rewritten.
    pub(super) fn new(output: W, live: bool) -> Self {
        Screen { output, live, gone: false, shown: false, tasks: Vec::new() }
    }

    /// Something begins, which is shown for as long as it goes on, where that is possible.
    pub(super) fn begin(&mut self, name: &str, line: String) -> io::Result<()> {
        let task = Task { name: name.to_owned(), line, since: Instant::now() };
        self.tasks.push(task);
        self.redraw()
    }

    /// It is over.
    pub(super) fn end(&mut self, name: &str) {
        self.tasks.retain(|task| task.name != name);
    }

    /// Everything is over.
    pub(super) fn end_all(&mut self) {
        self.tasks.clear();
    }

    /// Writes whole lines, which stay.
    pub(super) fn print(&mut self, text: &str) -> io::Result<()> {
        self.erase()?;
        self.write(text)?;
        self.redraw()
    }

    /// Shows anew what has been going on for the longest time.
    pub(super) fn redraw(&mut self) -> io::Result<()> {
        if !self.live {
            return Ok(());
        }
        self.erase()?;
        let Some(task) = self.tasks.first() else { return Ok(()) };
        let line = progress(&task.line, task.since.elapsed());
        self.shown = true;
        self.write(&line)
    }

    fn erase(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.shown) { self.write(ERASE) } else { Ok(()) }
    }

    /// A reader who has read enough, as in `brinell | head`, is no error.
    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.gone {
            return Ok(());
        }
        match self.output.write_all(text.as_bytes()).and_then(|()| self.output.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(())
            }
            result => result,
        }
    }
}

/// The transient line, with its time from the first second on.
fn progress(line: &str, elapsed: Duration) -> String {
    let line: String = line.chars().take(NARROW - 8).collect();
    match elapsed.as_secs() {
        0 => line,
        seconds => format!("{line} {seconds} s"),
    }
}

impl<W: Write> Drop for Screen<W> {
    /// Whatever ends the run, no transient line stays.
    fn drop(&mut self) {
        // Nobody is left to be told that the output is broken.
        let _ = self.erase();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::Shared;

    #[test]
    fn a_transient_line_gives_way_to_what_stays() {
        let shared = Shared::default();
        let mut screen = Screen::new(shared.clone(), true);
        screen.begin("cluster", "creating …".to_owned()).unwrap();
        screen.print("a line\n").unwrap();
        screen.end("cluster");
        screen.print("done\n").unwrap();
        let expected = format!("creating …{ERASE}a line\ncreating …{ERASE}done\n");
        assert_eq!(shared.text(), expected);
    }

    #[test]
    fn a_transient_line_does_not_outlive_the_screen() {
        let shared = Shared::default();
        let mut screen = Screen::new(shared.clone(), true);
        screen.begin("cluster", "creating …".to_owned()).unwrap();
        drop(screen);
        assert!(shared.text().ends_with(ERASE));
    }

    #[test]
    fn no_control_characters_without_a_terminal() {
        let shared = Shared::default();
        let mut screen = Screen::new(shared.clone(), false);
        screen.begin("cluster", "creating …".to_owned()).unwrap();
        screen.print("a line\n").unwrap();
        screen.redraw().unwrap();
        assert_eq!(shared.text(), "a line\n");
    }

    #[test]
    fn time_is_shown_from_the_first_second_on() {
        assert_eq!(progress("creating …", Duration::from_millis(900)), "creating …");
        assert_eq!(progress("creating …", Duration::from_millis(12_900)), "creating … 12 s");
        assert!(progress(&"x".repeat(200), Duration::from_secs(9999)).chars().count() <= NARROW);
    }

    #[test]
    fn a_reader_who_goes_away_is_no_error() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut screen = Screen::new(writer, false);
        screen.print("a line\n").unwrap();
        screen.print("another\n").unwrap();
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = Screen::new(full, false).print("a line\n").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }
}
