//! Events that come late, in files that are begun anew, or by another way.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use brinell::model::{Log, Reason, Results, Verdict};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::{Open, attempts};
use crate::support::Ran;

/// How late events come.
const LATE: Duration = Duration::from_secs(3);

/// As late as a cloud's log may be.
const HALF_A_MINUTE: Duration = Duration::from_secs(30);

/// Where a delay is longer than events are late, all that is true is told.
pub(super) fn late_events_are_waited_for(open: &Open) {
    are_waited_for(open, "20s", LATE);
}

/// With a log as slow as a cloud's, too.
pub(super) fn events_half_a_minute_late_are_waited_for(open: &Open) {
    are_waited_for(open, "60s", HALF_A_MINUTE);
}

fn are_waited_for(open: &Open, delay: &str, by: Duration) {
    for source in ["file: FILE", "command: [cat, FILE]"] {
        let (told, ran) = late(open, source, delay, [by; 2]);
        assert_eq!(open.assert_true(&told), 0, "{source}: {ran:?}");
        assert!(are_read(&told), "{source}: {ran:?}");
    }
}

/// Where it is shorter, what has not come is not said to be missing.
pub(super) fn events_that_come_too_late_are_not_missing(open: &Open) {
    // At the beginning a file's log is seen to be of no use. It may be late only when attacks have begun.
    for (source, at_first) in
        [("command: [cat, FILE]", LATE), ("file: FILE", LATE), ("file: FILE", Duration::ZERO)]
    {
        let (told, ran) = late(open, source, "1s", [at_first, LATE]);
        open.assert_true(&told);
        // What was answered last has not come, however long the rest took.
        assert!(are_missing(&told) || !are_read(&told), "{source}: {ran:?}");
        let unlogged = attempts(&told).filter(|attempt| {
            let findings = &attempt.judgement.findings;
            findings.iter().any(|finding| finding.reason == Reason::Unlogged)
        });
        assert_eq!(unlogged.count(), 0, "{source}: {ran:?}");
        let unsure = attempts(&told).filter(|it| it.judgement.verdict == Verdict::Inconclusive);
        assert!(unsure.into_iter().all(|it| !it.judgement.causes.is_empty()), "{source}: {ran:?}");
    }
}

/// A run with a log of which each event comes so late at first, and so late when attacks have begun.
fn late(open: &Open, source: &str, delay: &str, late: [Duration; 2]) -> (Results, Ran) {
    let [at_first, then] = late;
    let relay = Relay::start(open, at_first);
    let source = source.replace("FILE", &relay.file.to_string_lossy());
    open.held.profile("late", "file: LOG", &format!("{source}, delay: {delay}"));
    open.run_by("late", "admin", || relay.be_late(then))
}

/// Whether of an attempt it is not known what the log holds.
fn are_missing(told: &Results) -> bool {
    attempts(told).any(|attempt| {
        attempt.evidence.as_ref().is_some_and(|it| matches!(it.log, Log::Unreadable(_)))
    })
}

/// Whether an event was read of an attempt.
fn are_read(told: &Results) -> bool {
    attempts(told).any(|attempt| {
        let evidence = attempt.evidence.as_ref();
        evidence.is_some_and(|it| matches!(&it.log, Log::Read { events, .. } if !events.is_empty()))
    })
}

/// Passes on what the API server writes into its log, after a while.
struct Relay {
    file: PathBuf,
    late_ms: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    passing: Option<JoinHandle<()>>,
}

impl Relay {
    fn start(open: &Open, late: Duration) -> Relay {
        let file = open.held.folder.path().join("late.log");
        let mut into = File::create(&file).expect("made");
        let late_ms = Arc::new(AtomicU64::new(millis(late)));
        let is_over = Arc::new(AtomicBool::new(false));
        let mut source = Source::of(open.held.log.clone());
        let (how_late, is_ending) = (Arc::clone(&late_ms), Arc::clone(&is_over));
        let passing = std::thread::spawn(move || {
            let mut kept = VecDeque::new();
            while !is_ending.load(Ordering::Relaxed) {
                kept.extend(source.read().map(|piece| (Instant::now(), piece)));
                let late = Duration::from_millis(how_late.load(Ordering::Relaxed));
                while kept.front().is_some_and(|(written, _)| written.elapsed() >= late) {
                    let piece: Option<(Instant, Vec<u8>)> = kept.pop_front();
                    into.write_all(&piece.expect("it is there").1).expect("written");
                }
                // No event tells that another process has written.
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Relay { file, late_ms, is_over, passing: Some(passing) }
    }

    fn be_late(&self, late: Duration) {
        self.late_ms.store(millis(late), Ordering::Relaxed);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let passed = self.passing.take().map(JoinHandle::join);
        assert!(
            passed.is_none_or(|it| it.is_ok()) || std::thread::panicking(),
            "nothing is passed on"
        );
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("a few seconds")
}

/// The log from now on, in whatever file it goes on.
struct Source {
    path: PathBuf,
    file: File,
}

impl Source {
    fn of(path: PathBuf) -> Source {
        let mut file = File::open(&path).expect("there");
        file.seek(SeekFrom::End(0)).expect("sought");
        Source { path, file }
    }

    /// What was written since the last time.
    fn read(&mut self) -> Option<Vec<u8>> {
        let mut piece = Vec::new();
        self.file.read_to_end(&mut piece).expect("read");
        let now = fs::metadata(&self.path).map(|it| it.ino()).ok();
        if now.is_some_and(|now| now != self.file.metadata().expect("open").ino()) {
            self.file.read_to_end(&mut piece).expect("read");
            self.file = File::open(&self.path).expect("begun anew");
        }
        Some(piece).filter(|piece| !piece.is_empty())
    }
}

/// The API server itself renames its log when it is full and begins it anew, and it is full every second or so.
pub(super) fn a_log_that_is_rotated_loses_nothing(open: &Open) {
    let before = files(open);
    let (told, ran) = open.run_while(fill);
    let after = files(open);
    assert!(after.iter().any(|file| !before.contains(file)), "nothing was rotated: {after:?}");
    assert_eq!(open.assert_true(&told), 0, "{ran:?}");
}

/// Has the API server write a long event: what is asked for is in it, whether it is let in or not.
fn fill(open: &Open) {
    let pods = Api::<Pod>::namespaced(open.held.client.clone(), "default");
    let pod = json!({
        "metadata": {"name": "long", "annotations": {"long": "x".repeat(200_000)}},
        "spec": {"containers": [{"name": "c", "image": "brinell.invalid/none"}]},
    });
    let pod = serde_json::from_value(pod).expect("a pod");
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let _ = open.held.runtime.block_on(pods.create(&dry, &pod));
}

/// The log and what was rotated of it.
fn files(open: &Open) -> Vec<PathBuf> {
    let folder = open.held.log.parent().expect("a folder");
    let files = fs::read_dir(folder).expect("a folder");
    files.map(|file| file.expect("readable").path()).collect()
}

/// The API server's webhook backend posts its events to the run, which listens.
pub(super) fn posted_events_are_read(open: &Open) {
    open.held.profile("posted", "{file: LOG}", &open.server.posted());
    let (told, ran) = open.run_by("posted", "admin", || ());
    assert_eq!(open.assert_true(&told), 0, "{ran:?}");
    assert!(are_read(&told), "{ran:?}");
}
