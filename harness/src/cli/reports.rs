//! The report files that arguments ask for: `--report FILE` in the format that the ending names, and a flag for each format
//! that has one of its own.

use std::path::{Path, PathBuf};

use clap::builder::{PathBufValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, value_parser};

use crate::report::{FORMATS, Format, ReportError, ReportFile, endings};

/// The flag that knows the format by the file's ending.
const REPORT: &str = "report";

/// The flag that keeps results in a folder.
const KEPT: &str = "results";

/// The report files that are asked for.
#[derive(Debug, Clone, Default)]
pub struct Reports(Vec<Asked>);

/// One of them.
#[derive(Debug, Clone)]
struct Asked {
    /// The flag that asked for it.
    flag: &'static str,
    /// In which format.
    format: &'static Format,
    /// The file.
    path: PathBuf,
}

/// The formats that have a flag of their own, with what `--help` says of it.
fn flags() -> impl Iterator<Item = (&'static Format, &'static str)> {
    FORMATS.iter().filter_map(|&format| Some((format, format.flag?)))
}

/// Every flag that asks for a report.
pub(super) fn flags_of_all() -> impl Iterator<Item = &'static str> {
    [REPORT].into_iter().chain(flags().map(|(format, _)| format.word))
}

/// A format by its word.
pub(super) fn named() -> impl TypedValueParser<Value = &'static Format> {
    let words = PossibleValuesParser::new(FORMATS.iter().map(|format| format.word));
    words.try_map(|word| Format::named(&word).ok_or("no such format"))
}

/// A file in the format that its ending names.
fn by_ending() -> impl TypedValueParser<Value = Asked> {
    PathBufValueParser::new().try_map(|path| {
        let format = Format::of(&path)?;
        Ok::<_, crate::report::NoEnding>(Asked { flag: REPORT, format, path })
    })
}

impl Reports {
    /// Opens every file, which afterwards says that the run did not finish.
    ///
    /// # Errors
    /// At the first one that cannot be opened.
    pub fn open(&self) -> Result<Vec<ReportFile>, ReportError> {
        self.each().collect()
    }

    /// Opens one file after the other.
    pub fn each(&self) -> impl Iterator<Item = Result<ReportFile, ReportError>> {
        self.0.iter().map(|asked| ReportFile::open(asked.format, &asked.path))
    }

    /// The flags of two reports that would overwrite each other.
    pub fn in_one_file(&self) -> Option<(&'static str, &'static str)> {
        let places: Vec<_> = self.0.iter().map(|it| (it.flag, resolved(&it.path))).collect();
        places.iter().enumerate().find_map(|(position, (other, place))| {
            let (one, _) = places[..position].iter().find(|(_, earlier)| earlier == place)?;
            Some((*one, *other))
        })
    }

    /// The flag of a report that would overwrite one of these files.
    pub fn over(&self, files: &[PathBuf]) -> Option<&'static str> {
        let files: Vec<PathBuf> = files.iter().map(|file| resolved(file)).collect();
        self.0.iter().find(|asked| files.contains(&resolved(&asked.path))).map(|asked| asked.flag)
    }

    /// Leaves out the reports that would overwrite one of these files.
    pub fn spare(&mut self, files: &[PathBuf]) {
        let files: Vec<PathBuf> = files.iter().map(|file| resolved(file)).collect();
        self.0.retain(|asked| !files.contains(&resolved(&asked.path)));
    }

    /// Adds a file where a flag such as `json` asks for one. Returns whether it is one that does.
    pub(super) fn add(&mut self, flag: &str, path: &Path) -> bool {
        let format = match flag {
            REPORT => Format::of(path).ok(),
            flag => match flags().find(|(format, _)| format.word == flag) {
                Some((format, _)) => Some(format),
                None => return false,
            },
        };
        let flag = format.filter(|_| flag != REPORT).map_or(REPORT, |format| format.word);
        let path = path.to_owned();
        self.0.extend(format.map(|format| Asked { flag, format, path }));
        true
    }

    /// The results of runs, each in a file of its name: `1.36.json`. What could not be a file's name is none of a run.
    pub(super) fn kept(folder: &Path, names: &[&str]) -> Reports {
        let names = names.iter().filter(|name| !name.contains('/'));
        let asked = names.filter_map(|name| {
            let path = folder.join(format!("{name}.json"));
            Some(Asked { flag: KEPT, format: Format::of(&path).ok()?, path })
        });
        Reports(asked.collect())
    }
}

/// The path without links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    path.canonicalize().unwrap_or_else(|_| {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        path.file_name().map_or_else(|| folder.clone(), |name| folder.join(name))
    })
}

impl Args for Reports {
    fn augment_args(command: Command) -> Command {
        let argument = |flag: &'static str, help: String| {
            Arg::new(flag).long(flag).help(help).value_name("FILE").help_heading("Results")
        };
        let help =
            format!("Write a report in the format that the ending says: {}; repeatable", endings());
        let report = argument(REPORT, help).action(ArgAction::Append).value_parser(by_ending());
        command.arg(report).args(flags().map(|(format, help)| {
            argument(format.word, help.to_owned()).value_parser(value_parser!(PathBuf))
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Reports {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let named = flags().filter_map(|(format, _)| {
            let path = matches.get_one::<PathBuf>(format.word)?.clone();
            Some(Asked { flag: format.word, format, path })
        });
        let ending = matches.get_many::<Asked>(REPORT).into_iter().flatten().cloned();
        Ok(Reports(named.chain(ending).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
