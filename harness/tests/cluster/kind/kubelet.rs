//! The kubelet of a cluster that brinell did not make: it is asked from a pod on its node, with the roles that a persona
//! needs for it on the whole cluster.

use super::existing::Theirs;

/// Those who may ask the kubelet for metrics hold a ClusterRole, which an existing cluster has to allow.
const ARGUMENTS: [&str; 10] = [
    "--profile",
    "./kubelet.yaml",
    "--allow",
    "cluster-effects",
    "--scenario",
    "anonymous-kubelet",
    "--scenario",
    "kubelet-without-role",
    "--scenario",
    "nodes-proxy-kubelet-exec",
];

/// What brinell is told: its image is in the node already.
const PROFILE: &str = "
title: kubelet
cluster: {image: \"brinell:0.1.0\"}
controls: {kubelet-auth: {}}
";

/// The kubelet's settings, where kubeadm puts them.
const SETTINGS: &str = "/var/lib/kubelet/config.yaml";

/// One as kubeadm makes it refuses. One that is opened by hand is caught, and one that is closed again refuses again.
pub(super) fn is_asked_from_a_pod(theirs: &Theirs) {
    theirs.load_image();
    std::fs::write(theirs.home.path("kubelet.yaml"), PROFILE).expect("written");
    let before = theirs.settled();
    let closed = theirs.run(&ARGUMENTS);
    assert!(closed.code == Some(0) && closed.stdout.contains("3 passed"), "{closed:?}");
    assert!(closed.stdout.contains("nothing left behind"), "{closed:?}");
    theirs.assert_same(&before);

    let settings = theirs.in_node(&["cat", SETTINGS], "");
    let opened = settings
        .replace("enabled: false", "enabled: true")
        .replace("mode: Webhook", "mode: AlwaysAllow");
    theirs.set_kubelet(&format!("{opened}\nreadOnlyPort: 10255\n"));
    let open = theirs.run(&ARGUMENTS);
    assert!(open.code == Some(1) && open.stdout.contains("3 failed"), "{open:?}");
    // Each way in is one: without credentials at both ports, and with any token.
    for attack in ["listing pods at the read-only port", "listing what runs", "reading metrics"] {
        // Scenarios are told of as they end: a permit's line, whose words begin alike, may come first.
        let line = open.stdout.lines().find(|line| line.contains(&format!("  attack  {attack}, ")));
        assert!(line.is_some_and(|line| line.contains("BYPASSED")), "{attack}: {open:?}");
    }

    theirs.set_kubelet(&settings);
    let closed = theirs.run(&ARGUMENTS);
    assert_eq!(closed.code, Some(0), "{closed:?}");
}

impl Theirs {
    /// Has the node's kubelet start anew with other settings.
    fn set_kubelet(&self, settings: &str) {
        self.in_node(&["tee", SETTINGS], settings);
        self.in_node(&["systemctl", "restart", "kubelet"], "");
    }
}
