//! The archive, read back as an engine reads it.

use std::collections::HashMap;

use serde_json::Value;
use tar::Archive;

use super::*;

fn labels() -> BTreeMap<String, String> {
    [("brinell.dev/run".to_owned(), "k7f3".to_owned())].into()
}

const TAG: &str = "brinell.dev/harness:k7f3";

fn image() -> Image {
    Image::of_this_executable(TAG.to_owned(), labels()).expect("an image")
}

fn files(mut archive: Archive<impl Read>) -> HashMap<String, (Header, Vec<u8>)> {
    let mut files = HashMap::new();
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a path").display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("read");
        files.insert(name, (entry.header().clone(), content));
    }
    files
}

fn written(image: &Image) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("image.tar");
    image.write(&path).expect("written");
    std::fs::read(path).expect("read")
}

#[test]
fn the_archive_names_what_it_holds() {
    let image = image();
    let files = files(Archive::new(written(&image).as_slice()));
    let json = |name: &str| -> Value { serde_json::from_slice(&files[name].1).expect("JSON") };
    let manifest = &json("manifest.json")[0];
    assert_eq!(manifest["RepoTags"], json!([TAG]));
    assert_eq!(manifest["Layers"], json!(["layer.tar"]));
    let config_name = manifest["Config"].as_str().expect("a name");
    assert_eq!(config_name, format!("{}.json", hex(digest(&files[config_name].1).as_ref())));
    let config = json(config_name);
    let layer = format!("sha256:{}", hex(digest(&files["layer.tar"].1).as_ref()));
    assert_eq!(config["rootfs"]["diff_ids"], json!([layer]));
    assert_eq!(config["config"]["Labels"], json!(labels()));
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Cmd"], json!(["/bin/probe", "wait"]));
    assert_eq!(config["config"].get("Entrypoint"), None);
}

#[test]
fn the_layer_holds_this_executable_and_nothing_else_that_runs() {
    let image = image();
    let archive = files(Archive::new(written(&image).as_slice()));
    let layer = files(Archive::new(archive["layer.tar"].1.as_slice()));
    let mut names: Vec<_> = layer.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["bin/", "bin/brinell", "bin/probe", "etc/", "etc/passwd", "tmp/"]);
    let mode = |name: &str| layer[name].0.mode().expect("a mode");
    assert_eq!((mode("bin/brinell"), mode("tmp/")), (0o755, 0o1777));
    let link = layer["bin/probe"].0.link_name().expect("a link").expect("a name");
    assert_eq!(link.as_ref(), Path::new("brinell"));
    let mut executable = Vec::new();
    File::open(own_executable().expect("a path"))
        .expect("opened")
        .read_to_end(&mut executable)
        .expect("read");
    assert!(layer["bin/brinell"].1 == executable, "the executable is not whole");
}

#[test]
fn the_same_executable_gives_the_same_bytes() {
    let image = image();
    assert!(written(&image) == written(&image), "two archives differ");
}

fn of(content: &[u8]) -> ImageError {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(content).expect("written");
    Image::of(file.path(), TAG.to_owned(), BTreeMap::new()).expect_err("no image")
}

#[test]
fn an_executable_that_could_not_run_there_is_an_error_with_its_cure() {
    let mut dynamic = vec![0; 64 + 56];
    dynamic[..6].copy_from_slice(b"\x7fELF\x02\x01");
    for (at, value) in [(18, 62), (32, 64), (54, 56), (56, 1), (64, 3)] {
        dynamic[at] = value;
    }
    assert!(of(&dynamic).to_string().contains("unset RUSTFLAGS"));
    assert!(of(b"MZ\x90").to_string().contains("use a brinell built for Linux"));
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let error = image().write(Path::new("/nowhere/image.tar")).expect_err("no such folder");
    assert!(error.to_string().contains("/nowhere/image.tar"), "{error}");
}
