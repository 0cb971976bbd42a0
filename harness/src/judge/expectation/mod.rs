//! What was expected against what was observed.

mod block;
mod bystanders;
mod logged;
mod sound;
mod success;
mod told;

use crate::judge::Signature;
use crate::model::{
    Decision, Evidence, Finding, Judgement, Layer, Logged, Recorded, Succeeds, UNCLEAR, Verdict,
};

/// The block that is expected, with the control's own data beside the scenario's.
#[derive(Debug, Clone)]
pub struct Expected<'a> {
    /// The control's id.
    pub control: &'a str,
    /// How its block is known, narrowed by the scenario.
    pub signature: Signature<'a>,
    /// Where to look when it did not act.
    pub look_at: &'a str,
}

/// Judges an attack that a control must refuse, and the evidence that it must leave.
pub fn judge_block(expected: &Expected, logged: Option<&Logged>, evidence: &Evidence) -> Judgement {
    let mut judging = Judging::default();
    judging.block(expected, evidence);
    judging.log(logged, evidence);
    judging.conclude()
}

/// Judges an attack that nobody in particular must refuse, by the evidence that it leaves.
pub fn judge_record(recorded: &Recorded, evidence: &Evidence) -> Judgement {
    let mut judging = Judging::default();
    judging.unopposed(recorded.refused_too, evidence);
    judging.log(Some(&recorded.logged()), evidence);
    judging.conclude()
}

/// Judges a review: nothing that it read may be configured wrongly. That is no proof that an attack is blocked.
pub fn judge_sound(control: &str, look_at: &str, evidence: &Evidence) -> Judgement {
    let mut judging = Judging::default();
    judging.sound(control, look_at, evidence);
    judging.conclude()
}

/// Judges a workload that was let in while what its controller does with it is not known.
pub(super) fn judge_half(logged: Option<&Logged>, evidence: &Evidence) -> Judgement {
    let mut judging = Judging::default();
    judging.unopposed(false, evidence);
    judging.log(logged, evidence);
    let mut judgement = judging.conclude();
    judgement.outcome.push_str("; its controller asks another API server");
    if judgement.verdict == Verdict::Passed {
        judgement.verdict = Verdict::Skipped;
    }
    judgement
}

/// Judges a step that must work for the attacks after it to tell anything, and the evidence that it must leave.
pub fn judge_step(succeeds: &Succeeds, logged: Option<&Logged>, evidence: &Evidence) -> Judgement {
    let mut judging = Judging::default();
    judging.step(succeeds, evidence);
    judging.log(logged, evidence);
    judging.conclude()
}

/// Judges a legitimate use: it must work, and leave the evidence that is asked for.
pub fn judge_permit(
    succeeds: &Succeeds,
    logged: Option<&Logged>,
    evidence: &Evidence,
) -> Judgement {
    let mut judging = Judging::default();
    judging.success(succeeds, evidence);
    judging.log(logged, evidence);
    judging.conclude()
}

#[derive(Default)]
struct Judging {
    outcome: String,
    logged: String,
    findings: Vec<Finding>,
    causes: Vec<String>,
    causes_of_log: usize,
}

impl Judging {
    fn conclude(self) -> Judgement {
        let verdict = match (self.findings.is_empty(), self.causes.is_empty()) {
            (false, _) => Verdict::Failed,
            (true, false) => Verdict::Inconclusive,
            (true, true) => Verdict::Passed,
        };
        Judgement {
            verdict,
            outcome: self.outcome,
            logged: self.logged,
            findings: self.findings,
            causes: self.causes,
            causes_of_log: self.causes_of_log,
        }
    }

    /// An attack that no control must refuse has to be let in: the evidence that a refused one leaves does not show
    /// what an admitted one leaves, unless the scenario accepts both. A refusal by what is behind the API server does
    /// not count: the API server has let the request in. One that decides nothing is not accepted: the same request is let
    /// in a moment later.
    fn unopposed(&mut self, refused_too: bool, evidence: &Evidence) {
        match &evidence.decision {
            Decision::Denied(denial) => {
                self.outcome = format!("refused by {}", denial.layer);
                let behind = matches!(denial.layer, Layer::Runtime | Layer::Backend);
                if denial.layer.is_undecided() {
                    self.causes.push(format!(
                        "{} turned it away, which decides nothing: {}",
                        denial.layer, denial.message
                    ));
                } else if !behind && !refused_too {
                    self.causes.push(format!(
                        "{} refused it, so that nothing tells what it leaves where it is let in: {}",
                        denial.layer, denial.message
                    ));
                }
            }
            Decision::Unclear(why) => {
                self.outcome = UNCLEAR.to_owned();
                self.causes.push(why.clone());
            }
            Decision::LetIn | Decision::Read => self.outcome = told::let_in(&evidence.answer),
        }
    }
}
