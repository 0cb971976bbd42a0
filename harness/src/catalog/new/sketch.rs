//! The files of a control that is begun: what is known stands in them, what is not is asked for in comments at the place.

use serde_json::{Value, json};

use super::NewFile;
use super::yaml::{flow, text};
use crate::model::Reason;

/// What begins a comment that asks for something.
pub(super) const YOURS: &str = "# YOURS:";

/// A control that is begun.
pub(super) struct Sketch {
    /// Its id.
    pub(super) name: String,
    /// What it ensures.
    pub(super) title: String,
    /// The layers that refuse.
    pub(super) decides: Value,
    /// Where to look on a cluster where it does not act.
    pub(super) look_at: String,
    /// The lines that say what is set up.
    pub(super) set_up: Vec<String>,
    /// The lines of the questions that show it acting.
    pub(super) ready: Vec<String>,
    /// The ways to get it wrong.
    pub(super) weakenings: Vec<Weak>,
    /// The scenarios that notice.
    pub(super) scenarios: Vec<Scene>,
    /// What else is written.
    pub(super) files: Vec<NewFile>,
}

/// One way to get it wrong.
pub(super) struct Weak {
    name: String,
    why: &'static str,
    change: Vec<String>,
    expect: Vec<(String, Reason)>,
}

impl Weak {
    pub(super) fn new(name: &str, why: &'static str) -> Weak {
        Weak { name: name.to_owned(), why, change: Vec::new(), expect: Vec::new() }
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Leaves objects out.
    pub(super) fn delete(mut self, objects: &[&str]) -> Weak {
        self.change.push(format!("delete: {}", flow(&json!(objects))));
        self
    }

    /// Applies a file as well.
    pub(super) fn add(mut self, file: &str) -> Weak {
        self.change.push(format!("add: {}", flow(&json!([file]))));
        self
    }

    /// Says something else that is changed.
    pub(super) fn with(mut self, line: &str) -> Weak {
        self.change.push(line.to_owned());
        self
    }

    /// Changes objects, each by these operations.
    pub(super) fn patch(mut self, objects: &[(&str, Vec<Value>)]) -> Weak {
        self.change.push("patch:".to_owned());
        for (object, operations) in objects {
            self.change.push(format!("  {}:", text(object)));
            self.change.extend(operations.iter().map(|it| format!("  - {}", flow(it))));
        }
        self
    }

    /// Says who must notice.
    pub(super) fn expect(mut self, scenario: &str, reason: Reason) -> Weak {
        self.expect.push((scenario.to_owned(), reason));
        self
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("  {}:", text(&self.name)), format!("    why: {}", self.why)];
        lines.extend(self.change.iter().map(|line| format!("    {line}")));
        // A file writes the words of a label as one.
        let reason = |reason: &Reason| reason.label().replace(' ', "-");
        let expected = self.expect.iter().map(|(id, it)| format!("{}: {}", text(id), reason(it)));
        let expected: Vec<String> = expected.collect();
        lines.push(format!("    expect: {{{}}}", expected.join(", ")));
        lines
    }
}

/// An operation of a JSON Patch that sets a field, whether it is there or not.
pub(super) fn set(path: &str, value: Value) -> Value {
    json!({"op": "add", "path": path, "value": value})
}

/// A scenario that is begun.
pub(super) struct Scene {
    /// Its id.
    pub(super) id: String,
    /// What is attempted.
    pub(super) title: String,
    /// What is lost when it works.
    pub(super) why: String,
    /// What to change where it does.
    pub(super) fix: String,
    /// The target.
    pub(super) target: String,
    /// What must be stopped.
    pub(super) attacks: Vec<Act>,
    /// What must keep working.
    pub(super) permits: Vec<Act>,
}

/// An attack or a permit.
#[derive(Clone)]
pub(super) struct Act {
    name: String,
    who: String,
    what: Value,
    outcome: (&'static str, Value),
    asked: Vec<String>,
}

impl Act {
    pub(super) fn new(name: &str, who: &str, what: Value, outcome: (&'static str, Value)) -> Act {
        let (name, who) = (name.to_owned(), who.to_owned());
        Act { name, who, what, outcome, asked: Vec::new() }
    }

    /// Asks for something that only the reader knows.
    pub(super) fn asking(mut self, what: Option<&str>) -> Act {
        self.asked.extend(what.map(|what| format!("  {YOURS} {what}")));
        self
    }

    fn lines(&self) -> Vec<String> {
        let (outcome, value) = &self.outcome;
        let mut lines =
            vec![format!("- name: {}", text(&self.name)), format!("  as: {}", text(&self.who))];
        lines.extend(self.asked.iter().cloned());
        lines.push(format!("  do: {}", flow(&self.what)));
        lines.push(format!("  {outcome}: {}", flow(value)));
        lines
    }
}

impl Scene {
    fn file(&self, family: &str) -> NewFile {
        let mut lines = vec![
            format!("title: {}", text(&self.title)),
            format!("why: {}", text(&self.why)),
            format!("fix: {}", text(&self.fix)),
            format!("target: {}", text(&self.target)),
            "attacks:".to_owned(),
        ];
        lines.extend(self.attacks.iter().flat_map(Act::lines));
        lines.push("permits:".to_owned());
        lines.extend(self.permits.iter().flat_map(Act::lines));
        let place = format!("scenarios/{family}/{}.yaml", self.id);
        NewFile { place, text: lines.join("\n") + "\n" }
    }
}

impl Sketch {
    /// Where a file beside `control.yaml` lies.
    pub(super) fn beside(name: &str, file: &str) -> String {
        format!("manifests/controls/{name}/{file}")
    }

    /// Its `control.yaml`.
    pub(super) fn control(&self) -> NewFile {
        let mut lines = vec![
            format!(
                "# What is marked YOURS is yours to say; `brinell prove --control {}` shows what the rest is worth.",
                self.name
            ),
            format!("title: {}", text(&self.title)),
            format!("decides: {}", flow(&self.decides)),
            format!("look-at: {}", text(&self.look_at)),
        ];
        lines.extend(self.set_up.iter().cloned());
        if !self.ready.is_empty() {
            lines.push("ready:".to_owned());
            lines.extend(self.ready.iter().cloned());
        }
        lines.push("weaken:".to_owned());
        lines.extend(self.weakenings.iter().flat_map(Weak::lines));
        let place = Sketch::beside(&self.name, "control.yaml");
        NewFile { place, text: lines.join("\n") + "\n" }
    }

    /// All its files.
    pub(super) fn into_files(self) -> Vec<NewFile> {
        let scenarios: Vec<NewFile> =
            self.scenarios.iter().map(|scene| scene.file(&self.name)).collect();
        [self.control()].into_iter().chain(self.files).chain(scenarios).collect()
    }
}
