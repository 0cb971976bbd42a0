//! The programs of embedded clusters.

use std::process::ExitCode as Code;

use brinell::cli::AssetsWork;
use brinell::cluster::assets::{self, AssetError, Program};
use brinell::report::ExitCode;

use super::fail;

/// Lists, builds or removes them.
pub async fn handle(work: AssetsWork, version: String) -> Code {
    let done = match work {
        AssetsWork::List => list_assets().await,
        AssetsWork::Install => assets::install(&version, |doing| eprintln!("{doing} …"))
            .await
            .map(|assets| println!("{assets}")),
        AssetsWork::Remove => {
            assets::remove().map(|folder| println!("removed {}", folder.display()))
        }
    };
    match done {
        Ok(()) => ExitCode::Passed.into(),
        Err(error @ AssetError::UnknownVersion { .. }) => fail(ExitCode::Usage, &error.to_string()),
        Err(error) => fail(ExitCode::Broken, &error.to_string()),
    }
}

async fn list_assets() -> Result<(), AssetError> {
    for version in assets::versions() {
        println!("Kubernetes {version}");
        for program in Program::ALL {
            let told = match assets::find(program, version).await {
                Ok(Some(asset)) => format!("from {}: {}", asset.origin, asset.path.display()),
                Ok(None) => format!(
                    "missing; `brinell assets install --kubernetes-version {version}` builds it"
                ),
                Err(error) => error.to_string(),
            };
            println!("  {:<24} {told}", program.name());
        }
    }
    Ok(())
}
