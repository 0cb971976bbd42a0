//! What goes wrong around a run on a cluster that is there: it ends, with the verdicts that are true or with none, and leaves
//! nothing that a sweep does not find. One control is open on that cluster, so that a false pass would show.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use brinell::cluster::DEFAULT_VERSION;
use brinell::model::{Results, Verdict};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::flowcontrol::v1::FlowSchema;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::rights::Held;
use super::{is_there, or_ignored, wait_until};
use crate::support::Ran;

/// What goes wrong, and how it is tried.
type Test = (&'static str, fn(&Open));

/// All of these tests.
pub fn trials() -> Vec<Trial> {
    let is_there = is_there(DEFAULT_VERSION);
    let tests: [Test; 5] = [
        ("network gone", a_network_that_is_gone_for_a_while_forges_nothing),
        ("flow control", requests_that_flow_control_drops_decide_nothing),
        ("slow webhook", a_webhook_that_times_out_is_no_control),
        ("two runs", two_runs_side_by_side_do_not_meet),
        ("killed", a_run_that_is_killed_at_any_step_is_swept),
    ];
    let trial = |(name, test): Test| {
        let trial = Trial::test(format!("embedded/faults/{DEFAULT_VERSION}/{name}"), move || {
            test(&Open::start());
            Ok(())
        });
        or_ignored(trial, DEFAULT_VERSION, is_there)
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
    /// What is true.
    truth: Verdicts,
}

impl Open {
    fn start() -> Open {
        let held = Held::start(&SCENARIOS);
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
        Open { held, truth }
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
        let json = self.held.folder.path().join("fault.json");
        let mut command = self.held.command(&["--json", "fault.json"], context);
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

    fn namespaces(&self) -> Vec<String> {
        let namespaces = Api::<Namespace>::all(self.held.client.clone());
        let labelled = ListParams::default().labels("brinell.dev/run");
        let found = self.held.runtime.block_on(namespaces.list(&labelled)).expect("listed");
        let names = found.into_iter().map(|namespace| namespace.name_any());
        names.filter(|name| name.starts_with("brinell-") && name.contains("-app")).collect()
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
    assert!(ran.stdout.contains("nothing left behind"), "{ran:?}");
    assert_eq!(open.namespaces(), [""; 0]);
}

/// Whoever asks of pods while another does is refused with 429 (Kubernetes documentation, API Priority and Fairness: a level of
/// no shares that rejects; what is alone there is served). Each pod that is made takes a second, by a webhook that never answers,
/// so that scenarios side by side meet there. The admin and controllers are served: their schemas come before this one.
fn requests_that_flow_control_drops_decide_nothing(open: &Open) {
    let version = "flowcontrol.apiserver.k8s.io/v1";
    open.held.apply(&json!({
        "apiVersion": version, "kind": "PriorityLevelConfiguration", "metadata": {"name": "none"},
        "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": 0, "lendablePercent": 0, "borrowingLimitPercent": 0,
            "limitResponse": {"type": "Reject"},
        }},
    }));
    open.held.apply(&json!({
        "apiVersion": version, "kind": "FlowSchema", "metadata": {"name": "none"},
        "spec": {
            "priorityLevelConfiguration": {"name": "none"}, "matchingPrecedence": 1000,
            "rules": [{
                "subjects": [{"kind": "Group", "group": {"name": "system:authenticated"}}],
                "resourceRules": [{"verbs": ["*"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["*"]}],
            }],
        },
    }));
    let silent = Silent::listen();
    open.held.apply(&json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "slow"},
        "webhooks": [{
            "name": "slow.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 1, "failurePolicy": "Ignore", "clientConfig": {"url": silent.url},
            "matchConditions": [{"name": "not-the-admin", "expression": "!('system:masters' in request.userInfo.groups)"}],
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        }],
    }));
    let schemas = Api::<FlowSchema>::all(open.held.client.clone());
    let schema = open.held.runtime.block_on(schemas.get("none")).expect("there").metadata.uid;
    let acts = wait_until("it acts", || open.held.flow_schema() == schema);
    assert!(acts.is_ok(), "{:?}", open.held.flow_schema());
    let (told, ran) = open.run("admin", || ());
    let unknown = open.assert_true(&told);
    assert!(unknown > 0, "nothing was dropped: {ran:?}");
    assert!(format!("{told:?}").contains("flow control turned it away (429)"), "{told:#?}");
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
    open.held.apply(&json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "silent"},
        "webhooks": [{
            "name": "silent.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 1, "failurePolicy": "Fail",
            "clientConfig": {"url": silent.url},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CONNECT"], "resources": ["pods/exec"]}],
        }],
    }));
    let json = open.held.folder.path().join("fault.json");
    // The API server learns by a watch of the webhook: it is asked until it has.
    let told = (0..10).map(|_| {
        let mut command = open.held.command(&["--json", "fault.json"], "admin");
        let ran: Ran = command.output().expect("started").into();
        let results = Results::read(&fs::read(&json).expect("written")).expect("results");
        (results, ran)
    });
    let mut told = told.filter(|(_, ran)| ran.stdout.contains("silent.example.com"));
    let (told, ran) = told.next().expect("it refuses");
    let exec = told.scenarios.iter().find(|it| it.id == "exec-interactive").expect("there");
    assert_ne!(exec.verdict, Verdict::Passed, "{ran:?}");
    let attempts = exec.attempts.iter().map(|attempt| attempt.judgement.verdict);
    assert!(!attempts.clone().any(|it| it == Verdict::Passed), "{ran:?}");
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
        let swept = open.held.sweep("admin");
        assert_eq!(swept.code, Some(0), "{step}: {swept:?}");
        assert_eq!(open.namespaces(), [""; 0], "{step}: {swept:?}");
    }
}

/// A way to the cluster that can be stopped: what is sent meanwhile comes later, as TCP has it.
struct Network {
    flows: Arc<(Mutex<bool>, Condvar)>,
}

impl Network {
    /// Lays it before the cluster, as a context of its own.
    fn before(held: &Held) -> Network {
        let path = held.folder.path().join("way");
        let text = fs::read_to_string(&path).expect("readable");
        let mut way: Value = serde_json::from_str(&text).expect("JSON");
        let mut cluster = way["clusters"][0].clone();
        let server = cluster["cluster"]["server"].as_str().expect("an address");
        let there = server.trim_start_matches("https://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        cluster["name"] = json!("network");
        cluster["cluster"]["server"] = json!(format!("https://127.0.0.1:{port}"));
        way["clusters"].as_array_mut().expect("clusters").push(cluster);
        let user = way["contexts"][0]["context"]["user"].clone();
        let context = json!({"name": "network", "context": {"cluster": "network", "user": user}});
        way["contexts"].as_array_mut().expect("contexts").push(context);
        fs::write(&path, way.to_string()).expect("written");
        let flows = Arc::new((Mutex::new(true), Condvar::new()));
        let network = Network { flows: Arc::clone(&flows) };
        std::thread::spawn(move || {
            for here in listener.incoming().flatten() {
                let Ok(there) = TcpStream::connect(&there) else { continue };
                for (from, to) in [(&here, &there), (&there, &here)] {
                    let (from, to) = (from.try_clone(), to.try_clone());
                    let flows = Arc::clone(&flows);
                    std::thread::spawn(move || pass(from?, to?, &flows));
                }
            }
        });
        network
    }

    fn stop(&self) {
        *self.flows.0.lock().expect("no panic") = false;
    }

    fn go_on(&self) {
        *self.flows.0.lock().expect("no panic") = true;
        self.flows.1.notify_all();
    }
}

fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    flows: &(Mutex<bool>, Condvar),
) -> std::io::Result<()> {
    let mut piece = [0; 16 * 1024];
    loop {
        let read = from.read(&mut piece)?;
        let flowing = flows.1.wait_while(flows.0.lock().expect("no panic"), |flows| !*flows);
        drop(flowing.expect("no panic"));
        if read == 0 {
            return to.shutdown(Shutdown::Write);
        }
        to.write_all(&piece[..read])?;
    }
}
