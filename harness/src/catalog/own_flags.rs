//! The flags of kube-apiserver that make a cluster of ours one by itself. With those of another cluster ours would be a
//! part of that one: whoever runs brinell on a machine of its control plane may read its etcd's keys.

/// The flags by which it listens, is known, and knows its kubelets and accounts.
const OWN: [&str; 18] = [
    "advertise-address",
    "bind-address",
    "cert-dir",
    "client-ca-file",
    "egress-selector-config-file",
    "endpoint-reconciler-type",
    "kubelet-certificate-authority",
    "permit-address-sharing",
    "permit-port-sharing",
    "proxy-client-cert-file",
    "proxy-client-key-file",
    "requestheader-client-ca-file",
    "secure-port",
    "service-account-key-file",
    "service-account-signing-endpoint",
    "service-account-signing-key-file",
    "tls-cert-file",
    "tls-private-key-file",
];

/// What others of them begin with.
const OWN_FAMILIES: [&str; 3] = ["etcd-", "kubelet-client-", "tls-sni-"];

/// What to do about one of them that somebody sets.
pub(super) const LEAVE_OUT: &str = "brinell's own cluster has its own; leave it out";

/// Whether a flag is one of them.
pub fn is_own_flag(flag: &str) -> bool {
    let flag = plain(flag);
    OWN.contains(&flag.as_str()) || OWN_FAMILIES.iter().any(|family| flag.starts_with(family))
}

/// A flag's name as the API server knows it, which takes `_` for `-` (`WordSepNormalizeFunc` in
/// k8s.io/component-base/cli/flag/flags.go).
pub(super) fn plain(flag: &str) -> String {
    flag.replace('_', "-")
}
