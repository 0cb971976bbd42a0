//! The nightly jobs that users copy: brinell takes every command in them, and the profile is one.

use std::fs;
use std::path::Path;

use brinell::cli::Cli;
use brinell::model::Profile;
use clap::Parser;
use serde_json::Value;

/// The documents of a file of ours.
fn documents(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
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
    for file in ["ci/workflows/github.yaml", "ci/workflows/gitlab.yaml"] {
        let documents = documents(file);
        let lines = documents.iter().flat_map(texts).flat_map(str::lines);
        let commands: Vec<_> = lines.filter(|line| line.starts_with("brinell ")).collect();
        assert_eq!(commands.len(), 4, "{file}: {commands:?}");
        for command in commands {
            assert_taken(words(command).iter().map(String::as_str), file);
        }
    }
}

#[test]
fn brinell_takes_every_command_of_the_cron_job_and_its_profile() {
    let file = "manifests/nightly/nightly.yaml";
    let documents = documents(file);
    let of_kind = |kind: &str| documents.iter().find(|it| it["kind"] == kind).expect("there");
    let pod = &of_kind("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    for container in ["initContainers", "containers"] {
        // The image says nothing of what runs in it.
        let container = &pod[container][0];
        let words = texts(&container["command"]).into_iter().chain(texts(&container["args"]));
        assert_taken(words, file);
    }
    let profile = of_kind("ConfigMap")["data"]["profile.yaml"].as_str().expect("a text");
    let profile: Profile = serde_saphyr::from_str(profile).unwrap_or_else(|it| panic!("{it}"));
    assert!(profile.cluster.is_some());
}
