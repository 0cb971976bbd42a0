//! The catalog: what is embedded is whole, and what is wrong with a file is told so that it can be mended.

mod example;
mod folder;
mod from;
mod ground;
mod limits;
mod objects;
mod personas;
mod places;
mod pods;
mod rights;
mod servers;

use brinell::catalog::{Catalog, Document, File, Files, ProfileError, select};
use brinell::model::{Action, Connect, Need, Persona, Role, To};

const SCENARIO: &str = "\
title: A shell
why: Because.
fix: Refuse it.
target: production-app
attacks:
- name: a shell
  as: operator
  do: {exec: {command: [probe, cat], stdin: true}}
  blocked: {by: exec-guard, saying: interactive}
permits:
- name: a command
  as: operator
  do: {exec: {command: [probe, echo, foo]}}
  succeeds: {stdout: foo}
";

fn embedded() -> Catalog {
    Catalog::read(Files::embedded()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A file of the user's.
fn mine(path: &str, bytes: impl AsRef<[u8]>) -> File {
    let (path, bytes) = (path.to_owned(), bytes.as_ref().to_vec().into());
    File { place: path.clone(), path, built_in: false, bytes }
}

/// What is said about our catalog with one more scenario.
fn with_scenario(bytes: impl AsRef<[u8]>) -> String {
    let mut files = Files::embedded();
    files.scenarios.push(mine("mine/exec/mine.yaml", bytes));
    match Catalog::read(files) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

/// What is said about the valid scenario with a piece of it replaced.
fn with_change(from: &str, to: &str) -> String {
    assert!(SCENARIO.contains(from), "nothing to replace");
    with_scenario(SCENARIO.replacen(from, to, 1))
}

/// What is said about a profile of the user's.
fn with_profile(text: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mine.yaml");
    std::fs::write(&path, text).expect("written");
    let path = path.display().to_string();
    match embedded().profile(&path) {
        Ok(_) => String::new(),
        Err(error) => error.to_string().replace(&path, "mine.yaml"),
    }
}

/// What is said about our catalog with a piece of one manifest replaced.
fn with_manifest(path: &str, from: &str, to: &str) -> String {
    let mut files = Files::embedded();
    let file = files.manifests.iter_mut().find(|file| file.path == path).expect("a manifest");
    let text = String::from_utf8_lossy(&file.bytes).into_owned();
    assert!(text.contains(from), "nothing to replace");
    file.bytes = text.replacen(from, to, 1).into_bytes().into();
    match Catalog::read(files) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

fn ids(globs: &[&str], tags: &[&str], skips: &[&str]) -> Result<Vec<String>, String> {
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    match select(&embedded(), &texts(globs), &texts(tags), &texts(skips)) {
        Ok(entries) => Ok(entries.into_iter().map(|entry| entry.id.clone()).collect()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn each_turn_knows_the_line_at_which_it_begins() {
    let catalog = Catalog::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    for entry in &catalog.scenarios {
        let text: Vec<&str> = entry.text.lines().collect();
        let lines = entry.lines();
        assert_eq!(lines.len(), entry.turns.len(), "{}", entry.id);
        assert!(std::ptr::eq(lines, entry.lines()), "{} is read again", entry.id);
        for (turn, line) in entry.turns.iter().zip(lines) {
            let line = text[line.expect("a line") - 1];
            assert!(line.starts_with("- ") && line.contains(&turn.name), "{}: {line}", entry.id);
        }
    }
}

#[test]
fn everything_embedded_is_whole() {
    let catalog = embedded();
    assert!(catalog.scenarios.len() >= 50, "{}", catalog.scenarios.len());
    assert_eq!(catalog.controls.len(), 10);
    assert_eq!(catalog.personas["anonymous"].who, Persona::Anonymous);
    assert_eq!(with_scenario(SCENARIO), "");
}

#[test]
fn every_object_can_be_applied() {
    let catalog = embedded();
    let controls = catalog.controls.values().flat_map(|entry| {
        let weakenings = entry.control.weaken.values().map(Some);
        let set_ups = weakenings.chain([None]).map(|weakening| entry.set_up(weakening));
        set_ups.flat_map(|set_up| set_up.expect("a weakening of ours").objects)
    });
    let targets = catalog.targets.values().flat_map(|target| target.objects.clone());
    for Document { object, .. } in controls.chain(targets) {
        assert!(object["apiVersion"].is_string(), "{object}");
        assert!(object["kind"].is_string(), "{object}");
        assert!(object["metadata"]["name"].is_string(), "{object}");
    }
}

#[test]
fn every_file_of_a_control_is_used() {
    for entry in embedded().controls.values() {
        for file in entry.files.keys() {
            let control = &entry.control;
            let used = control.objects.names().contains(&file.as_str())
                || control.api_server.files.contains(file)
                || control.weaken.values().any(|weakening| {
                    let settings = weakening.api_server.iter().flat_map(|it| &it.files);
                    weakening.add.iter().chain(settings).any(|it| it == file)
                });
            assert!(used, "{}/{file}", entry.id);
        }
    }
}

#[test]
fn every_file_of_settings_is_named_by_a_flag_or_another_file() {
    for entry in embedded().controls.values() {
        let settings = &entry.control.api_server;
        for file in &settings.files {
            let place = format!("/etc/brinell/{file}");
            let mut others = settings.files.iter().filter(|other| *other != file);
            let is_named = settings.flags.values().flatten().any(|value| *value == place)
                || others.any(|other| entry.files[other].text.contains(&place));
            assert!(is_named, "{}/{file}", entry.id);
        }
    }
}

/// Silence is a block of what is meant where others get through: to the same port, and from the same pod or to it.
#[test]
fn beside_each_connection_that_must_be_blocked_others_get_through() {
    for entry in &embedded().scenarios {
        let connections = |role: Role| {
            let turns = entry.turns.iter().filter(move |turn| turn.role == role);
            turns.filter_map(|turn| match &turn.action {
                Action::Connect(connect) => Some(connect),
                _ => None,
            })
        };
        let permits: Vec<&Connect> = connections(Role::Permit).collect();
        for attack in connections(Role::Attack) {
            let is_proven =
                attack.proven_from.as_ref().is_some_and(|it| attack.to != To::Pod(it.clone()))
                    || permits.iter().any(|it| it.to == attack.to && it.port == attack.port);
            assert!(is_proven, "{}: {attack:?}", entry.id);
            let from = To::Pod(attack.from.clone());
            let is_alive = permits.iter().any(|it| it.from == attack.from || it.to == from);
            assert!(is_alive, "{}: {attack:?}", entry.id);
        }
    }
}

/// A Namespace of a target may stand in a control as well, whose objects come first. Were they different, the
/// later one would take labels from the earlier one.
#[test]
fn a_namespace_is_the_same_wherever_it_stands() {
    let catalog = embedded();
    let controls = catalog.controls.values().flat_map(|entry| entry.files.values());
    let mut seen = std::collections::BTreeMap::new();
    let objects = controls.flat_map(|file| file.documents.clone());
    let targets = catalog.targets.values().flat_map(|target| &target.objects);
    let objects = objects.chain(targets.map(|document| document.object.clone()));
    for object in objects.filter(|object| object["kind"] == "Namespace") {
        let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
        let first = seen.entry(name).or_insert_with(|| object.clone());
        assert_eq!(*first, object);
    }
}

#[test]
fn profiles_name_every_control() {
    let catalog = embedded();
    for name in ["hardened", "open"] {
        let entry = catalog.profile(name).expect("a profile");
        assert!(entry.profile.controls.keys().eq(catalog.controls.keys()), "{name}");
    }
    let weakened = |name: &str| {
        let entry = catalog.profile(name).expect("a profile");
        entry.profile.controls.into_values().filter_map(|setting| setting.weakening).count()
    };
    assert_eq!((weakened("hardened"), weakened("open")), (0, catalog.controls.len()));
}

#[test]
fn controls_and_needs_follow_from_the_scenario() {
    let catalog = embedded();
    let entry =
        |id: &str| catalog.scenarios.iter().find(|entry| entry.id == id).expect("a scenario");
    let controls = |id: &str| entry(id).scenario.controls();
    assert!(controls("exec-interactive").into_iter().eq(["audit-policy", "exec-guard"]));
    assert!(controls("egress-database").into_iter().eq(["network-policy"]));
    let own = [Need::AuditLog, Need::OwnPods, Need::OwnNamespaces];
    assert!(entry("exec-interactive").needs().into_iter().eq(own));
    let in_pods = [Need::RealNode, Need::PodNetwork, Need::OwnPods, Need::OwnNamespaces];
    assert!(entry("egress-database").needs().into_iter().eq(in_pods));
}

#[test]
fn a_weakening_changes_only_what_it_mentions() {
    let catalog = embedded();
    let weakened = |id: &str| {
        let entry = &catalog.controls[id];
        entry.set_up(Some(&entry.control.weaken["absent"])).expect("a weakening of ours")
    };
    let files = |id: &str| {
        let name = |it: Document| it.file.rsplit('/').next().expect("a name").to_owned();
        let mut files: Vec<String> = weakened(id).objects.into_iter().map(name).collect();
        files.dedup();
        files
    };
    assert_eq!(files("exec-guard"), ["namespaces.yaml"]);
    assert!(weakened("audit-policy").flags.is_empty());
}

#[test]
fn selection_by_glob_tag_and_skip() {
    let interactive = ["exec-interactive", "exec-interactive-by-policy"].map(str::to_owned);
    assert_eq!(ids(&["exec-interactive*"], &[], &[]), Ok(interactive.to_vec()));
    assert_eq!(
        ids(&["exec-interactive*"], &[], &["*-by-policy"]),
        Ok(vec!["exec-interactive".into()])
    );
    assert_eq!(ids(&[], &["mitre/T1046"], &[]), Ok(vec!["pod-probe-host".into()]));
    assert_eq!(ids(&[], &[], &["*"]), Ok(vec![]));
    assert_eq!(ids(&[], &[], &[]).map(|ids| ids.len()), Ok(embedded().scenarios.len()));
    insta::assert_snapshot!(ids(&["exec-interactiv"], &[], &[]).expect_err("refused"), @"there is no scenario `exec-interactiv`; did you mean exec-interactive?");
    insta::assert_snapshot!(ids(&[], &["mitre/T1609x"], &[]).expect_err("refused"), @"no scenario has the tag `mitre/T1609x`; did you mean mitre/T1609 or mitre/T1090 or mitre/T1098?");
    let refusal = ids(&[], &[], &["zzz"]).expect_err("refused");
    assert!(
        refusal.starts_with("there is no scenario `zzz`; known are: anonymous-api, "),
        "{refusal}"
    );
    insta::assert_snapshot!(ids(&["exec-[a"], &[], &[]).expect_err("refused"), @"`exec-[a` is not a glob: unclosed character class; missing ']'");
}

#[test]
fn unknown_key() {
    insta::assert_snapshot!(with_change("  blocked:", "  blockd:"), @"
mine/exec/mine.yaml:9:3: unknown key `blockd`
  9 |   blockd: {by: exec-guard, saying: interactive}
    |   ^
  did you mean blocked?
");
}

#[test]
fn unknown_action() {
    insta::assert_snapshot!(with_change("{exec: {command: [probe, cat]", "{exce: {command: [probe, cat]"), @"
mine/exec/mine.yaml:8:8: unknown word `exce`
  8 |   do: {exce: {command: [probe, cat], stdin: true}}
    |        ^
  did you mean exec?
");
}

#[test]
fn duplicate_key() {
    insta::assert_snapshot!(with_change("fix: Refuse it.", "why: Again."), @"
mine/exec/mine.yaml:3:1: key `why` appears twice
  3 | why: Again.
    | ^
  remove one of the two: it would be ignored
");
}

#[test]
fn missing_key_of_the_file() {
    insta::assert_snapshot!(with_change("why: Because.\n", ""), @"
mine/exec/mine.yaml:1:1: `why` is missing
  1 | title: A shell
    | ^
  add `why:` to the entry that begins here
");
}

#[test]
fn missing_key_of_an_entry() {
    insta::assert_snapshot!(with_change("  as: operator\n", ""), @"
mine/exec/mine.yaml:6:3: `as` is missing
  6 | - name: a shell
    |   ^
  add `as:` to the entry that begins here
");
}

#[test]
fn wrong_type() {
    insta::assert_snapshot!(with_change("stdin: true", "stdin: yes"), @"
mine/exec/mine.yaml:8:45: invalid boolean (true or false expected)
  8 |   do: {exec: {command: [probe, cat], stdin: yes}}
    |                                             ^
");
}

#[test]
fn unknown_persona() {
    insta::assert_snapshot!(with_change("as: operator", "as: opertor"), @"
mine/exec/mine.yaml:7:7: there is no persona `opertor`
  7 |   as: opertor
    |       ^
  did you mean operator?
");
}

#[test]
fn unknown_control() {
    insta::assert_snapshot!(with_change("by: exec-guard", "by: exec-gard"), @"
mine/exec/mine.yaml:9:17: there is no control `exec-gard`
  9 |   blocked: {by: exec-gard, saying: interactive}
    |                 ^
  did you mean exec-guard?
");
}

#[test]
fn unknown_target() {
    insta::assert_snapshot!(with_change("target: production-app", "target: production"), @"
mine/exec/mine.yaml:4:9: there is no target `production`
  4 | target: production
    |         ^
  did you mean production-app?
");
}

#[test]
fn unknown_substitution_in_a_path() {
    let exec = "{exec: {command: [probe, cat], stdin: true}}";
    let request = "{request: {method: GET, path: '/api/v1/nodes/${nod}/proxy/pods'}}";
    insta::assert_snapshot!(with_change(exec, request), @"
mine/exec/mine.yaml:8:37: nothing is known as `${nod}` in a path
  8 |   do: {request: {method: GET, path: '/api/v1/nodes/${nod}/proxy/pods'}}
    |                                     ^
  did you mean node?
");
}

#[test]
fn a_subject_that_cannot_be() {
    let exec = "{exec: {command: [probe, cat], stdin: true}}";
    let grants = "{grants: {verb: get, resource: pods/exec, allowed: ['system:masters', 'ServiceAccount/a']}}";
    insta::assert_snapshot!(with_change(exec, grants), @"
mine/exec/mine.yaml:8:59: no subject has that form
  8 | rants: {verb: get, resource: pods/exec, allowed: ['system:masters', 'ServiceAccount/a']}}
    |                                                   ^
  write `Group/name`, `User/name` or `ServiceAccount/namespace/name`

mine/exec/mine.yaml:8:77: no subject has that form
  8 |  resource: pods/exec, allowed: ['system:masters', 'ServiceAccount/a']}}
    |                                                   ^
  write `Group/name`, `User/name` or `ServiceAccount/namespace/name`
");
}

#[test]
fn a_review_asks_about_one_thing() {
    let exec = "{exec: {command: [probe, cat], stdin: true}}";
    let grants =
        |about: &str| with_change(exec, &format!("{{grants: {{verb: get, {about}allowed: []}}}}"));
    insta::assert_snapshot!(grants(""), @"
mine/exec/mine.yaml:8:8: it asks about nothing
  8 |   do: {grants: {verb: get, allowed: []}}
    |        ^
  name a `resource:` such as pods/exec, or a `url:` such as /metrics
");
    insta::assert_snapshot!(grants("resource: pods, url: /metrics, "), @"
mine/exec/mine.yaml:8:8: it asks about two things
  8 |   do: {grants: {verb: get, resource: pods, url: /metrics, allowed: []}}
    |        ^
  name a `resource:` such as pods/exec, or a `url:` such as /metrics
");
    insta::assert_snapshot!(grants("url: metrics, group: apps, "), @r#"
mine/exec/mine.yaml:8:33: "metrics" is no path
  8 |   do: {grants: {verb: get, url: metrics, group: apps, allowed: []}}
    |                                 ^
  write one whole path, such as /metrics: rules with a star are found by it

mine/exec/mine.yaml:8:33: a path is in no API group
  8 |   do: {grants: {verb: get, url: metrics, group: apps, allowed: []}}
    |                                 ^
  remove `group`
"#);
    assert_eq!(grants("url: /metrics, "), "");
}

/// What is said about a connection in the target `shop`.
fn with_connection(connect: &str) -> String {
    let scenario = SCENARIO.replace("target: production-app", "target: shop");
    let permit = "{exec: {command: [probe, echo, foo]}}\n  succeeds: {stdout: foo}";
    let resolve = "{resolve: {from: frontend, name: x}}\n  succeeds: {}";
    let scenario = scenario.replace(permit, resolve);
    let attack = "{exec: {command: [probe, cat], stdin: true}}";
    with_scenario(scenario.replace(attack, &format!("{{connect: {{{connect}}}}}")))
}

#[test]
fn a_connection_names_what_the_target_has() {
    for connect in [
        "from: frontend, to: {pod: database}, port: 5432",
        "from: shop/frontend, to: {pod: shop/database}, port: 1",
        "from: frontend, to: {service: database}, port: 5432, proven-from: backend",
        "from: frontend, to: {address: 169.254.169.254}, port: 80",
        "from: frontend, to: {address: 'fd00::1'}, port: 80, proven-from: shop/backend",
    ] {
        assert_eq!(with_connection(connect), "", "{connect}");
    }
    insta::assert_snapshot!(with_connection("from: frontent, to: {pod: shop/databse}, port: 5432"), @"
mine/exec/mine.yaml:8:24: there is no pod `frontent`
  8 |   do: {connect: {from: frontent, to: {pod: shop/databse}, port: 5432}}
    |                        ^
  did you mean frontend?

mine/exec/mine.yaml:8:44: there is no pod `databse`
  8 |   do: {connect: {from: frontent, to: {pod: shop/databse}, port: 5432}}
    |                                            ^
  did you mean database?
");
    insta::assert_snapshot!(with_connection("from: other/frontend, to: {service: databas}, port: 5432"), @"
mine/exec/mine.yaml:8:24: there is no pod `other/frontend`
  8 |   do: {connect: {from: other/frontend, to: {service: databas}, port: 5432}}
    |                        ^
  known are: frontend, backend, database, outside, visitor/client

mine/exec/mine.yaml:8:54: there is no Service `databas`
  8 | o: {connect: {from: other/frontend, to: {service: databas}, port: 5432}}
    |                                                   ^
  did you mean database?
");
    insta::assert_snapshot!(with_connection("from: frontend, to: {service: database}, port: 80"), @"
mine/exec/mine.yaml:8:65: the Service has no such port
  8 | : {from: frontend, to: {service: database}, port: 80}}
    |                                                   ^
  its TCP ports are: 5432
");
    insta::assert_snapshot!(with_connection("from: frontend, to: {address: 10.0.0}, port: 80"), @"
mine/exec/mine.yaml:8:48: invalid IP address syntax
  8 |   do: {connect: {from: frontend, to: {address: 10.0.0}, port: 80}}
    |                                                ^
");
    insta::assert_snapshot!(with_connection("from: frontend, to: {address: 10.0.0.1}, port: 80, proven-from: frontend"), @"
mine/exec/mine.yaml:8:82: the pod that connects proves nothing
  8 | , to: {address: 10.0.0.1}, port: 80, proven-from: frontend}}
    |                                                   ^
  name one that must get through while this one is refused
");
}

#[test]
fn a_connection_says_whether_it_is_to_a_pod_or_a_service() {
    insta::assert_snapshot!(with_connection("from: frontend, to: database, port: 5432"), @"
mine/exec/mine.yaml:8:38: `database` may be a pod or a Service
  8 |   do: {connect: {from: frontend, to: database, port: 5432}}
    |                                      ^
  write `{pod: database}`, `{service: database}` or `{address: IP}`
");
}

/// What is said about a scenario on a pod of two containers.
fn with_two_containers(action: &str) -> String {
    let mut files = Files::embedded();
    let target = "apiVersion: v1\nkind: Namespace\nmetadata: {name: paired}\n---\napiVersion: v1\nkind: Pod\n\
                  metadata: {name: app, namespace: paired}\n\
                  spec: {containers: [{name: app, stdin: true}, {name: proxy}], initContainers: [{name: mesh}]}\n";
    files.manifests.push(mine("manifests/targets/paired.yaml", target));
    let exec = "{exec: {command: [probe, cat], stdin: true}}";
    let scenario = SCENARIO.replace("target: production-app", "target: paired");
    let scenario =
        scenario.replace(exec, action).replace("echo, foo]", "echo, foo], container: app");
    files.scenarios.push(mine("mine/exec/mine.yaml", scenario));
    match Catalog::read(files) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn of_several_containers_one_is_named() {
    for container in ["app", "proxy", "mesh"] {
        let attach = format!("{{attach: {{container: {container}}}}}");
        assert_eq!(with_two_containers(&attach), "", "{container}");
    }
    insta::assert_snapshot!(with_two_containers("{attach: {stdin: true}}"), @"
mine/exec/mine.yaml:8:8: the pod `app` has several containers
  8 |   do: {attach: {stdin: true}}
    |        ^
  name one with `container:`: app, proxy, mesh
");
    insta::assert_snapshot!(with_two_containers("{exec: {container: prxy, command: [a]}}"), @"
mine/exec/mine.yaml:8:26: there is no container `prxy`
  8 |   do: {exec: {container: prxy, command: [a]}}
    |                          ^
  did you mean proxy?
");
}

#[test]
fn an_attach_asks_for_what_its_container_has() {
    assert_eq!(with_two_containers("{attach: {container: app, stdin: true}}"), "");
    insta::assert_snapshot!(with_two_containers("{attach: {container: app, tty: true}}"), @"
mine/exec/mine.yaml:8:38: the container `app` has no terminal
  8 |   do: {attach: {container: app, tty: true}}
    |                                      ^
  write `tty: true` at the container, or leave it out here
");
    insta::assert_snapshot!(with_two_containers("{attach: {container: proxy, stdin: true}}"), @"
mine/exec/mine.yaml:8:42: the container `proxy` has no standard input
  8 |   do: {attach: {container: proxy, stdin: true}}
    |                                          ^
  write `stdin: true` at the container, or leave it out here
");
}

#[test]
fn what_a_pod_cannot_say_of_itself() {
    let exec = "{exec: {command: [probe, cat], stdin: true}}";
    let pod = |pod: &str| with_change(exec, &format!("{{pod: {{{pod}}}}}"));
    insta::assert_snapshot!(pod("metadata: {labels: {brinell.dev/run: x}}"), @"
mine/exec/mine.yaml:8:25: the label `brinell.dev/run` is the harness's own
  8 |   do: {pod: {metadata: {labels: {brinell.dev/run: x}}}}
    |                         ^
  what an attempt makes is found again by it
");
    let owners = "ownerReferences: [{apiVersion: v1, kind: Pod, name: app}]";
    assert_eq!(pod(&format!("metadata: {{{owners}}}")), "");
    insta::assert_snapshot!(pod(&format!("through: Job, metadata: {{{owners}}}")), @"
mine/exec/mine.yaml:8:39: a workload's pods have no other owner
  8 |   do: {pod: {through: Job, metadata: {ownerReferences: [{apiVersion: v1, kind: Pod, name: app}]}}}
    |                                       ^
  a controller makes its workload the owner: remove `through` or the owners
");
    insta::assert_snapshot!(pod("metadata: {finalizers: [a]}"), @"
mine/exec/mine.yaml:8:25: unknown key `finalizers`
  8 |   do: {pod: {metadata: {finalizers: [a]}}}
    |                         ^
  known are: labels, annotations, ownerReferences
");
}

#[test]
fn unknown_pod() {
    insta::assert_snapshot!(with_change("{exec: {command", "{exec: {pod: legder, command"), @"
mine/exec/mine.yaml:8:20: there is no pod `legder`
  8 |   do: {exec: {pod: legder, command: [probe, cat], stdin: true}}
    |                    ^
  did you mean ledger?
");
}

#[test]
fn wrong_door() {
    insta::assert_snapshot!(with_change("  as: operator", "  only: put\n  as: operator"), @"
mine/exec/mine.yaml:7:9: the action has no such door
  7 |   only: put
    |         ^
  its doors are: get-websocket, post-spdy, get-spdy
");
}

#[test]
fn wrong_layer() {
    let at = "by: exec-guard, at: {webhook: other.example}";
    insta::assert_snapshot!(with_change("by: exec-guard", at), @"
mine/exec/mine.yaml:9:29: `exec-guard` does not decide at webhook other.example
  9 |   blocked: {by: exec-guard, at: {webhook: other.example}, saying: interactive}
    |                             ^
  it decides at: webhook exec-guard.brinell.dev
");
}

#[test]
fn a_control_that_refuses_nobody() {
    insta::assert_snapshot!(with_change("by: exec-guard", "by: audit-policy"), @"
mine/exec/mine.yaml:9:17: `audit-policy` refuses nobody
  9 |   blocked: {by: audit-policy, saying: interactive}
    |                 ^
  ask for the evidence that it leaves with `logged`
");
}

#[test]
fn a_reason_that_says_nothing() {
    for nothing in ["''", "' '"] {
        let said = with_change("saying: interactive", &format!("saying: {nothing}"));
        assert!(said.starts_with("mine/exec/mine.yaml:9:37: every refusal says nothing"), "{said}");
    }
    insta::assert_snapshot!(with_change("saying: interactive", "saying: ''"), @"
mine/exec/mine.yaml:9:37: every refusal says nothing
  9 |   blocked: {by: exec-guard, saying: ''}
    |                                     ^
  leave it out, and any reason will do
");
}

#[test]
fn a_reason_with_a_name_in_it() {
    insta::assert_snapshot!(with_change("saying: interactive", "saying: 'pod \"app\"'"), @r#"
mine/exec/mine.yaml:9:37: quoted names are no reason
  9 |   blocked: {by: exec-guard, saying: 'pod "app"'}
    |                                     ^
  write the words around it: what is quoted is a name, and whoever asks may choose it
"#);
    assert_ne!(with_change("saying: interactive", "saying: 'pod `app`'"), "");
    // Of authorization what is asked for stands in quotation marks, and is no name.
    let (from, to) = (
        "by: exec-guard, saying: interactive",
        "by: least-privilege, at: authorization, saying: 'resource \"pods/exec\"'",
    );
    assert_eq!(with_change(from, to), "");
}

#[test]
fn a_reason_that_pod_security_never_gives() {
    let saying = |words: &str| {
        let blocked = format!("by: pod-security, saying: {words}");
        with_change("by: exec-guard, saying: interactive", &blocked)
    };
    insta::assert_snapshot!(saying("host namespace (hostPID=true)"), @"
mine/exec/mine.yaml:9:39: there is no check of Pod Security `host namespace`
  9 |   blocked: {by: pod-security, saying: host namespace (hostPID=true)}
    |                                       ^
  did you mean host namespaces?
");
    for known in ["host namespaces", "host namespaces (hostPID=true)", "restricted:latest"] {
        assert_eq!(saying(known), "", "{known}");
    }
}

#[test]
fn a_reason_for_which_nothing_is_ready() {
    let control = "manifests/controls/pod-security/control.yaml";
    insta::assert_snapshot!(with_manifest(control, "saying: restricted:latest", "saying: restrictd"), @"
manifests/controls/pod-security/control.yaml:35:11: there is no check of Pod Security `restrictd`
  35 |   saying: restrictd
     |           ^
  known are: allowPrivilegeEscalation != false, forbidden AppArmor profile, forbidden AppArmor profiles, forbidden sysctls, host namespaces, hostPath volumes, hostPort, hostProcess, non-default capabilities, privileged, probe or lifecycle host, procMount, restricted volume types, runAsNonRoot != true, runAsUser=0, seLinuxOptions, seccompProfile, unknown forbidden reason, unrestricted capabilities
");
}

#[test]
fn refused_too_where_it_is_said_what_must_come_of_it() {
    let blocked = "  blocked: {by: exec-guard, saying: interactive}\n";
    let either = "  recorded: {level: Request, refused-too: true}\n";
    assert_eq!(with_change(blocked, either), "");
    let either = "  logged: {level: Request, refused-too: true}\n";
    insta::assert_snapshot!(with_change(blocked, &format!("{blocked}{either}")), @"
mine/exec/mine.yaml:10:28: unknown key `refused-too`
  10 |   logged: {level: Request, refused-too: true}
     |                            ^
  it is a key of `recorded`, for an attack that nobody in particular must block: `recorded: {level: …, refused-too: true}`
");
}

/// An attack of the valid scenario that is expected to come to something else.
fn with_expectation(keys: &str) -> String {
    with_change("  blocked: {by: exec-guard, saying: interactive}\n", keys)
}

#[test]
fn evidence_without_what_must_come_of_the_attack() {
    assert_eq!(with_expectation("  recorded: {level: RequestResponse}\n"), "");
    insta::assert_snapshot!(with_expectation("  logged: {level: RequestResponse}\n"), @"
mine/exec/mine.yaml:9:3: `logged` does not say what must come of it
  9 |   logged: {level: RequestResponse}
    |   ^
  write `recorded: {level: …}` instead of `logged: {level: …}`: it must be let in, and what it leaves counts
");
}

#[test]
fn two_expectations() {
    insta::assert_snapshot!(with_expectation("  recorded: {level: Request}\n  logged: {level: Request}\n"), @"
mine/exec/mine.yaml:10:3: the evidence is asked for twice
  10 |   logged: {level: Request}
     |   ^
  write it in `recorded`, and remove `logged`
");
    let blocked = "  blocked: {by: exec-guard}\n  recorded: {level: Request}\n";
    insta::assert_snapshot!(with_expectation(blocked), @"
mine/exec/mine.yaml:10:3: it cannot be only recorded as well
  10 |   recorded: {level: Request}
     |   ^
  write `logged: {level: …}` beside `blocked` or `succeeds`, and remove `recorded`
");
    let step = "  recorded: {level: Request}\n  succeeds: {}\n  logged: {level: Request}\n";
    insta::assert_snapshot!(with_expectation(step), @"
mine/exec/mine.yaml:9:3: it cannot be only recorded as well
  9 |   recorded: {level: Request}
    |   ^
  write `logged: {level: …}` beside `blocked` or `succeeds`, and remove `recorded`
");
}

/// A review attacks nobody, and of nothing else it is asked whether it is configured rightly.
#[test]
fn a_review_is_right_and_nothing_else_is() {
    let blocked = "  blocked: {by: exec-guard, saying: interactive}\n";
    let exec = "{exec: {command: [probe, cat], stdin: true}}";
    let with = |action: &str, expectation: &str| {
        with_scenario(SCENARIO.replacen(exec, action, 1).replacen(blocked, expectation, 1))
    };
    let right = "  sound: {control: exec-guard}\n";
    let review = "{review: {webhooks: {named: [exec-guard]}}}";
    assert_eq!(with(review, right), "");
    for (action, expectation, told) in [
        (exec, right, "mine.yaml:9:3: this is no review"),
        (review, blocked, "mine.yaml:9:3: a review attacks nobody, and cannot be refused"),
        (
            review,
            "  recorded: {level: Request}\n",
            "mine.yaml:9:3: a review attacks nobody, and cannot be refused",
        ),
        (
            review,
            "  sound: {control: exec-guard}\n  logged: {level: Request}\n",
            "mine.yaml:9:3: a review has one expectation",
        ),
        (review, "  sound: {control: exec-gard}\n", "there is no control `exec-gard`"),
        ("{review: {webhooks: {operations: [CONNECT]}}}", right, "half of something"),
        (
            "{review: {policies: {operations: ['*'], resources: [pods]}}}",
            right,
            "there is no operation `*`",
        ),
        (
            "{review: {bindings: {expires: a, except: [operator]}}}",
            right,
            "no subject has that form",
        ),
        ("{review: {encryption: {resources: [], prefix: /}}}", right, "it asks about nothing"),
        (
            "{review: {settings: {anonymous: {paths: [livez]}}}}",
            right,
            "a path begins with one `/`",
        ),
    ] {
        let problems = with(action, expectation);
        assert!(problems.contains(told), "{action}, {expectation}: {problems}");
    }
}

/// The place is that of the attack, though another one before it has the key, too.
#[test]
fn an_expectation_that_is_none_is_told_of_its_own_attack() {
    let (before, after) = SCENARIO.split_once("permits:").expect("permits");
    let second =
        "- name: another\n  as: operator\n  do: {attach: {}}\n  logged: {level: Request}\n";
    let first = before.replace("  blocked", "  logged: {level: Request}\n  blocked");
    insta::assert_snapshot!(with_scenario(format!("{first}{second}permits:{after}")), @"
mine/exec/mine.yaml:14:3: `logged` does not say what must come of it
  14 |   logged: {level: Request}
     |   ^
  write `recorded: {level: …}` instead of `logged: {level: …}`: it must be let in, and what it leaves counts
");
}

/// What is said about exec-guard with other annotations that its refusals leave.
fn with_leaves(leaves: &str) -> String {
    let control = "manifests/controls/exec-guard/control.yaml";
    with_manifest(control, "{exec-guard.brinell.dev/run: \"${run}\"}", leaves)
}

#[test]
fn an_annotation_that_no_refusal_leaves() {
    insta::assert_snapshot!(with_leaves("{exec-guard.brinell.dev/run: '${rnu}'}"), @"
manifests/controls/exec-guard/control.yaml:4:39: nothing is known as `${rnu}`
  4 | leaves: {exec-guard.brinell.dev/run: '${rnu}'}
    |                                       ^
  did you mean run?
");
    insta::assert_snapshot!(with_leaves("{run: '${run}'}"), @"
manifests/controls/exec-guard/control.yaml:4:1: no audit event has an annotation `run`
  4 | leaves: {run: '${run}'}
    | ^
  the API server puts the name of the webhook or policy and a slash before the key
");
    assert_eq!(with_leaves("{authorization.k8s.io/decision: allow}"), "");
}

#[test]
fn annotations_of_a_control_that_refuses_nobody() {
    let mut files = Files::embedded();
    let control = "title: Nothing.\ndecides: []\nleaves: {a/b: c}\nlook-at: nowhere\nweaken: {absent: {why: No., expect: {}, api-server: {}}}\n";
    files.manifests.push(mine("manifests/controls/mine/control.yaml", control));
    let problems = Catalog::read(files).expect_err("refused").to_string();
    insta::assert_snapshot!(problems.split("\n\n").next().unwrap_or_default(), @"
manifests/controls/mine/control.yaml:3:1: it refuses nobody
  3 | leaves: {a/b: c}
    | ^
  it decides nothing, so that no refusal is its own: remove `leaves`
");
}

#[test]
fn a_flag_that_makes_a_cluster_of_ours_a_part_of_another() {
    let control = "manifests/controls/anonymous-auth/control.yaml";
    let said =
        with_manifest(control, "  flags:\n", "  flags:\n    etcd-servers: http://10.0.0.7:2379\n");
    insta::assert_snapshot!(said, @"
manifests/controls/anonymous-auth/control.yaml:6:19: no control sets `etcd-servers`
  6 |     etcd-servers: http://10.0.0.7:2379
    |                   ^
  brinell's own cluster has its own; leave it out
");
    let said = with_manifest(
        control,
        "    api-server: {}\n",
        "    api-server: {flags: {secure_port: \"6443\"}}\n",
    );
    assert!(said.contains("no control sets `secure_port`"), "{said}");
}

#[test]
fn nothing_expected() {
    insta::assert_snapshot!(with_change("  blocked: {by: exec-guard, saying: interactive}\n", ""), @"
mine/exec/mine.yaml:6:3: nothing is expected of this attack
  6 | - name: a shell
    |   ^
  say who must block it (`blocked`), what shows that it works (`succeeds`), or that it must be let in and leave evidence (`recorded`)
");
}

#[test]
fn evidence_that_cannot_come() {
    let action = "do: {etcd: {prefix: /registry}}\n  logged: {level: Metadata}";
    insta::assert_snapshot!(with_change("do: {exec: {command: [probe, cat], stdin: true}}", action), @"
mine/exec/mine.yaml:9:3: this action leaves no audit event
  9 |   logged: {level: Metadata}
    |   ^
  it goes past the API server, whose audit log cannot hold it: remove `logged`
");
    let action = "do: {etcd: {prefix: /registry}}";
    let blocked = "  blocked: {by: exec-guard, saying: interactive}\n";
    let scenario = SCENARIO.replace("do: {exec: {command: [probe, cat], stdin: true}}", action);
    let recorded = scenario.replace(blocked, "  recorded: {level: Metadata}\n");
    insta::assert_snapshot!(with_scenario(recorded), @"
mine/exec/mine.yaml:9:3: this action leaves no audit event
  9 |   recorded: {level: Metadata}
    |   ^
  it goes past the API server, whose audit log cannot hold it: remove `recorded`
");
}

#[test]
fn no_permits() {
    let (attacks, _) = SCENARIO.split_once("permits:").expect("permits");
    insta::assert_snapshot!(with_scenario(format!("{attacks}permits: []\n")), @"
mine/exec/mine.yaml:10:1: no permit
  10 | permits: []
     | ^
  a control that blocks everything would pass: add what must keep working
");
}

#[test]
fn a_name_twice() {
    insta::assert_snapshot!(with_change("name: a command", "name: a shell"), @"
mine/exec/mine.yaml:11:9: the name `a shell` appears twice
  11 | - name: a shell
     |         ^
  results could not be told apart
");
}

#[test]
fn several_problems_at_once() {
    let text = SCENARIO.replace("operator", "operater").replace("exec-guard", "guard");
    insta::assert_snapshot!(with_scenario(text), @"
mine/exec/mine.yaml:7:7: there is no persona `operater`
  7 |   as: operater
    |       ^
  did you mean operator?

mine/exec/mine.yaml:9:17: there is no control `guard`
  9 |   blocked: {by: guard, saying: interactive}
    |                 ^
  known are: anonymous-auth, audit-policy, encryption-at-rest, ephemeral-guard, exec-guard, exec-policy, kubelet-auth, least-privilege, network-policy, pod-security

mine/exec/mine.yaml:12:7: there is no persona `operater`
  12 |   as: operater
     |       ^
  did you mean operator?
");
}

#[test]
fn a_tab() {
    insta::assert_snapshot!(with_change("  as: operator", "\tas: operator"), @"
mine/exec/mine.yaml:6:9: while scanning a plain scalar, found a tab
  6 | - name: a shell
    |         ^
  YAML is indented with spaces; line 7 begins with a tab
");
}

#[test]
fn bad_indentation() {
    insta::assert_snapshot!(with_change("  as: operator", "   as: operator"), @"
mine/exec/mine.yaml:7:6: mapping values are not allowed in this context
  7 |    as: operator
    |      ^
");
}

#[test]
fn empty_file() {
    insta::assert_snapshot!(with_scenario(""), @"mine/exec/mine.yaml: the file is empty");
    assert_eq!(with_scenario("# nothing yet\n"), with_scenario(""));
}

#[test]
fn binary_file() {
    insta::assert_snapshot!(with_scenario(b"title: x\n\x7fELF\xff\xfe"), @"mine/exec/mine.yaml: line 2 is not text in UTF-8");
}

#[test]
fn not_a_map() {
    insta::assert_snapshot!(with_scenario("- one\n- two\n"), @"
mine/exec/mine.yaml:1:1: expected keys with values
  1 | - one
    | ^
  write `key: value`
");
}

#[test]
fn two_documents() {
    insta::assert_snapshot!(with_scenario(format!("{SCENARIO}---\n{SCENARIO}")), @"
mine/exec/mine.yaml:16:1: more than one document
  16 | title: A shell
     | ^
  a file is one scenario, control or profile: remove the `---` between
");
}

#[test]
fn nothing_that_a_terminal_obeys_is_shown() {
    let said = with_scenario("title: \"\u{1b}[2J\u{202e}\"\n\u{1b}[31mkey: 1\n");
    assert!(!said.is_empty());
    assert!(said.chars().all(|character| character == '\n' || !character.is_control()), "{said:?}");
    let said = with_change("as: operator", "as: \"op\\e[31m\u{202e}\"");
    assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said:?}");
}

#[test]
fn a_long_line_is_cut() {
    let said = with_change("  blocked:", &format!("  {}: 1\n  blocked:", "x".repeat(100_000)));
    assert!(said.lines().nth(1).is_some_and(|line| line.len() < 200), "{said}");
}

#[test]
fn a_step_that_is_blocked() {
    let (from, to) = (
        "blocked: {by: exec-guard, saying: interactive}",
        "blocked: {by: exec-guard}\n  succeeds: {}",
    );
    insta::assert_snapshot!(with_change(from, to), @"
mine/exec/mine.yaml:10:3: it cannot be blocked as well
  10 |   succeeds: {}
     |   ^
  a step on which others rest works, an attack is blocked: remove one
");
}

#[test]
fn unknown_control_in_a_profile() {
    insta::assert_snapshot!(with_profile("title: Ours\ncontrols:\n  exec-gard: {}\n"), @"
mine.yaml:3:3: there is no control `exec-gard`
  3 |   exec-gard: {}
    |   ^
  did you mean exec-guard?
");
}

#[test]
fn unknown_weakening_in_a_profile() {
    insta::assert_snapshot!(with_profile("title: Ours\ncontrols:\n  exec-guard: {weakening: abset}\n"), @"
mine.yaml:3:27: there is no weakening `abset`
  3 |   exec-guard: {weakening: abset}
    |                           ^
  did you mean absent?
");
}

#[test]
fn two_controls_that_the_api_server_cannot_take_together() {
    let twice = "manifests/controls/pod-security/admission.yaml";
    let said = with_manifest(twice, "name: PodSecurity", "name: ValidatingAdmissionWebhook");
    insta::assert_snapshot!(said.lines().next().unwrap_or_default(), @"manifests/profiles/hardened.yaml:12:3: `pod-security` (manifests/controls/pod-security/control.yaml:8) and `exec-guard` (manifests/controls/exec-guard/control.yaml:10) both set the file admission.yaml");
    let flag = "manifests/controls/anonymous-auth/control.yaml";
    let said = with_manifest(flag, "  flags:\n", "  flags:\n    audit-log-maxsize: \"5\"\n");
    insta::assert_snapshot!(said.lines().next().unwrap_or_default(), @"manifests/profiles/hardened.yaml:4:3: `audit-policy` (manifests/controls/audit-policy/control.yaml:8) and `anonymous-auth` (manifests/controls/anonymous-auth/control.yaml:6) both set --audit-log-maxsize");
}

#[test]
fn a_profile_as_a_list() {
    insta::assert_snapshot!(with_profile("title: Ours\ncontrols: [exec-guard]\n"), @"
mine.yaml:2:11: expected keys with values
  2 | controls: [exec-guard]
    |           ^
  write `key: value`
");
}

#[test]
fn a_profile_with_a_name_of_ours() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["hardened", "open"] {
        let path = folder.path().join(format!("{name}.yaml"));
        std::fs::write(&path, "title: Ours\ncontrols: {}\n").expect("written");
        let path = path.display().to_string();
        let error = embedded().profile(&path).expect_err("refused").to_string();
        assert_eq!(
            error,
            format!(
                "{path}: the name `{name}` is taken\n  manifests/profiles/{name}.yaml has it, and results tell \
                 profiles by name: rename this file, or write `--profile {name}` for that one"
            )
        );
    }
}

#[test]
fn unknown_profile() {
    let error = embedded().profile("hardend").expect_err("refused");
    assert!(matches!(error, ProfileError::Unknown { .. }));
    insta::assert_snapshot!(error, @"there is no profile `hardend` (a file is named with its folder: ./hardend.yaml); did you mean hardened?");
}

#[test]
fn a_profile_that_is_not_there() {
    let error = embedded().profile("./nowhere.yaml").expect_err("refused");
    insta::assert_snapshot!(error, @"./nowhere.yaml: cannot be read: No such file or directory (os error 2)");
}

#[test]
fn unknown_substitution() {
    let target = "manifests/targets/vault.yaml";
    insta::assert_snapshot!(with_manifest(target, "${canary}", "${cannary}"), @r#"
manifests/targets/vault.yaml:13:14: nothing is known as `${cannary}`
  13 |   password: "${cannary}"
     |              ^
  did you mean canary?
"#);
}

#[test]
fn a_file_that_a_control_lacks() {
    let control = "manifests/controls/exec-guard/control.yaml";
    insta::assert_snapshot!(with_manifest(control, "[namespaces.yaml,", "[namespace.yaml,"), @"
manifests/controls/exec-guard/control.yaml:6:11: there is no file `namespace.yaml`
  6 | objects: [namespace.yaml, access.yaml, certificate.yaml, server.yaml, webhook.yaml]
    |           ^
  did you mean namespaces.yaml?
");
}

#[test]
fn a_control_without_absent() {
    let control = "manifests/controls/exec-guard/control.yaml";
    insta::assert_snapshot!(with_manifest(control, "  absent:", "  gone:"), @"
manifests/controls/exec-guard/control.yaml:16:1: there is no weakening `absent`
  16 | weaken:
     | ^
  every control says how a cluster is without it

manifests/profiles/open.yaml:8:27: there is no weakening `absent`
  8 |   exec-guard: {weakening: absent}
    |                           ^
  known are: another-refuses, certificate-lost, cluster-scope, debuggers-exempt, either-refuses, every-resource, fails-open, fails-open-tomorrow, gone, group-core, looks-at-tty-only, marker-left-out, match-conditions-exempt, match-policy-exact, misses-attach, misses-connect, namespace-left-out, namespace-selector-misses, object-selector, relabelled-namespace, relabelled-namespace-by-status, relabelled-pod, relabelled-pod-by-status, shell-allowed, sidecars-exempt, stale-look-up, system-users-exempt, timeout-ignored, user-exempt, version-beta
");
}

/// What is said about exec-policy, or another control, with a piece of one of its weakenings replaced.
fn with_weakening(control: &str, from: &str, to: &str) -> String {
    with_manifest(&format!("manifests/controls/{control}/control.yaml"), from, to)
}

#[test]
fn a_weakening_of_an_object_that_the_control_lacks() {
    let (from, to) = ("NetworkPolicy/shop/database:", "NetworkPolicy/shop/databse:");
    insta::assert_snapshot!(with_weakening("network-policy", from, to), @"
manifests/controls/network-policy/control.yaml:20:5: the control has no object NetworkPolicy/shop/databse
  20 |     patch:
     |     ^
  a weakening that weakens nothing proves nothing
");
}

#[test]
fn an_object_that_the_control_has_already() {
    let (from, to) = ("add: [allow-all.yaml]", "add: [allow-all.yaml, namespace.yaml]");
    insta::assert_snapshot!(with_weakening("network-policy", from, to), @"
manifests/controls/network-policy/control.yaml:37:3: Namespace/shop is there twice; `patch` changes what the control has
  37 |   allow-all:
     |   ^
  a weakening that weakens nothing proves nothing
");
}

#[test]
fn a_deviation_of_a_control_that_the_scenario_does_not_test() {
    let manifest = "manifests/deviations.yaml";
    let from = "An entry that is no longer needed fails the proof.\n";
    let to = "Or so.\n- vacuous: {scenario: exec-interactive, attack: a shell, control: encryption-at-rest, why: no}\n";
    insta::assert_snapshot!(with_manifest(manifest, from, to), @"
manifests/deviations.yaml:2:67: there is no tested control `encryption-at-rest`
  2 | ario: exec-interactive, attack: a shell, control: encryption-at-rest, why: no}
    |                                                   ^
  known are: audit-policy, exec-guard
");
}

#[test]
fn a_patch_that_changes_nothing() {
    let (from, to) = ("value: [Audit]", "value: [Deny, Audit]");
    insta::assert_snapshot!(with_weakening("exec-policy", from, to), @"
manifests/controls/exec-policy/control.yaml:21:5: the patch of ValidatingAdmissionPolicyBinding/exec-policy.brinell.dev changes nothing
  21 |     patch:
     |     ^
  a weakening that weakens nothing proves nothing
");
}

#[test]
fn a_patch_that_does_not_fit() {
    let (from, to) = ("/spec/validationActions, value: [Audit]", "/spec/actions, value: [Audit]");
    insta::assert_snapshot!(with_weakening("exec-policy", from, to), @"
manifests/controls/exec-policy/control.yaml:21:5: ValidatingAdmissionPolicyBinding/exec-policy.brinell.dev: operation '/0' failed at path '/spec/actions': path is invalid
  21 |     patch:
     |     ^
  a weakening that weakens nothing proves nothing
");
}

#[test]
fn a_weakening_of_the_kubelet_that_leaves_a_setting_out() {
    let rest = "      authorization:\n        mode: Webhook\n      readOnlyPort: 0\n    expect";
    let from = format!("{{enabled: true}}\n        webhook: {{enabled: true}}\n{rest}");
    insta::assert_snapshot!(with_weakening("kubelet-auth", &from, "{enabled: false}\n    expect"), @"
manifests/controls/kubelet-auth/control.yaml:26:3: its settings of the kubelet are a part of the control's own: leaving some out changes nothing
  26 |   anonymous:
     |   ^
  a weakening that weakens nothing proves nothing
");
}

#[test]
fn a_weakening_that_nobody_is_expected_to_notice() {
    let (from, to) = ("    expect: {egress-outside: bypassed}\n", "    expect: {}\n");
    insta::assert_snapshot!(with_weakening("network-policy", from, to), @"
manifests/controls/network-policy/control.yaml:36:5: nobody is expected to notice
  36 |     expect: {}
     |     ^
  name the scenario that must notice, and its reason: `exec-interactive: bypassed`
");
}

#[test]
fn a_weakening_that_a_stranger_to_the_control_is_expected_to_notice() {
    let (from, to) = ("{egress-outside: bypassed}", "{exec-interactive: bypassed}");
    insta::assert_snapshot!(with_weakening("network-policy", from, to), @"
manifests/controls/network-policy/control.yaml:36:32: the scenario `exec-interactive` does not test `network-policy`
  36 |     expect: {exec-interactive: bypassed}
     |                                ^
  a scenario tests what its `by:` names, and by `logged:` the audit policy
");
}

/// What is said about the valid scenario where it is one of ours.
fn as_one_of_ours(text: &str) -> String {
    let mut files = Files::embedded();
    let file = mine("scenarios/exec/mine.yaml", text);
    files.scenarios.push(File { built_in: true, ..file });
    match Catalog::read(files) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn a_scenario_of_ours_that_no_weakening_expects_to_notice() {
    insta::assert_snapshot!(as_one_of_ours(SCENARIO), @"
scenarios/exec/mine.yaml:9:17: no weakening of `exec-guard` expects it to notice
  9 |   blocked: {by: exec-guard, saying: interactive}
    |                 ^
  add `mine: REASON` to the `expect` of one that it notices, in manifests/controls/exec-guard/control.yaml; `brinell prove --scenario mine` shows which do
");
    let logged = "succeeds: {stdout: foo}\n  logged: {level: RequestResponse}";
    insta::assert_snapshot!(as_one_of_ours(&SCENARIO.replace("succeeds: {stdout: foo}", logged)), @"
scenarios/exec/mine.yaml:15:3: no weakening of `audit-policy` expects it to notice
  15 |   logged: {level: RequestResponse}
     |   ^
  add `mine: REASON` to the `expect` of one that it notices, in manifests/controls/audit-policy/control.yaml; `brinell prove --scenario mine` shows which do

scenarios/exec/mine.yaml:9:17: no weakening of `exec-guard` expects it to notice
  9 |   blocked: {by: exec-guard, saying: interactive}
    |                 ^
  add `mine: REASON` to the `expect` of one that it notices, in manifests/controls/exec-guard/control.yaml; `brinell prove --scenario mine` shows which do
");
    let users = with_change("succeeds: {stdout: foo}", logged);
    assert_eq!(users, "", "our controls know nothing of it");
}

#[test]
fn what_is_past_and_leaves_nothing() {
    let (from, to) =
        ("    delete: [policies.yaml]\n", "    delete: [policies.yaml]\n    past: true\n");
    insta::assert_snapshot!(with_weakening("network-policy", from, to), @"
manifests/controls/network-policy/control.yaml:17:11: it leaves nothing behind
  17 |     past: true
     |           ^
  what is past was written by a second API server with other settings: remove `past`

manifests/profiles/open.yaml:12:31: this weakening is past
  12 |   network-policy: {weakening: absent}
     |                               ^
  only `brinell prove` can make what is over when scenarios run
");
}

#[test]
fn a_daemon_set_where_there_is_none() {
    let (from, to) = ("  audit-only:\n", "  audit-only:\n    stop: app=kindnet\n");
    insta::assert_snapshot!(with_weakening("exec-policy", from, to), @"
manifests/controls/exec-policy/control.yaml:20:11: simulated nodes have no DaemonSets, and this control acts there as well
  20 |     stop: app=kindnet
     |           ^
  let `ready` ask something that needs a real node
");
}

#[test]
fn a_profile_with_what_only_a_proof_can_make() {
    let profile = "title: Ours\ncontrols:\n  encryption-at-rest: {weakening: written-before}\n";
    insta::assert_snapshot!(with_profile(profile), @"
mine.yaml:3:35: this weakening is past
  3 |   encryption-at-rest: {weakening: written-before}
    |                                   ^
  only `brinell prove` can make what is over when scenarios run
");
}

#[test]
fn a_target_without_a_namespace() {
    let target = "manifests/targets/vault.yaml";
    insta::assert_snapshot!(with_manifest(target, "kind: Namespace", "kind: Pod"), @"manifests/targets/vault.yaml: its first object must be a Namespace");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        with_one_scenario(text.into_bytes());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        with_one_scenario(bytes);
    }

    #[test]
    fn no_change_makes_it_panic(from in 0..SCENARIO.len(), length in 0..20_usize, to in "[-:{}\\[\\]a\n\t \"'&*!|>#]{0,8}") {
        let end = (from + length).min(SCENARIO.len());
        with_one_scenario([&SCENARIO[..from], &to, &SCENARIO[end..]].concat().into_bytes());
    }
}

/// Reads the catalog and shows its problems: neither may panic, nor show a control character.
fn with_one_scenario(bytes: Vec<u8>) {
    let files = Files { scenarios: vec![mine("mine/mine.yaml", bytes)], manifests: vec![] };
    if let Err(problems) = Catalog::read(files) {
        let said = problems.to_string();
        assert!(said.chars().all(|character| character == '\n' || !character.is_control()));
    }
}

/// What is said about the valid scenario with another attack.
fn with_attack(action: &str) -> String {
    with_change("{exec: {command: [probe, cat], stdin: true}}", action)
}

#[test]
fn a_field_that_kubernetes_does_not_know_is_an_error() {
    let told = with_attack("{pod: {spec: {hostNetwrok: true}}}");
    assert!(told.contains("mine/exec/mine.yaml:8:"), "{told}");
    assert!(told.contains("Kubernetes has no field `hostNetwrok` here"), "{told}");
    assert!(told.contains("did you mean hostNetwork?"), "{told}");
    let told = with_attack("{ephemeral: {container: {securityContext: {priviledged: true}}}}");
    assert!(told.contains("did you mean privileged?"), "{told}");
    let request = |method: &str, path: &str, body: &str| {
        with_attack(&format!("{{request: {{method: {method}, path: {path}, body: {body}}}}}"))
    };
    let role =
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: a}, rule: []}";
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/a/roles";
    let told = request("POST", path, role);
    assert!(told.contains("did you mean rules?"), "{told}");
    let told = request("PATCH", "/api/v1/namespaces/a/pods/p", "{metadata: {lables: {a: b}}}");
    assert!(told.contains("did you mean labels?"), "{told}");
    // Custom resources, and scale, whose kind is not the path's.
    let path = "/apis/apps/v1/namespaces/a/deployments/d/scale";
    assert_eq!(request("PATCH", path, "{spec: {replicas: 2, any: thing}}"), "");
}

#[test]
fn a_patch_says_of_which_sort_it_is() {
    let request =
        |rest: &str| with_attack(&format!("{{request: {{method: PATCH, path: {rest}}}}}"));
    let custom = "/apis/example.com/v1/namespaces/a/things/t";
    let told = request(&format!("{custom}, body: {{}}"));
    assert!(told.contains("custom resources know no strategic merge"), "{told}");
    assert!(told.contains("write `patch: merge`, `patch: json` or `patch: apply`"), "{told}");
    assert_eq!(request(&format!("{custom}, patch: merge, body: {{}}")), "");
    let told = request("/api/v1/namespaces/a, patch: json, body: {a: b}");
    assert!(told.contains("a JSON patch is a list of operations"), "{told}");
    let told = request("/api/v1/namespaces/a, patch: apply, body: []");
    assert!(told.contains("this sort of patch is a part of the object"), "{told}");
    assert!(request("/api/v1/namespaces/a").contains("a PATCH sends a body"));
    let told = with_attack("{request: {method: PUT, path: /api/v1/namespaces/a, patch: merge}}");
    assert!(told.contains("only a PATCH is of some sort"), "{told}");
}

#[test]
fn what_stands_for_something_in_a_body_is_known() {
    let told = with_attack(
        "{request: {method: POST, path: /api/v1/namespaces, body: {metadata: {name: '${uniqe}'}}}}",
    );
    assert!(told.contains("nothing is known as `${uniqe}` in a body"), "{told}");
    assert!(told.contains("did you mean unique?"), "{told}");
}

/// A quota refuses pods that do not say it, and so does many a policy.
#[test]
fn no_container_of_ours_is_without_requests_and_limits() {
    let catalog = embedded();
    let targets = catalog.targets.values().flat_map(|target| target.objects.clone());
    let controls = catalog
        .controls
        .values()
        .flat_map(|control| control.set_up(None).expect("unweakened").objects);
    let mut seen = 0;
    for Document { file, object } in targets.chain(controls) {
        let spec = match object["kind"].as_str() {
            Some("Pod") => &object["spec"],
            _ => &object["spec"]["template"]["spec"],
        };
        for list in ["initContainers", "containers"] {
            for container in spec[list].as_array().into_iter().flatten() {
                for pointer in ["requests/cpu", "requests/memory", "limits/cpu", "limits/memory"] {
                    let said = container.pointer(&format!("/resources/{pointer}"));
                    assert!(said.is_some(), "{file}: {}: {pointer}", container["name"]);
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 25, "{seen}");
}
