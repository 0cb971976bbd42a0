//! Takes exchanges out of the JSON report of an ordinary run.

use std::path::Path;

use brinell::model::{Answer, Decision, Denial, Evidence, Exchange, Results};
use serde::Deserialize;

use crate::Failure;
use crate::case::Decides;
use crate::recorder::write;

/// One exchange of a run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Taken {
    /// The case's name.
    case: String,
    /// Why it is worth keeping.
    about: String,
    /// The profile of the run.
    profile: String,
    /// The scenario.
    scenario: String,
    /// The attack's or permit's name.
    attempt: String,
    /// The door, as results name it.
    #[serde(default)]
    door: String,
    /// Who decides.
    decides: Decides,
}

const TAKEN: &str = include_str!("taken.yaml");

/// Writes every exchange that is taken from runs of the report's profile.
pub fn record(report: &Path, corpus: &Path) -> Result<(), Failure> {
    let results = Results::read(&std::fs::read(report)?)?;
    let taken: Vec<Taken> = serde_saphyr::from_str(TAKEN)?;
    for taken in taken.iter().filter(|taken| taken.profile == results.profile) {
        let evidence = find(&results, taken).ok_or_else(|| format!("no {}", taken.case))?;
        write(corpus, &taken.case, &exchange(taken, evidence))?;
    }
    Ok(())
}

fn find<'a>(results: &'a Results, taken: &Taken) -> Option<&'a Evidence> {
    let scenario = results.scenarios.iter().find(|scenario| scenario.id == taken.scenario)?;
    let mut attempts = scenario.attempts.iter();
    let attempt =
        attempts.find(|attempt| attempt.name == taken.attempt && attempt.door == taken.door)?;
    attempt.evidence.as_ref()
}

fn exchange(taken: &Taken, evidence: &Evidence) -> Exchange {
    let words = match &evidence.answer {
        Answer::Http(response) => response.words().to_owned(),
        Answer::Through(through) => through.pod.words().to_owned(),
        Answer::Nothing(silence) => silence.text.clone(),
        Answer::Stream(stream) => {
            stream.closing.as_ref().and_then(|end| end.message.clone()).unwrap_or_default()
        }
        Answer::Worked(_)
        | Answer::Storage(_)
        | Answer::AuditLog(_)
        | Answer::Grants(_)
        | Answer::Review(_)
        | Answer::Rights(_) => String::new(),
    };
    let decision = match taken.decides.clone() {
        Decides::LetIn => Decision::LetIn,
        Decides::Unclear => Decision::Unclear(words),
        Decides::Layer(layer) => Decision::Denied(Denial { layer, message: words }),
    };
    Exchange {
        about: taken.about.clone(),
        sent: evidence.sent.clone(),
        answer: evidence.answer.clone(),
        log: evidence.log.clone(),
        decision,
    }
}
