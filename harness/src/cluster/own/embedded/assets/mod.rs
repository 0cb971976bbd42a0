//! The programs of an embedded cluster: where they come from, and building them where they come from nowhere.

mod build;
mod modules;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use build::install;
pub use modules::versions;
use modules::{Module, module};

use crate::cluster::process::{ANSWERING, Outside, ProcessError};

/// The variable in which envtest's users name their folder of programs
/// (<https://book.kubebuilder.io/reference/envtest>).
const ENVIRONMENT: &str = "KUBEBUILDER_ASSETS";

/// What Kubernetes 1.34 and later need at least: older ones lack requests for watch progress.
const OLDEST_ETCD: (u32, u32) = (3, 5);

/// A program of an embedded cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Holds everything.
    Etcd,
    /// Decides everything.
    ApiServer,
    /// Makes pods of workloads, and tokens of ServiceAccounts.
    ControllerManager,
}

/// Where a program comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The folder that KUBEBUILDER_ASSETS names.
    Environment,
    /// What brinell built itself.
    Cache,
    /// What `setup-envtest` has installed.
    SetupEnvtest,
}

/// A program that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Which.
    pub program: Program,
    /// Where it lies.
    pub path: PathBuf,
    /// Where it comes from.
    pub origin: Origin,
}

/// All that an embedded cluster is started from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assets {
    /// etcd.
    pub etcd: Asset,
    /// kube-apiserver.
    pub api_server: Asset,
    /// kube-controller-manager.
    pub controller_manager: Asset,
}

/// The programs of an embedded cluster could not be found or built.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// No module for this version.
    #[error("Kubernetes {version} cannot be embedded; {} can", versions().join(", "))]
    UnknownVersion {
        /// As it was given.
        version: String,
    },
    /// etcd is too old.
    #[error(
        "{path} is {found}, but etcd {}.{} or later is needed: set {ENVIRONMENT} to another folder, \
         or unset it", OLDEST_ETCD.0, OLDEST_ETCD.1, path = path.display()
    )]
    TooOld {
        /// The program.
        path: PathBuf,
        /// What it says that it is.
        found: String,
    },
    /// A program is there but cannot be run.
    #[error("{path} is no program that runs here: {source}", path = path.display())]
    Broken {
        /// The program.
        path: PathBuf,
        /// What came of it.
        source: ProcessError,
    },
    /// Go is missing.
    #[error(
        "{program} is not there, and neither is Go to build it: install Go (https://go.dev/doc/install), \
         or set {ENVIRONMENT} to a folder with etcd, kube-apiserver and kube-controller-manager"
    )]
    NoGo {
        /// The first program that is missing.
        program: Program,
    },
    /// Go failed.
    #[error("{program} could not be built: {source}")]
    NotBuilt {
        /// The program.
        program: Program,
        /// Go's own words.
        source: ProcessError,
    },
    /// The cache.
    #[error("the cache of programs cannot be used: {0}")]
    Cache(#[from] std::io::Error),
}

impl Program {
    /// All of them.
    pub const ALL: [Program; 3] = [Program::Etcd, Program::ApiServer, Program::ControllerManager];

    /// The file's name.
    pub fn name(self) -> &'static str {
        match self {
            Program::Etcd => "etcd",
            Program::ApiServer => "kube-apiserver",
            Program::ControllerManager => "kube-controller-manager",
        }
    }

    fn module(self, version: &str) -> Result<Module, AssetError> {
        let name = match self {
            Program::Etcd => "etcd".to_owned(),
            Program::ApiServer | Program::ControllerManager => format!("kubernetes-{version}"),
        };
        module(&name).ok_or_else(|| AssetError::UnknownVersion { version: version.to_owned() })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Environment => ENVIRONMENT,
            Origin::Cache => "the cache",
            Origin::SetupEnvtest => "setup-envtest",
        })
    }
}

impl fmt::Display for Assets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [&self.etcd, &self.api_server, &self.controller_manager];
        let told: Vec<String> =
            all.iter().map(|asset| format!("{} from {}", asset.program, asset.origin)).collect();
        f.write_str(&told.join(", "))
    }
}

/// Sees that there are programs of a Kubernetes minor version, or that they can be built.
///
/// # Errors
/// When the version is not known.
pub fn see_known(version: &str) -> Result<(), AssetError> {
    let is_known = versions().contains(&version);
    let unknown = || AssetError::UnknownVersion { version: version.to_owned() };
    is_known.then_some(()).ok_or_else(unknown)
}

/// Looks one program up, in each place in turn; `None` where it is in none of them. Kubernetes of another minor is
/// passed over: the variable may be set for other tests with envtest.
///
/// # Errors
/// When one is there that cannot be used, or the version is not known.
pub async fn find(program: Program, version: &str) -> Result<Option<Asset>, AssetError> {
    let module = program.module(version)?;
    if let Some(folder) = std::env::var_os(ENVIRONMENT) {
        let path = Path::new(&folder).join(program.name());
        if path.is_file() && fits(program, &path, version).await? {
            return Ok(Some(Asset { program, path, origin: Origin::Environment }));
        }
    }
    let path = module.folder()?.join(program.name());
    if path.is_file() {
        return Ok(Some(Asset { program, path, origin: Origin::Cache }));
    }
    let path = setup_envtest(version).await.map(|folder| folder.join(program.name()));
    Ok(path.filter(|path| path.is_file()).map(|path| Asset {
        program,
        path,
        origin: Origin::SetupEnvtest,
    }))
}

/// All programs, or those that are missing.
///
/// # Errors
/// As those of [`find`].
pub async fn find_all(version: &str) -> Result<Result<Assets, Vec<Program>>, AssetError> {
    let (etcd, api_server, controller_manager) = tokio::try_join!(
        find(Program::Etcd, version),
        find(Program::ApiServer, version),
        find(Program::ControllerManager, version),
    )?;
    match (etcd, api_server, controller_manager) {
        (Some(etcd), Some(api_server), Some(controller_manager)) => {
            Ok(Ok(Assets { etcd, api_server, controller_manager }))
        }
        (etcd, api_server, controller_manager) => {
            let found = [etcd, api_server, controller_manager];
            let missing = Program::ALL.into_iter().zip(found);
            Ok(Err(missing.filter(|(_, found)| found.is_none()).map(|(name, _)| name).collect()))
        }
    }
}

/// Removes everything that brinell built.
///
/// # Errors
/// When the folder cannot be removed.
pub fn remove() -> Result<PathBuf, AssetError> {
    let cache = modules::cache()?;
    match std::fs::remove_dir_all(&cache) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(cache),
    }
}

/// Where `setup-envtest`, if it is there, has a version already. It is never asked to download one.
async fn setup_envtest(version: &str) -> Option<PathBuf> {
    let wanted = format!("{version}.x");
    let arguments = ["use", "--installed-only", "--print", "path", &wanted];
    let printed = Outside::new("setup-envtest", &arguments).output(ANSWERING).await.ok()?;
    Some(PathBuf::from(String::from_utf8_lossy(&printed).trim()))
}

/// Whether a program from outside is of the version that is asked for.
async fn fits(program: Program, path: &Path, version: &str) -> Result<bool, AssetError> {
    let printed = Outside::new(&path.to_string_lossy(), &["--version"])
        .output(ANSWERING)
        .await
        .map_err(|source| AssetError::Broken { path: path.to_owned(), source })?;
    let printed = String::from_utf8_lossy(&printed);
    let first = printed.lines().next().unwrap_or_default().trim();
    let found = numbers(first);
    match program {
        Program::Etcd if found < Some(OLDEST_ETCD) => {
            Err(AssetError::TooOld { path: path.to_owned(), found: first.to_owned() })
        }
        Program::Etcd => Ok(true),
        Program::ApiServer | Program::ControllerManager => Ok(found == numbers(version)),
    }
}

/// The first two numbers of the last word: `Kubernetes v1.36.3` is 1.36.
fn numbers(text: &str) -> Option<(u32, u32)> {
    let version = text.split_whitespace().next_back()?;
    let mut numbers = version.trim_start_matches('v').split('.').map(u32::from_str);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_what_programs_print() {
        assert_eq!(numbers("Kubernetes v1.36.3"), Some((1, 36)));
        assert_eq!(numbers("etcd Version: 3.4.30"), Some((3, 4)));
        assert_eq!(numbers("1.34"), Some((1, 34)));
        assert_eq!(numbers("usage: etcd [flags]"), None);
        assert!(numbers("etcd Version: 3.4.30") < Some(OLDEST_ETCD));
    }

    #[tokio::test]
    async fn a_version_without_a_module_is_refused() {
        let error = find(Program::ApiServer, "1.2").await.expect_err("unknown");
        assert!(error.to_string().contains("1.36"), "{error}");
    }
}
