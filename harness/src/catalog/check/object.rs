//! Kubernetes objects of targets and controls: each says what it is, and has no field that Kubernetes does not know.

use serde_json::Value;

use super::{Check, fields};
use crate::catalog::set_up::named;
use crate::catalog::{ControlEntry, Problem};
use crate::model::Control;

/// What every object says of itself, as JSON pointers, and how it is written.
const SAID: [(&str, &str); 3] = [
    ("/apiVersion", "apiVersion: v1"),
    ("/kind", "kind: Namespace"),
    ("/metadata/name", "metadata: {name: …}"),
];

impl Check<'_> {
    /// The documents of a file, which are all applied.
    pub(super) fn objects_of<'v>(&mut self, documents: impl Iterator<Item = &'v Value>) {
        for (position, object) in documents.enumerate() {
            self.object(position, object);
        }
    }

    fn object(&mut self, position: usize, object: &Value) {
        for (pointer, written) in SAID {
            if !object.pointer(pointer).is_some_and(Value::is_string) {
                let message = format!("the object says no `{}`", pointer[1..].replace('/', "."));
                let hint = format!("what is applied is an object of Kubernetes: `{written}`");
                self.wrong_in(position, pointer, &message, &hint);
            }
        }
        if fields::is_namespaced(object) && !object["metadata"]["namespace"].is_string() {
            let hint = "write `namespace:` beside its name; nothing is applied to a default one";
            self.wrong_in(position, "/metadata", "the object is in no namespace", hint);
        }
        let Some(look) = fields::by_kind(object) else { return };
        for unknown in look(object) {
            self.wrong_in(position, &unknown.pointer, &unknown.message(), &unknown.hint());
        }
    }

    /// A problem in one of the file's documents.
    fn wrong_in(&mut self, document: usize, pointer: &str, message: &str, hint: &str) {
        let shown = self.is_next_shown();
        let place = shown.then(|| self.source.place_in(document, pointer)).flatten();
        let problem = self.source.problem(place, message, hint);
        self.problems.push(Problem { file: self.source.document(document), ..problem });
    }
}

impl ControlEntry {
    /// The files beside `control.yaml` whose objects are applied, by the control itself or by a weakening of it.
    pub(super) fn object_files(&self) -> impl Iterator<Item = (String, &[Value])> {
        let Control { objects, weaken, .. } = &self.control;
        let added = weaken.values().flat_map(|weakening| &weakening.add);
        let added = added.map(String::as_str);
        let mut names: Vec<&str> = objects.names().into_iter().chain(added).collect();
        names.sort();
        names.dedup();
        let folder = self.file.trim_end_matches("/control.yaml");
        let files = names.into_iter().flat_map(|name| named(&self.files, name));
        files.map(move |(name, file)| (format!("{folder}/{name}"), file.documents.as_slice()))
    }
}
