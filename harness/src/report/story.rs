//! A scenario as a person is told of it, and the list of all of them. Everything that is said is in the catalog: the
//! reader's own scenarios are told in the same way.

use std::collections::{BTreeMap, BTreeSet};

use super::block::{WIDTH, entry as labelled};
use super::text::{ended, hanging, wrap};
use crate::catalog::{Catalog, ControlEntry, Entry, PersonaEntry, Turn, action_words};
use crate::model::{
    Action, Blocked, Bound, Danger, Door, Expectation, Impersonated, Layer, Logged, Need, Persona,
    Reason, Recorded, Rights, Role, ServiceAccount, Sound, Succeeds,
};
use crate::run::needs;
use crate::text::{count, visible};

/// No text of a catalog is cut.
const ALL: usize = usize::MAX;

/// The whole story of a scenario, each line ended.
pub fn story(catalog: &Catalog, entry: &Entry) -> String {
    let (permits, attacks): (Vec<_>, Vec<_>) =
        tries(entry).into_iter().partition(|turns| turns[0].role == Role::Permit);
    let scenario = &entry.scenario;
    let (sent, kept) = (attacks.into_iter().flat_map(tried), permits.into_iter().flat_map(tried));
    let acting = personas(entry).into_iter().flat_map(persona);
    let stopping = controls(catalog, entry).into_iter().flat_map(control);
    let sections: [(&str, Vec<String>); 9] = [
        ("What is lost where it works", paragraph(2, &scenario.why)),
        ("What is sent, and must be stopped or leave evidence", sent.collect()),
        ("What must keep working beside it", kept.collect()),
        ("Who acts", acting.collect()),
        ("Who should stop or record it, and where to look", stopping.collect()),
        ("What to change where it fails", paragraph(2, &scenario.fix)),
        ("What a cluster must have", needed(catalog, entry)),
        ("Weakenings that it must notice", weakenings(catalog, entry)),
        ("Where it is written", written(catalog, entry)),
    ];
    let built_in = if entry.built_in { ", built in" } else { "" };
    let file = format!("{}{built_in}", entry.file);
    let target = format!("on the target {}: {}", entry.target.name, objects(entry));
    let head = [format!("{}: {}", entry.id, scenario.title), file, target];
    let mut lines: Vec<String> = head.iter().flat_map(|text| paragraph(0, text)).collect();
    for (heading, section) in sections {
        if !section.is_empty() {
            lines.extend([String::new(), heading.to_owned()]);
            lines.extend(section);
        }
    }
    ended(lines)
}

/// The chosen scenarios by family, each with its controls, needs and tags; each line ended.
pub fn listing(catalog: &Catalog, entries: &[&Entry]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for family in entries.chunk_by(|one, other| one.family == other.family) {
        let before = (!lines.is_empty()).then(String::new);
        let heading =
            format!("{}, {}", visible(&family[0].family), count(family.len(), "scenario"));
        lines.extend(before.into_iter().chain([heading]));
        for entry in family {
            lines.extend(headed(&format!("{}: {}", entry.id, entry.scenario.title)));
            lines.extend(field("tests", &comma(entry.scenario.controls())));
            let needs = all_needs(catalog, entry).into_iter().filter(|it| !it.is_of_existing());
            lines.extend(field("needs", &comma(needs)));
            lines.extend(field("tags", &entry.scenario.tags.join(" ")));
        }
    }
    ended(lines)
}

/// What a cluster must have for a scenario and the controls that it tests.
pub fn all_needs(catalog: &Catalog, entry: &Entry) -> BTreeSet<Need> {
    let of_controls = controls(catalog, entry).into_iter().flat_map(ControlEntry::needs);
    needs(catalog, entry).into_iter().chain(of_controls).collect()
}

/// What a part begins with, below which the rest of it stands further in.
fn headed(text: &str) -> Vec<String> {
    hanging(wrap(text.trim_end(), WIDTH - 4, ALL))
}

fn paragraph(indent: usize, text: &str) -> Vec<String> {
    let lines = wrap(text.trim_end(), WIDTH - indent, ALL);
    lines.into_iter().map(|line| format!("{:indent$}{line}", "")).collect()
}

/// A named part; nothing where there is nothing to say.
fn field(label: &str, text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    labelled(4, label, wrap(text.trim_end(), WIDTH - 14, ALL))
}

fn comma(all: impl IntoIterator<Item = impl ToString>) -> String {
    all.into_iter().map(|it| it.to_string()).collect::<Vec<_>>().join(", ")
}

/// The target's objects by kind: `Namespace, Pod (3)`.
fn objects(entry: &Entry) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for document in &entry.target.objects {
        *kinds.entry(document.object["kind"].as_str().unwrap_or("object")).or_default() += 1;
    }
    comma(kinds.into_iter().map(|(kind, number)| match number {
        1 => kind.to_owned(),
        number => format!("{kind} ({number})"),
    }))
}

/// The turns of each attack and permit: one a door.
fn tries(entry: &Entry) -> Vec<&[Turn]> {
    let is_one = |one: &Turn, other: &Turn| one.name == other.name && one.role == other.role;
    entry.turns.chunk_by(is_one).collect()
}

/// One attack, review, step or permit, through all its doors.
fn tried(turns: &[Turn]) -> Vec<String> {
    let first = &turns[0];
    let doors = turns.iter().map(|turn| turn.door.label()).filter(|label| !label.is_empty());
    let mut lines = headed(&format!("{}: {}", first.role.label(), first.name));
    lines.extend(field("as", &first.persona.name));
    lines.extend(field("sends", &action_words(&first.action)));
    lines.extend(field("through", &comma(doors)));
    lines.extend(field("expected", &expected(first)));
    lines
}

/// What must come of it.
fn expected(turn: &Turn) -> String {
    let outcome = match &turn.expected {
        Expectation::Blocked(Blocked { by, at, saying }, _) => {
            let layers = at.as_ref().map_or(by.control.decides.as_slice(), std::slice::from_ref);
            let words = saying.iter().map(|words| format!(", saying {words:?}"));
            format!("blocked by {} ({}){}", by.id, any_of(layers), words.collect::<String>())
        }
        Expectation::Sound(Sound { control }) => {
            format!("nothing is found that {} should have set otherwise", control.id)
        }
        Expectation::Succeeds(succeeds, _) if turn.role == Role::Permit => works(succeeds),
        Expectation::Succeeds(succeeds, _) => {
            format!("{}: what is sent after it rests on it", works(succeeds))
        }
        Expectation::Recorded(Recorded { refused_too: true, .. }) => {
            "let in or refused, whichever".to_owned()
        }
        Expectation::Recorded(_) => "let in, so that it shows what it leaves".to_owned(),
    };
    let evidence = turn.expected.logged().map(|logged| format!("; {}", evidence(&logged)));
    format!("{outcome}{}", evidence.unwrap_or_default())
}

fn any_of(layers: &[Layer]) -> String {
    layers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

fn works(succeeds: &Succeeds) -> String {
    match (&succeeds.stdout, &succeeds.stdout_contains) {
        (Some(text), _) => format!("it works and prints {text:?}"),
        (None, Some(text)) => format!("it works and prints {text:?} among others"),
        (None, None) => "it works".to_owned(),
    }
}

/// `in the audit log at RequestResponse, with "stdin=true" in its URI`
fn evidence(logged: &Logged) -> String {
    let Logged { level, uri, received_only } = logged;
    let uri = uri.iter().map(|text| format!(", with {text:?} in its URI"));
    let doors = comma(received_only.iter().map(|door: &Door| door.label()));
    let only =
        if doors.is_empty() { doors } else { format!(" (by {doors} only that it was received)") };
    format!("in the audit log at {level:?}{}{only}", uri.collect::<String>())
}

/// Everybody who acts, each once, in the order in which they do.
fn personas(entry: &Entry) -> Vec<&PersonaEntry> {
    let mut all: Vec<&PersonaEntry> = Vec::new();
    for turn in &entry.turns {
        if !all.iter().any(|it| it.name == turn.persona.name) {
            all.push(&turn.persona);
        }
    }
    all
}

fn persona(persona: &PersonaEntry) -> Vec<String> {
    let mut lines = headed(&format!("{}: {}", persona.name, who(&persona.who)));
    for role in &persona.roles {
        let place = match &role.bound {
            Bound::Everywhere => "everywhere".to_owned(),
            Bound::In(namespaces) => format!("in {}", namespaces.join(", ")),
        };
        lines.extend(field("holds", &format!("{} {place}", role.cluster_role)));
        let rules: Vec<String> = role.rules.iter().map(ToString::to_string).collect();
        lines.extend(field("may", &rules.join("; ")));
    }
    lines
}

fn who(persona: &Persona) -> String {
    let account = |it: &ServiceAccount| format!("ServiceAccount {}/{}", it.namespace, it.name);
    match persona {
        Persona::Anonymous => "nobody, without any credentials".to_owned(),
        Persona::Admin => "the cluster's administrator".to_owned(),
        Persona::BadToken => "somebody with a token that nobody issued".to_owned(),
        Persona::ServiceAccount(it) => account(it),
        Persona::Impersonated(Impersonated { by, user, groups, .. }) => {
            let by = by.as_ref().map_or_else(|| "the administrator".to_owned(), account);
            let groups = if groups.is_empty() {
                String::new()
            } else {
                format!(" in {}", groups.join(", "))
            };
            format!("{user}{groups}, as whom {by} acts")
        }
        Persona::Credentials(_) => {
            "somebody of the cluster's, by credentials of their own".to_owned()
        }
    }
}

/// The controls that it tests.
fn controls<'a>(catalog: &'a Catalog, entry: &Entry) -> Vec<&'a ControlEntry> {
    let ids = entry.scenario.controls().into_iter();
    ids.filter_map(|id| catalog.controls.get(id)).map(|control| &**control).collect()
}

fn control(entry: &ControlEntry) -> Vec<String> {
    let mut lines = headed(&format!("{}: {}", entry.id, entry.control.title));
    lines.extend(field("layer", &any_of(&entry.control.decides)));
    lines.extend(field("look at", &entry.control.look_at));
    lines
}

fn needed(catalog: &Catalog, entry: &Entry) -> Vec<String> {
    let (existing, any): (Vec<Need>, Vec<Need>) =
        all_needs(catalog, entry).into_iter().partition(|it| it.is_of_existing());
    let mut lines = match any.as_slice() {
        [] => paragraph(2, "an API server alone"),
        any => paragraph(2, &comma(any)),
    };
    if !existing.is_empty() {
        lines.extend(paragraph(2, &format!("on an existing cluster also {}", comma(existing))));
    }
    lines
}

/// Each way to get a control wrong that must turn it red, and for which reason.
fn weakenings(catalog: &Catalog, entry: &Entry) -> Vec<String> {
    let all = catalog.controls.values().flat_map(|control| {
        control.control.weaken.iter().map(move |(name, weakening)| (control, name, weakening))
    });
    let expecting = all.filter_map(|(control, name, weakening)| {
        let reason: Reason = *weakening.expect.get(&entry.id)?;
        Some((format!("{}/{name}, {}", control.id, reason.label()), &weakening.why))
    });
    let told: Vec<_> = expecting.collect();
    if told.is_empty() {
        let none =
            "none: no weakening names it, so that `brinell prove` does not show that it can fail";
        return paragraph(2, none);
    }
    let each = |(name, why): &(String, &String)| [headed(name), paragraph(4, why)].concat();
    told.iter().flat_map(each).collect()
}

/// The standards that its tags name, and the sources of what it asks about.
fn written(catalog: &Catalog, entry: &Entry) -> Vec<String> {
    let tags = entry.scenario.tags.iter().map(|tag| match standard(tag) {
        Some(named) => format!("{tag}: {named}"),
        None => tag.clone(),
    });
    let mut told: Vec<String> = tags.collect();
    for source in sources(catalog, entry) {
        if !told.contains(source) {
            told.push(source.clone());
        }
    }
    told.iter().flat_map(|text| headed(text)).collect()
}

/// What a tag stands for, where it is of a standard. Of MITRE ATT&CK every technique has a page by its number, such as
/// <https://attack.mitre.org/techniques/T1552/007/>; of a CIS Benchmark no recommendation has one.
fn standard(tag: &str) -> Option<String> {
    match tag.split_once('/')? {
        ("mitre", id) => {
            let page = technique(id)?;
            Some(format!("MITRE ATT&CK, https://attack.mitre.org/techniques/{page}/"))
        }
        ("attack", tactic) => {
            Some(format!("MITRE ATT&CK, the tactic {}", tactic.replace('-', " ")))
        }
        ("cis", number) => Some(format!("CIS Kubernetes Benchmark, {number}")),
        _ => None,
    }
}

/// `T1552/007` of `T1552.007`; `None` if it is no number of a technique.
fn technique(id: &str) -> Option<String> {
    let is_number =
        |text: &str, length| text.len() == length && text.bytes().all(|it| it.is_ascii_digit());
    let number = id.strip_prefix('T')?;
    match number.split_once('.') {
        None => is_number(number, 4).then(|| id.to_owned()),
        Some((technique, sub)) => {
            (is_number(technique, 4) && is_number(sub, 3)).then(|| format!("T{technique}/{sub}"))
        }
    }
}

/// Where it is written that the rights are dangerous which it asks about.
fn sources<'a>(catalog: &'a Catalog, entry: &Entry) -> Vec<&'a String> {
    let asks = |danger: &Danger, rights: &Rights| match &rights.to {
        None => true,
        Some(asked) => danger.rights().any(|it| {
            (&it.verb, &it.group, &it.resource, &it.url)
                == (&asked.verb, &asked.group, &asked.resource, &asked.url)
        }),
    };
    let asked: Vec<&Rights> = entry
        .scenario
        .actions()
        .filter_map(|action| match action {
            Action::Rights(rights) => Some(rights),
            _ => None,
        })
        .collect();
    let dangers = catalog.dangers.iter();
    let dangers = dangers.filter(|danger| asked.iter().any(|rights| asks(danger, rights)));
    dangers.map(|danger| &danger.source).collect()
}
