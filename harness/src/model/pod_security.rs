//! The checks of Pod Security, as its refusals name them.

/// The checks of Pod Security by the reasons that they give, of Kubernetes 1.34 to 1.37 (`ForbiddenReason` in
/// k8s.io/pod-security-admission, `policy/check_*.go`).
pub const POD_SECURITY_CHECKS: [&str; 19] = [
    "allowPrivilegeEscalation != false",
    "forbidden AppArmor profile",
    "forbidden AppArmor profiles",
    "forbidden sysctls",
    "host namespaces",
    "hostPath volumes",
    "hostPort",
    "hostProcess",
    "non-default capabilities",
    "privileged",
    "probe or lifecycle host",
    "procMount",
    "restricted volume types",
    "runAsNonRoot != true",
    "runAsUser=0",
    "seLinuxOptions",
    "seccompProfile",
    "unknown forbidden reason",
    "unrestricted capabilities",
];

/// Those that the restricted standard alone makes, and baseline does not.
const RESTRICTED: [&str; 5] = [
    "allowPrivilegeEscalation != false",
    "restricted volume types",
    "runAsNonRoot != true",
    "runAsUser=0",
    "unrestricted capabilities",
];

/// A check of Pod Security that refused.
pub struct PodSecurityCheck {
    /// Its name.
    pub name: String,
    details: String,
}

impl PodSecurityCheck {
    /// Reads it: `host namespaces (hostPID=true)`.
    pub fn parse(text: &str) -> PodSecurityCheck {
        let (name, details) = text.split_once(" (").unwrap_or((text, ""));
        let details = details.strip_suffix(')').unwrap_or(details);
        PodSecurityCheck { name: name.to_owned(), details: details.to_owned() }
    }

    /// Whether the restricted standard alone makes it.
    pub fn is_restricted(&self) -> bool {
        RESTRICTED.contains(&self.name.as_str())
    }

    /// Whether these words name it, and no details that it does not give.
    pub fn is(&self, words: &str) -> bool {
        let named = PodSecurityCheck::parse(words);
        self.name == named.name
            && named.details.split(", ").all(|detail| self.details.contains(detail))
    }
}
