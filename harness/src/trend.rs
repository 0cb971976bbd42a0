//! Many results of the same: for each scenario when its verdict turned, and how long it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::{Results, ScenarioResult, Verdict, WAIVED};

/// The courses of all scenarios, on each cluster with each profile.
#[derive(Debug, Default)]
pub struct Trend {
    /// Each cluster with each profile, by its name.
    pub places: Vec<Place>,
}

/// The runs that a trend is of, as far as it tells of them.
#[derive(Debug, Default)]
pub struct Runs(BTreeMap<String, BTreeMap<(String, String), Results>>);

/// The runs on one cluster with one profile.
#[derive(Debug)]
pub struct Place {
    /// The cluster and the profile.
    pub name: String,
    /// The runs, in the order in which they began.
    pub runs: Vec<Run>,
    /// The scenarios: those that turned first, the latest turn first, and else in the order of the catalog.
    pub courses: Vec<Course>,
}

/// A run.
#[derive(Debug)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// When it began, in UTC.
    pub started: String,
    /// The Kubernetes version.
    pub kubernetes: String,
    /// Whether it ended early.
    pub is_early: bool,
}

/// What became of a scenario from run to run.
#[derive(Debug)]
pub struct Course {
    /// Its id.
    pub id: String,
    /// What is attempted.
    pub title: String,
    /// What came of it in each run; `None` where it was not in it.
    pub seen: Vec<Option<Seen>>,
    /// When it turned, in order.
    pub turns: Vec<Turn>,
    /// How long it took where it was tried; `None` if it never was.
    pub times: Option<Times>,
}

/// What came of a scenario in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The verdict.
    pub verdict: Verdict,
    /// Whether somebody answers for it.
    pub is_waived: bool,
}

/// A verdict that is another one than that of the run before in which the scenario was.
#[derive(Debug, PartialEq, Eq)]
pub struct Turn {
    /// The run, by its place among the runs.
    pub run: usize,
    /// What it was.
    pub before: Seen,
    /// What it is since then.
    pub after: Seen,
}

/// How long a scenario took.
#[derive(Debug, PartialEq, Eq)]
pub struct Times {
    /// The shortest.
    pub least: Duration,
    /// Half of them took no longer.
    pub median: Duration,
    /// The longest.
    pub most: Duration,
    /// The last.
    pub last: Duration,
}

impl Seen {
    /// As a sentence names it.
    pub fn label(self) -> &'static str {
        if self.is_waived { WAIVED } else { self.verdict.label() }
    }
}

impl Trend {
    /// The trend of these runs, in whatever order they come.
    pub fn of(runs: &Runs) -> Trend {
        let place = |(name, runs): (&String, &BTreeMap<_, Results>)| {
            Place::of(name.clone(), &runs.values().collect::<Vec<_>>())
        };
        Trend { places: runs.0.iter().map(place).collect() }
    }

    /// How many runs there are.
    pub fn runs(&self) -> usize {
        self.places.iter().map(|place| place.runs.len()).sum()
    }
}

impl Runs {
    /// Adds the runs of a result. One that is there already counts once, a proof not at all, and neither does a run
    /// that had not begun.
    pub fn add(&mut self, mut results: Results) {
        if results.proof.is_some() {
            return;
        }
        // What a scenario is made of is most of a result, and nothing of it is told.
        results.scenarios.iter_mut().for_each(|scenario| scenario.attempts = Vec::new());
        for run in results.split().into_iter().filter(|run| !run.started.is_empty()) {
            let name = format!("{}, profile {}", run.place(), run.profile);
            let place = self.0.entry(name).or_default();
            place.insert((run.started.clone(), run.run.clone()), run);
        }
    }
}

impl Place {
    fn of(name: String, runs: &[&Results]) -> Place {
        let by_id: Vec<BTreeMap<&str, &ScenarioResult>> = runs
            .iter()
            .map(|run| run.scenarios.iter().map(|it| (it.id.as_str(), it)).collect())
            .collect();
        let all: BTreeSet<(&str, &str)> = runs
            .iter()
            .flat_map(|run| &run.scenarios)
            .map(|it| (it.family.as_str(), it.id.as_str()))
            .collect();
        let course = |(_, id): (&str, &str)| {
            Course::of(by_id.iter().map(|run| run.get(id).copied()).collect())
        };
        let mut courses: Vec<Course> = all.into_iter().filter_map(course).collect();
        courses.sort_by_key(|course| std::cmp::Reverse(course.turns.last().map(|turn| turn.run)));
        Place { name, runs: runs.iter().map(|run| Run::of(run)).collect(), courses }
    }
}

impl Run {
    fn of(results: &Results) -> Run {
        Run {
            id: results.run.clone(),
            started: results.started.clone(),
            kubernetes: results.kubernetes.clone(),
            is_early: results.early_end().is_some(),
        }
    }
}

impl Course {
    /// The course of a scenario; `None` if it is in no run.
    fn of(results: Vec<Option<&ScenarioResult>>) -> Option<Course> {
        let last = results.iter().flatten().next_back()?;
        let saw = |it: &ScenarioResult| Seen { verdict: it.verdict, is_waived: it.is_waived() };
        let seen: Vec<Option<Seen>> = results.iter().map(|it| it.map(saw)).collect();
        let tried = results.iter().flatten().filter(|it| it.verdict != Verdict::Skipped);
        Some(Course {
            id: last.id.clone(),
            title: last.title.clone(),
            turns: turns(&seen),
            times: Times::of(tried.map(|it| it.took).collect()),
            seen,
        })
    }
}

fn turns(seen: &[Option<Seen>]) -> Vec<Turn> {
    let mut turns = Vec::new();
    let mut before = None;
    for (run, after) in seen.iter().enumerate() {
        let Some(after) = *after else { continue };
        if let Some(before) = before.filter(|before| *before != after) {
            turns.push(Turn { run, before, after });
        }
        before = Some(after);
    }
    turns
}

impl Times {
    fn of(took: Vec<Duration>) -> Option<Times> {
        let last = *took.last()?;
        let mut sorted = took;
        sorted.sort();
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        Some(Times { least, median: *sorted.get(sorted.len() / 2)?, most, last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{existing, rehearsed};
    use crate::report::sample;

    /// Runs on three days, of which each is the events of one.
    fn nights() -> Vec<Results> {
        let days = [sample::passing(), sample::failing(), sample::passing()];
        let night = |(number, events): (usize, &Vec<_>)| Results {
            run: format!("k{number}"),
            started: format!("2026-11-{:02}T03:00:00Z", number + 1),
            ..sample::results(events)
        };
        days.iter().enumerate().map(night).collect()
    }

    fn trend(results: &[Results]) -> Trend {
        let mut runs = Runs::default();
        results.iter().cloned().for_each(|it| runs.add(it));
        Trend::of(&runs)
    }

    #[test]
    fn of_a_result_only_what_is_told_is_kept() {
        let mut runs = Runs::default();
        nights().into_iter().for_each(|it| runs.add(it));
        let kept = runs.0.values().flat_map(BTreeMap::values).flat_map(|run| &run.scenarios);
        assert!(kept.clone().count() == 3 && kept.clone().all(|it| it.attempts.is_empty()));
    }

    #[test]
    fn a_turn_is_found_whatever_the_order_of_the_files() {
        let mut nights = nights();
        nights.rotate_left(1);
        nights.push(nights[0].clone());
        let trend = trend(&nights);
        let [place] = trend.places.as_slice() else { panic!("{trend:?}") };
        assert_eq!((place.name.as_str(), place.runs.len()), ("kind, profile hardened", 3));
        let turns = &place.courses[0].turns;
        let told: Vec<_> = turns.iter().map(|it| (it.run, it.after.label())).collect();
        assert_eq!(told, [(1, Verdict::Failed.label()), (2, Verdict::Passed.label())]);
        let times = place.courses[0].times.as_ref().expect("times");
        assert_eq!((times.least.as_millis(), times.most.as_millis()), (412, 600));
    }

    #[test]
    fn a_run_without_the_scenario_is_no_turn_and_other_places_are_apart() {
        let mut nights = nights();
        nights[1].scenarios.clear();
        let turns = |nights: &[Results]| trend(nights).places[0].courses[0].turns.len();
        assert_eq!(turns(&nights), 0);
        nights[2].profile = "open".to_owned();
        assert_eq!(trend(&nights).places.len(), 2);
        let mut clusters = nights.clone();
        clusters[0].cluster = existing("staging");
        clusters[1].cluster = existing("production");
        clusters[2].cluster = rehearsed("production");
        let places = trend(&clusters).places;
        let names: Vec<&str> = places.iter().map(|place| place.name.as_str()).collect();
        let expected = [
            "existing (production), profile hardened",
            "existing (production, rehearsed), profile open",
            "existing (staging), profile hardened",
        ];
        assert_eq!(names, expected);
        nights.push(Results::default());
        nights.push(sample::results(&sample::proof()));
        assert_eq!(trend(&nights).runs(), 3);
    }
}
