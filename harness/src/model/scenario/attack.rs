//! An attack, as its file writes it and as it is meant.

use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::json;

use super::{Blocked, Expectation, Logged, NoExpectation, Recorded, Sound, Succeeds};
use crate::model::{AUDIT_POLICY, Action, Door, Role};

/// A persona, an action, and what must come of it: exactly one of `blocked`, `sound`, `succeeds` and
/// `recorded`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(try_from = "Written")]
#[schemars(with = "Written")]
pub struct Attack {
    /// Names the attack within its scenario.
    pub name: String,
    /// Who acts: a file of `manifests/personas`, without `.yaml`.
    pub r#as: String,
    /// What is sent.
    pub r#do: Action,
    /// The one door to try instead of every door that the action has.
    pub only: Option<Door>,
    /// What must come of it.
    pub expected: Expectation,
}

impl Attack {
    /// The refusal that is expected; `None` if nobody must refuse it.
    pub fn blocked(&self) -> Option<&Blocked> {
        match &self.expected {
            Expectation::Blocked(blocked, _) => Some(blocked),
            Expectation::Sound(_) | Expectation::Succeeds(..) | Expectation::Recorded(_) => None,
        }
    }

    /// The control that must refuse it, or of which the configuration must be right; `None` if there is none.
    pub fn control(&self) -> Option<&str> {
        match &self.expected {
            Expectation::Blocked(blocked, _) => Some(&blocked.by),
            Expectation::Sound(sound) => Some(&sound.control),
            Expectation::Succeeds(..) | Expectation::Recorded(_) => None,
        }
    }

    /// What it is in its scenario.
    pub fn role(&self) -> Role {
        match &self.expected {
            Expectation::Blocked(..) | Expectation::Recorded(_) => Role::Attack,
            Expectation::Sound(_) => Role::Review,
            Expectation::Succeeds(..) => Role::Step,
        }
    }

    /// Whether it is a step on which the attacks after it rest.
    pub fn is_step(&self) -> bool {
        matches!(self.expected, Expectation::Succeeds(..))
    }

    /// Whether it may show that a control does not act.
    pub fn tests(&self, control: &str) -> bool {
        self.control() == Some(control)
            || self.expected.logged().is_some() && control == AUDIT_POLICY
    }
}

/// An attack, in the keys of its file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename = "Attack")]
#[schemars(transform = exactly_one)]
struct Written {
    /// Names the attack within its scenario.
    name: String,
    /// Who acts: a file of `manifests/personas`, without `.yaml`.
    r#as: String,
    /// What is sent.
    r#do: Action,
    /// The one door to try instead of every door that the action has.
    #[serde(default)]
    only: Option<Door>,
    /// Who must refuse it.
    #[serde(default)]
    blocked: Option<Blocked>,
    /// Of a review: the control of which nothing that was read may be configured wrongly.
    #[serde(default)]
    sound: Option<Sound>,
    /// What shows that a step worked on which the attacks after it rest: where it did not, nothing can be told.
    #[serde(default)]
    succeeds: Option<Succeeds>,
    /// It must be let in, and this is the evidence that it must leave in the audit log.
    #[serde(default)]
    recorded: Option<Recorded>,
    /// Beside `blocked` or `succeeds`: the evidence that it must leave in the audit log.
    #[serde(default)]
    logged: Option<Logged>,
}

impl TryFrom<Written> for Attack {
    type Error = NoExpectation;

    fn try_from(written: Written) -> Result<Attack, NoExpectation> {
        let Written { name, r#as, r#do, only, blocked, sound, succeeds, recorded, logged } =
            written;
        let expected = Expectation::of(blocked, sound, succeeds, recorded, logged)?;
        Ok(Attack { name, r#as, r#do, only, expected })
    }
}

/// Tells an editor which keys go together.
fn exactly_one(schema: &mut Schema) {
    schema.insert(
        "oneOf".to_owned(),
        json!([
            {"required": ["blocked"]},
            {"required": ["sound"], "not": {"required": ["logged"]}},
            {"required": ["succeeds"]},
            {"required": ["recorded"], "not": {"required": ["logged"]}},
        ]),
    );
}
