//! Objects as the reader's own command prints them: `kustomize build overlays/prod`, `helm template`.

use std::path::Path;

use super::source::Source;
use super::{ControlEntry, Document, File, Problem};
use crate::model::{Objects, ServedBy, Weakening, WebhookServer};
use crate::text::without_credentials;

/// Runs a command in a folder, and returns what it prints on standard output, or says why there is nothing.
pub type Print<'p> = &'p dyn Fn(&Path, &[String]) -> Result<Vec<u8>, String>;

const NO_SHELL: &str = "it is run in this folder, without a shell, and prints Kubernetes objects as YAML: \
                        `command: [kustomize, build, overlays/prod]`";

/// The command of a control.
pub(super) struct Printer<'a> {
    entry: &'a ControlEntry,
    source: &'a Source,
    command: &'a [String],
}

impl<'a> Printer<'a> {
    /// The command of a control whose file this is; `None` where its objects are files.
    pub(super) fn of(entry: &'a ControlEntry, source: &'a Source) -> Option<Printer<'a>> {
        let command = entry.control.objects.command()?;
        Some(Printer { entry, source, command })
    }

    /// Runs it, and reads what it prints.
    pub(super) fn run(&self, print: Print<'_>) -> Result<(Source, Vec<Document>), Problem> {
        if self.command.is_empty() {
            return Err(self.wrong("no command"));
        }
        let folder = Path::new(&self.entry.file).parent().unwrap_or(Path::new(""));
        let bytes = print(folder, self.command).map_err(|why| self.wrong(&why))?;
        let path = format!("{}: `{}`", self.entry.file, self.shown());
        let file = File { place: path.clone(), path, built_in: false, bytes: bytes.into() };
        let printed = Source::printed(file).map_err(|problem| self.no_yaml(&problem))?;
        let objects = printed.parse_all().map_err(|problem| self.no_yaml(&problem))?;
        if objects.is_empty() {
            return Err(self.wrong(&format!("`{}` prints nothing", self.shown())));
        }
        let document = |(position, object)| Document { file: printed.document(position), object };
        let documents = objects.into_iter().enumerate().map(document).collect();
        Ok((printed, documents))
    }

    /// The command, for a person.
    fn shown(&self) -> String {
        without_credentials(&self.command.join(" "))
    }

    fn no_yaml(&self, problem: &Problem) -> Problem {
        let line = problem.place.as_ref().map(|place| format!("line {}: ", place.line));
        let (line, words) = (line.unwrap_or_default(), &problem.message);
        self.wrong(&format!("`{}` prints no YAML: {line}{words}", self.shown()))
    }

    fn wrong(&self, message: &str) -> Problem {
        self.source.problem(self.source.place("/objects/command"), message, NO_SHELL)
    }
}

impl ControlEntry {
    /// Whether a file beside `control.yaml` is for a command alone: one that serves names it, or nothing else than one that
    /// prints can.
    pub(super) fn leaves_to_its_command(&self, file: &str) -> bool {
        let is_in = |name: &String| {
            let name = name.trim_end_matches('/');
            file.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let named = |weakening: &Weakening| {
            let settings = weakening.api_server.iter().flat_map(|it| &it.files);
            weakening.add.iter().chain(settings).any(is_in)
        };
        let is_word = |word: &String| word.strip_prefix("./").unwrap_or(word) == file;
        let serves = |server: &WebhookServer| matches!(&server.by, ServedBy::Command(words) if words.iter().any(is_word));
        if self.control.servers.iter().any(serves) {
            return true;
        }
        matches!(self.control.objects, Objects::Printed(_))
            && !self.control.api_server.files.iter().any(is_in)
            && !self.control.weaken.values().any(named)
    }
}
