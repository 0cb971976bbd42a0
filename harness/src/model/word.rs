//! The words for what came of something: each is written here once, and the judge, the terminal and every report take
//! it from here. A label is used within a sentence, a heading at the beginning of a line.

use super::{Mark, Outcome, Reason, Verdict, WaiverState};

/// An attempt of which too little came back to judge it.
pub const UNCLEAR: &str = "UNCLEAR";

/// Evidence that the log cannot show.
pub const NOT_SHOWN: &str = "NOT SHOWN";

/// A legitimate use that no longer works.
pub const BROKEN: &str = "BROKEN";

/// A control that is not as the profile says.
pub const NOT_ACTING: &str = "not acting";

/// A run that ended early.
pub const ABORTED: &str = "ABORTED";

/// What a run made and could not remove.
pub const LEFT_BEHIND: &str = "left behind";

/// An attack that no weakening turns red.
pub const VACUOUS: &str = "vacuous";

/// A failure that somebody answers for.
pub const WAIVED: &str = "waived";

/// A waiver whose last day is over.
pub const EXPIRED: &str = "expired";

/// A deviation or a waiver that is no longer needed.
pub const STALE: &str = "stale";

/// What a deviation excuses.
pub const AS_KNOWN: &str = "as known";

impl Verdict {
    /// As a sentence names it.
    pub const fn label(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Skipped => "skipped",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Failed => "failed",
        }
    }

    /// The heading of a scenario.
    pub fn heading(self) -> &'static str {
        match self {
            Verdict::Passed => "PASS",
            Verdict::Skipped => "SKIP",
            Verdict::Inconclusive => "INCONCLUSIVE",
            Verdict::Failed => "FAIL",
        }
    }
}

impl Reason {
    /// As results name it.
    pub fn label(self) -> &'static str {
        match self {
            Reason::Bypassed => "bypassed",
            Reason::WrongLayer => "wrong layer",
            Reason::OtherReason => "other reason",
            Reason::Misconfigured => "misconfigured",
            Reason::Unlogged => "unlogged",
            Reason::WronglyLogged => "wrongly logged",
            Reason::PermitBroken => "permit broken",
            Reason::LeftOver => "left over",
        }
    }

    /// The heading of an attempt that failed, and of all that failed for this reason.
    pub fn heading(self) -> String {
        self.label().to_uppercase()
    }
}

impl WaiverState {
    /// As results name it.
    pub fn label(self) -> &'static str {
        match self {
            WaiverState::Needed => "needed",
            WaiverState::Expired => EXPIRED,
            WaiverState::Stale => STALE,
            WaiverState::Untouched => "untouched",
        }
    }
}

impl Outcome {
    /// As a sentence names it.
    pub fn label(self) -> &'static str {
        match self {
            Outcome::Caught => Mark::Caught.label(),
            Outcome::Missed => "missed",
            Outcome::Wrong => "went wrong",
            Outcome::Skipped => Verdict::Skipped.label(),
        }
    }

    /// The heading of a weakening.
    pub fn heading(self) -> String {
        match self {
            Outcome::Caught | Outcome::Missed | Outcome::Wrong => self.label().to_uppercase(),
            Outcome::Skipped => Verdict::Skipped.heading().to_owned(),
        }
    }
}

impl Mark {
    /// As a table names it.
    pub fn label(self) -> &'static str {
        match self {
            Mark::Caught => "caught",
            Mark::Green => "green",
            Mark::Collateral => "collateral",
            Mark::Wrong => "wrong",
        }
    }
}
