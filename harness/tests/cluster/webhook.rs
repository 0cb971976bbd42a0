//! A webhook server of the reader's: by its image on kind, by a command or where it listens already on an embedded
//! cluster. It is this executable, told to serve.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, ExitCode, Output};
use std::sync::Arc;

use axum::routing::post;
use axum::{Json, Router};
use axum_server::tls_rustls::RustlsConfig;
use brinell::cluster::ClusterType;
use brinell::pod::server_config;
use serde_json::{Value, json};

use crate::proof;
use crate::support::{Home, Ran};

/// The first argument with which this executable serves.
pub const SERVE: &str = "serve-webhook";

/// The last argument with which it lets everything in.
const LENIENT: &str = "lenient";

/// The image of this executable.
const IMAGE: &str = "brinell.dev/test/labels:1";

const CONTROL: &str = "\
title: No pod of the bazaar is for a demonstration
decides: [{webhook: labels.example.com}]
look-at: ValidatingWebhookConfiguration labels
objects: [namespace.yaml, server.yaml, webhook.yaml]
SERVED
ready:
- as: admin
  do:
    request:
      method: POST
      path: /api/v1/namespaces/bazaar/pods?dryRun=All
      body:
        apiVersion: v1
        kind: Pod
        metadata: {name: marker, labels: {for: demonstration}}
        spec: {containers: [{name: marker, image: registry.example.com/marker}]}
  saying: for a demonstration
weaken:
  absent:
    why: whoever may create a pod says what it is for
    delete: [webhook.yaml]
    expect: {demonstration: bypassed}
  lenient:
    why: what was switched off for a day stays off
    patch:
      Deployment/labels/labels:
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: LENIENT}
    expect: {demonstration: bypassed}
  fails-open:
    why: what is not asked lets everybody in
    patch:
      ValidatingWebhookConfiguration/labels:
      - {op: replace, path: /webhooks/0/failurePolicy, value: Ignore}
      Deployment/labels/labels:
      - {op: replace, path: /spec/replicas, value: 0}
    expect: {demonstration: bypassed}
";

const NAMESPACE: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: labels}
---
apiVersion: v1
kind: Secret
metadata: {name: certificate, namespace: labels}
type: kubernetes.io/tls
data: {tls.crt: \"${cert}\", tls.key: \"${key}\"}
";

const SERVER: &str = "\
apiVersion: v1
kind: Service
metadata: {name: labels, namespace: labels}
spec:
  selector: {app: labels}
  ports: [{port: 443, targetPort: 8443}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: labels, namespace: labels}
spec:
  replicas: 1
  selector: {matchLabels: {app: labels}}
  template:
    metadata: {labels: {app: labels}}
    spec:
      terminationGracePeriodSeconds: 0  # It does not listen to signals.
      containers:
      - name: labels
        image: IMAGE
        imagePullPolicy: Never
        args: [SERVE, \"0.0.0.0:8443\", /certificate]
        readinessProbe: {tcpSocket: {port: 8443}, periodSeconds: 1}
        volumeMounts: [{name: certificate, mountPath: /certificate, readOnly: true}]
      volumes: [{name: certificate, secret: {secretName: certificate}}]
";

const WEBHOOK: &str = "\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: labels}
webhooks:
- name: labels.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 5
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: bazaar}}
  rules: [{operations: [CREATE], apiGroups: [\"\"], apiVersions: [v1], resources: [pods], scope: Namespaced}]
  clientConfig:
    caBundle: CA
    service: {namespace: labels, name: labels, path: /labels}
";

const SCENARIO: &str = "\
title: A pod for a demonstration
why: It stays for years.
fix: Set the webhook up.
target: bazaar
attacks:
- name: a pod for a demonstration
  as: seller
  do: {pod: {metadata: {labels: {for: demonstration}}, spec: {containers: [{image: registry.example.com/bazaar}]}}}
  blocked: {by: labels, saying: for a demonstration}
permits:
- name: a pod for customers
  as: seller
  do: {pod: {metadata: {labels: {for: customers}}, spec: {containers: [{image: registry.example.com/bazaar}]}}}
  succeeds: {}
";

const SELLER: &str = "\
who: {service-account: {namespace: brinell-personas, name: seller}}
roles:
- cluster-role: seller
  rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get, create]}]
  bound: {in: [bazaar]}
";

/// Writes the reader's catalog, in which the webhook is served as `served` says.
fn write(folder: &Path, served: &str, ca: &str) {
    let server = SERVER.replace("IMAGE", IMAGE).replace("SERVE", SERVE);
    for (place, text) in [
        (
            "manifests/controls/labels/control.yaml",
            CONTROL.replace("SERVED", served).replace("LENIENT", LENIENT),
        ),
        ("manifests/controls/labels/namespace.yaml", NAMESPACE.to_owned()),
        ("manifests/controls/labels/server.yaml", server),
        ("manifests/controls/labels/webhook.yaml", WEBHOOK.replace("CA", ca)),
        (
            "manifests/profiles/bazaar.yaml",
            "title: The bazaar's\ncontrols: {labels: {}}\n".to_owned(),
        ),
        (
            "manifests/targets/bazaar.yaml",
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: bazaar}\n".to_owned(),
        ),
        ("manifests/personas/seller.yaml", SELLER.to_owned()),
        ("scenarios/bazaar/demonstration.yaml", SCENARIO.to_owned()),
    ] {
        let path = folder.join(place);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
}

/// Proves the reader's control.
fn prove(home: &Home, cluster: ClusterType) -> Ran {
    let mut command = proof::brinell(home, cluster);
    command.args(["--only-mine", "--profile", "bazaar", "--clusters", "1", "--catalog"]);
    Ran::from(command.arg(home.path("mine")).output().expect("started"))
}

/// What is proved where pods run as the Deployment says, and where a weakening of them changes nothing.
const PROVED: [&str; 2] = [
    "3 of 3 weakenings caught, 0 missed, 0 went wrong, 0 skipped; 1 scenario, 0 vacuous; 0 collateral.",
    "2 of 2 weakenings caught, 0 missed, 0 went wrong, 1 skipped; 1 scenario, 0 vacuous; 0 collateral.",
];

fn see_proved(ran: &Ran, told: &str) {
    assert!(ran.stdout.contains(told), "{ran:?}");
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

/// How the command is told, where `port` is what it is told to listen at.
fn command(port: &str) -> String {
    let program = std::env::current_exe().expect("this executable");
    let program = program.to_str().expect("a path");
    let words = format!("[{program:?}, {SERVE}, \"127.0.0.1:{port}\", \"${{certificates}}\"]");
    format!(
        "servers: [{{deployment: labels/labels, services: [labels/labels], by: {{command: {words}}}}}]"
    )
}

/// A command serves, and stops where the Deployment has no replicas.
pub fn by_a_command() {
    let home = Home::new();
    write(&home.path("mine"), &command("${port}"), "${ca}");
    see_proved(&prove(&home, ClusterType::Embedded), PROVED[1]);
    assert!(!crate::embedded::is_named_by_a_process(SERVE), "it still serves");
}

/// A command that ends, or listens elsewhere, is told with its last words, and no scenario runs.
pub fn by_a_command_that_ends() {
    let home = Home::new();
    write(&home.path("mine"), &command("${port}nowhere"), "${ca}");
    let ran = prove(&home, ClusterType::Embedded);
    let told = (ran.stdout.clone() + &ran.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.contains("the server in the place of Deployment labels/labels ended with"),
        "{told}"
    );
    assert!(told.contains("no address to listen at"), "{told}");
    assert_eq!(ran.code, Some(4), "{ran:?}");
}

/// What listens already serves, with a certificate of its own.
pub fn where_it_listens() {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("made");
    let (certificate, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || serve_on(listener, certificate.as_bytes(), key.as_bytes(), false));
    let home = Home::new();
    let by = format!("{{url: \"https://127.0.0.1:{port}\"}}");
    let served =
        format!("servers: [{{deployment: labels/labels, services: [labels/labels], by: {by}}}]");
    let ca = brinell::text::base64(certified.cert.pem().as_bytes());
    write(&home.path("mine"), &served, &ca);
    see_proved(&prove(&home, ClusterType::Embedded), PROVED[1]);
}

/// A pod of the reader's image serves.
pub fn by_its_image() {
    let home = Home::new();
    let context = home.path("image");
    std::fs::create_dir_all(&context).expect("made");
    let program = std::env::current_exe().expect("this executable");
    std::fs::copy(program, context.join("serve")).expect("copied");
    std::fs::write(
        context.join("Dockerfile"),
        "FROM scratch\nCOPY serve /serve\nENTRYPOINT [\"/serve\"]\n",
    )
    .expect("written");
    let docker = |arguments: &[&str]| -> Output {
        Command::new("docker").args(arguments).arg(&context).output().expect("started")
    };
    let built = docker(&["build", "--quiet", "--tag", IMAGE]);
    assert!(built.status.success(), "{built:?}");
    write(&home.path("mine"), &format!("images: [{IMAGE:?}]"), "${ca}");
    let ran = prove(&home, ClusterType::Kind);
    let removed = Command::new("docker").args(["image", "rm", IMAGE]).output().expect("started");
    see_proved(&ran, PROVED[0]);
    assert!(removed.status.success(), "{removed:?}");
}

/// Serves at an address, with the certificate in a folder, until it is killed.
pub fn serve(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let (address, folder) =
        (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
    let Ok(address) = address.parse::<SocketAddr>() else {
        eprintln!("{address} is no address to listen at");
        return ExitCode::FAILURE;
    };
    let read = |name: &str| std::fs::read(Path::new(&folder).join(name)).expect("read");
    let is_lenient = arguments.next().is_some_and(|it| it == LENIENT);
    let listener = TcpListener::bind(address).expect("bound");
    serve_on(listener, &read("tls.crt"), &read("tls.key"), is_lenient);
    ExitCode::SUCCESS
}

fn serve_on(listener: TcpListener, certificate: &[u8], key: &[u8], is_lenient: bool) {
    listener.set_nonblocking(true).expect("set");
    let config = server_config(certificate, key).expect("a configuration");
    let config = RustlsConfig::from_config(Arc::new(config));
    let app = Router::new().route(
        "/labels",
        post(async move |Json(review): Json<Value>| Json(answer(&review, is_lenient))),
    );
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let server = axum_server::from_tcp_rustls(listener, config).expect("a server");
        server.serve(app.into_make_service()).await.expect("served");
    });
}

/// The review's answer.
fn answer(review: &Value, is_lenient: bool) -> Value {
    let request = &review["request"];
    let is_wrong = request["object"]["metadata"]["labels"]["for"] == "demonstration";
    let allowed = is_lenient || !is_wrong;
    let response = json!({
        "uid": request["uid"], "allowed": allowed, "status": {"message": "no pod here is for a demonstration"},
    });
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
}
