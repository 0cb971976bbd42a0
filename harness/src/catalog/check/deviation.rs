//! Deviations: what they except is there.

use std::collections::BTreeSet;

use super::Check;
use crate::catalog::read::Parsed;
use crate::model::{Deviation, Scenario};

impl Check<'_> {
    pub(super) fn deviations(&mut self, deviations: &[Deviation], scenarios: &[Parsed<Scenario>]) {
        let catalog = self.catalog;
        let weakenings: BTreeSet<String> = catalog
            .controls
            .iter()
            .flat_map(|(id, entry)| {
                entry.control.weaken.keys().map(move |name| format!("{id}/{name}"))
            })
            .collect();
        let ids = || scenarios.iter().map(|scenario| scenario.name.as_str());
        for (position, deviation) in deviations.iter().enumerate() {
            match deviation {
                Deviation::Missed(missed) => {
                    let pointer = format!("/{position}/missed/weakening");
                    let known = weakenings.iter().map(String::as_str);
                    self.known("weakening", &missed.weakening, &pointer, known);
                }
                Deviation::Vacuous(vacuous) => {
                    let pointer = format!("/{position}/vacuous/scenario");
                    self.known("scenario", &vacuous.scenario, &pointer, ids());
                    let found = scenarios.iter().find(|it| it.name == vacuous.scenario);
                    let attacks = found.map_or(&[][..], |it| &it.says.attacks);
                    let names = attacks.iter().map(|attack| attack.name.as_str());
                    let pointer = format!("/{position}/vacuous/attack");
                    self.known("attack", &vacuous.attack, &pointer, names);
                    let mut tested = found.map(|it| it.says.controls()).unwrap_or_default();
                    if let Some(attack) = attacks.iter().find(|it| it.name == vacuous.attack) {
                        tested.retain(|control| attack.tests(control));
                    }
                    let pointer = format!("/{position}/vacuous/control");
                    self.known(
                        "tested control",
                        &vacuous.control,
                        &pointer,
                        tested.iter().copied(),
                    );
                }
                Deviation::Collateral(known) => {
                    let pointer = format!("/{position}/collateral");
                    let names = weakenings.iter().map(String::as_str);
                    self.known(
                        "weakening",
                        &known.weakening,
                        &format!("{pointer}/weakening"),
                        names,
                    );
                    let pointer = format!("{pointer}/scenario");
                    self.known("scenario", &known.scenario, &pointer, ids());
                }
            }
        }
    }
}
