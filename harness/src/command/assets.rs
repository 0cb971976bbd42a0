//! The programs of embedded clusters.

use brinell::cli::AssetsWork;
use brinell::cluster::assets::{self, Program};
use brinell::report::ExitCode;

use super::Error;

/// Lists, builds or removes them.
pub async fn handle(work: AssetsWork, version: String) -> Result<ExitCode, Error> {
    match work {
        AssetsWork::List => list_assets().await,
        AssetsWork::Install => {
            let assets = assets::install(&version, |doing| eprintln!("{doing} …")).await?;
            println!("{assets}");
        }
        AssetsWork::Remove => println!("removed {}", assets::remove()?.display()),
    }
    Ok(ExitCode::Passed)
}

async fn list_assets() {
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
}
