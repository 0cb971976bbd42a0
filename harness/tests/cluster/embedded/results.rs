//! What a run leaves for others: the lines of the log behind it, and what is different on another version of Kubernetes.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use brinell::compare::Comparison;
use brinell::model::Results;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use super::{VERSIONS, brinell, is_there, or_ignored};

/// All of these tests.
pub fn trials() -> Vec<Trial> {
    let [old, new] = VERSIONS;
    let both = is_there(old) && is_there(new);
    let kept = Trial::test(format!("embedded/kept lines/{new}"), lines_are_kept_without_secrets);
    let upgraded = Trial::test(format!("embedded/upgrade/{old} {new}"), an_upgrade_is_compared);
    let none = Trial::test(format!("embedded/kept lines/{new}/none"), that_none_can_be_is_told);
    let changed =
        Trial::test(format!("embedded/upgrade/{old} {NEWEST}"), what_versions_decide_shows);
    vec![
        or_ignored(kept, new, is_there(new)),
        or_ignored(none, new, is_there(new)),
        or_ignored(upgraded, new, both),
        or_ignored(changed, NEWEST, is_there(old) && is_there(NEWEST)),
    ]
}

/// A policy that logs Secrets whole is the worst that a cluster can have, and what is kept of it holds none.
fn lines_are_kept_without_secrets() -> Result<(), Failed> {
    let state = tempfile::tempdir()?;
    let folder = state.path().join("evidence");
    let json = state.path().join("results.json");
    let profile = state.path().join("talkative.yaml");
    fs::write(
        &profile,
        "title: Secrets are logged whole\ncontrols:\n  audit-policy: {weakening: secret-bodies}\n  least-privilege: {}\n",
    )?;
    let scenarios = ["secret-value-unlogged", "secret-get-audited", "pod-resize-audited"];
    let mut run = brinell(state.path());
    run.args(scenarios.iter().flat_map(|id| ["-s", id]));
    run.arg("--profile").arg(&profile).arg("--json").arg(&json);
    let output = run.arg("--keep-evidence").arg(&folder).output()?;
    let results = Results::read(&fs::read(&json)?)?;
    if results.aborted.is_some() || results.scenarios.len() != scenarios.len() {
        return Err(format!("{output:?}").into());
    }
    for result in &results.scenarios {
        let name = result.audit_lines.as_ref().ok_or(format!("none of {}", result.id))?;
        let path = folder.join(name);
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path)?;
        let lines: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let ids: BTreeSet<&str> =
            lines.iter().filter_map(|line| line["auditID"].as_str()).collect();
        for evidence in result.attempts.iter().filter_map(|attempt| attempt.evidence.as_ref()) {
            let id = evidence.sent.audit_id.as_deref();
            assert!(id.is_none_or(|id| ids.contains(id)), "{id:?} is not in {text}");
        }
        let bodies =
            lines.iter().flat_map(|line| [&line["requestObject"], &line["responseObject"]]);
        let left_out = bodies.clone().filter(|body| **body == "left out by brinell").count();
        assert_eq!(left_out > 0, result.id.starts_with("secret"), "{text}");
        let is_secret = |body: &&Value| body["kind"] == "Secret" || body["kind"] == "SecretList";
        assert_eq!(bodies.clone().find(is_secret), None);
        // A body of another kind is what lines are kept for.
        let is_whole = bodies.into_iter().any(|body| body["spec"].is_object());
        assert_eq!(is_whole, result.id == "pod-resize-audited", "{text}");
    }
    Ok(())
}

fn that_none_can_be_is_told() -> Result<(), Failed> {
    let state = tempfile::tempdir()?;
    let folder = state.path().join("evidence");
    let profile = state.path().join("silent.yaml");
    fs::write(&profile, "title: Nothing is logged\ncontrols:\n  least-privilege: {}\n")?;
    let mut run = brinell(state.path());
    run.args(["-s", "rights-viewer", "--profile"]).arg(&profile);
    let output = run.arg("--keep-evidence").arg(&folder).output()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let told: Vec<&str> = told.split_whitespace().collect();
    let is_told = told.join(" ").contains("evidence none is kept: there is no audit log here");
    if !is_told || fs::read_dir(&folder)?.next().is_some() {
        return Err(format!("{output:?}").into());
    }
    Ok(())
}

/// The newest version that can be embedded.
const NEWEST: &str = "1.37";

fn an_upgrade_is_compared() -> Result<(), Failed> {
    let [old, new] = VERSIONS;
    let state = tempfile::tempdir()?;
    let role = ["-s", "exec-get-only-role"];
    let upgraded = upgrade(state.path(), old, new, &role)?;
    let told = String::from_utf8_lossy(&upgraded.stdout).into_owned();
    // From 1.35 on, exec by GET asks for `create` as well.
    assert_eq!(upgraded.status.code(), Some(0), "{told}");
    assert!(told.contains("BETTER  exec-get-only-role"), "{told}");
    assert!(told.contains("1 scenario in both, 0 new, 0 gone: 0 worse, 1 better"), "{told}");
    for version in VERSIONS {
        let path = state.path().join("results").join(format!("{version}.json"));
        let results = Results::read(&fs::read(path)?)?;
        assert!(results.kubernetes == version && results.summary.is_some(), "{version}");
    }
    let downgraded = upgrade(state.path(), new, old, &role)?;
    let told = String::from_utf8_lossy(&downgraded.stdout).into_owned();
    assert_eq!(downgraded.status.code(), Some(1), "{told}");
    assert!(told.contains("WORSE  exec-get-only-role"), "{told}");
    Ok(())
}

/// What is let in differs from version to version, and so does what a role is worth: with one that holds verbs which no
/// older version asks for, whoever has it gains by the upgrade.
fn what_versions_decide_shows() -> Result<(), Failed> {
    let state = tempfile::tempdir()?;
    let profile = state.path().join("early.yaml");
    fs::write(
        &profile,
        "title: The verbs of 1.36 are granted already\ncontrols:\n  audit-policy: {}\n  pod-security: {}\n  \
         least-privilege: {weakening: trainee-anybody}\n",
    )?;
    let scenarios = [
        "exec-get-only-role",
        "impersonation-constrained",
        "pod-probe-host",
        "pod-sysctls",
        "pod-user-namespace",
    ];
    let mut arguments: Vec<&str> = scenarios.iter().flat_map(|id| ["-s", id]).collect();
    let profile = profile.to_string_lossy();
    arguments.extend(["--profile", &profile]);
    let upgraded = upgrade(state.path(), VERSIONS[0], NEWEST, &arguments)?;
    let told = String::from_utf8_lossy(&upgraded.stdout).into_owned();
    assert_eq!(upgraded.status.code(), Some(1), "{told}");
    let read = |version: &str| -> Result<Results, Failed> {
        let path = state.path().join("results").join(format!("{version}.json"));
        Ok(Results::read(&fs::read(path)?)?)
    };
    let (before, after) = (read(VERSIONS[0])?, read(NEWEST)?);
    let compared = Comparison::of(&before, &after).map_err(|(error, _)| error)?;
    let weights: Vec<(&str, &str)> =
        compared.scenarios.iter().map(|it| (it.id.as_str(), it.weight.label())).collect();
    let expected = [
        // From 1.36 on its verbs are asked for.
        ("impersonation-constrained", "worse"),
        ("exec-get-only-role", "better"),
        ("pod-sysctls", "other"),
        ("pod-user-namespace", "other"),
    ];
    assert_eq!(weights, expected, "{told}");
    // What is let in now, and was refused before.
    for (id, name, layer) in [
        ("impersonation-constrained", "as the scheduler, for what the role names", "impersonation"),
        ("pod-sysctls", "one that counts as safe since Kubernetes 1.37", "Pod Security"),
        ("pod-user-namespace", "as root in a user namespace of its own", "Pod Security"),
        ("impersonation-constrained", "as the colleague, for what the role names", "impersonation"),
    ] {
        let scenario = compared.scenarios.iter().find(|it| it.id == id).ok_or(id)?;
        let attempt = scenario.attempts.iter().find(|it| it.who.starts_with(name)).ok_or(name)?;
        let change = attempt.changes.iter().find(|it| it.what == "layer").ok_or(name)?;
        assert_eq!((&*change.before, &*change.after), (layer, "nobody refused"), "{told}");
    }
    Ok(())
}

/// What `brinell upgrade` says.
fn upgrade(state: &Path, from: &str, to: &str, arguments: &[&str]) -> Result<Output, Failed> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brinell"));
    command.args(["upgrade", "--from", from, "--to", to, "--cluster", "embedded"]);
    command.args(arguments).arg("--results").arg(state.join("results"));
    Ok(command.env("XDG_STATE_HOME", state).stdin(Stdio::null()).output()?)
}
