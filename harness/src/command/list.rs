//! What there is and what would run: nothing here changes anything.

use std::fmt::Write as _;

use brinell::catalog::{Catalog, Entry, Planned, ProfileEntry, select};
use brinell::cli::{ListFormat, PlanArguments, RunArguments};
use brinell::cluster::Choice;
use brinell::report::ExitCode;
use brinell::run::Plan;
use brinell::text::visible;

use super::{Asked, Error, FOUND, asked, catalog, chosen, print, visit};

/// Shows a scenario as its file has it.
pub fn explain(id: &str) -> Result<ExitCode, Error> {
    let catalog = Catalog::load(None)?;
    let entries = select(&catalog, &[id.to_owned()], &[], &[])?;
    let told = |entry: &&Entry| format!("{} (built in)\n\n{}\n", entry.file, entry.text.trim_end());
    print(entries.iter().map(told).collect::<String>().as_bytes())
}

/// Lists the scenarios that are chosen.
pub fn list(arguments: &RunArguments) -> Result<ExitCode, Error> {
    let catalog = catalog(&arguments.selection)?;
    let (entries, _) = chosen(&catalog, &arguments.selection)?;
    if arguments.list == Some(ListFormat::Json) {
        let entries: Vec<_> = entries.iter().map(|entry| listed(entry)).collect();
        return print(format!("{:#}\n", serde_json::Value::from(entries)).as_bytes());
    }
    let width = entries.iter().map(|entry| entry.id.len()).max().unwrap_or_default();
    let line =
        |entry: &&Entry| format!("{:width$}  {}\n", entry.id, visible(&entry.scenario.title));
    print(entries.iter().map(line).collect::<String>().as_bytes())
}

fn listed(entry: &Entry) -> serde_json::Value {
    serde_json::json!({
        "id": entry.id,
        "family": entry.family,
        "file": entry.users_file(),
        "title": entry.scenario.title,
        "tags": entry.scenario.tags,
        "controls": entry.scenario.controls(),
    })
}

/// Shows what a run would set up, run and skip.
pub async fn plan(arguments: PlanArguments) -> Result<ExitCode, Error> {
    let PlanArguments { selection, existing: there, rbac } = &arguments;
    let catalog = catalog(selection)?;
    if let Some(grantee) = rbac {
        let profile = catalog.profile(selection.profile.as_deref().unwrap_or(FOUND))?;
        return print(visit::roles(&catalog, &profile, &arguments, grantee)?.as_bytes());
    }
    let Asked { entries, profile, place } = asked(&catalog, selection, there)?;
    if let Some(place) = place {
        let reached = visit::look(&catalog, &profile, place, there).await?;
        let mut plan = reached.plan(selection)?;
        reached.ask(&mut plan).await?;
        // A run would end where it cannot be read.
        reached.pull_credentials().await?;
        return show(&plan, &profile, &format!("existing ({})", reached.existing.told()));
    }
    let choice = Choice::make(selection.cluster).await;
    let plan = Plan::new(&catalog, &profile, choice.cluster, entries);
    show(&plan, &profile, &format!("{} ({})", choice.cluster.name(), choice.why))
}

fn show(plan: &Plan<'_>, profile: &ProfileEntry, cluster: &str) -> Result<ExitCode, Error> {
    let title = visible(&profile.profile.title);
    let mut answer = format!("cluster {cluster}\nprofile {}: {title}\n", plan.profile);
    for (kind, name, about) in planned(plan) {
        let about = if about.is_empty() { about } else { format!(": {about}") };
        writeln!(answer, "  {kind:7}  {name}{about}").expect("writing to memory does not fail");
    }
    print(answer.as_bytes())
}

/// What a plan holds: of which kind, its name, and what there is to say about it.
fn planned<'a>(plan: &'a Plan) -> Vec<(&'static str, &'a str, String)> {
    let state = |it: &Planned| match (it.is_declared(), it.unweakened) {
        (true, _) => "declared".to_owned(),
        (false, true) => "set up, seen acting".to_owned(),
        (false, false) => "weakened".to_owned(),
    };
    let controls = plan.controls.iter().map(|it| ("control", it.control.id.as_str(), state(it)));
    let without =
        plan.left_out.iter().map(|(it, why)| ("without", it.control.id.as_str(), why.clone()));
    let targets = plan.targets().into_iter().map(|it| ("target", it.name.as_str(), String::new()));
    let personas =
        plan.personas().into_iter().map(|it| ("persona", it.name.as_str(), String::new()));
    let running = plan
        .scenarios
        .iter()
        .map(|entry| ("run", entry.id.as_str(), visible(&entry.scenario.title)));
    let skipped = plan.skipped.iter().map(|(entry, why)| ("skip", entry.id.as_str(), why.clone()));
    let staged = controls.chain(without).chain(targets).chain(personas);
    staged.chain(running).chain(skipped).collect()
}
