//! An existing cluster that is reached by way of something else: what leads there, and what answers in its place.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use brinell::cluster::{Existing, Pace, Way};
use brinell::model::{AttemptResult, Context, Results, Role, Verdict};
use brinell::pod::guard::{Certificates, certificates};
use brinell::text::base64;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Node, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::api::{ListParams, PostParams};
use kube::config::{Cluster, Kubeconfig};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::engine::docker;
use super::existing::Theirs;
use crate::server::{Server, haproxy, registry, squid};
use crate::support::{Home, Ran};

/// Every way leads there, and what answers in the cluster's place is told from it.
pub(super) fn lead_there(theirs: &Theirs) {
    a_load_balancer_leads_there(theirs);
    theirs.load_image();
    std::fs::write(theirs.home.path("streams.yaml"), STREAMED).expect("written");
    a_proxy_leads_there(theirs);
    let fronted = Fronted::new(theirs);
    a_path_prefix_leads_there(&fronted);
    what_answers_itself_is_no_control(&fronted);
    a_way_without_streams_is_told(&fronted);
    an_image_behind_a_password_is_pulled(theirs);
}

/// Scenarios that need no pods of ours: of callers without credentials, and of what admission refuses.
const PLAIN: [&str; 4] = ["--scenario", "anonymous-*", "--scenario", "pod-privileged"];

/// One that opens streams. Nothing refuses them on this cluster, so that each is seen to open.
const STREAMS: [&str; 4] = ["--profile", "./streams.yaml", "--scenario", "exec-interactive"];

/// What brinell is told of a cluster whose nodes have our image.
const STREAMED: &str = "
title: streams
cluster: {image: 'docker.io/library/brinell:0.1.0'}
controls: {exec-guard: {decides: [{webhook: guard.example.com}], saying: interactive}}
";

/// Somebody who may use the proxy: `ann`, with the password `hunter2`.
const PASSWORDS: &str = "ann:$apr1$brinell$yn6gDl9H4r924EaiFXuR6/\n";

fn a_load_balancer_leads_there(theirs: &Theirs) {
    let api_server = listens_at(theirs);
    let balancer = haproxy(&[], |address| forwarding(address, api_server));
    let address = balancer.address.to_string();
    let kubeconfig = by_way_of(theirs, "balanced", |cluster| {
        cluster.server = Some(format!("https://{address}"));
    });
    let context = format!("kind-{}", theirs.name);
    let way = Way::Context(Context { kubeconfig: Some(kubeconfig), context });
    let reached = theirs.runtime.block_on(Existing::reach(way, None, Pace::free(), None));
    let reached = reached.unwrap_or_else(|error| panic!("{error}"));
    assert!(reached.told().contains(&address), "{}", reached.told());
}

/// Everything goes through the proxy that the kubeconfig names, streams among it. Its password is told nowhere.
fn a_proxy_leads_there(theirs: &Theirs) {
    let proxy = squid(PASSWORDS);
    let node = node_address(theirs);
    let named = |user: &str| {
        let address = proxy.address;
        by_way_of(theirs, "proxied", |cluster| {
            cluster.server = Some(format!("https://{node}:6443"));
            cluster.proxy_url = Some(format!("http://{user}@{address}"));
        })
    };
    let context = format!("kind-{}", theirs.name);
    let kubeconfig = named("ann:hunter2");
    let (ran, results) = run(&theirs.home, &kubeconfig, &context, &STREAMS, &[]);
    assert_streams_open(&results, &ran);
    let told = format!("by way of http://{}", proxy.address);
    assert!(words(&ran.stdout).contains(&told), "{ran:?}");
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
    let asked = proxy.asked();
    let tunnels = asked.lines().filter(|line| line.contains("TCP_TUNNEL/200")).count();
    assert!(tunnels > 6, "a stream has a connection of its own: {asked}");
    // Whether it listens is asked without a word.
    let mut requests =
        asked.lines().filter(|line| !line.contains("transaction-end-before-headers"));
    assert!(requests.all(|line| line.contains(&format!("CONNECT {node}:6443"))), "{asked}");

    // What the proxy refuses is not the cluster's answer.
    let kubeconfig = named("ann:letmein");
    let ran = start(&theirs.home, &kubeconfig, &context, &PLAIN, &[]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains("proxy authorization required"), "{ran:?}");
    assert!(!format!("{ran:?}").contains("letmein"), "{ran:?}");

    // The environment's proxy leads to everything but this machine and what it spares.
    let before = proxy.asked();
    let direct = theirs.home.path("theirs");
    let variables = [("HTTPS_PROXY", format!("http://{}", proxy.address))];
    let ran = start(&theirs.home, &direct, &context, &PLAIN, &variables);
    assert!(ran.stdout.contains("nothing left behind"), "{ran:?}");
    let unnamed = by_way_of(theirs, "unnamed", |cluster| {
        cluster.server = Some(format!("https://{node}:6443"));
    });
    let spared = [variables.as_slice(), &[("NO_PROXY", format!("{node},"))]].concat();
    let ran = start(&theirs.home, &unnamed, &context, &PLAIN, &spared);
    assert!(ran.stdout.contains("nothing left behind"), "{ran:?}");
    assert_eq!(proxy.asked(), before, "neither leads through it");
    let variables = [("HTTPS_PROXY", format!("http://ann:hunter2@{}", proxy.address))];
    let ran = start(&theirs.home, &unnamed, &context, &PLAIN, &variables);
    assert!(ran.stdout.contains("nothing left behind"), "{ran:?}");
    assert_ne!(proxy.asked(), before);
}

/// As Rancher has its clusters below `/k8s/clusters/ID`.
fn a_path_prefix_leads_there(fronted: &Fronted<'_>) {
    let direct = fronted.front("", &[]);
    let prefixed = fronted.front(
        "http-request deny deny_status 404 unless { path_beg /k8s/clusters/c-abc/ }\n\
         http-request replace-path /k8s/clusters/c-abc(/.*) \\1\n",
        &[],
    );
    let (_, expected) = fronted.run(&direct, "", &PLAIN);
    let (ran, found) = fronted.run(&prefixed, "/k8s/clusters/c-abc", &PLAIN);
    let denied = |it: &AttemptResult| it.judgement.outcome.contains("(authorization, 403)");
    assert!(attempts(&found, "anonymous-secrets").any(denied), "{ran:?}");
    assert_eq!(verdicts(&found), verdicts(&expected), "{ran:?}");
    let (ran, found) = fronted.run(&prefixed, "/k8s/clusters/c-abc", &STREAMS);
    assert_streams_open(&found, &ran);
}

/// A gateway that asks for credentials itself, in the words of an API server or by a page.
fn what_answers_itself_is_no_control(fronted: &Fronted<'_>) {
    let unauthorized = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "Unauthorized", "reason": "Unauthorized", "code": 401,
    });
    let violates =
        "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": privileged";
    let forbidden = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": violates, "reason": "Forbidden", "details": {"name": "x", "kind": "pods"}, "code": 403,
    });
    let page = "<html>log in, please</html>".to_owned();
    for (answer, condition, scenario, persona) in [
        (
            ("401 content-type application/json", unauthorized.to_string()),
            ANONYMOUS,
            "anonymous-secrets",
            "anonymous",
        ),
        (("200 content-type text/html", page.clone()), ANONYMOUS, "anonymous-secrets", "anonymous"),
        (("403 content-type text/html", page), ANONYMOUS, "anonymous-secrets", "anonymous"),
        (
            ("403 content-type application/json", forbidden.to_string()),
            "if METH_POST { path_end /pods }",
            "pod-privileged",
            "deployer",
        ),
    ] {
        let (head, body) = answer;
        let rule = format!("http-request return status {head} file /tmp/answer {condition}\n");
        let front = fronted.front(&rule, &[("/tmp/answer", body)]);
        let (ran, results) = fronted.run(&front, "", &["--scenario", scenario]);
        let mut tried = 0;
        for attempt in attempts(&results, scenario).filter(|it| it.persona == persona) {
            assert_eq!(attempt.judgement.verdict, Verdict::Inconclusive, "{head}: {attempt:?}");
            tried += 1;
        }
        assert!(tried > 0, "{ran:?}");
    }
}

/// Whoever shows no credentials.
const ANONYMOUS: &str = "unless { hdr(authorization) -m found }";

/// Neither is passed, nor is a control blamed.
fn a_way_without_streams_is_told(fronted: &Fronted<'_>) {
    let refusing = "http-request deny deny_status 403 if { hdr(upgrade) -m found }\n";
    let dropping = "http-request del-header Upgrade\nhttp-request del-header Connection\n";
    for (rules, spdy) in [(refusing, Verdict::Skipped), (dropping, Verdict::Inconclusive)] {
        let front = fronted.front(rules, &[]);
        let (ran, results) = fronted.run(&front, "", &STREAMS);
        for attempt in attempts(&results, "exec-interactive") {
            let is_websocket = attempt.door == "GET WebSocket";
            let expected = if is_websocket { Verdict::Skipped } else { spdy };
            assert_eq!(attempt.judgement.verdict, expected, "{attempt:?}");
        }
        let causes = "GET WebSocket does not lead to the API server: something before it";
        assert!(words(&ran.stdout).contains(causes), "{ran:?}");
    }
}

/// Where the registry is on the cluster's node.
const REGISTRY_PORT: u16 = 5000;

/// Whom the proxy knows, in the form that a registry wants.
const REGISTRY_PASSWORDS: &str =
    "ann:$2y$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.\n";

fn an_image_behind_a_password_is_pulled(theirs: &Theirs) {
    let node = format!("{}-control-plane", theirs.name);
    let address = SocketAddr::new(node_address(theirs).parse().expect("an IP"), REGISTRY_PORT);
    let _registry = registry(&node, address, REGISTRY_PASSWORDS);
    let image = format!("localhost:{REGISTRY_PORT}/brinell:0.1.0");
    let ours = "docker.io/library/brinell:0.1.0";
    let ctr = ["exec", &node, "ctr", "--namespace", "k8s.io", "images"];
    docker(&[&ctr[..], &["tag", ours, &image]].concat());
    docker(&[&ctr[..], &["push", "--plain-http", "--user", "ann:hunter2", &image]].concat());
    docker(&[&ctr[..], &["rm", &image, ours]].concat());
    let credentials = |password: &str| {
        let auth = base64(format!("ann:{password}").as_bytes());
        json!({"auths": {format!("localhost:{REGISTRY_PORT}"): {"auth": auth}}}).to_string()
    };
    let from = |pull_secret: &str| {
        let streams = STREAMED.replace(
            "{image: 'docker.io/library/brinell:0.1.0'}",
            &format!("{{image: '{image}', pull-secret: {pull_secret}}}"),
        );
        std::fs::write(theirs.home.path("streams.yaml"), streams).expect("written");
    };
    let (file, context) = (theirs.home.path("pull.json"), format!("kind-{}", theirs.name));
    let kubeconfig = theirs.home.path("theirs");

    from("{file: pull.json}");
    std::fs::write(&file, credentials("letmein")).expect("written");
    let started = Instant::now();
    let ran = start(&theirs.home, &kubeconfig, &context, &STREAMS, &[]);
    assert!(started.elapsed() < Duration::from_secs(45), "a deadline told it: {ran:?}");
    let told = words(&format!("{}{}", ran.stdout, ran.stderr));
    assert!(told.contains(" cannot start: ") && told.contains("401"), "{ran:?}");
    assert!(told.contains("nothing left behind") && !told.contains("letmein"), "{ran:?}");

    std::fs::write(&file, credentials("hunter2")).expect("written");
    let (ran, results) = run(&theirs.home, &kubeconfig, &context, &STREAMS, &[]);
    assert_streams_open(&results, &ran);

    let secret = json!({
        "metadata": {"name": "pull"}, "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": credentials("hunter2")},
    });
    let secrets = Api::<Secret>::namespaced(theirs.client.clone(), "default");
    let made = theirs.runtime.block_on(secrets.create(&PostParams::default(), &object(secret)));
    made.expect("made");
    from("{secret: default/pull}");
    let (ran, results) = run(&theirs.home, &kubeconfig, &context, &STREAMS, &[]);
    assert_streams_open(&results, &ran);
}

/// What stands before a cluster and ends TLS: certificates of clients end there too, tokens do not.
struct Fronted<'a> {
    theirs: &'a Theirs,
    certificates: Certificates,
    token: String,
}

impl<'a> Fronted<'a> {
    fn new(theirs: &'a Theirs) -> Fronted<'a> {
        let certificates = certificates(&["127.0.0.1"]).expect("made");
        Fronted { theirs, certificates, token: theirs.runtime.block_on(token(theirs)) }
    }

    /// A front end with these rules, and the files that they name.
    fn front(&self, rules: &str, files: &[(&str, String)]) -> Server {
        let api_server = listens_at(self.theirs);
        let own = format!("{}{}", self.certificates.certificate, self.certificates.key);
        let files = [&[("/tmp/own.pem", own)], files].concat();
        haproxy(&files, |address| {
            format!(
                "defaults\nmode http\ntimeout connect 5s\ntimeout client 1h\ntimeout server 1h\n\
                 timeout tunnel 1h\nbackend api\nserver one {api_server} ssl verify none\n\
                 frontend own\nbind {address} ssl crt /tmp/own.pem\n{rules}default_backend api\n"
            )
        })
    }

    /// A run by way of a front end, below a path of it.
    fn run(&self, front: &Server, path: &str, arguments: &[&str]) -> (Ran, Results) {
        let cluster = json!({
            "server": format!("https://{}{path}", front.address),
            "certificate-authority-data": base64(self.certificates.ca.as_bytes()),
        });
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "",
            "clusters": [{"name": "front", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": self.token}}],
            "contexts": [{"name": "front", "context": {"cluster": "front", "user": "admin"}}],
        });
        let file = self.theirs.home.path("fronted");
        std::fs::write(&file, kubeconfig.to_string()).expect("written");
        run(&self.theirs.home, &file, "front", arguments, &[])
    }
}

/// A token of somebody who may do everything.
async fn token(theirs: &Theirs) -> String {
    let accounts = Api::<ServiceAccount>::namespaced(theirs.client.clone(), "kube-system");
    let bindings = Api::<ClusterRoleBinding>::all(theirs.client.clone());
    let account = json!({"metadata": {"name": "admin"}});
    let binding = json!({
        "metadata": {"name": "admin-by-token"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "kube-system", "name": "admin"}],
    });
    let made = PostParams::default();
    accounts.create(&made, &object(account)).await.expect("made");
    bindings.create(&made, &object(binding)).await.expect("made");
    let spec = TokenRequestSpec { expiration_seconds: Some(7200), ..Default::default() };
    let request = TokenRequest { spec, ..Default::default() };
    let granted = accounts.create_token_request("admin", &made, &request).await.expect("granted");
    granted.status.expect("a token").token
}

fn object<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}

/// The address of the cluster's node, which is not this machine's.
fn node_address(theirs: &Theirs) -> String {
    let nodes = Api::<Node>::all(theirs.client.clone());
    let node = theirs.runtime.block_on(nodes.list(&ListParams::default())).expect("listed");
    let status = node.items[0].status.clone().unwrap_or_default();
    let addresses = status.addresses.unwrap_or_default();
    let internal = addresses.into_iter().find(|it| it.type_ == "InternalIP");
    internal.unwrap_or_else(|| panic!("{} has no address", node.items[0].name_any())).address
}

/// Where the cluster's API server listens on this machine.
fn listens_at(theirs: &Theirs) -> SocketAddr {
    let kubeconfig = Kubeconfig::read_from(theirs.home.path("theirs")).expect("kind's");
    let cluster = kubeconfig.clusters[0].cluster.as_ref().expect("a cluster");
    let server = cluster.server.as_deref().and_then(|server| server.strip_prefix("https://"));
    server.expect("a server").parse().expect("an address")
}

/// The cluster's kubeconfig with another way to it, as a file of this name.
fn by_way_of(theirs: &Theirs, name: &str, change: impl FnOnce(&mut Cluster)) -> PathBuf {
    let mut kubeconfig: Value = {
        let text = std::fs::read_to_string(theirs.home.path("theirs")).expect("kind's");
        serde_saphyr::from_str(&text).expect("YAML")
    };
    let cluster = &mut kubeconfig["clusters"][0]["cluster"];
    let mut changed: Cluster = object(cluster.clone());
    change(&mut changed);
    *cluster = serde_json::to_value(&changed).expect("JSON");
    let file = theirs.home.path(name);
    std::fs::write(&file, kubeconfig.to_string()).expect("written");
    file
}

/// HAProxy that passes bytes on as they are.
fn forwarding(address: SocketAddr, api_server: SocketAddr) -> String {
    format!(
        "defaults\nmode tcp\ntimeout connect 5s\ntimeout client 1h\ntimeout server 1h\n\
         listen api\nbind {address}\nserver one {api_server}\n"
    )
}

fn start(
    home: &Home,
    kubeconfig: &Path,
    context: &str,
    arguments: &[&str],
    variables: &[(&str, String)],
) -> Ran {
    let mut brinell = home.brinell();
    brinell.args(["--context", context, "--rate", "0", "--kubeconfig"]).arg(kubeconfig);
    brinell.args(arguments).envs(variables.iter().cloned());
    brinell.arg("--json").arg(home.path("results.json")).output().expect("started").into()
}

/// A run that ends with results.
fn run(
    home: &Home,
    kubeconfig: &Path,
    context: &str,
    arguments: &[&str],
    variables: &[(&str, String)],
) -> (Ran, Results) {
    let ran = start(home, kubeconfig, context, arguments, variables);
    assert!(ran.stdout.contains("nothing left behind"), "{ran:?}");
    let text = std::fs::read(home.path("results.json")).expect("written");
    (ran, serde_json::from_slice(&text).expect("results"))
}

/// Each door opens: its stream leads to the pod.
fn assert_streams_open(results: &Results, ran: &Ran) {
    let mut doors = BTreeMap::new();
    for attempt in attempts(results, "exec-interactive").filter(|it| it.role == Role::Attack) {
        let outcome = attempt.judgement.outcome.as_str();
        let opened = [
            "BYPASSED: the shell opened",
            "BYPASSED: let in (101)",
            "BYPASSED: let in, and it answered",
        ];
        assert!(opened.contains(&outcome), "{attempt:?}");
        *doors.entry(attempt.door.as_str()).or_insert(0) += 1;
    }
    assert_eq!(doors.len(), 3, "{ran:?}");
    let permit = attempts(results, "exec-interactive").find(|it| it.role == Role::Permit);
    assert_eq!(permit.expect("a permit").judgement.verdict, Verdict::Passed, "{ran:?}");
}

fn attempts<'a>(results: &'a Results, scenario: &str) -> impl Iterator<Item = &'a AttemptResult> {
    let found = results.scenarios.iter().filter(move |it| it.id == scenario);
    found.flat_map(|it| &it.attempts)
}

fn verdicts(results: &Results) -> Vec<(&str, Vec<Verdict>)> {
    let of = |it: &'_ brinell::model::ScenarioResult| {
        it.attempts.iter().map(|attempt| attempt.judgement.verdict).collect()
    };
    results.scenarios.iter().map(|it| (it.id.as_str(), of(it))).collect()
}

/// A text whose lines are not broken.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
