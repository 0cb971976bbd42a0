//! Building programs from the modules that pin them. Go verifies every source by go.sum, and its own build cache
//! makes an interrupted build go on where it was.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use super::modules::{Module, cache};
use super::{AssetError, Assets, Program, find_all};
use crate::cluster::process::{BUILDING, Outside, ProcessError};

/// What it costs, seen on two cores with empty caches.
const COST: &str = "about 6 minutes on 2 cores, 230 MB here and 3 GB in Go's own caches, once";

/// Between two looks whether another run has built what we need.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// The module where Kubernetes keeps what it says its version is.
const VERSION: &str = "k8s.io/component-base/version";

/// Builds what is missing, one program after the other, telling what is being done. Two runs that start at once
/// build once.
///
/// # Errors
/// When Go is not there or fails, or the cache cannot be written.
pub async fn install(version: &str, tell: impl Fn(&str)) -> Result<Assets, AssetError> {
    let cache = cache()?;
    fs::create_dir_all(&cache)?;
    let _lock = lock(&cache, &tell).await?;
    let missing = match find_all(version).await? {
        Ok(assets) => return Ok(assets),
        Err(missing) => missing,
    };
    for (number, program) in missing.iter().enumerate() {
        let module = program.module(version)?;
        let part = format!("{} of {}", number + 1, missing.len());
        tell(&format!("building {program} {} with Go, {part} ({COST})", module.version));
        build(*program, &module).await?;
    }
    let gone = || io::Error::other("what was built is gone again");
    Ok(find_all(version).await?.map_err(|_| gone())?)
}

/// Waits until no other run builds. The lock ends with the value, and with us.
async fn lock(cache: &Path, tell: &impl Fn(&str)) -> Result<File, AssetError> {
    let lock = File::create(cache.join("lock"))?;
    let mut told = false;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Err(TryLockError::WouldBlock) if told => tokio::time::sleep(BETWEEN_LOOKS).await,
            Err(TryLockError::WouldBlock) => tell("waiting for another run, which is building"),
        }
        told = true;
    }
}

/// Builds one program beside its place and moves it there whole.
async fn build(program: Program, module: &Module) -> Result<(), AssetError> {
    let work = tempfile::tempdir_in(cache()?)?;
    fs::write(work.path().join("go.mod"), module.go_mod)?;
    fs::write(work.path().join("go.sum"), module.go_sum)?;
    let source = work.path().to_string_lossy();
    let flags = flags(program, &module.version);
    let arguments = [
        "-C",
        &source,
        "install",
        "-trimpath",
        "-mod=readonly",
        "-ldflags",
        &flags,
        package(program),
    ];
    let environment = [("GOBIN", &*source), ("CGO_ENABLED", "0"), ("GOWORK", "off")];
    let building = Outside::new("go", &arguments).with(environment).output(BUILDING);
    building.await.map_err(|source| match source {
        ProcessError::Start { .. } => AssetError::NoGo { program },
        ProcessError::Failed { .. } | ProcessError::Late { .. } => {
            AssetError::NotBuilt { program, source }
        }
    })?;
    let folder = module.folder()?;
    fs::create_dir_all(&folder)?;
    let name = package(program).rsplit('/').find(|part| *part != "v3").unwrap_or_default();
    fs::rename(work.path().join(name), folder.join(program.name()))?;
    Ok(())
}

fn package(program: Program) -> &'static str {
    match program {
        Program::Etcd => "go.etcd.io/etcd/server/v3",
        Program::ApiServer => "k8s.io/kubernetes/cmd/kube-apiserver",
        Program::ControllerManager => "k8s.io/kubernetes/cmd/kube-controller-manager",
    }
}

/// Kubernetes is told its version when it is linked; without it everything says v0.0.0.
fn flags(program: Program, version: &str) -> String {
    let mut numbers = version.split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    match program {
        Program::Etcd => "-s -w".to_owned(),
        Program::ApiServer | Program::ControllerManager => format!(
            "-s -w -X {VERSION}.gitVersion=v{version} -X {VERSION}.gitMajor={major} \
             -X {VERSION}.gitMinor={minor} -X {VERSION}.gitTreeState=clean"
        ),
    }
}
