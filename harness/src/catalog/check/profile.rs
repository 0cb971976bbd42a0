//! Profiles: their controls are there, and can act together.

use super::{Check, keys};
use crate::catalog::SetUp;
use crate::model::Profile;

impl Check<'_> {
    pub(super) fn profile(&mut self, profile: &Profile) {
        let catalog = self.catalog;
        let mut set_ups: Vec<(&str, SetUp)> = Vec::new();
        for (id, setting) in &profile.controls {
            let pointer = format!("/controls/{id}");
            let Some(entry) = catalog.controls.get(id) else {
                self.known("control", id, &pointer, keys(&catalog.controls));
                continue;
            };
            let weaken = &entry.control.weaken;
            if let Some(name) = &setting.weakening {
                self.known("weakening", name, &format!("{pointer}/weakening"), keys(weaken));
            }
            let weakening = setting.weakening.as_ref().and_then(|name| weaken.get(name));
            if weakening.is_some_and(|weakening| weakening.past) {
                let hint = "only `brinell prove` can make what is over when scenarios run";
                self.wrong(&format!("{pointer}/weakening"), "this weakening is past", hint);
            }
            let set_up = entry.set_up(weakening).unwrap_or_default();
            let clashes =
                set_ups.iter().filter_map(|(other, theirs)| Some((other, theirs.clash(&set_up)?)));
            for (other, clash) in clashes {
                let message = format!("`{id}` and `{other}` both set {clash}");
                let hint = "the API server takes one of them: leave one control out";
                self.wrong(&pointer, &message, hint);
            }
            set_ups.push((id, set_up));
        }
    }
}
