//! Every scenario that an embedded cluster can hold, hardened and open, on each Kubernetes version that can be
//! embedded. One cluster per profile and version; a trial per scenario.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::{brinell, is_named_by_a_process, is_there, or_ignored, processes, signal, wait_until};
use brinell::catalog::{Catalog, Entry};
use brinell::cluster::{ClusterType, assets};
use brinell::model::{Attack, Decision, Expectation, Results};
use brinell::run::Plan;
use libtest_mimic::{Failed, Trial};

use crate::golden::Golden;

/// All of these tests.
pub fn trials() -> Vec<Trial> {
    let catalog = Catalog::load(None).expect("our own catalog");
    let mut trials = Vec::new();
    for version in assets::versions() {
        let is_there = is_there(version);
        for profile in ["hardened", "open"] {
            let bed = Arc::new(Bed { profile, version, ran: OnceLock::new() });
            for entry in held(&catalog, profile) {
                let (bed, id) = (Arc::clone(&bed), entry.id.clone());
                let name = format!("embedded/{profile}/{version}/{id}");
                let trial = Trial::test(name, move || bed.check(&id));
                trials.push(or_ignored(trial, version, is_there));
            }
            let name = format!("embedded/{profile}/{version}/golden");
            let all = Arc::clone(&bed);
            let trial = Trial::test(name, move || all.check_all());
            trials.push(or_ignored(trial, version, is_there));
            if profile == "hardened" {
                let name = format!("embedded/{profile}/{version}/layers");
                let trial = Trial::test(name, move || bed.check_layers());
                trials.push(or_ignored(trial, version, is_there));
            }
        }
    }
    let is_there = is_there("1.36");
    for trial in [
        Trial::test("embedded/killed/1.36", programs_end_with_a_killed_run),
        Trial::test(
            "embedded/killed with supervisors/1.36",
            programs_end_with_all_that_watches_them,
        ),
        Trial::test("embedded/interrupted/1.36", an_interrupted_run_leaves_nothing),
        Trial::test("embedded/terminal gone/1.36", a_terminal_that_goes_ends_a_run),
        Trial::test("embedded/proxies/1.36", no_proxy_is_between_us_and_loopback),
        Trial::test("embedded/killed supervisor/1.36", a_program_ends_with_its_killed_supervisor),
        Trial::test("embedded/killed while attacking/1.36", a_run_that_loses_its_api_server_ends),
    ] {
        trials.push(or_ignored(trial, "1.36", is_there));
    }
    trials.push(Trial::test(
        "embedded/supervised program ends",
        a_program_ends_with_its_supervisors_input,
    ));
    trials
}

/// The scenarios that such a cluster can hold.
fn held<'a>(catalog: &'a Catalog, profile: &str) -> Vec<&'a Entry> {
    let profile = catalog.profile(profile).expect("a profile of ours");
    let all = catalog.scenarios.iter().collect();
    Plan::new(catalog, &profile, ClusterType::Embedded, all).scenarios
}

/// Who refuses on each version what may come out either way; `LET_IN` where nobody does.
const DECIDED: [(&str, &str, [&str; 4]); 12] = [
    ("exec-get-only-role", "a command, by WebSocket", [LET_IN, CHECK, CHECK, CHECK]),
    ("exec-get-only-role", "a command, by SPDY over GET", [LET_IN, CHECK, CHECK, CHECK]),
    ("exec-relabelled-namespace", "taking the label away", [AUTHORIZATION; 4]),
    ("exec-relabelled-namespace", "taking it away by the status", [AUTHORIZATION; 4]),
    ("exec-relabelled-pod", "taking the label away", [AUTHORIZATION; 4]),
    ("exec-relabelled-pod", "taking it away by the status", [AUTHORIZATION; 4]),
    ("pod-relabelled-namespace", "declaring it privileged", [AUTHORIZATION; 4]),
    ("pod-relabelled-namespace", "declaring it privileged by its status", [AUTHORIZATION; 4]),
    (
        "impersonation-constrained",
        "as the colleague, for what the role names",
        [IMPERSONATION, IMPERSONATION, LET_IN, LET_IN],
    ),
    (
        "pod-sysctls",
        "one that counts as safe since Kubernetes 1.37",
        [POD_SECURITY, POD_SECURITY, POD_SECURITY, LET_IN],
    ),
    (
        "pod-user-namespace",
        "as root in a user namespace of its own",
        [POD_SECURITY, LET_IN, LET_IN, LET_IN],
    ),
    // Of exec by POST no version has the check that asks for more.
    ("exec-get-only-role", "a command, by SPDY over POST", [AUTHORIZATION; 4]),
];

const LET_IN: &str = "nobody";
const AUTHORIZATION: &str = "authorization";
const CHECK: &str = "upgrade check";
const IMPERSONATION: &str = "impersonation";
const POD_SECURITY: &str = "Pod Security";

/// The attacks of which a scenario takes a refusal for as good as none.
fn either_way(catalog: &Catalog) -> BTreeSet<(&str, &str)> {
    let is_either = |it: &&Attack| matches!(&it.expected, Expectation::Recorded(recorded) if recorded.refused_too);
    let attacks = catalog.scenarios.iter().flat_map(|entry| {
        let attacks = entry.scenario.attacks.iter().filter(is_either);
        attacks.map(|attack| (entry.id.as_str(), attack.name.as_str()))
    });
    attacks.collect()
}

/// One run, shared by the trials of all its scenarios.
struct Bed {
    profile: &'static str,
    version: &'static str,
    ran: OnceLock<Result<(Golden, Results), String>>,
}

impl Bed {
    fn check(&self, id: &str) -> Result<(), Failed> {
        let (golden, results) = self.ran()?;
        let result = results.scenarios.iter().find(|result| result.id == id);
        Ok(golden.check(result.ok_or("the scenario has no result")?)?)
    }

    /// That the golden file holds nothing else.
    fn check_all(&self) -> Result<(), Failed> {
        let (golden, results) = self.ran()?;
        Ok(golden.check_all(results)?)
    }

    /// That each version refuses by the layer that it has for it, and that nothing comes out either way without it
    /// being known.
    fn check_layers(&self) -> Result<(), Failed> {
        let (_, results) = self.ran()?;
        let versions = assets::versions();
        let version = versions.iter().position(|it| *it == self.version).ok_or("unknown")?;
        let catalog = Catalog::load(None).expect("our own catalog");
        let mut unknown = either_way(&catalog);
        for (id, name, layers) in DECIDED {
            unknown.remove(&(id, name));
            let scenario = results.scenarios.iter().find(|it| it.id == id).ok_or(id)?;
            let attempt = scenario.attempts.iter().find(|it| it.name == name).ok_or(name)?;
            let decided = match attempt.evidence.as_ref().map(|it| &it.decision) {
                Some(Decision::LetIn) => LET_IN.to_owned(),
                Some(Decision::Denied(denial)) => denial.layer.to_string(),
                other => format!("{other:?}"),
            };
            assert_eq!(decided, layers[version], "{id}: {name}");
        }
        assert_eq!(unknown, BTreeSet::new(), "they are to be in this table");
        Ok(())
    }

    fn ran(&self) -> Result<&(Golden, Results), Failed> {
        Ok(self.ran.get_or_init(|| self.run()).as_ref()?)
    }

    fn run(&self) -> Result<(Golden, Results), String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let json = folder.path().join("results.json");
        let output = brinell(folder.path())
            .args(["--profile", self.profile, "--kubernetes-version", self.version, "--json"])
            .arg(&json)
            .output()
            .map_err(|error| error.to_string())?;
        let text = std::fs::read_to_string(&json).map_err(|error| error.to_string())?;
        let results = crate::support::results(text.as_bytes());
        if let Some(why) = results.aborted {
            return Err(format!("{why}\n{}", String::from_utf8_lossy(&output.stdout)));
        }
        Ok((Golden::read(["embedded", self.profile, self.version], &results), results))
    }
}

fn programs_end_with_a_killed_run() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let runs = folder.path().join("brinell/runs");
    let mut run = begun(folder.path())?;
    run.kill()?;
    run.wait()?;
    let marker = folder.path().to_string_lossy().into_owned();
    wait_until("its programs are gone", || !is_named_by_a_process(&marker))?;
    let swept = Command::new(env!("CARGO_BIN_EXE_brinell"))
        .arg("sweep")
        .env("XDG_STATE_HOME", folder.path())
        .output()?;
    let rest = std::fs::read_dir(&runs)?.count();
    if rest == 0 { Ok(()) } else { Err(format!("the folder is still there: {swept:?}").into()) }
}

fn an_interrupted_run_leaves_nothing() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let run = begun(folder.path())?;
    is_ended(folder.path(), run, &["-INT"], 130)
}

/// A run that is to outlive its terminal does. Whoever started the tests may be to outlive theirs.
fn a_terminal_that_goes_ends_a_run() -> Result<(), Failed> {
    for (way, signals, code) in [
        ("--default-signal=HUP", &["-HUP"][..], 143),
        ("--default-signal=HUP", &["-HUP", "-HUP"], 143),
        ("--ignore-signal=HUP", &["-HUP", "-INT"], 130),
    ] {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new("env");
        command.args([way, env!("CARGO_BIN_EXE_brinell"), "--cluster", "embedded"]);
        command.env("XDG_STATE_HOME", folder.path()).stdin(Stdio::null());
        let run = begun_by(folder.path(), command)?;
        is_ended(folder.path(), run, signals, code)?;
    }
    Ok(())
}

/// Signals end a run with this code, and nothing of it is left.
fn is_ended(state: &Path, mut run: Child, signals: &[&str], code: i32) -> Result<(), Failed> {
    for name in signals {
        signal(name, &run.id().to_string())?;
    }
    let status = run.wait()?;
    let is_running = is_named_by_a_process(&state.to_string_lossy());
    let rest = std::fs::read_dir(state.join("brinell/runs"))?.count();
    if (status.code(), is_running, rest) == (Some(code), false, 0) {
        return Ok(());
    }
    Err(format!("{signals:?}: {status}, programs run: {is_running}, {rest} folders left").into())
}

/// Nobody listens where these proxies are said to be.
fn no_proxy_is_between_us_and_loopback() -> Result<(), Failed> {
    let names =
        ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    for proxy in
        ["http://user:hunter2@127.0.0.1:9", "socks5://user:hunter2@127.0.0.1:9", "hunter2:"]
    {
        let folder = tempfile::tempdir()?;
        let output = brinell(folder.path())
            .current_dir(folder.path())
            .envs(names.map(|name| (name, proxy)))
            .envs(["no_proxy", "NO_PROXY"].map(|name| (name, "hunter2.example.com")))
            .args([
                "--scenario",
                "exec-interactive",
                "--json",
                "results.json",
                "--junit",
                "junit.xml",
            ])
            .output()?;
        let files =
            ["results.json", "junit.xml"].map(|name| std::fs::read(folder.path().join(name)));
        let [json, junit] = files;
        let told = [output.stdout, output.stderr, json?, junit?].concat();
        let told = String::from_utf8_lossy(&told);
        if output.status.code() != Some(0) || told.contains("hunter2") {
            return Err(format!("{proxy}: {}:\n{told}", output.status).into());
        }
    }
    Ok(())
}

/// The kernel ends the program, and the run, which has lost it, leaves nothing.
fn a_program_ends_with_its_killed_supervisor() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let mut run = begun(folder.path())?;
    let marker = folder.path().to_string_lossy().into_owned();
    let supervisors = supervisors(&marker);
    let supervisor = supervisors.iter().find(|(_, line)| line.contains("/kube-apiserver "));
    let (supervisor, _) = supervisor.ok_or("no supervisor of kube-apiserver")?;
    signal("-KILL", supervisor)?;
    let started = Instant::now();
    let status = run.wait()?;
    let took = started.elapsed();
    let is_running = is_named_by_a_process(&marker);
    let rest = std::fs::read_dir(folder.path().join("brinell/runs"))?.count();
    if (status.code(), is_running, rest) == (Some(4), false, 0) && took < Duration::from_secs(10) {
        return Ok(());
    }
    Err(format!("{status} in {took:?}, programs run: {is_running}, {rest} folders left").into())
}

/// What is lost for good is named, and nothing waits for it.
fn a_run_that_loses_its_api_server_ends() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let mut run = brinell(folder.path()).stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(run.stdout.take().ok_or("no output")?).lines();
    let mut lines = lines.map_while(Result::ok);
    lines.find(|line| line.contains("each seen acting")).ok_or("no control was seen acting")?;
    let marker = folder.path().to_string_lossy().into_owned();
    let supervisors = supervisors(&marker);
    let supervisor = supervisors.iter().find(|(_, line)| line.contains("/kube-apiserver "));
    let (supervisor, _) = supervisor.ok_or("no supervisor of kube-apiserver")?;
    signal("-KILL", supervisor)?;
    let started = Instant::now();
    let told: Vec<String> = lines.collect();
    let status = run.wait()?;
    let took = started.elapsed();
    let is_named = told.iter().any(|line| line.contains("kube-apiserver ended with signal: 9"));
    let is_running = is_named_by_a_process(&marker);
    let rest = std::fs::read_dir(folder.path().join("brinell/runs"))?.count();
    let is_over = is_named && took < Duration::from_secs(10) && status.code() == Some(4);
    if is_over && !is_running && rest == 0 {
        return Ok(());
    }
    let told = told.join("\n");
    Err(format!("{status} in {took:?}, programs run: {is_running}, {rest} left:\n{told}").into())
}

/// The kernel alone is left to end them, and sweeping finds the folder.
fn programs_end_with_all_that_watches_them() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let mut run = begun(folder.path())?;
    let marker = folder.path().to_string_lossy().into_owned();
    let mut kill = Command::new("kill");
    kill.args(["-KILL", &run.id().to_string()]);
    kill.args(supervisors(&marker).iter().map(|(process, _)| process)).status()?;
    run.wait()?;
    wait_until("its programs are gone", || !is_named_by_a_process(&marker))?;
    let swept = Command::new(env!("CARGO_BIN_EXE_brinell"))
        .arg("sweep")
        .env("XDG_STATE_HOME", folder.path())
        .output()?;
    let rest = std::fs::read_dir(folder.path().join("brinell/runs"))?.count();
    if rest == 0 { Ok(()) } else { Err(format!("the folder is still there: {swept:?}").into()) }
}

/// The supervisors of a run's programs, with their command lines.
fn supervisors(marker: &str) -> Vec<(String, String)> {
    let mut all = processes();
    all.retain(|(_, line)| line.starts_with("brinell supervise") && line.contains(marker));
    all
}

/// A run whose programs have started.
fn begun(state: &Path) -> Result<Child, Failed> {
    begun_by(state, brinell(state))
}

fn begun_by(state: &Path, mut command: Command) -> Result<Child, Failed> {
    let run = command.stdout(Stdio::null()).spawn()?;
    let runs = state.join("brinell/runs");
    wait_until("the API server writes its log", || below(&runs, "kube-apiserver.log"))?;
    Ok(run)
}

fn below(runs: &Path, name: &str) -> bool {
    let folders = std::fs::read_dir(runs).into_iter().flatten().flatten();
    folders.into_iter().any(|folder| folder.path().join(name).exists())
}

fn a_program_ends_with_its_supervisors_input() -> Result<(), Failed> {
    let mut supervisor: Child = Command::new(env!("CARGO_BIN_EXE_brinell"))
        .args(["supervise", "sh", "-c", "echo started; exec sleep 4711"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut output = supervisor.stdout.take().ok_or("no output")?;
    let mut started = [0; 8];
    output.read_exact(&mut started)?;
    drop(supervisor.stdin.take());
    let status = supervisor.wait()?;
    // The pipe ends only when the program itself has let go of it.
    output.read_to_end(&mut Vec::new())?;
    if status.code() == Some(137) { Ok(()) } else { Err(format!("ended with {status}").into()) }
}
