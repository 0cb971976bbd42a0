//! Which report files were asked for by arguments that cannot be parsed. They are overwritten, so that nobody takes an
//! earlier run's report for this one's.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, Command, CommandFactory};

use super::{Cli, Output, Reports, THERE};

/// Arguments, as far as each can be read by itself.
#[derive(Debug, Default)]
struct Given {
    /// The command; `None` where it is a run.
    command: Option<String>,
    /// Each flag by its name, with its value where it takes one.
    flags: Vec<(String, Option<PathBuf>)>,
    /// What stands for itself.
    words: Vec<PathBuf>,
}

impl Output {
    /// The reports that arguments ask for although they cannot be parsed.
    pub fn of_broken(arguments: &[OsString]) -> Output {
        let given = Given::of(arguments);
        let reports = match given.command.as_deref() {
            None | Some("merge" | "prove") => given.reports(),
            Some("upgrade") => given.kept(&["from", "to"], &[]),
            Some("rehearse") => given.kept(&["to"], &[THERE]),
            Some(_) => Reports::default(),
        };
        Output { reports, ..Output::default() }
    }
}

impl Given {
    fn of(arguments: &[OsString]) -> Given {
        let cli = Cli::command();
        let mut taking = &cli;
        let mut given = Given::default();
        let mut words = arguments.iter().skip(1).take_while(|word| *word != "--").peekable();
        while let Some(word) = words.next() {
            let text = word.to_string_lossy();
            if text.starts_with('-') {
                let is_value = |next: &&OsString| !next.as_encoded_bytes().starts_with(b"-");
                let flag = Flag::of(taking, &text);
                let next = flag.takes.then(|| words.next_if(is_value).map(PathBuf::from));
                given.flags.push((flag.name, flag.value.or(next.flatten())));
                continue;
            }
            // Only the first word is a command.
            let is_first = given.command.is_none() && given.words.is_empty();
            match cli.find_subcommand(word).filter(|_| is_first) {
                Some(command) => {
                    given.command = Some(command.get_name().to_owned());
                    taking = command;
                }
                None => given.words.push(word.into()),
            }
        }
        given
    }

    /// Those of a run, a proof or a merge. What is read is not written, whatever was meant.
    fn reports(self) -> Reports {
        let mut reports = Reports::default();
        let mut read = self.words;
        for (name, value) in self.flags {
            let Some(path) = value else { continue };
            if !reports.add(&name, &path) {
                read.push(path);
            }
        }
        reports.spare(&read);
        reports
    }

    /// Those of two runs that are compared, by the values of these flags and by these names.
    fn kept(&self, flags: &[&str], names: &[&str]) -> Reports {
        let value = |flag: &str| {
            let values = self.flags.iter().filter(|(name, _)| name == flag);
            values.filter_map(|(_, value)| value.as_deref()).next_back()
        };
        let Some(folder) = value("results") else { return Reports::default() };
        let given = flags.iter().filter_map(|flag| value(flag)?.to_str());
        let names: Vec<&str> = given.chain(names.iter().copied()).collect();
        Reports::kept(folder, &names)
    }
}

/// A word that begins with a dash.
struct Flag {
    name: String,
    /// What stands in the same word.
    value: Option<PathBuf>,
    /// Whether the next word is its value.
    takes: bool,
}

impl Flag {
    /// As the command takes it. Of one that it does not know the next word is no value.
    fn of(command: &Command, word: &str) -> Flag {
        let (name, value) = match word.strip_prefix("--") {
            Some(long) => long.split_once('=').map_or((long, ""), |(name, value)| (name, value)),
            None => {
                let short = word.get(1..).unwrap_or_default();
                let end = short.chars().next().map_or(0, char::len_utf8);
                let (name, value) = short.split_at(end);
                (name, value.strip_prefix('=').unwrap_or(value))
            }
        };
        let is_it = |arg: &&Arg| match word.starts_with("--") {
            true => arg.get_long() == Some(name),
            false => arg.get_short().is_some_and(|short| name.chars().eq([short])),
        };
        let found = command.get_arguments().find(is_it);
        let takes = found.is_some_and(|arg| arg.get_action().takes_values());
        let value = (!value.is_empty()).then(|| PathBuf::from(value));
        Flag { name: name.to_owned(), takes: takes && value.is_none(), value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(arguments: &str) -> Given {
        let words = ["brinell"].into_iter().chain(arguments.split(' '));
        Given::of(&words.map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_command_is_the_first_word_that_is_no_value() {
        for (arguments, command) in [
            ("--profile plan --json r.json --nonsense", None),
            ("-s report --tag=merge", None),
            ("-q merge a.json", Some("merge")),
            ("--list plan", None),
            ("exec-interactive plan", None),
            ("prove --control plan", Some("prove")),
            ("-- plan", None),
        ] {
            assert_eq!(given(arguments).command.as_deref(), command, "{arguments}");
        }
    }

    #[test]
    fn a_value_stands_in_the_same_word_or_in_the_next_one() {
        let value = |arguments: &str| given(arguments).flags.swap_remove(0).1;
        for (arguments, expected) in [
            ("--json a.json", Some("a.json")),
            ("--json=a.json", Some("a.json")),
            ("-sa.json", Some("a.json")),
            ("-s a.json", Some("a.json")),
            ("--json --quiet", None),
            ("--quiet a.json", None),
            ("--nonsense a.json", None),
            ("-", None),
        ] {
            assert_eq!(value(arguments), expected.map(PathBuf::from), "{arguments}");
        }
    }
}
