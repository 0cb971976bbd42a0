//! Rights: what is dangerous is asked once, and what is asked about can be answered.

use std::collections::BTreeSet;

use super::{Check, keys};
use crate::model::{Breadth, Danger, Holder, Right, Rights};

/// The verbs that take a selector.
const SELECTING: [&str; 3] = ["deletecollection", "list", "watch"];

impl Check<'_> {
    /// Each entry of `manifests/rights.yaml` asks something, and nothing that another asks: those of other files are in
    /// `known`.
    pub(super) fn dangers(&mut self, dangers: &[Danger], known: &mut BTreeSet<String>) {
        for (position, danger) in dangers.iter().enumerate() {
            let pointer = format!("/{position}");
            self.danger(danger, &pointer);
            for right in danger.rights() {
                if !known.insert(right.to_string()) {
                    let message = format!("`{right}` is asked about already");
                    self.wrong(&pointer, &message, "remove it here or there");
                }
            }
        }
    }

    fn danger(&mut self, danger: &Danger, pointer: &str) {
        if !danger.source.starts_with("https://") && !danger.source.starts_with("measured") {
            let hint = "a page by its address, or `measured` with the version";
            self.wrong(&format!("{pointer}/source"), "it names no source", hint);
        }
        if danger.verbs.is_empty() || danger.resources.is_empty() == danger.urls.is_empty() {
            let hint = "write `verbs:`, and `resources:` or `urls:`";
            self.wrong(pointer, "it is about nothing, or about two things", hint);
        }
        if !danger.urls.is_empty() && danger.asked != Breadth::Cluster {
            let hint = "write `asked: cluster`";
            self.wrong(&format!("{pointer}/asked"), "a path is in no namespace", hint);
        }
        for right in danger.rights() {
            self.selectors(&right, pointer);
        }
    }

    pub(super) fn rights(&mut self, rights: &Rights, pointer: &str) {
        let of = format!("{pointer}/of");
        match &rights.of {
            Holder::Persona(name) => {
                let catalog = self.catalog;
                self.known("persona", name, &format!("{of}/persona"), keys(&catalog.personas));
                let entry = catalog.personas.get(name);
                if entry.is_some_and(|entry| entry.who.decided_as().is_none()) {
                    let hint = "name a persona with a ServiceAccount, one who is impersonated, or \
                                `anonymous`";
                    let message = format!("nobody knows the groups of `{name}`");
                    self.wrong(&format!("{of}/persona"), &message, hint);
                }
            }
            Holder::Groups(groups) if groups.is_empty() => {
                let hint = "name one, such as system:authenticated";
                self.wrong(&format!("{of}/groups"), "no group is named", hint);
            }
            Holder::Groups(_) | Holder::DefaultAccounts => {}
        }
        if let Some(right) = &rights.to {
            let pointer = format!("{pointer}/to");
            if right.resource.is_empty() == right.url.is_none() {
                let hint = "name a `resource:` such as pods/exec, or a `url:` such as /metrics";
                self.wrong(&pointer, "it asks about nothing, or about two things", hint);
            }
            if rights.of == Holder::DefaultAccounts && right.r#in.is_none() {
                let hint = "name the namespace that the account is in: `in: …`";
                self.wrong(&pointer, "there is one such account in each namespace", hint);
            }
            self.selectors(right, &pointer);
        }
    }

    /// An authorizer hears of a selector where a request can have one.
    fn selectors(&mut self, right: &Right, pointer: &str) {
        let has_one = !right.fields.is_empty() || !right.labels.is_empty();
        if has_one && !SELECTING.contains(&right.verb.as_str()) {
            let message = format!("a request to {} has no selector", right.verb);
            let hint = format!("a selector belongs to {}", SELECTING.join(", "));
            self.wrong(pointer, &message, &hint);
        }
    }

    /// A permit shows that one right is held. All of them together say nothing of a legitimate use.
    pub(super) fn permitted(&mut self, rights: &Rights, pointer: &str) {
        if rights.to.is_none() {
            let hint =
                "name a right that is held: `to: {verb: create, resource: pods/exec, in: …}`";
            self.wrong(&format!("{pointer}/do/rights"), "a permit asks about one right", hint);
        }
    }

    /// What the persona's own file promises is no attack.
    pub(super) fn unpromised(&mut self, rights: &Rights, pointer: &str) {
        let (Some(right), Holder::Persona(name)) = (&rights.to, &rights.of) else { return };
        if self.catalog.promise(name).covers(right) {
            let message = format!("the file of `{name}` promises it");
            let hint = "make it a permit, or take the rule from the persona's file";
            self.wrong(&format!("{pointer}/do/rights/to"), &message, hint);
        }
    }
}
