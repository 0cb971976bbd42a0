//! A whole run on each profile: each scenario's verdict is a test, and so is what the run printed and kept.

use std::os::unix::fs::PermissionsExt;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use brinell::catalog::Catalog;
use brinell::cluster::DEFAULT_VERSION;
use brinell::cluster::{Pace, client};
use brinell::model::{Answer, Reason, Results, Role, ScenarioResult, Verdict};
use brinell::text::base64;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::config::{KubeConfigOptions, Kubeconfig};
use libtest_mimic::Trial;
use roxmltree::Document;

use super::engine::{docker, left, volumes};
use super::trial;
use crate::golden::{Golden, reasons};
use crate::support::{Home, Ran};

/// The one user's scenario of `tests/catalog`, which runs beside ours on the open profile.
const HOSTILE: &str = "hostile-output";

static HARDENED: LazyLock<Result<Outcome, String>> = LazyLock::new(|| outcome("hardened", &[]));

static OPEN: LazyLock<Result<Outcome, String>> =
    LazyLock::new(|| outcome("open", &["--catalog", &tests().join("catalog").to_string_lossy()]));

/// Those of whom the open profile binds nobody, so that they hold no right there either. Weakenings turn these red.
const UNBOUND: [&str; 5] = [
    "rights-anonymous",
    "rights-authenticated",
    "rights-colleague",
    "rights-frontend",
    "rights-service-accounts",
];

/// What is expected on the open profile.
static GOLDEN: LazyLock<Golden> =
    LazyLock::new(|| Golden::read(["kind", "open", DEFAULT_VERSION], &open().results));

/// All tests of both profiles.
pub fn trials() -> Vec<Trial> {
    let on_hardened = |name: &str| format!("hardened/{DEFAULT_VERSION}/{name}");
    let on_open = |name: &str| format!("open/{DEFAULT_VERSION}/{name}");
    let mut trials = Vec::new();
    for entry in Catalog::load(None).expect("whole").scenarios {
        let id = entry.id.clone();
        trials.push(trial(on_hardened(&id), move || passes(&id)));
        trials.push(trial(on_open(&entry.id), move || fails(&entry.id)));
    }
    trials.push(trial(on_hardened("exit-code"), || is_whole(hardened(), 0)));
    trials.push(trial(on_hardened("marker"), || keeps_secrets(hardened())));
    trials.push(trial(on_hardened("kept"), || is_kept_and_swept(hardened())));
    trials.push(trial(on_open("exit-code"), || is_whole(open(), 1)));
    trials.push(trial(on_open("golden"), is_golden));
    trials.push(trial(on_open("marker"), || keeps_secrets(open())));
    trials.push(trial(on_open("kept"), || is_kept_and_swept(open())));
    trials.push(trial(on_open("hostile"), || shows_what_hides(open())));
    trials
}

/// What is known of a run on a profile when it is over.
struct Outcome {
    ran: Ran,
    results: Results,
    json: String,
    junit: String,
    secrets: Vec<String>,
    modes: Vec<(PathBuf, u32)>,
    sweeps: [Ran; 2],
    left: Vec<String>,
    touched: Vec<String>,
}

/// A cluster that was kept, until it is swept by its name.
struct Kept<'a> {
    home: &'a Home,
    run: &'a str,
}

impl Kept<'_> {
    fn sweep(&self) -> Ran {
        self.home.brinell().args(["sweep", self.run]).output().expect("started").into()
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        // This sweeps after a test that failed. After any other nothing is left to sweep.
        self.sweep();
    }
}

fn hardened() -> &'static Outcome {
    HARDENED.as_ref().unwrap_or_else(|error| panic!("{error}"))
}

fn open() -> &'static Outcome {
    OPEN.as_ref().unwrap_or_else(|error| panic!("{error}"))
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The run on a profile, or why there is none, which every test of it then tells.
fn outcome(profile: &str, arguments: &[&str]) -> Result<Outcome, String> {
    catch_unwind(|| run(profile, arguments)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        format!("the run on {profile} could not be looked at: {}", text.unwrap_or_default())
    })
}

/// Nobody listens where these say that a proxy is. kind would hand them on to its nodes, and kube would ask through them.
const PROXIES: [&str; 6] =
    ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// Runs everything, keeping the cluster to read the secrets from it, and sweeps it.
fn run(profile: &str, arguments: &[&str]) -> Outcome {
    let home = Home::new();
    let mut brinell = home.brinell();
    brinell
        .args(["--cluster", "kind", "--profile", profile, "--keep", "--verbose"])
        .args(arguments);
    brinell.args(["--json", "results.json", "--junit", "junit.xml"]);
    brinell.envs(PROXIES.map(|name| (name, "http://user:hunter2@127.0.0.1:9")));
    let ran = Ran::from(brinell.output().expect("started"));
    let read = |name| std::fs::read_to_string(home.path(name)).expect("written");
    let (json, junit) = (read("results.json"), read("junit.xml"));
    let results = crate::support::results(json.as_bytes());
    let kept = Kept { home: &home, run: &results.run };
    assert_eq!(results.aborted, None, "{ran:?}");
    let folder = home.path("state/brinell/runs").join(&results.run);
    let secrets = secrets(&folder, &results.run);
    let modes = modes(&folder);
    let node_volumes = volumes(&format!("brinell-{}-control-plane", results.run));
    let unnamed = Ran::from(home.brinell().arg("sweep").output().expect("started"));
    let sweeps = [unnamed, kept.sweep()];
    let mut left = left(&results.run);
    let volumes = docker(&["volume", "ls", "--quiet"]);
    left.extend(node_volumes.into_iter().filter(|name| volumes.contains(name.as_str())));
    left.extend(home.runs());
    drop(kept);
    let touched = home.touched(&["junit.xml", "results.json"]);
    Outcome { ran, results, json, junit, secrets, modes, sweeps, left, touched }
}

/// What nobody may see: every value of a Secret of ours, the key that encrypts them, and the admin's.
fn secrets(folder: &Path, run: &str) -> Vec<String> {
    let kubeconfig = std::fs::read_to_string(folder.join("kubeconfig")).expect("read");
    let node = format!("brinell-{run}-control-plane");
    let settings = docker(&["exec", &node, "sh", "-c", "cat /etc/brinell/encryption.yaml || true"]);
    let named = |text: &str, name: &str| -> Vec<String> {
        let values = text.lines().filter_map(|line| line.trim().strip_prefix(name));
        values.map(|value| value.trim().to_owned()).collect()
    };
    let keys = [named(&kubeconfig, "client-key-data:"), named(&settings, "secret:")].concat();
    assert!(!keys.is_empty(), "the admin has a key");
    [keys, in_secrets(&kubeconfig)].concat()
}

/// The values of all Secrets that brinell made.
fn in_secrets(kubeconfig: &str) -> Vec<String> {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).expect("a kubeconfig");
    let options = KubeConfigOptions::default();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let all = runtime.block_on(async {
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let client = client(config.expect("a configuration"), &Pace::free()).await;
        Api::<Secret>::all(client.expect("a client"))
            .list(&Default::default())
            .await
            .expect("a list")
    });
    let ours = all.items.into_iter().filter(|secret| {
        !secret.metadata.namespace.as_ref().is_some_and(|namespace| namespace.starts_with("kube-"))
    });
    let values = ours.flat_map(|secret| secret.data.unwrap_or_default());
    let secret = values.filter(|(name, _)| name != "tls.crt").map(|(_, value)| value.0);
    secret.map(|value| String::from_utf8(value).expect("text in UTF-8")).collect()
}

/// The permissions of the run's folder and its files.
fn modes(folder: &Path) -> Vec<(PathBuf, u32)> {
    let files = std::fs::read_dir(folder).expect("a folder");
    let paths = files.map(|file| file.expect("readable").path()).chain([folder.to_owned()]);
    let mode = |path: &PathBuf| path.metadata().expect("there").permissions().mode() & 0o777;
    paths.map(|path| (path.clone(), mode(&path))).collect()
}

fn scenario<'a>(outcome: &'a Outcome, id: &str) -> &'a ScenarioResult {
    let mut results = outcome.results.scenarios.iter();
    results.find(|result| result.id == id).expect("it has a result")
}

fn passes(id: &str) {
    let result = scenario(hardened(), id);
    let judgements = result.attempts.iter().map(|attempt| (&attempt.name, &attempt.judgement));
    let told: Vec<_> = judgements.filter(|(_, it)| it.verdict != Verdict::Passed).collect();
    assert_eq!(result.verdict, Verdict::Passed, "{:?} {told:#?}", result.cause);
}

fn fails(id: &str) {
    let result = scenario(open(), id);
    let expected = if UNBOUND.contains(&id) { Verdict::Passed } else { Verdict::Failed };
    assert_eq!(result.verdict, expected, "{:?}", result.cause);
    for permit in result.attempts.iter().filter(|attempt| attempt.role == Role::Permit) {
        let broken =
            permit.judgement.findings.iter().find(|finding| finding.reason != Reason::Unlogged);
        assert_eq!(broken, None, "{} worked there", permit.name);
    }
    GOLDEN.check(result).unwrap_or_else(|changed| panic!("{changed}"));
}

/// The table holds what was found and nothing else.
fn is_golden() {
    GOLDEN.check_all(&open().results).unwrap_or_else(|changed| panic!("{changed}"));
}

/// It ended as it should, judged everything, and touched nothing of the user's.
fn is_whole(outcome: &Outcome, code: i32) {
    assert_eq!(outcome.ran.code, Some(code), "{:?}", outcome.ran);
    assert_eq!(outcome.ran.stderr, "");
    let summary = outcome.results.summary.as_ref().expect("an end");
    assert_eq!((summary.inconclusive, summary.skipped), (0, 0));
    Document::parse(&outcome.junit).expect("XML");
    assert_eq!(outcome.touched, [""; 0]);
}

/// No secret stands in anything that the run printed or wrote, whole, encoded or broken into lines.
fn keeps_secrets(outcome: &Outcome) {
    let canary = |text: &&String| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    assert!(outcome.secrets.iter().any(|secret| canary(&secret)), "there is a canary");
    let outputs = [&outcome.ran.stdout, &outcome.ran.stderr, &outcome.json, &outcome.junit]
        .map(|output| unbroken(output));
    let encoded = outcome.secrets.iter().map(|secret| base64(secret.as_bytes()));
    // What a token and a key begin with, a key in base64, and the password of a proxy.
    let marks = ["eyJ", "PRIVATEKEY", "LS0tLS1CRUdJTi", "hunter2"].map(str::to_owned);
    for secret in outcome.secrets.iter().cloned().chain(encoded).chain(marks) {
        let secret = unbroken(&secret);
        assert!(secret.len() > 2, "everything holds {secret:?}");
        let found = outputs.iter().find(|output| output.contains(&secret));
        assert_eq!(found, None, "it holds {secret}");
    }
}

/// Text without the blanks and line breaks at which it may have been broken, escaped ones among them.
fn unbroken(text: &str) -> String {
    text.replace("\\n", "").split_whitespace().collect()
}

/// What was kept is its owner's alone, stays when others are swept, and goes when it is named.
fn is_kept_and_swept(outcome: &Outcome) {
    let run = &outcome.results.run;
    for (path, mode) in &outcome.modes {
        let expected = if path.ends_with(run) { 0o700 } else { 0o600 };
        assert_eq!(format!("{mode:o}"), format!("{expected:o}"), "{}", path.display());
    }
    let tidy = &outcome.results.summary.as_ref().expect("an end").tidy;
    assert!(tidy.ends_with(&format!("`brinell sweep {run}` removes it.")), "{tidy}");
    let [unnamed, named] = &outcome.sweeps;
    let kept = format!("{run}: was kept on purpose; `brinell sweep {run}` removes it\n");
    assert!(unnamed.stdout.contains(&kept), "{unnamed:?}");
    assert!(named.stdout.starts_with(&format!("{run}: removed, ")), "{named:?}");
    assert_eq!(outcome.left, [""; 0]);
}

/// What a pod printed to do harm came through whole, and does none.
fn shows_what_hides(outcome: &Outcome) {
    let result = scenario(outcome, HOSTILE);
    let permit = result.attempts.last().expect("an attempt");
    assert_eq!(reasons(permit), "permit broken");
    let Some(Answer::Stream(stream)) = permit.evidence.as_ref().map(|evidence| &evidence.answer)
    else {
        panic!("no stream: {permit:?}")
    };
    let harm = "\u{1b}[31mred\u{1b}]0;title\u{7} ]]> <b> &amp; \u{202e}esrever \u{9b}2J\r\n";
    assert!(stream.stdout.starts_with(harm), "{:?}", stream.stdout);
    for output in [&outcome.ran.stdout, &outcome.junit] {
        let means_harm = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert_eq!(output.find(means_harm), None, "{output}");
    }
    let xml = Document::parse(&outcome.junit).expect("XML");
    let case = xml.descendants().find(|node| node.attribute("name") == Some(HOSTILE));
    let failure = case.expect("a case").children().find(|node| node.has_tag_name("failure"));
    let text = unbroken(failure.expect("a failure").text().expect("text"));
    assert!(text.contains(r"\u{1b}[31mred\u{1b}]0;title\u{7}]]><b>&amp;\u{202e}esrever"), "{text}");
}
