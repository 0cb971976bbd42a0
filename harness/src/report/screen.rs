//! Where text goes: a terminal, whose last line shows what is going on just now, or anything else, which gets
//! plain lines and no control characters, one now and then of what takes long.

use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};

/// Back to the line's start, and erase it.
const ERASE: &str = "\r\u{1b}[K";

/// How many characters the transient line has at most: a line that a narrow terminal breaks cannot be erased.
const NARROW: usize = 76;

/// How long nothing is written to anything but a terminal until what is going on is told there.
const SILENCE: Duration = Duration::from_secs(30);

/// How what is going on is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    /// In a last line that is rewritten.
    Live,
    /// In a line, where nothing was written for this long.
    After(Duration),
    /// Not at all.
    Nothing,
}

impl Shows {
    /// As it is shown to anything but a terminal.
    pub(super) const PLAIN: Shows = Shows::After(SILENCE);
}

/// An output with at most one transient line at its end.
pub(super) struct Screen<W: Write> {
    output: W,
    shows: Shows,
    gone: bool,
    shown: bool,
    /// When something was written for the last time.
    written: Instant,
    /// How much of all is done, in words.
    done: String,
    tasks: Vec<Task>,
}

/// Something that is going on.
struct Task {
    name: String,
    line: String,
    /// Since when it has been at what the line says.
    since: Instant,
}

impl<W: Write> Screen<W> {
    /// An output to which nothing is written yet.
    pub(super) fn new(output: W, shows: Shows) -> Self {
        let (written, done) = (Instant::now(), String::new());
        Screen { output, shows, gone: false, shown: false, written, done, tasks: Vec::new() }
    }

    /// So much of all is done.
    pub(super) fn count(&mut self, done: String) {
        self.done = done;
    }

    /// Something begins, which is shown for as long as it goes on, where that is possible.
    pub(super) fn begin(&mut self, name: &str, line: String) -> io::Result<()> {
        let task = Task { name: name.to_owned(), line, since: Instant::now() };
        self.tasks.push(task);
        self.redraw()
    }

    /// It goes on to something else.
    pub(super) fn go_on(&mut self, name: &str, line: String) -> io::Result<()> {
        if let Some(task) = self.tasks.iter_mut().find(|task| task.name == name) {
            (task.line, task.since) = (line, Instant::now());
        }
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

    /// Shows anew what has been waited for for the longest time.
    pub(super) fn redraw(&mut self) -> io::Result<()> {
        let slowest = self.tasks.iter().min_by_key(|task| task.since);
        let line = slowest.map(|task| progress(&self.done, &task.line, task.since.elapsed()));
        match (self.shows, line) {
            (Shows::Live, line) => {
                self.erase()?;
                self.shown = line.is_some();
                self.write(&line.unwrap_or_default())
            }
            (Shows::After(silence), Some(line)) if self.written.elapsed() >= silence => {
                self.write(&format!("{line}\n"))
            }
            (Shows::After(_) | Shows::Nothing, _) => Ok(()),
        }
    }

    fn erase(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.shown) { self.write(ERASE) } else { Ok(()) }
    }

    /// A reader who has read enough, as in `brinell | head`, is no error.
    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.gone {
            return Ok(());
        }
        self.written = Instant::now();
        match self.output.write_all(text.as_bytes()).and_then(|()| self.output.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(())
            }
            result => result,
        }
    }
}

/// How much is done, and what is waited for, with its time from the first second on.
fn progress(done: &str, line: &str, elapsed: Duration) -> String {
    let line =
        if done.is_empty() { line.to_owned() } else { format!("  {done}; {}", line.trim_start()) };
    let line = match line.chars().count() > NARROW - 8 {
        true => line.chars().take(NARROW - 10).chain(" …".chars()).collect(),
        false => line,
    };
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
        let mut screen = Screen::new(shared.clone(), Shows::Live);
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
        let mut screen = Screen::new(shared.clone(), Shows::Live);
        screen.begin("cluster", "creating …".to_owned()).unwrap();
        drop(screen);
        assert!(shared.text().ends_with(ERASE));
    }

    #[test]
    fn no_control_characters_without_a_terminal() {
        let shared = Shared::default();
        let mut screen = Screen::new(shared.clone(), Shows::PLAIN);
        screen.begin("cluster", "creating …".to_owned()).unwrap();
        screen.print("a line\n").unwrap();
        screen.redraw().unwrap();
        assert_eq!(shared.text(), "a line\n");
    }

    #[test]
    fn without_a_terminal_what_takes_long_is_told_in_lines() {
        let told = |shows| {
            let shared = Shared::default();
            let mut screen = Screen::new(shared.clone(), shows);
            screen.redraw().unwrap();
            screen.begin("one", "  one: a shell …".to_owned()).unwrap();
            screen.count("1 of 2 attempts".to_owned());
            screen.go_on("one", "  one: another …".to_owned()).unwrap();
            screen.end("one");
            screen.redraw().unwrap();
            shared.text()
        };
        let at_once = told(Shows::After(Duration::ZERO));
        assert_eq!(at_once, "  one: a shell …\n  1 of 2 attempts; one: another …\n");
        assert_eq!(told(Shows::Nothing), "");
    }

    #[test]
    fn what_has_been_waited_for_for_the_longest_time_is_shown() {
        let shared = Shared::default();
        let mut screen = Screen::new(shared.clone(), Shows::Live);
        screen.begin("one", "one".to_owned()).unwrap();
        screen.begin("two", "two".to_owned()).unwrap();
        screen.go_on("one", "one again".to_owned()).unwrap();
        screen.end("two");
        screen.redraw().unwrap();
        let expected = format!("one{ERASE}one{ERASE}two{ERASE}one again");
        assert_eq!(shared.text(), expected);
    }

    #[test]
    fn time_is_shown_from_the_first_second_on() {
        assert_eq!(progress("", "creating …", Duration::from_millis(900)), "creating …");
        assert_eq!(progress("", "creating …", Duration::from_millis(12_900)), "creating … 12 s");
        let long = progress(&"x".repeat(200), "y", Duration::from_secs(9999));
        assert!(long.chars().count() <= NARROW && long.ends_with("x … 9999 s"), "{long}");
    }

    #[test]
    fn a_reader_who_goes_away_is_no_error() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut screen = Screen::new(writer, Shows::Nothing);
        screen.print("a line\n").unwrap();
        screen.print("another\n").unwrap();
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = Screen::new(full, Shows::Nothing).print("a line\n").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }
}
