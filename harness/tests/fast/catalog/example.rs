//! The catalog of docs/example: what of it is planned, explained and listed, and on an existing cluster declared.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use brinell::catalog::{Catalog, Ground, New, ProfileError, SetUp};
use brinell::model::Layer;

use crate::command_line::{NO_ENGINE, brinell, ran};
use crate::support::{Home, Ran};

/// Its folder.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/example/hardening")
}

fn catalog() -> Catalog {
    Catalog::load(Some(&*folder())).unwrap_or_else(|problems| panic!("{problems}"))
}

fn say(arguments: &[&str]) -> Ran {
    let home = Home::new();
    let ran = ran(brinell(&home, NO_ENGINE).args(arguments).arg("--catalog").arg(folder()));
    assert_eq!(ran.stderr, "");
    ran
}

#[test]
fn it_is_listed_planned_and_explained() {
    let listed = say(&["--list", "--only-mine"]).stdout;
    for id in ["image-from-elsewhere", "image-of-a-workload", "load-balancer"] {
        assert!(listed.contains(&format!("\n  {id}: ")), "{listed}");
    }
    let planned = say(&["plan", "--only-mine", "--profile", "payments", "--cluster", "embedded"]);
    for line in [
        "  control  images-from-our-registry: set up, seen acting\n",
        "  target   payments\n",
        "  persona  payments-developer\n",
        "  run      load-balancer: A Service that opens payments to the outside\n",
    ] {
        assert!(planned.stdout.contains(line), "{}", planned.stdout);
    }
    let explained = say(&["explain", "load-balancer"]).stdout;
    let explained = explained.replace(&folder().display().to_string(), "hardening");
    insta::assert_snapshot!(explained);
}

#[test]
fn its_controls_are_in_our_profiles() {
    let catalog = catalog();
    for id in ["images-from-our-registry", "no-load-balancers"] {
        for (profile, unweakened) in [("hardened", true), ("open", false), ("found", true)] {
            let profile = catalog.profile(profile).expect("ours");
            let planned = profile.controls.iter().find(|it| it.control.id == id).expect("added");
            assert_eq!(planned.unweakened, unweakened, "{id}");
        }
    }
    let ours = Catalog::load(None).expect("ours");
    assert_eq!(ours.profile("hardened").expect("ours").controls.len(), ours.controls.len());
}

#[test]
fn on_an_existing_cluster_its_file_declares_a_control() {
    let catalog = catalog();
    let profile = catalog.profile("found").expect("ours");
    let prefix = "brinell-run".to_owned();
    let grounded = catalog
        .on(
            &Ground { prefix, sees_log: false, has_image: true, effects: false, kubeconfig: None },
            &profile,
        )
        .unwrap_or_else(|problems| panic!("{problems}"));
    let controls = &grounded.profile.controls;
    let declared = controls.iter().find(|it| it.control.id == "images-from-our-registry");
    let declared = declared.expect("declared");
    assert_eq!(declared.set_up, SetUp::default());
    let policy = Layer::Policy("images-from-our-registry.example.com".to_owned());
    assert_eq!(declared.control.control.decides, [policy]);
    let entry = grounded.catalog.scenarios.iter().find(|it| it.id == "image-from-elsewhere");
    let entry = entry.expect("there");
    assert_eq!(entry.target.namespace, "brinell-run-payments");
    // The folder of a registry is called as the namespace is.
    let sent = format!("{:?}", entry.turns.last().expect("a permit").action);
    assert!(sent.contains("registry.example.com/payments"), "{sent}");
}

/// A control of the reader's that takes the file of one of ours is told when both are asked for, and only then.
/// The namespace of its target is called as the control is: only the namespace has another name there.
#[test]
fn a_control_may_be_called_as_a_namespace_is() {
    let home = Home::new();
    let own = home.path("mine");
    for file in New::Control.files("images") {
        let place = own.join(&file.place);
        fs::create_dir_all(place.parent().expect("a folder")).expect("made");
        fs::write(place, file.text.replace("images-app", "images")).expect("written");
    }
    let folder = own.join("manifests/targets");
    fs::rename(folder.join("images-app.yaml"), folder.join("images.yaml")).expect("renamed");
    let catalog = Catalog::load(Some(&*own)).unwrap_or_else(|problems| panic!("{problems}"));
    let profile = catalog.profile("found").expect("ours");
    let ground = Ground {
        prefix: "brinell-run".to_owned(),
        sees_log: false,
        has_image: true,
        effects: false,
        kubeconfig: None,
    };
    let grounded = catalog.on(&ground, &profile).unwrap_or_else(|problems| panic!("{problems}"));
    let own = grounded.catalog.scenarios.iter().find(|it| it.id == "images");
    let own = own.expect("there");
    assert_eq!(own.target.namespace, "brinell-run-images");
    assert_eq!(own.scenario.attacks[0].r#as, "images-developer");
}

#[test]
fn controls_that_do_not_fit_together_are_told_of_the_profile_that_has_both() {
    let folder = tempfile::tempdir().expect("a folder");
    let control = folder.path().join("manifests/controls/our-audit");
    fs::create_dir_all(&control).expect("a folder");
    let text = "title: Ours\ndecides: []\nlook-at: here\n\
                api-server: {flags: {audit-policy-file: /etc/brinell/ours.yaml}, files: [ours.yaml]}\n\
                weaken: {absent: {why: No., api-server: {}, expect: {}}}\n";
    fs::write(control.join("control.yaml"), text).expect("written");
    fs::write(control.join("ours.yaml"), "apiVersion: audit.k8s.io/v1\nkind: Policy\n")
        .expect("written");
    let said = Catalog::load(Some(folder.path())).expect_err("nobody notices").to_string();
    assert!(said.contains("nobody is expected to notice"), "{said}");
    let scenarios = folder.path().join("scenarios/mine");
    fs::create_dir_all(&scenarios).expect("a folder");
    let scenario = super::SCENARIO.replace("by: exec-guard, saying: interactive", "by: our-audit");
    fs::write(scenarios.join("mine.yaml"), scenario).expect("written");
    let text = text.replace("decides: []", "decides: [authentication]");
    let text = text.replace("expect: {}", "expect: {mine: bypassed}");
    fs::write(control.join("control.yaml"), text).expect("written");
    let catalog = Catalog::load(Some(folder.path())).unwrap_or_else(|it| panic!("{it}"));
    assert!(catalog.profile("found").is_ok());
    let Err(ProfileError::Broken(problems)) = catalog.profile("hardened") else {
        panic!("both were taken")
    };
    let said = problems.to_string();
    let ours = "`audit-policy` (manifests/controls/audit-policy/control.yaml:";
    let theirs = "/manifests/controls/our-audit/control.yaml:4) both set --audit-policy-file";
    assert!(said.contains(ours) && said.contains(theirs), "{said}");
}

/// What `brinell new` writes is read, checked and planned as it is, and nothing is written over.
#[test]
fn first_files_run_as_they_are() {
    let home = Home::new();
    let say = |arguments: &[&str]| ran(brinell(&home, NO_ENGINE).args(arguments));
    for begun in [["control", "images"], ["scenario", "a-shell"], ["persona", "auditor"]] {
        let ran = say(&["new", begun[0], begun[1], "--catalog", "mine"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    }
    let listed = say(&["--list", "--only-mine", "--catalog", "mine"]);
    for id in ["images", "images-by-a-workload", "a-shell"] {
        assert!(listed.stdout.contains(&format!("\n  {id}: ")), "{listed:?}");
    }
    let again = say(&["new", "control", "images", "--catalog", "mine"]);
    assert_eq!(again.code, Some(2));
    assert!(again.stderr.contains("mine/manifests/controls/images/control.yaml"), "{again:?}");
    let nameless = say(&["new", "control", "Our Images", "--catalog", "mine"]);
    assert!(nameless.stderr.contains("`Our Images` is no name"), "{nameless:?}");
    let whole = say(&["new", "catalog", "--catalog", "whole"]);
    assert_eq!(whole.stdout.lines().count(), 10, "{whole:?}");
    let docs = say(&["docs", "whole"]);
    assert!(docs.stdout.contains("\n### load-balancer\n"), "{docs:?}");
}

/// 100 controls and 500 scenarios beside ours. In a release build this takes well below half a second; a debug build on a
/// busy machine is given ten times that.
#[test]
fn a_large_catalog_is_read_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |file: String, text: String| {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("written");
    };
    let source = |file: &str| fs::read_to_string(self::folder().join(file)).expect("a file");
    let of_control = "manifests/controls/images-from-our-registry";
    let scenarios = ["image-from-elsewhere", "image-of-a-workload"];
    for number in 0..100 {
        let numbered = |text: String| {
            let text = text.replace("images-from-our-registry", &format!("images-{number}"));
            text.replace("image-", &format!("image-{number}-"))
        };
        for file in ["control.yaml", "policy.yaml"] {
            let text = numbered(source(&format!("{of_control}/{file}")));
            let text = scenarios.iter().zip([3, 2]).fold(text, |text, (id, copies)| {
                let named = id.replace("image-", &format!("image-{number}-"));
                let all = (0..copies).map(|copy| format!("{named}-{copy}: bypassed"));
                text.replace(&format!("{named}: bypassed"), &all.collect::<Vec<_>>().join(", "))
            });
            write(format!("manifests/controls/images-{number}/{file}"), text);
        }
        for (id, copies) in scenarios.iter().zip([3, 2]) {
            for copy in 0..copies {
                let text = numbered(source(&format!("scenarios/payments/{id}.yaml")));
                let id = id.replace("image-", &format!("image-{number}-"));
                write(format!("scenarios/payments/{id}-{copy}.yaml"), text);
            }
        }
    }
    for file in ["targets/payments.yaml", "personas/payments-developer.yaml"] {
        write(format!("manifests/{file}"), source(&format!("manifests/{file}")));
    }
    let started = Instant::now();
    let catalog = Catalog::load(Some(folder.path())).unwrap_or_else(|it| panic!("{it}"));
    let took = started.elapsed();
    let own = catalog.scenarios.iter().filter(|entry| !entry.built_in).count();
    assert_eq!((own, catalog.controls.len()), (500, 110));
    assert!(took < Duration::from_secs(5), "{took:?}");
}
