//! What is generated from the catalog and kept in the repository: the JSON Schema that an editor completes and
//! checks scenarios with, and the list of all scenarios. `BRINELL_BLESS=1 cargo test --test fast` writes them anew.

use std::fmt::Write as _;
use std::path::Path;

use brinell::catalog::{Catalog, Entry};
use brinell::model::{
    Action, Attack, Blocked, Door, Expectation, Logged, Permit, Results, Scenario, Succeeds, Waiver,
};
use brinell::report::ExitCode;
use schemars::generate::SchemaSettings;

use crate::support::golden;

/// Compares a file of the repository with what it should hold.
pub fn check(file: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    assert!(
        golden(&path, expected) == expected,
        "{file} is out of date: BRINELL_BLESS=1 cargo test --test fast"
    );
}

#[test]
fn the_schema_is_up_to_date() {
    let mut schema = schemars::schema_for!(Scenario);
    schema.insert("title".to_owned(), "A scenario of brinell".into());
    let text = serde_json::to_string_pretty(&schema).expect("JSON");
    check("scenarios/scenario.schema.json", &format!("{text}\n"));
}

#[test]
fn the_schema_of_waivers_is_up_to_date() {
    let mut schema = schemars::schema_for!(Vec<Waiver>);
    schema.insert("title".to_owned(), "Failures that are known, for brinell --expected".into());
    let text = serde_json::to_string_pretty(&schema).expect("JSON");
    check("docs/expected.schema.json", &format!("{text}\n"));
}

#[test]
fn the_schema_of_results_is_up_to_date() {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<Results>();
    schema.insert("title".to_owned(), "Results of brinell".into());
    let mut schema = serde_json::to_value(&schema).expect("JSON");
    // A file of waivers may hold no key that means nothing; of results a reader leaves alone what is new to it.
    schema["$defs"]["Waiver"].as_object_mut().expect("a waiver").remove("additionalProperties");
    let text = serde_json::to_string_pretty(&schema).expect("JSON");
    check("docs/results.schema.json", &format!("{text}\n"));
}

#[test]
fn the_exit_codes_of_a_comparison_are_up_to_date() {
    let (foreign, own): (Vec<&ExitCode>, Vec<_>) =
        ExitCode::ALL.iter().partition(|it| it.is_foreign());
    let mut table = "\n| exit code | |\n|---|---|\n".to_owned();
    for codes in own.into_iter().map(|code| vec![code]).chain([foreign]) {
        let numbers: Vec<_> = codes.iter().map(|code| (**code as u8).to_string()).collect();
        let said: Vec<_> = codes.iter().map(|code| code.meaning().comparison).collect();
        if !said.concat().is_empty() {
            writeln!(table, "| {} | {} |", numbers.join(", "), said.join(", ")).expect("written");
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/results.md");
    let page = std::fs::read_to_string(path).expect("a file");
    assert!(page.contains(&table), "docs/results.md must hold, as ExitCode says it:\n{table}");
}

#[test]
fn the_list_of_scenarios_is_up_to_date() {
    let catalog = Catalog::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let mut page = "# Scenarios\n\nGenerated from `scenarios/`; `BRINELL_BLESS=1 cargo test --test fast generated` writes \
                    this page anew.\n"
        .to_owned();
    for entries in catalog.scenarios.chunk_by(|a, b| a.family == b.family) {
        writeln!(page, "\n## {}", entries[0].family).expect("written");
        for entry in entries {
            scenario(&mut page, entry).expect("written");
        }
    }
    check("docs/catalog.md", &page);
}

/// A page explains files as they are, so it must hold them as they are.
#[test]
fn the_examples_are_up_to_date() {
    let pages = [
        ("docs/writing-a-scenario.md", "scenarios/exec/exec-interactive.yaml"),
        ("docs/writing-a-scenario.md", "manifests/personas/caretaker.yaml"),
        ("docs/writing-a-control.md", "manifests/controls/exec-policy/control.yaml"),
        ("docs/writing-a-control.md", "manifests/controls/exec-policy/policy.yaml"),
        ("docs/writing-a-control.md", "manifests/controls/anonymous-auth/control.yaml"),
    ];
    for (page, example) in pages {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let text = |file: &str| std::fs::read_to_string(folder.join(file)).expect("a file");
        let block = format!("```yaml\n{}```\n", text(example));
        assert!(text(page).contains(&block), "{page} must hold {example} as it is");
    }
}

#[test]
fn the_exit_codes_of_the_readme_are_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(path).expect("a file");
    for part in [exit_codes(), precedence()] {
        assert!(readme.contains(&part), "README.md must hold, as ExitCode says it:\n{part}");
    }
}

/// README's table. Codes that say how the command was ended from outside share a row.
fn exit_codes() -> String {
    let (foreign, own): (Vec<&ExitCode>, Vec<_>) =
        ExitCode::ALL.iter().partition(|it| it.is_foreign());
    let mut table =
        "\n| exit code | the worst of the run | the worst of a proof |\n|---|---|---|\n".to_owned();
    for codes in own.into_iter().map(|code| vec![code]).chain([foreign]) {
        let numbers: Vec<_> = codes.iter().map(|code| (**code as u8).to_string()).collect();
        let run: Vec<_> = codes.iter().map(|code| code.meaning().run).collect();
        let proof: Vec<_> = codes.iter().map(|code| code.meaning().proof).collect();
        let proof = if proof == run { "the same".to_owned() } else { proof.join(", ") };
        let (numbers, run) = (numbers.join(", "), run.join(", "));
        writeln!(table, "| {numbers} | {run} | {proof} |").expect("written");
    }
    table + "\n"
}

/// `1 beats 4 beats 5 beats 3.`: what a run or a proof comes to, the worst first.
fn precedence() -> String {
    use ExitCode::{Broken, Failed, Inconclusive, NothingJudged};
    let all = [NothingJudged, Broken, Inconclusive, Failed];
    let mut codes = all;
    codes.sort_by_key(|code| all.iter().filter(|it| code.or_worse(**it) != *code).count());
    format!("\n{}.\n", codes.map(|code| (code as u8).to_string()).join(" beats "))
}

fn scenario(page: &mut String, entry: &Entry) -> std::fmt::Result {
    let Scenario { title, why, fix, tags, target, attacks, permits } = &entry.scenario;
    let controls: Vec<String> =
        entry.scenario.controls().iter().map(|id| format!("`{id}`")).collect();
    let tags: Vec<String> = tags.iter().map(|tag| format!("`{tag}`")).collect();
    writeln!(page, "\n### {}\n\n{title}.\n", entry.id)?;
    writeln!(page, "- Why: {why}\n- Fix: {fix}")?;
    writeln!(page, "- Tests {}, on target `{target}`", controls.join(", "))?;
    writeln!(page, "- Tags: {}\n", tags.join(" "))?;
    writeln!(page, "| | what | who | sent | expected |\n|---|---|---|---|---|")?;
    for attack @ Attack { name, r#as, r#do, only, expected } in attacks {
        let role = attack.role().label();
        let outcome = match expected {
            Expectation::Blocked(blocked, _) => Some(refusal(blocked)),
            Expectation::Succeeds(succeeds, _) => Some(success(succeeds)),
            Expectation::Sound(sound) => Some(format!("sound by `{}`", sound.control)),
            Expectation::Recorded(_) => None,
        };
        let expected: Vec<String> =
            outcome.into_iter().chain(evidence(&expected.logged())).collect();
        let (what, expected) = (sent(r#do, *only), expected.join(", "));
        writeln!(page, "| {role} | {name} | {as} | {what} | {expected} |")?;
    }
    for Permit { name, r#as, r#do, only, succeeds, logged } in permits {
        let works = std::iter::once(success(succeeds));
        let expected: Vec<String> = works.chain(evidence(logged)).collect();
        let (what, expected) = (sent(r#do, *only), expected.join(", "));
        writeln!(page, "| permit | {name} | {as} | {what} | {expected} |")?;
    }
    Ok(())
}

fn refusal(blocked: &Blocked) -> String {
    let at = blocked.at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
    let saying = blocked.saying.as_ref().map(|words| format!(", saying “{words}”"));
    format!("blocked by `{}`{at}{}", blocked.by, saying.unwrap_or_default())
}

fn success(succeeds: &Succeeds) -> String {
    match (&succeeds.stdout, &succeeds.stdout_contains) {
        (Some(text), _) => format!("works: `{text}`"),
        (None, Some(text)) => format!("works: `…{text}…`"),
        (None, None) => "works".to_owned(),
    }
}

fn evidence(logged: &Option<Logged>) -> Option<String> {
    logged.as_ref().map(|logged| format!("logged at {:?}", logged.level))
}

/// An action in a few words, with the door where it is one only.
fn sent(action: &Action, only: Option<Door>) -> String {
    let door = only.map(|door| format!(", {} only", door.label())).unwrap_or_default();
    format!("{}{door}", words(action))
}

fn words(action: &Action) -> String {
    match action {
        Action::Exec(exec) => {
            let streams = streams(exec.stdin, exec.tty);
            let container = place("container", &exec.container);
            format!(
                "exec `{}`{}{container}{streams}",
                exec.command.join(" "),
                place("in", &exec.pod)
            )
        }
        Action::Attach(attach) => {
            format!("attach{}{}", place("to", &attach.pod), streams(attach.stdin, attach.tty))
        }
        Action::PortForward(forward) => {
            format!("port-forward{}", place("to", &forward.pod))
        }
        Action::Ephemeral(ephemeral) => {
            format!("a debug container{}", place("in namespace", &ephemeral.namespace))
        }
        Action::Pod(pod) => match pod.through {
            Some(workload) => format!("a pod through a {workload:?}"),
            None => "a pod".to_owned(),
        },
        Action::Request(request) => {
            format!("`{} {}`", format!("{:?}", request.method).to_uppercase(), request.path)
        }
        Action::Connect(connect) => {
            format!("TCP from {} to {}, port {}", connect.from, connect.to, connect.port)
        }
        Action::Resolve(resolve) => format!("DNS from {}: `{}`", resolve.from, resolve.name),
        Action::Kubelet(kubelet) => {
            let method = format!("{:?}", kubelet.method).to_uppercase();
            format!("kubelet:{} `{method} {}`", kubelet.port, kubelet.path)
        }
        Action::Etcd(etcd) => format!("a read of etcd below `{}`", etcd.prefix),
        Action::AuditLog(_) => "a search of the audit log for a Secret's value".to_owned(),
        Action::Review(review) => format!("a review of {}", review.words()),
        Action::Grants(grants) => {
            let what = grants.resource.as_ref().or(grants.url.as_ref());
            format!("a review of who may {} {}", grants.verb, what.map_or("", String::as_str))
        }
        Action::Rights(rights) => match &rights.to {
            Some(right) => {
                let place = place("in", &right.r#in);
                format!("the question whether {} may {right}{place}", rights.of)
            }
            None => format!("every question about what {} may", rights.of),
        },
    }
}

fn place(preposition: &str, name: &Option<String>) -> String {
    name.as_ref().map(|name| format!(" {preposition} {name}")).unwrap_or_default()
}

fn streams(stdin: bool, tty: bool) -> &'static str {
    match (stdin, tty) {
        (false, false) => "",
        (true, false) => " with stdin",
        (false, true) => " with a terminal",
        (true, true) => " with stdin and a terminal",
    }
}
