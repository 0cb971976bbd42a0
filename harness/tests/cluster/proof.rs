//! The proof of our own profile and catalog as tests: one per weakening, and one for the proof as a whole.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, OnceLock};

use brinell::catalog::{Catalog, Entry};
use brinell::cluster::ClusterType;
use brinell::model::{Outcome, Proof};
use brinell::prove::{Trials, Who};
use brinell::run::Plan;

use crate::support::{Home, cache};

/// A test that panics where something is not as it should be.
pub type Test = Box<dyn FnOnce() + Send>;

/// A test per weakening that is tried against these scenarios, all where none is named.
pub fn tests(
    catalog: &Catalog,
    cluster: ClusterType,
    scenarios: &[String],
    who: Who,
) -> Vec<(String, Test)> {
    let is_chosen = |entry: &&Entry| scenarios.is_empty() || scenarios.contains(&entry.id);
    let selected: Vec<&Entry> = catalog.scenarios.iter().filter(is_chosen).collect();
    let plan = plan(catalog, cluster, selected);
    let bed = Bed { cluster, scenarios: scenarios.to_vec(), who, ran: OnceLock::new() };
    let bed = Arc::new(bed);
    let mut tests: Vec<(String, Test)> = Vec::new();
    for trial in Trials::new(&plan, &[], who).trials {
        let (bed, id) = (Arc::clone(&bed), trial.id());
        tests.push((id.clone(), Box::new(move || bed.check(&id))));
    }
    tests.push(("whole".to_owned(), Box::new(move || bed.check_whole())));
    tests
}

/// Our own profile on a kind of cluster.
pub fn plan<'a>(catalog: &'a Catalog, cluster: ClusterType, selected: Vec<&'a Entry>) -> Plan<'a> {
    let profile = catalog.profile("hardened").expect("a profile of ours");
    Plan::new(catalog, &profile, cluster, selected)
}

/// One proof, shared by the trials of all its weakenings.
struct Bed {
    cluster: ClusterType,
    scenarios: Vec<String>,
    who: Who,
    ran: OnceLock<Result<Ran, String>>,
}

/// What came of it.
struct Ran {
    code: Option<i32>,
    printed: String,
    proof: Proof,
    outcomes: BTreeMap<String, (Outcome, String)>,
}

impl Bed {
    fn check(&self, id: &str) {
        let (outcome, cause) = self.ran().outcomes.get(id).expect("it was tried");
        let is_known = *outcome == Outcome::Missed && cause.starts_with("known: ");
        assert!(*outcome == Outcome::Caught || is_known, "{outcome:?}: {cause}");
    }

    fn check_whole(&self) {
        let ran = self.ran();
        assert_eq!(ran.code, Some(0), "{}", ran.printed);
        assert!(!ran.proof.is_failure(), "{}", ran.printed);
        assert_eq!(ran.proof.count(Outcome::Wrong), 0, "{}", ran.printed);
    }

    fn ran(&self) -> &Ran {
        let ran = self.ran.get_or_init(|| self.run().map_err(|error| error.to_string()));
        ran.as_ref().unwrap_or_else(|error| panic!("{error}"))
    }

    fn run(&self) -> Result<Ran, Box<dyn std::error::Error>> {
        let home = Home::new();
        let report = home.path("proof.json");
        let mut command = brinell(&home, self.cluster);
        for scenario in &self.scenarios {
            command.args(["--scenario", scenario]);
        }
        if self.who == Who::Expected {
            command.arg("--only-expected");
        }
        let output = command.arg("--json").arg(&report).output()?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let results = crate::support::results(&std::fs::read(&report)?);
        let proof = results.proof.ok_or_else(|| format!("nothing was tried:\n{printed}"))?;
        let outcomes = proof.weakenings.iter().map(|it| {
            let known = it.deviation.as_ref().map(|why| format!("known: {why}"));
            let cause = known.or_else(|| it.cause.clone()).unwrap_or_default();
            (it.id(), (it.outcome, cause))
        });
        let outcomes = outcomes.collect();
        if !home.runs().is_empty() {
            return Err(format!("a run's folder is still there:\n{printed}").into());
        }
        Ok(Ran { code: output.status.code(), printed, outcomes, proof })
    }
}

/// brinell, about to prove at this home.
pub fn brinell(home: &Home, cluster: ClusterType) -> Command {
    let mut command = home.brinell();
    command.env("XDG_CACHE_HOME", cache());
    command.args(["prove", "--cluster", cluster.name()]);
    command
}
