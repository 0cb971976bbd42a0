use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::time::timeout;

use super::*;
use crate::audit::source::Losses;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How rotated files are named.
#[derive(Debug, Clone, Copy)]
enum Names {
    /// By a date, as lumberjack does.
    Dated,
    /// By a number, which goes up with every rotation, as logrotate does.
    Numbered,
}

/// An API server that writes its log, and what rotates it.
struct Writer {
    folder: TempDir,
    names: Names,
    log: File,
    written: Vec<String>,
    rotations: usize,
    /// A file that is being compressed.
    packing: Option<PathBuf>,
}

impl Writer {
    fn new(names: Names) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let log = append(&folder.path().join("audit.log"));
        Writer { folder, names, log, written: Vec::new(), rotations: 0, packing: None }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.log")
    }

    fn write(&mut self, count: usize) {
        for _ in 0..count {
            let line = format!("{{\"auditID\":\"k7f3-{}\"}}", self.written.len());
            self.log.write_all(format!("{line}\n").as_bytes()).expect("written");
            self.written.push(line);
        }
    }

    /// The name for what is rotated away now. Older files make room for it.
    fn next_name(&mut self) -> PathBuf {
        self.rotations += 1;
        if let Names::Dated = self.names {
            let date = format!("audit-2026-11-26T15-04-05.{:03}.log", self.rotations);
            return self.folder.path().join(date);
        }
        // What is being compressed keeps its name until that is done.
        self.finish_packing();
        for older in (1..self.rotations).rev() {
            for end in ["", ".gz"] {
                // There may be none of this number any more, or a compressed one.
                let _ = fs::rename(self.numbered(older, end), self.numbered(older + 1, end));
            }
        }
        self.numbered(1, "")
    }

    fn numbered(&self, number: usize, end: &str) -> PathBuf {
        self.folder.path().join(format!("audit.log.{number}{end}"))
    }

    fn rename(&mut self, reopen: bool) {
        let name = self.next_name();
        fs::rename(self.path(), name).expect("renamed");
        let log = append(&self.path());
        if reopen {
            self.log = log;
        }
    }

    fn reopen(&mut self) {
        self.log = append(&self.path());
    }

    fn copy(&mut self, look: impl FnOnce()) {
        let name = self.next_name();
        let bytes = fs::read(self.path()).expect("readable");
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let mut copy = append(&name);
        copy.write_all(first).expect("written");
        look();
        copy.write_all(second).expect("written");
        let log = OpenOptions::new().write(true).open(self.path()).expect("open");
        log.set_len(0).expect("truncated");
    }

    /// The files that can be compressed.
    fn plain(&self) -> Vec<PathBuf> {
        let all = fs::read_dir(self.folder.path())
            .expect("a folder")
            .map(|it| it.expect("a file").path());
        let mut plain: Vec<_> = all
            .filter(|it| *it != self.path() && it.extension().is_none_or(|end| end != "gz"))
            .collect();
        plain.sort();
        plain
    }

    fn start_packing(&mut self, which: usize) {
        self.finish_packing();
        let plain = self.plain();
        let Some(path) = plain.get(which % plain.len().max(1)) else { return };
        let packed = pack(&fs::read(path).expect("readable"));
        fs::write(gz(path), &packed[..packed.len() * 2 / 3]).expect("written");
        self.packing = Some(path.clone());
    }

    fn finish_packing(&mut self) {
        let Some(path) = self.packing.take() else { return };
        fs::write(gz(&path), pack(&fs::read(&path).expect("readable"))).expect("written");
        fs::remove_file(path).expect("removed");
    }
}

fn gz(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.gz", path.display()))
}

fn append(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).expect("open")
}

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).expect("packed");
    packer.finish().expect("packed")
}

/// Something that happens to a log.
#[derive(Debug, Clone, Copy)]
enum Step {
    Write(usize),
    /// A rename, after which the writer goes on at once with the new file, or later.
    Rename(bool),
    Reopen,
    /// A copy, with a look when it is half done where that is true, and a truncation.
    Copy(bool),
    Pack(usize),
    Packed,
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1_usize..60).prop_map(Step::Write),
        2 => any::<bool>().prop_map(Step::Rename),
        1 => Just(Step::Reopen),
        2 => any::<bool>().prop_map(Step::Copy),
        1 => (0_usize..4).prop_map(Step::Pack),
        1 => Just(Step::Packed),
        3 => Just(Step::Look),
    ]
}

/// Everything that is there to be read now.
fn drain(follower: &mut Follower, read: &mut Vec<u8>) {
    loop {
        let bytes = follower.look().expect("readable");
        if bytes.is_empty() {
            return;
        }
        read.extend(bytes);
    }
}

fn play(names: Names, before: usize, steps: &[Step]) -> (Vec<String>, Vec<String>) {
    let mut writer = Writer::new(names);
    writer.write(before);
    let mut follower = Follower::open(&writer.path(), Losses::default()).expect("a log");
    let mut read = Vec::new();
    // A writer that has not reopened the log writes into a file that must not be copied meanwhile.
    let mut is_open = true;
    for step in steps {
        match *step {
            Step::Write(count) => writer.write(count),
            Step::Rename(reopen) if is_open => {
                writer.rename(reopen);
                is_open = reopen;
            }
            Step::Copy(look) if is_open => writer.copy(|| {
                if look {
                    drain(&mut follower, &mut read);
                }
            }),
            Step::Reopen => {
                writer.reopen();
                is_open = true;
            }
            Step::Pack(which) if is_open => writer.start_packing(which),
            Step::Packed => writer.finish_packing(),
            Step::Look => drain(&mut follower, &mut read),
            Step::Rename(_) | Step::Copy(_) | Step::Pack(_) => {}
        }
    }
    writer.finish_packing();
    drain(&mut follower, &mut read);
    let read = String::from_utf8(read).expect("text");
    let lines = read.lines().map(str::to_owned).collect();
    (lines, writer.written.split_off(before))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn every_line_comes_once_and_in_order_however_the_log_is_rotated(
        names in prop_oneof![Just(Names::Dated), Just(Names::Numbered)],
        before in 0_usize..3,
        steps in proptest::collection::vec(step(), 0..40),
    ) {
        let (read, written) = play(names, before, &steps);
        prop_assert_eq!(read, written);
    }
}

/// The next lines of a log.
async fn lines(stream: Stream, count: usize) -> Vec<String> {
    let mut lines = BufReader::new(stream).lines();
    let mut read = Vec::new();
    while read.len() < count {
        let line = timeout(PATIENCE, lines.next_line()).await.expect("in time");
        read.push(line.expect("readable").expect("a line"));
    }
    read
}

/// A writer and its rotations go on as fast as they can while the log is read.
async fn rotated_at_full_speed(rotate: impl Fn(&mut Writer, usize) + Send + 'static) {
    const LINES: usize = 100;
    const ROUNDS: usize = 60;
    let mut writer = Writer::new(Names::Dated);
    writer.write(5);
    let stream = open(&writer.path()).await.expect("a log");
    let writing = spawn_blocking(move || {
        for round in 0..ROUNDS {
            writer.write(LINES);
            rotate(&mut writer, round);
        }
        writer.write(1);
        writer
    });
    let read = lines(stream, LINES * ROUNDS + 1).await;
    assert_eq!(read, writing.await.expect("written").written[5..]);
}

#[tokio::test]
async fn renames_at_full_speed_lose_nothing() {
    rotated_at_full_speed(|writer, _| writer.rename(true)).await;
}

#[tokio::test]
async fn copies_at_full_speed_lose_nothing() {
    rotated_at_full_speed(|writer, _| writer.copy(|| {})).await;
}

#[tokio::test]
async fn what_is_compressed_at_once_is_not_lost() {
    rotated_at_full_speed(|writer, round| {
        if round % 2 == 0 {
            writer.rename(true);
        } else {
            writer.copy(|| {});
        }
        writer.start_packing(0);
        writer.finish_packing();
    })
    .await;
}

#[tokio::test]
async fn the_past_is_left_out_and_what_comes_is_read() {
    let mut writer = Writer::new(Names::Numbered);
    writer.write(3);
    writer.rename(true);
    writer.write(2);
    let stream = open(&writer.path()).await.expect("a log");
    writer.write(2);
    assert_eq!(lines(stream, 2).await, writer.written[5..]);
}

#[tokio::test]
async fn a_copy_that_was_truncated_is_noted_and_a_rename_is_not() {
    let mut writer = Writer::new(Names::Numbered);
    let (losses, mut read) = (Losses::default(), Vec::new());
    let mut follower = Follower::open(&writer.path(), losses.clone()).expect("a log");
    writer.write(2);
    drain(&mut follower, &mut read);
    writer.rename(true);
    writer.write(2);
    drain(&mut follower, &mut read);
    assert_eq!(losses.first(), None);
    writer.copy(|| {});
    writer.write(2);
    drain(&mut follower, &mut read);
    let why = losses.first().expect("noted");
    assert!(
        why.ends_with("audit.log.1 and truncated: what was written between the two is lost"),
        "{why}"
    );
    assert_eq!(String::from_utf8(read).expect("text").lines().count(), 6);
}

#[tokio::test]
async fn a_log_that_was_emptied_without_a_copy_cannot_be_read_on() {
    let mut writer = Writer::new(Names::Dated);
    writer.write(3);
    let mut stream = open(&writer.path()).await.expect("a log");
    writer.log.set_len(0).expect("truncated");
    writer.write(1);
    let error = timeout(PATIENCE, stream.read(&mut [0])).await.expect("in time").expect_err("gone");
    let expected = format!(
        "{} was truncated, and no file beside it holds what stood there",
        writer.path().display()
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_line_that_its_writer_never_finished_does_not_spoil_the_next() {
    let mut writer = Writer::new(Names::Dated);
    let stream = open(&writer.path()).await.expect("a log");
    writer.write(1);
    writer.log.write_all(b"{\"audit").expect("written");
    writer.rename(true);
    writer.write(1);
    let expected = [writer.written[0].as_str(), "{\"audit", writer.written[1].as_str()];
    assert_eq!(lines(stream, 3).await, expected);
}

#[tokio::test]
async fn what_is_no_log_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = async |path: &Path| open(path).await.err().expect("no log").to_string();
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .expect("a pipe");
    let hint = "`audit.file` is the path of the API server's `--audit-log-path` on this machine";
    for (path, words) in [
        (folder.path(), "is a folder and no file: nothing is read from it"),
        (&pipe, "is a pipe and no file: nothing is read from it"),
        (&folder.path().join("none"), "cannot be read: No such file or directory (os error 2)"),
    ] {
        assert_eq!(told(path).await, format!("the audit log {} {words}; {hint}", path.display()));
    }
}
