//! A cluster that is there, of which a server here has the answers: what is done where it answers otherwise than it
//! should.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::command_line::{NO_ENGINE, brinell, ran};
use crate::support::{Home, Ran};

/// A cluster that is there, by the context `staging` of the kubeconfig `theirs`.
struct Theirs {
    home: Home,
    server: String,
    /// Method and path of each request.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Theirs {
    /// With an API server that has these answers, each a code and a body.
    fn answering(answer: impl FnMut(&str) -> (u16, Value) + Send + 'static) -> Theirs {
        Theirs::behind(true, answer)
    }

    /// An API server with these answers, behind something that keeps the Audit-ID of requests or drops it.
    fn behind(
        keeps_id: bool,
        mut answer: impl FnMut(&str) -> (u16, Value) + Send + 'static,
    ) -> Theirs {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let server = format!("http://{}/", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever asks may have ended.
                let _ = exchange(&stream, keeps_id, |request| {
                    known.lock().expect("unharmed").push(request.to_owned());
                    answer(request)
                });
            }
        });
        let home = Home::new();
        let way = json!({
            "apiVersion": "v1", "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"username": "jane", "password": "s3cr3t"}}],
            "contexts": [{"name": "staging", "context": {"cluster": "c", "user": "u"}}],
        });
        fs::write(home.path("theirs"), way.to_string()).expect("written");
        Theirs { home, server, asked }
    }

    /// By a context of another user.
    fn by(self, user: &Value) -> Theirs {
        let way = fs::read_to_string(self.home.path("theirs")).expect("written");
        let mut way: Value = serde_json::from_str(&way).expect("JSON");
        way["users"][0]["user"] = user.clone();
        fs::write(self.home.path("theirs"), way.to_string()).expect("written");
        self
    }

    /// The folder of a run that was killed, with what it says of its cluster.
    fn left(&self, mark: &str) -> PathBuf {
        let folder = self.home.path("state/brinell/runs/k7f3a1");
        fs::create_dir_all(&folder).expect("a folder");
        for (file, text) in [("lock", ""), ("existing", mark)] {
            fs::write(folder.join(file), text).expect("written");
        }
        folder
    }

    /// The folder of a run that made a pod in a namespace that is given.
    fn left_a_pod(&self) -> PathBuf {
        let folder = self.left(&self.mark("u").replace("false", "true"));
        fs::write(folder.join("outside"), "\n/api/v1/namespaces/app/pods\n").expect("written");
        folder
    }

    /// What is said of a run that was on the cluster with this UID, at the address of this one.
    fn mark(&self, identity: &str) -> String {
        let way =
            json!({"context": {"kubeconfig": self.home.path("theirs"), "context": "staging"}});
        json!({"way": way, "identity": identity, "server": self.server, "is_given": false})
            .to_string()
    }

    fn brinell(&self, words: &[&str]) -> Ran {
        let mut brinell = brinell(&self.home, NO_ENGINE);
        ran(brinell.args(words).args(["--kubeconfig", "theirs", "--context", "staging"]))
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("unharmed").clone()
    }
}

/// Answers one request.
fn exchange(
    mut stream: &TcpStream,
    keeps_id: bool,
    answer: impl FnOnce(&str) -> (u16, Value),
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length, mut id) = (String::new(), 0, String::new());
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        match line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value)) {
            Some((name, value)) if name == "content-length" => {
                length = value.trim().parse().expect("a number");
            }
            Some((name, _)) if name == "audit-id" && keeps_id => id = line,
            _ => {}
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    let (code, body) = answer(first.trim_end().trim_end_matches(" HTTP/1.1"));
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {code} It\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{id}Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes())
}

fn refused(code: u16) -> (u16, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "no",
        "code": code,
    });
    (code, status)
}

/// A list with no more pages.
fn list(items: &[Value]) -> (u16, Value) {
    (
        200,
        json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items}),
    )
}

/// The request for the namespace whose UID says which cluster it is.
const WHICH: &str = "GET /api/v1/namespaces/kube-system";

/// The cluster with the UID `u`, on which there is nothing of any run's.
fn empty(request: &str) -> (u16, Value) {
    match request.split('?').next().unwrap_or_default() {
        WHICH => (200, json!({"metadata": {"name": "kube-system", "uid": "u"}})),
        "GET /api/v1/namespaces" => list(&[]),
        _ => refused(404),
    }
}

/// The pod of a run in a namespace that is given, until it is deleted; `None` for what is no request about it.
fn pod(request: &str, is_there: &mut bool) -> Option<(u16, Value)> {
    match request.split('?').next()? {
        "GET /api/v1/namespaces/app/pods" => {
            let pod = json!({"metadata": {"name": "a", "uid": "a"}});
            Some(list(if *is_there { std::slice::from_ref(&pod) } else { &[] }))
        }
        "DELETE /api/v1/namespaces/app/pods/a" => {
            *is_there = false;
            Some((200, json!({"kind": "Status", "status": "Success"})))
        }
        _ => None,
    }
}

#[test]
fn a_cluster_that_has_no_time_for_a_moment_is_swept() {
    let mut troubles = vec![503, 429, 500];
    let theirs = Theirs::answering(move |request| match request {
        WHICH => empty(request),
        _ => troubles.pop().map_or_else(|| empty(request), refused),
    });
    let folder = theirs.left(&theirs.mark("u"));
    let swept = theirs.brinell(&["sweep"]);
    assert_eq!(
        (swept.code, &*swept.stdout),
        (Some(0), "k7f3a1: removed, 0 namespaces\n"),
        "{swept:?}"
    );
    assert!(!folder.exists());
}

#[test]
fn whoever_may_not_sweep_is_told_so_at_once() {
    let theirs = Theirs::answering(|_| refused(401));
    theirs.left(&theirs.mark("u"));
    let swept = theirs.brinell(&["sweep"]);
    assert_eq!(swept.code, Some(4), "{swept:?}");
    assert!(swept.stderr.contains("(401)"), "{swept:?}");
    assert_eq!(theirs.asked().len(), 1, "{:?}", theirs.asked());
}

/// By its address alone a cluster is not known.
#[test]
fn whoever_may_not_read_which_cluster_it_is_is_told_what_is_missing() {
    let theirs = Theirs::answering(|request| match request {
        WHICH => refused(403),
        _ => empty(request),
    });
    let folder = theirs.left(&theirs.mark("u"));
    let swept = theirs.brinell(&["sweep"]);
    assert_eq!(swept.code, Some(4), "{swept:?}");
    assert!(swept.stdout.contains("k7f3a1: could not be removed: "), "{swept:?}");
    assert!(swept.stdout.contains("`get` of the namespace kube-system"), "{swept:?}");
    assert!(folder.exists());
    // It is another one.
    theirs.left(&theirs.mark("u").replace(&theirs.server, "http://elsewhere/"));
    let swept = theirs.brinell(&["sweep"]);
    assert_eq!((swept.code, &*swept.stdout), (Some(0), "nothing to sweep\n"), "{swept:?}");
}

/// A disk that was full has kept the beginning of it.
#[test]
fn a_run_whose_folder_does_not_tell_its_cluster_is_told_and_swept_by_its_name() {
    let mut is_there = true;
    let theirs = Theirs::answering(move |request| {
        pod(request, &mut is_there).unwrap_or_else(|| empty(request))
    });
    let folder = theirs.left_a_pod();
    theirs.left("{\"way\":");
    let swept = theirs.brinell(&["sweep"]);
    assert_eq!(swept.code, Some(4), "{swept:?}");
    assert!(swept.stdout.contains("k7f3a1: could not be removed: "), "{swept:?}");
    assert!(swept.stdout.contains("sweep --context NAME RUN"), "{swept:?}");
    assert!(folder.exists());
    let named = theirs.brinell(&["sweep", "k7f3a1"]);
    assert_eq!((named.code, &*named.stdout), (Some(0), "k7f3a1: removed, 1 object\n"), "{named:?}");
    assert!(!folder.exists());
}

/// The cluster when a run reaches it. Whoever asks may do nothing.
fn reached(request: &str) -> (u16, Value) {
    match request.split('?').next().unwrap_or_default() {
        "GET /version" => {
            let names =
                ["buildDate", "compiler", "gitCommit", "gitTreeState", "goVersion", "platform"];
            let mut version = json!({"major": "1", "minor": "36", "gitVersion": "v1.36.3"});
            for name in names {
                version[name] = "".into();
            }
            (200, version)
        }
        "POST /apis/authentication.k8s.io/v1/selfsubjectreviews" => {
            (201, json!({"metadata": {}, "status": {"userInfo": {"username": "jane"}}}))
        }
        "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews" => {
            (201, json!({"status": {"allowed": false}}))
        }
        _ => empty(request),
    }
}

/// Without the id no request is found in a log, so that it is asked first, whatever is planned.
#[test]
fn a_way_that_drops_our_id_is_told_in_the_first_lines() {
    for keeps_id in [true, false] {
        let theirs = Theirs::behind(keeps_id, reached);
        fs::write(theirs.home.path("log"), "").expect("written");
        fs::write(
            theirs.home.path("a.yaml"),
            "{title: t, audit: {file: ./log}, controls: {least-privilege: {}}}",
        )
        .expect("written");
        let scenario = ["--profile", "./a.yaml", "--scenario", "rights-anonymous"];
        let ran = theirs.brinell(&scenario);
        assert_eq!(ran.code, Some(4), "{ran:?}");
        let told: Vec<&str> = ran.stdout.split_whitespace().collect();
        let told = told.join(" ");
        let is_told =
            told.contains("no audit log: the way to the API server does not keep our Audit-ID");
        assert_eq!(is_told, !keeps_id, "{told}");
        assert_eq!(told.contains("its audit log is read"), keeps_id, "{told}");
    }
}

/// Otherwise it would be found out when everything is over, and nothing of it told.
#[test]
fn a_command_that_prints_no_log_ends_the_run_before_it_makes_anything() {
    let theirs = Theirs::answering(reached);
    fs::write(
        theirs.home.path("a.yaml"),
        "{title: t, audit: {command: [/bin/sh, -c, exit 1]}, controls: {least-privilege: {}}}",
    )
    .expect("written");
    let scenario = ["--profile", "./a.yaml", "--scenario", "rights-anonymous"];
    let ran = theirs.brinell(&scenario);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains("`audit.command`: `/bin/sh` ended with exit status: 1"), "{ran:?}");
    let asked = theirs.asked();
    assert!(!asked.iter().any(|it| it.starts_with("POST /api/v1/namespaces")), "{asked:?}");
    // A plan opens no log.
    let plan = theirs.brinell(&[&["plan"][..], &scenario[..]].concat());
    assert!(!format!("{plan:?}").contains("audit.command"), "{plan:?}");
}

/// What is served: pods and ServiceAccounts.
fn discovered() -> (u16, Value) {
    let resource = |plural: &str, kind: &str| {
        json!({
            "resource": plural, "responseKind": {"group": "", "version": "v1", "kind": kind},
            "scope": "Namespaced", "singularResource": kind, "verbs": ["create", "delete", "list"],
        })
    };
    let resources = [resource("pods", "Pod"), resource("serviceaccounts", "ServiceAccount")];
    let versions = json!([{"version": "v1", "freshness": "Current", "resources": resources}]);
    let core = json!({"metadata": {"name": ""}, "versions": versions});
    let found = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
        "items": [core],
    });
    (200, found)
}

/// A profile that gives namespaces.
const GIVES: &str = "
title: t
cluster: {namespaces: {personas: people, production-app: app}}
controls: {exec-guard: {decides: [{webhook: \"validate.kyverno.svc-*\"}], saying: not allowed}, pod-security: {}}
";

/// Its folder is on the machine on which it was started.
#[test]
fn a_run_from_elsewhere_is_swept_out_of_given_namespaces_by_its_profile() {
    for may_list in [true, false] {
        let mut is_there = true;
        let theirs = Theirs::answering(move |request| match request.split('?').next() {
            Some("GET /api") => discovered(),
            Some("GET /apis") => (
                200,
                json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": []}),
            ),
            Some("GET /api/v1/namespaces/people/serviceaccounts") if !may_list => refused(403),
            Some(
                "GET /api/v1/namespaces/people/serviceaccounts"
                | "GET /api/v1/namespaces/app/serviceaccounts",
            ) => list(&[]),
            // A run there may list none.
            Some("GET /api/v1/namespaces") => refused(403),
            _ => pod(request, &mut is_there).unwrap_or_else(|| empty(request)),
        });
        fs::write(theirs.home.path("gives.yaml"), GIVES).expect("written");
        // Whoever has nothing but these namespaces can remove what a torn folder tells, too.
        let folder = theirs.left("{\"way\":");
        let torn = theirs.brinell(&["sweep", "--profile", "./gives.yaml", "k7f3a1"]);
        assert_eq!(torn.stdout, "k7f3a1: removed, 0 namespaces\n", "{torn:?}");
        assert!(!folder.exists());
        let swept = theirs.brinell(&["sweep", "--profile", "./gives.yaml", "k7f3a1"]);
        let far = "1 object, as far as the scenarios of this profile make it";
        let (code, told) = match may_list {
            true => (0, format!("k7f3a1: removed, {far}\n")),
            false => (
                4,
                format!(
                    "k7f3a1: could not be removed: {far}, but whoever sweeps may not list /api/v1/namespaces/people/serviceaccounts\n"
                ),
            ),
        };
        assert_eq!((swept.code, &*swept.stdout), (Some(code), &*told), "{swept:?}");
        let asked = theirs.asked();
        let mut lists = asked.iter().filter(|it| it.starts_with("GET /api/v1/namespaces/app/"));
        assert!(
            lists.all(|it| it.contains("labelSelector=brinell.dev%2Frun%3Dk7f3a1")),
            "{asked:?}"
        );
    }
}

#[test]
fn a_profile_is_for_a_run_in_namespaces_that_it_gives() {
    let theirs = Theirs::answering(empty);
    fs::write(
        theirs.home.path("gives.yaml"),
        GIVES.replace("namespaces: {personas: people, production-app: app}", ""),
    )
    .expect("written");
    let swept = theirs.brinell(&["sweep", "--profile", "./gives.yaml", "k7f3a1"]);
    assert_eq!(swept.code, Some(2), "{swept:?}");
    assert!(swept.stderr.contains("gives no namespaces"), "{swept:?}");
    let swept = theirs.brinell(&["sweep", "--profile", "./gives.yaml"]);
    assert!(swept.code == Some(2) && swept.stderr.contains("<RUN>"), "{swept:?}");
    assert!(theirs.asked().is_empty(), "{:?}", theirs.asked());
}

/// Two runs cannot be in the same namespaces, and a night that was killed must not cost the next one.
#[test]
fn a_run_in_given_namespaces_removes_first_what_an_ended_one_left() {
    let mut is_there = true;
    let theirs = Theirs::answering(move |request| match request.split('?').next() {
        Some("POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews") => {
            (201, json!({"status": {"allowed": true}}))
        }
        Some("GET /api/v1/namespaces/people" | "GET /api/v1/namespaces/app") => {
            (200, json!({"metadata": {"name": "it", "uid": "it"}}))
        }
        _ => pod(request, &mut is_there).unwrap_or_else(|| reached(request)),
    });
    let gives = GIVES.replace("production-app", "web-app");
    fs::write(theirs.home.path("gives.yaml"), gives).expect("written");
    let run = ["--profile", "./gives.yaml", "--scenario", "hostpath-root", "--rate", "0"];
    let told = || {
        let ran = theirs.brinell(&run);
        ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(told().contains("nothing was left"), "{}", told());

    // It is alive.
    let folder = theirs.left_a_pod();
    let lock = fs::File::open(folder.join("lock")).expect("there");
    lock.lock().expect("locked");
    assert!(told().contains("k7f3a1: is running"), "{}", told());

    // Somebody else sweeps it, and gives up.
    fs::write(folder.join("taken"), "").expect("written");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(2));
            lock.unlock().expect("unlocked");
        });
        let told = told();
        assert!(told.contains("k7f3a1: removed, 1 object"), "{told}");
    });
    assert!(!folder.exists());
}

/// As kubectl takes it: `kubectl create token` ends it so.
#[test]
fn a_token_in_a_file_may_end_in_a_line_break() {
    for token in ["t0k3n", "t0k3n\n", "t0k3n\r\n"] {
        let theirs = Theirs::answering(empty).by(&json!({"tokenFile": "./token"}));
        fs::write(theirs.home.path("token"), token).expect("written");
        theirs.left(&theirs.mark("u"));
        let swept = theirs.brinell(&["sweep"]);
        assert_eq!(swept.stdout, "k7f3a1: removed, 0 namespaces\n", "{swept:?}");
    }
}

/// It is asked for the third time when what the run made is removed: nothing more than that may wait for it.
#[test]
fn signals_are_heard_while_a_plug_in_hangs() {
    let script = r#"PATH=/usr/bin:/bin; echo >> calls; [ "$(wc -l < calls)" -gt 2 ] && exec sleep 600; echo "$0""#;
    let credential = r#"{"kind": "ExecCredential", "status": {"token": "t0k3n"}}"#;
    let exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "command": "/bin/sh", "args": ["-c", script, credential],
    });
    let theirs = Theirs::answering(|request| match request.split('?').next() {
        Some("POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews") => {
            (201, json!({"status": {"allowed": true}}))
        }
        Some("GET /api/v1/namespaces/people" | "GET /api/v1/namespaces/app") => {
            (200, json!({"metadata": {"name": "it", "uid": "it"}}))
        }
        _ => reached(request),
    });
    let theirs = theirs.by(&json!({"exec": exec}));
    let gives = GIVES.replace("production-app", "web-app");
    fs::write(theirs.home.path("gives.yaml"), gives).expect("written");
    let mut run = brinell(&theirs.home, NO_ENGINE);
    run.args(["--kubeconfig", "theirs", "--context", "staging", "--profile", "./gives.yaml"]);
    run.args(["--scenario", "hostpath-root", "--rate", "0"]).stdout(Stdio::null());
    let mut running = run.spawn().expect("started");
    let begun = Instant::now();
    while fs::read(theirs.home.path("calls")).unwrap_or_default().len() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is not asked a third time");
        std::thread::sleep(Duration::from_millis(20));
    }
    let signalled = Instant::now();
    for signal in ["-INT", "-TERM"] {
        let sent = Command::new("kill").args([signal, &running.id().to_string()]).status();
        assert!(sent.expect("started").success());
    }
    assert_eq!(running.wait().expect("waited").code(), Some(4));
    assert!(signalled.elapsed() < Duration::from_secs(5), "{:?}", signalled.elapsed());
    assert_eq!(theirs.home.runs().len(), 1);
}
