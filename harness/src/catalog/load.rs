//! The catalog of files: what they say is read, then checked, then resolved.
//!
//! ```text
//! read      every file once: what it says, its names still names
//! check     every name means something, and nothing is expected that cannot come
//! resolve   what is named takes the place of its name
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::nearest::did_you_mean;
use super::source::Source;
use super::{
    ControlEntry, Entry, File, Files, PersonaEntry, Problem, Problems, ProfileEntry, Target, check,
    read, resolve,
};
use crate::model::{Danger, Deviation};

/// Everything that can be run, checked and resolved: nothing in it is looked up by a name any more.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// The scenarios by family and id, ours and the user's.
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

impl Catalog {
    /// Our catalog, with the scenarios of a folder of the user's beside ours.
    pub fn load(scenarios: Option<&Path>) -> Result<Catalog, Problems> {
        let mut files = Files::embedded();
        if let Some(folder) = scenarios {
            files.add_scenarios(folder)?;
        }
        Catalog::read(files)
    }

    /// The catalog that these files are.
    pub fn read(files: Files) -> Result<Catalog, Problems> {
        let (read, mut problems) = read::all(files);
        problems.extend(check::all(&read));
        Problems::none_or(problems)?;
        Ok(resolve::all(read)?)
    }

    /// A profile of ours by its name, or one of the user's by its file. What has a dot or a slash in it is a file.
    pub fn profile(&self, name: &str) -> Result<ProfileEntry, ProfileError> {
        if !name.contains(['.', '/']) {
            let known = self.profiles.keys().map(String::as_str);
            return self.profiles.get(name).cloned().ok_or_else(|| ProfileError::Unknown {
                name: name.to_owned(),
                hint: did_you_mean(name, known),
            });
        }
        let file = File::read(Path::new(name)).map_err(Problems::from)?;
        Ok(self.read_profile(file)?)
    }

    /// Results and reports name a profile without its file, so that its name must not be another's.
    fn read_profile(&self, file: File) -> Result<ProfileEntry, Problems> {
        let folder = Path::new(&file.path).parent().unwrap_or(Path::new("")).to_owned();
        let mut read = read::profile(Source::new(file)?)?;
        read.says = read.says.below(&folder);
        if self.profiles.contains_key(&read.name) {
            let hint = "a built-in profile has this name, and results tell profiles by name: rename the file";
            let message = format!("the name `{}` is taken", read.name);
            return Err(Problem::of_file(&read.source.file, &message).hint(hint).into());
        }
        Problems::none_or(check::profile(self, &read))?;
        Ok(resolve::profile(self, read)?)
    }
}
