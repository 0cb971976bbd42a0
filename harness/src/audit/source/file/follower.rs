//! Reading a log that grows and is rotated. Each line comes once, in the order in which it was written.
//!
//! A rotation makes generations: what the log was, one after the other. Each is known by how it begins, whatever its
//! name and whether it is compressed: a name is given on, and the number of a file too.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::rotated::{HEAD, Id, Rotated, Settled, beside};
use crate::audit::source::Losses;
use crate::input::{self, Unreadable};

/// How much is read at once.
const PIECE: usize = 256 * 1024;

/// How much of what was read last is looked at again: a file that was truncated and has grown meanwhile holds something
/// else there.
const TAIL: usize = 1024;

/// How long a file may take to be there that a rotation must have left, compressed or not.
const PATIENCE: Duration = Duration::from_secs(5);

/// A log that is followed.
pub(super) struct Follower {
    path: PathBuf,
    current: Generation,
    /// The rest of a generation that comes before `current`.
    rest: Option<Box<dyn Read + Send>>,
    /// How the generations begin that were read, or were there before.
    known: Vec<Vec<u8>>,
    settled: Settled,
    /// Whether the next bytes are another generation's.
    is_new: bool,
    /// Whether the last bytes ended a line.
    ended_line: bool,
    /// Since when a file is missing.
    missing_since: Option<Instant>,
    losses: Losses,
}

/// A file that is read while it grows.
struct Generation {
    file: File,
    id: Id,
    offset: u64,
    /// How it begins, as far as it was read, or was there before.
    head: Vec<u8>,
    /// What was read last.
    tail: VecDeque<u8>,
}

/// What comes next of a file.
enum Next {
    Bytes(Vec<u8>),
    End,
    /// What was read before does not stand there any more.
    Truncated,
}

/// What is to be done next.
enum Step {
    HandOn(Vec<u8>),
    LookAgain,
    Wait,
}

impl Generation {
    fn new(file: File, id: Id) -> Self {
        Generation { file, id, offset: 0, head: Vec::new(), tail: VecDeque::new() }
    }

    /// A file from its end on.
    fn at_end(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let mut generation = Generation::new(file, Id::of(&metadata));
        let before = metadata.len().saturating_sub(TAIL as u64);
        let tail = generation.bytes(before, (metadata.len() - before) as usize)?;
        generation.offset = before + tail.len() as u64;
        generation.head = generation.beginning()?;
        // What has come since is not read yet.
        generation.head.truncate(usize::try_from(generation.offset).unwrap_or(HEAD));
        generation.tail = tail.into();
        Ok(generation)
    }

    /// Reads up to so many bytes from a place.
    fn bytes(&self, from: u64, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match self.file.read_at(&mut bytes[filled..], from + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// How the file begins now.
    fn beginning(&self) -> io::Result<Vec<u8>> {
        self.bytes(0, HEAD)
    }

    /// Reads on, together with what was read last: both are looked at in one moment.
    fn next(&mut self) -> io::Result<Next> {
        let known = self.tail.len();
        let mut bytes = self.bytes(self.offset - known as u64, known + PIECE)?;
        if bytes.len() < known || !self.tail.iter().eq(&bytes[..known]) {
            return Ok(Next::Truncated);
        }
        bytes.drain(..known);
        Ok(self.go_past(bytes))
    }

    /// Takes bytes for read that stand behind those that were.
    fn go_past(&mut self, bytes: Vec<u8>) -> Next {
        if bytes.is_empty() {
            return Next::End;
        }
        self.offset += bytes.len() as u64;
        let missing = HEAD - self.head.len();
        self.head.extend(&bytes[..missing.min(bytes.len())]);
        self.tail.extend(&bytes[bytes.len().saturating_sub(TAIL)..]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
        Next::Bytes(bytes)
    }

    /// Forgets what stood in it before it was truncated.
    fn restart(&mut self) {
        self.offset = 0;
        self.head.clear();
        self.tail.clear();
    }
}

/// Whether two files begin alike, as far as both are there.
fn alike(one: &[u8], other: &[u8]) -> bool {
    let both = one.len().min(other.len());
    both > 0 && one[..both] == other[..both]
}

impl Follower {
    /// A log from its end on.
    ///
    /// # Errors
    /// When it is not there, cannot be read or is no file.
    pub(super) fn open(path: &Path, losses: Losses) -> Result<Self, Unreadable> {
        // This is checked before it is opened: a pipe would take the lines away from its reader.
        input::regular(&fs::metadata(path)?)?;
        // The rotated files are beside the file itself, not beside a link to it.
        let path = fs::canonicalize(path)?;
        let current = Generation::at_end(File::open(&path)?)?;
        let ended_line = current.tail.back().is_none_or(|last| *last == b'\n');
        let mut follower = Follower {
            path,
            current,
            rest: None,
            known: Vec::new(),
            settled: Settled::default(),
            is_new: false,
            ended_line,
            missing_since: None,
            losses,
        };
        for rotated in beside(&follower.path, &follower.settled)? {
            follower.know(&rotated.head);
        }
        Ok(follower)
    }

    /// The bytes that have come since the last look; none if there are none yet.
    ///
    /// # Errors
    /// When the log cannot be read, or a part of it is gone.
    pub(super) fn look(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(bytes) = self.read_rest()? {
                return Ok(self.hand_on(bytes));
            }
            let next = match self.current.offset {
                0 => {
                    let first = self.current.beginning()?;
                    if self.take_older(&first)? {
                        continue;
                    }
                    self.current.go_past(first)
                }
                _ => self.current.next()?,
            };
            match self.go_on(next)? {
                Step::HandOn(bytes) => return Ok(self.hand_on(bytes)),
                Step::LookAgain => self.missing_since = None,
                Step::Wait => return Ok(Vec::new()),
            }
        }
    }

    /// What is to be done after what came next of the current generation.
    fn go_on(&mut self, next: Next) -> io::Result<Step> {
        let is_on = match next {
            Next::Bytes(bytes) => return Ok(Step::HandOn(bytes)),
            Next::Truncated => self.find_copy()?,
            Next::End => match self.next_generation()? {
                None => false,
                Some(next) if self.current.offset == 0 => {
                    // What has come to it since it was seen empty comes after all that is older.
                    !self.current.beginning()?.is_empty() || self.go_on_with(next)?
                }
                // The writer may have gone on with the old file until it opened the new one.
                Some(next) => match self.current.next()? {
                    Next::Bytes(bytes) => return Ok(Step::HandOn(bytes)),
                    Next::Truncated => true,
                    Next::End => self.go_on_with(next)?,
                },
            },
        };
        Ok(if is_on { Step::LookAgain } else { Step::Wait })
    }

    /// Bytes as they are handed on: where a generation ended within a line, that line ends there.
    fn hand_on(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        if std::mem::take(&mut self.is_new) && !self.ended_line {
            bytes.insert(0, b'\n');
        }
        self.ended_line = bytes.ends_with(b"\n");
        self.missing_since = None;
        bytes
    }

    fn read_rest(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(rest) = &mut self.rest else { return Ok(None) };
        let mut bytes = Vec::new();
        rest.take(PIECE as u64).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            self.rest = None;
            self.is_new = true;
            return Ok(None);
        }
        Ok(Some(bytes))
    }

    /// Keeps how a generation begins.
    fn know(&mut self, head: &[u8]) {
        self.known.push(head.to_vec());
    }

    /// Whether a generation was read that begins like this. The beginning of one line may be that of any other.
    fn is_known(&self, head: &[u8]) -> bool {
        let tells = |known: &[u8]| known.len() == HEAD || known.contains(&b'\n');
        self.known.iter().any(|known| known == head || tells(known) && alike(known, head))
    }

    /// The places of the files whose generations were not read, the oldest first. What begins like the current one is
    /// that or a copy of it.
    fn unread(&mut self, all: &[Rotated], current: [&[u8]; 2]) -> Vec<usize> {
        let mut unread = Vec::new();
        for (place, rotated) in all.iter().enumerate() {
            let is_current = rotated.id == self.current.id
                || current.iter().any(|head| alike(&rotated.head, head));
            if rotated.head.is_empty() || is_current {
                continue;
            }
            if self.is_known(&rotated.head) {
                self.settled.insert(rotated);
            } else {
                unread.push(place);
            }
        }
        unread
    }

    /// Which file is the log, and what is beside it, in a moment in which the log was not renamed.
    fn list(&self) -> io::Result<(Option<Id>, Vec<Rotated>)> {
        loop {
            let before = self.live()?;
            let all = beside(&self.path, &self.settled)?;
            if self.live()? == before {
                return Ok((before, all));
            }
        }
    }

    fn live(&self) -> io::Result<Option<Id>> {
        match fs::metadata(&self.path) {
            Ok(metadata) => Ok(Some(Id::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes a generation that came and went before the first bytes of the current file were written: a log that was
    /// copied and truncated before anything of it was read looks like one that is new. The list is made after these
    /// bytes were read, so that it has every earlier generation.
    fn take_older(&mut self, first: &[u8]) -> io::Result<bool> {
        let (live, all) = self.list()?;
        // What the log holds now may be in the list as a copy that is not whole yet.
        let now = self.current.beginning()?;
        let is_current =
            |rotated: &Rotated| rotated.id == self.current.id || alike(&rotated.head, first);
        let is_live = live == Some(self.current.id);
        let place = all.iter().position(is_current).or(is_live.then_some(all.len()));
        let unread = self.unread(&all, [first, &now]);
        match (unread.first(), place) {
            (Some(oldest), Some(place)) if *oldest < place => self.take(&all[*oldest]),
            _ => Ok(false),
        }
    }

    /// Reads a whole file before the current one.
    fn take(&mut self, rotated: &Rotated) -> io::Result<bool> {
        let Some(rest) = rotated.rest(0, &[])? else {
            return self.miss(rotated.path(), "is not whole");
        };
        self.know(&rotated.head);
        self.rest = Some(rest);
        self.is_new = true;
        Ok(true)
    }

    /// Finds the copy of the current generation after it was truncated, and reads what is left of it.
    fn find_copy(&mut self) -> io::Result<bool> {
        let tail: Vec<u8> = self.current.tail.iter().copied().collect();
        for rotated in beside(&self.path, &Settled::default())? {
            if !alike(&rotated.head, &self.current.head) {
                continue;
            }
            let Some(rest) = rotated.rest(self.current.offset, &tail)? else { continue };
            self.know(&rotated.head);
            self.rest = Some(rest);
            self.current.restart();
            self.losses.tell(format!(
                "{} was copied to {} and truncated: what was written between the two is lost",
                self.path.display(),
                rotated.path().display()
            ));
            return Ok(true);
        }
        self.miss(&self.path.clone(), "was truncated, and no file beside it holds what stood there")
    }

    /// The generation after the current one, which nothing is written to any more; `None` while there is none.
    fn next_generation(&mut self) -> io::Result<Option<Successor>> {
        if self.live()? == Some(self.current.id) {
            return Ok(None);
        }
        let (live, all) = self.list()?;
        let newest = match File::open(&self.path) {
            Ok(file) => {
                let id = Id::of(&file.metadata()?);
                Some(Generation::new(file, id))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if newest.as_ref().map(|newest| newest.id) != live {
            // It was renamed this moment.
            return Ok(None);
        }
        // It is read after the list was made: what begins like it is a copy that may not be whole yet.
        let beginning = newest.as_ref().map(Generation::beginning).transpose()?.unwrap_or_default();
        let head = self.current.head.clone();
        let next = self.unread(&all, [&head, &beginning]).into_iter().next();
        Ok(match (next, newest) {
            (Some(place), _) => all.into_iter().nth(place).map(Successor::Rotated),
            (None, Some(newest)) if newest.id != self.current.id && !beginning.is_empty() => {
                Some(Successor::Live(newest))
            }
            _ => None,
        })
    }

    /// Leaves the current generation, of which everything was read.
    fn go_on_with(&mut self, next: Successor) -> io::Result<bool> {
        let next = match next {
            Successor::Live(live) => live,
            Successor::Rotated(rotated) if rotated.is_packed => return self.take(&rotated),
            Successor::Rotated(rotated) => match rotated.open()? {
                Some(file) => Generation::new(file, rotated.id),
                None => return Ok(true),
            },
        };
        let head = std::mem::take(&mut self.current.head);
        self.know(&head);
        self.current = next;
        self.is_new = true;
        Ok(true)
    }

    /// Waits for a file, for a while.
    fn miss(&mut self, path: &Path, why: &str) -> io::Result<bool> {
        let since = self.missing_since.get_or_insert_with(Instant::now);
        if since.elapsed() < PATIENCE {
            return Ok(false);
        }
        Err(io::Error::other(format!("{} {why}", path.display())))
    }
}

/// What comes after a generation.
enum Successor {
    /// A file that was rotated away too.
    Rotated(Rotated),
    /// The log as it is now.
    Live(Generation),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Between the look at an empty log and the search for what comes after it a line was written to it, and it was
    /// renamed and compressed. Compressed, it has another number, and begins like nothing that was read.
    #[test]
    fn what_came_to_a_log_that_was_seen_empty_comes_after_what_is_older() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = |name: &str| folder.path().join(name);
        let log = place("audit.log");
        fs::write(&log, "").expect("written");
        let mut follower = Follower::open(&log, Losses::default()).expect("a log");

        fs::write(place("audit-2026-11-26T15-04-05.001.log"), "older\n").expect("written");
        fs::write(&log, "newer\n").expect("written");
        fs::rename(&log, place("aside")).expect("renamed");
        fs::copy(place("aside"), place("audit-2026-11-26T15-04-05.002.log")).expect("copied");
        fs::write(&log, "newest\n").expect("written");

        assert!(matches!(follower.go_on(Next::End).expect("readable"), Step::LookAgain));
        let mut read = Vec::new();
        while read.len() < "older\nnewer\nnewest\n".len() {
            read.extend(follower.look().expect("readable"));
        }
        assert_eq!(String::from_utf8(read).expect("text"), "older\nnewer\nnewest\n");
    }
}
