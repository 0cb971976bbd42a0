//! Whether kind clusters can be made here.

use super::engine::Engine;
use super::version;
use crate::cluster::{ImageError, ProcessError, can_run_in_pods};

/// Why kind clusters cannot be made here, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum NoCluster {
    /// podman answers to `docker`.
    #[error(
        "`docker` is podman here, and kind clusters are made with a Docker engine. Install one \
         (https://docs.docker.com/engine/install/) and put its command first on the PATH. \
         `--cluster embedded` needs none."
    )]
    Podman,
    /// No engine.
    #[error(
        "no Docker engine answers. Install one (https://docs.docker.com/engine/install/) \
         or start it; `docker version` shows whether it answers. \
         `--cluster embedded` needs none.\n{0}"
    )]
    NoEngine(ProcessError),
    /// The engine is on another machine.
    #[error(
        "the Docker engine is on another machine, {machine}: kind opens the API server on that \
         machine's own loopback, where it cannot be reached from here. Run brinell there, or unset \
         DOCKER_HOST and DOCKER_CONTEXT (`docker context use default`) for an engine here. \
         `--cluster embedded` needs none."
    )]
    Remote {
        /// The machine's name or address.
        machine: String,
    },
    /// No kind.
    #[error(
        "kind is not there. Install it (https://kind.sigs.k8s.io/docs/user/quick-start/) \
         and put it on the PATH. `--cluster embedded` does without it.\n{0}"
    )]
    NoKind(ProcessError),
    /// Our own executable cannot be an image's content.
    #[error(transparent)]
    NotForPods(#[from] ImageError),
}

impl NoCluster {
    /// Why there is none, in a few words: the reason for another kind of cluster.
    pub(in crate::cluster::own) fn why(&self) -> String {
        match self {
            NoCluster::Podman => "`docker` is podman here".to_owned(),
            NoCluster::NoEngine(_) => "no Docker engine answers".to_owned(),
            NoCluster::Remote { machine } => {
                format!("the Docker engine is on another machine, {machine}")
            }
            NoCluster::NoKind(_) => "kind is not there".to_owned(),
            NoCluster::NotForPods(_) => "this executable cannot run in pods".to_owned(),
        }
    }
}

/// Looks whether kind clusters can be made here, and says what answers.
pub(in crate::cluster::own) async fn found() -> Result<String, NoCluster> {
    let (version, command, host, kind) =
        tokio::join!(Engine::version(), Engine::command(), Engine::host(), version());
    // A command that does not say what it is is taken for Docker's, and an engine that does not say where it is for
    // one on this machine.
    if is_podman(&version, &command.unwrap_or_default()) {
        return Err(NoCluster::Podman);
    }
    let engine = version.map_err(NoCluster::NoEngine)?;
    if let Some(machine) = remote(host.unwrap_or_default().trim()) {
        return Err(NoCluster::Remote { machine });
    }
    let kind = kind.map_err(NoCluster::NoKind)?;
    can_run_in_pods()?;
    let number = engine.split(' ').next().unwrap_or_default();
    Ok(format!("Docker {number} and kind {kind} answer"))
}

/// Whether podman answers to `docker`: as the command, or as the engine behind Docker's own.
fn is_podman(version: &Result<String, ProcessError>, command: &str) -> bool {
    let engine = version.as_ref().map(String::as_str).unwrap_or_default();
    [engine, command].iter().any(|words| words.to_ascii_lowercase().contains("podman"))
}

/// The machine of an engine that is reached over a network, by its name or address; `None` for one that is here.
fn remote(host: &str) -> Option<String> {
    let (scheme, rest) = host.split_once("://").unwrap_or(("tcp", host));
    if rest.is_empty() || ["unix", "npipe", "fd"].contains(&scheme.to_ascii_lowercase().as_str()) {
        return None;
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let place = authority.rsplit('@').next().unwrap_or_default();
    let name = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
        Some((address, _)) => address,
        None => place.split(':').next().unwrap_or_default(),
    };
    let is_here = name == "localhost"
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    (!is_here && !name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_here_by_a_socket_or_on_loopback() {
        for here in [
            "",
            "unix:///var/run/docker.sock",
            "fd://",
            "tcp://127.0.0.1:2375",
            "tcp://localhost:2375",
            "tcp://[::1]:2376",
            "127.0.0.2:2375",
        ] {
            assert_eq!(remote(here), None, "{here}");
        }
        for (there, machine) in [
            ("tcp://docker:2375", "docker"),
            ("TCP://10.0.0.7:2376", "10.0.0.7"),
            ("ssh://me:secret@build.example.com:22/run/docker.sock", "build.example.com"),
            ("tcp://[2001:db8::7]:2376", "2001:db8::7"),
            ("10.0.0.7:2375", "10.0.0.7"),
            ("https://engine.example.com", "engine.example.com"),
        ] {
            assert_eq!(remote(there).as_deref(), Some(machine), "{there}");
        }
    }
}
