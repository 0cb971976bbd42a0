//! Scenarios as a page in Markdown, for people to read.

use std::fmt::Write as _;

use super::Entry;
use crate::model::{
    Action, Attack, Blocked, Door, Expectation, Logged, Permit, Scenario, Succeeds,
};

/// A page of scenarios by family. `head` says where it comes from.
pub fn page(head: &str, entries: &[&Entry]) -> String {
    let mut page = format!("# Scenarios\n\n{head}\n");
    for entries in entries.chunk_by(|one, other| one.family == other.family) {
        // Writing to memory does not fail.
        let _ = writeln!(page, "\n## {}", entries[0].family);
        for entry in entries {
            let _ = scenario(&mut page, entry);
        }
    }
    page
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
