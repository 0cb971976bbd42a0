//! What is generated from the catalog and kept in the repository: the JSON Schema that an editor completes and
//! checks scenarios with, and the list of all scenarios. `BRINELL_BLESS=1 cargo test --test fast` writes them anew.

use std::fmt::Write as _;
use std::path::Path;

use brinell::catalog::{Catalog, Entry, FileKind, page};
use brinell::model::Results;
use brinell::report::ExitCode;
use clap::ValueEnum;
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
fn the_schemas_are_up_to_date() {
    for kind in FileKind::value_variants() {
        let word = kind.to_possible_value().expect("none is hidden");
        let folder = if *kind == FileKind::Scenario { "scenarios" } else { "docs" };
        check(&format!("{folder}/{}.schema.json", word.get_name()), &kind.schema());
    }
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
    let head = "Generated from `scenarios/`; `BRINELL_BLESS=1 cargo test --test fast generated` writes this page anew.";
    let entries: Vec<&Entry> = catalog.scenarios.iter().collect();
    let page = page(head, &entries);
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
