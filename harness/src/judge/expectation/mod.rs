//! What was expected against what was observed.

mod block;
mod bystanders;
mod logged;
mod success;
mod told;

use crate::judge::Signature;
use crate::model::{
    Decision, Evidence, Finding, Judgement, Layer, Logged, Succeeds, UNCLEAR, Verdict,
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

/// Judges an attack: blocked by the right layer without effect, or let in and logged, whatever of the two is
/// asked for.
pub fn judge_attack(
    blocked: Option<&Expected>,
    logged: Option<&Logged>,
    evidence: &Evidence,
) -> Judgement {
    let mut judging = Judging::default();
    match blocked {
        Some(expected) => judging.block(expected, evidence),
        None => judging.unopposed(logged.is_some_and(|logged| logged.refused_too), evidence),
    }
    judging.log(logged, evidence);
    judging.conclude()
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
        }
    }

    /// An attack that nobody is asked to refuse must be let in: what a refused one leaves tells nothing of what an
    /// admitted one does, unless the scenario takes either. Who stands behind the API server decides nothing of it.
    fn unopposed(&mut self, refused_too: bool, evidence: &Evidence) {
        match &evidence.decision {
            Decision::Denied(denial) => {
                self.outcome = format!("refused by {}", denial.layer);
                let behind = matches!(denial.layer, Layer::Runtime | Layer::Backend);
                if !behind && !refused_too {
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
            Decision::LetIn => self.outcome = told::let_in(&evidence.answer),
        }
    }
}
