//! How the cluster must answer: who refuses, what shows that it worked, what stands in the audit log.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Door, Layer};

/// What must come of an attack. What the audit log must hold of it stands beside a block and a step, and is all of what is
/// only recorded. A file gives a control by its name; the catalog puts the control itself in its place.
#[derive(Debug, Clone)]
pub enum Expectation<Control = String> {
    /// A control refuses it.
    Blocked(Blocked<Control>, Option<Logged>),
    /// It is a review, and what it reads is configured rightly.
    Sound(Sound<Control>),
    /// It is a step and works: where it does not, nothing can be told of the attacks after it.
    Succeeds(Succeeds, Option<Logged>),
    /// It is let in, and only the evidence that it leaves counts.
    Recorded(Recorded),
}

impl Expectation {
    /// The expectation that the keys of an attack are.
    ///
    /// # Errors
    /// When they are none, or more than one.
    pub(super) fn of(
        blocked: Option<Blocked>,
        sound: Option<Sound>,
        succeeds: Option<Succeeds>,
        recorded: Option<Recorded>,
        logged: Option<Logged>,
    ) -> Result<Expectation, NoExpectation> {
        if let Some(sound) = sound {
            let is_alone =
                blocked.is_none() && succeeds.is_none() && recorded.is_none() && logged.is_none();
            return is_alone.then_some(Expectation::Sound(sound)).ok_or(NoExpectation::OnlySound);
        }
        match (blocked, succeeds, recorded, logged) {
            (Some(blocked), None, None, logged) => Ok(Expectation::Blocked(blocked, logged)),
            (None, Some(succeeds), None, logged) => Ok(Expectation::Succeeds(succeeds, logged)),
            (None, None, Some(recorded), None) => Ok(Expectation::Recorded(recorded)),
            (None, None, None, None) => Err(NoExpectation::Nothing),
            (None, None, None, Some(_)) => Err(NoExpectation::LoggedAlone),
            (None, None, Some(_), Some(_)) => Err(NoExpectation::LoggedTwice),
            (Some(_), Some(_), _, _) => Err(NoExpectation::BlockedStep),
            (_, _, Some(_), _) => Err(NoExpectation::OnlyRecorded),
        }
    }

    /// This expectation with the control in the place of its name.
    ///
    /// # Errors
    /// When nothing has the name.
    pub fn with<Control, E>(
        &self,
        control: impl FnOnce(&str) -> Result<Control, E>,
    ) -> Result<Expectation<Control>, E> {
        Ok(match self.clone() {
            Expectation::Blocked(Blocked { by, at, saying }, logged) => {
                Expectation::Blocked(Blocked { by: control(&by)?, at, saying }, logged)
            }
            Expectation::Sound(sound) => {
                Expectation::Sound(Sound { control: control(&sound.control)? })
            }
            Expectation::Succeeds(succeeds, logged) => Expectation::Succeeds(succeeds, logged),
            Expectation::Recorded(recorded) => Expectation::Recorded(recorded),
        })
    }
}

impl<Control> Expectation<Control> {
    /// Asks for no evidence beside a block or a step.
    pub(super) fn forget_log(&mut self) {
        match self {
            Expectation::Blocked(_, logged) | Expectation::Succeeds(_, logged) => *logged = None,
            Expectation::Sound(_) | Expectation::Recorded(_) => {}
        }
    }

    /// The evidence that is asked for; `None` if the audit log does not count.
    pub fn logged(&self) -> Option<Logged> {
        match self {
            Expectation::Blocked(_, logged) | Expectation::Succeeds(_, logged) => logged.clone(),
            Expectation::Sound(_) => None,
            Expectation::Recorded(recorded) => Some(recorded.logged()),
        }
    }
}

/// Why the keys of an attack say no expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoExpectation {
    /// None of them is there.
    Nothing,
    /// `logged` is there and nothing else.
    LoggedAlone,
    /// `logged` is there beside `recorded`.
    LoggedTwice,
    /// `succeeds` is there beside `blocked`.
    BlockedStep,
    /// `recorded` is there beside `blocked` or `succeeds`.
    OnlyRecorded,
    /// Another key is there beside `sound`.
    OnlySound,
}

impl NoExpectation {
    /// All of them. A parser keeps an error's words alone, by which it is found again here.
    pub const ALL: [NoExpectation; 6] = [
        NoExpectation::Nothing,
        NoExpectation::LoggedAlone,
        NoExpectation::LoggedTwice,
        NoExpectation::BlockedStep,
        NoExpectation::OnlyRecorded,
        NoExpectation::OnlySound,
    ];

    /// The key that is wrong; `None` if one is missing.
    pub fn key(self) -> Option<&'static str> {
        match self {
            NoExpectation::Nothing => None,
            NoExpectation::LoggedAlone | NoExpectation::LoggedTwice => Some("logged"),
            NoExpectation::BlockedStep => Some("succeeds"),
            NoExpectation::OnlyRecorded => Some("recorded"),
            NoExpectation::OnlySound => Some("sound"),
        }
    }

    /// What to write instead.
    pub fn hint(self) -> &'static str {
        match self {
            NoExpectation::Nothing => {
                "say who must block it (`blocked`), what shows that it works (`succeeds`), or that it must be let in \
                 and leave evidence (`recorded`)"
            }
            NoExpectation::LoggedAlone => {
                "write `recorded: {level: …}` instead of `logged: {level: …}`: it must be let in, and what it leaves \
                 counts"
            }
            NoExpectation::LoggedTwice => "write it in `recorded`, and remove `logged`",
            NoExpectation::BlockedStep => {
                "a step on which others rest works, an attack is blocked: remove one"
            }
            NoExpectation::OnlyRecorded => {
                "write `logged: {level: …}` beside `blocked` or `succeeds`, and remove `recorded`"
            }
            NoExpectation::OnlySound => {
                "a review attacks nobody and leaves no audit event: keep `sound`, and remove the others"
            }
        }
    }
}

impl fmt::Display for NoExpectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoExpectation::Nothing => "nothing is expected of this attack",
            NoExpectation::LoggedAlone => "`logged` does not say what must come of it",
            NoExpectation::LoggedTwice => "the evidence is asked for twice",
            NoExpectation::BlockedStep => "it cannot be blocked as well",
            NoExpectation::OnlyRecorded => "it cannot be only recorded as well",
            NoExpectation::OnlySound => "a review has one expectation",
        })
    }
}

/// The block that is expected: by which control, and with which words.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Blocked")]
pub struct Blocked<Control = String> {
    /// The control that must refuse: a folder of `manifests/controls`.
    pub by: Control,
    /// Which of the control's layers, where it decides in more than one.
    #[serde(default)]
    pub at: Option<Layer>,
    /// The reason that the refusal must give, apart from names: some of its words, or of Pod Security one of its checks,
    /// `host namespaces` or `host namespaces (hostPID=true)`.
    #[serde(default)]
    pub saying: Option<String>,
}

/// The configuration that a review expects.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Sound")]
pub struct Sound<Control = String> {
    /// The control whose configuration it is.
    pub control: Control,
}

/// The audit event that is expected. Verb, user, URI, object and code follow from what was sent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Logged {
    /// The exact level of the event. More is as wrong as less: bodies of Secrets must not be there.
    pub level: Level,
    /// Text that the event's request URI must contain.
    #[serde(default)]
    pub uri: Option<String>,
    /// The doors through which the log cannot hold more than that the request was received: neither body nor answer.
    #[serde(default)]
    pub received_only: Vec<Door>,
}

/// The audit event that is expected of an attack that nobody in particular must refuse.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recorded {
    /// The exact level of the event. More is as wrong as less: bodies of Secrets must not be there.
    pub level: Level,
    /// Text that the event's request URI must contain.
    #[serde(default)]
    pub uri: Option<String>,
    /// The doors through which the log cannot hold more than that the request was received: neither body nor answer.
    #[serde(default)]
    pub received_only: Vec<Door>,
    /// Whether a refusal is as good. Without this it must be let in, because a refused one does not show what an
    /// admitted one leaves.
    #[serde(default)]
    pub refused_too: bool,
}

impl Recorded {
    /// The event, whatever else must come of it.
    pub fn logged(&self) -> Logged {
        let Recorded { level, uri, received_only, refused_too: _ } = self.clone();
        Logged { level, uri, received_only }
    }
}

/// How much an audit event holds (`audit.k8s.io/v1` Level).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
pub enum Level {
    /// Nothing is logged.
    None,
    /// Who did what, without bodies.
    Metadata,
    /// With the request's body.
    Request,
    /// With both bodies.
    RequestResponse,
}

/// What shows that a permit worked. A permit without any of these needs a 2xx answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Succeeds {
    /// The exact output of the command, without its last line break.
    #[serde(default)]
    pub stdout: Option<String>,
    /// Text that the output must contain.
    #[serde(default)]
    pub stdout_contains: Option<String>,
}
