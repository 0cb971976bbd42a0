//! A cluster that brinell did not make: kind makes it as anybody would, brinell is told its context, and afterwards every
//! object of it is compared with what it was before.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use brinell::cluster::{DEFAULT_VERSION, Existing, Pace, Way};
use brinell::model::Context;
use brinell::text::random_hex;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::api::{ListParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt};
use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::engine::image;
use super::{catalog, kubelet, lent, nightly, trial, ways};
use crate::server::{self, HAPROXY, REGISTRY, SQUID};
use crate::shared::{Shared, objects, settled};
use crate::support::{Home, Ran};

/// All tests on such a cluster, which is one for all of them.
pub fn trials() -> Vec<Trial> {
    let theirs = Shared::new(Theirs::make);
    let on = |test: fn(&Theirs)| {
        let theirs = Arc::clone(&theirs);
        move || theirs.with(test)
    };
    let name = |name: &str| format!("existing/{DEFAULT_VERSION}/{name}");
    let ways_name = format!("kind/{}", name("ways"));
    vec![
        trial(name("left-as-it-was"), on(is_left_as_it_was)),
        trial(name("credentials-of-their-own"), on(are_played_by_their_own_credentials)),
        trial(name("catalog"), on(catalog::is_declared_by_its_own_files)),
        trial(name("lent pod"), on(lent::is_enough_for_permits)),
        trial(name("nightly"), on(nightly::results_stay)),
        trial(name("kubelet"), on(kubelet::is_asked_from_a_pod)),
        // It takes minutes: ci/nightly asks for it.
        trial(name("pods that never run"), on(lose_their_own_scenarios))
            .with_kind("nightly")
            .with_ignored_flag(true),
        // The last: it takes our image away from the node.
        server::trial(&ways_name, &[HAPROXY, SQUID, REGISTRY], on(ways::lead_there)),
    ]
}

/// What a cluster changes by itself while nobody does anything.
const RESTLESS: [&str; 2] = ["Event", "Lease"];

/// What is told of a cluster on which no pod runs.
const CORDONED: &str = "
title: cordoned
cluster:
  image: \"brinell:0.1.0\"
  namespace-labels: {pod-security.kubernetes.io/enforce: restricted}
controls: {exec-guard: {}, pod-security: {}}
";

/// Scenarios that make pods, through workloads too.
const PODS: [&str; 4] = ["--scenario", "hostpath-*", "--scenario", "pod-*"];

fn is_left_as_it_was(theirs: &Theirs) {
    let before = theirs.settled();

    let ran = theirs.run(&["--profile", "found"]);
    assert_eq!(ran.code, Some(1), "namespaces without labels admit every pod: {ran:?}");
    assert!(ran.stdout.contains("nothing left behind"), "{ran:?}");
    theirs.assert_same(&before);

    std::fs::write(theirs.home.path("labelled.yaml"), LABELLED).expect("written");
    let labelled = ["--profile", "./labelled.yaml"];
    let ran = theirs.run(&[&labelled[..], &PODS].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    theirs.assert_same(&before);

    // Both look like ours, and one thing is missing of each.
    let looks =
        [("brinell-abc123-shop", json!({})), ("shop", json!({"brinell.dev/run": "abc123"}))];
    for (name, labels) in &looks {
        theirs.make_namespace(name, labels);
    }
    let before = theirs.objects();
    let run = theirs.kill(&[&labelled[..], &PODS].concat());
    assert!(!theirs.namespaces_of(&run).is_empty());
    let elsewhere = Home::new();
    let swept = theirs.sweep(&elsewhere, None);
    assert!(swept.contains(&format!("{run}: was not started from here; ")), "{swept}");
    let swept = theirs.sweep(&theirs.home, None);
    assert!(swept.contains(&format!("{run}: removed, ")), "{swept}");
    assert!(!swept.contains("abc123"), "{swept}");
    theirs.assert_same(&before);

    let run = theirs.kill(&[&labelled[..], &PODS].concat());
    let swept = theirs.sweep(&elsewhere, Some(&run));
    assert!(swept.contains(&format!("{run}: removed, ")), "{swept}");
    theirs.assert_same(&before);
}

/// Where no pod is scheduled any more, what goes into one cannot be told, and everything else is.
fn lose_their_own_scenarios(theirs: &Theirs) {
    let node = format!("{}-control-plane", theirs.name);
    let kubectl = ["kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf"];
    theirs.in_node(&[&kubectl[..], &["cordon", &node]].concat(), "");
    let scenarios = ["--scenario", "exec-interactive", "--scenario", "hostpath-root"];
    std::fs::write(theirs.home.path("cordoned.yaml"), CORDONED).expect("written");
    let ran = theirs.run(&[&["--profile", "./cordoned.yaml"][..], &scenarios].concat());
    theirs.in_node(&[&kubectl[..], &["uncordon", &node]].concat(), "");
    let said = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("1 passed, 0 failed, 1 inconclusive, 0 skipped"), "{ran:?}");
    assert!(said.contains("production-app/app did not become ready"), "{ran:?}");
    assert!(said.contains("Unschedulable") && said.contains("nothing left behind"), "{ran:?}");
}

/// Who plays a persona by credentials of their own must be somebody on this very cluster, and is who the results name.
fn are_played_by_their_own_credentials(theirs: &Theirs) {
    let before = theirs.settled();
    let token = theirs.token("kube-system", "namespace-controller");
    std::fs::write(theirs.home.path("token"), format!("{token}\n")).expect("written");
    let plays = |player: &str| {
        let profile =
            LABELLED.replace("controls:", &format!("personas: {{deployer: {player}}}\ncontrols:"));
        std::fs::write(theirs.home.path("played.yaml"), profile).expect("written");
        let ran = theirs.run(&["--profile", "./played.yaml", "--scenario", "hostpath-root", "-v"]);
        theirs.assert_same(&before);
        let said: Vec<&str> = ran.stdout.split_whitespace().collect();
        let said = said.join(" ");
        assert!(!said.contains(&token) && !said.contains("n0b0dy"), "a token is shown: {said}");
        (ran.code, said)
    };

    // It may not create pods, so that authorization refuses it, and not Pod Security.
    let (code, said) = plays("{token-file: token}");
    let named = "User \"system:serviceaccount:kube-system:namespace-controller\"";
    assert!(code == Some(1) && said.contains(named), "{said}");
    let (code, said) = plays(&format!("{{context: kind-{}}}", theirs.name));
    assert_eq!(code, Some(0), "{said}");

    std::fs::write(theirs.home.path("token"), "n0b0dy").expect("written");
    std::fs::write(theirs.home.path("other"), ELSEWHERE).expect("written");
    for (player, words) in [
        ("{token-file: token}", "token cannot be used: Unauthorized (401)"),
        ("{context: ci, kubeconfig: other}", "the credentials of context ci cannot be used"),
        ("{context: as, kubeconfig: other}", "the context as acts as somebody else"),
    ] {
        let (code, said) = plays(player);
        assert!(code == Some(4) && said.contains(words), "{said}");
    }
}

/// A kubeconfig that leads elsewhere, and to somebody else.
const ELSEWHERE: &str = "
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: \"https://127.0.0.1:1\"}}]
users: [{name: u, user: {token: t0k3n}}, {name: v, user: {token: t0k3n, as: jane}}]
contexts: [{name: ci, context: {cluster: c, user: u}}, {name: as, context: {cluster: c, user: v}}]
";

/// What brinell is told of a cluster that labels its namespaces.
const LABELLED: &str = "
title: labelled
cluster: {namespace-labels: {pod-security.kubernetes.io/enforce: restricted}}
controls: {pod-security: {}}
";

/// What is kept of requests: whole streams, and of the rest that they were sent.
const POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: RequestResponse, resources: [{group: '', resources: [pods/exec, pods/attach]}]}
- {level: Metadata}
";

/// Where a node has the policies and the logs.
pub(super) const FOLDER: &str = "/etc/kubernetes/audit";

/// Somebody else's cluster, deleted at the end.
pub(super) struct Theirs {
    pub(super) home: Home,
    pub(super) name: String,
    pub(super) runtime: Runtime,
    pub(super) client: Client,
}

impl Theirs {
    pub(super) fn make() -> Theirs {
        Theirs::logging(POLICY)
    }

    /// One with an audit log by this policy, in `audit/first.log` of its home.
    pub(super) fn logging(policy: &str) -> Theirs {
        let home = Home::new();
        let name = format!("theirs-{}", random_hex(3));
        let kubeconfig = home.path("theirs");
        let file = home.path("kind.json");
        let folder = home.path("audit");
        std::fs::create_dir(&folder).expect("made");
        std::fs::write(folder.join("first.yaml"), policy).expect("written");
        let flags = json!({"apiServer": {
            "extraArgs": [
                {"name": "audit-log-path", "value": format!("{FOLDER}/first.log")},
                {"name": "audit-policy-file", "value": format!("{FOLDER}/first.yaml")},
            ],
            "extraVolumes": [{"name": "audit", "hostPath": FOLDER, "mountPath": FOLDER}],
        }, "kind": "ClusterConfiguration"});
        let config = json!({"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": [{
            "role": "control-plane",
            "kubeadmConfigPatches": [flags.to_string()],
            "extraMounts": [{"hostPath": folder, "containerPath": FOLDER}],
        }]});
        std::fs::write(&file, config.to_string()).expect("written");
        let mut kind = Command::new("kind");
        kind.args(["create", "cluster", "--wait", "120s", "--name", &name, "--image", &image()]);
        kind.arg("--config").arg(&file);
        let made = kind.arg("--kubeconfig").arg(&kubeconfig).output().expect("started");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let runtime = Runtime::new().expect("a runtime");
        let context = format!("kind-{name}");
        let way = Way::Context(Context { kubeconfig: Some(kubeconfig), context });
        let client = runtime.block_on(async {
            let reached = Existing::reach(way, None, Pace::free(), None).await;
            reached.unwrap_or_else(|error| panic!("{error}")).access.admin
        });
        Theirs { home, name, runtime, client }
    }

    /// Puts our image into its node, as a registry would.
    pub(super) fn load_image(&self) {
        let archive = self.home.path("brinell.tar");
        let made = self.home.brinell().arg("image").arg(&archive).output().expect("started");
        assert!(made.status.success(), "{made:?}");
        let mut kind = Command::new("kind");
        kind.args(["load", "image-archive", "--name", &self.name]).arg(&archive);
        let loaded = kind.output().expect("started");
        assert!(loaded.status.success(), "{loaded:?}");
    }

    /// Every object of it when its own pods are ready: until then it goes on changing.
    pub(super) fn settled(&self) -> BTreeMap<String, Value> {
        self.runtime.block_on(async {
            let pods = Api::<Pod>::namespaced(self.client.clone(), "kube-system");
            for pod in pods.list(&ListParams::default()).await.expect("listed") {
                let name = pod.name_any();
                let ready = await_condition(pods.clone(), &name, |pod: Option<&Pod>| {
                    pod.is_some_and(is_ready)
                });
                ready.await.expect("watched");
            }
        });
        // What counts them follows.
        settled(|| self.objects())
    }

    fn brinell(&self, home: &Home, arguments: &[&str]) -> Command {
        let mut brinell = home.brinell();
        brinell.args(arguments).args(["--context", &format!("kind-{}", self.name)]);
        brinell.arg("--kubeconfig").arg(self.home.path("theirs"));
        brinell
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Ran {
        let arguments = [arguments, &["--rate", "0"]].concat();
        self.brinell(&self.home, &arguments).output().expect("started").into()
    }

    /// Starts a run and kills it when its namespaces are there. Returns its id.
    fn kill(&self, arguments: &[&str]) -> String {
        let mut brinell = self.brinell(&self.home, arguments);
        let mut process = brinell.stdout(Stdio::piped()).spawn().expect("started");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let mut until = |words: &str| {
            let mut lines = lines.by_ref().map(|line| line.expect("text in UTF-8"));
            lines.find(|line| line.contains(words)).expect("it goes on")
        };
        let head = until(", run ");
        let run = head.split(", run ").nth(1).and_then(|rest| rest.split(',').next());
        let run = run.expect("an id").to_owned();
        until(", 1 persona");
        let pid = Pid::from_child(&process);
        kill_process(pid, Signal::KILL).expect("it runs");
        process.wait().expect("ended");
        run
    }

    fn sweep(&self, home: &Home, run: Option<&str>) -> String {
        let arguments: Vec<&str> = ["sweep"].into_iter().chain(run).collect();
        let ran: Ran = self.brinell(home, &arguments).output().expect("started").into();
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout
    }

    /// A token of one of its ServiceAccounts.
    fn token(&self, namespace: &str, account: &str) -> String {
        let accounts = Api::<ServiceAccount>::namespaced(self.client.clone(), namespace);
        let (parameters, request) = (PostParams::default(), TokenRequest::default());
        let granted = accounts.create_token_request(account, &parameters, &request);
        let granted = self.runtime.block_on(granted).expect("granted");
        granted.status.expect("a token").token
    }

    fn make_namespace(&self, name: &str, labels: &Value) {
        let namespace = json!({"metadata": {"name": name, "labels": labels}});
        let namespace: Namespace = serde_json::from_value(namespace).expect("a Namespace");
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let made = self.runtime.block_on(async {
            namespaces.create(&PostParams::default(), &namespace).await.expect("made");
            // What controllers put into it is a part of it.
            let accounts = Api::<ServiceAccount>::namespaced(self.client.clone(), name);
            await_condition(accounts, "default", |it: Option<&ServiceAccount>| it.is_some()).await
        });
        made.expect("watched");
    }

    fn namespaces_of(&self, run: &str) -> Vec<String> {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let labelled = ListParams::default().labels(&format!("brinell.dev/run={run}"));
        let found = self.runtime.block_on(namespaces.list(&labelled)).expect("listed");
        found.into_iter().map(|namespace| namespace.name_any()).collect()
    }

    fn objects(&self) -> BTreeMap<String, Value> {
        let objects = self.runtime.block_on(objects(&self.client, &RESTLESS));
        objects.into_iter().map(|(name, object)| (name.clone(), still(&name, object))).collect()
    }

    pub(super) fn assert_same(&self, before: &BTreeMap<String, Value>) {
        let after = self.objects();
        let keys = before.keys().chain(after.keys());
        let changed: Vec<_> = keys.filter(|key| before.get(*key) != after.get(*key)).collect();
        assert!(changed.is_empty(), "{changed:?}");
    }
}

/// Whether a pod says that it is ready.
fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// An object without what a kubelet reports, of its node every few seconds and of a pod whenever a probe of it fails.
fn still(name: &str, mut object: Value) -> Value {
    if ["Node ", "Pod "].iter().any(|kind| name.starts_with(kind)) {
        object["status"] = Value::Null;
        object["metadata"]["managedFields"] = Value::Null;
        object["metadata"]["resourceVersion"] = Value::Null;
    }
    object
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let deleted =
            Command::new("kind").args(["delete", "cluster", "--name", &self.name]).output();
        assert!(deleted.is_ok_and(|it| it.status.success()), "kind cluster {} stays", self.name);
    }
}
