//! A cluster with two API servers behind a load balancer, each of which writes an audit log of its own. brinell gets the
//! balancer's address and knows nothing else of it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use brinell::model::{AttemptResult, Results, Verdict};
use brinell::pod::guard::{Certificates, certificates};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::engine::docker;
use super::existing::{FOLDER, Theirs};
use crate::server::{self, HAPROXY, Server, haproxy};

/// All tests of such clusters.
pub fn trials() -> Vec<Trial> {
    vec![server::trial("kind/replicas", &[HAPROXY], replicas)]
}

/// All of them on one cluster.
fn replicas() {
    let two = Two::make();
    let alone = two.run("theirs", BOTH, &SCENARIOS);
    assert!(alone.says("1 API server, its audit log is read"), "{alone:?}");
    let balancer = two.balancer("tcp");
    two.kubeconfig("balanced", &balancer, None);
    one_that_joins_is_noticed(&two, &alone);
    two.start_second(POLICY);
    two.await_second();
    verdicts_are_those_of_one(&two, &alone);
    what_one_of_them_does_not_log_is_noticed(&two, &alone);
    what_a_starting_one_refuses_is_no_block(&two);
    a_balancer_that_ends_tls_is_told(&two);
}

/// What authorization, authentication and admission refuse, what is let in, what is asked, and what is to be logged.
const SCENARIOS: [&str; 10] = [
    "--scenario",
    "anonymous-*",
    "--scenario",
    "pod-privileged",
    "--scenario",
    "pod-through-workloads",
    "--scenario",
    "rights-stranger",
    "--scenario",
    "role-applied-audited",
];

/// Once there are two, which of them answers is not known, and of what the second one answers the log holds nothing.
fn one_that_joins_is_noticed(two: &Two, alone: &Found) {
    let mut running = two.start("balanced", FIRST, &[&ATTACKS[..], &["--rate", "8"]].concat());
    running.read_until(Some(" persona"));
    two.start_second(POLICY);
    let found = two.end(running);
    assert!(found.says("1 API server, its audit log is read"), "{found:?}");
    let expected = alone.verdicts();
    let mut unknown = 0;
    for (attempt, verdict) in found.verdicts() {
        let is_unknown = verdict == Verdict::Inconclusive;
        unknown += usize::from(is_unknown);
        assert!(is_unknown || Some(&verdict) == expected.get(&attempt), "{attempt}: {found:?}");
    }
    assert!(unknown > 0, "it was let alone: {found:?}");
}

fn verdicts_are_those_of_one(two: &Two, alone: &Found) {
    let found = two.run("balanced", BOTH, &SCENARIOS);
    assert!(found.says("2 API servers, one for each connection"), "{found:?}");
    assert_eq!(found.verdicts(), alone.verdicts(), "{found:?}");
    let refused = found.attempts().filter(|it| it.judgement.outcome.contains("authorization"));
    assert!(refused.filter(|it| it.judgement.verdict == Verdict::Passed).count() > 4, "{found:?}");
    // The log of one shows nothing of what the other one answered.
    let found = two.run("balanced", FIRST, &SCENARIOS);
    let expected = alone.verdicts();
    let mut unproved = 0;
    for (attempt, verdict) in found.verdicts() {
        let is_unproved = verdict == Verdict::Inconclusive;
        unproved += usize::from(is_unproved);
        assert!(is_unproved || Some(&verdict) == expected.get(&attempt), "{attempt}: {found:?}");
    }
    assert!(unproved > 0, "{found:?}");
}

/// So many pods that both API servers are asked for some.
const PODS: [&str; 4] = ["--scenario", "pod-host-namespaces", "--scenario", "hostpath-*"];

fn what_one_of_them_does_not_log_is_noticed(two: &Two, alone: &Found) {
    two.start_second(WITHOUT_PODS);
    two.await_second();
    let unlogged =
        |found: &Found| found.attempts().filter(|it| it.judgement.logged == "UNLOGGED").count();
    assert_eq!(unlogged(alone), 0, "{alone:?}");
    let found = two.run("balanced", BOTH, &PODS);
    assert!(unlogged(&found) > 0, "{found:?}");
    let found = two.run("balanced", FIRST, &PODS);
    assert_eq!(unlogged(&found), 0, "{found:?}");
}

/// Attacks on what everybody may do there.
const ATTACKS: [&str; 2] = ["--scenario", "anonymous-*"];

/// Everybody may do everything, so that only an API server that has no rules yet refuses it.
fn what_a_starting_one_refuses_is_no_block(two: &Two) {
    two.start_second(POLICY);
    two.await_second();
    two.let_everybody_in();
    let steady = two.run("balanced", BOTH, &ATTACKS);
    let steady = steady.verdicts();
    assert!(steady.values().filter(|it| **it == Verdict::Failed).count() > 4, "{steady:?}");
    let mut running = two.start("balanced", BOTH, &[&ATTACKS[..], &["--rate", "8"]].concat());
    // Everything is there then, and attacks begin.
    running.read_until(Some(" persona"));
    two.start_second(POLICY);
    let found = two.end(running);
    let mut unknown = 0;
    for (attempt, verdict) in found.verdicts() {
        let is_unknown = verdict == Verdict::Inconclusive;
        unknown += usize::from(is_unknown);
        assert!(is_unknown || Some(&verdict) == steady.get(&attempt), "{attempt}: {found:?}");
    }
    assert!(unknown > 0, "it was let alone: {found:?}");
}

/// It may give each request to another one. What does not rest on authorization is judged all the same.
fn a_balancer_that_ends_tls_is_told(two: &Two) {
    let balancer = two.balancer("http");
    two.kubeconfig("ended", &balancer, Some(two.token()));
    let found = two.run("ended", BOTH, &["--scenario", "rights-stranger"]);
    assert!(found.says("2 API servers, and nothing shows which of them answers"), "{found:?}");
    let refused = found.attempts().filter(|it| it.judgement.outcome.contains("authorization"));
    let verdicts: Vec<Verdict> = refused.map(|it| it.judgement.verdict).collect();
    assert_eq!(verdicts, [Verdict::Inconclusive], "{found:?}");
}

/// Which logs brinell is given.
type Logs = &'static [&'static str];
const BOTH: Logs = &["first.log", "second.log"];
const FIRST: Logs = &["first.log"];

/// A policy that logs all that is asked of it.
const POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- {level: Metadata, resources: [{group: '', resources: [secrets]}], omitStages: [RequestReceived]}
- {level: Request, verbs: [create, update, patch, delete]}
- {level: Metadata, omitStages: [RequestReceived]}
";

/// A policy that does not log what pods are made by.
const WITHOUT_PODS: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- {level: None, verbs: [create], resources: [{group: '', resources: [pods]}]}
- {level: Metadata, omitStages: [RequestReceived]}
";

/// What brinell is told.
const PROFILE: &str = "
title: replicas
audit: {stdin: true}
controls: {anonymous-auth: {decides: [authentication, authorization]}, audit-policy: {}, least-privilege: {}, pod-security: {}}
";

/// Starts the second API server in the node: with the first one's flags, and a host name by which its lease is its own.
const SECOND: &str = r#"
first=$(pgrep -ox kube-apiserver)
test -e /usr/local/bin/second-apiserver || cp /proc/$first/root/usr/local/bin/kube-apiserver /usr/local/bin/second-apiserver
flags=$(tr '\0' '\n' </proc/$first/cmdline | tail -n +2 | sed 's/secure-port=6443/secure-port=6444/; s/first/second/g')
exec unshare --uts sh -c 'hostname second; exec "$@"' sh /usr/local/bin/second-apiserver $flags
"#;

/// Somebody else's cluster with room for a second API server.
struct Two {
    theirs: Theirs,
    node: String,
}

impl Two {
    fn make() -> Two {
        let theirs = Theirs::logging(POLICY);
        let node = format!("{}-control-plane", theirs.name);
        std::fs::write(theirs.home.path("replicas.yaml"), PROFILE).expect("written");
        Two { theirs, node }
    }

    /// Runs a script in the node.
    fn run_in_node(&self, script: &str) -> String {
        docker(&["exec", &self.node, "bash", "-c", script])
    }

    /// Starts the second API server anew, with this policy. It is not ready yet when this returns.
    fn start_second(&self, policy: &str) {
        std::fs::write(self.theirs.home.path("audit/second.yaml"), policy).expect("written");
        self.run_in_node("pkill -9 -x second-apiserve; true");
        docker(&["exec", "--detach", &self.node, "bash", "-c", SECOND]);
    }

    /// Waits until it is ready and has a lease, by which it is counted.
    fn await_second(&self) {
        self.run_in_node(
            "until curl -sfk https://127.0.0.1:6444/readyz; do sleep 0.1; done
             leases='kubectl --kubeconfig /etc/kubernetes/admin.conf --namespace kube-system get lease
               --selector apiserver.kubernetes.io/identity=kube-apiserver --output name'
             until (($($leases | wc -l) == 2)); do sleep 0.1; done",
        );
    }

    /// A balancer in this mode of HAProxy's before both, which gives each connection, or each request, to the next one.
    fn balancer(&self, mode: &str) -> Server {
        let address = "{{.NetworkSettings.Networks.kind.IPAddress}}";
        let node = docker(&["inspect", "--format", address, &self.node]);
        let node = node.trim();
        let Certificates { certificate, key, .. } = certificates(&["127.0.0.1"]).expect("made");
        let (bind, server) = match mode {
            "http" => ("ssl crt /tmp/own.pem", "ssl verify none"),
            _ => ("", ""),
        };
        haproxy(&[("/tmp/own.pem", format!("{certificate}{key}"))], |address| {
            format!(
                "defaults\nmode {mode}\ntimeout connect 5s\ntimeout client 1h\ntimeout server 1h\n\
                 listen api\nbind {address} {bind}\nbalance roundrobin\noption redispatch\n\
                 server first {node}:6443 {server}\nserver second {node}:6444 {server}\n"
            )
        })
    }

    /// The cluster's kubeconfig by way of a balancer, as a file of this name; of somebody with a token where it is given.
    fn kubeconfig(&self, name: &str, balancer: &Server, token: Option<String>) {
        let text = std::fs::read_to_string(self.theirs.home.path("theirs")).expect("kind's");
        let mut kubeconfig: Value = serde_saphyr::from_str(&text).expect("YAML");
        let cluster = &mut kubeconfig["clusters"][0]["cluster"];
        cluster["server"] = json!(format!("https://{}", balancer.address));
        if let Some(token) = token {
            *cluster = json!({"server": cluster["server"], "insecure-skip-tls-verify": true});
            kubeconfig["users"][0]["user"] = json!({"token": token});
        }
        std::fs::write(self.theirs.home.path(name), kubeconfig.to_string()).expect("written");
    }

    /// A token of somebody who may do everything.
    fn token(&self) -> String {
        self.run_in_node(
            "export KUBECONFIG=/etc/kubernetes/admin.conf
             kubectl create clusterrolebinding by-token --clusterrole cluster-admin --serviceaccount kube-system:default >&2
             kubectl -n kube-system create token default",
        )
        .trim()
        .to_owned()
    }

    /// Lets everybody do everything.
    fn let_everybody_in(&self) {
        self.run_in_node(
            "kubectl --kubeconfig /etc/kubernetes/admin.conf create clusterrolebinding everybody \\
             --clusterrole cluster-admin --group system:unauthenticated",
        );
    }

    /// Starts brinell by a kubeconfig, with these logs on its standard input.
    fn start(&self, kubeconfig: &str, logs: Logs, arguments: &[&str]) -> Running {
        let files = logs.iter().map(|log| format!("{FOLDER}/{log}"));
        let mut tail = Command::new("docker");
        tail.args(["exec", &self.node, "tail", "-q", "-c", "+1", "-F"]).args(files);
        let mut tail = tail.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("started");
        let home = &self.theirs.home;
        let mut brinell = home.brinell();
        brinell.args([
            "--context",
            &format!("kind-{}", self.theirs.name),
            "--profile",
            "./replicas.yaml",
        ]);
        brinell
            .arg("--kubeconfig")
            .arg(home.path(kubeconfig))
            .arg("--json")
            .arg(home.path("results.json"));
        brinell.args(arguments).stdin(tail.stdout.take().expect("piped"));
        let mut brinell = brinell.stdout(Stdio::piped()).spawn().expect("started");
        let lines = BufReader::new(brinell.stdout.take().expect("piped")).lines();
        Running { brinell, tail, lines, told: String::new() }
    }

    /// Waits for the end of a run.
    fn end(&self, mut running: Running) -> Found {
        running.read_until(None);
        let Running { mut brinell, mut tail, told, .. } = running;
        brinell.wait().expect("ended");
        tail.kill().expect("it goes on");
        tail.wait().expect("ended");
        assert!(told.contains("nothing left behind"), "{told}");
        let text = std::fs::read(self.theirs.home.path("results.json")).expect("written");
        Found { told, results: serde_json::from_slice(&text).expect("results") }
    }

    /// A run as fast as the cluster answers.
    fn run(&self, kubeconfig: &str, logs: Logs, arguments: &[&str]) -> Found {
        self.end(self.start(kubeconfig, logs, &[arguments, &["--rate", "0"]].concat()))
    }
}

/// A run that goes on.
struct Running {
    brinell: Child,
    tail: Child,
    lines: Lines<BufReader<ChildStdout>>,
    told: String,
}

impl Running {
    /// Reads what it tells until these words, or to its end.
    fn read_until(&mut self, words: Option<&str>) {
        for line in self.lines.by_ref() {
            let line = line.expect("text in UTF-8");
            self.told.extend([&line, "\n"]);
            if words.is_some_and(|words| line.contains(words)) {
                return;
            }
        }
        assert_eq!(words, None, "it ended before: {}", self.told);
    }
}

/// What a run came to.
#[derive(Debug)]
struct Found {
    told: String,
    results: Results,
}

impl Found {
    /// Whether it says this in a step, whose lines may be broken anywhere and whose first one ends with how long it took.
    fn says(&self, words: &str) -> bool {
        let without_time = |line: &'_ str| {
            let timed = line.strip_suffix(" s").and_then(|line| line.rsplit_once("   "));
            timed.map_or(line, |(words, _)| words).to_owned()
        };
        let lines: Vec<String> = self.told.lines().map(without_time).collect();
        lines.join(" ").split_whitespace().collect::<Vec<_>>().join(" ").contains(words)
    }

    fn attempts(&self) -> impl Iterator<Item = &AttemptResult> {
        self.results.scenarios.iter().flat_map(|it| &it.attempts)
    }

    /// What came of each attempt, by its scenario, number and name.
    fn verdicts(&self) -> BTreeMap<String, Verdict> {
        let scenarios = self.results.scenarios.iter();
        let attempts = scenarios
            .flat_map(|it| it.attempts.iter().enumerate().map(move |attempt| (&it.id, attempt)));
        let named = attempts.map(|(id, (number, attempt))| {
            (format!("{id}/{number}: {}", attempt.name), attempt.judgement.verdict)
        });
        named.collect()
    }
}
