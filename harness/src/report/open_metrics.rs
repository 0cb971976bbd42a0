//! OpenMetrics text, for a Pushgateway or the textfile collector: gauges alone, because that collector reads Prometheus' own
//! text format, which knows no other of OpenMetrics' types.

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use k8s_openapi::jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::Format;
use crate::model::{Outcome, Results, Verdict};
use crate::text::visible;

/// OpenMetrics.
pub(super) const FORMAT: Format = Format {
    name: "OpenMetrics",
    word: "openmetrics",
    endings: &["prom", "om"],
    flag: None,
    render,
};

/// All verdicts, of which each scenario has one.
const VERDICTS: [Verdict; 4] =
    [Verdict::Passed, Verdict::Skipped, Verdict::Inconclusive, Verdict::Failed];

/// All outcomes, of which each weakening has one.
const OUTCOMES: [Outcome; 4] = [Outcome::Caught, Outcome::Missed, Outcome::Wrong, Outcome::Skipped];

/// A run, with its number among those of its cluster and profile.
#[derive(Debug)]
struct Run {
    number: usize,
    results: Results,
}

/// The labels of a sample.
type Labels = Vec<(&'static str, String)>;

/// Samples of one name, in their order: the library's own families have none.
#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    samples: Vec<(Labels, f64)>,
}

/// Everything that is told.
#[derive(Debug)]
struct Families(Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for family in self.0.iter().filter(|family| !family.samples.is_empty()) {
            let (name, help, unit) = (family.name, family.help, family.unit.as_ref());
            let mut metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            for (labels, value) in &family.samples {
                ConstGauge::new(*value).encode(metric.encode_family(labels)?)?;
            }
        }
        Ok(())
    }
}

fn render(results: &Results) -> io::Result<Vec<u8>> {
    let runs = results.numbered().into_iter();
    let runs: Vec<Run> = runs.map(|(number, results)| Run { number, results }).collect();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(families(&runs))));
    let mut text = String::new();
    encode(&mut text, &registry).map_err(io::Error::other)?;
    Ok(text.into_bytes())
}

fn families(runs: &[Run]) -> Vec<Family> {
    let family = |name, help, unit, samples: fn(&Run) -> Vec<(Labels, f64)>| Family {
        name,
        help,
        unit,
        samples: runs.iter().flat_map(samples).collect(),
    };
    vec![
        family("brinell_run", "A run: 1, with all that tells it from others", None, |run| {
            vec![(
                of(run, [("run", &run.results.run), ("kubernetes", &run.results.kubernetes)]),
                1.0,
            )]
        }),
        family("brinell_run_ended", "Whether it came to its end", None, |run| {
            vec![(of(run, []), number(run.results.early_end().is_none()))]
        }),
        family(
            "brinell_run_left_behind",
            "Whether something of it may be there still",
            None,
            |run| vec![(of(run, []), number(run.results.left_behind().is_some()))],
        ),
        family("brinell_run_start", "When it began", Some(Unit::Seconds), |run| {
            let began = run.results.started.parse::<Timestamp>().ok();
            began.map(|began| (of(run, []), began.as_second() as f64)).into_iter().collect()
        }),
        family("brinell_run_duration", "How long it took", Some(Unit::Seconds), |run| {
            let took = run.results.summary.iter().map(|summary| summary.took.as_secs_f64());
            took.map(|took| (of(run, []), took)).collect()
        }),
        family("brinell_control_unmet", "A control that did not act: 1", None, |run| {
            // A control may lack two things.
            let unmet: BTreeSet<&String> = run.results.unmet.iter().map(|it| &it.control).collect();
            unmet.into_iter().map(|it| (of(run, [("control", it)]), 1.0)).collect()
        }),
        family(
            "brinell_scenario_verdict",
            "What came of a scenario: 1 for one verdict",
            None,
            verdicts,
        ),
        family(
            "brinell_scenario_waived",
            "Whether somebody answers for all that failed",
            None,
            |run| {
                let waived = run.results.scenarios.iter();
                waived.map(|it| (of(run, [("scenario", &it.id)]), number(it.is_waived()))).collect()
            },
        ),
        family(
            "brinell_scenario_duration",
            "How long a scenario took",
            Some(Unit::Seconds),
            |run| {
                let tried =
                    run.results.scenarios.iter().filter(|it| it.verdict != Verdict::Skipped);
                tried.map(|it| (of(run, [("scenario", &it.id)]), it.took.as_secs_f64())).collect()
            },
        ),
        family(
            "brinell_weakening_outcome",
            "What came of a weakening: 1 for one outcome",
            None,
            outcomes,
        ),
    ]
}

/// The labels that tell a run from others, and more. A number where cluster and profile do not: the run's id would make
/// another series of each run.
fn of<const N: usize>(run: &Run, more: [(&'static str, &String); N]) -> Labels {
    let number = (run.number > 1).then(|| run.number.to_string());
    let own = [("cluster", run.results.place()), ("profile", run.results.profile.as_str())];
    let number = number.iter().map(|number| ("number", number.as_str()));
    let more = more.into_iter().map(|(name, value)| (name, value.as_str()));
    let all = own.into_iter().chain(number).chain(more);
    all.map(|(name, value)| (name, visible(value))).collect()
}

fn verdicts(run: &Run) -> Vec<(Labels, f64)> {
    let of_scenario =
        run.results.scenarios.iter().flat_map(|it| VERDICTS.map(|verdict| (it, verdict)));
    let sample = |(it, verdict): (&crate::model::ScenarioResult, Verdict)| {
        let word = verdict.label().to_owned();
        let labels = [("family", &it.family), ("scenario", &it.id), ("verdict", &word)];
        (of(run, labels), number(it.verdict == verdict))
    };
    of_scenario.map(sample).collect()
}

fn outcomes(run: &Run) -> Vec<(Labels, f64)> {
    let weakenings = run.results.proof.iter().flat_map(|proof| &proof.weakenings);
    let each = weakenings.flat_map(|it| OUTCOMES.map(|outcome| (it, outcome)));
    let sample = |(it, outcome): (&crate::model::WeakeningResult, Outcome)| {
        let word = outcome.label().to_owned();
        let labels = [("control", &it.control), ("weakening", &it.name), ("outcome", &word)];
        (of(run, labels), number(it.outcome == outcome))
    };
    each.map(sample).collect()
}

fn number(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Unmet, existing};
    use crate::report::sample;

    fn text(results: &Results) -> String {
        String::from_utf8(render(results).unwrap()).unwrap()
    }

    #[test]
    fn every_verdict() {
        insta::assert_snapshot!(text(&sample::results(&sample::mixed())));
    }

    #[test]
    fn a_proof() {
        let text = text(&sample::results(&sample::proof()));
        let caught = "brinell_weakening_outcome{cluster=\"kind\",profile=\"hardened\",control=\"exec-guard\",\
                      weakening=\"absent\",outcome=\"caught\"} 1.0\n";
        assert!(text.contains(caught), "{text}");
    }

    #[test]
    fn a_run_that_did_not_end_says_so() {
        for results in [Results::default(), sample::results(&sample::aborted())] {
            let text = text(&results);
            let ended = text.lines().find(|line| line.starts_with("brinell_run_ended{")).unwrap();
            assert!(ended.ends_with(" 0.0") && text.ends_with("# EOF\n"), "{text}");
        }
    }

    #[test]
    fn a_run_that_left_something_behind_says_so() {
        let value = |results: &Results| {
            let text = text(results);
            let gauge = text.lines().find(|line| line.starts_with("brinell_run_left_behind{"));
            gauge.unwrap().rsplit(' ').next().unwrap().to_owned()
        };
        assert_eq!(value(&sample::left_behind()), "1.0");
        assert_eq!(value(&sample::results(&sample::passing())), "0.0");
    }

    /// A label's value as a reader takes it: what follows a backslash is meant, and a quotation mark ends it.
    fn values(line: &str) -> Vec<String> {
        let mut values = Vec::new();
        let mut rest = line.chars();
        while rest.by_ref().any(|c| c == '"') {
            let mut value = String::new();
            while let Some(c) = rest.next().filter(|c| *c != '"') {
                value.push(if c == '\\' { rest.next().unwrap() } else { c });
            }
            values.push(value);
        }
        values
    }

    #[test]
    fn no_two_samples_of_merged_runs_have_one_name() {
        let run = |id: &str, cluster: String| Results {
            run: id.to_owned(),
            cluster,
            ..sample::results(&sample::mixed())
        };
        let mut twice = run("a", existing("staging"));
        let (control, cause) = ("exec-guard".to_owned(), "it does not act".to_owned());
        twice.unmet = vec![Unmet { run: None, control, cause }; 2];
        let merged = Results::merged(vec![
            twice,
            run("b", existing("production")),
            run("c", "kind (one answers)".to_owned()),
            run("d", "kind (other answers)".to_owned()),
        ]);
        let text = text(&merged);
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let names: Vec<&str> = samples.map(|line| line.rsplit_once(' ').unwrap().0).collect();
        let once: BTreeSet<&&str> = names.iter().collect();
        assert_eq!(once.len(), names.len(), "{text}");
        for labels in [
            "cluster=\"existing (staging)\",profile=\"hardened\"",
            "cluster=\"kind\",profile=\"hardened\"",
            "cluster=\"kind\",profile=\"hardened\",number=\"2\"",
        ] {
            assert!(names.contains(&&*format!("brinell_run_ended{{{labels}}}")), "{text}");
        }
    }

    #[test]
    fn labels_are_escaped() {
        let hostile = "a \"} 1\nbrinell_run 7 \\ \u{1b}[31m";
        let text = text(&sample::results(&sample::hostile(hostile)));
        let samples = text.lines().filter(|line| line.starts_with("brinell_scenario_verdict{"));
        for line in samples {
            assert_eq!(values(line)[3], visible(hostile), "{line}");
        }
        assert!(!text.contains("\nbrinell_run 7"), "{text}");
    }
}
