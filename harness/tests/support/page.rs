//! The commands of a page and what it shows of their answers: read from the page, run in its order, and compared.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::{Home, cache};

/// A command of a page.
pub struct Shown {
    /// As it is typed.
    pub command: String,
    /// The lines below it. In them `…` stands for anything, and alone in a line for any number of lines.
    answer: Vec<String>,
}

/// The commands of a page, in its order: what follows a `$` in its blocks of a console.
pub fn commands(page: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let mut is_console = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            is_console = line.trim() == "```console";
        } else if let (true, Some(command)) = (is_console, line.strip_prefix("$ ")) {
            shown.push(Shown { command: command.to_owned(), answer: Vec::new() });
        } else if let (true, Some(last)) = (is_console, shown.last_mut()) {
            last.answer.push(line.to_owned());
        }
    }
    shown
}

impl Shown {
    /// Whether it makes a cluster.
    pub fn makes_cluster(&self) -> bool {
        let is_run = self.command.starts_with("brinell --") && !self.command.contains("--list");
        is_run || self.command.starts_with("brinell prove")
    }

    /// Types it at a home where `brinell` is on the path, and says what is not as the page shows it.
    pub fn differs(&self, home: &Home) -> Option<String> {
        let mut shell = Command::new("sh");
        home.at_home(&mut shell);
        let path = format!("{}:/usr/bin:/bin", home.path("bin").display());
        let typed = shell.args(["-c", &format!("exec 2>&1; {}", self.command)]).env("PATH", path);
        let said = typed.output().expect("started").stdout;
        let said = String::from_utf8_lossy(&said).into_owned();
        let lines: Vec<&str> = said.lines().map(str::trim_end).collect();
        let answer: Vec<&str> = self.answer.iter().map(|line| line.trim_end()).collect();
        (!are_like(&lines, &answer)).then(|| {
            format!("$ {}\n{said}\nThe page shows:\n{}", self.command, self.answer.join("\n"))
        })
    }
}

/// Puts brinell on the path of a home. What makes a cluster makes an embedded one, whatever the machine has.
pub fn install(home: &Home) {
    let script = format!(
        "#!/bin/sh\nexport XDG_CACHE_HOME='{}'\ncase \"$1\" in new|schema|docs|explain) set -- \"$@\";; *) set -- \"$@\" --cluster embedded;; esac\n\
         exec {} \"$@\"\n",
        cache().display(),
        env!("CARGO_BIN_EXE_brinell")
    );
    std::fs::create_dir(home.path("bin")).expect("a folder");
    let program = home.path("bin/brinell");
    std::fs::write(&program, script).expect("written");
    std::fs::set_permissions(program, PermissionsExt::from_mode(0o755)).expect("made executable");
}

/// Whether lines are as they are shown.
fn are_like(lines: &[&str], shown: &[&str]) -> bool {
    match shown {
        [] => lines.is_empty(),
        ["…", rest @ ..] => (0..=lines.len()).any(|from| are_like(&lines[from..], rest)),
        [first, rest @ ..] => match lines {
            [line, others @ ..] => is_like(line, first) && are_like(others, rest),
            [] => false,
        },
    }
}

/// Whether a line is as it is shown.
fn is_like(line: &str, shown: &str) -> bool {
    match shown.split_once('…') {
        None => line == shown,
        Some((before, after)) => line.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices()
                .map(|(at, _)| at)
                .chain([rest.len()])
                .any(|at| is_like(&rest[at..], after))
        }),
    }
}

/// A page of the documentation.
pub fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    std::fs::read_to_string(path).expect("a page")
}
