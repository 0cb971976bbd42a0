//! Sets each case up, sends it until what was set up acts, and writes down what came of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use brinell::audit::AuditLog;
use brinell::cluster::{Pace, client};
use brinell::model::{Answer, Decision, Denial, Exchange, Log, Method, Sent, User, verb};
use http::Request;
use kube::Client;
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

use crate::Failure;
use crate::answer::read;
use crate::case::{Case, Cases, Decides, Step, To, pod, split};
use crate::cluster::{AUDIT_ID, exchange};
use crate::other_end::{Reply, serve};
use crate::started::{ADMIN, Cluster, MACHINE, PORT};

/// The other end's port for plain HTTP.
const PLAIN: u16 = 9080;
/// The other end's port for TLS.
const SECRET: u16 = 9443;
/// A port on which nobody listens.
const CLOSED: u16 = 9;

/// How long a case may take to act, and an API server to start.
const RECORDING: Duration = Duration::from_secs(60);
/// The pause between two tries: no event tells when a policy acts.
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// What every Audit-ID begins with.
const RUN: &str = "record";

const CASES: &str = include_str!("cases.yaml");

/// Records every case whose name begins with `only`.
pub async fn record(assets: &Path, corpus: &Path, only: &str) -> Result<(), Failure> {
    let (all, mut cases) = Cases::read(CASES)?;
    cases.retain(|name, _| name.starts_with(only));
    let cluster = Cluster::start(assets, &all.users)?;
    let certificate = (&*cluster.certificates.certificate, &*cluster.certificates.key);
    serve("0.0.0.0", (PLAIN, SECRET), certificate, Arc::new(replies(&cases))).await?;
    let server = Server::start(&cluster, PORT)?;
    let recorder = Recorder { cluster, server };
    if timeout(RECORDING, recorder.ready()).await.is_err() {
        return Err(recorder.cluster.last_words().into());
    }
    for step in &all.setup {
        recorder.step(step).await?;
    }
    let mut missing = Vec::new();
    for (name, case) in &cases {
        match recorder.case(name, case).await {
            Ok(exchange) => write(corpus, name, &exchange)?,
            Err(error) => missing.push(format!("{name}: {error}")),
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(missing.join("\n").into()) }
}

/// Writes one file of the corpus.
pub fn write(corpus: &Path, name: &str, exchange: &Exchange) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(exchange)?;
    std::fs::write(corpus.join(format!("{name}.json")), text + "\n")?;
    println!("{name}");
    Ok(())
}

fn replies(cases: &BTreeMap<String, Case>) -> BTreeMap<String, Reply> {
    let mut replies = BTreeMap::from([("/images".to_owned(), Reply::Images)]);
    for (name, case) in cases {
        replies.extend(case.replies.clone());
        if let Some(reply) = case.hook.as_ref().and_then(|hook| hook.reply.clone()) {
            replies.insert(format!("/hook/{name}"), reply);
        }
    }
    replies
}

struct Recorder {
    cluster: Cluster,
    server: Server,
}

/// An API server with its log.
struct Server {
    port: u16,
    log: AuditLog,
    _process: Child,
}

impl Server {
    fn start(cluster: &Cluster, port: u16) -> Result<Self, Failure> {
        let log = AuditLog::new(RUN, "");
        let process = cluster.api_server(port, &log)?;
        Ok(Server { port, log, _process: process })
    }
}

/// One try of a case.
struct Try {
    sent: Sent,
    answer: Answer,
}

impl Recorder {
    async fn ready(&self) {
        while !self
            .admin("GET", "/readyz", None)
            .await
            .is_ok_and(|answer| answer.code() == Some(200))
        {
            sleep(BETWEEN_TRIES).await;
        }
    }

    /// Sends as the admin.
    async fn admin(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let patch = if method == "PATCH" { "merge-patch+" } else { "" };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Content-Type", format!("application/{patch}json"))
            .body(body.map(Value::to_string).unwrap_or_default().into_bytes())?;
        let admin = self.client(&api_server(PORT), ADMIN).await?;
        Ok(answer(&admin, request).await)
    }

    async fn client(&self, url: &str, user: &str) -> Result<Client, Failure> {
        Ok(client(self.cluster.config(url, user)?, &Pace::free()).await?)
    }

    async fn step(&self, step: &Step) -> Result<(), Failure> {
        let (method, path) = split(&step.ask);
        let pod = step.pod.as_ref().map(pod);
        self.make(method, path, pod.as_ref().or(step.body.as_ref())).await
    }

    async fn make(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(), Failure> {
        match self.admin(method, path, body).await? {
            Answer::Http(response) if response.is_success() => Ok(()),
            other => Err(format!("{method} {path}: {other:?}").into()),
        }
    }

    async fn case(&self, name: &str, case: &Case) -> Result<Exchange, Failure> {
        self.set_up(name, case).await?;
        let starting = match case.to {
            To::StartingApiServer => Some(Server::start(&self.cluster, PORT + 1)?),
            _ => None,
        };
        let server = starting.as_ref().unwrap_or(&self.server);
        let started = Instant::now();
        for attempt in 1.. {
            let tried = self.send(name, case, attempt).await?;
            if starting.is_some() && tried.answer.code().is_none() {
                // Its port is not open yet; what comes first when it is must not be missed.
                continue;
            }
            let log = self.events(&tried, server).await?;
            if acts(case, &tried, &log) {
                return Ok(exchanged(case, tried, log));
            }
            if started.elapsed() > RECORDING {
                return Err(format!(
                    "answered {:?}, and this is in its log: {log:?}",
                    tried.answer
                )
                .into());
            }
            sleep(BETWEEN_TRIES).await;
        }
        unreachable!("attempts do not end")
    }

    /// The case's namespace, and what acts there.
    async fn set_up(&self, name: &str, case: &Case) -> Result<(), Failure> {
        let namespace = json!({"metadata": {"name": name, "labels": case.labels, "annotations": case.annotations}});
        self.make("POST", "/api/v1/namespaces", Some(&namespace)).await?;
        let accounts = format!("/api/v1/namespaces/{name}/serviceaccounts");
        let account = json!({"metadata": {"name": "default"}});
        self.make("POST", &accounts, Some(&account)).await?;
        for step in &case.steps {
            self.step(step).await?;
        }
        if let Some(hook) = &case.hook {
            let server = format!("https://localhost:{SECRET}");
            let (path, body) = hook.object(name, &server, &self.cluster.certificates.ca);
            self.make("POST", &path, Some(&body)).await?;
        }
        for policy in &case.policies {
            for (path, body) in policy.objects(name) {
                self.make("POST", &path, Some(&body)).await?;
            }
        }
        Ok(())
    }

    async fn send(&self, name: &str, case: &Case, attempt: u32) -> Result<Try, Failure> {
        let audit_id = format!("{RUN}-{name}-{attempt}");
        let fill = |text: &str| text.replace("${attempt}", &attempt.to_string());
        let (method, path) = split(&case.ask);
        let uri = fill(path);
        let body = match (&case.text, &case.pod, &case.body) {
            (Some(text), ..) => text.repeat(case.times.unwrap_or(1)),
            (_, Some(over), _) => fill(&pod(over).to_string()),
            (_, _, body) => body.as_ref().map(|body| fill(&body.to_string())).unwrap_or_default(),
        };
        let request = |audit_id: &str| {
            let mut request = Request::builder()
                .method(method)
                .uri(&uri)
                .header("Audit-ID", audit_id)
                .header("User-Agent", "brinell");
            if !case.headers.contains_key("Content-Type") {
                request = request.header("Content-Type", "application/json");
            }
            for (header, value) in &case.headers {
                request = request.header(header, value);
            }
            request.body(body.clone().into_bytes())
        };
        let sender = self.client(&address(case.to), &case.r#as).await?;
        if case.meanwhile {
            let (sender, other) = (sender.clone(), request(&format!("{audit_id}-other"))?);
            tokio::spawn(async move { answer(&sender, other).await });
            sleep(BETWEEN_TRIES).await;
        }
        let answer = answer(&sender, request(&audit_id)?).await;
        let nobody = ["nobody", "stranger"].contains(&case.r#as.as_str());
        let sent = Sent {
            persona: case.r#as.clone(),
            user: (!nobody).then(|| case.r#as.clone()),
            impersonated: impersonated(&case.headers),
            door: case.door,
            method: method.to_owned(),
            verb: Some(verb(method_of(method)?, &uri).to_owned()),
            uri,
            audit_id: Some(audit_id),
            body: !body.is_empty(),
        };
        Ok(Try { sent, answer })
    }

    /// The events of a try, up to a fence behind it.
    async fn events(&self, tried: &Try, server: &Server) -> Result<Log, Failure> {
        let audit_id = tried.sent.audit_id.as_deref().unwrap_or_default();
        let fence = format!("{audit_id}-fence");
        let admin = self.client(&api_server(server.port), ADMIN).await?;
        let request = || Request::get("/apis/brinell.dev/fence").header(AUDIT_ID, &fence);
        while exchange(&admin, request().body(Vec::new())?).await.is_err() {
            sleep(BETWEEN_TRIES).await;
        }
        server.log.wait_for(&fence, RECORDING).await?;
        Ok(Log::Read { events: server.log.events(audit_id), traces: Vec::new(), fence })
    }
}

async fn answer(client: &Client, request: Request<Vec<u8>>) -> Answer {
    match exchange(client, request).await {
        Ok(response) => read(response).await,
        Err(silence) => Answer::Nothing(silence),
    }
}

fn api_server(port: u16) -> String {
    format!("https://localhost:{port}")
}

fn address(to: To) -> String {
    match to {
        To::ApiServer => api_server(PORT),
        To::StartingApiServer => api_server(PORT + 1),
        To::Proxy => format!("http://{MACHINE}:{PLAIN}"),
        To::Nobody => format!("http://{MACHINE}:{CLOSED}"),
    }
}

fn method_of(name: &str) -> Result<Method, Failure> {
    Ok(serde_json::from_value(Value::String(name.to_owned()))?)
}

/// Whether the answer shows that everything that was set up acts.
fn acts(case: &Case, tried: &Try, log: &Log) -> bool {
    let Log::Read { events, .. } = log else { return false };
    let noted = case.noted.as_ref().is_none_or(|start| {
        let mut keys = events.iter().flat_map(|event| event.annotations.keys());
        keys.any(|key| key.starts_with(start.as_str()))
    });
    tried.answer.code() == case.code && noted
}

fn exchanged(case: &Case, Try { sent, answer }: Try, log: Log) -> Exchange {
    let words = match &answer {
        Answer::Http(response) => response.words().to_owned(),
        other => format!("{other:?}"),
    };
    let decision = match case.decides.clone() {
        Decides::LetIn => Decision::LetIn,
        Decides::Unclear => Decision::Unclear(words),
        Decides::Layer(layer) => Decision::Denied(Denial { layer, message: words }),
    };
    Exchange { about: case.about.clone(), sent, answer, log, decision }
}

fn impersonated(headers: &BTreeMap<String, String>) -> Option<User> {
    let groups = headers.get("Impersonate-Group").cloned().into_iter().collect();
    Some(User { username: headers.get("Impersonate-User")?.clone(), groups })
}
