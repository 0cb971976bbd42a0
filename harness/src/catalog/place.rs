//! Where a control is in the reader's files: what they would change where it fails.

use serde_json::Value;

use super::set_up::named;
use super::source::Source;
use super::{ControlEntry, Planned, ProfileEntry};
use crate::model::{ControlPlace, Layer};

/// A file, and the line in it; `None` where it is the file as a whole.
type Place = (String, Option<usize>);

impl ProfileEntry {
    /// Where its controls are in files of the reader's, in the order of their ids: what they have written of a control, and
    /// else where their profile has it. Those that are in none are left out.
    pub fn places(&self) -> Vec<ControlPlace> {
        let profile = (!self.built_in)
            .then(|| Source::again(&self.file, self.built_in, &self.text).ok())
            .flatten();
        let place = |planned: &Planned| {
            let says = || {
                let line = profile.as_ref()?.place(&planned.pointer).map(|(line, _)| line);
                Some((self.file.clone(), line))
            };
            // Of a weakened one what they have written is not what fails.
            let (file, line) = match planned.unweakened {
                true => planned.control.place().or_else(says),
                false => says().or_else(|| planned.control.place()),
            }?;
            Some(ControlPlace { run: None, control: planned.control.id.clone(), file, line })
        };
        self.controls.iter().filter_map(place).collect()
    }
}

impl ControlEntry {
    /// Where it is, if it is the reader's own: the object that decides, where that can be told, and else its `control.yaml`.
    fn place(&self) -> Option<Place> {
        (!self.built_in).then(|| self.deciding().unwrap_or_else(|| (self.file.clone(), None)))
    }

    /// The object in its files that its `decides` names, or the only one that they hold.
    fn deciding(&self) -> Option<Place> {
        let names = self.control.objects.names().into_iter();
        let names = names.chain(self.control.api_server.files.iter().map(String::as_str));
        let files = names.flat_map(|name| named(&self.files, name));
        let objects: Vec<_> = files
            .flat_map(|(name, file)| {
                let documents = file.documents.iter().enumerate();
                documents.map(move |(position, object)| (name, file, position, object))
            })
            .collect();
        let is_only = objects.len() == 1;
        objects.into_iter().find_map(|(name, file, position, object)| {
            let pointer = decides(object, &self.control.decides)
                .or_else(|| is_only.then(|| "/kind".to_owned()))?;
            let shown = format!("{}/{name}", self.file.trim_end_matches("/control.yaml"));
            let source = Source::again(&shown, self.built_in, &file.text).ok()?;
            let line = source.place_in(position, &pointer).map(|(line, _)| line);
            Some((shown, line))
        })
    }
}

/// Where in an object the name stands by which one of these layers is known, as a JSON pointer; `None` if it is none of them.
fn decides(object: &Value, layers: &[Layer]) -> Option<String> {
    let is_one = |layer: &Layer| layers.iter().any(|meant| meant.covers(layer));
    if object["kind"] == "ValidatingAdmissionPolicy" {
        let name = object["metadata"]["name"].as_str()?;
        return is_one(&Layer::Policy(name.to_owned())).then(|| "/metadata/name".to_owned());
    }
    let is_webhook = |webhook: &Value| {
        webhook["name"].as_str().is_some_and(|name| is_one(&Layer::Webhook(name.to_owned())))
    };
    let position = object["webhooks"].as_array()?.iter().position(is_webhook)?;
    Some(format!("/webhooks/{position}/name"))
}
