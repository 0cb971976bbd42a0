//! The Docker engine, by its own command: one in a virtual machine serves as well, because files go in and come out
//! through it.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::cluster::process::{ANSWERING, CHANGING, Group, MAKING, Outside, ProcessError, SHOWING};
use crate::cluster::{commands, run_folder};
use crate::model::RUN_LABEL;

/// The engine's own command. It has our environment: how it reaches its engine, also through a proxy, is its user's.
const DOCKER: &str = "docker";

/// A file for a node, by its absolute path.
pub struct NodeFile {
    /// Where it lies in the node.
    pub path: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// The engine, as one run uses it.
#[derive(Debug, Clone)]
pub struct Engine {
    run: String,
    environment: OnceCell<Vec<(&'static str, OsString)>>,
}

impl Engine {
    /// The engine's version, which shows that it answers, and the names of its parts.
    pub async fn version() -> Result<String, ProcessError> {
        let format = "{{.Server.Version}}{{range .Server.Components}} {{.Name}}{{end}}";
        let text = docker(&["version", "--format", format], ANSWERING).await?;
        Ok(text.trim().to_owned())
    }

    /// What the command says that it is: `Docker version 28.5.2`, where it is not another engine's.
    pub async fn command() -> Result<String, ProcessError> {
        docker(&["--version"], ANSWERING).await
    }

    /// Where the engine is, as its command is configured: `unix:///var/run/docker.sock`.
    pub async fn host() -> Result<String, ProcessError> {
        match std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()) {
            Some(host) => Ok(host),
            None => {
                let format = "{{.Endpoints.docker.Host}}";
                docker(&["context", "inspect", "--format", format], ANSWERING).await
            }
        }
    }

    /// The engine for a run, whose label goes on everything.
    pub fn new(run: &str) -> Self {
        Engine { run: run.to_owned(), environment: OnceCell::new() }
    }

    /// The variables for what makes something: the run's marks, and another configuration of the engine's command than
    /// the user's, one that is not there. The user's may name proxies, and the command would put them into every
    /// container, with their passwords. Which engine is meant must then be said too.
    pub(super) async fn environment(&self) -> Vec<(&'static str, OsString)> {
        let make = async || {
            let mut variables = commands::marks(&self.run);
            let host = Engine::host().await.unwrap_or_default();
            // Over TCP it may need the keys beside the user's configuration.
            if let (true, Ok(folder)) = (host.starts_with("unix://"), run_folder::path(&self.run)) {
                variables.push(("DOCKER_HOST", host.trim().into()));
                variables.push(("DOCKER_CONFIG", folder.join("no-configuration").into()));
            }
            variables
        };
        self.environment.get_or_init(make).await.clone()
    }

    fn label(&self) -> String {
        format!("{RUN_LABEL}={}", self.run)
    }

    /// Makes a network of the run's own.
    pub async fn make_network(&self, name: &str) -> Result<(), ProcessError> {
        self.tell(&["network", "create", "--label", &self.label(), name], &[]).await.map(drop)
    }

    /// Has an image, pulled where it is not here yet.
    pub async fn have_image(&self, image: &str) -> Result<(), ProcessError> {
        match docker(&["image", "inspect", "--format", "{{.Id}}", image], SHOWING).await {
            Ok(_) => Ok(()),
            Err(ProcessError::Failed { .. }) => {
                docker(&["pull", "--quiet", image], MAKING).await.map(drop)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes an image `tag` that is `base` with `files` laid in. No host folder is mounted, so the engine may be
    /// remote, and no key touches this machine's disk.
    pub async fn make_image(
        &self,
        base: &str,
        tag: &str,
        files: &[NodeFile],
    ) -> Result<(), ProcessError> {
        let create = ["create", "--pull=never", "--label", &self.label(), base];
        let container = self.tell(&create, &[]).await?;
        let container = container.trim();
        self.copy(container, files).await?;
        let label = format!("LABEL {}", self.label());
        self.tell(&["commit", "--change", &label, container, tag], &[]).await?;
        self.tell(&["rm", "--force", container], &[]).await.map(drop)
    }

    /// Lays files into a container.
    pub async fn copy(&self, container: &str, files: &[NodeFile]) -> Result<(), ProcessError> {
        self.tell(&["cp", "-", &format!("{container}:/")], &archive(files)).await.map(drop)
    }

    /// Where a container's port is shown, as the start of a URL.
    pub async fn port(&self, container: &str, port: u16) -> Result<String, ProcessError> {
        let shown = docker(&["port", container, &format!("{port}/tcp")], SHOWING).await?;
        Ok(format!("https://{}", shown.lines().next().unwrap_or_default()))
    }

    /// Loads an image archive.
    pub async fn load(&self, archive: &Path) -> Result<(), ProcessError> {
        self.tell(&["load", "--quiet", "--input", &archive.to_string_lossy()], &[]).await.map(drop)
    }

    /// Starts a container that waits to be used, with no rights of its own.
    pub async fn start(&self, name: &str, network: &str, image: &str) -> Result<(), ProcessError> {
        let label = self.label();
        let arguments = [
            "run",
            "--detach",
            "--pull=never",
            "--name",
            name,
            "--network",
            network,
            "--label",
            &label,
            "--cap-drop=ALL",
            "--read-only",
            image,
            "/bin/probe",
            "wait",
        ];
        self.tell(&arguments, &[]).await.map(drop)
    }

    /// Has the engine make or change something. The command goes on to its end even if nobody waits for it any more.
    async fn tell(&self, arguments: &[&str], input: &[u8]) -> Result<String, ProcessError> {
        let told = Outside::new(DOCKER, arguments).with(self.environment().await).input(input);
        let printed = told.going_on().output(CHANGING).await?;
        Ok(String::from_utf8_lossy(&printed).into_owned())
    }

    /// Runs a command in a container and returns what it printed.
    pub async fn execute(
        &self,
        container: &str,
        command: &[&str],
        input: &[u8],
    ) -> Result<Vec<u8>, ProcessError> {
        let mut arguments = vec!["exec"];
        if !input.is_empty() {
            arguments.push("--interactive");
        }
        arguments.push(container);
        arguments.extend(command);
        Outside::new(DOCKER, &arguments).input(input).output(CHANGING).await
    }

    /// Starts a command in a container whose output is read while it goes.
    pub fn follow(&self, container: &str, command: &[&str]) -> Result<Group, ProcessError> {
        let mut arguments = vec!["exec", container];
        arguments.extend(command);
        Outside::new(DOCKER, &arguments).start()
    }

    /// Waits until a container has stopped. Only the engine's failure ends it before.
    pub async fn wait(&self, container: &str) -> Result<(), ProcessError> {
        // What it prints or returns does not matter: it no longer waits.
        Outside::new(DOCKER, &["wait", container])
            .start()?
            .ended()
            .await
            .map(drop)
            .map_err(|source| ProcessError::Start { program: DOCKER.to_owned(), source })
    }

    /// The command lines of the processes in a container.
    pub async fn processes(&self, container: &str) -> Result<Vec<String>, ProcessError> {
        let text = docker(&["top", container, "-eo", "pid,args"], SHOWING).await?;
        Ok(text
            .lines()
            .skip(1)
            .filter_map(|line| line.trim().split_once(' '))
            .map(|(_, arguments)| arguments.trim().to_owned())
            .collect())
    }

    /// Every run whose things are still with the engine.
    pub async fn runs() -> Result<Vec<String>, ProcessError> {
        // One that does not answer is known sooner by what takes no time.
        Engine::version().await?;
        let labelled = format!("label={RUN_LABEL}");
        let run = format!("{{{{.Label \"{RUN_LABEL}\"}}}}");
        let mut runs = Vec::new();
        for listing in [
            &["ps", "--all", "--filter", &labelled, "--format", &run][..],
            &["network", "ls", "--filter", &labelled, "--format", &run],
        ] {
            runs.extend(docker(listing, SHOWING).await?.lines().map(str::to_owned));
        }
        // `docker images` cannot print labels: the run stands in the tag.
        let images = ["images", "--filter", &labelled, "--format", "{{.Tag}}"];
        runs.extend(docker(&images, SHOWING).await?.lines().map(str::to_owned));
        runs.sort();
        runs.dedup();
        runs.retain(|run| !run.is_empty() && run != "<none>");
        Ok(runs)
    }

    /// Removes what the run made: containers, then networks, then images. Returns how many things.
    pub async fn remove_all(&self) -> Result<usize, ProcessError> {
        let filter = format!("label={}", self.label());
        let mut removed = 0;
        for (list, remove) in [
            (&["ps", "--all", "--quiet"][..], &["rm", "--force", "--volumes"][..]),
            (&["network", "ls", "--quiet"], &["network", "rm"]),
            (&["images", "--quiet"], &["rmi", "--force"]),
        ] {
            let listing = docker(&[list, &["--filter", &filter]].concat(), SHOWING).await?;
            let mut names: Vec<&str> = listing.lines().collect();
            names.sort_unstable();
            names.dedup();
            if !names.is_empty() {
                docker(&[remove, &names].concat(), CHANGING).await?;
                removed += names.len();
            }
        }
        Ok(removed)
    }
}

async fn docker(arguments: &[&str], within: Duration) -> Result<String, ProcessError> {
    let printed = Outside::new(DOCKER, arguments).output(within).await?;
    Ok(String::from_utf8_lossy(&printed).into_owned())
}

/// A tar stream of files that only root can read.
fn archive(files: &[NodeFile]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o600);
        header.set_size(file.content.len() as u64);
        let path = file.path.trim_start_matches('/');
        builder
            .append_data(&mut header, path, file.content.as_slice())
            .expect("writing to memory does not fail");
    }
    builder.into_inner().expect("writing to memory does not fail")
}
