//! etcd and API servers as plain processes. The audit log comes on their standard output.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use brinell::audit::AuditLog;
use brinell::pod::guard::{Certificates, certificates};
use brinell::text::random_hex;
use tokio::process::{Child, Command};

use crate::Failure;

/// This machine, for an API server that proxies to no loopback address.
pub const MACHINE: &str = "192.0.2.1";
/// The first API server's port; a second one has the next.
pub const PORT: u16 = 6443;

/// The cluster's superuser.
pub const ADMIN: &str = "admin";

const AUDIT_POLICY: &str =
    include_str!("../../../manifests/controls/audit-policy/audit-policy.yaml");

/// Nobody is anonymous but here.
const AUTHENTICATION: &str = "\
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions: [{path: /livez}, {path: /readyz}, {path: /api/v1/namespaces/authorization-anonymous/pods}]
";

const ADMISSION: &str = "\
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    exemptions: {usernames: [exempt]}
- name: EventRateLimit
  configuration:
    apiVersion: eventratelimit.admission.k8s.io/v1alpha1
    kind: Configuration
    limits: [{type: User, qps: 1, burst: 1}]
- name: ResourceQuota
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: ResourceQuotaConfiguration
    limitedResources:
    - resource: persistentvolumeclaims
      matchContains: [gold.storageclass.storage.k8s.io/requests.storage]
    - resource: pods
      matchScopes: [{scopeName: PriorityClass, operator: In, values: [system-cluster-critical]}]
- name: ImagePolicyWebhook
  configuration:
    imagePolicy: {kubeConfigFile: images.yaml, allowTTL: 1, denyTTL: 1, retryBackoff: 500, defaultAllow: false}
";

/// How ImagePolicyWebhook reaches the other end.
const IMAGES: &str = "\
apiVersion: v1
kind: Config
clusters: [{name: images, cluster: {server: 'https://localhost:9443/images', certificate-authority: ca.crt}}]
users: [{name: images, user: {}}]
contexts: [{name: images, context: {cluster: images, user: images}}]
current-context: images
";

/// Plug-ins that are not asked by default.
const PLUGINS: &str = "NodeRestriction,DenyServiceExternalIPs,OwnerReferencesPermissionEnforcement,EventRateLimit,\
     AlwaysPullImages,ImagePolicyWebhook,LimitPodHardAntiAffinityTopology,PodNodeSelector,PodTolerationRestriction";

/// What the processes need, in a folder that goes with it.
pub struct Cluster {
    assets: PathBuf,
    folder: tempfile::TempDir,
    /// The certificate of every server here.
    pub certificates: Certificates,
    tokens: BTreeMap<String, String>,
    _etcd: Child,
}

impl Cluster {
    /// Starts etcd and writes what API servers need, with a token for each of `users`.
    pub fn start(assets: &Path, users: &BTreeMap<String, Vec<String>>) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let certificates = certificates(&["localhost"])?;
        let superusers = vec!["system:masters".to_owned()];
        let mut list = String::new();
        let mut tokens = BTreeMap::new();
        for (user, groups) in users.iter().chain([(&ADMIN.to_owned(), &superusers)]) {
            let token = random_hex(16);
            writeln!(list, "{token},{user},{user},\"{}\"", groups.join(","))?;
            tokens.insert(user.clone(), token);
        }
        let images = folder.path().join("images.yaml").display().to_string();
        let admission = ADMISSION.replace("images.yaml", &images);
        for (file, text) in [
            ("tokens.csv", list.as_str()),
            ("server.crt", &certificates.certificate),
            ("server.key", &certificates.key),
            ("audit-policy.yaml", AUDIT_POLICY),
            ("authentication.yaml", AUTHENTICATION),
            ("admission.yaml", &admission),
            ("images.yaml", IMAGES),
            ("ca.crt", &certificates.ca),
        ] {
            std::fs::write(folder.path().join(file), text)?;
        }
        let etcd = Command::new(assets.join("etcd"))
            .arg("--data-dir")
            .arg(folder.path().join("etcd"))
            .stderr(std::fs::File::create(folder.path().join("etcd.log"))?)
            .kill_on_drop(true)
            .spawn()?;
        let assets = assets.to_owned();
        Ok(Cluster { assets, folder, certificates, tokens, _etcd: etcd })
    }

    /// Starts an API server on `port`; its audit events go to `log`.
    pub fn api_server(&self, port: u16, log: &AuditLog) -> Result<Child, Failure> {
        let at = |file: &str| self.folder.path().join(file).display().to_string();
        let mut server = Command::new(self.assets.join("kube-apiserver"))
            .args([
                "--etcd-servers=http://127.0.0.1:2379".to_owned(),
                format!("--secure-port={port}"),
                "--allow-privileged=true".to_owned(),
                format!("--advertise-address={MACHINE}"),
                "--endpoint-reconciler-type=none".to_owned(),
                "--service-cluster-ip-range=198.51.100.0/24".to_owned(),
                format!("--tls-cert-file={}", at("server.crt")),
                format!("--tls-private-key-file={}", at("server.key")),
                "--service-account-issuer=https://localhost".to_owned(),
                format!("--service-account-key-file={}", at("server.crt")),
                format!("--service-account-signing-key-file={}", at("server.key")),
                format!("--token-auth-file={}", at("tokens.csv")),
                format!("--authentication-config={}", at("authentication.yaml")),
                "--authorization-mode=Node,RBAC".to_owned(),
                format!("--admission-control-config-file={}", at("admission.yaml")),
                format!("--enable-admission-plugins={PLUGINS}"),
                format!("--audit-policy-file={}", at("audit-policy.yaml")),
                "--audit-log-path=-".to_owned(),
            ])
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(at(&format!("api-server-{port}.log")))?)
            .kill_on_drop(true)
            .spawn()?;
        if let Some(events) = server.stdout.take() {
            let log = log.clone();
            tokio::spawn(async move { log.read(events).await });
        }
        Ok(server)
    }

    /// The end of what the API server wrote about itself.
    pub fn last_words(&self) -> String {
        let file = self.folder.path().join(format!("api-server-{PORT}.log"));
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.join("\n")
    }

    /// How `user` reaches the server at `url`: without credentials when the user has no token.
    pub fn config(&self, url: &str, user: &str) -> Result<kube::Config, Failure> {
        let mut config = kube::Config::new(url.parse()?);
        let ca = rustls::pki_types::pem::PemObject::from_pem_slice(self.certificates.ca.as_bytes());
        let ca: rustls::pki_types::CertificateDer = ca.map_err(|_| "the CA is no PEM")?;
        config.root_cert = Some(vec![ca.to_vec()]);
        let unknown = (user == "stranger").then(|| random_hex(16));
        let token = self.tokens.get(user).cloned().or(unknown);
        config.auth_info.token = token.map(Into::into);
        Ok(config)
    }
}
