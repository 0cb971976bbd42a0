//! The attempts that a scenario asks for, in order.

use super::{Attack, Expectation, Permit, Scenario};
use crate::model::{Action, Door, Role};

/// One attempt that a scenario asks for: an attack, a step or a permit, through one door.
#[derive(Debug, Clone)]
pub struct Turn<'a> {
    /// The attack's or permit's name.
    pub name: &'a str,
    /// Which of them it is.
    pub role: Role,
    /// Who acts.
    pub persona: &'a str,
    /// What is sent.
    pub action: &'a Action,
    /// Which way.
    pub door: Door,
    /// What must come of it.
    pub expected: Expectation,
}

impl Scenario {
    /// Every attempt, in the order in which they are made: attacks through each of their doors, permits through one.
    pub fn turns(&self) -> Vec<Turn<'_>> {
        let attacks = self
            .attacks
            .iter()
            .flat_map(|attack| attack.doors().into_iter().map(move |door| attack.turn(door)));
        attacks.chain(self.permits.iter().map(Permit::turn)).collect()
    }
}

impl Attack {
    fn doors(&self) -> Vec<Door> {
        self.only.map_or_else(|| self.r#do.facts().doors.to_vec(), |door| vec![door])
    }

    fn turn(&self, door: Door) -> Turn<'_> {
        Turn {
            name: &self.name,
            role: self.role(),
            persona: &self.r#as,
            action: &self.r#do,
            door,
            expected: self.expected.clone(),
        }
    }
}

impl Permit {
    fn turn(&self) -> Turn<'_> {
        Turn {
            name: &self.name,
            role: Role::Permit,
            persona: &self.r#as,
            action: &self.r#do,
            door: self.only.unwrap_or(self.r#do.facts().doors[0]),
            expected: Expectation::Succeeds(self.succeeds.clone(), self.logged.clone()),
        }
    }
}
