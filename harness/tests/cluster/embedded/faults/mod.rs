//! What goes wrong around a run on a cluster that is there: it ends, with the verdicts that are true or with none, and leaves
//! nothing that a sweep does not find. One control is open on that cluster, so that a false pass would show.

mod credentials;
mod log;
mod network;
mod objects;
mod server;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use brinell::cluster::DEFAULT_VERSION;
use brinell::model::{AttemptResult, Results, Verdict};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::flowcontrol::v1::FlowSchema;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use self::network::Network;
use self::server::Server;
use super::rights::Held;
use super::{is_there, or_ignored, wait_until};
use crate::shared::Shared;
use crate::support::Ran;

/// What goes wrong, and how it is tried.
type Test = (&'static str, fn(&Open));

/// All of these tests, on one cluster.
pub fn trials() -> Vec<Trial> {
    let is_there = is_there(DEFAULT_VERSION);
    let tests: [Test; 14] = [
        ("network gone", a_network_that_is_gone_for_a_while_forges_nothing),
        ("flow control", requests_that_flow_control_drops_decide_nothing),
        ("slow webhook", a_webhook_that_times_out_is_no_control),
        ("two runs", two_runs_side_by_side_do_not_meet),
        ("killed", a_run_that_is_killed_at_any_step_is_swept),
        ("late events", log::late_events_are_waited_for),
        ("half a minute late", log::events_half_a_minute_late_are_waited_for),
        ("never in time", log::events_that_come_too_late_are_not_missing),
        ("rotated log", log::a_log_that_is_rotated_loses_nothing),
        ("posted events", log::posted_events_are_read),
        ("evicted pods", objects::pods_that_somebody_evicts_are_no_pass),
        ("stuck namespace", objects::a_namespace_that_stays_is_named_and_swept_later),
        ("ended persona", credentials::a_persona_whose_certificate_ends_is_not_refused),
        ("ended admin", credentials::a_run_whose_own_certificate_ends_ends),
    ];
    let open = Shared::new(Open::start);
    let trial = |(name, test): Test| {
        let open = Arc::clone(&open);
        let trial = Trial::test(format!("embedded/faults/{DEFAULT_VERSION}/{name}"), move || {
            open.with(test);
            Ok(())
        });
        match name {
            // They take minutes: ci/nightly asks for them.
            "stuck namespace" | "half a minute late" => {
                trial.with_kind("nightly").with_ignored_flag(true)
            }
            _ => or_ignored(trial, DEFAULT_VERSION, is_there),
        }
    };
    tests.into_iter().map(trial).collect()
}

/// Attacks on a control that is open, on others that hold, and their permits.
const SCENARIOS: [&str; 4] =
    ["anonymous-api", "exec-interactive", "hostpath-root", "pod-privileged"];

type Verdicts = BTreeMap<String, Vec<Verdict>>;

/// A cluster that is there, on which nothing guards exec any more.
struct Open {
    held: Held,
    server: Server,
    /// What is true.
    truth: Verdicts,
}

impl Open {
    fn start() -> Open {
        let server = Server::prepare();
        let held = Held::start(&SCENARIOS, Some(server.folder.path()));
        held.runtime.block_on(async {
            let webhooks = Api::<ValidatingWebhookConfiguration>::all(held.client.clone());
            webhooks.delete("exec-guard", &DeleteParams::default()).await.expect("deleted");
        });
        // The API server learns by a watch that a webhook is gone: it is asked until it has.
        let is_open = |truth: &Verdicts| truth["exec-interactive"][0] == Verdict::Failed;
        let mut truths = (0..10).map(|_| held.verdicts("admin"));
        let truth = truths.find(is_open).expect("nothing guards exec any more");
        assert_eq!(truth.values().filter(|it| it[0] == Verdict::Passed).count(), 3, "{truth:?}");
        drop(truths);
        Open { held, server, truth }
    }

    /// Sees that a run said what is true, or that it does not know. Returns how many attempts it does not know of.
    fn assert_true(&self, told: &Results) -> usize {
        let mut unknown = 0;
        for scenario in &told.scenarios {
            let truth = &self.truth[&scenario.id];
            let attempts = scenario.attempts.iter().map(|attempt| attempt.judgement.verdict);
            let told: Vec<Verdict> = [scenario.verdict].into_iter().chain(attempts).collect();
            for (said, is_so) in told.iter().zip(truth) {
                let is_true = said == is_so || *said == Verdict::Inconclusive;
                assert!(is_true, "{told:?}, but it is {truth:?}: {scenario:#?}");
                unknown += usize::from(said != is_so);
            }
        }
        unknown
    }

    /// Runs, and does something when everything is there and attacks begin.
    fn run(&self, context: &str, meanwhile: impl FnOnce()) -> (Results, Ran) {
        self.run_by("held", context, meanwhile)
    }

    /// Runs by another profile, and does something when everything is there and attacks begin.
    fn run_by(&self, profile: &str, context: &str, meanwhile: impl FnOnce()) -> (Results, Ran) {
        let json = self.held.folder.path().join("fault.json");
        let mut command = self.held.command_by(profile, &["--json", "fault.json"], context);
        let mut run = command.stdout(Stdio::piped()).spawn().expect("started");
        let lines = BufReader::new(run.stdout.take().expect("piped")).lines();
        let mut lines = lines.map(|line| line.expect("text in UTF-8"));
        lines.find(|line| line.contains(" personas")).expect("it goes on");
        meanwhile();
        let stdout: Vec<String> = lines.collect();
        let code = run.wait().expect("ended").code();
        let results = Results::read(&fs::read(&json).expect("written")).expect("results");
        (results, Ran { code, stdout: stdout.join("\n"), stderr: String::new() })
    }

    /// Runs, while somebody does something again and again from when attacks begin.
    fn run_while(&self, again: fn(&Open)) -> (Results, Ran) {
        let is_over = &AtomicBool::new(false);
        std::thread::scope(|scope| {
            let begin = move || {
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        again(self);
                    }
                });
            };
            let ran = catch_unwind(AssertUnwindSafe(|| self.run("admin", begin)));
            is_over.store(true, Ordering::Relaxed);
            ran.unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Does something while these objects are there.
    fn beside(&self, objects: &[Value], test: impl FnOnce()) {
        let beside = Beside { open: self, objects };
        objects.iter().for_each(|object| self.held.apply(object));
        test();
        drop(beside);
        // The API server learns by watches that they are gone: it is asked until it has.
        let is_as_before = (0..10).any(|_| self.held.verdicts("admin") == self.truth);
        assert!(is_as_before, "what was beside it still acts");
    }

    /// Sweeps as whoever started the runs.
    fn sweep(&self) -> Ran {
        let folder = self.held.folder.path();
        let mut sweep = std::process::Command::new(env!("CARGO_BIN_EXE_brinell"));
        sweep.args(["sweep", "--context", "admin", "--kubeconfig", "way"]);
        sweep.current_dir(folder).env("XDG_STATE_HOME", folder.join("theirs"));
        sweep.output().expect("started").into()
    }

    fn namespaces(&self) -> Vec<String> {
        let namespaces = Api::<Namespace>::all(self.held.client.clone());
        let labelled = ListParams::default().labels("brinell.dev/run");
        let found = self.held.runtime.block_on(namespaces.list(&labelled)).expect("listed");
        let names = found.into_iter().map(|namespace| namespace.name_any());
        names.filter(|name| name.starts_with("brinell-") && name.contains("-app")).collect()
    }
}

/// All attempts of a run.
fn attempts(told: &Results) -> impl Iterator<Item = &AttemptResult> {
    told.scenarios.iter().flat_map(|scenario| &scenario.attempts)
}

/// Objects of somebody's that are there until this is dropped.
struct Beside<'a> {
    open: &'a Open,
    objects: &'a [Value],
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        self.objects.iter().for_each(|object| self.open.held.delete(object));
    }
}

/// How long nothing comes through.
const GONE: Duration = Duration::from_secs(20);

fn a_network_that_is_gone_for_a_while_forges_nothing(open: &Open) {
    let network = Network::before(&open.held);
    let (told, ran) = open.run("network", || {
        network.stop();
        std::thread::sleep(GONE);
        network.go_on();
    });
    open.assert_true(&told);
    let waited = told.scenarios.iter().filter(|scenario| scenario.took >= GONE).count();
    assert!(waited > 0, "nothing was outstanding while it was gone: {ran:?}");
    assert!(ran.stdout.contains("nothing left behind"), "{ran:?}");
    assert_eq!(open.namespaces(), [""; 0]);
}

/// Whoever asks of pods while another does is refused with 429 (Kubernetes documentation, API Priority and Fairness: a
/// level of no shares that rejects; what is alone there is served). Each pod that is made takes a second, by a webhook
/// that never answers, so that scenarios side by side meet there. The admin and controllers are served: their schemas
/// come before this one.
fn requests_that_flow_control_drops_decide_nothing(open: &Open) {
    let version = "flowcontrol.apiserver.k8s.io/v1";
    let level = json!({
        "apiVersion": version, "kind": "PriorityLevelConfiguration", "metadata": {"name": "none"},
        "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": 0, "lendablePercent": 0, "borrowingLimitPercent": 0,
            "limitResponse": {"type": "Reject"},
        }},
    });
    let schema = json!({
        "apiVersion": version, "kind": "FlowSchema", "metadata": {"name": "none"},
        "spec": {
            "priorityLevelConfiguration": {"name": "none"}, "matchingPrecedence": 1000,
            "rules": [{
                "subjects": [{"kind": "Group", "group": {"name": "system:authenticated"}}],
                "resourceRules": [{"verbs": ["*"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["*"]}],
            }],
        },
    });
    let silent = Silent::listen();
    let webhook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "slow"},
        "webhooks": [{
            "name": "slow.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 1, "failurePolicy": "Ignore", "clientConfig": {"url": silent.url},
            "matchConditions": [{"name": "not-the-admin", "expression": "!('system:masters' in request.userInfo.groups)"}],
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        }],
    });
    open.beside(&[level, schema, webhook], || {
        let schemas = Api::<FlowSchema>::all(open.held.client.clone());
        let schema = open.held.runtime.block_on(schemas.get("none")).expect("there").metadata.uid;
        let acts = wait_until("it acts", || open.held.flow_schema() == schema);
        assert!(acts.is_ok(), "{:?}", open.held.flow_schema());
        let (told, ran) = open.run("admin", || ());
        let unknown = open.assert_true(&told);
        assert!(unknown > 0, "nothing was dropped: {ran:?}");
        assert!(format!("{told:?}").contains("flow control turned it away (429)"), "{told:#?}");
    });
}

/// A webhook that takes every connection and answers none.
struct Silent {
    url: String,
    _listener: TcpListener,
}

impl Silent {
    fn listen() -> Silent {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        Silent { url: format!("https://127.0.0.1:{port}/"), _listener: listener }
    }
}

/// A webhook that never answers refuses by its failure policy, in the place of the control that is gone.
fn a_webhook_that_times_out_is_no_control(open: &Open) {
    let silent = Silent::listen();
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "silent"},
        "webhooks": [{
            "name": "silent.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 1, "failurePolicy": "Fail",
            "clientConfig": {"url": silent.url},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CONNECT"], "resources": ["pods/exec"]}],
        }],
    });
    open.beside(&[configuration], || {
        // The API server learns by a watch of the webhook: it is asked until it has.
        let mut told = (0..10).map(|_| open.run("admin", || ()));
        let (told, ran) =
            told.find(|(_, ran)| ran.stdout.contains("silent.example.com")).expect("it refuses");
        let exec = told.scenarios.iter().find(|it| it.id == "exec-interactive").expect("there");
        assert_ne!(exec.verdict, Verdict::Passed, "{ran:?}");
        let mut attempts = exec.attempts.iter().map(|attempt| attempt.judgement.verdict);
        assert!(!attempts.any(|it| it == Verdict::Passed), "{ran:?}");
    });
}

fn two_runs_side_by_side_do_not_meet(open: &Open) {
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(|| open.held.verdicts("admin"));
        let (told, _) = open.run("admin", || ());
        (one.join().expect("ended"), told)
    });
    assert_eq!(one, open.truth);
    assert_eq!(open.assert_true(&other), 0);
    assert_eq!(open.namespaces(), [""; 0]);
}

fn a_run_that_is_killed_at_any_step_is_swept(open: &Open) {
    for step in ["questions", " personas", "PASS", "FAIL"] {
        let mut command = open.held.command(&["--jobs", "1"], "admin");
        let mut run = command.stdout(Stdio::piped()).spawn().expect("started");
        let lines = BufReader::new(run.stdout.take().expect("piped")).lines();
        let mut lines = lines.map(|line| line.expect("text in UTF-8"));
        lines.find(|line| line.contains(step)).unwrap_or_else(|| panic!("{step} is not told"));
        run.kill().expect("it runs");
        run.wait().expect("ended");
        let swept = open.sweep();
        assert_eq!(swept.code, Some(0), "{step}: {swept:?}");
        assert_eq!(open.namespaces(), [""; 0], "{step}: {swept:?}");
    }
}
