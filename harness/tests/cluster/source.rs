//! Commands of the user's that print an audit log, as real programs under a supervisor: they need no cluster, but an
//! executable that can be its own supervisor.

use std::path::Path;
use std::time::{Duration, Instant};

use brinell::audit::source::{Command, Opened, RunStart, open};
use brinell::cluster::{ProcessError, ask};
use brinell::model::AuditSource;
use libtest_mimic::{Failed, Trial};
use tokio::io::AsyncReadExt;
use tokio::runtime::Runtime;

/// The tests, by name.
pub fn trials() -> Vec<Trial> {
    let trial =
        |name: &str, test: fn() -> Result<(), Failed>| Trial::test(format!("source/{name}"), test);
    vec![
        trial("a command's arguments are its own", arguments_are_no_shells),
        trial("a command that hangs is ended with what it started", a_command_that_hangs_is_ended),
        trial("a command that fails says why", a_command_that_fails_says_why),
        trial("a command that is not there is told", a_missing_command_is_told),
        trial("a command that hangs prints no objects", no_objects_of_a_command_that_hangs),
        trial("a command that prints without end is ended", an_endless_command_is_ended),
        trial("a command is asked until it has everything", a_late_event_comes),
    ]
}

/// A shell's script as the command of a run, with its deadline.
fn script(text: &str, deadline: &str) -> Result<Command, Failed> {
    command(&["sh", "-c", text], deadline)
}

fn command(arguments: &[&str], deadline: &str) -> Result<Command, Failed> {
    let written = serde_json::json!({"command": arguments, "deadline": deadline, "delay": "10s"});
    let source: AuditSource = serde_json::from_value(written)?;
    let at = "2026-11-26T15:04:05Z".parse()?;
    let run = RunStart { id: "k7f3".to_owned(), at };
    match Runtime::new()?.block_on(open(&source, &run))? {
        Opened::Command(command) => Ok(command),
        _ => Err("it is no command".into()),
    }
}

/// What it prints when it is asked once.
fn printed(command: &Command) -> Result<Result<String, ProcessError>, Failed> {
    let read = async |mut stdout: tokio::process::ChildStdout| {
        let mut text = String::new();
        stdout.read_to_string(&mut text).await.map(|_| text)
    };
    Ok(match Runtime::new()?.block_on(ask(command, read)) {
        Ok(text) => Ok(text?),
        Err(error) => Err(error),
    })
}

fn check(is_right: bool, found: impl std::fmt::Debug) -> Result<(), Failed> {
    if is_right { Ok(()) } else { Err(format!("found {found:?}").into()) }
}

fn arguments_are_no_shells() -> Result<(), Failed> {
    let text = printed(&command(&["echo", "$HOME; `id`", "${run}", "${since}"], "20s")?)??;
    check(text == "$HOME; `id` k7f3 2026-11-26T15:04:05Z\n", text)
}

fn a_command_that_hangs_is_ended() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let pid = folder.path().join("pid");
    let hanging = format!("sleep 4711 & echo $! >{0}.new; mv {0}.new {0}; wait", pid.display());
    let started = Instant::now();
    let answer = printed(&script(&hanging, "2s")?)?;
    let words = answer.as_ref().err().map(ToString::to_string).unwrap_or_default();
    check(words.ends_with("did not end within 2 seconds, and was ended"), &words)?;
    check(started.elapsed() < Duration::from_secs(20), started.elapsed())?;
    let process = std::fs::read_to_string(&pid)?;
    let process = format!("/proc/{}/stat", process.trim());
    // A process that has ended and that nobody has waited for yet is a zombie.
    let is_gone = || {
        let stat = std::fs::read_to_string(Path::new(&process)).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    while !is_gone() {
        check(started.elapsed() < Duration::from_secs(20), "what it started goes on")?;
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// What a command of a control's that is a shell's script prints, or why nothing.
fn objects(script: &str, within: Duration) -> String {
    let command = ["sh", "-c", script].map(str::to_owned);
    let printed = brinell::cluster::print(Path::new("."), &command, within);
    printed.map_or_else(|error| error.to_string(), |it| String::from_utf8_lossy(&it).into_owned())
}

fn no_objects_of_a_command_that_hangs() -> Result<(), Failed> {
    let started = Instant::now();
    let said = objects("echo kind: Role; sleep 4713", Duration::from_secs(1));
    check(said.ends_with("did not end within 1 seconds, and was ended"), &said)?;
    check(started.elapsed() < Duration::from_secs(20), started.elapsed())?;
    let said = objects("pwd >&2; echo kind: Role", Duration::from_secs(20));
    check(said == "kind: Role\n", said)
}

fn an_endless_command_is_ended() -> Result<(), Failed> {
    let said = objects("yes kind: Role", Duration::from_secs(20));
    check(said == "`sh -c yes kind: Role` prints more than 16 MiB", said)
}

fn a_command_that_fails_says_why() -> Result<(), Failed> {
    let failing = "echo '{\"events\": []}'; echo 'ExpiredToken: renew it' >&2; exit 254";
    let error = printed(&script(failing, "20s")?)?.err().ok_or("it did not fail")?;
    let words = error.to_string();
    let says_why = words.contains("exit status: 254") && words.ends_with("ExpiredToken: renew it");
    // Its arguments may hold a token.
    check(says_why && !words.contains("exit 254"), words)
}

fn a_missing_command_is_told() -> Result<(), Failed> {
    let error =
        printed(&command(&["brinell-is-no-program"], "20s")?)?.err().ok_or("it is there")?;
    let words = error.to_string();
    check(words.starts_with("`brinell-is-no-program` could not be started"), words)
}

/// The third answer has what is waited for.
fn a_late_event_comes() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let count = folder.path().join("count");
    let late = format!("echo >>{0}; [ $(wc -l <{0}) -lt 3 ] || echo found", count.display());
    let command = script(&late, "20s")?;
    let asking = async {
        let found = std::cell::RefCell::new(Vec::new());
        let once = async || {
            let text = ask(&command, async |mut stdout| {
                let mut text = String::new();
                stdout.read_to_string(&mut text).await.map(|_| text).unwrap_or_default()
            });
            let text = text.await?;
            found.borrow_mut().push(text);
            Ok::<(), ProcessError>(())
        };
        let is_there = || found.borrow().last().is_some_and(|text| text == "found\n");
        let ended = command.until(once, is_there).await;
        (ended, found.into_inner())
    };
    let (ended, found) = Runtime::new()?.block_on(asking);
    check(ended.is_ok() && found == ["", "", "found\n"], (ended, found))
}
