//! Waivers: what they cover is there, and somebody answers for it until a day.

use k8s_openapi::jiff::civil::Date;

use super::Check;
use crate::model::{KnownVerdict, Reason, Role, Waiver};

impl Check<'_> {
    pub(super) fn waivers(&mut self, waivers: &[Waiver]) {
        for (position, waiver) in waivers.iter().enumerate() {
            let pointer = format!("/{position}");
            self.waived_attempts(waiver, &pointer);
            self.waived_findings(waiver, &pointer);
            self.answered_for(waiver, &pointer);
            if waivers[..position].contains(waiver) {
                self.wrong(&pointer, "it stands above already", "remove one of the two");
            }
        }
    }

    /// That attempts of the catalog are meant.
    fn waived_attempts(&mut self, waiver: &Waiver, pointer: &str) {
        let catalog = self.catalog;
        let ids = catalog.scenarios.iter().map(|entry| entry.id.as_str());
        let place = format!("{pointer}/scenario");
        self.known("scenario", &waiver.scenario, &place, ids);
        let Some(entry) = catalog.scenarios.iter().find(|it| it.id == waiver.scenario) else {
            return;
        };
        let turns = entry.turns.iter();
        let names: Vec<[&str; 3]> = turns
            .map(|turn| [turn.name.as_str(), turn.persona.name.as_str(), turn.door.label()])
            .collect();
        let written = [
            ("attempt", waiver.attempt.as_deref()),
            ("persona", waiver.persona.as_deref()),
            ("door", waiver.door.as_deref()),
        ];
        for (which, (key, name)) in written.iter().enumerate() {
            let mut known: Vec<&str> = names.iter().map(|it| it[which]).collect();
            known.sort_unstable();
            known.dedup();
            if let Some(name) = name {
                let kind = format!("{key} of {}", waiver.scenario);
                self.known(&kind, name, &format!("{pointer}/{key}"), known.iter().copied());
            }
        }
        let is_it = |it: &[&str; 3]| {
            written.iter().zip(it).all(|((_, name), it)| name.is_none_or(|name| name == *it))
        };
        let are_known = |which: usize| {
            written[which].1.is_none_or(|name| names.iter().any(|it| it[which] == name))
        };
        let meant = entry.turns.iter().zip(&names).filter(|(_, it)| is_it(it));
        if waiver.verdict == KnownVerdict::Failed
            && waiver.got.is_none()
            && meant.clone().any(|(turn, _)| turn.role != Role::Permit && turn.action.is_at_large())
        {
            let hint = "add `got:`, word for word as results tell it: what is known of one must not hide another";
            self.wrong(pointer, "it is about an attempt that tells of many at once", hint);
        }
        if (0..3).all(are_known) && !names.iter().any(is_it) {
            let hint = "name an attempt with the persona and the door that results show beside it";
            self.wrong(pointer, "no attempt has all of these", hint);
        }
    }

    fn waived_findings(&mut self, waiver: &Waiver, pointer: &str) {
        let place = format!("{pointer}/findings");
        if waiver.verdict == KnownVerdict::Inconclusive && !waiver.findings.is_empty() {
            let hint = "remove `findings`, or write a waiver of its own for what fails";
            self.wrong(&place, "what is inconclusive has no findings", hint);
        }
        if waiver.findings.contains(&Reason::LeftOver) {
            let hint = "`brinell sweep` removes it; no waiver covers it";
            self.wrong(&place, "something stays on the cluster", hint);
        }
    }

    fn answered_for(&mut self, waiver: &Waiver, pointer: &str) {
        for (key, text, hint) in [
            ("why", &waiver.why, "say why it is put up with"),
            ("owner", &waiver.owner, "name who answers for it: a person, a team, a ticket"),
        ] {
            if text.trim().is_empty() {
                self.wrong(&format!("{pointer}/{key}"), "it is empty", hint);
            }
        }
        // The form is compared too: days are compared as texts.
        let is_day =
            waiver.expires.parse::<Date>().is_ok_and(|it| it.to_string() == waiver.expires);
        if !is_day {
            let message = format!("{:?} is no day", waiver.expires);
            let hint = "write the last day on which it counts, such as 2026-12-31";
            self.wrong(&format!("{pointer}/expires"), &message, hint);
        }
    }
}
