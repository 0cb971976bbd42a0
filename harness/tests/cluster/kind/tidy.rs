//! Runs that are ended from outside at each of their stages, which are seen from what they print.

use std::io::{BufRead, BufReader, Lines, Read};
use std::process::{Child, ChildStdout, Stdio};
use std::time::SystemTime;

use brinell::cluster::DEFAULT_VERSION;
use libtest_mimic::Trial;
use roxmltree::Document;
use rustix::process::{Pid, Signal, kill_process};

use super::engine::{left, wait_for_start};
use super::trial;
use crate::support::{Home, Ran};

/// How far a run has come.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// The engine is told to make the node's image, our own and a network.
    Creating,
    /// The node's container has just been started, and kind works in it.
    Starting,
    /// Objects are applied, and pods start.
    Staging,
    /// Attacks are sent.
    Attacking,
}

/// All tests of tidiness.
pub fn trials() -> Vec<Trial> {
    let name = |how: &str| format!("tidy/{DEFAULT_VERSION}/{how}");
    let mut trials = vec![trial(name("killed-beside-another"), spares_others)];
    for moment in [Moment::Creating, Moment::Starting, Moment::Staging, Moment::Attacking] {
        let name = |how| name(&format!("{how}-while-{moment:?}").to_lowercase());
        trials.push(trial(name("interrupted"), move || is_tidied(moment, Signal::INT, 130)));
        trials.push(trial(name("terminated"), move || is_tidied(moment, Signal::TERM, 143)));
        trials.push(trial(name("killed"), move || is_swept(moment)));
    }
    trials
}

/// A run that a signal ends tidies up, and says in the report that it was ended.
fn is_tidied(moment: Moment, signal: Signal, code: i32) {
    let home = Home::new();
    let mut running = Running::start(&home);
    running.wait_until(moment);
    running.send(signal);
    let ran = running.end();
    assert_eq!(ran.code, Some(code), "{ran:?}");
    assert!(ran.stdout.contains("Cluster deleted, nothing left behind."), "{ran:?}");
    assert_gone(&home, &running.run);
    let junit = std::fs::read_to_string(home.path("junit.xml")).expect("written");
    let xml = Document::parse(&junit).expect("XML");
    assert!(xml.descendants().any(|node| node.has_tag_name("error")), "{junit}");
}

/// What a killed run leaves is swept.
fn is_swept(moment: Moment) {
    let home = Home::new();
    let mut running = Running::start(&home);
    running.wait_until(moment);
    running.send(Signal::KILL);
    assert_eq!(running.end().code, None);
    let swept = sweep(&home);
    assert!(swept.stdout.contains(&format!("{}: removed, ", running.run)), "{swept:?}");
    assert_gone(&home, &running.run);
}

/// A run that is alive is left alone, and so is one of which it cannot be told here whether it is.
fn spares_others() {
    let (home, elsewhere) = (Home::new(), Home::new());
    let mut living = Running::start(&home);
    living.wait_until(Moment::Starting);
    let mut killed = Running::start(&home);
    killed.wait_until(Moment::Creating);
    killed.send(Signal::KILL);
    killed.end();
    let swept = sweep(&home).stdout;
    assert!(swept.contains(&format!("{}: is running\n", living.run)), "{swept}");
    assert!(swept.contains(&format!("{}: removed, ", killed.run)), "{swept}");
    assert_eq!(left(&killed.run), [""; 0]);
    let swept = sweep(&elsewhere).stdout;
    assert!(swept.contains(&format!("{}: was not started from here; ", living.run)), "{swept}");
    let ran = living.end();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_gone(&home, &living.run);
}

fn sweep(home: &Home) -> Ran {
    home.brinell().arg("sweep").output().expect("started").into()
}

/// Nothing of the run is left, and nothing of the user's was touched.
fn assert_gone(home: &Home, run: &str) {
    assert_eq!(left(run), [""; 0]);
    assert_eq!(home.runs(), [""; 0]);
    assert_eq!(home.touched(&["junit.xml"]), [""; 0]);
}

/// A run of one scenario that is going on. It is ended with a signal if a test fails.
struct Running {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    run: String,
    since: SystemTime,
}

impl Running {
    fn start(home: &Home) -> Running {
        let since = SystemTime::now();
        let mut brinell = home.brinell();
        brinell.args(["--cluster", "kind", "--scenario", "exec-interactive"]);
        brinell.args(["--junit", "junit.xml"]);
        brinell.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = brinell.spawn().expect("started");
        let lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let mut running = Running { process, lines, run: String::new(), since };
        let head = running.wait_for(", run ");
        let run = head.split(", run ").nth(1).and_then(|rest| rest.split(',').next());
        running.run = run.expect("an id").to_owned();
        running
    }

    fn wait_until(&mut self, moment: Moment) {
        match moment {
            Moment::Creating => drop(self.wait_for("creating …")),
            Moment::Starting => {
                wait_for_start(&format!("brinell-{}-control-plane", self.run), self.since);
            }
            Moment::Staging => drop(self.wait_for("applying controls")),
            Moment::Attacking => drop(self.wait_for("each seen acting")),
        }
    }

    /// Waits for a line that holds these words.
    fn wait_for(&mut self, words: &str) -> String {
        let mut lines = self.lines.by_ref().map(|line| line.expect("text in UTF-8"));
        lines.find(|line| line.contains(words)).expect("it says so before it ends")
    }

    fn send(&self, signal: Signal) {
        let process = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        kill_process(process.expect("a process"), signal).expect("sent");
    }

    /// Waits for its end. What it printed is what it has printed since the line that was waited for.
    fn end(&mut self) -> Ran {
        let lines = self.lines.by_ref().map(|line| line.expect("text in UTF-8") + "\n");
        let stdout = lines.collect();
        let mut stderr = String::new();
        let errors = self.process.stderr.as_mut().expect("piped");
        errors.read_to_string(&mut stderr).expect("text in UTF-8");
        Ran { code: self.process.wait().expect("waited").code(), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            self.send(Signal::TERM);
            self.end();
        }
    }
}
