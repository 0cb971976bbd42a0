//! Scenarios: what is expected of each attack and permit can come.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Check, keys};
use crate::catalog::Target;
use crate::catalog::part::Kind;
use crate::catalog::read::Parsed;
use crate::model::{
    AUDIT_POLICY, Action, Attack, Blocked, Door, Expectation, Permit, Scenario, Sound, Succeeds,
};

impl Check<'_> {
    pub(super) fn scenario(&mut self, read: &Parsed<Scenario>) {
        let scenario = &read.says;
        self.name(Kind::Scenario, &read.name);
        if scenario.attacks.is_empty() {
            self.wrong("/attacks", "no attack", "a scenario has at least one attack");
        }
        if scenario.permits.is_empty() {
            let hint = "a control that blocks everything would pass: add what must keep working";
            self.wrong("/permits", "no permit", hint);
        }
        self.names(scenario);
        let catalog = self.catalog;
        self.known("target", &scenario.target, "/target", keys(&catalog.targets));
        let target = catalog.targets.get(&scenario.target).map(Arc::as_ref);
        for (position, attack) in scenario.attacks.iter().enumerate() {
            self.attack(attack, target, &format!("/attacks/{position}"));
        }
        for (position, permit) in scenario.permits.iter().enumerate() {
            self.permit(permit, target, &format!("/permits/{position}"));
        }
        self.proof(read);
    }

    /// A scenario must be expected to notice a weakening of each control that it tests: otherwise it may stay green for
    /// ever, and no proof demands that it was seen failing. Of a reader's scenario our own controls know nothing, and a
    /// reader's control nothing of ours.
    fn proof(&mut self, read: &Parsed<Scenario>) {
        let (id, scenario, catalog) = (&read.name, &read.says, self.catalog);
        let tested = scenario.controls().into_iter().filter_map(|id| catalog.controls.get(id));
        let tested = tested.filter(|control| read.source.built_in == control.built_in);
        for control in tested {
            let mut weakenings = control.control.weaken.values();
            if !weakenings.any(|weakening| weakening.expect.contains_key(id)) {
                let message = format!("no weakening of `{}` expects it to notice", control.id);
                let hint = format!(
                    "add `{id}: REASON` to the `expect` of one that it notices, in {}; \
                     `brinell prove --scenario {id}` shows which do",
                    control.file
                );
                self.wrong(&tests_at(scenario, &control.id), &message, &hint);
            }
        }
    }

    fn names(&mut self, scenario: &Scenario) {
        let attacks = scenario.attacks.iter().map(|attack| &attack.name);
        let permits = scenario.permits.iter().map(|permit| &permit.name);
        let places =
            attacks.enumerate().map(|(position, name)| (format!("/attacks/{position}"), name));
        let places = places.chain(
            permits.enumerate().map(|(position, name)| (format!("/permits/{position}"), name)),
        );
        let mut seen = BTreeSet::new();
        for (pointer, name) in places {
            if !seen.insert(name) {
                let message = format!("the name `{name}` appears twice");
                self.wrong(&format!("{pointer}/name"), &message, "results could not be told apart");
            }
        }
    }

    fn attack(&mut self, attack: &Attack, target: Option<&Target>, pointer: &str) {
        self.action(&attack.r#as, &attack.r#do, target, pointer);
        self.door(attack.only, &attack.r#do, pointer);
        if let Action::Rights(rights) = &attack.r#do {
            self.unpromised(rights, pointer);
        }
        match &attack.expected {
            Expectation::Blocked(_, _) if is_review(&attack.r#do) => {
                self.wrong(
                    &format!("{pointer}/blocked"),
                    ATTACKS_NOBODY,
                    "write `sound: {control: …}`",
                );
            }
            Expectation::Recorded(_) if is_review(&attack.r#do) => {
                self.wrong(
                    &format!("{pointer}/recorded"),
                    ATTACKS_NOBODY,
                    "write `sound: {control: …}`",
                );
            }
            Expectation::Blocked(blocked, logged) => {
                self.evidence(logged.is_some(), "logged", &attack.r#do, pointer);
                self.blocked(blocked, &attack.r#do, &format!("{pointer}/blocked"));
            }
            Expectation::Sound(sound) => {
                self.sound(sound, &attack.r#do, &format!("{pointer}/sound"))
            }
            Expectation::Succeeds(succeeds, logged) => {
                self.evidence(logged.is_some(), "logged", &attack.r#do, pointer);
                self.success(succeeds, &attack.r#do, pointer);
            }
            Expectation::Recorded(_) => self.evidence(true, "recorded", &attack.r#do, pointer),
        }
    }

    fn permit(&mut self, permit: &Permit, target: Option<&Target>, pointer: &str) {
        self.action(&permit.r#as, &permit.r#do, target, pointer);
        self.door(permit.only, &permit.r#do, pointer);
        if let Action::Rights(rights) = &permit.r#do {
            self.permitted(rights, pointer);
        }
        self.evidence(permit.logged.is_some(), "logged", &permit.r#do, pointer);
        self.success(&permit.succeeds, &permit.r#do, pointer);
    }

    fn success(&mut self, succeeds: &Succeeds, action: &Action, pointer: &str) {
        let output = succeeds.stdout.is_some() || succeeds.stdout_contains.is_some();
        if output && !action.facts().prints {
            let hint = "only exec and attach have output; `succeeds: {}` asks that it works";
            self.wrong(&format!("{pointer}/succeeds"), "this action has no output", hint);
        }
    }

    fn blocked(&mut self, blocked: &Blocked, action: &Action, pointer: &str) {
        let catalog = self.catalog;
        let by = format!("{pointer}/by");
        self.known("control", &blocked.by, &by, keys(&catalog.controls));
        let Some(entry) = catalog.controls.get(&blocked.by) else { return };
        let decides = &entry.control.decides;
        // What the audit policy keeps out of the log is found by a search, and by nothing else.
        let is_search = matches!(action, Action::AuditLog(_));
        if decides.is_empty() || (blocked.by == AUDIT_POLICY && !is_search) {
            let message = format!("`{}` refuses nobody", blocked.by);
            return self.wrong(&by, &message, "ask for the evidence that it leaves with `logged`");
        }
        if let Some(at) = blocked.at.as_ref().filter(|at| !decides.contains(at)) {
            let decides: Vec<String> = decides.iter().map(ToString::to_string).collect();
            let hint = format!("it decides at: {}", decides.join(", "));
            let message = format!("`{}` does not decide at {at}", blocked.by);
            self.wrong(&format!("{pointer}/at"), &message, &hint);
        }
        if let Some(saying) = &blocked.saying {
            let layers = blocked.at.as_ref().map_or(decides.as_slice(), std::slice::from_ref);
            self.saying(saying, layers, &format!("{pointer}/saying"));
        }
    }

    fn sound(&mut self, sound: &Sound, action: &Action, pointer: &str) {
        let catalog = self.catalog;
        self.known(
            "control",
            &sound.control,
            &format!("{pointer}/control"),
            keys(&catalog.controls),
        );
        if !is_review(action) {
            let hint = "say who must block it (`blocked`): only of a `review` it is asked what is configured";
            self.wrong(pointer, "this is no review", hint);
        }
    }

    fn door(&mut self, only: Option<Door>, action: &Action, pointer: &str) {
        if only.is_some_and(|door| !action.facts().doors.contains(&door)) {
            let doors: Vec<&str> = action.facts().doors.iter().map(|door| door.name()).collect();
            let hint = format!("its doors are: {}", doors.join(", "));
            self.wrong(&format!("{pointer}/only"), "the action has no such door", &hint);
        }
    }

    /// Evidence that is asked for under `key` must be able to come.
    fn evidence(&mut self, is_asked: bool, key: &str, action: &Action, pointer: &str) {
        if is_asked && !action.facts().is_logged {
            let hint = format!(
                "it goes past the API server, whose audit log cannot hold it: remove `{key}`"
            );
            let message = "this action leaves no audit event";
            self.wrong(&format!("{pointer}/{key}"), message, &hint);
        }
    }
}

const ATTACKS_NOBODY: &str = "a review attacks nobody, and cannot be refused";

fn is_review(action: &Action) -> bool {
    matches!(action, Action::Review(_))
}

/// Where a scenario says first that it tests a control, as a JSON pointer.
fn tests_at(scenario: &Scenario, control: &str) -> String {
    let named = |attack: &Attack| attack.control() == Some(control);
    if let Some(position) = scenario.attacks.iter().position(named) {
        let is_review = scenario.attacks[position].blocked().is_none();
        let key = if is_review { "sound/control" } else { "blocked/by" };
        return format!("/attacks/{position}/{key}");
    }
    let key = |attack: &Attack| match &attack.expected {
        Expectation::Blocked(_, logged) | Expectation::Succeeds(_, logged) => {
            logged.as_ref().map(|_| "logged")
        }
        Expectation::Sound(_) => None,
        Expectation::Recorded(_) => Some("recorded"),
    };
    let keys = scenario.attacks.iter().enumerate();
    let attack = keys.into_iter().find_map(|(position, attack)| Some((position, key(attack)?)));
    let permit = scenario.permits.iter().position(|permit| permit.logged.is_some());
    match (attack, permit) {
        (Some((position, key)), _) => format!("/attacks/{position}/{key}"),
        (None, Some(position)) => format!("/permits/{position}/logged"),
        (None, None) => String::new(),
    }
}
