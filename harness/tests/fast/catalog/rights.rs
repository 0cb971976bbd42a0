//! What rights are asked about can be answered, and is asked once.

use std::collections::BTreeSet;

use brinell::model::{Breadth, User};

use super::{embedded, with_change, with_manifest};

/// What is said about a scenario that asks for these rights.
fn with_rights(rights: &str) -> String {
    with_change(
        "{exec: {command: [probe, cat], stdin: true}}",
        &format!("{{rights: {{{rights}}}}}"),
    )
}

#[test]
fn whose_rights_are_asked_about_is_known() {
    for rights in [
        "of: {persona: reader}",
        "of: {persona: anonymous}",
        "of: {persona: colleague}",
        "of: {groups: [system:authenticated]}",
        "of: default-accounts",
        "of: {persona: reader}, to: {verb: get, url: /metrics}",
        "of: {persona: reader}, to: {verb: list, resource: secrets, in: plain-app, fields: {type: x}}",
    ] {
        assert_eq!(with_rights(rights), "", "{rights}");
    }
    insta::assert_snapshot!(with_rights("of: {persona: raeder}"), @"
mine/exec/mine.yaml:8:31: there is no persona `raeder`
  8 |   do: {rights: {of: {persona: raeder}}}
    |                               ^
  did you mean reader?
");
    insta::assert_snapshot!(with_rights("of: {persona: admin}"), @"
mine/exec/mine.yaml:8:31: nobody knows the groups of `admin`
  8 |   do: {rights: {of: {persona: admin}}}
    |                               ^
  name a persona with a ServiceAccount, one who is impersonated, or `anonymous`
");
    insta::assert_snapshot!(with_rights("of: {groups: []}"), @"
mine/exec/mine.yaml:8:22: no group is named
  8 |   do: {rights: {of: {groups: []}}}
    |                      ^
  name one, such as system:authenticated
");
}

#[test]
fn a_question_about_one_right_is_about_one_thing() {
    let to = |to: &str| with_rights(&format!("of: {{persona: reader}}, to: {{verb: get, {to}}}"));
    let hint = "name a `resource:` such as pods/exec, or a `url:` such as /metrics";
    assert!(to("in: plain-app").contains(hint));
    assert!(to("resource: pods, url: /metrics").contains(hint));
    let account = with_rights("of: default-accounts, to: {verb: get, url: /metrics}");
    assert!(account.contains("there is one such account in each namespace"), "{account}");
    let hint = "a selector belongs to deletecollection, list, watch";
    assert!(to("resource: secrets, labels: {a: b}").contains(hint));
}

/// It would always fail, and nobody could mend it.
#[test]
fn what_the_personas_own_file_promises_is_no_attack() {
    let own =
        with_rights("of: {persona: reader}, to: {verb: get, resource: pods/log, in: plain-app}");
    assert!(own.contains("the file of `reader` promises it"), "{own}");
    let elsewhere = "of: {persona: reader}, to: {verb: get, resource: pods/log, in: kube-system}";
    assert_eq!(with_rights(elsewhere), "");
}

#[test]
fn a_permit_asks_about_one_right() {
    let permit = "{exec: {command: [probe, echo, foo]}}\n  succeeds: {stdout: foo}";
    let rights =
        |rights: &str| format!("{{rights: {{of: {{persona: reader}}{rights}}}}}\n  succeeds: {{}}");
    assert!(with_change(permit, &rights("")).contains("a permit asks about one right"));
    assert_eq!(with_change(permit, &rights(", to: {verb: get, url: /livez}")), "");
}

const FILE: &str = "manifests/rights.yaml";

#[test]
fn what_is_dangerous_is_asked_once_and_has_a_source() {
    let twice =
        with_manifest(FILE, "resources: [pods/attach]", "resources: [pods/attach, pods/exec]");
    assert!(twice.contains("`get pods/exec` is asked about already"), "{twice}");
    let source = "source: https://kubernetes.io/docs/reference/instrumentation/zpages/";
    assert!(with_manifest(FILE, source, "source: heard").contains("it names no source"));
    let urls = "urls: [/debug/flags/v]\n  asked: cluster";
    let placed = with_manifest(FILE, urls, "urls: [/debug/flags/v]\n  asked: each-namespace");
    assert!(placed.contains("a path is in no namespace"), "{placed}");
    let both = with_manifest(FILE, urls, "urls: [/x]\n  resources: [pods]\n  asked: cluster");
    assert!(both.contains("it is about nothing, or about two things"), "{both}");
}

/// Every subject of ours is asked all of them: a list that grows without a thought slows every run.
#[test]
fn what_is_asked_in_each_namespace_is_little() {
    let catalog = embedded();
    let count = |breadth: Breadth| {
        let asked = catalog.dangers.iter().filter(|it| it.asked == breadth);
        asked
            .flat_map(|it| it.rights().filter(|right| it.is_first(right)).collect::<Vec<_>>())
            .count()
    };
    assert!(count(Breadth::EachNamespace) <= 4);
    assert!(count(Breadth::KubeSystem) <= 30);
    let all: usize = catalog.dangers.iter().map(|it| it.rights().count()).sum();
    assert!((150..=200).contains(&all), "{all}");
    let first: usize =
        [Breadth::Cluster, Breadth::Namespaces, Breadth::KubeSystem, Breadth::EachNamespace]
            .into_iter()
            .map(count)
            .sum();
    assert!(first <= 120, "{first}");
}

/// A persona without a scenario of its own is one whose rights nobody asks about.
#[test]
fn everybody_is_asked_about() {
    let catalog = embedded();
    let ids: BTreeSet<&str> = catalog.scenarios.iter().map(|entry| entry.id.as_str()).collect();
    // A user who holds nothing, one in the group that no authorizer is asked about, and those who are asked about as
    // somebody else: whom the helpdesk or the trainee impersonates in another way, and an application.
    let left_out = [
        "master",
        "other-colleague",
        "colleague-by-uid",
        "colleague-with-scope",
        "colleague-by-trainee",
        "scheduler-by-trainee",
        "team-application",
    ];
    // Kubernetes' own controllers may do what they are there for.
    let is_own = |user: User| user.username.starts_with("system:serviceaccount:kube-system:");
    let asked = catalog
        .personas
        .values()
        .filter(|entry| entry.who.decided_as().is_some_and(|user| !is_own(user)));
    let missing: Vec<&str> = asked
        .map(|entry| entry.name.as_str())
        .filter(|name| !left_out.contains(name) && !ids.contains(&*format!("rights-{name}")))
        .collect();
    assert_eq!(missing, [""; 0]);
}
