//! Plug-ins for credentials, as kube starts them: by brinell, which runs the program that a kubeconfig names.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::command_line::{NO_ENGINE, brinell, ran};
use crate::support::{Home, Ran};

/// What a plug-in is to print.
const CREDENTIAL: &str = r#"{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",
    "status": {"token": "t0k3n"}}"#;

/// How a plug-in ends that is this shell script and has so many seconds.
fn runs(home: &Home, within: &str, script: &str) -> Ran {
    let mut brinell = brinell(home, NO_ENGINE);
    let us = std::process::id().to_string();
    brinell
        .args(["plug-in", "--within", within, &us, "--", "/bin/sh", "-c", script, "sh", "s3cr3t"]);
    ran(brinell.env("CREDENTIAL", CREDENTIAL).env("PATH", "/bin:/usr/bin"))
}

#[test]
fn the_credentials_that_a_plug_in_prints_are_passed_on_and_nothing_else() {
    let ran = runs(&Home::new(), "30", "echo \"$CREDENTIAL\"; echo noted >&2");
    let passed_on = r#"{"kind":"ExecCredential","status":{"token":"t0k3n"}}"#;
    assert_eq!((ran.code, ran.stdout.trim()), (Some(0), passed_on), "{ran:?}");
    let all = r#"{"clientCertificateData":"c","clientKeyData":"k","expirationTimestamp":"t"}"#;
    let printed = format!("{{kind: ExecCredential, spec: 1, status: {all}}}");
    let ran = runs(&Home::new(), "30", &format!("echo '{printed}'"));
    let passed_on = format!("{{\"kind\":\"ExecCredential\",\"status\":{all}}}");
    assert_eq!((ran.code, ran.stdout.trim()), (Some(0), passed_on.as_str()), "{ran:?}");
}

#[test]
fn a_plug_in_that_hangs_is_ended_with_all_that_it_started() {
    let home = Home::new();
    let begun = Instant::now();
    let ran = runs(&home, "1", "sleep 600 & echo $! > child; wait");
    assert!(begun.elapsed() < Duration::from_secs(20), "{ran:?}");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(4), ""), "{ran:?}");
    assert!(ran.stderr.contains("`/bin/sh` did not end within 1 seconds"), "{ran:?}");
    let child = fs::read_to_string(home.path("child")).expect("started");
    let process = Path::new("/proc").join(child.trim());
    while is_alive(&process) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{child} is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One that has ended and is not waited for yet is not alive.
fn is_alive(process: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn a_plug_in_that_asks_gets_no_answer() {
    for script in ["read it && echo \"$CREDENTIAL\"", "exec < /dev/tty && echo \"$CREDENTIAL\""] {
        let ran = runs(&Home::new(), "30", script);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(4), ""), "{ran:?}");
        assert!(ran.stderr.contains("so it must not ask anything"), "{ran:?}");
        assert!(!ran.stderr.contains("s3cr3t"), "{ran:?}");
    }
}

#[test]
fn what_is_no_credential_is_refused_and_not_shown() {
    for printed in [
        "t0k3n",
        "",
        "{kind: ExecCredential, status: {}}",
        "{kind: Status, status: {token: t0k3n}}",
        "{kind: ExecCredential, status: {clientCertificateData: t0k3n}}",
        r#"{kind: ExecCredential, status: {token: "t0k3n\u000a"}}"#,
    ] {
        let ran = runs(&Home::new(), "30", &format!("echo '{printed}'"));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(4), ""), "{ran:?}");
        assert!(ran.stderr.contains("printed no ExecCredential"), "{ran:?}");
        assert!(!ran.stderr.contains("t0k3n"), "{ran:?}");
    }
}

#[test]
fn a_plug_in_ends_with_whoever_needs_it() {
    let home = Home::new();
    let mut asker = std::process::Command::new("/bin/sh");
    let run = r#""$0" plug-in --within 600 $$ -- /bin/sh -c 'echo $$ > child; sleep 600' & wait"#;
    asker.args(["-c", run, env!("CARGO_BIN_EXE_brinell")]).current_dir(home.path(""));
    let mut asker = asker.stdin(Stdio::null()).spawn().expect("started");
    let begun = Instant::now();
    let child = loop {
        let child = fs::read_to_string(home.path("child")).unwrap_or_default();
        if child.ends_with('\n') {
            break child;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it is not started");
        std::thread::sleep(Duration::from_millis(20));
    };
    asker.kill().expect("killed");
    asker.wait().expect("waited");
    while is_alive(&Path::new("/proc").join(child.trim())) {
        assert!(begun.elapsed() < Duration::from_secs(80), "{child} is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The terminal of a session can be opened by whoever belongs to it.
#[test]
fn a_plug_in_is_in_no_session_of_ours() {
    let home = Home::new();
    let ran = runs(&home, "30", "cat /proc/$$/stat > stat; echo \"$CREDENTIAL\"");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let session = |stat: String| stat.rsplit(") ").next()?.split(' ').nth(3).map(str::to_owned);
    let theirs = session(fs::read_to_string(home.path("stat")).expect("written"));
    let ours = session(fs::read_to_string("/proc/self/stat").expect("readable"));
    assert!(theirs.is_some() && theirs != ours, "{theirs:?}");
}

/// kube shows the command of a plug-in that fails, with its environment.
#[test]
fn nothing_of_a_plug_in_is_shown_but_what_it_says() {
    let home = Home::new();
    fs::write(home.path("theirs"), FAILING).expect("written");
    let mut brinell = brinell(&home, NO_ENGINE);
    let ran = ran(brinell.args(["--kubeconfig", "theirs", "--context", "staging"]));
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains("`/bin/sh` ended with exit status: 3"), "{ran:?}");
    assert!(ran.stderr.contains("log in first"), "{ran:?}");
    assert!(!ran.stderr.contains("s3cr3t"), "{ran:?}");
}

/// kube shows the lines of what it cannot read.
#[test]
fn nothing_of_what_a_plug_in_prints_is_shown() {
    for spec in ["\"x\"", "{\"interactive\": \"no\"}"] {
        let home = Home::new();
        let printed = format!(
            r#"{{"kind": "ExecCredential", "spec": {spec},\n "status": {{"token": "s3cr3t"}}}}"#
        );
        let way = json!({
            "apiVersion": "v1", "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
            "users": [{"name": "u", "user": {"exec": {
                "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
                "command": "/bin/sh", "args": ["-c", "printf \"$0\"", printed],
            }}}],
            "contexts": [{"name": "staging", "context": {"cluster": "c", "user": "u"}}],
        });
        fs::write(home.path("theirs"), way.to_string()).expect("written");
        let mut brinell = brinell(&home, NO_ENGINE);
        brinell.args(["--kubeconfig", "theirs", "--context", "staging", "--json", "out.json"]);
        let ran = ran(&mut brinell);
        assert_eq!(ran.code, Some(4), "{ran:?}");
        let json = fs::read_to_string(home.path("out.json")).expect("written");
        assert!(!ran.stderr.contains("s3cr3t") && !json.contains("s3cr3t"), "{ran:?}\n{json}");
        // The credentials were good, and nobody listens.
        assert!(ran.stderr.contains("https://127.0.0.1:1/ cannot be used: "), "{ran:?}");
        assert!(ran.stderr.contains("refused"), "{ran:?}");
    }
}

const FAILING: &str = "
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: \"https://127.0.0.1:1\"}}]
users:
- name: u
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      interactiveMode: IfAvailable
      command: /bin/sh
      args: [-c, \"echo log in first >&2; exit 3\", s3cr3t]
      env: [{name: KEY, value: s3cr3t}]
contexts: [{name: staging, context: {cluster: c, user: u}}]
";
