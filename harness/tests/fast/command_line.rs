//! The command as a user types it, on a machine without a cluster: the engines are scripts in `tests/engines`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{self, Home, Ran};
use brinell::catalog::Catalog;
use brinell::model::Need;
use brinell::report::{ExitCode, FORMATS, Meaning, all_needs, listing, story};
use brinell::text::visible;
use roxmltree::{Document, Node};

/// A machine on which nothing is installed.
pub const NO_ENGINE: &str = "none";

/// Commands that answer and end.
const ANSWERS: [&[&str]; 8] = [
    &["--list"],
    &["--list", "json"],
    &["explain", "exec-interactive"],
    &["plan"],
    &["plan", "--rbac", "User/jane"],
    &["completions", "bash"],
    &["sweep"],
    &["--help"],
];

/// brinell on a machine whose only programs are those of an engine.
pub fn brinell(home: &Home, engine: &str) -> Command {
    let mut command = home.brinell();
    let (folder, state) = (engines(engine), home.path("state"));
    let own = [("HOME", home.path("")), ("PATH", folder), ("XDG_STATE_HOME", state)];
    command.env_clear().envs(own).env("KUBECONFIG", home.path("named"));
    command
}

fn engines(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engines").join(name)
}

pub fn ran(command: &mut Command) -> Ran {
    command.output().expect("started").into()
}

/// What brinell says to these arguments, on a machine without an engine.
fn say(arguments: &[&str]) -> Ran {
    let home = Home::new();
    let ran = ran(brinell(&home, NO_ENGINE).args(arguments));
    assert_eq!(home.touched(&[]), [""; 0]);
    ran
}

fn assert_refused(arguments: &[&str], words: &str) {
    let ran = say(arguments);
    assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:?}");
    assert!(ran.stderr.contains(words), "{arguments:?}: {}", ran.stderr);
    assert_eq!(ran.stdout, "", "{arguments:?}");
}

/// Text without regard to where its lines were broken.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn assert_says(text: &str, expected: &str) {
    assert!(words(text).contains(expected), "not in it: {expected}\n{text}");
}

/// A run that could not begin: its exit code, what it says, and that both reports say it too.
fn assert_broken(home: &Home, engine: &str, expected: &[&str]) -> Ran {
    let arguments = ["--cluster", "kind", "--junit", "junit.xml", "--json", "results.json"];
    let ran = ran(brinell(home, engine).args(arguments));
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let junit = fs::read_to_string(home.path("junit.xml")).expect("written");
    let xml = Document::parse(&junit).expect("XML");
    let error = case(&xml, "setup").children().find(|node| node.has_tag_name("error"));
    let error = error.expect("an error").text().expect("text");
    let results = fs::read(home.path("results.json")).expect("written");
    let aborted = support::results(&results).aborted.expect("aborted");
    for text in expected {
        for told in [&ran.stdout, error, &aborted] {
            assert_says(told, text);
        }
    }
    ran
}

/// The one case of this name.
fn case<'a>(xml: &'a Document, name: &str) -> Node<'a, 'a> {
    let cases = xml.descendants().filter(|node| node.has_tag_name("testcase"));
    let cases: Vec<_> = cases.filter(|node| node.attribute("name") == Some(name)).collect();
    assert_eq!(cases.len(), 1);
    cases[0]
}

/// A profile of the user's that has no control, so that no scenario can run.
pub fn bare_profile(home: &Home) {
    fs::write(home.path("bare.yaml"), "title: Nothing\ncontrols: {}\n").expect("written");
}

/// A home in which a scenario of the user's has a key that is none.
fn home_with_misspelt_scenario() -> Home {
    let home = Home::new();
    let text = Catalog::load(None).expect("whole").scenarios[0].text.clone();
    fs::create_dir_all(home.path("mine/scenarios/exec")).expect("a folder");
    let text = text.replacen("target:", "taget:", 1);
    fs::write(home.path("mine/scenarios/exec/misspelt.yaml"), text).expect("written");
    home
}

#[test]
fn help() {
    let ran = say(&["--help"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(ran.stdout);
}

/// What a help says of an exit code.
type Said = fn(Meaning) -> &'static str;

#[test]
fn help_says_what_every_exit_code_says() {
    let said: [(&[&str], Said); 3] = [
        (&["--help"], |meaning| meaning.run_help),
        (&["prove", "--help"], |meaning| meaning.proof_help),
        (&["compare", "--help"], |meaning| meaning.comparison),
    ];
    for (arguments, said) in said {
        let told = ExitCode::ALL.iter().filter(|code| !said(code.meaning()).is_empty());
        let expected: Vec<String> = told
            .map(|code| {
                let end = if code.is_foreign() { "," } else { "" };
                format!("{} {}{end}", *code as u8, said(code.meaning()))
            })
            .collect();
        let help = say(arguments).stdout;
        let (_, section) = help.split_once("Exit codes:").expect("a section");
        assert_eq!(words(section), words(&expected.join(" ")).trim_end_matches(','));
    }
}

#[test]
fn the_list_tells_every_scenario_by_family() {
    let text = say(&["--list"]).stdout;
    let catalog = Catalog::load(None).expect("whole");
    let families = catalog.scenarios.chunk_by(|one, other| one.family == other.family);
    assert_eq!(text.split("\n\n").count(), families.clone().count());
    for (part, family) in text.split("\n\n").zip(families) {
        let heading = format!("{}, {} scenarios\n", family[0].family, family.len());
        assert!(part.starts_with(&heading), "{part}");
        let heads = part.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let ids = heads.filter_map(|line| line.trim_start().split(": ").next());
        assert!(ids.eq(family.iter().map(|entry| entry.id.as_str())), "{part}");
    }
    let told = say(&["--list", "-s", "kubelet-debug-paths"]).stdout;
    for line in ["    tests     kubelet-auth\n", "a kubelet's own port", "cis/4.2.2"] {
        assert!(told.contains(line), "{told}");
    }
    assert!(!told.contains("--image"), "what counts on an existing cluster alone: {told}");
}

#[test]
fn the_list_for_machines_is_json() {
    let list: serde_json::Value =
        serde_json::from_str(&say(&["--list", "json", "-s", "exec-interactive"]).stdout)
            .expect("JSON");
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    assert_eq!(list[0]["id"], "exec-interactive");
    assert_eq!(list[0]["family"], "exec");
    assert!(list[0]["file"].is_null(), "it is built in");
    assert_eq!(list[0]["controls"], serde_json::json!(["audit-policy", "exec-guard"]));
    let needs = list[0]["needs"].as_array().expect("needs");
    assert!(needs.contains(&"audit-log".into()), "{needs:?}");
}

#[test]
fn globs_tags_and_skips_select() {
    let ids = |arguments: &[&str]| -> Vec<String> {
        let ran = say(&[&["--list", "json"], arguments].concat());
        let list: Vec<serde_json::Value> = serde_json::from_str(&ran.stdout).expect("JSON");
        list.iter().map(|it| it["id"].as_str().expect("an id").to_owned()).collect()
    };
    let policy = "exec-interactive-by-policy";
    assert_eq!(ids(&["-s", "exec-i*"]), ["exec-interactive", policy]);
    assert_eq!(ids(&["-s", "exec-i*", "--skip", policy]), ["exec-interactive"]);
    assert_eq!(ids(&["--tag", "cis/4.2.1"]), ["anonymous-kubelet", "kubelet-settings-reviewed"]);
    assert_eq!(ids(&["--skip", "*"]), [""; 0]);
}

#[test]
fn explaining_tells_a_story_and_shows_the_file_on_request() {
    let told = say(&["explain", "exec-interactive"]).stdout;
    for part in [
        "exec-interactive: An interactive shell in a production pod\n",
        "scenarios/exec/exec-interactive.yaml, built in\n",
        "\nWhat is lost where it works\n  What is typed into a shell never reaches the audit log;",
        "  attack: a shell\n    as        operator\n    sends     exec `probe cat` with stdin and a terminal\n",
        "    through   GET WebSocket, POST SPDY, GET SPDY\n",
        "blocked by exec-guard (webhook exec-guard.brinell.dev), saying \"interactive\";",
        "  permit: a single command\n",
        "  operator: ServiceAccount brinell-personas/operator\n",
        "get, create pods/exec, pods/attach, pods/portforward",
        "    look at   ValidatingWebhookConfiguration exec-guard: failurePolicy (Fail)",
        "\nWhat to change where it fails\n  Refuse exec and attach with stdin or tty at admission",
        "  exec-guard/misses-attach, bypassed\n    pods/attach is a resource of its own",
        "  mitre/T1609: MITRE ATT&CK, https://attack.mitre.org/techniques/T1609/\n",
    ] {
        assert!(told.contains(part), "{part:?} is not in\n{told}");
    }
    let file = say(&["explain", "--yaml", "exec-interactive"]).stdout;
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/exec/exec-interactive.yaml");
    assert_eq!(file, fs::read_to_string(path).expect("a file"));
    assert_refused(&["explain", "exec-intercative"], "did you mean exec-interactive");
}

/// Whatever the catalog says of a scenario is told of it, and nothing that a terminal would follow.
#[test]
fn the_story_of_every_scenario_is_whole() {
    let catalog = Catalog::load(None).expect("whole");
    for entry in &catalog.scenarios {
        let told = story(&catalog, entry);
        let has = |text: &str| told.contains(text);
        assert!(entry.turns.iter().all(|turn| has(&turn.name) && has(turn.door.label())), "{told}");
        assert!(entry.turns.iter().all(|turn| has(&turn.persona.name)), "{told}");
        assert!(entry.scenario.controls().iter().all(|id| has(&format!("\n  {id}: "))), "{told}");
        assert!(entry.scenario.tags.iter().all(|tag| has(&format!("\n  {tag}"))), "{told}");
        for control in catalog.controls.values() {
            for (name, weakening) in &control.control.weaken {
                let id = format!("\n  {}/{name}, ", control.id);
                assert_eq!(has(&id), weakening.expect.contains_key(&entry.id), "{id}{told}");
            }
        }
        assert!(told.lines().all(|line| line.chars().count() <= 100 && visible(line) == line));
    }
}

/// A scenario falls away where its control cannot be had, so that what this needs is told of it.
#[test]
fn what_a_control_needs_is_told_of_its_scenarios() {
    let mut catalog = Catalog::load(None).expect("whole");
    let entry = catalog.scenarios.iter().find(|it| it.id == "exec-interactive").cloned();
    let entry = entry.expect("ours");
    assert!(!all_needs(&catalog, &entry).contains(&Need::RealNode));
    let guard = catalog.controls.get_mut("exec-guard").expect("ours");
    Arc::make_mut(guard).control.kubelet = Some(serde_json::json!({}));
    assert!(all_needs(&catalog, &entry).contains(&Need::RealNode));
    assert!(listing(&catalog, &[&entry]).contains("a node that really runs pods"));
}

#[test]
fn only_tags_of_standards_have_links() {
    let rights = say(&["explain", "rights-reader"]).stdout;
    let source =
        "https://kubernetes.io/docs/concepts/security/rbac-good-practices/#listing-secrets\n";
    assert!(rights.contains(source), "{rights}");
    let home = Home::new();
    let made = ran(brinell(&home, NO_ENGINE).args(["new", "scenario", "mine", "--catalog", "own"]));
    assert_eq!(made.code, Some(0), "{made:?}");
    let path = home.path("own/scenarios/own/mine.yaml");
    let text = fs::read_to_string(&path).expect("a file");
    let lines = text.lines().filter(|line| !line.starts_with("tags:") && !line.starts_with("why:"));
    let tags = "tags: [mitre/T1, mitre/T1609.4, attack/impact, cis/5.1.2, pci/1, own]";
    let why = r#"why: "\u001b[31m gone \u202e""#;
    let text: Vec<&str> = lines.chain([tags, why]).collect();
    fs::write(&path, text.join("\n")).expect("written");
    let told = ran(brinell(&home, NO_ENGINE).args(["explain", "mine", "--catalog", "own"])).stdout;
    assert!(
        told.contains("  none: no weakening names it, so that `brinell prove` does not"),
        "{told}"
    );
    assert!(told.contains(r"  \u{1b}[31m gone \u{202e}"), "{told}");
    assert!(told.lines().all(|line| visible(line) == line), "{told}");
    let (_, written) = told.split_once("Where it is written\n").expect("a section");
    let expected = "  mitre/T1\n  mitre/T1609.4\n  attack/impact: MITRE ATT&CK, the tactic impact\n  \
                    cis/5.1.2: CIS Kubernetes Benchmark, 5.1.2\n  pci/1\n  own\n";
    assert_eq!(written, expected);
}

#[test]
fn the_plan_says_what_would_run_and_what_not() {
    let hardened = say(&["plan", "-s", "exec-interactive"]).stdout;
    assert!(
        hardened.starts_with("cluster embedded (no Docker engine answers)\nprofile hardened: "),
        "{hardened}"
    );
    assert!(hardened.contains("  control  exec-guard: set up, seen acting\n"), "{hardened}");
    assert!(hardened.contains("  persona  operator\n"), "{hardened}");
    assert!(hardened.contains("  run      exec-interactive: "), "{hardened}");
    assert!(hardened.contains("  without  network-policy: "), "{hardened}");
    let open = say(&["plan", "--profile", "open"]).stdout;
    assert!(open.contains("  control  exec-guard: weakened\n"), "{open}");
    let home = Home::new();
    bare_profile(&home);
    let bare = ran(brinell(&home, NO_ENGINE).args([
        "plan",
        "--cluster",
        "kind",
        "--profile",
        "./bare.yaml",
    ]))
    .stdout;
    assert!(!bare.contains("  run "), "{bare}");
    assert!(
        bare.contains(
            "  skip     exec-interactive: the profile bare does not have the controls audit-policy, \
             exec-guard\n"
        ),
        "{bare}"
    );
}

#[test]
fn a_name_that_nobody_knows_is_refused_with_the_nearest() {
    let unknown = "there is no scenario `exec-intercative`; did you mean exec-interactive";
    assert_refused(&["-s", "exec-intercative"], unknown);
    assert_refused(&["--skip", "exec-intercative"], unknown);
    assert_refused(&["plan", "-s", "exec-intercative"], unknown);
    assert_refused(&["--tag", "mitre/T161"], "no scenario has the tag `mitre/T161`; did you mean");
    assert_refused(&["--profile", "hardend"], "did you mean hardened?");
    assert_refused(&["--profile", "./none.yaml"], "./none.yaml: cannot be read: No such file");
    let unknown = ["--cluster", "kind", "--kubernetes-version", "1.2"];
    assert_refused(&unknown, "there is one for 1.34, ");
    assert_refused(&["--kubernetes-version", "1.2"], "1.34, 1.35, 1.36, 1.37 can");
}

#[test]
fn an_upgrade_names_two_versions_that_are_there() {
    let cluster = ["--cluster", "embedded"];
    let to = [&["upgrade", "--from", "1.34", "--to", "1.2"][..], &cluster].concat();
    assert_refused(&to, "1.34, 1.35, 1.36, 1.37 can");
    let from = [&["upgrade", "--from", "1.2", "--to", "1.36"][..], &cluster].concat();
    assert_refused(&from, "1.34, 1.35, 1.36, 1.37 can");
    let same = ["upgrade", "--from", "1.36", "--to", "1.36"];
    assert_refused(&same, "--from and --to are both 1.36: name the version that is there");
    assert_refused(&["upgrade", "--from", "1.34"], "--to <X.Y>");
}

#[test]
fn evidence_is_kept_in_a_folder_of_its_own() {
    let home = Home::new();
    fs::create_dir(home.path("used")).expect("a folder");
    fs::write(home.path("used/exec-interactive.jsonl"), "of yesterday").expect("written");
    let run = ["-s", "exec-interactive", "--cluster", "embedded", "--keep-evidence", "used"];
    let ran = ran(brinell(&home, NO_ENGINE).args(run));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("there is something in it, which would be taken"), "{ran:?}");
    let kept = fs::read_to_string(home.path("used/exec-interactive.jsonl")).expect("a file");
    assert_eq!(kept, "of yesterday");
}

#[test]
fn a_scenario_where_none_belongs_is_recognised() {
    let question = "did you mean `brinell --scenario exec-interactive`?";
    assert_refused(&["exec-interactive"], question);
    assert_refused(&["-q", "exec-interactive"], question);
    assert_refused(&["plan", "exec-interactive"], question);
    assert_refused(&["exec-intercative"], "unrecognized subcommand");
}

#[test]
fn arguments_that_mean_nothing_are_refused() {
    assert_refused(&["--quiet", "--verbose"], "cannot be used with");
    assert_refused(&["--jobs", "0"], "0 is not in 1..");
    assert_refused(&["--deadline", "0"], "0 is not in 1..");
    assert_refused(&["--deadline", "18446744073709551615"], "is not in 1..");
    assert_refused(&["--list", "yaml"], "[possible values: text, json]");
    assert_refused(&["--catalog", "none"], "none: cannot be read: No such file");
    assert_refused(&["--only-mine"], "--catalog <DIR>");
    assert_refused(&["--scenarios", "mine"], "--scenarios is --catalog now: move what is in");
    assert_refused(&["plan", "--scenarios=mine"], "write `--catalog DIR`");
    for report in ["--json", "--junit", "--report"] {
        assert_refused_with(&["--list", report, "out.json"], "cannot be used with");
    }
}

#[test]
fn what_is_for_a_cluster_of_ours_is_refused_elsewhere() {
    let home = Home::new();
    let says = "title: x\ncluster: {context: staging}\ncontrols: {}\n";
    fs::write(home.path("theirs.yaml"), says).expect("written");
    for argument in [&["--keep"][..], &["--kubernetes-version", "1.36"], &["--node-image", "x"]] {
        let mut run = brinell(&home, NO_ENGINE);
        let ran = ran(run.args(["--profile", "./theirs.yaml"]).args(argument));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        let words = format!("{} is for a cluster that brinell makes", argument[0]);
        assert!(ran.stderr.contains(&words), "{ran:?}");
    }
    bare_profile(&home);
    let bare = ["--profile", "./bare.yaml", "--cluster", "embedded"];
    // What is set for all is in nobody's way.
    let upgrade = ["upgrade", "--from", "1.34", "--to", "1.35"];
    for command in [&[] as &[&str], &upgrade] {
        let mut run = brinell(&home, NO_ENGINE);
        let set = ran(run.args(command).args(bare).env("BRINELL_NODE_IMAGE", "x"));
        assert_eq!(set.code, Some(3), "{set:?}");
    }
    let named = ran(brinell(&home, NO_ENGINE).args(bare).args(["--node-image", "x"]));
    assert_eq!(named.code, Some(2), "{named:?}");
    assert_says(&named.stderr, "simulated; --node-image needs --cluster kind");
}

/// Whoever answers for failures would lose what they wrote.
#[test]
fn no_report_is_written_over_a_file_that_is_read() {
    let home = Home::new();
    bare_profile(&home);
    let (old, words) = ("an old report", "names a file that is read: write the report to another");
    for (command, file) in [
        ("--expected known.json --json known.json", "known.json"),
        ("--expected known.json --report ./known.json", "known.json"),
        ("--profile ./bare.yaml --json bare.yaml", "bare.yaml"),
        ("prove --profile ./bare.yaml --json bare.yaml", "bare.yaml"),
        ("--context x --kubeconfig theirs --json theirs", "theirs"),
    ] {
        for name in ["known.json", "junit.xml", "theirs"] {
            fs::write(home.path(name), old).expect("written");
        }
        let before = fs::read_to_string(home.path(file)).expect("there");
        let mut run = brinell(&home, NO_ENGINE);
        let ran = ran(run.args(command.split(' ')).args(["--junit", "junit.xml"]));
        assert_eq!(ran.code, Some(2), "{command}: {ran:?}");
        assert_says(&ran.stderr, words);
        assert_eq!(fs::read_to_string(home.path(file)).expect("there"), before, "{command}");
        let junit = fs::read_to_string(home.path("junit.xml")).expect("there");
        assert_says(&junit, words);
    }
}

#[test]
fn broken_yaml_is_shown_with_its_place() {
    let home = home_with_misspelt_scenario();
    let plan = ["plan", "--catalog", "mine"];
    let explain = ["explain", "exec-interactive", "--catalog", "mine"];
    for command in [&["--catalog", "mine"][..], &plan, &explain] {
        let ran = ran(brinell(&home, NO_ENGINE).args(command));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        let text =
            fs::read_to_string(home.path("mine/scenarios/exec/misspelt.yaml")).expect("there");
        let line = 1 + text.lines().position(|line| line.starts_with("taget:")).expect("in it");
        let place =
            format!("error: mine/scenarios/exec/misspelt.yaml:{line}:1: unknown key `taget`\n");
        assert!(ran.stderr.starts_with(&place), "{}", ran.stderr);
        assert!(ran.stderr.contains("did you mean target"), "{}", ran.stderr);
    }
}

/// What brinell says to a file of waivers, in a profile in which nothing can run.
fn say_to_waivers(waivers: &str) -> Ran {
    let home = Home::new();
    bare_profile(&home);
    fs::write(home.path("expected.yaml"), waivers).expect("written");
    let arguments =
        ["--cluster", "embedded", "--profile", "./bare.yaml", "--expected", "expected.yaml"];
    ran(brinell(&home, NO_ENGINE).args(arguments))
}

/// A waiver with some of its keys.
fn waiver(keys: &str) -> String {
    format!("- {{scenario: exec-interactive, why: known, owner: me, expires: 2026-12-31{keys}}}\n")
}

#[test]
fn a_waiver_that_means_nothing_is_refused_with_its_place() {
    for (waivers, place, words) in [
        (waiver("").replace("active", "actve"), "1:", "did you mean exec-interactive"),
        (waiver(", attempt: a shel"), "1:", "did you mean a shell"),
        (waiver(", persona: operater"), "1:", "did you mean operator"),
        (waiver(", door: SPDY"), "1:", "known are: "),
        (waiver(", findings: [bypased]"), "1:", "bypased"),
        (waiver(", findings: [left-over]"), "1:", "no waiver covers it"),
        (waiver(", verdict: passed"), "1:", "passed"),
        (waiver(", verdict: inconclusive, findings: [bypassed]"), "1:", "has no findings"),
        (waiver("").replace("2026-12-31", "2026-2-31"), "1:", "such as 2026-12-31"),
        (waiver("").replace("2026-12-31", "20261231"), "1:", "such as 2026-12-31"),
        (waiver("").replace("owner: me", "owner: ''"), "1:", "name who answers for it"),
        (waiver("").replace("owner: me, ", ""), "1:", "owner"),
        (waiver("") + &waiver(""), "2:", "it stands above already"),
        (String::new(), " ", "the file is empty"),
    ] {
        let ran = say_to_waivers(&waivers);
        assert_eq!(ran.code, Some(2), "{waivers}: {ran:?}");
        let start = format!("error: expected.yaml:{place}");
        assert!(ran.stderr.starts_with(&start), "{waivers}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{waivers}: {}", ran.stderr);
    }
    assert_refused(&["--expected", "none.yaml"], "none.yaml: cannot be read: No such file");
}

#[test]
fn a_waiver_of_what_did_not_run_is_told_and_left_alone() {
    let ran = say_to_waivers(&waiver("").replace("2026", "2020"));
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let told = "1 waiver not looked at, because nothing came of it here: exec-interactive";
    assert_says(&ran.stdout, told);
}

#[test]
fn a_report_that_cannot_be_opened_is_known_at_once() {
    assert_refused(&["--junit", "none/junit.xml"], "none/junit.xml could not be opened: No such");
    assert_refused(&["--json", "tmp"], "tmp could not be opened: Is a directory");
}

#[test]
fn two_reports_in_one_file_are_refused() {
    let home = Home::new();
    fs::write(home.path("old.xml"), "an old report").expect("written");
    std::os::unix::fs::symlink("old.xml", home.path("link.xml")).expect("linked");
    for [junit, json] in [["new.xml", "./tmp/../new.xml"], ["old.xml", "link.xml"]] {
        let ran = ran(brinell(&home, NO_ENGINE).args(["--junit", junit, "--json", json]));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains("--junit and --json name the same file"), "{}", ran.stderr);
    }
    let told = fs::read_to_string(home.path("old.xml")).expect("there");
    assert!(told.contains("--junit and --json name the same file"), "{told}");
    assert_eq!(home.touched(&["old.xml", "new.xml", "link.xml"]), [""; 0]);
}

#[test]
fn a_report_knows_its_format_by_the_ending() {
    let endings: Vec<&str> = FORMATS.iter().flat_map(|format| format.endings).copied().collect();
    let files: Vec<String> = endings.iter().map(|ending| format!("a.{ending}")).collect();
    let home = Home::new();
    let reports = files.iter().flat_map(|file| ["--report", file]);
    let ran = ran(brinell(&home, "silent").args(["--cluster", "kind"]).args(reports));
    assert_eq!(ran.code, Some(4), "{ran:?}");
    for (file, format) in files.iter().zip(&endings) {
        let text = fs::read_to_string(home.path(file)).expect("written");
        // Metrics say that it did not end; the others say why, too.
        let words = if ["prom", "om"].contains(format) {
            "brinell_run_ended"
        } else {
            "no Docker engine answers"
        };
        assert!(text.contains(words), "{file}: {text}");
    }
    assert_refused(&["--report", "a.txt"], "its ending says no format: .html");
    assert_refused(&["--report", "html"], "its ending says no format: .html");
    let twice = ["--report", "a.json", "--json", "a.json"];
    assert_refused_with(&twice, "--json and --report name the same file");
}

/// Refused, with a report that says so.
fn assert_refused_with(arguments: &[&str], words: &str) {
    let home = Home::new();
    let ran = ran(brinell(&home, NO_ENGINE).args(arguments));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
}

#[test]
fn every_format_can_be_made_later() {
    let home = Home::new();
    let run = ["--cluster", "embedded", "--skip", "*", "--json", "results.json"];
    assert_eq!(ran(brinell(&home, NO_ENGINE).args(run)).code, Some(3));
    for format in FORMATS {
        let arguments = ["report", "results.json", "--as", format.word];
        let ran = ran(brinell(&home, NO_ENGINE).args(arguments));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let results = support::results(&fs::read(home.path("results.json")).expect("there"));
        let expected = (format.render)(&results).expect("made");
        assert_eq!(ran.stdout.as_bytes(), expected, "{}", format.name);
    }
    assert_refused(&["report", "results.json", "--as", "pdf"], "[possible values: html, markdown,");
}

/// Reports of an earlier run would be taken for those of one that never began.
#[test]
fn what_is_refused_is_in_the_reports_as_well() {
    let table: [(&[&str], &str); 8] = [
        (&["--catalog", "none"], "none: cannot be read: No such file"),
        (&["--scenario", "exec-intercative"], "there is no scenario `exec-intercative`"),
        (&["--profile", "hardend"], "there is no profile `hardend`"),
        (&["--cluster", "embedded", "--keep"], "--keep needs --cluster kind"),
        (&["--nonsense"], "unexpected argument '--nonsense' found"),
        // No command, but what a flag is given.
        (&["--profile", "plan", "--nonsense"], "unexpected argument '--nonsense' found"),
        (&["prove", "--control", "exec-gard"], "there is no control `exec-gard`"),
        (&["prove", "--clusters", "0"], "0 is not in 1..=16"),
    ];
    for (arguments, words) in table {
        let home = home_with_old_reports();
        let files = ["--junit=junit.xml", "--json", "results.json"];
        let ran = ran(brinell(&home, NO_ENGINE).args(arguments).args(files));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert_says(&ran.stderr, words);
        let junit = fs::read(home.path("junit.xml")).expect("there");
        let suites = junit_parser::from_reader(junit.as_slice()).expect("JUnit");
        assert_eq!((suites.tests, suites.errors), (1, 1), "{suites:?}");
        assert_says(&suites.suites[0].cases[0].status.error_as_ref().message, words);
        let results = fs::read(home.path("results.json")).expect("there");
        assert_says(&support::results(&results).aborted.expect("aborted"), words);
    }
}

/// Results of an earlier check would be taken for those of one that never began.
#[test]
fn what_is_refused_is_in_both_results_as_well() {
    let (both, there) = ("1.34.json 1.36.json", "there.json 1.36.json");
    let upgrade = "upgrade --from 1.34 --to 1.36";
    let rehearse = "rehearse --context staging --to 1.36";
    for (command, more, files, words) in [
        (upgrade, "-s exec-intercative", both, "there is no scenario `exec-intercative`"),
        (upgrade, "--nonsense", both, "unexpected argument '--nonsense' found"),
        ("upgrade --from 1.34", "--to 1.34", "1.34.json", "are both 1.34"),
        ("upgrade", "--from 1.34", "1.34.json", "--to <X.Y>"),
        (rehearse, "--audit-policy none", there, "none: cannot be read"),
        (rehearse, "--nonsense", there, "unexpected argument '--nonsense' found"),
    ] {
        let [command, more, files] = [command, more, files].map(|it| it.split(' '));
        let home = Home::new();
        fs::create_dir(home.path("kept")).expect("a folder");
        for file in files.clone() {
            fs::write(home.path(&format!("kept/{file}")), "an old result").expect("written");
        }
        let results = ["--results", "kept"];
        let ran = ran(brinell(&home, NO_ENGINE).args(command).args(results).args(more));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        for file in files {
            let results = fs::read(home.path(&format!("kept/{file}"))).expect("there");
            assert_says(&support::results(&results).aborted.expect("aborted"), words);
        }
    }
}

#[test]
fn a_command_that_writes_no_reports_touches_none() {
    for arguments in
        [&["report", "--json", "results.json"][..], &["explain", "x", "--junit", "junit.xml"]]
    {
        let home = home_with_old_reports();
        let ran = ran(brinell(&home, NO_ENGINE).args(arguments));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        for file in ["junit.xml", "results.json"] {
            assert_eq!(fs::read_to_string(home.path(file)).expect("there"), "an old report");
        }
    }
}

fn home_with_old_reports() -> Home {
    let home = Home::new();
    for file in ["junit.xml", "results.json"] {
        fs::write(home.path(file), "an old report").expect("written");
    }
    home
}

#[test]
fn what_is_no_file_is_not_read() {
    let home = Home::new();
    fs::create_dir(home.path("scenarios")).expect("a folder");
    let pipe = home.path("scenarios/pipe.yaml");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).expect("a pipe");
    std::os::unix::fs::symlink("/dev/zero", home.path("zero\u{1b}[31m")).expect("a link");
    let table: [(&[&str], &str); 5] = [
        (&["--profile", "scenarios/pipe.yaml"], "scenarios/pipe.yaml: is a pipe and no file"),
        (&["--catalog", "."], "./scenarios/pipe.yaml: is a pipe and no file"),
        (&["report", "scenarios/pipe.yaml"], "scenarios/pipe.yaml: is a pipe and no file"),
        (&["report", "zero\u{1b}[31m"], r"zero\u{1b}[31m: is a device and no file"),
        (&["report", "tmp"], "tmp: is a folder and no file"),
    ];
    for (arguments, words) in table {
        let ran = ran(brinell(&home, NO_ENGINE).args(arguments));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}

#[test]
fn what_is_no_result_is_told_to_be_none() {
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let deep = format!("{{\"format\": 1, \"run\": {open}{close}}}");
    let table = [
        ("", "it ends in the middle: a result is what `brinell --json FILE` writes"),
        ("{\"format\": 1, \"run\"", "it ends in the middle"),
        ("<xml/>", "it is no JSON (expected value at line 1 column 1)"),
        ("{}", "it is JSON, but no result of brinell (missing field `format` at line 1 column 2)"),
        ("{\"format\": 2}", "its format is 2, and this brinell reads format 1"),
        (&deep, "it is JSON, but no result of brinell (invalid type: sequence, expected a string"),
    ];
    for (text, words) in table {
        let home = Home::new();
        fs::write(home.path("results.json"), text).expect("written");
        let ran = ran(brinell(&home, NO_ENGINE).args(["report", "results.json"]));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.starts_with(&format!("error: results.json: {words}")), "{}", ran.stderr);
    }
}

#[test]
fn without_docker_it_says_how_to_get_it() {
    for engine in [NO_ENGINE, "silent"] {
        let home = Home::new();
        let expected = [
            "no Docker engine answers. Install one (https://docs.docker.com/engine/install/)",
            "`docker version",
        ];
        let ran = assert_broken(&home, engine, &expected);
        assert_says(&ran.stdout, "Nothing was made.");
        assert_says(&ran.stdout, "JUnit: junit.xml, JSON: results.json");
        assert_eq!(home.touched(&["junit.xml", "results.json"]), [""; 0]);
    }
}

#[test]
fn without_kind_it_says_how_to_get_it() {
    let home = Home::new();
    let expected =
        "kind is not there. Install it (https://kind.sigs.k8s.io/docs/user/quick-start/)";
    assert_broken(&home, "kindless", &[expected]);
    assert_eq!(home.runs(), [""; 0]);
}

#[test]
fn what_kind_says_is_told() {
    let home = Home::new();
    let expected = "ERROR: failed to create cluster: no room for a node";
    let ran = assert_broken(&home, "refusing", &[expected]);
    assert_says(&ran.stdout, "Cluster deleted, nothing left behind.");
    assert_eq!(home.touched(&["junit.xml", "results.json"]), [""; 0]);
    assert_eq!(home.runs(), [""; 0]);
}

#[test]
fn a_node_image_that_cannot_be_had_is_named() {
    let home = Home::new();
    let expected = [
        "the node image kindest/node:v1.36",
        "is not here, and cannot be pulled; --node-image or BRINELL_NODE_IMAGE names another one",
        "no such host",
    ];
    assert_broken(&home, "imageless", &expected);
    assert_eq!(home.runs(), [""; 0]);
}

#[test]
fn a_cluster_that_could_not_be_made_is_not_kept() {
    for engine in ["refusing", "imageless"] {
        let home = Home::new();
        let ran = ran(brinell(&home, engine).args(["--cluster", "kind", "--keep"]));
        assert_eq!(ran.code, Some(4), "{ran:?}");
        assert_says(&ran.stdout, "Cluster deleted, nothing left behind.");
        assert!(!ran.stdout.contains("Cluster kept"), "{ran:?}");
        assert_eq!(home.runs(), [""; 0]);
    }
}

#[test]
fn what_a_dying_engine_keeps_is_named_and_swept_later() {
    let home = Home::new();
    let ran = assert_broken(&home, "dying", &["Cannot connect to the Docker daemon"]);
    let [run] = home.runs().try_into().expect("one run");
    assert_says(&ran.stdout, "LEFT BEHIND: `docker");
    assert_says(&ran.stdout, &format!("`brinell sweep {run}` tries again."));
    let junit = fs::read_to_string(home.path("junit.xml")).expect("written");
    let xml = Document::parse(&junit).expect("XML");
    assert!(case(&xml, "removal").children().any(|node| node.has_tag_name("error")), "{junit}");
    fs::remove_file(home.path("engine-is-dead")).expect("there");
    let swept = self::ran(brinell(&home, "dying").arg("sweep"));
    assert_eq!((swept.code, swept.stdout), (Some(0), format!("{run}: removed, 1 things\n")));
    assert_eq!(home.runs(), [""; 0]);
}

#[test]
fn a_run_without_a_home_says_so() {
    let home = Home::new();
    let mut command = brinell(&home, "refusing");
    let ran = ran(command.env("XDG_STATE_HOME", "").env_remove("HOME"));
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert_says(&ran.stdout, "neither XDG_STATE_HOME nor HOME names a folder");
    assert_eq!(home.touched(&[]), [""; 0]);
}

#[test]
fn nothing_judged_is_not_green() {
    let home = Home::new();
    bare_profile(&home);
    let bare = ["--profile", "./bare.yaml", "--junit", "junit.xml"];
    for arguments in [&bare[..], &["--skip", "*", "--junit", "junit.xml"]] {
        let ran = ran(brinell(&home, NO_ENGINE).args(arguments));
        assert_eq!(ran.code, Some(3), "{arguments:?}: {ran:?}");
        assert_says(&ran.stdout, "Nothing was judged.");
        let junit = fs::read_to_string(home.path("junit.xml")).expect("written");
        let xml = Document::parse(&junit).expect("XML");
        let count = |tag| xml.descendants().filter(|node| node.has_tag_name(tag)).count();
        assert!(count("testcase") > 0);
        assert_eq!(count("testcase"), count("skipped"));
    }
}

#[test]
fn a_skip_counts_where_all_is_required() {
    let home = Home::new();
    bare_profile(&home);
    let arguments = ["--profile", "./bare.yaml", "--require-all"];
    let ran = ran(brinell(&home, NO_ENGINE).args(arguments));
    assert_eq!(ran.code, Some(5), "{ran:?}");
}

#[test]
fn a_full_disk_is_told() {
    let ran = say(&["--skip", "*", "--json", "/dev/full"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains("/dev/full could not be written: No space left"), "{}", ran.stderr);
    let home = Home::new();
    let full = fs::File::options().write(true).open("/dev/full").expect("opened");
    let mut list = brinell(&home, NO_ENGINE);
    let status = list.arg("--list").stdout(full).stderr(Stdio::null()).status().expect("started");
    assert_eq!(status.code(), Some(4));
}

#[test]
fn a_reader_who_goes_away_is_no_error() {
    let home = Home::new();
    for arguments in ANSWERS {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ran = ran(brinell(&home, "refusing").args(arguments).stdout(writer));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn colours_are_for_those_who_want_them() {
    let home = Home::new();
    let is_coloured = |variables: &[(&str, &str)]| {
        let ran = ran(brinell(&home, NO_ENGINE).envs(variables.iter().copied()));
        assert_says(&ran.stdout, "ABORTED");
        ran.stdout.contains('\u{1b}')
    };
    assert!(is_coloured(&[("CLICOLOR_FORCE", "1")]));
    assert!(!is_coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(!is_coloured(&[]));
}

#[test]
fn completions_know_the_options() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = say(&["completions", shell]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        for word in ["brinell", "scenario", "kubernetes-version", "sweep"] {
            assert!(ran.stdout.contains(word), "{shell}: {word}");
        }
    }
    assert_refused(&["completions", "none"], "[possible values: ");
}

#[test]
fn sweeping_says_when_an_engine_could_not_be_asked() {
    let home = Home::new();
    let without = ran(brinell(&home, NO_ENGINE).arg("sweep"));
    assert_eq!((without.code, without.stdout.as_str()), (Some(0), "nothing to sweep\n"));
    let silent = ran(brinell(&home, "silent").arg("sweep"));
    assert_eq!((silent.code, silent.stdout.as_str()), (Some(4), ""), "{silent:?}");
    assert_says(&silent.stderr, "the engine could not be asked for what kind clusters left there");
}

/// Waits until a process has ended.
fn wait_for_end(process: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Path::new("/proc").join(process).exists() {
        assert!(Instant::now() < deadline, "{process} has not ended");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_engine_that_never_answers_is_waited_for_ten_seconds() {
    let home = Home::new();
    let started = Instant::now();
    let plan = ran(brinell(&home, "hanging").arg("plan"));
    assert_eq!(plan.code, Some(0), "{plan:?}");
    assert!(plan.stdout.starts_with("cluster embedded (no Docker engine answers)\n"), "{plan:?}");
    let swept = ran(brinell(&home, "hanging").arg("sweep"));
    assert_eq!(swept.code, Some(4), "{swept:?}");
    let late = "`docker version --format {{.Server.Version}}{{range .Server.Components}} \
                {{.Name}}{{end}}` did not end within 10 seconds, and was ended";
    assert_says(&swept.stderr, late);
    assert_broken(&home, "hanging", &["no Docker engine answers. Install one", late]);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    let commands = fs::read_to_string(home.path("engine-commands")).expect("written");
    commands.lines().for_each(wait_for_end);
}

#[test]
fn a_command_that_hangs_ends_with_a_killed_brinell() {
    let home = Home::new();
    let mut command = brinell(&home, "hanging");
    let mut plan = command.arg("plan").stdout(Stdio::null()).spawn().expect("started");
    let commands = home.path("engine-commands");
    while !fs::read_to_string(&commands).is_ok_and(|text| text.ends_with('\n')) {
        std::thread::sleep(Duration::from_millis(5));
    }
    plan.kill().expect("killed");
    plan.wait().expect("waited");
    fs::read_to_string(&commands).expect("written").lines().for_each(wait_for_end);
}

#[test]
fn an_engine_that_answers_by_half_does_not_keep_the_plan() {
    let home = Home::new();
    let plan = ran(brinell(&home, "half").arg("plan"));
    assert_eq!(plan.code, Some(0), "{plan:?}");
    assert!(plan.stdout.starts_with("cluster kind (Docker 28.5.2 and kind 0.33.0 "), "{plan:?}");
}

#[test]
fn podman_under_dockers_name_is_known() {
    let home = Home::new();
    let plan = ran(brinell(&home, "podman").arg("plan"));
    assert!(plan.stdout.starts_with("cluster embedded (`docker` is podman here)\n"), "{plan:?}");
    let expected = "`docker` is podman here, and kind clusters are made with a Docker engine.";
    let ran = assert_broken(&home, "podman", &[expected]);
    assert_says(&ran.stdout, "Nothing was made.");
}

#[test]
fn an_engine_on_another_machine_is_known_before_anything_is_made() {
    let home = Home::new();
    for host in ["tcp://user:hunter2@10.1.2.3:2375", "ssh://user:hunter2@10.1.2.3"] {
        let brinell = || {
            let mut command = brinell(&home, "refusing");
            command.env("DOCKER_HOST", host);
            command
        };
        let plan = ran(brinell().arg("plan"));
        let first = "cluster embedded (the Docker engine is on another machine, 10.1.2.3)\n";
        assert!(plan.stdout.starts_with(first), "{plan:?}");
        let ran = ran(brinell().args(["--cluster", "kind"]));
        assert_eq!(ran.code, Some(4), "{ran:?}");
        assert_says(&ran.stdout, "kind opens the API server on that machine's own loopback");
        assert_says(&ran.stdout, "Nothing was made.");
        assert!(!format!("{plan:?}{ran:?}").contains("hunter2"));
    }
    assert_eq!(home.runs(), [""; 0]);
}

#[test]
fn kind_is_told_nothing_of_proxies_and_passwords_are_not_repeated() {
    let home = Home::new();
    let mut command = brinell(&home, "telling");
    for name in ["http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, "http://user:hunter2@127.0.0.1:9");
    }
    command.env("KIND_EXPERIMENTAL_PROVIDER", "podman");
    let arguments = ["--cluster", "kind", "--junit", "junit.xml", "--json", "results.json"];
    let ran = ran(command.args(arguments));
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert_says(&ran.stdout, "http_proxy is '', and http://proxy:3128 refused");
    assert_says(&ran.stdout, "the provider is 'docker'");
    let run = fs::read_to_string(home.path("told-the-engine")).expect("written");
    let configuration = home.path("state/brinell/runs").display().to_string();
    assert!(run.starts_with(&format!("unix:///run/engine.sock {configuration}/")), "{run}");
    assert!(run.ends_with("/no-configuration\n"), "{run}");
    let told =
        [fs::read_to_string(home.path("junit.xml")), fs::read_to_string(home.path("results.json"))];
    for text in told.map(|text| text.expect("written")).iter().chain([&ran.stdout, &ran.stderr]) {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_second_signal_ends_tidying_up_and_says_what_stays() {
    let home = Home::new();
    let mut command = brinell(&home, "stuck");
    command.args(["--cluster", "kind"]).stdout(Stdio::piped());
    let mut running = command.spawn().expect("started");
    let lines = BufReader::new(running.stdout.take().expect("piped")).lines();
    let mut lines = lines.map(|line| line.expect("text in UTF-8"));
    assert!(lines.any(|line| line.contains("ABORTED")));
    let started = Instant::now();
    for signal in ["-INT", "-TERM"] {
        let sent = Command::new("kill").args([signal, &running.id().to_string()]).status();
        assert!(sent.expect("started").success());
    }
    let rest: Vec<String> = lines.collect();
    assert_eq!(running.wait().expect("waited").code(), Some(4));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let [run] = home.runs().try_into().expect("one run");
    let left = format!(
        "LEFT BEHIND: a second signal ended tidying up, so that parts of run {run} may still be there; \
         `brinell sweep {run}` removes them."
    );
    assert_says(&rest.join("\n"), &left);
}

/// A process that carries the marks of a run.
fn marked(run: &str, folder: Option<&Path>) -> Child {
    let mut command = Command::new("sleep");
    command.arg("4711").env("BRINELL_RUN", run);
    command.envs(folder.map(|folder| ("BRINELL_RUN_FOLDER", folder)));
    command.spawn().expect("started")
}

#[test]
fn sweeping_ends_processes_whose_run_has_ended_and_no_others() {
    let (home, elsewhere) = (Home::new(), Home::new());
    let living = elsewhere.path("runs/living");
    fs::create_dir_all(&living).expect("a folder");
    let lock = fs::File::create(living.join("lock")).expect("a file");
    lock.lock().expect("locked");
    let left = home.path("state/brinell/runs/1eaf1e");
    fs::create_dir_all(&left).expect("a folder");
    for file in ["lock", "embedded"] {
        fs::write(left.join(file), "").expect("written");
    }
    let mut orphans =
        [marked("0dead0", Some(&elsewhere.path("runs/0dead0"))), marked("1eaf1e", Some(&left))];
    let mut spared = [marked("a11fe0", Some(&living)), marked("1eaf1e", None)];
    let swept = ran(brinell(&home, NO_ENGINE).arg("sweep"));
    assert_eq!(swept.code, Some(0), "{swept:?}");
    assert_says(&swept.stdout, "0dead0: removed, 1 things 1eaf1e: removed, 2 things");
    for orphan in &mut orphans {
        assert_eq!(orphan.wait().expect("waited").code(), None);
    }
    for spared in &mut spared {
        assert_eq!(spared.try_wait().expect("asked"), None);
        spared.kill().expect("killed");
        spared.wait().expect("waited");
    }
    assert_eq!(home.runs(), [""; 0]);
}

/// A kubeconfig whose contexts lead nowhere.
const NOWHERE: &str = "
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: \"https://127.0.0.1:1\"}}]
users: [{name: u, user: {token: t0k3n}}]
contexts:
- {name: staging, context: {cluster: c, user: u}}
- {name: shop-prod, context: {cluster: c, user: u}}
";

/// What brinell says of an existing cluster that it is told of.
fn say_of(arguments: &[&str]) -> Ran {
    let home = Home::new();
    fs::write(home.path("theirs"), NOWHERE).expect("written");
    let mut brinell = brinell(&home, NO_ENGINE);
    let ran = ran(brinell.args(["--kubeconfig", "theirs"]).args(arguments));
    assert_eq!(home.touched(&["theirs"]), [""; 0]);
    ran
}

#[test]
fn an_existing_cluster_is_named_and_answers_or_nothing_is_made() {
    for (arguments, code, words) in [
        (["--context", "stagin"], 2, "has no context `stagin`; did you mean staging?"),
        (["--context", "shop-prod"], 2, "looks like production (shop-prod)"),
        (
            ["--context", "staging"],
            4,
            "the cluster of context staging at https://127.0.0.1:1/ cannot be used: ",
        ),
    ] {
        let ran = say_of(&arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(words), "{arguments:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("t0k3n"), "{}", ran.stderr);
    }
    let allowed = say_of(&["--context", "shop-prod", "--allow-production", "shop-prod"]);
    assert_eq!(allowed.code, Some(4), "{allowed:?}");
    let another = say_of(&["--context", "shop-prod", "--allow-production", "staging"]);
    assert_eq!(another.code, Some(2), "{another:?}");
}

/// kube's own words show the lines before the place.
#[test]
fn nothing_that_a_broken_kubeconfig_holds_is_shown() {
    for broken in ["exec: [s3cr3t]", "exec: s3cr3t", "token: [s3cr3t]"] {
        let home = Home::new();
        let user = format!("{{token: t0k3n}}}}, {{name: b, user: {{{broken}}}}}]");
        fs::write(home.path("theirs"), NOWHERE.replace("{token: t0k3n}}]", &user))
            .expect("written");
        let mut brinell = brinell(&home, NO_ENGINE);
        let there = ["--kubeconfig", "theirs", "--context", "staging"];
        let ran = ran(brinell.args(there).args(["--junit", "out.xml", "--json", "out.json"]));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains("the kubeconfig theirs cannot be used: line 5, "), "{ran:?}");
        let files = ["out.xml", "out.json"].map(|file| fs::read_to_string(home.path(file)));
        let files = files.map(|text| text.expect("written"));
        for told in files.iter().chain([&ran.stdout, &ran.stderr]) {
            assert!(!told.contains("t0k3n") && !told.contains("s3cr3t"), "{told}");
        }
        assert!(files.iter().all(|told| told.contains("cannot be used")), "{files:?}");
    }
}

/// What brinell says of this kubeconfig.
fn say_of_kubeconfig(home: &Home, kubeconfig: &str) -> Ran {
    let mut brinell = brinell(home, NO_ENGINE);
    ran(brinell.args(["--kubeconfig", kubeconfig, "--context", "staging"]))
}

/// The context is found again when what the run made is removed.
#[test]
fn what_can_be_read_only_once_is_no_kubeconfig() {
    let home = Home::new();
    let pipe = home.path("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).expect("a pipe");
    std::os::unix::fs::symlink("/dev/zero", home.path("zero")).expect("a link");
    let with = |file: &str, of: &str, is: &str| {
        fs::write(home.path(file), NOWHERE.replace(of, is)).expect("written");
    };
    with("authority", "1:1\"}", "1:1\", certificate-authority: pipe}");
    with("key", "token: t0k3n", "client-certificate-data: \"\", client-key: pipe");
    with("token", "token: t0k3n", "tokenFile: pipe");
    let is_pipe = "pipe is a pipe and no file: nothing is read from it; it is read again later, so name a file";
    for (kubeconfig, words) in [
        ("pipe", format!("the kubeconfig {is_pipe}")),
        ("zero", "the kubeconfig zero is a device and no file".to_owned()),
        ("authority", is_pipe.to_owned()),
        ("key", is_pipe.to_owned()),
        ("token", format!("the token file {is_pipe}")),
    ] {
        let ran = say_of_kubeconfig(&home, kubeconfig);
        assert_eq!(ran.code, Some(2), "{kubeconfig}: {ran:?}");
        assert!(ran.stderr.contains(&words), "{kubeconfig}: {ran:?}");
    }
    let mut usual = brinell(&home, NO_ENGINE);
    let usual = ran(usual.args(["--context", "staging"]).env("KUBECONFIG", "pipe"));
    assert_eq!(usual.code, Some(2), "{usual:?}");
    assert!(usual.stderr.contains(is_pipe), "{usual:?}");
}

/// At each of these kube panics, or runs what nobody ends.
#[test]
fn what_kube_would_fall_over_in_a_kubeconfig_is_refused() {
    let home = Home::new();
    let with = |user: &str| NOWHERE.replace("{token: t0k3n}", &format!("{{{user}}}")).into_bytes();
    for (text, words) in [
        (
            b"\xff\xfea".to_vec(),
            "the kubeconfig theirs is UTF-16 and ends in the middle of a letter",
        ),
        (
            b"\xfe\xffa".to_vec(),
            "the kubeconfig theirs is UTF-16 and ends in the middle of a letter",
        ),
        (
            with(r#"token: "t0k3n\n""#),
            "the token of the context staging does not fit into a header",
        ),
        (
            with(r#"auth-provider: {name: oidc, config: {id-token: "t0k3n\n"}}"#),
            "the token of the context staging does not fit into a header",
        ),
        (
            with("auth-provider: {name: gcp, config: {cmd-path: /bin/sleep, cmd-args: \"600\"}}"),
            "`cmd-path`, which kubectl has not known since 1.26: use `exec`",
        ),
    ] {
        fs::write(home.path("theirs"), text).expect("written");
        let ran = say_of_kubeconfig(&home, "theirs");
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(words), "{ran:?}");
        assert!(!ran.stderr.contains("t0k3n"), "{ran:?}");
    }
}

/// rustls shows the bytes of a line that begins as PEM and goes on.
#[test]
fn nothing_is_shown_of_a_key_whose_line_breaks_are_lost() {
    let home = Home::new();
    let key = "-----BEGIN PRIVATE KEY----- s3cr3t -----END PRIVATE KEY-----";
    let key = brinell::text::base64(key.as_bytes());
    let user = format!("client-certificate-data: {key}, client-key-data: {key}");
    fs::write(home.path("theirs"), NOWHERE.replace("token: t0k3n", &user)).expect("written");
    let ran = say_of_kubeconfig(&home, "theirs");
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains("the client's certificate or its key is no PEM"), "{ran:?}");
    let bytes = "s3cr3t".bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    assert!(!ran.stderr.contains(&bytes), "{ran:?}");
}

#[test]
fn what_is_wrong_with_the_arguments_is_told_before_a_cluster_is_asked() {
    for (arguments, words) in [
        (
            ["--context", "staging", "--scenario", "exec-interactiv"],
            "no scenario `exec-interactiv`",
        ),
        (["--context", "staging", "--tag", "x"], "no scenario has the tag `x`"),
    ] {
        let ran = say_of(&arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(words), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn an_argument_for_an_existing_cluster_needs_one() {
    for arguments in [
        &["--image", "5"][..],
        &["--rate", "5", "--cluster", "embedded"],
        &["--kubeconfig", "5", "--profile", "open"],
        &["plan", "--allow-production", "5"],
    ] {
        let ran = say(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:?}");
        let is_told = ran.stderr.contains(" is for ") && ran.stderr.contains("--context NAME");
        assert!(is_told, "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn outside_of_a_pod_no_cluster_is_around_us() {
    assert_refused(&["--in-cluster"], "this is no pod with a ServiceAccount of the cluster");
    assert_refused(&["sweep", "--in-cluster", "--context", "x"], "cannot be used with");
    for other in ["--context", "--cluster", "--kubeconfig", "--allow-production"] {
        assert_refused(&["--in-cluster", other, "kind"], "cannot be used with");
    }
    assert_refused(&["--in-cluster", "--keep"], "cannot be used with");
    let home = Home::new();
    let says = |text: &str| {
        fs::write(
            home.path("theirs.yaml"),
            format!("{{title: x, cluster: {text}, controls: {{}}}}"),
        )
        .expect("written");
        let mut brinell = brinell(&home, NO_ENGINE);
        let ran = ran(brinell.args(["--profile", "./theirs.yaml"]));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        ran.stderr
    };
    assert!(says("{in-cluster: true}").contains("this is no pod"));
    let both = says("{in-cluster: true, context: x}");
    assert!(both.contains("`in-cluster` stands beside `context`"), "{both}");
}

#[test]
fn a_daemon_set_takes_the_name_of_a_node() {
    let roles = |scenario: &str| {
        let ran =
            say(&["plan", "--profile", "found", "--scenario", scenario, "--rbac", "User/jane"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout
    };
    let nodes = r#""resources":["nodes"],"verbs":["list"]"#;
    let (one, other) = (roles("pod-through-workloads"), roles("pod-by-controller"));
    assert!(one.contains(nodes) && !other.contains(nodes), "{one}\n{other}");
}

#[test]
fn roles_hold_what_a_pull_secret_takes() {
    let home = Home::new();
    let roles = |secret: &str| {
        let profile = format!(
            "title: x\ncluster: {{image: a/b{secret}}}\ncontrols: {{pod-security: {{}}}}\n"
        );
        fs::write(home.path("theirs.yaml"), profile).expect("written");
        let mut plan = brinell(&home, NO_ENGINE);
        plan.args(["plan", "--profile", "./theirs.yaml", "--scenario", "hostpath-root"]);
        ran(plan.args(["--rbac", "User/jane"])).stdout
    };
    let patch = r#""resourceNames":["default"],"resources":["serviceaccounts"],"verbs":["patch"]"#;
    let get = r#""resourceNames":["pull"],"resources":["secrets"],"verbs":["get"]"#;
    assert!(!roles("").contains("secrets"), "{}", roles(""));
    let file = roles(", pull-secret: {file: x}");
    assert!(file.contains(patch) && !file.contains(get), "{file}");
    let held = roles(", pull-secret: {secret: registries/pull}");
    assert!(held.contains(patch) && held.contains(get), "{held}");
}

#[test]
fn roles_are_printed_without_a_cluster_and_hold_no_star() {
    let ran = say(&["plan", "--rbac", "ServiceAccount/ci/brinell"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_says(&ran.stdout, r#"- {"kind":"ServiceAccount","name":"brinell","namespace":"ci"}"#);
    assert!(!ran.stdout.contains(r#""*""#), "{}", ran.stdout);
}

#[test]
fn the_current_context_is_never_meant() {
    assert_refused(&["--context"], "a value is required for '--context <NAME>'");
    assert_refused(&["--context", "x", "--cluster", "kind"], "cannot be used with");
    assert_refused(&["--context", "x", "--keep"], "cannot be used with");
    assert_refused(&["prove", "--context", "x"], "unexpected argument '--context'");
    assert_refused(&["plan", "--rbac", "jane"], "expected User/NAME, Group/NAME or Service");
    assert_refused(&["--context", "x"], "the kubeconfig cannot be used: ");
}

#[test]
fn a_rehearsal_is_of_a_cluster_that_is_there_and_mixes_nothing() {
    assert_refused(&["rehearse", "--to", "1.36"], "name it by --context NAME or --in-cluster");
    let there = ["rehearse", "--context", "theirs"];
    let refused = |more: &[&str], words: &str| assert_refused(&[&there[..], more].concat(), words);
    refused(&["--to", "9.9"], "9.9");
    refused(&["--to", "1.36", "--cluster", "embedded"], "--cluster");
    let policy = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../manifests/controls/audit-policy/audit-policy.yaml"
    );
    refused(
        &["--to", "1.36", "--audit-policy", policy],
        "--audit-policy is for a cluster whose log is read",
    );
    refused(&["--to", "1.36", "--settings", "/nowhere.yaml"], "/nowhere.yaml: cannot be read");
    refused(&["--to", "1.36", "--captured", env!("CARGO_MANIFEST_DIR")], "it is not empty");
}
