//! One cluster on which weakenings are tried, one at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::{ListParams, PostParams};

use super::ProofError;
use super::judge::{excuse, mark, outcome};
use super::trial::Trial;
use crate::catalog::{Change, Document, Entry};
use crate::cluster::RunFolder;
use crate::model::{Cell, Mark, Need, ScenarioResult, Verdict, WeakeningResult};
use crate::poll;
use crate::run::{
    Options, OwnStage, Plan, Progress, SecondStage, Stage, StageError, set, together,
};
use crate::text::count;

/// How long a weakened or restored control may take to act. Objects act within a second, a webhook's server ends
/// or starts within a few (measured). No event tells it: the scenarios ask.
const ACTING: Duration = Duration::from_secs(15);

/// How many debug containers a pod may hold before it is made again.
const DEBUGGERS: usize = 20;

/// The flag whose change leaves traces in what is stored meanwhile.
const ENCRYPTION: &str = "encryption-provider-config";

/// A cluster on which every scenario was seen green.
pub(super) struct Lane<'a> {
    plan: &'a Plan<'a>,
    own: OwnStage,
    jobs: usize,
}

impl<'a> Lane<'a> {
    /// Makes the cluster, sets the stage, and sees every scenario green: one that fails already would be taken for
    /// one that notices.
    pub(super) async fn make(
        plan: &'a Plan<'a>,
        options: Options,
        folder: Arc<RunFolder>,
        progress: &Progress,
    ) -> Result<Self, ProofError> {
        let mut own = set(plan, &options, folder, progress).await?;
        if let Some(unmet) = own.unmet.pop() {
            return Err(StageError::from(unmet).into());
        }
        let lane = Lane { plan, own, jobs: options.jobs };
        progress.step("whole", "running every scenario", lane.see_whole()).await?;
        Ok(lane)
    }

    /// How long the cluster's own programs took to make it.
    pub(super) fn made_in(&self) -> Duration {
        self.own.made_in
    }

    async fn see_whole(&self) -> Result<((), String), ProofError> {
        let red = self.red(&self.plan.scenarios).await;
        if !red.is_empty() {
            return Err(ProofError::NotGreen(red));
        }
        let number = self.plan.scenarios.len();
        let are = if number == 1 { "is" } else { "are" };
        Ok(((), format!("{} {are} green", count(number, "scenario"))))
    }

    /// Runs scenarios where nothing is weakened, and returns those that did not pass.
    async fn red(&self, entries: &[&Entry]) -> Vec<ScenarioResult> {
        let mut results = together(self.plan, &self.own.stage, entries, self.jobs).await;
        results.retain(|result| result.verdict != Verdict::Passed);
        results
    }

    /// Tries one weakening: who notices while it acts? Then all is restored, and seen green again; what was found is
    /// returned even where that fails.
    pub(super) async fn run(
        &self,
        trial: &Trial<'a>,
    ) -> Result<(WeakeningResult, Result<(), ProofError>), ProofError> {
        let started = Instant::now();
        let second = self.weaken(trial).await?;
        let stage = self.stage(second.as_ref());
        let cells = stage.while_there(self.watch(trial, stage)).await?;
        let restored = match self.restore(trial, second, &cells).await {
            Ok(()) => self.see_restored(trial, &cells).await,
            Err(error) => Err(error.into()),
        };
        let (outcome, cause) = outcome(trial, &cells);
        let mut result = WeakeningResult {
            control: trial.control.id.clone(),
            name: trial.name.to_owned(),
            why: trial.weakening.why.clone(),
            outcome,
            cause,
            deviation: None,
            unasked: trial.unasked(),
            cells,
            took: started.elapsed(),
        };
        excuse(&self.plan.catalog.deviations, &mut result);
        Ok((result, restored))
    }

    /// Where a control is weakened: on the second API server, if there is one.
    fn stage<'s>(&'s self, second: Option<&'s SecondStage>) -> &'s Stage {
        second.map_or(&self.own.stage, |second| &second.stage)
    }

    /// Gets the control wrong. A setting of the API server is weakened on a second one, which is returned.
    async fn weaken(&self, trial: &Trial<'_>) -> Result<Option<SecondStage>, StageError> {
        let id = &trial.control.id;
        let settings = self.plan.settings_with(&self.own.stage.values, id, &trial.weakened);
        let second = match trial.same_api_server() {
            true => None,
            false => Some(self.own.second(self.plan, &settings).await?),
        };
        let applier = &self.stage(second.as_ref()).applier;
        let change = trial.whole.change_to(&trial.weakened);
        applier.delete(&change.delete).await?;
        applier.apply(&change.apply).await?;
        self.own.see_rolled_out(&change.apply).await?;
        if change.apply.iter().any(|it| it.object["kind"] == "Deployment") {
            self.own.stage.see_reached(&self.plan.controls[id], ACTING).await;
        }
        if let Some(labels) = &trial.weakened.stopped {
            self.own.stop(labels).await?;
        }
        if self.concerns_kubelet(trial, &change) {
            let kubelet = &settings.kubelet;
            self.own.set_kubelet(id, Some(kubelet), kubelet).await?;
        }
        match second {
            Some(second) if trial.weakening.past => {
                second.end().await?;
                Ok(None)
            }
            second => Ok(second),
        }
    }

    /// Whether the kubelet must be restarted: for its settings, or because it remembers for minutes who may and who
    /// may not (measured).
    fn concerns_kubelet(&self, trial: &Trial<'_>, change: &Change) -> bool {
        let is_right = |it: &Document| it.object["apiVersion"] == "rbac.authorization.k8s.io/v1";
        let is_asked =
            self.plan.scenarios.iter().any(|entry| entry.needs().contains(&Need::KubeletPort));
        let rights_change = change.apply.iter().chain(&change.delete).any(is_right);
        trial.whole.kubelet != trial.weakened.kubelet || is_asked && rights_change
    }

    /// Runs those that are expected to notice until they do or it takes too long, and all of them once. Where none is
    /// expected, all that test the control are asked.
    async fn watch(&self, trial: &Trial<'a>, stage: &Stage) -> Vec<Cell> {
        let is_expected = |entry: &&Entry| trial.weakening.expect.contains_key(&entry.id);
        let mut asked: Vec<&Entry> = trial.scenarios.iter().copied().filter(is_expected).collect();
        if asked.is_empty() {
            asked.clone_from(&trial.scenarios);
        }
        let concerned = self.concerned(trial);
        let deadline = Instant::now() + ACTING;
        loop {
            let late = Instant::now() > deadline;
            let mut cells = self.look(trial, stage, &asked).await;
            // What is noticed once may be the change itself; what is noticed again is the weakened state.
            if is_noticed(&cells) {
                let all = self.look(trial, stage, &concerned).await;
                if late || is_noticed(&all) {
                    return all;
                }
            } else if late {
                let mut others = concerned;
                others.retain(|entry| !asked.iter().any(|it| it.id == entry.id));
                cells.extend(self.look(trial, stage, &others).await);
                return cells;
            }
            tokio::time::sleep(poll::PAUSE).await;
        }
    }

    /// Those that may turn red: all but the ones that only ask authorizers and do not test the control. These make thousands
    /// of questions, and what admission and the log do changes no answer.
    fn concerned(&self, trial: &Trial<'a>) -> Vec<&'a Entry> {
        let tests = |entry: &Entry| trial.scenarios.iter().any(|it| it.id == entry.id);
        let mut all = self.plan.scenarios.clone();
        all.retain(|entry| tests(entry) || !entry.scenario.only_asks());
        all
    }

    /// Runs scenarios. Of those of other controls, which must not turn red, nothing is kept where they do not.
    async fn look(&self, trial: &Trial<'_>, stage: &Stage, entries: &[&Entry]) -> Vec<Cell> {
        let expect = &trial.weakening.expect;
        let results = together(self.plan, stage, entries, self.jobs).await;
        let looked = entries.iter().zip(results).filter_map(|(entry, result)| {
            let mark = match trial.scenarios.iter().any(|it| it.id == entry.id) {
                true => mark(&trial.control.id, expect, entry, &result),
                false => aside(&result)?,
            };
            let expected = expect.get(&entry.id).copied();
            Some(Cell { expected, mark, deviation: None, result })
        });
        looked.collect()
    }

    /// Takes the weakening back, and what it, and attacks that it let through, left behind.
    async fn restore(
        &self,
        trial: &Trial<'_>,
        second: Option<SecondStage>,
        cells: &[Cell],
    ) -> Result<(), StageError> {
        if let Some(second) = second {
            second.end().await?;
        }
        let applier = &self.own.stage.applier;
        let change = trial.weakened.change_to(&trial.whole);
        applier.delete(&change.delete).await?;
        applier.apply(&change.apply).await?;
        self.own.see_rolled_out(&change.apply).await?;
        if let Some(labels) = &trial.weakened.stopped {
            self.own.resume(labels).await?;
        }
        if self.concerns_kubelet(trial, &change) {
            let whole = self.plan.settings(&self.own.stage.values).kubelet;
            self.own.set_kubelet(&trial.control.id, None, &whole).await?;
        }
        if !trial.same_api_server() && trial.whole.flags.contains_key(ENCRYPTION) {
            self.rewrite_secrets().await?;
        }
        let mut targets: BTreeMap<&str, bool> = BTreeMap::new();
        for cell in cells {
            let is_its = |entry: &&&Entry| entry.id == cell.result.id;
            let Some(entry) = self.plan.scenarios.iter().find(is_its) else { continue };
            *targets.entry(&entry.scenario.target).or_default() |= cell.mark != Mark::Green;
        }
        targets.extend(self.crowded().await?.into_iter().map(|name| (name, true)));
        let restaging =
            targets.into_iter().map(|(name, red)| self.own.stage.restage(self.plan, name, red));
        try_join_all(restaging).await?;
        if let Some(planned) = self.plan.controls.get(&trial.control.id) {
            self.own.stage.see_control(planned).await?;
        }
        Ok(())
    }

    /// The targets with a pod that holds many debug containers: each run of a permit leaves one for good.
    async fn crowded(&self) -> Result<Vec<&'a str>, kube::Error> {
        let admin = &self.own.stage.world.access.admin;
        let pods = Api::<Pod>::all(admin.clone()).list(&ListParams::default()).await?;
        let is_crowded = |namespace: &str, name: &str| {
            pods.items.iter().any(|pod| {
                let debuggers =
                    pod.spec.as_ref().and_then(|spec| spec.ephemeral_containers.as_ref());
                pod.metadata.namespace.as_deref() == Some(namespace)
                    && pod.metadata.name.as_deref() == Some(name)
                    && debuggers.is_some_and(|them| them.len() > DEBUGGERS)
            })
        };
        let targets = self.plan.scenarios.iter().map(|entry| entry.scenario.target.as_str());
        let crowded = |name: &&str| {
            let pods = &self.plan.catalog.targets[*name].pods;
            pods.iter().any(|(namespace, pod)| is_crowded(namespace, pod))
        };
        Ok(targets.filter(crowded).collect())
    }

    /// Writes every Secret again, so that it is stored as the whole control stores it.
    async fn rewrite_secrets(&self) -> Result<(), kube::Error> {
        let admin = &self.own.stage.world.access.admin;
        let all = Api::<Secret>::all(admin.clone()).list(&ListParams::default()).await?;
        for secret in all.items {
            let namespace = secret.metadata.namespace.clone().unwrap_or_default();
            let name = secret.metadata.name.clone().unwrap_or_default();
            let secrets = Api::<Secret>::namespaced(admin.clone(), &namespace);
            match secrets.replace(&name, &PostParams::default(), &secret).await {
                // Somebody else has just written or deleted it.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                written => drop(written?),
            }
        }
        Ok(())
    }

    /// Sees those green again that test the control or were red: what is restored acts late, too. The others were green
    /// all the time, and are seen again at the end of the proof.
    async fn see_restored(&self, trial: &Trial<'_>, cells: &[Cell]) -> Result<(), ProofError> {
        let mut entries = self.plan.scenarios.clone();
        entries.retain(|entry| cells.iter().any(|cell| cell.result.id == entry.id));
        let deadline = Instant::now() + ACTING;
        loop {
            // Each look is brought to its end: on a busy machine one alone may take longer than a control does.
            let late = Instant::now() > deadline;
            let red = self.red(&entries).await;
            if red.is_empty() {
                return Ok(());
            }
            if late {
                return Err(ProofError::NotRestored { weakening: trial.id(), red });
            }
            entries.retain(|entry| red.iter().any(|result| result.id == entry.id));
            tokio::time::sleep(poll::PAUSE).await;
        }
    }

    /// Sees every scenario green after the last weakening.
    pub(super) async fn see_end(&self) -> Result<(), ProofError> {
        let red = self.red(&self.plan.scenarios).await;
        if red.is_empty() { Ok(()) } else { Err(ProofError::NotWhole(red)) }
    }
}

/// Whether all noticed who are expected to, or anybody where none is.
fn is_noticed(cells: &[Cell]) -> bool {
    let is_caught = |cell: &Cell| cell.mark == Mark::Caught;
    match cells.iter().any(|cell| cell.expected.is_some()) {
        true => cells.iter().filter(|cell| cell.expected.is_some()).all(is_caught),
        false => cells.iter().any(is_caught),
    }
}

/// The mark of a scenario that does not test the weakened control; `None` where it stays as it was.
fn aside(result: &ScenarioResult) -> Option<Mark> {
    match result.verdict {
        Verdict::Passed | Verdict::Skipped => None,
        Verdict::Inconclusive => Some(Mark::Wrong),
        Verdict::Failed => Some(Mark::Collateral),
    }
}
