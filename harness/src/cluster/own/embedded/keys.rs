//! The certificates and keys of one run: two authorities, whose own keys are forgotten at once.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519,
};

/// Where everything listens.
pub(super) const LOOPBACK: &str = "127.0.0.1";

/// A certificate and its key, PEM.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// All that the parts of the cluster show each other.
pub(super) struct Keys {
    /// Vouches for everybody but etcd.
    pub(super) ca: String,
    /// The API server's own.
    pub(super) api_server: Pair,
    /// The certificate with which the API server asks the kubelet. Nothing else has its key.
    pub(super) kubelet_client: Pair,
    pub(super) kubelet: Pair,
    pub(super) admin: Pair,
    pub(super) controller_manager: Pair,
    /// Vouches for etcd and its clients alone: a client of the API server is none of etcd.
    pub(super) etcd_ca: String,
    pub(super) etcd: Pair,
    pub(super) etcd_client: Pair,
    /// Signs the tokens of ServiceAccounts.
    pub(super) tokens: KeyPair,
}

impl Keys {
    /// Makes them all. Names and groups are those of kubeadm's certificates
    /// (<https://kubernetes.io/docs/setup/best-practices/certificates/>).
    pub(super) fn make() -> Result<Self, rcgen::Error> {
        let cluster = Authority::make("kubernetes")?;
        let etcd = Authority::make("etcd-ca")?;
        let names = [
            LOOPBACK,
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "10.96.0.1",
        ];
        Ok(Keys {
            api_server: cluster.issue("kube-apiserver", None, &names)?,
            kubelet_client: cluster.issue("kube-apiserver-kubelet-client", None, &[])?,
            kubelet: cluster.issue("simulated", None, &[LOOPBACK])?,
            admin: cluster.issue("kubernetes-admin", Some("system:masters"), &[])?,
            controller_manager: cluster.issue("system:kube-controller-manager", None, &[])?,
            ca: cluster.pem,
            etcd: etcd.issue("etcd", None, &[LOOPBACK])?,
            etcd_client: etcd.issue("kube-apiserver-etcd-client", None, &[])?,
            etcd_ca: etcd.pem,
            tokens: KeyPair::generate()?,
        })
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn make(name: &str) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, name);
        // The API server verifies a client's certificate anew with each request, which takes Go 65 microseconds with a
        // key of this kind and 150 with one of the curve P-256 (measured).
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Authority { issuer: Issuer::new(params, key), pem })
    }

    /// A server's certificate where there are host names, else a client's. etcd dials itself, so that its one is
    /// both.
    fn issue(&self, name: &str, group: Option<&str>, hosts: &[&str]) -> Result<Pair, rcgen::Error> {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let is_server = !hosts.is_empty();
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if is_server {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Pair { certificate, key: key.serialize_pem() })
    }
}
