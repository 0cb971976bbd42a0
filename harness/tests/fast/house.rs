//! The house stands as docs/architecture.md draws it: the words are plain data on the ground floor, and every module uses
//! those below it alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors from the ground up. A module uses only modules of lower floors.
const FLOORS: [&[&str]; 12] = [
    &["model"],
    &["text", "merge", "input", "poll", "lock"],
    &["pod"],
    &["catalog"],
    &["audit"],
    &["cluster"],
    &["attack", "judge"],
    &["run"],
    &["prove"],
    &["compare", "trend"],
    &["report"],
    &["cli"],
];

/// What reaches outside of memory.
const OUTSIDE: [&str; 7] =
    ["std::fs", "std::io", "std::process", "std::env", "TcpStream", "tokio::", "kube::"];

/// The one file in which the words for what came of something stand.
const WORDS: &str = "model/word.rs";

/// What a file says without its tests, which may look anywhere.
fn says(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("readable");
    text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

/// The files of a module, without those that only tests use.
fn files(module: &str) -> Vec<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![source.join(format!("{module}.rs"))];
    let mut folders = vec![source.join(module)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("readable").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let is_tests = |path: &PathBuf| path.ends_with("tests.rs") || path.ends_with("sample.rs");
    files.retain(|path| path.is_file() && path.extension().is_some_and(|it| it == "rs"));
    files.retain(|path| !is_tests(path));
    files
}

/// The modules of ours that a text names.
fn uses(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let named = code.flat_map(|line| line.split("crate::").skip(1));
    named
        .map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
        .map(|name| name.unwrap_or_default().to_owned())
        .collect()
}

/// Where a module uses what is not below it.
fn wrong_arrows() -> Vec<String> {
    let mut wrong = Vec::new();
    for (height, floor) in FLOORS.iter().enumerate() {
        for module in *floor {
            let below = FLOORS[..height].iter().flat_map(|floor| floor.iter());
            let allowed: BTreeSet<&str> = below.copied().chain([*module]).collect();
            for file in files(module) {
                let used = uses(&says(&file));
                let up = used.iter().filter(|name| !allowed.contains(name.as_str()));
                wrong.extend(up.map(|name| format!("{} uses {name}", file.display())));
            }
        }
    }
    wrong
}

#[test]
fn every_module_has_a_floor() {
    let library = says(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"));
    let modules = library
        .lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'));
    let modules: BTreeSet<&str> = modules.collect();
    assert_eq!(modules, FLOORS.concat().into_iter().collect());
}

#[test]
fn arrows_point_down() {
    assert_eq!(wrong_arrows(), [""; 0]);
}

/// Words of kind's clusters: its program and images, and how kubeadm sets a cluster up.
const KIND: [&str; 5] = ["own::kind", "kindest", "kubeadm", "kube-proxy", "/etc/kubernetes"];

/// The module that tells kinds of clusters apart: the others take what they are given.
const CHOOSES: &str = "cluster";

/// The code of a file, without comments.
fn code(file: &Path) -> String {
    let text = says(file);
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Where anything but `cluster/own/kind` knows what its clusters are like.
fn knows_kind() -> Vec<String> {
    let modules: Vec<&str> = FLOORS.concat().into_iter().chain(["command"]).collect();
    let files = modules
        .into_iter()
        .flat_map(|module| files(module).into_iter().map(move |it| (module, it)));
    let outside = files.filter(|(_, file)| !file.components().any(|it| it.as_os_str() == "kind"));
    let known = outside.filter_map(|(module, file)| {
        let code = code(&file);
        let word = KIND.iter().find(|word| code.contains(*word)).copied();
        let choice =
            (module != CHOOSES && code.contains("ClusterType::")).then_some("ClusterType::");
        Some(format!("{} says {}", file.display(), word.or(choice)?))
    });
    known.collect()
}

#[test]
fn nothing_but_its_own_folder_knows_kind() {
    assert_eq!(knows_kind(), [""; 0]);
}

#[test]
fn the_words_are_plain_data() {
    for file in files("model") {
        let text = says(&file);
        assert_eq!(uses(&text).into_iter().find(|name| name != "model"), None);
    }
}

/// What is recorded can be judged anywhere and at any time.
#[test]
fn words_and_verdicts_reach_nothing_outside_of_memory() {
    for file in files("model").into_iter().chain(files("judge")) {
        let text = says(&file);
        let outside = OUTSIDE.iter().find(|name| text.contains(*name));
        assert_eq!(outside, None, "{}", file.display());
    }
}

/// The texts of the code of a file: what stands between quotes.
fn texts(file: &Path) -> Vec<String> {
    let text = says(file);
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split('"').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// Whether a text is a word, or begins with it as a heading does: `BYPASSED: let in`.
fn is_or_begins_with(text: &str, word: &str) -> bool {
    let rest = text.trim_start_matches(|c: char| !c.is_alphanumeric()).strip_prefix(word);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', ',']))
}

#[test]
fn words_for_what_came_of_something_stand_once() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let words = texts(&source.join(WORDS));
    let mut doubles: Vec<String> = Vec::new();
    for (position, word) in words.iter().enumerate() {
        doubles.extend(words[..position].contains(word).then(|| format!("{WORDS} says {word}")));
    }
    for file in FLOORS.iter().flat_map(|floor| *floor).flat_map(|module| files(module)) {
        let spoken = |text: &&String| {
            let headings = words.iter().map(|word| word.to_uppercase());
            words.iter().cloned().chain(headings).any(|word| is_or_begins_with(text, &word))
        };
        if !file.ends_with(WORDS) {
            let texts = texts(&file);
            let said = texts.iter().filter(spoken);
            doubles.extend(said.map(|text| format!("{} says {text}", file.display())));
        }
    }
    assert_eq!(doubles, [""; 0]);
}

/// The modules that get from the catalog what names meant: they need no name to find it.
const AFTER_THE_CATALOG: [&str; 4] = ["attack", "judge", "run", "prove"];

/// What is kept by a name that a file gives.
const NAMED: [&str; 7] =
    ["controls[", "identities[", "personas[", "profiles[", "scenarios[", "targets[", "weaken["];

/// Whether a line panics where a name means nothing, or rests on an earlier check in another way.
fn trusts_a_name(line: &str) -> bool {
    let before = |(at, _): (usize, &str)| line[..at].chars().next_back();
    let mut indexed = line.match_indices("[&").filter_map(before);
    indexed.any(|c| c.is_alphanumeric() || c == ')' || c == ']')
        || NAMED.iter().any(|name| line.contains(name))
        || line.contains(".expect(")
}

#[test]
fn after_the_catalog_nothing_is_looked_up_by_a_name() {
    let files = AFTER_THE_CATALOG.into_iter().flat_map(files);
    let trusting = files.flat_map(|file| {
        let code = code(&file);
        let lines = code.lines().filter(|line| trusts_a_name(line));
        lines.map(|line| format!("{}: {}", file.display(), line.trim())).collect::<Vec<_>>()
    });
    assert_eq!(trusting.collect::<Vec<_>>(), [""; 0]);
}

/// A verdict that is made beside the judge would rest on what nobody has recorded.
#[test]
fn only_the_judge_makes_a_judgement() {
    let others = FLOORS.concat().into_iter().filter(|module| !["model", "judge"].contains(module));
    for file in others.flat_map(files) {
        let text = says(&file);
        let made = text.contains("Judgement {") || text.contains("judgement.verdict = ");
        assert!(!made, "{}", file.display());
    }
}
