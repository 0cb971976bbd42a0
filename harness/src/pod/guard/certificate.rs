//! The certificates of the exec-guard webhook, made for one run.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};

/// What the webhook and the API server show each other, PEM.
pub struct Certificates {
    /// The authority that the API server trusts for this webhook alone.
    pub ca: String,
    /// The server's certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// The certificate by which the server knows the API server.
    pub client_certificate: String,
    /// Its key.
    pub client_key: String,
}

/// Makes a server certificate for the given host names, and the certificate of the one client that the server talks to.
/// The authority's key is kept nowhere.
pub fn certificates(hosts: &[&str]) -> Result<Certificates, rcgen::Error> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "brinell");
    let authority_key = KeyPair::generate()?;
    let ca = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);
    let names: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(names)?.signed_by(&key, &issuer)?.pem();
    let mut client = CertificateParams::default();
    client.distinguished_name.push(DnType::CommonName, "kube-apiserver-exec-guard-client");
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let client_key = KeyPair::generate()?;
    let client_certificate = client.signed_by(&client_key, &issuer)?.pem();
    Ok(Certificates {
        ca,
        certificate,
        key: key.serialize_pem(),
        client_certificate,
        client_key: client_key.serialize_pem(),
    })
}
