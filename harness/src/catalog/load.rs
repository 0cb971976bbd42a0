//! The catalog of files: what they say is read, then checked, then resolved.
//!
//! ```text
//! read      every file once: what it says, its names still names
//! check     every name means something, and nothing is expected that cannot come
//! resolve   what is named takes the place of its name
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::nearest::did_you_mean;
use super::printed::Print;
use super::source::Source;
use super::{
    Clash, ControlEntry, Entry, File, Files, PersonaEntry, Problem, Problems, ProfileEntry, Target,
    check, read, resolve,
};
use crate::model::{Danger, Deviation, Setting};

/// Everything that can be run, checked and resolved: nothing in it is looked up by a name any more.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// The scenarios by family and id, ours and the reader's.
    pub scenarios: Vec<Entry>,
    /// The controls by id.
    pub controls: BTreeMap<String, Arc<ControlEntry>>,
    /// The profiles by name.
    pub profiles: BTreeMap<String, ProfileEntry>,
    /// The targets by name.
    pub targets: BTreeMap<String, Arc<Target>>,
    /// The personas by name.
    pub personas: BTreeMap<String, Arc<PersonaEntry>>,
    /// What the proof does not show, and why.
    pub deviations: Vec<Deviation>,
    /// The rights that are dangerous.
    pub dangers: Vec<Danger>,
}

/// A profile that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// No profile has this name.
    #[error(
        "there is no profile `{name}` (a file is named with its folder: ./{name}.yaml); {hint}"
    )]
    Unknown {
        /// As it was given.
        name: String,
        /// What may have been meant.
        hint: String,
    },
    /// The file is broken.
    #[error(transparent)]
    Broken(#[from] Problems),
}

/// Runs no command.
const NOTHING_RUNS: Print<'static> = &|_, _| Err("no command is run here".to_owned());

impl Catalog {
    /// Our catalog, with catalogs of the reader's laid over it in this order. `print` runs the commands that print
    /// objects of their controls.
    ///
    /// # Errors
    /// When something in one of them cannot be read, names what is not there, or takes a name without replacing it.
    pub fn load_with<'a>(
        catalogs: impl IntoIterator<Item = &'a Path>,
        print: Print<'_>,
    ) -> Result<Catalog, Problems> {
        let mut files = Files::embedded();
        for folder in catalogs {
            files.lay(folder)?;
        }
        Catalog::read_with(files, print)
    }

    /// Our catalog, with catalogs laid over it whose controls have their objects in files: a command is a problem.
    ///
    /// # Errors
    /// As [`Catalog::load_with`].
    pub fn load<'a>(catalogs: impl IntoIterator<Item = &'a Path>) -> Result<Catalog, Problems> {
        Catalog::load_with(catalogs, NOTHING_RUNS)
    }

    /// The catalog that these files are, in which objects are files.
    ///
    /// # Errors
    /// As [`Catalog::load_with`].
    pub fn read(files: Files) -> Result<Catalog, Problems> {
        Catalog::read_with(files, NOTHING_RUNS)
    }

    fn read_with(files: Files, print: Print<'_>) -> Result<Catalog, Problems> {
        let (read, mut problems) = read::all(files, print);
        problems.extend(check::all(&read));
        Problems::none_or(problems)?;
        Ok(resolve::all(read)?)
    }

    /// A profile of the catalog by its name, or another by its file: what has a dot or a slash in it is a file. It has
    /// the controls that catalogs of the reader's add, where it says how.
    ///
    /// # Errors
    /// When there is none, when its file is broken, or when what is added cannot be had together with the others.
    pub fn profile(&self, name: &str) -> Result<ProfileEntry, ProfileError> {
        if !name.contains(['.', '/']) {
            let known = self.profiles.keys().map(String::as_str);
            let unknown =
                || ProfileError::Unknown { name: name.to_owned(), hint: did_you_mean(name, known) };
            let entry = self.profiles.get(name).cloned().ok_or_else(unknown)?;
            return Ok(self.with_added(entry)?);
        }
        let file = File::read(Path::new(name)).map_err(Problems::from)?;
        Ok(self.with_added(self.read_profile(file)?)?)
    }

    /// A profile with the controls that catalogs of the reader's add. Only now, when it is asked for, must they fit
    /// together: a catalog may hold controls for several kinds of clusters.
    fn with_added(&self, mut entry: ProfileEntry) -> Result<ProfileEntry, Problems> {
        let Some(setting) = entry.profile.added.clone() else { return Ok(entry) };
        let named = entry.profile.controls.keys().cloned().collect::<BTreeSet<_>>();
        let is_added = |it: &&Arc<ControlEntry>| !it.built_in && !named.contains(&it.id);
        for control in self.controls.values().filter(is_added) {
            // What decides nothing is weakened by nobody.
            let setting = match control.control.decides.is_empty() {
                true => Setting::default(),
                false => setting.clone(),
            };
            let planned = resolve::added(self, &entry.file, &control.id, &setting)?;
            for there in &entry.controls {
                if let Some(clash) = there.set_up.clash(&planned.set_up) {
                    let message = both_set(&there.control, control, &clash);
                    return Err(Problem::of_file(&entry.file, &message).hint(clash.hint()).into());
                }
            }
            entry.profile.controls.insert(control.id.clone(), setting);
            entry.controls.push(planned);
        }
        entry.controls.sort_by(|one, other| one.control.id.cmp(&other.control.id));
        Ok(entry)
    }

    /// Results and reports name a profile without its file, so that its name must not be another's.
    fn read_profile(&self, file: File) -> Result<ProfileEntry, Problems> {
        let read = read::profile(Source::new(file)?)?;
        if let Some(taken) = self.profiles.get(&read.name) {
            let hint = format!(
                "{} has it, and results tell profiles by name: rename this file, or write `--profile {}` for that one",
                taken.file, read.name
            );
            let message = format!("the name `{}` is taken", read.name);
            return Err(Problem::of_file(&read.source.file, &message).hint(&hint).into());
        }
        Problems::none_or(check::profile(self, &read))?;
        Ok(resolve::profile(self, read)?)
    }
}

/// That two controls cannot be had together, with both places.
pub(super) fn both_set(one: &ControlEntry, other: &ControlEntry, clash: &Clash) -> String {
    let (here, there) = (one.sets_at(clash), other.sets_at(clash));
    format!("`{}` ({here}) and `{}` ({there}) both set {clash}", one.id, other.id)
}
