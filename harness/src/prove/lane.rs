//! One cluster on which weakenings are tried, one at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::{ListParams, PostParams};

use super::ProofError;
use super::judge::{excuse, mark, outcome};
use super::trial::{Trial, Who};
use crate::catalog::{Change, Document, Entry, Target};
use crate::cluster::{RunFolder, is_overtaken};
use crate::model::{Cell, Mark, Need, ScenarioResult, Verdict, WeakeningResult};
use crate::poll;
use crate::run::{
    Options, OwnStage, Plan, Progress, SecondStage, Stage, StageError, make_stage, together,
};
use crate::text::count;

/// How long a weakened or restored control may take to act. Objects act within a second, a webhook's server ends
/// or starts within a few (measured). No event tells it: the scenarios ask.
const TAKING_EFFECT: Duration = Duration::from_secs(15);

/// How many debug containers a pod may hold before it is made again.
const DEBUGGERS: usize = 20;

/// The flag whose change leaves traces in what is stored meanwhile.
const ENCRYPTION: &str = "encryption-provider-config";

/// A cluster on which every scenario was seen green.
pub(super) struct Lane<'a> {
    plan: &'a Plan<'a>,
    own: OwnStage,
    jobs: usize,
    who: Who,
}

impl<'a> Lane<'a> {
    /// Makes the cluster, sets the stage, and sees every scenario green: one that fails already would be taken for
    /// one that notices.
    pub(super) async fn make(
        plan: &'a Plan<'a>,
        who: Who,
        options: Options,
        folder: Arc<RunFolder>,
        progress: &Progress,
    ) -> Result<Self, ProofError> {
        let mut own = make_stage(plan, &options, folder, progress).await?;
        if let Some(unmet) = own.unmet.pop() {
            return Err(StageError::from(unmet).into());
        }
        let lane = Lane { plan, own, jobs: options.manner.jobs, who };
        progress.step("whole", "running every scenario", lane.see_all_green()).await?;
        Ok(lane)
    }

    /// How long the cluster's own programs took to make it.
    pub(super) fn made_in(&self) -> Duration {
        self.own.made_in
    }

    async fn see_all_green(&self) -> Result<((), String), ProofError> {
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
        let mut results = together(&self.own.stage, entries, self.jobs).await;
        results.retain(|result| result.verdict != Verdict::Passed);
        results
    }

    /// A kind that a weakening needs and that only other versions of Kubernetes serve; `None` if it can be tried here.
    pub(super) fn unserved(&self, trial: &Trial<'a>) -> Option<String> {
        let change = trial.planned.set_up.change_to(&trial.weakened.set_up);
        self.own.stage.applier.unserved(&change.apply)
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
            control: trial.planned.control.id.clone(),
            name: trial.weakened.name.clone(),
            why: trial.weakened.weakening.why.clone(),
            outcome,
            cause,
            deviation: None,
            unasked: trial.unasked(),
            cells,
            took: started.elapsed(),
        };
        excuse(self.plan.deviations, &mut result);
        Ok((result, restored))
    }

    /// Where a control is weakened: on the second API server, if there is one.
    fn stage<'s>(&'s self, second: Option<&'s SecondStage>) -> &'s Stage {
        second.map_or(&self.own.stage, |second| &second.stage)
    }

    /// Gets the control wrong. A setting of the API server is weakened on a second one, which is returned.
    async fn weaken(&self, trial: &Trial<'_>) -> Result<Option<SecondStage>, StageError> {
        let Trial { planned, weakened, .. } = trial;
        let id = &planned.control.id;
        let settings = self.plan.settings_with(&self.own.stage.values, id, &weakened.set_up);
        let second = match trial.same_api_server() {
            true => None,
            false => Some(self.own.second(self.plan, &settings).await?),
        };
        let applier = &self.stage(second.as_ref()).applier;
        let change = planned.set_up.change_to(&weakened.set_up);
        applier.delete(&change.delete).await?;
        applier.apply(&change.apply).await?;
        self.own.see_rolled_out(&change.apply).await?;
        if change.apply.iter().any(|it| it.object["kind"] == "Deployment") {
            self.own.stage.see_reached(planned, TAKING_EFFECT).await;
        }
        if let Some(labels) = &weakened.set_up.stopped {
            self.own.stop(labels).await?;
        }
        if self.concerns_kubelet(trial, &change) {
            let kubelet = &settings.kubelet;
            self.own.set_kubelet(self.plan, id, Some(kubelet), kubelet).await?;
        }
        match second {
            Some(second) if weakened.weakening.past => {
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
        trial.planned.set_up.kubelet != trial.weakened.set_up.kubelet || is_asked && rights_change
    }

    /// Runs those that are expected to notice until they do or it takes too long, and all of them once. Where none is
    /// expected, all that test the control are asked.
    async fn watch(&self, trial: &Trial<'a>, stage: &Stage) -> Vec<Cell> {
        let is_expected = |entry: &&Entry| trial.weakened.expects(entry);
        let mut asked: Vec<&Entry> = trial.scenarios.iter().copied().filter(is_expected).collect();
        if asked.is_empty() {
            asked.clone_from(&trial.scenarios);
        }
        let concerned = self.concerned(trial);
        let deadline = Instant::now() + TAKING_EFFECT;
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

    /// Those that are asked: where that is everybody who may turn red, all but the ones that only ask authorizers and do not test the control. These make
    /// thousands of questions, and what admission and the log do changes no answer.
    fn concerned(&self, trial: &Trial<'a>) -> Vec<&'a Entry> {
        if self.who == Who::Expected {
            return trial.scenarios.clone();
        }
        let tests = |entry: &Entry| trial.scenarios.iter().any(|it| it.id == entry.id);
        let mut all = self.plan.scenarios.clone();
        all.retain(|entry| tests(entry) || !entry.scenario.only_asks());
        all
    }

    /// Runs scenarios. Of those of other controls, which must not turn red, nothing is kept where they do not.
    async fn look(&self, trial: &Trial<'_>, stage: &Stage, entries: &[&Entry]) -> Vec<Cell> {
        let expect = &trial.weakened.weakening.expect;
        let results = together(stage, entries, self.jobs).await;
        let looked = entries.iter().zip(results).filter_map(|(entry, result)| {
            let mark = match trial.scenarios.iter().any(|it| it.id == entry.id) {
                true => mark(&trial.planned.control.id, expect, entry, &result),
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
        let Trial { planned, weakened, .. } = trial;
        let change = weakened.set_up.change_to(&planned.set_up);
        applier.delete(&change.delete).await?;
        applier.apply(&change.apply).await?;
        self.own.see_rolled_out(&change.apply).await?;
        if let Some(labels) = &weakened.set_up.stopped {
            self.own.resume(labels).await?;
        }
        if self.concerns_kubelet(trial, &change) {
            let unweakened = self.plan.settings(&self.own.stage.values).kubelet;
            self.own.set_kubelet(self.plan, &planned.control.id, None, &unweakened).await?;
        }
        if !trial.same_api_server() && planned.set_up.flags.contains_key(ENCRYPTION) {
            self.rewrite_secrets().await?;
        }
        self.restage(cells).await?;
        self.own.stage.see_control(planned).await?;
        Ok(())
    }

    /// Stages the targets anew that were acted on, and those whose pods hold many debug containers.
    async fn restage(&self, cells: &[Cell]) -> Result<(), StageError> {
        let admin = &self.own.stage.world.access.admin;
        let pods = Api::<Pod>::all(admin.clone()).list(&ListParams::default()).await?.items;
        let restaging = self.plan.targets().into_iter().filter_map(|target| {
            let its = cells.iter().filter(|cell| self.acts_on(cell, target));
            let marks: Vec<Mark> = its.map(|cell| cell.mark).collect();
            let is_crowded = is_crowded(target, &pods);
            let is_changed = is_crowded || marks.iter().any(|mark| *mark != Mark::Green);
            (is_crowded || !marks.is_empty()).then(|| self.own.stage.restage(target, is_changed))
        });
        try_join_all(restaging).await?;
        Ok(())
    }

    /// Whether it is of a scenario on this target.
    fn acts_on(&self, cell: &Cell, target: &Target) -> bool {
        let mut scenarios = self.plan.scenarios.iter();
        scenarios.any(|entry| entry.id == cell.result.id && entry.target.name == target.name)
    }

    /// Writes every Secret again, so that it is stored as the control stores it without the weakening.
    async fn rewrite_secrets(&self) -> Result<(), kube::Error> {
        let admin = &self.own.stage.world.access.admin;
        let all = Api::<Secret>::all(admin.clone()).list(&ListParams::default()).await?;
        for secret in all.items {
            let namespace = secret.metadata.namespace.clone().unwrap_or_default();
            let name = secret.metadata.name.clone().unwrap_or_default();
            let secrets = Api::<Secret>::namespaced(admin.clone(), &namespace);
            match secrets.replace(&name, &PostParams::default(), &secret).await {
                Err(error) if is_overtaken(&error) => {}
                written => drop(written?),
            }
        }
        Ok(())
    }

    /// Sees those green again that test the control or were red: what is restored acts late, too. The others were green
    /// all the time, and are seen again at the end of the proof; so are those that only ask authorizers, as to ask
    /// costs most.
    async fn see_restored(&self, trial: &Trial<'_>, cells: &[Cell]) -> Result<(), ProofError> {
        let mut entries = self.plan.scenarios.clone();
        let is_seen = |entry: &&Entry, cell: &Cell| {
            cell.result.id == entry.id && (cell.mark != Mark::Green || !entry.scenario.only_asks())
        };
        entries.retain(|entry| cells.iter().any(|cell| is_seen(entry, cell)));
        let deadline = Instant::now() + TAKING_EFFECT;
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
        if red.is_empty() { Ok(()) } else { Err(ProofError::NotGreenAtEnd(red)) }
    }
}

/// Whether a pod of a target holds many debug containers: each run of a permit leaves one for good.
fn is_crowded(target: &Target, pods: &[Pod]) -> bool {
    let is_full = |pod: &&Pod| {
        let debuggers = pod.spec.as_ref().and_then(|spec| spec.ephemeral_containers.as_ref());
        debuggers.is_some_and(|them| them.len() > DEBUGGERS)
    };
    let mut full = pods.iter().filter(is_full).map(|pod| &pod.metadata);
    full.any(|pod| {
        let mut its = target.pods.iter();
        its.any(|(namespace, name)| {
            pod.namespace.as_ref() == Some(namespace) && pod.name.as_ref() == Some(name)
        })
    })
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
