//! Each recorded exchange: the layer is named that is known to have decided, and never another one when there is
//! less to see, or when the API server did not speak.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use brinell::judge::attribute;
use brinell::model::{Answer, Decision, Exchange, Layer, Log};

use super::forged;

/// The name of a file without its end, below the corpus.
type Name = String;

/// All of the corpus.
pub fn all() -> Vec<(Name, Exchange)> {
    files().into_iter().map(|file| (name(&file), read(&file).expect("an exchange"))).collect()
}

/// One exchange of Kubernetes 1.36.
pub fn recorded(name: &str) -> Exchange {
    read(&folder().join(format!("1.36/{name}.json"))).expect("an exchange")
}

#[test]
fn every_exchange_is_decided_as_it_was() {
    let wrong = files().into_iter().filter_map(|file| {
        let error = check(&file).err()?;
        Some(format!("{}: {error}", name(&file)))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{} exchanges:\n{}", wrong.len(), wrong.join("\n"));
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fast/corpus")
}

fn files() -> Vec<PathBuf> {
    let minors = entries(&folder()).into_iter().filter(|path| path.is_dir());
    minors.flat_map(|minor| entries(&minor)).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn name(file: &Path) -> Name {
    file.strip_prefix(folder()).unwrap_or(file).with_extension("").display().to_string()
}

fn read(file: &Path) -> Result<Exchange, Box<dyn std::error::Error>> {
    Ok(serde_json::from_str(&fs::read_to_string(file)?)?)
}

fn check(file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let exchange = read(file)?;
    let expected = decided(&exchange.decision);
    let Exchange { sent, answer, log, .. } = &exchange;
    let seen = attribute(sent, answer, log);
    if decided(&seen) != expected {
        return Err(format!("{seen:?}\ninstead of {:?}", exchange.decision).into());
    }
    for log in [Log::Disabled, Log::Unreadable("it is gone".to_owned())] {
        let seen = attribute(sent, answer, &log);
        if decided(&seen) != expected && !matches!(seen, Decision::Unclear(_)) {
            return Err(format!("without its log: {seen:?}").into());
        }
    }
    // How a stream ended stands in no event.
    let spoken = matches!(answer, Answer::Http(_) | Answer::Through(_));
    let denied = matches!(expected, Decided::By(_)) && expected != Decided::By(&Layer::Backend);
    if let (true, Some(log)) = (spoken && denied, with_other_words(log)) {
        let seen = attribute(sent, answer, &log);
        if !matches!(decided(&seen), Decided::By(Layer::Backend) | Decided::Unclear) {
            return Err(format!("though the API server said something else: {seen:?}").into());
        }
    }
    Ok(forged::check(sent, answer)?)
}

/// A decision without its words.
#[derive(Debug, PartialEq)]
pub enum Decided<'a> {
    LetIn,
    Unclear,
    Read,
    By(&'a Layer),
}

pub fn decided(decision: &Decision) -> Decided<'_> {
    match decision {
        Decision::LetIn => Decided::LetIn,
        Decision::Unclear(_) => Decided::Unclear,
        Decision::Read => Decided::Read,
        Decision::Denied(denial) => Decided::By(&denial.layer),
    }
}

/// The log of an API server that answered the same code in other words; `None` if it answered nothing.
fn with_other_words(log: &Log) -> Option<Log> {
    let mut log = log.clone();
    let Log::Read { events, traces, .. } = &mut log else { return None };
    if events.is_empty() {
        return None;
    }
    let statuses =
        events.iter_mut().chain(traces).filter_map(|event| event.response_status.as_mut());
    for status in statuses {
        status.message = "something else".to_owned();
    }
    Some(log)
}

/// No key, no token, no certificate, and no address but this machine's and those of documentation (RFC 5737).
#[test]
fn nothing_secret() {
    for file in files() {
        let text = fs::read_to_string(&file).expect("a file");
        for secret in ["eyJ", "BEGIN", "PRIVATE", "Bearer"] {
            assert!(!text.contains(secret), "{secret} in {}", file.display());
        }
        for address in addresses(&text) {
            let known = ["127.0.0.1", "192.0.2.", "198.51.100.", "203.0.113."];
            assert!(
                known.iter().any(|start| address.starts_with(start)),
                "{address} in {}",
                file.display()
            );
        }
    }
}

fn addresses(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    words.filter(|word| word.parse::<std::net::Ipv4Addr>().is_ok()).collect()
}

#[test]
fn every_layer_decides() {
    let all = all();
    let deciding: BTreeSet<&str> = all
        .iter()
        .filter_map(|(_, exchange)| match &exchange.decision {
            Decision::Denied(denial) => Some(sort(&denial.layer)),
            _ => None,
        })
        .collect();
    // As many as `sort` has arms: a new layer needs an exchange.
    assert_eq!(deciding.len(), 21, "{deciding:?}");
    assert!(all.iter().any(|(_, exchange)| matches!(exchange.answer, Answer::Nothing(_))));
}

fn sort(layer: &Layer) -> &'static str {
    match layer {
        Layer::Authentication => "authentication",
        Layer::Impersonation => "impersonation",
        Layer::FlowControl => "flow control",
        Layer::Authorization => "authorization",
        Layer::UpgradeCheck => "upgrade check",
        Layer::EscalationGuard => "escalation guard",
        Layer::AdmissionPlugin(_) => "admission plug-in",
        Layer::PodSecurity => "Pod Security",
        Layer::Policy(_) => "policy",
        Layer::PolicyFailure(_) => "policy failure",
        Layer::Webhook(_) => "webhook",
        Layer::WebhookFailure(_) => "webhook failure",
        Layer::MatchCondition => "match condition",
        Layer::Quota => "quota",
        Layer::Validation => "validation",
        Layer::Backend => "backend",
        Layer::Kubelet => "kubelet",
        Layer::Runtime => "runtime",
        Layer::Network => "network",
        Layer::Encryption => "encryption",
        Layer::AuditPolicy => "audit policy",
    }
}
