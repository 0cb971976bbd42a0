//! Several runs as one value, and back: jobs on several clusters, or the parts of one catalog.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Results, Summary};

/// A run of a merged result, without what it shares its lists with others for.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct MergedRun {
    /// The run's id; where it had not begun, the file that says so.
    pub run: String,
    /// When it began, in UTC.
    pub started: String,
    /// The Kubernetes version.
    pub kubernetes: String,
    /// The profile's name.
    pub profile: String,
    /// The cluster, and why this one was chosen.
    pub cluster: String,
    /// Why it ended early; `None` when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aborted: Option<String>,
    /// Its end; `None` when it was not reached.
    pub summary: Option<Summary>,
}

impl MergedRun {
    /// How reports tell it from the others: `kind hardened k7f3`.
    pub fn label(&self) -> String {
        let parts = [self.place(), &self.profile, &self.run];
        let told: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        told.join(" ")
    }
}

impl Results {
    /// These runs as one value, in this order. Each must have an id of its own.
    pub fn merged(runs: Vec<Results>) -> Results {
        let mut merged = Results { aborted: None, ..Results::default() };
        for run in runs {
            let id = || Some(run.run.clone());
            let of_run = |mut it: super::ScenarioResult| {
                it.run = id();
                it
            };
            merged.scenarios.extend(run.scenarios.into_iter().map(of_run));
            merged.unmet.extend(run.unmet.into_iter().map(|it| super::Unmet { run: id(), ..it }));
            let of_run = |it| super::ControlPlace { run: id(), ..it };
            merged.places.extend(run.places.into_iter().map(of_run));
            let of_run = |it| super::SettledWaiver { run: id(), ..it };
            merged.waivers.extend(run.waivers.into_iter().map(of_run));
            merged.runs.push(MergedRun {
                run: run.run,
                started: run.started,
                kubernetes: run.kubernetes,
                profile: run.profile,
                cluster: run.cluster,
                aborted: run.aborted,
                summary: run.summary,
            });
        }
        merged.tell_together();
        merged
    }

    /// What is said of all runs together.
    fn tell_together(&mut self) {
        let each = |of: fn(&MergedRun) -> &String| {
            let texts: BTreeSet<&str> = self.runs.iter().map(|run| of(run).as_str()).collect();
            texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ")
        };
        let started = self.runs.iter().map(|run| &run.started).filter(|it| !it.is_empty()).min();
        let aborted = self.runs.iter().filter_map(|run| {
            let error = run.aborted.as_ref()?;
            Some(format!("{}: {error}", run.label()))
        });
        let aborted: Vec<String> = aborted.collect();
        let (run, kubernetes) = (each(|run| &run.run), each(|run| &run.kubernetes));
        let (profile, cluster) = (each(|run| &run.profile), each(|run| &run.cluster));
        let started = started.cloned().unwrap_or_default();
        let summaries: Option<Vec<&Summary>> =
            self.runs.iter().map(|run| run.summary.as_ref()).collect();
        let summary = summaries.map(|all| together(&all));
        (self.run, self.started, self.kubernetes) = (run, started, kubernetes);
        (self.profile, self.cluster, self.summary) = (profile, cluster, summary);
        self.aborted = (!aborted.is_empty()).then(|| aborted.join("\n"));
    }

    /// Its runs, each as it was before they were merged; itself where it is one run.
    pub fn split(&self) -> Vec<Results> {
        if self.runs.is_empty() {
            return vec![self.clone()];
        }
        self.runs.iter().map(|run| self.part(run)).collect()
    }

    fn part(&self, run: &MergedRun) -> Results {
        let is_its = |id: &Option<String>| id.as_ref() == Some(&run.run);
        let scenarios = self.scenarios.iter().filter(|it| is_its(&it.run)).cloned();
        let unmet = self.unmet.iter().filter(|it| is_its(&it.run)).cloned();
        let places = self.places.iter().filter(|it| is_its(&it.run)).cloned();
        let waivers = self.waivers.iter().filter(|it| is_its(&it.run)).cloned();
        Results {
            run: run.run.clone(),
            started: run.started.clone(),
            kubernetes: run.kubernetes.clone(),
            profile: run.profile.clone(),
            cluster: run.cluster.clone(),
            scenarios: scenarios.map(|it| super::ScenarioResult { run: None, ..it }).collect(),
            unmet: unmet.map(|it| super::Unmet { run: None, ..it }).collect(),
            places: places.map(|it| super::ControlPlace { run: None, ..it }).collect(),
            waivers: waivers.map(|it| super::SettledWaiver { run: None, ..it }).collect(),
            aborted: run.aborted.clone(),
            summary: run.summary.clone(),
            ..Results::default()
        }
    }
}

/// The ends of several runs together.
fn together(all: &[&Summary]) -> Summary {
    let sum = |of: fn(&Summary) -> usize| all.iter().map(|it| of(it)).sum::<usize>();
    let time = |of: fn(&Summary) -> Duration| all.iter().map(|it| of(it)).sum::<Duration>();
    let tidy: BTreeSet<&str> = all.iter().map(|it| it.tidy.as_str()).collect();
    Summary {
        passed: sum(|it| it.passed),
        failed: sum(|it| it.failed),
        inconclusive: sum(|it| it.inconclusive),
        skipped: sum(|it| it.skipped),
        waived: sum(|it| it.waived),
        bad_waivers: sum(|it| it.bad_waivers),
        unmet: sum(|it| it.unmet),
        attempts: sum(|it| it.attempts),
        took: time(|it| it.took),
        took_by_cluster: time(|it| it.took_by_cluster),
        left_behind: all.iter().any(|it| it.left_behind),
        tidy: tidy.into_iter().collect::<Vec<_>>().join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ControlPlace;
    use crate::report::sample;

    fn runs() -> Vec<Results> {
        let mut runs = [sample::mixed(), sample::unmet(), sample::aborted()]
            .map(|events| sample::results(&events));
        for (run, id) in runs.iter_mut().zip(["one", "two", "three"]) {
            run.run = id.to_owned();
            run.places.push(ControlPlace {
                run: None,
                control: "exec-guard".to_owned(),
                file: format!("{id}.yaml"),
                line: None,
            });
        }
        runs.into()
    }

    #[test]
    fn what_is_merged_is_split_into_the_same_runs() {
        let written = |runs: &[Results]| serde_json::to_string(runs).expect("JSON");
        let merged = Results::merged(runs());
        assert_eq!(written(&merged.split()), written(&runs()));
        assert_eq!(merged.scenarios.len(), 5);
        let read = Results::read(written(&[merged]).trim_matches(['[', ']']).as_bytes());
        assert_eq!(written(&read.expect("results").split()), written(&runs()));
    }

    #[test]
    fn what_ended_one_run_is_said_of_all() {
        let merged = Results::merged(runs());
        assert!(merged.aborted.expect("aborted").starts_with("kind hardened three: the cluster"));
        assert_eq!(merged.summary.expect("all ended").unmet, 1);
        let mut killed = runs();
        killed[1].summary = None;
        assert!(Results::merged(killed).summary.is_none());
    }
}
