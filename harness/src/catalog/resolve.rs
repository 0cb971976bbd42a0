//! Resolving: what is named takes the place of its name. Nothing that comes after the catalog looks up a name.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::read::{Parsed, Read};
use super::source::Source;
use super::{Catalog, Entry, Planned, Problem, ProfileEntry, Question, Turn, WeakenError};
use crate::model::{Attack, Door, Expectation, Permit, Profile, Ready, Role, Scenario, Setting};

/// The catalog of what was read and checked.
pub(super) fn all(read: Read) -> Result<Catalog, Problem> {
    let Read { mut catalog, scenarios, profiles, .. } = read;
    for read in scenarios {
        let entry = scenario(&catalog, read)?;
        catalog.scenarios.push(entry);
    }
    for read in profiles {
        let entry = profile(&catalog, read)?;
        catalog.profiles.insert(entry.name.clone(), entry);
    }
    Ok(catalog)
}

/// A profile, with its controls and what they ask.
pub(super) fn profile(catalog: &Catalog, read: Parsed<Profile>) -> Result<ProfileEntry, Problem> {
    let Parsed { name, source, says } = read;
    let names = Names { catalog, file: &source.file };
    let controls = says
        .controls
        .iter()
        .map(|(id, setting)| names.planned(id, setting, format!("/controls/{id}")));
    let controls = controls.collect::<Result<_, _>>()?;
    let Source { file, built_in, text, .. } = source;
    Ok(ProfileEntry { name, file, built_in, text, profile: says, controls })
}

/// A control that is added, as a setting has it in a profile of this file.
pub(super) fn added(
    catalog: &Catalog,
    file: &str,
    id: &str,
    setting: &Setting,
) -> Result<Planned, Problem> {
    Names { catalog, file }.planned(id, setting, "/added".to_owned())
}

/// A scenario, with its target and what it tries.
pub(super) fn scenario(catalog: &Catalog, read: Parsed<Scenario>) -> Result<Entry, Problem> {
    let names = Names { catalog, file: &read.source.file };
    let target = names.named("target", &read.says.target, &catalog.targets)?;
    let turns = names.turns(&read.says)?;
    Ok(Entry {
        family: read.family(),
        id: read.name,
        file: read.source.file,
        built_in: read.source.built_in,
        text: read.source.text,
        scenario: read.says,
        target,
        turns,
        without_pods: false,
        untold: None,
        lines: OnceLock::new(),
    })
}

/// The names in one file.
struct Names<'a> {
    catalog: &'a Catalog,
    file: &'a str,
}

impl Names<'_> {
    /// What has a name. Every name was checked; should one have been forgotten there, it is a problem like any other.
    fn named<T>(
        &self,
        kind: &str,
        name: &str,
        things: &BTreeMap<String, Arc<T>>,
    ) -> Result<Arc<T>, Problem> {
        things.get(name).cloned().ok_or_else(|| self.unknown(kind, name))
    }

    fn unknown(&self, kind: &str, name: &str) -> Problem {
        Problem::of_file(self.file, &format!("there is no {kind} `{name}`"))
    }

    fn turns(&self, scenario: &Scenario) -> Result<Vec<Turn>, Problem> {
        let attacks = scenario.attacks.iter().enumerate().flat_map(|(number, attack)| {
            doors(attack).into_iter().map(move |door| self.attack(number, attack, door))
        });
        let permits = scenario.permits.iter().enumerate();
        attacks.chain(permits.map(|(number, permit)| self.permit(number, permit))).collect()
    }

    fn attack(&self, number: usize, attack: &Attack, door: Door) -> Result<Turn, Problem> {
        let catalog = self.catalog;
        Ok(Turn {
            name: attack.name.clone(),
            pointer: format!("/attacks/{number}"),
            role: attack.role(),
            persona: self.named("persona", &attack.r#as, &catalog.personas)?,
            action: attack.r#do.clone(),
            door,
            expected: attack.expected.with(|id| self.named("control", id, &catalog.controls))?,
        })
    }

    fn permit(&self, number: usize, permit: &Permit) -> Result<Turn, Problem> {
        Ok(Turn {
            name: permit.name.clone(),
            pointer: format!("/permits/{number}"),
            role: Role::Permit,
            persona: self.named("persona", &permit.r#as, &self.catalog.personas)?,
            action: permit.r#do.clone(),
            door: permit.only.unwrap_or(permit.r#do.facts().doors[0]),
            expected: Expectation::Succeeds(permit.succeeds.clone(), permit.logged.clone()),
        })
    }

    fn planned(&self, id: &str, setting: &Setting, pointer: String) -> Result<Planned, Problem> {
        let control = self.named("control", id, &self.catalog.controls)?;
        let weakenings = control.weakenings().map_err(|error| self.misfit(&error))?;
        let set_up = match &setting.weakening {
            None => control.set_up(None).map_err(|error| self.misfit(&error))?,
            Some(name) => {
                let weakened = weakenings.iter().find(|it| it.name == *name);
                weakened.ok_or_else(|| self.unknown("weakening", name))?.set_up.clone()
            }
        };
        let unweakened = setting.weakening.is_none();
        let questions = control.control.ready.iter().map(|ready| self.question(ready));
        let questions = questions.collect::<Result<_, _>>()?;
        Ok(Planned { control, pointer, set_up, unweakened, questions, weakenings })
    }

    fn misfit(&self, error: &WeakenError) -> Problem {
        Problem::of_file(self.file, &error.to_string())
    }

    fn question(&self, ready: &Ready) -> Result<Question, Problem> {
        let target = ready.target.as_ref();
        let target = target.map(|name| self.named("target", name, &self.catalog.targets));
        let persona = self.named("persona", &ready.r#as, &self.catalog.personas)?;
        Ok(Question { ready: ready.clone(), target: target.transpose()?, persona })
    }
}

/// The doors that an attack is sent through.
fn doors(attack: &Attack) -> Vec<Door> {
    attack.only.map_or_else(|| attack.r#do.facts().doors.to_vec(), |door| vec![door])
}
