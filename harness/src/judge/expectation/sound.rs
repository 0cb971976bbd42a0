//! Whether what a review read is configured rightly. That something is held under attack is more, and another's to show.

use super::Judging;
use crate::model::{Answer, Evidence, Finding, Flaw, Reason, UNCLEAR};
use crate::text::count;

impl Judging {
    pub(super) fn sound(&mut self, control: &str, look_at: &str, evidence: &Evidence) {
        let Answer::Review(reviewed) = &evidence.answer else {
            self.outcome = UNCLEAR.to_owned();
            return self.causes.push("nothing was reviewed".to_owned());
        };
        // Of what was not read nothing is known, whatever the rest looks like.
        self.causes.extend(reviewed.unread.clone());
        if reviewed.objects == 0 && reviewed.flaws.is_empty() {
            self.causes.push("there was nothing to read: that shows nothing of it".to_owned());
        }
        self.outcome = match reviewed.flaws.as_slice() {
            [] if self.causes.is_empty() => {
                let objects = count(reviewed.objects, "object");
                format!("configured rightly: {objects} read, nothing attacked")
            }
            [] => UNCLEAR.to_owned(),
            [flaw, ..] => {
                let all = reviewed.flaws.len() + reviewed.more;
                let others = match all - 1 {
                    0 => String::new(),
                    others => format!(", and {}", count(others, "other flaw")),
                };
                format!("{}: {}{others}", Reason::Misconfigured.heading(), flaw.words())
            }
        };
        self.findings.extend(reviewed.flaws.iter().map(|flaw| finding(control, look_at, flaw)));
    }
}

fn finding(control: &str, look_at: &str, flaw: &Flaw) -> Finding {
    Finding {
        reason: Reason::Misconfigured,
        expected: format!("nothing that opens {control} to anybody, today or tomorrow"),
        got: flaw.words(),
        who: format!("nobody was attacked, it was read. {}", flaw.follows),
        look_at: look_at.to_owned(),
    }
}
