//! Attribution on exchanges with real API servers: one test for each file of the corpus.

use std::fs;
use std::path::{Path, PathBuf};

use brinell::verdict::{Decision, Exchange, attribute};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let trials = files(&folder).into_iter().map(|file| {
        let name = name(&folder, &file);
        Trial::test(name, move || check(&file))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let mut all: Vec<PathBuf> = folders.iter().flat_map(|folder| files_of(folder)).collect();
    all.extend(files.into_iter().filter(|file| file.extension().is_some_and(|end| end == "json")));
    all.sort();
    all
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    files(folder)
}

fn name(folder: &Path, file: &Path) -> String {
    file.strip_prefix(folder).expect("below").with_extension("").display().to_string()
}

fn check(file: &Path) -> Result<(), Failed> {
    let text = fs::read_to_string(file)?;
    let exchange: Exchange = serde_json::from_str(&text)?;
    let decision = attribute(&exchange.sent, &exchange.answer, &exchange.log);
    if layer(&decision) != layer(&exchange.decision) {
        return Err(format!("{decision:?}\n instead of {:?}", exchange.decision).into());
    }
    Ok(())
}
fn layer(decision: &Decision) -> String {
    match decision {
        Decision::LetIn => "let in".into(),
        Decision::Unclear(_) => "unclear".into(),
        Decision::Denied(d) => format!("{:?}", d.layer),
    }
}
