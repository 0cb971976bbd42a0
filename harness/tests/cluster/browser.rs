//! Pages in a headless browser: a run, a proof and a comparison, as a person opens them. What they hold is told by the
//! document that the browser made of each, and what is wrong in one by its console.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use brinell::cluster::DEFAULT_VERSION;
use libtest_mimic::{Failed, Trial};

use crate::embedded::{self, or_ignored};
use crate::support::{Home, cache};

/// Debian's package of the same name.
const BROWSER: &str = "chromium";

/// What the page holds that a browser is tried with.
const MARKER: &str = "a browser was here";

/// All of these tests.
pub fn trials() -> Vec<Trial> {
    let in_ci = std::env::var_os("CI").is_some();
    let lacking = if in_ci { None } else { lacking(BROWSER) };
    let pages = Trial::test("browser/pages", every_page_is_shown_without_an_error);
    let pages = or_ignored(pages, DEFAULT_VERSION, embedded::is_there(DEFAULT_VERSION));
    let error = Trial::test("browser/error", an_error_is_told_by_the_console);
    let [pages, error] = [pages, error].map(|trial| ignored_for(trial, lacking));
    let lacking = Trial::test("browser/lacking", what_opens_no_page_is_no_browser);
    vec![pages, error, lacking]
}

fn ignored_for(trial: Trial, lacking: Option<&str>) -> Trial {
    let Some(lacking) = lacking else { return trial };
    trial.with_kind(format!("needs {lacking}")).with_ignored_flag(true)
}

/// What a program lacks to be the browser of these tests; `None` if nothing. One that is confined, as a snap is, is there and
/// does not see a temporary folder.
fn lacking(browser: &str) -> Option<&'static str> {
    let version = Command::new("timeout").args(["10", browser, "--version"]).output();
    if !version.is_ok_and(|output| output.status.success()) {
        return Some("chromium");
    }
    let opens = || {
        let folder = tempfile::tempdir()?;
        let page = folder.path().join("page.html");
        std::fs::write(&page, format!("<p>{MARKER}</p>"))?;
        Ok::<_, Failed>(opened(browser, &page)?.document.contains(MARKER))
    };
    let opens = opens().unwrap_or(false);
    (!opens).then_some("a chromium that opens files of a temporary folder")
}

/// A program that is not there or fails, and one that ends well whatever it is asked and shows nothing.
fn what_opens_no_page_is_no_browser() -> Result<(), Failed> {
    assert_eq!(lacking("brinell-no-such-browser"), Some("chromium"));
    assert_eq!(lacking("false"), Some("chromium"));
    assert!(lacking("true").is_some_and(|it| it.contains("temporary folder")));
    Ok(())
}

/// What the pages are made of: two runs and the proof of a weakening.
fn every_page_is_shown_without_an_error() -> Result<(), Failed> {
    let home = Home::new();
    let chosen = ["-s", "pod-sysctls", "-s", "secret-list-cluster"];
    let run = |profile: &str, name: &str| {
        let report = format!("{name}.json");
        let page = format!("{name}.html");
        let ran = ["--profile", profile, "--report", &report, "--report", &page];
        ran_at(&home, &[&ran[..], &chosen].concat())
    };
    run("open", "before")?;
    run("hardened", "after")?;
    let proof =
        ["prove", "--control", "pod-security", "-s", "pod-sysctls", "--report", "proof.html"];
    ran_at(&home, &proof)?;
    let compared =
        home.brinell().args(["compare", "before.json", "after.json", "--as", "html"]).output()?;
    std::fs::write(home.path("comparison.html"), compared.stdout)?;
    for (page, parts) in [
        (
            "before.html",
            &[
                "<h2>Look here first</h2>",
                "<h2>Controls</h2>",
                "<h2>Every scenario</h2>",
                "<li class=\"failed\"><b>2</b> failed</li>",
                "<details class=\"scenario failed\"",
                "<span class=\"name\">secret-list-cluster</span>",
                "<dt>expected</dt><dd><mark>",
            ][..],
        ),
        (
            "proof.html",
            &[
                "<h2>Weakenings against scenarios</h2>",
                "<caption>pod-security</caption>",
                "<li class=\"caught\"><b>1</b> caught</li>",
                "<td class=\"caught\"><span class=\"word\">caught</span></td>",
                "<h3>pod-security/warn-only</h3>",
            ],
        ),
        (
            "comparison.html",
            &[
                "<h2>What is different</h2>",
                "<li class=\"better\"><b>2</b> better</li>",
                "<del>failed</del> → <ins>passed</ins>",
            ],
        ),
    ] {
        let Opened { document, console } = opened(BROWSER, &home.path(page))?;
        assert_eq!(console, [""; 0], "{page}");
        for part in parts {
            assert!(document.contains(part), "{page} does not hold {part}:\n{document}");
        }
    }
    Ok(())
}

/// A page with a script that its policy forbids: the browser does not run it, and says so.
fn an_error_is_told_by_the_console() -> Result<(), Failed> {
    let home = Home::new();
    std::fs::write(home.path("results.json"), include_str!("../fast/results/before.json"))?;
    let made = home.brinell().args(["report", "results.json", "--as", "html"]).output()?;
    let page = String::from_utf8(made.stdout)?;
    let script = "<script>document.title = 'run'</script></main>";
    std::fs::write(home.path("page.html"), page.replace("</main>", script))?;
    let Opened { document, console } = opened(BROWSER, &home.path("page.html"))?;
    assert!(console.iter().any(|line| line.contains("Content Security Policy")), "{console:?}");
    assert!(!document.contains("<title>run</title>"), "{document}");
    Ok(())
}

/// A run or a proof, which may fail, on an embedded cluster whose programs are in the cache of whoever tests.
fn ran_at(home: &Home, arguments: &[&str]) -> Result<(), Failed> {
    let mut command = home.brinell();
    command.args(arguments).args(["--cluster", "embedded"]).env("XDG_CACHE_HOME", cache());
    let output = command.stdin(Stdio::null()).output()?;
    match output.status.code() {
        Some(0 | 1) => Ok(()),
        _ => Err(format!("{arguments:?}: {output:?}").into()),
    }
}

/// A page in the browser.
struct Opened {
    /// What the browser made of it.
    document: String,
    /// What it had to say.
    console: Vec<String>,
}

/// Opens a page without a network, in a profile that is thrown away. `timeout` ends a browser that hangs.
fn opened(program: &str, page: &Path) -> Result<Opened, Failed> {
    let profile = tempfile::tempdir()?;
    let profile_flag = format!("--user-data-dir={}", profile.path().display());
    let mut browser = Command::new("timeout");
    browser.args(["--kill-after=5", "60", program, "--headless", "--no-sandbox", "--disable-gpu"]);
    browser.args(["--disable-dev-shm-usage", "--disable-background-networking"]);
    browser.args(["--proxy-server=127.0.0.1:9", "--enable-logging=stderr", &profile_flag]);
    browser.arg("--dump-dom").arg(address(page)).env("HOME", profile.path());
    let output = browser.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(format!("{}: {output:?}", page.display()).into());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let console = said.lines().filter(|line| line.contains(":CONSOLE"));
    Ok(Opened {
        document: String::from_utf8(output.stdout)?,
        console: console.map(str::to_owned).collect(),
    })
}

fn address(page: &Path) -> PathBuf {
    PathBuf::from(format!("file://{}", page.display()))
}
