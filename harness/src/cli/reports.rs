//! The report files that arguments ask for: a flag for each format that has one.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches, value_parser};

use crate::report::{FORMATS, Flag, Format, ReportError, ReportFile};

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

/// The formats that a flag asks for.
fn flags() -> impl Iterator<Item = (&'static Format, &'static Flag)> {
    FORMATS.iter().filter_map(|&format| Some((format, format.flag.as_ref()?)))
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
    pub(super) fn spare(&mut self, files: &[PathBuf]) {
        let files: Vec<PathBuf> = files.iter().map(|file| resolved(file)).collect();
        self.0.retain(|asked| !files.contains(&resolved(&asked.path)));
    }

    /// Adds a file where a word such as `--json` asks for one. `path` is what stands behind it.
    /// Returns whether the word is one that does.
    pub(super) fn add(&mut self, word: &str, path: impl FnOnce() -> Option<PathBuf>) -> bool {
        let asked = flags().find(|(_, flag)| word.strip_prefix("--") == Some(flag.name));
        let Some((format, flag)) = asked else { return false };
        let path = path();
        self.0.extend(path.map(|path| Asked { flag: flag.name, format, path }));
        true
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
        command.args(flags().map(|(_, flag)| {
            let argument = Arg::new(flag.name).long(flag.name).help(flag.help);
            let argument = argument.value_name("FILE").help_heading("Results");
            argument.value_parser(value_parser!(PathBuf))
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Reports {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let asked = flags().filter_map(|(format, flag)| {
            let path = matches.get_one::<PathBuf>(flag.name)?.clone();
            Some(Asked { flag: flag.name, format, path })
        });
        Ok(Reports(asked.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
