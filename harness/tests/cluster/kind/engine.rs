//! The engine, asked directly: what there is before a run, and what is left after it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use brinell::cluster::{DEFAULT_VERSION, RUN_VARIABLE, node_image};

/// How long a node's container may take to start.
const CONTAINER_START: Duration = Duration::from_secs(60);

/// What a cluster needs and this machine lacks, with the command that provides it.
pub fn missing() -> Option<String> {
    let image = image();
    if !works("docker", &["version"]) {
        let docker = "https://docs.docker.com/engine/install/";
        return Some(format!(
            "no Docker engine answers: `ci/engine` starts one on Debian, or {docker}"
        ));
    }
    if !works("kind", &["version"]) {
        return Some("kind is not there: `go install sigs.k8s.io/kind@v0.33.0`".to_owned());
    }
    if !works("docker", &["image", "inspect", &image]) {
        return Some(format!(
            "the node image is not here: `docker pull {image}`, or `ci/node-image` makes one for \
             BRINELL_NODE_IMAGE"
        ));
    }
    None
}

/// The node image that brinell uses when it is told nothing else.
pub fn image() -> String {
    let default = || node_image(DEFAULT_VERSION).expect("the default has one").to_owned();
    let named = std::env::var("BRINELL_NODE_IMAGE").ok().filter(|image| !image.is_empty());
    named.unwrap_or_else(default)
}

/// Whether a command ends well.
pub fn works(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// What a command of the engine prints.
pub fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text in UTF-8")
}

/// Everything with the engine that names the run, by its name or by its labels, and every command of the run that
/// goes on and so may still tell the engine to make something.
pub fn left(run: &str) -> Vec<String> {
    let label = format!("label=brinell.dev/run={run}");
    let listings = [
        docker(&["ps", "--all", "--format", "container {{.Names}} {{.Labels}}"]),
        docker(&["network", "ls", "--format", "network {{.Name}} {{.Labels}}"]),
        docker(&["images", "--format", "image {{.Repository}}:{{.Tag}}"]),
    ];
    let named =
        listings.iter().flat_map(|listing| listing.lines()).filter(|line| line.contains(run));
    // An image's labels are in no listing, and it may have lost its name.
    let images = docker(&["images", "--all", "--quiet", "--filter", &label]);
    named.chain(images.lines()).map(str::to_owned).chain(commands(run)).collect()
}

/// The command lines of processes that carry the run's variable. brinell's own look at them is what is tested, so
/// it is not asked.
fn commands(run: &str) -> Vec<String> {
    let marker = format!("{RUN_VARIABLE}={run}");
    let processes = std::fs::read_dir("/proc").expect("a folder").flatten();
    let command = |process: PathBuf| {
        let environment = std::fs::read(process.join("environ")).ok()?;
        let is_marked = environment.split(|byte| *byte == 0).any(|pair| pair == marker.as_bytes());
        let line = std::fs::read_to_string(process.join("cmdline")).ok()?;
        is_marked.then(|| format!("command {}", line.replace('\0', " ")))
    };
    processes.filter_map(|process| command(process.path())).collect()
}

/// The volumes of a container.
pub fn volumes(container: &str) -> Vec<String> {
    let names = "{{range .Mounts}}{{.Name}} {{end}}";
    let volumes = docker(&["inspect", "--format", names, container]);
    volumes.split_whitespace().map(str::to_owned).collect()
}

/// Waits until a container has started, if it was after a moment in the past.
pub fn wait_for_start(container: &str, since: SystemTime) {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).expect("a time").as_secs();
    let (since, until) =
        (seconds(since).to_string(), seconds(SystemTime::now() + CONTAINER_START).to_string());
    let mut command = Command::new("docker");
    command.args(["events", "--filter", "event=start", "--filter"]);
    command.args([&format!("container={container}"), "--since", &since, "--until", &until]);
    let mut events = command.stdout(Stdio::piped()).spawn().expect("started");
    let first = BufReader::new(events.stdout.take().expect("piped")).lines().next();
    // It ends by itself when the time is over: then there is nothing to end.
    let _ = events.kill();
    events.wait().expect("waited");
    assert!(first.is_some(), "{container} did not start within {CONTAINER_START:?}");
}
