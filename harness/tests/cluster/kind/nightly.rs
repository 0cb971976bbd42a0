//! The nightly job, as a user applies it: on a cluster that brinell did not make, from a pod of it, with no more rights
//! than its roles give.

use std::process::Command;

use brinell::model::Results;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt};

use super::existing::Theirs;

/// The image as `manifests/nightly` names it, and as it is in the node.
const IMAGE: [&str; 2] = ["registry.example.com/brinell:0.1.0", "brinell:0.1.0"];

/// Where its namespace is.
const NAMESPACE: &str = "brinell";

/// What the volume claim is bound to where a cluster has no class of storage.
const VOLUME: &str = r#"{"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "results"}, "spec": {
    "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
    "hostPath": {"path": "/var/results", "type": "Directory"}}}"#;

/// A night's results are in the volume when its pod is gone.
pub(super) fn results_stay(theirs: &Theirs) {
    theirs.load_image();
    theirs.in_node(&["mkdir", "--mode", "777", "/var/results"], "");
    theirs.kubectl(&["apply"], VOLUME);
    for file in ["nightly.yaml", "rbac.yaml"] {
        let path = format!("{}/../manifests/nightly/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("a file");
        theirs.kubectl(&["apply"], &text.replace(IMAGE[0], IMAGE[1]));
    }

    let ended = theirs.night("tonight");
    let json = theirs.in_node(&["sh", "-c", "cat /var/results/tonight-*.json"], "");
    let results = Results::read(json.as_bytes()).expect("results");
    let summary = results.summary.unwrap_or_else(|| panic!("{:?}", results.aborted));
    assert_eq!(ended, "failed", "namespaces without labels admit every pod: {summary:?}");
    assert_eq!(results.cluster, "existing (in-cluster)");
    assert!(summary.passed > 5 && summary.inconclusive == 0 && !summary.left_behind, "{summary:?}");
    let may_not = "which system:serviceaccount:brinell:brinell may not";
    assert!(!json.contains(may_not), "the roles do not give everything: {json}");
    let junit = theirs.in_node(&["sh", "-c", "cat /var/results/tonight-*.xml"], "");
    assert!(junit_parser::from_reader(junit.as_bytes()).is_ok_and(|it| it.failures > 0));
}

impl Theirs {
    /// Runs a program in the node, which has kubectl as every node that kind makes.
    pub(super) fn in_node(&self, program: &[&str], input: &str) -> String {
        use std::io::Write;
        let node = format!("{}-control-plane", self.name);
        let mut command = Command::new("docker");
        command.args(["exec", "--interactive", &node]).args(program);
        let piped = std::process::Stdio::piped;
        let mut running = command.stdin(piped()).stdout(piped()).spawn().expect("started");
        running.stdin.take().expect("piped").write_all(input.as_bytes()).expect("read");
        let ended = running.wait_with_output().expect("ended");
        assert!(ended.status.success(), "{program:?}: {ended:?}");
        String::from_utf8(ended.stdout).expect("text in UTF-8")
    }

    /// Does something with the objects of a manifest.
    pub(super) fn kubectl(&self, words: &[&str], manifest: &str) {
        let kubectl = ["kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf"];
        self.in_node(&[&kubectl[..], words, &["--filename", "-"]].concat(), manifest);
    }

    /// Begins a night now and waits for its end. Returns how it ended.
    fn night(&self, name: &str) -> &'static str {
        self.runtime.block_on(async {
            let cron_jobs = Api::<CronJob>::namespaced(self.client.clone(), NAMESPACE);
            let nightly = cron_jobs.get("brinell").await.expect("there");
            let template = nightly.spec.expect("a spec").job_template.spec;
            let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
            let job = Job { metadata, spec: template, status: None };
            let jobs = Api::<Job>::namespaced(self.client.clone(), NAMESPACE);
            let job = jobs.create(&PostParams::default(), &job).await.expect("made").name_any();
            let ended = await_condition(jobs.clone(), &job, |job: Option<&Job>| {
                job.is_some_and(|job| how(job).is_some())
            });
            let ended = ended.await.expect("watched").expect("there");
            jobs.delete(&job, &DeleteParams::background()).await.expect("deleted");
            // The next night is nobody's.
            cron_jobs.delete("brinell", &DeleteParams::background()).await.expect("deleted");
            how(&ended).expect("ended")
        })
    }
}

/// How a job ended; `None` while it runs.
fn how(job: &Job) -> Option<&'static str> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let is = |name: &str| conditions.iter().any(|it| it.type_ == name && it.status == "True");
    match (is("Complete"), is("Failed")) {
        (true, _) => Some("complete"),
        (_, true) => Some("failed"),
        _ => None,
    }
}
