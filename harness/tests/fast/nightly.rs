//! The nightly jobs that users copy: brinell takes every command in them, and the profile is one.

use std::fs;
use std::path::Path;

use brinell::cli::Cli;
use brinell::model::Profile;
use clap::Parser;
use serde_json::Value;

use crate::command_line::{NO_ENGINE, brinell, ran};
use crate::generated::check;
use crate::support::Home;

/// The nightly job on a cluster itself.
const JOB: &str = "manifests/nightly/nightly.yaml";

/// The documents of a file of ours.
fn documents(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The one document of a kind of the nightly job.
fn of_kind(kind: &str) -> Value {
    let of_kind = documents(JOB).into_iter().filter(|it| it["kind"] == kind);
    let found: Vec<Value> = of_kind.collect();
    let [document] = found.as_slice() else { panic!("{} of kind {kind}", found.len()) };
    document.clone()
}

/// The profile that the nightly job runs with.
fn profile() -> String {
    of_kind("ConfigMap")["data"]["profile.yaml"].as_str().expect("a text").to_owned()
}

/// Every text in a document.
fn texts(document: &Value) -> Vec<&str> {
    match document {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// The words of a command as a shell passes them on, without where its output goes.
fn words(command: &str) -> Vec<String> {
    let words = command.split_whitespace().take_while(|word| !word.starts_with('>'));
    words.map(|word| word.replace('"', "").replace('$', "of-")).collect()
}

fn assert_taken<'a>(words: impl IntoIterator<Item = &'a str>, file: &str) {
    let words: Vec<&str> = words.into_iter().collect();
    let taken = Cli::try_parse_from(&words);
    assert!(
        taken.is_ok(),
        "{file}: {words:?}: {}",
        taken.err().map(|it| it.to_string()).unwrap_or_default()
    );
}

#[test]
fn brinell_takes_every_command_of_the_workflows() {
    let files = [
        ("ci/workflows/github.yaml", 4),
        ("ci/workflows/gitlab.yaml", 4),
        ("docs/example/.github/workflows/brinell.yaml", 2),
    ];
    for (file, expected) in files {
        let documents = documents(file);
        let lines = documents.iter().flat_map(texts).flat_map(str::lines);
        let commands: Vec<_> = lines.filter(|line| line.starts_with("brinell ")).collect();
        assert_eq!(commands.len(), expected, "{file}: {commands:?}");
        for command in commands {
            assert_taken(words(command).iter().map(String::as_str), file);
        }
    }
}

#[test]
fn brinell_takes_every_command_of_the_cron_job_and_its_profile() {
    let job = of_kind("CronJob");
    let pod = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let containers = pod["containers"].as_array().expect("containers");
    assert_eq!(containers.len(), 2);
    for container in containers {
        // The image says nothing of what runs in it.
        let words = texts(&container["command"]).into_iter().chain(texts(&container["args"]));
        assert_taken(words, JOB);
    }
    let profile: Profile = serde_saphyr::from_str(&profile()).unwrap_or_else(|it| panic!("{it}"));
    assert!(profile.cluster.is_some());
}

#[test]
fn the_cron_job_may_do_what_its_profile_needs_and_no_more() {
    let home = Home::new();
    fs::write(home.path("profile.yaml"), profile()).expect("written");
    let account = format!(
        "ServiceAccount/{}/{}",
        of_kind("ServiceAccount")["metadata"]["namespace"].as_str().expect("a text"),
        of_kind("ServiceAccount")["metadata"]["name"].as_str().expect("a text"),
    );
    let arguments = ["plan", "--profile", "./profile.yaml", "--rbac", &account];
    let told = ran(brinell(&home, NO_ENGINE).args(arguments));
    assert_eq!(told.code, Some(0), "{told:?}");
    check("manifests/nightly/rbac.yaml", &told.stdout);
}
