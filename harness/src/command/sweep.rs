//! Removing what ended runs left behind.

use std::collections::{BTreeMap, BTreeSet};

use brinell::cli::{SweepArguments, There};
use brinell::cluster::{self, Swept, Way};
use brinell::model::{Context, Right};
use brinell::report::ExitCode;
use brinell::text::visible;

use super::{Error, catalog, print, visit};

/// Sweeps every run, or the one that is named; on an existing cluster, if its context is given.
pub async fn sweep(arguments: SweepArguments) -> Result<ExitCode, Error> {
    let SweepArguments { run: named, profile, catalogs, there: place } = arguments;
    if let (Some(profile), Some(run)) = (profile, &named) {
        let (left, way) = visit::left(&catalog(&catalogs)?, &profile, &place, run)?;
        let way = way.ok_or(Error::NoPlace { flag: "profile" })?;
        return there(&way, named.as_deref(), &left).await;
    }
    let There { context, kubeconfig, in_cluster } = place;
    let context = context.map(|context| Way::Context(Context { kubeconfig, context }));
    if let Some(way) = context.or(in_cluster.then_some(Way::InCluster)) {
        return there(&way, named.as_deref(), &BTreeSet::new()).await;
    }
    let sweeping = cluster::sweep(named.as_deref()).await.map_err(Error::Sweep)?;
    let told = sweeping
        .swept
        .iter()
        .map(|(run, became)| told(run, became, &format!("brinell sweep {run}")));
    let (lines, stays) = (lines(told), stays(sweeping.swept.iter().map(|(_, became)| became)));
    match sweeping.unasked {
        Some(error) if stays == 0 => {
            print(String::as_bytes(&lines))?;
            Err(Error::EngineUnasked(error))
        }
        _ => say(lines, stays),
    }
}

/// Sweeps an existing cluster.
async fn there(way: &Way, named: Option<&str>, left: &BTreeSet<Right>) -> Result<ExitCode, Error> {
    let swept = cluster::sweep_existing(way, named, left).await.map_err(Error::Sweep)?;
    say(lines(told_of(way, &swept)), stays(swept.values()))
}

fn lines(told: impl Iterator<Item = String>) -> String {
    told.map(|told| told + "\n").collect()
}

/// How many runs could not be removed.
fn stays<'a>(swept: impl Iterator<Item = &'a Swept>) -> usize {
    swept.filter(|became| became.has_failed()).count()
}

/// Prints what became of all runs.
fn say(lines: String, stays: usize) -> Result<ExitCode, Error> {
    match stays {
        0 if lines.is_empty() => print(b"nothing to sweep\n"),
        0 => print(lines.as_bytes()),
        _ => {
            print(lines.as_bytes())?;
            Err(Error::Unswept(stays))
        }
    }
}

/// What became of each run on an existing cluster, for a person.
pub(super) fn told_of(way: &Way, swept: &BTreeMap<String, Swept>) -> impl Iterator<Item = String> {
    let place = way.arguments();
    swept
        .iter()
        .map(move |(run, became)| told(run, became, &format!("brinell sweep {place} {run}")))
}

/// What became of a run, for a person. The command removes it all the same.
fn told(run: &str, became: &Swept, command: &str) -> String {
    let told = match became {
        Swept::Removed(what) => format!("removed, {what}"),
        Swept::Alive => "is running".to_owned(),
        Swept::Failed(why) => format!("could not be removed: {why}"),
        Swept::Kept => format!("was kept on purpose; `{command}` removes it"),
        Swept::Elsewhere => {
            format!("was not started from here; `{command}` removes it all the same")
        }
    };
    let lines: Vec<String> = format!("{run}: {told}").lines().map(visible).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cluster_says_draws_nothing() {
        let failed = Swept::Failed("it says \u{1b}[2J\nand more".to_owned());
        let told = told("97a0a8", &failed, "brinell sweep 97a0a8");
        assert!(!told.contains('\u{1b}') && told.ends_with("\nand more"), "{told}");
    }
}
