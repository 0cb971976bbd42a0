//! The image of our own executable, as a user writes it.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;

use serde_json::Value;

use crate::command_line::{NO_ENGINE, brinell, ran};
use crate::support::Home;

const NAME: &str = concat!("brinell:", env!("CARGO_PKG_VERSION"));

#[test]
fn the_archive_is_what_is_said_of_it() {
    let home = Home::new();
    let written = ran(brinell(&home, NO_ENGINE).args(["image", "image.tar"]));
    assert_eq!((written.code, written.stdout.as_str()), (Some(0), ""), "{written:?}");
    let size = fs::metadata(home.path("image.tar")).expect("written").len();
    let size = format!("{:.1} MiB", size as f64 / f64::from(1 << 20));
    let push = format!("push it: skopeo copy docker-archive:image.tar docker://REGISTRY/{NAME}");
    for words in [NAME, "linux/", &size, &push] {
        assert!(written.stderr.contains(words), "{words}: {}", written.stderr);
    }
    let mut archive = tar::Archive::new(fs::File::open(home.path("image.tar")).expect("there"));
    let mut entries = archive.entries().expect("an archive").map(|it| it.expect("an entry"));
    let is_manifest =
        |it: &tar::Entry<'_, _>| it.path().is_ok_and(|it| it.ends_with("manifest.json"));
    let mut text = String::new();
    entries.find(is_manifest).expect("there").read_to_string(&mut text).expect("read");
    let manifest: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(manifest[0]["RepoTags"][0], NAME);
    assert_eq!(home.touched(&["image.tar"]), [""; 0]);
}

/// An executable for AArch64 that has one program header and nothing to run.
fn foreign() -> Vec<u8> {
    let mut file = vec![0; 64 + 56];
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    for (at, value) in [(18, 183), (32, 64), (54, 56), (56, 1), (64, 1)] {
        file[at] = value;
    }
    file
}

#[test]
fn the_image_of_another_architecture_is_written_here() {
    let home = Home::new();
    fs::write(home.path("foreign"), foreign()).expect("written");
    let image = |executable: &str| {
        ran(brinell(&home, NO_ENGINE).args(["image", "image.tar", "--executable", executable]))
    };
    let written = image("foreign");
    assert_eq!(written.code, Some(0), "{written:?}");
    assert!(written.stderr.contains(&format!("{NAME} for linux/arm64")), "{written:?}");
    let archive = fs::read(home.path("image.tar")).expect("there");
    let archive = String::from_utf8_lossy(&archive);
    assert!(archive.contains(r#""architecture":"arm64""#) && !archive.contains("amd64"));

    fs::write(home.path("text"), "no executable").expect("written");
    for (executable, words) in [
        ("none", "cannot read none, which is the image's content: No such file"),
        ("tmp", "cannot read tmp, which is the image's content: it is no file"),
        ("text", "text cannot run in a container of a cluster: it is no Linux executable"),
    ] {
        let refused = image(executable);
        assert_eq!(refused.code, Some(4), "{executable}: {refused:?}");
        assert!(refused.stderr.contains(words), "{executable}: {}", refused.stderr);
    }
}

#[test]
fn standard_output_gets_the_same_bytes() {
    let home = Home::new();
    assert_eq!(ran(brinell(&home, NO_ENGINE).args(["image", "image.tar"])).code, Some(0));
    let mut command = brinell(&home, NO_ENGINE);
    let output = command.args(["image", "-"]).stdin(Stdio::null()).output().expect("started");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout == fs::read(home.path("image.tar")).expect("there"), "they differ");
}

/// The run's own archive is its owner's alone.
#[test]
fn what_was_nobody_elses_to_read_stays_so() {
    let home = Home::new();
    let archive = home.path("image.tar");
    fs::write(&archive, "an earlier one").expect("written");
    fs::set_permissions(&archive, fs::Permissions::from_mode(0o600)).expect("set");
    assert_eq!(ran(brinell(&home, NO_ENGINE).args(["image", "image.tar"])).code, Some(0));
    assert_eq!(fs::metadata(&archive).expect("there").permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_cannot_be_written_leaves_nothing() {
    let home = Home::new();
    symlink("nowhere", home.path("tmp/link")).expect("a link");
    for (file, words) in [
        ("none/image.tar", "none/image.tar: No such file"),
        ("tmp", "it is there, and is no file"),
        ("/dev/full", "it is there, and is no file"),
        ("tmp/link", "it is a link that leads to nothing"),
    ] {
        let refused = ran(brinell(&home, NO_ENGINE).args(["image", file]));
        assert_eq!(refused.code, Some(4), "{file}: {refused:?}");
        assert!(refused.stderr.contains(words), "{file}: {}", refused.stderr);
    }
    fs::remove_file(home.path("tmp/link")).expect("still a link");
    assert_eq!(home.touched(&[]), [""; 0]);
}
