//! Runs on embedded clusters that change, restart or lose their log while they are attacked.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::{
    VERSIONS, brinell, is_named_by_a_process, is_there, or_ignored, processes, signal, wait_until,
};
use axum::routing::post;
use axum::{Json, Router};
use axum_server::tls_rustls::RustlsConfig;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use brinell::cluster::{DEFAULT_VERSION, assets};
use brinell::model::{AttemptResult, Reason, Results, ScenarioResult, Verdict};
use brinell::pod::guard::certificates;
use brinell::pod::server_config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

/// Scenarios of ours that are judged by authorization, of every layer that it has.
const JUDGED: [&str; 5] = [
    "anonymous-health-only",
    "exec-denied-by-rbac",
    "impersonation",
    "secret-get",
    "secret-list-namespace",
];

/// Within this a run ends whose log is gone: two marked requests are waited for, each for ten seconds. The old lines of a
/// copy look like new ones to the first.
const SOON: Duration = Duration::from_secs(30);

/// All of these tests.
pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for version in VERSIONS {
        let is_there = is_there(version);
        let bed = Arc::new(Bed { version, results: OnceLock::new() });
        for (name, check) in [
            ("late way", a_way_that_opens_late_is_found as fn(&Results) -> Result<(), Failed>),
            ("too soon", a_refusal_after_a_step_is_asked_again),
            ("namesake", another_webhook_of_our_name_earns_nothing),
            ("without basic-user", a_cluster_without_basic_user_is_judged),
        ] {
            let bed = Arc::clone(&bed);
            let trial = Trial::test(format!("embedded/hostile/{version}/{name}"), move || {
                check(bed.results()?)
            });
            trials.push(or_ignored(trial, version, is_there));
        }
        let restarted = move || a_restarted_api_server_is_noticed(version);
        let trial = Trial::test(format!("embedded/restarted/{version}"), restarted);
        trials.push(or_ignored(trial, version, is_there));
    }
    let is_there = is_there(DEFAULT_VERSION);
    for (name, lose) in [("deleted", deleted as fn(&Path) -> _), ("replaced", replaced)] {
        let name = format!("embedded/log {name}/{DEFAULT_VERSION}");
        let trial = Trial::test(name, move || a_run_that_loses_its_log_ends(lose));
        trials.push(or_ignored(trial, DEFAULT_VERSION, is_there));
    }
    trials
}

/// One run that several tests look at: its scenarios run one after the other on one cluster.
struct Bed {
    version: &'static str,
    results: OnceLock<Result<Results, String>>,
}

impl Bed {
    fn results(&self) -> Result<&Results, Failed> {
        let run = || self.run().map_err(|error| error.message().unwrap_or_default().to_owned());
        self.results.get_or_init(run).as_ref().map_err(Failed::from)
    }

    fn run(&self) -> Result<Results, Failed> {
        let folder = tempfile::tempdir()?;
        let runtime = tokio::runtime::Runtime::new()?;
        let namesake = runtime.block_on(serve_namesake())?;
        let scenarios = folder.path().join("hostile/scenarios");
        fs::create_dir_all(&scenarios)?;
        fs::write(scenarios.join("late-way.yaml"), include_str!("hostile/late-way.yaml"))?;
        fs::write(scenarios.join("namesake.yaml"), namesake)?;
        let without = include_str!("hostile/without-basic-user.yaml");
        fs::write(scenarios.join("without-basic-user.yaml"), without)?;
        let json = folder.path().join("results.json");
        let mut run = brinell(folder.path());
        run.args(["--jobs", "1", "--kubernetes-version", self.version, "--json"]).arg(&json);
        run.arg("--catalog").arg(folder.path().join("hostile"));
        for scenario in ["late-way", "namesake", "without-basic-user"].iter().chain(&JUDGED) {
            run.args(["--scenario", scenario]);
        }
        let output = run.output()?;
        let results = read(&json)?;
        match &results.aborted {
            None => Ok(results),
            Some(why) => Err(format!("{why}\n{}", String::from_utf8_lossy(&output.stdout)).into()),
        }
    }
}

/// Without the second question the old answer would be believed, and the way that was opened would pass as blocked.
fn a_way_that_opens_late_is_found(results: &Results) -> Result<(), Failed> {
    let attempt = attempt(results, "late-way", "a shell through the open way")?;
    let findings = &attempt.judgement.findings;
    ensure(findings.iter().any(|finding| finding.reason == Reason::Bypassed), attempt)
}

fn a_refusal_after_a_step_is_asked_again(results: &Results) -> Result<(), Failed> {
    let attempt = attempt(results, "late-way", "a shell while nothing is open")?;
    let last = attempt.evidence.as_ref().and_then(|evidence| evidence.sent.audit_id.as_ref());
    let is_asked_again = attempt.too_soon.is_some() && attempt.too_soon.as_ref() != last;
    ensure(is_asked_again && attempt.judgement.verdict == Verdict::Passed, attempt)
}

fn another_webhook_of_our_name_earns_nothing(results: &Results) -> Result<(), Failed> {
    let alone = attempt(results, "namesake", "a shell before one guard")?;
    ensure(alone.judgement.verdict == Verdict::Passed, alone)?;
    let both = attempt(results, "namesake", "a shell before both")?;
    let causes = both.judgement.causes.join("\n");
    let names_both = causes.contains("2 webhooks are named exec-guard.brinell.dev")
        && causes.contains("ValidatingWebhookConfiguration/exec-guard");
    ensure(names_both && both.judgement.verdict == Verdict::Inconclusive, both)?;
    let other = attempt(results, "namesake", "a shell before the other alone")?;
    let findings = &other.judgement.findings;
    ensure(findings.iter().any(|finding| finding.reason == Reason::WrongLayer), other)
}

fn a_cluster_without_basic_user_is_judged(results: &Results) -> Result<(), Failed> {
    for id in ["without-basic-user"].iter().chain(&JUDGED) {
        let scenario = scenario(results, id)?;
        ensure(scenario.verdict == Verdict::Passed, scenario)?;
    }
    Ok(())
}

/// Serves a webhook that refuses every exec in words like ours. Returns the scenario that has the API server ask it.
async fn serve_namesake() -> Result<String, Failed> {
    let certificates = certificates(&["127.0.0.1"])?;
    let tls = server_config(certificates.certificate.as_bytes(), certificates.key.as_bytes())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("https://{}/validate", listener.local_addr()?);
    listener.set_nonblocking(true)?;
    let server = axum_server::from_tcp_rustls(listener, RustlsConfig::from_config(Arc::new(tls)))?;
    let routes = Router::new().route("/validate", post(refuse));
    tokio::spawn(server.serve(routes.into_make_service()));
    let ca = BASE64_STANDARD.encode(certificates.ca);
    Ok(include_str!("hostile/namesake.yaml").replace("URL", &url).replace("CA", &ca))
}

async fn refuse(Json(review): Json<Value>) -> Json<Value> {
    Json(json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {
            "uid": review["request"]["uid"],
            "allowed": false,
            "status": {"code": 403, "reason": "Forbidden", "message": "interactive exec is refused"},
        },
    }))
}

/// The program that a run starts as its API server starts the real one, twice: what a kubelet does, too. The run stands
/// still until the second one is ready, so that every attempt is answered, by the one or by the other.
fn a_restarted_api_server_is_noticed(version: &str) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let found = runtime.block_on(assets::find_all(version))?;
    let program = found.map_err(|missing| format!("missing: {missing:?}"))?.api_server.path;
    let scenarios = folder.path().join("hostile/scenarios");
    fs::create_dir_all(&scenarios)?;
    fs::write(scenarios.join("restarted.yaml"), include_str!("hostile/restarted.yaml"))?;
    let json = folder.path().join("results.json");
    let mut run = brinell(folder.path())
        .env("KUBEBUILDER_ASSETS", twice(&program, folder.path())?)
        .args(["--jobs", "1", "--scenario", "restarted", "--scenario", "secret-get"])
        .args(["--kubernetes-version", version, "--json"])
        .arg(&json)
        .arg("--catalog")
        .arg(folder.path().join("hostile"))
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = lines(&mut run)?;
    lines.find(|line| line.contains("each seen acting")).ok_or("no control was seen acting")?;
    let replaced = replace(&run, folder.path(), &program, &runtime);
    lines.for_each(drop);
    let status = run.wait()?;
    replaced?;
    let results = read(&json)?;
    for name in ["before", "after"] {
        let attempt = attempt(&results, "restarted", name)?;
        let causes = attempt.judgement.causes.join("\n");
        let is_doubted = causes.contains("the API server restarted meanwhile");
        ensure(is_doubted && attempt.judgement.verdict == Verdict::Inconclusive, attempt)?;
    }
    // What was let in rests on no refusal, and the scenario after it on the second process alone.
    let permit = attempt(&results, "restarted", "reading its own")?;
    ensure(permit.judgement.verdict == Verdict::Passed, permit)?;
    let next = scenario(&results, "secret-get")?;
    ensure(next.verdict == Verdict::Passed, next)?;
    let is_running = is_named_by_a_process(&folder.path().to_string_lossy());
    match (status.code(), is_running) {
        (Some(5), false) => Ok(()),
        _ => Err(format!("{status}, programs run: {is_running}").into()),
    }
}

/// A folder whose API server is the real one, started again when it has ended.
fn twice(program: &Path, folder: &Path) -> Result<PathBuf, Failed> {
    let folder = folder.join("assets");
    fs::create_dir(&folder)?;
    let (real, brinell) = (program.display(), env!("CARGO_BIN_EXE_brinell"));
    let script = format!(
        "#!/bin/sh\n\
         case $1 in --version) exec '{real}' --version;; esac\n\
         for life in 1 2; do '{brinell}' tied $$ '{real}' \"$@\"; done\n"
    );
    let wrapper = folder.join("kube-apiserver");
    fs::write(&wrapper, script)?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

/// Replaces the API server's process while the run waits for a step to settle.
fn replace(
    run: &Child,
    folder: &Path,
    program: &Path,
    runtime: &tokio::runtime::Runtime,
) -> Result<(), Failed> {
    let harness = run.id().to_string();
    let runs = folder.join("brinell/runs");
    let is_answered = || {
        let log = in_run(&runs, "logs/audit.log").and_then(|log| fs::read_to_string(log).ok());
        log.is_some_and(|log| log.contains("/secrets/restart-now"))
    };
    wait_until("the refusal after the step is in the log", is_answered)?;
    signal("-STOP", &harness)?;
    let replaced = (|| {
        let (first, second) = (|| lives(program, folder).pop(), || lives(program, folder).pop());
        let first = first().ok_or("no API server")?;
        signal("-KILL", &first)?;
        let is_second = || second().is_some_and(|second| second != first);
        wait_until("the second process is there", is_second)?;
        let kubeconfig = in_run(&runs, "kubeconfig").ok_or("no kubeconfig")?;
        let client = runtime.block_on(client(&kubeconfig))?;
        let is_ready = || {
            let ready = http::Request::get("/readyz").body(Vec::new());
            ready.is_ok_and(|ready| runtime.block_on(client.request_text(ready)).is_ok())
        };
        wait_until("the second process is ready", is_ready)
    })();
    signal("-CONT", &harness)?;
    replaced
}

/// The processes of the real program in a run.
fn lives(program: &Path, folder: &Path) -> Vec<String> {
    let (program, folder) = (program.to_string_lossy(), folder.to_string_lossy());
    let is_life =
        |line: &String| line.starts_with(&format!("{program} ")) && line.contains(&*folder);
    processes().into_iter().filter(|(_, line)| is_life(line)).map(|(process, _)| process).collect()
}

async fn client(kubeconfig: &Path) -> Result<kube::Client, Failed> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    config.proxy_url = None;
    Ok(kube::Client::try_from(config)?)
}

fn deleted(log: &Path) -> std::io::Result<()> {
    fs::remove_file(log)
}

/// As `sed -i` does it: the API server goes on writing into the file that has no name any more.
fn replaced(log: &Path) -> std::io::Result<()> {
    let copy = log.with_extension("new");
    fs::copy(log, &copy)?;
    fs::rename(copy, log)
}

/// What is lost for good is named, nothing waits for it, and what was judged before stays.
fn a_run_that_loses_its_log_ends(lose: fn(&Path) -> std::io::Result<()>) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let json = folder.path().join("results.json");
    let mut run = brinell(folder.path())
        .args(["--jobs", "1", "--scenario", "exec-*", "--scenario", "secret-*", "--json"])
        .arg(&json)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = lines(&mut run)?;
    let first = lines.find(|line| line.starts_with("PASS  ")).ok_or("nothing passed")?;
    let log = in_run(&folder.path().join("brinell/runs"), "logs/audit.log").ok_or("no log")?;
    lose(&log)?;
    let lost = Instant::now();
    let told: Vec<String> = lines.collect();
    let (status, took) = (run.wait()?, lost.elapsed());
    let results = read(&json)?;
    let is_named = results
        .aborted
        .as_ref()
        .is_some_and(|why| why.contains("the audit log can no longer be read"));
    if !is_named || !is_over(status, took) {
        let told = told.join("\n");
        return Err(format!("{status} in {took:?}, {:?}:\n{told}", results.aborted).into());
    }
    let id = first.trim_start_matches("PASS  ").split(':').next().unwrap_or_default();
    let kept = scenario(&results, id)?;
    ensure(kept.verdict == Verdict::Passed, kept)
}

/// What a run prints, as long as it runs.
fn lines(run: &mut Child) -> Result<impl Iterator<Item = String> + use<>, Failed> {
    let lines = BufReader::new(run.stdout.take().ok_or("no output")?).lines();
    Ok(lines.map_while(Result::ok))
}

fn is_over(status: ExitStatus, took: Duration) -> bool {
    status.code() == Some(4) && took < SOON
}

/// A file of the only run.
fn in_run(runs: &Path, name: &str) -> Option<PathBuf> {
    let run = fs::read_dir(runs).ok()?.next()?.ok()?;
    Some(run.path().join(name)).filter(|file| file.exists())
}

fn read(json: &Path) -> Result<Results, Failed> {
    Ok(crate::support::results(&fs::read(json)?))
}

fn scenario<'a>(results: &'a Results, id: &str) -> Result<&'a ScenarioResult, Failed> {
    let found = results.scenarios.iter().find(|scenario| scenario.id == id);
    found.ok_or_else(|| format!("{id} has no result").into())
}

fn attempt<'a>(results: &'a Results, id: &str, name: &str) -> Result<&'a AttemptResult, Failed> {
    let scenario = scenario(results, id)?;
    let found = scenario.attempts.iter().find(|attempt| attempt.name == name);
    found.ok_or_else(|| format!("{id} has no attempt `{name}`: {scenario:#?}").into())
}

/// Fails if it is not so, and shows what was found.
fn ensure(is_so: bool, found: &impl std::fmt::Debug) -> Result<(), Failed> {
    if is_so { Ok(()) } else { Err(format!("{found:#?}").into()) }
}
