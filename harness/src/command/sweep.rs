//! Removing what ended runs left behind.

use brinell::cli::SweepArguments;
use brinell::cluster::{self, ExistingSwept, Swept, Way};
use brinell::model::Context;
use brinell::report::ExitCode;
use brinell::text;

use super::{Error, print};

/// Sweeps every run, or the one that is named; on an existing cluster, if its context is given.
pub async fn sweep(arguments: SweepArguments) -> Result<ExitCode, Error> {
    let SweepArguments { run: named, context, kubeconfig, in_cluster } = arguments;
    let context = context.map(|context| Way::Context(Context { kubeconfig, context }));
    if let Some(way) = context.or(in_cluster.then_some(Way::InCluster)) {
        return there(&way, named.as_deref()).await;
    }
    let sweeping = cluster::sweep(named.as_deref()).await.map_err(Error::Sweep)?;
    let line = |(run, became): &(String, Swept)| format!("{run}: {}\n", told(run, became));
    let lines: String = sweeping.swept.iter().map(line).collect();
    let stays = sweeping.swept.iter().filter(|(_, it)| matches!(it, Swept::Failed(_))).count();
    if stays > 0 {
        print(lines.as_bytes())?;
        return Err(Error::Unswept(stays));
    }
    if let Some(error) = sweeping.unasked {
        print(lines.as_bytes())?;
        return Err(Error::EngineUnasked(error));
    }
    print(if lines.is_empty() { b"nothing to sweep\n" } else { lines.as_bytes() })
}

/// Sweeps an existing cluster.
async fn there(way: &Way, named: Option<&str>) -> Result<ExitCode, Error> {
    let swept = cluster::sweep_existing(way, named).await.map_err(Error::Sweep)?;
    let place = way.arguments();
    let line = |(run, became): (&String, &ExistingSwept)| {
        let told = match became {
            ExistingSwept::Removed(count) => {
                format!("removed, {}", text::count(*count, "namespace"))
            }
            ExistingSwept::Alive => "is running".to_owned(),
            ExistingSwept::Failed(why) => format!("could not be removed: {why}"),
            ExistingSwept::Elsewhere => format!(
                "was not started from here; `brinell sweep {place} {run}` removes it all the same"
            ),
        };
        format!("{run}: {told}\n")
    };
    let lines: String = swept.iter().map(line).collect();
    let stays = swept.values().filter(|became| matches!(became, ExistingSwept::Failed(_))).count();
    if stays > 0 {
        print(lines.as_bytes())?;
        return Err(Error::Unswept(stays));
    }
    print(if lines.is_empty() { b"nothing to sweep\n" } else { lines.as_bytes() })
}

fn told(run: &str, became: &Swept) -> String {
    match became {
        Swept::Removed(count) => format!("removed, {count} things"),
        Swept::Alive => "is running".to_owned(),
        Swept::Failed(why) => format!("could not be removed: {why}"),
        Swept::Kept => format!("was kept on purpose; `brinell sweep {run}` removes it"),
        Swept::Elsewhere => {
            format!("was not started from here; `brinell sweep {run}` removes it all the same")
        }
    }
}
