//! The files beside a log that were rotated away from it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::read::MultiGzDecoder;

/// As much of a file's beginning as tells it from every other: an event has its id in its first 200 bytes.
pub(super) const HEAD: usize = 1024;

/// What is younger may change without a change of its times, which the kernel keeps to some milliseconds.
const YOUNG: Duration = Duration::from_secs(2);

/// Which file it is, for as long as it is open or not removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Id(u64, u64);

impl Id {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Id(metadata.dev(), metadata.ino())
    }
}

/// How old a file is by its name, the oldest first: by the date in it, or the number, which is higher in older ones.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Age {
    Dated(String),
    Numbered(Reverse<u64>),
}

/// A file beside a log.
#[derive(Debug)]
pub(super) struct Rotated {
    pub(super) age: Age,
    /// Whether it is compressed.
    pub(super) is_packed: bool,
    pub(super) id: Id,
    /// How it begins, unpacked.
    pub(super) head: Vec<u8>,
    path: PathBuf,
    stamp: Stamp,
    is_young: bool,
}

/// By what a file is known to be the same, and unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Stamp {
    id: Id,
    length: u64,
    times: [i64; 4],
}

/// Files that need no second look.
#[derive(Default)]
pub(super) struct Settled(HashSet<Stamp>);

impl Settled {
    /// Notes that a file was read. One that may still change is looked at again.
    pub(super) fn insert(&mut self, rotated: &Rotated) {
        if !rotated.is_young {
            self.0.insert(rotated.stamp);
        }
    }
}

/// The files that were rotated away from a log and are not settled, the oldest first; of two that are as old, the one
/// that is not compressed.
pub(super) fn beside(log: &Path, settled: &Settled) -> io::Result<Vec<Rotated>> {
    loop {
        // A file that was renamed meanwhile would be missing.
        match list(log, settled) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::metadata(folder(log))?,
            listed => return listed,
        };
    }
}

fn folder(log: &Path) -> &Path {
    log.parent().unwrap_or(Path::new("/"))
}

fn list(log: &Path, settled: &Settled) -> io::Result<Vec<Rotated>> {
    let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (mut found, mut plain) = (Vec::new(), BTreeSet::new());
    for entry in fs::read_dir(folder(log))? {
        let path = entry?.path();
        let other = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some((age, is_packed)) = age(&name, &other) else { continue };
        if !is_packed {
            plain.insert(age.clone());
        }
        let metadata = fs::symlink_metadata(&path)?;
        let stamp = stamp(&metadata);
        if !metadata.is_file() || settled.0.contains(&stamp) {
            continue;
        }
        let head = head(&path, is_packed)?;
        let (id, is_young) = (stamp.id, is_young(&metadata));
        found.push(Rotated { age, is_packed, id, head, path, stamp, is_young });
    }
    // What is still being compressed begins like anything.
    found.retain(|rotated: &Rotated| !rotated.is_packed || !plain.contains(&rotated.age));
    found.sort_by(|a, b| (&a.age, a.is_packed).cmp(&(&b.age, b.is_packed)));
    Ok(found)
}

fn stamp(metadata: &Metadata) -> Stamp {
    let times = [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
    Stamp { id: Id::of(metadata), length: metadata.len(), times }
}

fn is_young(metadata: &Metadata) -> bool {
    let seconds = u64::try_from(metadata.ctime()).unwrap_or_default();
    let changed = UNIX_EPOCH + Duration::from_secs(seconds);
    // A time that is still to come is as young.
    SystemTime::now().duration_since(changed).map_or(true, |age| age < YOUNG)
}

/// How old a file is that was rotated away from `log`, and whether it is compressed; `None` if its name is another
/// file's. lumberjack, which the API server writes with, makes `audit-2026-11-26T15-04-05.000.log`, and logrotate
/// `audit.log.1`, `audit.log-20261126` and, with its `extension`, `audit-20261126.log`; each may have `.gz` behind it.
fn age(log: &str, other: &str) -> Option<(Age, bool)> {
    let (name, is_packed) = match other.strip_suffix(".gz") {
        Some(name) => (name, true),
        None => (other, false),
    };
    let middle = name.strip_prefix(log).or_else(|| {
        let dot = log.rfind('.')?;
        name.strip_prefix(&log[..dot])?.strip_suffix(&log[dot..])
    })?;
    if let Some(number) = middle.strip_prefix('.').and_then(|number| number.parse().ok()) {
        return Some((Age::Numbered(Reverse(number)), is_packed));
    }
    let in_date = |c: char| c.is_ascii_digit() || "-_.:TZ".contains(c);
    let is_date = middle.starts_with(['-', '.', '_'])
        && middle.chars().all(in_date)
        && middle.contains(|c: char| c.is_ascii_digit());
    is_date.then(|| (Age::Dated(middle.to_owned()), is_packed))
}

/// How a file begins. What is compressed and not whole yet begins with what there is of it.
fn head(path: &Path, is_packed: bool) -> io::Result<Vec<u8>> {
    let mut reader = unpacked(File::open(path)?, is_packed);
    let mut head = vec![0; HEAD];
    let mut filled = 0;
    while filled < HEAD {
        match reader.read(&mut head[filled..]) {
            Ok(0) | Err(_) => break,
            Ok(count) => filled += count,
        }
    }
    head.truncate(filled);
    Ok(head)
}

fn unpacked(file: File, is_packed: bool) -> Box<dyn Read + Send> {
    if is_packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) }
}

impl Rotated {
    /// The file itself; `None` if its name is another's by now.
    pub(super) fn open(&self) -> io::Result<Option<File>> {
        match File::open(&self.path) {
            Ok(file) => Ok((Id::of(&file.metadata()?) == self.id).then_some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What it holds behind its first bytes, which end with `before`; `None` if it is not whole yet, or holds something
    /// else there. Where it is shorter, nothing is left of it.
    pub(super) fn rest(
        &self,
        first: u64,
        before: &[u8],
    ) -> io::Result<Option<Box<dyn Read + Send>>> {
        let Some(mut file) = self.open()? else { return Ok(None) };
        if self.is_packed {
            if io::copy(&mut unpacked(file.try_clone()?, true), &mut io::sink()).is_err() {
                return Ok(None);
            }
            file.seek(SeekFrom::Start(0))?;
        }
        let mut reader = unpacked(file, self.is_packed);
        let known = first - before.len() as u64;
        io::copy(&mut reader.by_ref().take(known), &mut io::sink())?;
        let mut there = Vec::new();
        reader.by_ref().take(before.len() as u64).read_to_end(&mut there)?;
        Ok(before.starts_with(&there).then_some(reader))
    }

    /// Its path, for an error.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_rotated_away_is_known_by_its_name() {
        let dated = |middle: &str, is_packed| Some((Age::Dated(middle.to_owned()), is_packed));
        for (name, expected) in [
            ("audit-2026-11-26T15-04-05.000.log", dated("-2026-11-26T15-04-05.000", false)),
            ("audit-2026-11-26T15-04-05.000.log.gz", dated("-2026-11-26T15-04-05.000", true)),
            ("audit.log-20261126", dated("-20261126", false)),
            ("audit-20261126.log.gz", dated("-20261126", true)),
            ("audit.log.12", Some((Age::Numbered(Reverse(12)), false))),
            ("audit.log.12.gz", Some((Age::Numbered(Reverse(12)), true))),
            ("audit.log", None),
            ("audit.log.gz", None),
            ("audit-webhook.log", None),
            ("audit-webhook-20261126.log", None),
            ("audit.log.swp", None),
            ("audit-.log", None),
            ("other.log.1", None),
        ] {
            assert_eq!(age("audit.log", name), expected, "{name}");
        }
        assert_eq!(age("audit", "audit.1"), Some((Age::Numbered(Reverse(1)), false)));
    }

    #[test]
    fn the_oldest_comes_first() {
        let ages =
            ["audit.log.10", "audit.log.9", "audit.log.1"].map(|name| age("audit.log", name));
        assert!(ages.is_sorted());
        let ages = ["audit.log-20261126", "audit.log-20261127"].map(|name| age("audit.log", name));
        assert!(ages.is_sorted());
    }
}
