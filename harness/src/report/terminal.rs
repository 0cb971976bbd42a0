//! The run as a person reads it while it goes.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Stdout, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};

use super::paint::Paint;
use super::screen::{Screen, Shows};
use super::text::{ended, wrap_lines};
use super::{ReportError, block, proof};
use crate::lock::lock;
use crate::model::{
    ABORTED, NOT_ACTING, Outcome, Results, RunEvent, ScenarioResult, Summary, Unit, Verdict,
    WAIVED, WaiverState, WeakeningResult,
};
use crate::text::{count, first_of, visible};

/// How often the time of what is going on is shown anew.
const TICK: Duration = Duration::from_millis(500);

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What did not pass, and the summary.
    Quiet,
    /// Every step, and the summary.
    Steps,
    /// Every step and every attempt.
    Normal,
    /// Each attempt's request, Audit-ID and answer too.
    Verbose,
}

/// What the output can show.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Colours.
    pub(super) colour: bool,
    /// A last line that is rewritten.
    pub(super) live: bool,
}

/// Draws a run.
pub struct Terminal<W: Write + Send + 'static = Stdout> {
    screen: Arc<Mutex<Screen<W>>>,
    _ticker: Option<Ticker>,
    look: Look,
    detail: Detail,
    printed: bool,
    work: Work,
}

/// How much there is to do, and how much of it is done.
#[derive(Default)]
struct Work {
    /// All of it, and what it is; `None` while that is not known.
    all: Option<(usize, Unit)>,
    /// What is over.
    done: usize,
    /// What is over of scenarios that are not, by their ids.
    begun: BTreeMap<String, usize>,
}

impl Work {
    /// `23 of 311 attempts`; empty while it is not known how many there are.
    fn words(&self) -> String {
        let Some((all, of)) = self.all else { return String::new() };
        format!("{} of {}", self.done + self.begun.values().sum::<usize>(), count(all, of.label()))
    }

    fn on(&mut self, event: &RunEvent) {
        match event {
            RunEvent::Planned { all, of } => self.all = Some((*all, *of)),
            RunEvent::ScenarioDoing { id, sent, .. } => {
                self.begun.insert(id.clone(), *sent);
            }
            RunEvent::ScenarioFinished(result) => {
                self.begun.remove(&result.id);
                self.done += result.attempts.len();
            }
            RunEvent::WeakeningFinished(_) => self.done += 1,
            _ => {}
        }
    }
}

impl Terminal {
    /// Shows it on standard output: in colours unless `NO_COLOR` or a variable like it forbids them, and with a last
    /// line that is rewritten if it is a terminal.
    pub fn standard(detail: Detail) -> Terminal {
        let output = io::stdout();
        let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        let look = Look {
            colour: AutoStream::choice(&output) != ColorChoice::Never,
            live: output.is_terminal() && !is_dumb,
        };
        Terminal::new(output, look, detail)
    }
}

impl<W: Write + Send + 'static> Terminal<W> {
    pub(super) fn new(output: W, look: Look, detail: Detail) -> Self {
        let look = Look { live: look.live && detail != Detail::Quiet, ..look };
        let shows = match (look.live, detail) {
            (true, _) => Shows::Live,
            (false, Detail::Quiet) => Shows::Nothing,
            (false, _) => Shows::PLAIN,
        };
        let screen = Arc::new(Mutex::new(Screen::new(output, shows)));
        Terminal {
            _ticker: (shows != Shows::Nothing).then(|| Ticker::start(Arc::clone(&screen))),
            screen,
            look,
            detail,
            printed: false,
            work: Work::default(),
        }
    }

    /// Shows what happened just now.
    pub(super) fn on(&mut self, event: &RunEvent) -> Result<(), ReportError> {
        self.show(event).map_err(ReportError::Print)
    }

    /// Shows what came of it all. `reports` names the files: `JUnit: junit.xml`.
    pub(super) fn finish(
        &mut self,
        results: &Results,
        reports: &[String],
    ) -> Result<(), ReportError> {
        self.summarise(results, reports).map_err(ReportError::Print)
    }

    fn show(&mut self, event: &RunEvent) -> io::Result<()> {
        let quiet = self.detail == Detail::Quiet;
        self.work.on(event);
        self.screen().count(self.work.words());
        match event {
            RunEvent::Started { run, cluster, kubernetes, .. } => {
                let header = format!("run {run}, Kubernetes {kubernetes} on {cluster}");
                if quiet { Ok(()) } else { self.print(&lines(&format!("{PRODUCT}, {header}"))) }
            }
            RunEvent::StepStarted { name, doing } if !quiet => self.begin_step(name, doing),
            RunEvent::StepFinished { name, detail, took } if !quiet => {
                self.screen().end(name);
                self.print(&block::step(name, detail, Some(*took)))
            }
            RunEvent::StepStarted { .. } | RunEvent::StepFinished { .. } => Ok(()),
            RunEvent::ControlUnmet { cause, .. } => self.alarm(&NOT_ACTING.to_uppercase(), cause),
            RunEvent::Aborted { error } => {
                self.screen().end_all();
                self.alarm(ABORTED, error)
            }
            RunEvent::ScenarioStarted { id } => {
                self.screen().begin(id, format!("  {} …", visible(id)))
            }
            RunEvent::ScenarioDoing { id, doing, .. } => {
                self.screen().go_on(id, format!("  {}: {} …", visible(id), visible(doing)))
            }
            RunEvent::ScenarioFinished(result) => self.end_scenario(result),
            RunEvent::WeakeningStarted { id } => {
                self.screen().begin(id, format!("  {} …", visible(id)))
            }
            RunEvent::WeakeningFinished(result) => self.end_weakening(result),
            RunEvent::Planned { .. }
            | RunEvent::Judged
            | RunEvent::Proven(_)
            | RunEvent::WaiversSettled(_)
            | RunEvent::Finished(_) => Ok(()),
        }
    }

    fn begin_step(&mut self, name: &str, doing: &str) -> io::Result<()> {
        let line = block::step(name, &format!("{doing} …"), None);
        if !self.look.live {
            self.print(&line)?;
        }
        self.screen().begin(name, line.lines().next().unwrap_or_default().to_owned())
    }

    /// `ABORTED  kind could not make the cluster: …`
    fn alarm(&mut self, word: &str, text: &str) -> io::Result<()> {
        let indent = word.len() + 2;
        let text = wrap_lines(text, block::WIDTH - indent, 40).join(&format!("\n{:indent$}", ""));
        let word = self.paint().verdict(Verdict::Failed, word);
        self.print_apart(&format!("{word}  {text}\n"))
    }

    fn end_scenario(&mut self, result: &ScenarioResult) -> io::Result<()> {
        self.screen().end(&result.id);
        match self.detail {
            Detail::Steps => return Ok(()),
            Detail::Quiet if !result.is_bad() => return Ok(()),
            Detail::Quiet | Detail::Normal | Detail::Verbose => {}
        }
        let verbose = self.detail == Detail::Verbose;
        self.print_apart(&block::scenario(result, verbose, self.paint()))
    }

    fn end_weakening(&mut self, result: &WeakeningResult) -> io::Result<()> {
        self.screen().end(&result.id());
        let is_bad = result.is_failure() || result.outcome == Outcome::Wrong;
        if self.detail == Detail::Quiet && !is_bad {
            return Ok(());
        }
        let verbose = self.detail == Detail::Verbose;
        self.print(&proof::weakening(result, verbose, self.paint()))
    }

    fn summarise(&mut self, results: &Results, reports: &[String]) -> io::Result<()> {
        self.screen().end_all();
        let Some(summary) = &results.summary else { return self.print("") };
        if let Some(proof) = results.proof.as_ref().filter(|_| self.detail != Detail::Quiet) {
            self.print_apart(&proof::matrix(proof))?;
        }
        let found = found(results, summary, &reports.join(", "));
        let waivers = waivers(results, self.paint());
        // Of steps alone there is no scenario to look at: what is different is told afterwards.
        let closer = if self.detail == Detail::Steps { String::new() } else { closer(results) };
        let end = [found.trim_end(), &end(results, summary), &closer].map(lines);
        let text = waivers + &end.concat();
        self.print_apart(&text)
    }

    /// Prints with an empty line before it, except at the very top.
    fn print_apart(&mut self, text: &str) -> io::Result<()> {
        let before = if self.printed { "\n" } else { "" };
        self.print(&format!("{before}{text}"))
    }

    fn print(&mut self, text: &str) -> io::Result<()> {
        self.printed = true;
        self.screen().print(text)
    }

    fn paint(&self) -> Paint {
        Paint { colour: self.look.colour }
    }

    fn screen(&self) -> MutexGuard<'_, Screen<W>> {
        lock(&self.screen)
    }
}

/// The name and version that stand at the top.
const PRODUCT: &str = concat!("brinell ", env!("CARGO_PKG_VERSION"));

/// What was found, and the files that hold all of it.
fn found(results: &Results, summary: &Summary, reports: &str) -> String {
    let Some(proof) = &results.proof else { return verdicts(results, summary, reports) };
    let unfinished = if results.aborted.is_some() { "The proof did not end: " } else { "" };
    format!("{unfinished}{}\n{reports}", proof::score(proof))
}

/// A run in a line, with what came of it and what is wrong with it as a whole in lines below.
pub fn one_line(results: &Results) -> String {
    let Results { run, kubernetes, profile, cluster, .. } = results;
    let head = match cluster.is_empty() {
        true => format!("run {run}"),
        false => format!("run {run}, Kubernetes {kubernetes} on {cluster}, profile {profile}"),
    };
    let summary = results.summary.as_ref();
    let found = summary.map(|it| verdicts(results, it, "").trim_end().to_owned());
    let unmet = results.unmet.iter().map(|it| format!("{NOT_ACTING}: {}", it.cause));
    let aborted = results.aborted.iter().map(|it| format!("{ABORTED}: {it}"));
    let left = results.left_behind().map(str::to_owned);
    let waivers = results.waivers.iter().filter(|it| it.state.is_bad()).map(block::settled);
    let below = found.into_iter().chain(unmet).chain(aborted).chain(left).chain(waivers);
    let below = below.flat_map(|text| wrap_lines(&text, block::WIDTH - 2, 40));
    lines(&head) + &below.map(|line| format!("  {line}\n")).collect::<String>()
}

/// `1 passed, 0 failed, 0 inconclusive, 0 skipped; 4 attempts, all observed. JUnit: junit.xml`
fn verdicts(results: &Results, summary: &Summary, reports: &str) -> String {
    let Summary { passed, failed, inconclusive, skipped, waived, unmet, attempts, .. } = summary;
    let made = count(*attempts, "attempt");
    let observed = match (attempts, results.unobserved()) {
        (0, _) => made,
        (_, 0) => format!("{made}, all observed"),
        (_, unobserved) => format!("{made}, {} observed", attempts.saturating_sub(unobserved)),
    };
    let reviews = match results.reviews() {
        0 => String::new(),
        reviews => format!(", of which {} attacked nobody", count(reviews, "review")),
    };
    let nothing =
        if passed + failed + inconclusive + waived == 0 { " Nothing was judged." } else { "" };
    let unmet = match unmet {
        0 => String::new(),
        unmet => format!(" {} {NOT_ACTING}.", count(*unmet, "control")),
    };
    let counted = [
        (passed, Verdict::Passed),
        (failed, Verdict::Failed),
        (inconclusive, Verdict::Inconclusive),
        (skipped, Verdict::Skipped),
    ];
    let counted = counted.map(|(count, verdict)| format!("{count} {}", verdict.label()));
    let waived = match waived {
        0 => String::new(),
        waived => format!(", {waived} {WAIVED}"),
    };
    format!("{}{waived}; {observed}{reviews}.{nothing}{unmet} {reports}", counted.join(", "))
}

/// The waivers that somebody must change, a line each, and those of which nothing is known in one line.
fn waivers(results: &Results, paint: Paint) -> String {
    let bad = results.waivers.iter().filter(|it| it.state.is_bad());
    let told = bad.map(|it| {
        let text = wrap_lines(&block::settled(it), block::WIDTH - 8, 40).join("\n        ");
        format!("{}  {text}\n", paint.verdict(Verdict::Failed, "WAIVER"))
    });
    let told: String = told.collect();
    let untouched = results.waivers.iter().filter(|it| it.state == WaiverState::Untouched);
    let names: Vec<&str> = untouched.map(|it| it.entry.waiver.scenario.as_str()).collect();
    if names.is_empty() {
        return told;
    }
    let names_told = first_of(&names, UNTOUCHED);
    let told_of = count(names.len(), "waiver");
    told + &lines(&format!(
        "{told_of} not looked at, because nothing came of it here: {names_told}"
    ))
}

/// How many scenarios are named whose waivers are untouched.
const UNTOUCHED: usize = 10;

/// `20.3 s, of which kind 15.0 s. Cluster deleted, nothing left behind.`
fn end(results: &Results, summary: &Summary) -> String {
    let took = block::seconds(summary.took);
    let cluster = results.kind();
    let by_cluster = block::seconds(summary.took_by_cluster);
    let share = match by_cluster.as_str() {
        "0.0 s" => String::new(),
        some => format!(", of which {cluster} {some}"),
    };
    format!("{took}{share}. {}", summary.tidy)
}

/// How many scenarios are named at the end.
const NAMED: usize = 12;

/// Which scenarios did not pass, and how to look at the first of them; empty where all did. How the run was started is
/// known to whoever did.
fn closer(results: &Results) -> String {
    let verdicts = [Verdict::Failed, Verdict::Inconclusive];
    let ids = |verdict: Verdict| -> Vec<&str> {
        let bad = results.scenarios.iter().filter(|it| it.is_bad() && it.verdict == verdict);
        bad.map(|it| it.id.as_str()).collect()
    };
    let told = verdicts.map(|verdict| match ids(verdict).as_slice() {
        [] => String::new(),
        ids => format!("{}: {}\n", verdict.heading(), first_of(ids, NAMED)),
    });
    let first = verdicts.into_iter().flat_map(ids).next();
    let command = first.map(|id| format!("To look closer: the same command with -v -s {id}"));
    told.concat() + &command.unwrap_or_default()
}

fn lines(text: &str) -> String {
    ended(wrap_lines(text, block::WIDTH, 40))
}

/// Shows what is going on anew twice a second, until dropped.
struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start<W: Write + Send + 'static>(screen: Arc<Mutex<Screen<W>>>) -> Ticker {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                // If this cannot be written, the next event cannot either, and its error is told.
                let _ = lock(&screen).redraw();
            }
        });
        Ticker { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread does not panic, and if it did, the run's own end matters more.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Role;
    use crate::report::sample::{self, Shared};

    const PLAIN: Look = Look { colour: false, live: false };

    fn draw(events: &[RunEvent], look: Look, detail: Detail) -> String {
        let shared = Shared::default();
        let mut terminal = Terminal::new(shared.clone(), look, detail);
        events.iter().for_each(|event| terminal.on(event).unwrap());
        let reports = ["JUnit: junit.xml".to_owned()];
        terminal.finish(&sample::results(events), &reports).unwrap();
        drop(terminal);
        shared.text()
    }

    #[test]
    fn passing_run() {
        insta::assert_snapshot!(draw(&sample::passing(), PLAIN, Detail::Normal));
    }

    #[test]
    fn the_end_tells_reviews_from_attacks() {
        let mut results = sample::results(&sample::passing());
        let summary = results.summary.clone().expect("a run that ended");
        assert!(!verdicts(&results, &summary, "").contains("review"));
        results.scenarios[0].attempts[0].role = Role::Review;
        let told = verdicts(&results, &summary, "");
        assert!(told.contains(", of which 1 review attacked nobody."), "{told}");
    }

    #[test]
    fn failing_run() {
        insta::assert_snapshot!(draw(&sample::failing(), PLAIN, Detail::Normal));
    }

    #[test]
    fn inconclusive_and_skipped() {
        insta::assert_snapshot!(draw(&sample::mixed(), PLAIN, Detail::Normal));
    }

    #[test]
    fn aborted_run() {
        insta::assert_snapshot!(draw(&sample::aborted(), PLAIN, Detail::Normal));
    }

    #[test]
    fn a_control_that_does_not_act() {
        insta::assert_snapshot!(draw(&sample::unmet(), PLAIN, Detail::Normal));
    }

    #[test]
    fn quiet_run_shows_only_what_did_not_pass() {
        insta::assert_snapshot!(draw(&sample::mixed(), PLAIN, Detail::Quiet));
        let passing = draw(&sample::passing(), PLAIN, Detail::Quiet);
        assert_eq!(passing.lines().count(), 2, "{passing}");
    }

    #[test]
    fn steps_alone_name_no_scenario() {
        let text = draw(&sample::failing(), PLAIN, Detail::Steps);
        assert!(text.contains("  staged ") && text.contains("1 failed"), "{text}");
        assert!(!text.contains("exec-interactive"), "{text}");
    }

    #[test]
    fn verbose_run() {
        insta::assert_snapshot!(draw(&sample::failing(), PLAIN, Detail::Verbose));
    }

    #[test]
    fn proof_with_everything() {
        insta::assert_snapshot!(draw(&sample::proof(), PLAIN, Detail::Normal));
    }

    #[test]
    fn a_proof_that_did_not_end() {
        let mut events = sample::proof();
        events.retain(|event| !matches!(event, RunEvent::Proven(_)));
        events.truncate(3);
        events.push(RunEvent::Aborted { error: "interrupted".to_owned() });
        events.push(RunEvent::Finished(sample::summary(0, 0, 0, 0)));
        insta::assert_snapshot!(draw(&events, PLAIN, Detail::Normal));
    }

    #[test]
    fn waived() {
        insta::assert_snapshot!(draw(&sample::waived(), PLAIN, Detail::Normal));
        let quiet = draw(&sample::waived(), PLAIN, Detail::Quiet);
        assert!(!quiet.contains("team-a, until") && quiet.contains("expected.yaml:7"), "{quiet}");
    }

    #[test]
    fn nothing_judged() {
        insta::assert_snapshot!(draw(&sample::nothing(), PLAIN, Detail::Normal));
    }

    #[test]
    fn the_end_is_told_in_lines_of_its_own() {
        let tidy = "LEFT BEHIND: a cluster\n`brinell sweep k7f3` tries again.".to_owned();
        let end = RunEvent::Finished(Summary { tidy, ..sample::summary(1, 0, 0, 0) });
        let events = [sample::passing().swap_remove(0), end];
        let shared = Shared::default();
        let mut terminal = Terminal::new(shared.clone(), PLAIN, Detail::Normal);
        events.iter().for_each(|event| terminal.on(event).unwrap());
        terminal.finish(&sample::results(&events), &[]).unwrap();
        let expected = "\n1 passed, 0 failed, 0 inconclusive, 0 skipped; 4 attempts, all observed.\n\
                    20.3 s, of which kind 15.0 s. LEFT BEHIND: a cluster\n\
                    `brinell sweep k7f3` tries again.\n";
        assert!(shared.text().ends_with(expected), "{}", shared.text());
    }

    #[test]
    fn colours_say_nothing_that_words_do_not() {
        let painted = draw(&sample::mixed(), Look { colour: true, live: false }, Detail::Normal);
        let plain = draw(&sample::mixed(), PLAIN, Detail::Normal);
        assert!(painted.contains("\u{1b}["));
        assert_eq!(anstream::adapter::strip_str(&painted).to_string(), plain);
    }

    #[test]
    fn no_control_characters_without_a_terminal() {
        for events in [sample::passing(), sample::hostile("\u{1b}]0;\u{7}\r\n\u{9b}2J\u{202e}")] {
            let text = draw(&events, PLAIN, Detail::Verbose);
            let harmful = text.lines().find(|line| visible(line) != *line);
            assert_eq!(harmful, None);
        }
    }

    #[test]
    fn a_terminal_shows_what_goes_on_and_keeps_only_what_came_of_it() {
        let live = draw(&sample::passing(), Look { colour: false, live: true }, Detail::Normal);
        assert!(live.contains("  cluster   creating …\r\u{1b}[K"), "{live:?}");
        let kept: Vec<_> = live.lines().map(|line| line.rsplit("\u{1b}[K").next()).collect();
        let plain = draw(&sample::passing(), PLAIN, Detail::Normal);
        let expected: Vec<_> =
            plain.lines().filter(|line| !line.ends_with('…')).map(Some).collect();
        assert_eq!(kept, expected);
    }

    #[test]
    fn a_terminal_shows_how_much_is_left_and_what_is_waited_for() {
        let mut events = sample::passing();
        let id = "exec-interactive".to_owned();
        let doing = "a shell, operator, GET WebSocket".to_owned();
        let begun = events.iter().position(|it| matches!(it, RunEvent::ScenarioStarted { .. }));
        let begun = begun.unwrap();
        events.insert(begun, RunEvent::Planned { all: 9, of: Unit::Attempt });
        events.insert(begun + 2, RunEvent::ScenarioDoing { id, doing, sent: 1 });
        let shared = Shared::default();
        let live = Look { colour: false, live: true };
        let mut terminal = Terminal::new(shared.clone(), live, Detail::Normal);
        events.iter().for_each(|event| terminal.on(event).unwrap());
        let text = shared.text();
        let shown = "  1 of 9 attempts; exec-interactive: a shell, operator, GET";
        assert!(text.contains(shown), "{text:?}");
        assert_eq!(terminal.work.words(), "4 of 9 attempts");
        let plain = draw(&events, PLAIN, Detail::Normal);
        assert_eq!(plain, draw(&sample::passing(), PLAIN, Detail::Normal), "lines of their own");
    }

    #[test]
    fn lines_hold_a_hundred_columns() {
        let hostile = sample::hostile(&"a long text that goes on and on, ".repeat(200));
        for events in
            [sample::passing(), sample::failing(), sample::mixed(), sample::proof(), hostile]
        {
            let text = draw(&events, PLAIN, Detail::Verbose);
            let longest = text.lines().map(|line| line.chars().count()).max();
            assert!(longest <= Some(block::WIDTH), "{text}");
        }
    }
}
