//! The programs of embedded clusters.

use std::fmt::Write as _;
use std::io::Write as _;

use brinell::cli::AssetsWork;
use brinell::cluster::assets::{self, Program};
use brinell::report::ExitCode;

use super::{Error, print};

const IN_MEMORY: &str = "writing to memory does not fail";

/// Lists, builds or removes them.
pub async fn handle(work: AssetsWork, version: String) -> Result<ExitCode, Error> {
    match work {
        AssetsWork::List => list_assets().await,
        AssetsWork::Install => {
            let assets = assets::install(&version, tell).await?;
            print(format!("{assets}\n").as_bytes())
        }
        AssetsWork::Remove => {
            print(format!("removed {}\n", assets::remove()?.display()).as_bytes())
        }
    }
}

/// Tells what is being done, on standard error: nobody need read it.
fn tell(doing: &str) {
    let _ = writeln!(std::io::stderr(), "{doing} …");
}

async fn list_assets() -> Result<ExitCode, Error> {
    let mut answer = String::new();
    for version in assets::versions() {
        writeln!(answer, "Kubernetes {version}").expect(IN_MEMORY);
        for program in Program::ALL {
            let told = match assets::find(program, version).await {
                Ok(Some(asset)) => format!("from {}: {}", asset.origin, asset.path.display()),
                Ok(None) => format!(
                    "missing; `brinell assets install --kubernetes-version {version}` builds it"
                ),
                Err(error) => error.to_string(),
            };
            writeln!(answer, "  {:<24} {told}", program.name()).expect(IN_MEMORY);
        }
    }
    print(answer.as_bytes())
}
