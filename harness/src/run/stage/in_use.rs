//! Which of our own namespaces on an existing cluster are still needed. One is deleted as soon as its last scenario has
//! ended, because it takes seconds until it is gone: the controller of namespaces begins five seconds after the
//! deletion (measured).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use futures::future::join_all;

use super::Stage;
use crate::catalog::{Document, Entry, Grounded, namespace};
use crate::cluster::release;
use crate::lock::lock;
use crate::run::Plan;
use crate::run::plan::named_by;

/// The namespaces that go before the run ends, each with the ids of the scenarios that are still to end.
#[derive(Default)]
pub(super) struct InUse(Mutex<BTreeMap<String, BTreeSet<String>>>);

impl InUse {
    /// Those of the targets that scenarios act on. What is given stays, and the personas' accounts are needed to the
    /// end.
    pub(super) fn of(plan: &Plan<'_>, grounded: &Grounded) -> InUse {
        let targets = plan.targets();
        let objects = targets.iter().flat_map(|target| &target.objects);
        let names = objects.filter_map(|it| namespace(&it.object));
        let own = names.filter(|name| !grounded.given.contains(*name));
        let users = |name: &str| {
            let using = plan.scenarios.iter().filter(|entry| uses(entry, name));
            using.map(|entry| entry.id.clone()).collect()
        };
        InUse(Mutex::new(own.map(|name| (name.to_owned(), users(name))).collect()))
    }

    /// Notes that a scenario has ended. Returns the namespaces that none needs any more.
    fn without(&self, entry: &Entry) -> Vec<String> {
        let mut in_use = lock(&self.0);
        let is_last = |users: &mut BTreeSet<String>| users.remove(&entry.id) && users.is_empty();
        let free =
            in_use.iter_mut().filter_map(|(name, users)| is_last(users).then(|| name.clone()));
        free.collect()
    }
}

/// Whether a scenario may look at what is in a namespace: it is its target's, something names it, or it looks at the
/// cluster at large.
fn uses(entry: &Entry, name: &str) -> bool {
    let is_it = |it: &Document| namespace(&it.object) == Some(name);
    entry.target.objects.iter().any(is_it)
        || entry.looks_at_large()
        || named_by(entry).contains(name)
}

impl Stage {
    /// Notes which scenarios use our own namespaces: those of the plan.
    pub(in crate::run) fn is_used_by(&mut self, plan: &Plan<'_>, grounded: &Grounded) {
        self.in_use = InUse::of(plan, grounded);
    }

    /// Has the namespaces deleted that nobody needs now that a scenario has ended. Whether they go is seen at the end
    /// of the run.
    pub(in crate::run) async fn leave(&self, entry: &Entry) {
        let Some(outside) = &self.outside else { return };
        let (admin, run) = (&self.world.access.admin, &self.values.run);
        let free = self.in_use.without(entry);
        let releasing = free.iter().map(|name| release(admin, outside, run, name));
        // Nobody answers on a cluster that is gone.
        let _ = self.while_there(join_all(releasing)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Ground};
    use crate::cluster::{Means, lacks};

    #[test]
    fn a_namespace_is_free_when_the_last_scenario_that_looks_at_it_has_ended() {
        let catalog = Catalog::load(None).expect("our own catalog");
        let profile = catalog.profile("found").expect("a profile of ours");
        let prefix = "brinell-k7f3".to_owned();
        let ground =
            Ground { prefix, sees_log: false, has_image: true, effects: false, kubeconfig: None };
        let grounded = catalog.on(&ground, &profile).expect("it is only declared");
        let means = Means { sees_log: false, has_image: true, is_given: false, effects: false };
        let plan = |ids: &[&str]| {
            let all = grounded.catalog.scenarios.iter();
            let selected = all.filter(|it| ids.contains(&it.id.as_str())).collect();
            let plan =
                Plan::new(&grounded.catalog, &grounded.profile, lacks("staging", means), selected);
            assert!(plan.skipped.is_empty(), "{:?}", plan.skipped.first().map(|(_, why)| why));
            plan
        };
        let ended = |plan: &Plan<'_>| {
            let in_use = InUse::of(plan, &grounded);
            let ended = plan.scenarios.iter().map(|it| (it.id.clone(), in_use.without(it)));
            ended.collect::<Vec<_>>()
        };
        let two = ended(&plan(&["pod-privileged", "pod-as-root"]));
        let [(_, first), (_, last)] = &two[..] else { panic!("{two:?}") };
        assert!(first.is_empty() && last.len() == 1, "{two:?}");
        // What is about everything there may be looks at all of it.
        let large = ended(&plan(&["pod-privileged", "rights-anonymous"]));
        let mut large = large.iter().filter(|(_, free)| !free.is_empty());
        assert!(large.all(|(id, _)| id == "rights-anonymous"), "{two:?}");
    }
}
