//! The API server as somebody else has set it up: it rotates its log, posts its events too, and knows an authority of whose
//! certificates we say when they end.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use brinell::cluster::{DEFAULT_VERSION, assets};
use brinell::pod::guard::certificates;
use brinell::text::base64;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How it was set up.
pub(super) struct Server {
    /// Holds the program, and the files that its flags name.
    pub(super) folder: TempDir,
    /// Where it posts its events.
    pub(super) posts_to: SocketAddr,
    authority: Issuer<'static, KeyPair>,
}

impl Server {
    /// Writes down all that it is started with.
    pub(super) fn prepare() -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "theirs");
        let key = KeyPair::generate().expect("a key");
        let pem = authority.self_signed(&key).expect("signed").pem();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let posts_to = listener.local_addr().expect("an address");
        let server = Server { folder, posts_to, authority: Issuer::new(authority, key) };
        server.write("clients.pem", &pem);
        server.write_posting();
        server.write_program();
        server
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).expect("written");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Both ends of what is posted: who listens, and who posts as a client with a certificate.
    fn write_posting(&self) {
        let both = certificates(&["127.0.0.1"]).expect("made");
        self.write("listen.pem", &both.certificate);
        self.write("listen-key.pem", &both.key);
        self.write("listen-ca.pem", &both.ca);
        let cluster = json!({
            "server": format!("https://{}/", self.posts_to),
            "certificate-authority-data": base64(both.ca.as_bytes()),
        });
        let user = json!({
            "client-certificate-data": base64(both.client_certificate.as_bytes()),
            "client-key-data": base64(both.client_key.as_bytes()),
        });
        let posting = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": cluster}], "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        });
        self.write("posting.json", &posting.to_string());
    }

    /// The program with more flags. Of those that are given twice the last one counts.
    fn write_program(&self) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let found = runtime.block_on(assets::find_all(DEFAULT_VERSION)).expect("looked for");
        let real = found.expect("they are there").api_server.path;
        let (real, folder) = (real.display(), self.folder.path().display());
        let script = format!(
            "#!/bin/sh\n\
             case $1 in --version) exec '{real}' --version;; esac\n\
             for flag; do case $flag in --client-ca-file=*) cat \"${{flag#*=}}\" >>{folder}/clients.pem;; esac; done\n\
             exec '{real}' \"$@\" --client-ca-file={folder}/clients.pem --audit-log-maxsize=5 \
             --audit-webhook-config-file={folder}/posting.json --audit-webhook-batch-max-wait=1s \
             --audit-webhook-initial-backoff=1s\n"
        );
        self.write("kube-apiserver", &script);
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.file("kube-apiserver"), executable).expect("set");
    }

    /// A user of a kubeconfig with a certificate that is good for so long.
    pub(super) fn user(&self, name: &str, group: &str, life: Duration) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(1970, 1, 1) + now + life;
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.authority).expect("signed").pem();
        json!({
            "client-certificate-data": base64(certificate.as_bytes()),
            "client-key-data": base64(key.serialize_pem().as_bytes()),
        })
    }

    /// The source of a profile's log that is what it posts.
    pub(super) fn posted(&self) -> String {
        let [certificate, key, ca] = ["listen.pem", "listen-key.pem", "listen-ca.pem"]
            .map(|name| self.file(name).display().to_string());
        let address = self.posts_to;
        format!(
            "{{listen: {{address: \"{address}\", certificate: {certificate}, key: {key}, client-ca: {ca}}}, delay: 30s}}"
        )
    }
}
