//! TLS by rustls and ring, with a provider of our own: the process-wide one can be set only once, and more than one
//! library tries to.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    ServerConfig, SignatureScheme,
};

/// Certificates or a key that cannot be used. The words never hold any part of the input: it is
/// secret.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate could be read.
    #[error("{0}: expected one or more PEM certificates")]
    Certificate(&'static str),
    /// No private key could be read.
    #[error("{0}: expected a PEM private key (PKCS#8, PKCS#1 or SEC1)")]
    Key(&'static str),
    /// They were read, but do not work together.
    #[error("the certificate and its private key cannot be used: {0}")]
    Unusable(#[from] Error),
}

/// A server's configuration for HTTP/1.1 from its certificate chain and private key, both PEM.
///
/// # Errors
/// When either cannot be read or the two do not belong together.
pub fn server_config(certificate: &[u8], key: &[u8]) -> Result<ServerConfig, TlsError> {
    server(WebPkiClientVerifier::no_client_auth(), certificate, key)
}

/// [`server_config`] for a server that serves only the holder of one certificate.
///
/// # Errors
/// When a certificate or the key cannot be read or the server's two do not belong together.
pub fn server_config_for(
    client: &[u8],
    certificate: &[u8],
    key: &[u8],
) -> Result<ServerConfig, TlsError> {
    let client = certificates("the client's certificate", client)?.swap_remove(0);
    let only = OnlyClient { certificate: client, provider: provider() };
    server(Arc::new(only), certificate, key)
}

/// [`server_config`] for a server that serves only clients with a certificate that one of these authorities has signed.
///
/// # Errors
/// When a certificate or the key cannot be read or the server's two do not belong together.
pub fn server_config_signed_by(
    authorities: &[u8],
    certificate: &[u8],
    key: &[u8],
) -> Result<ServerConfig, TlsError> {
    let roots = roots("the clients' authority", authorities)?;
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    server(clients, certificate, key)
}

/// The configuration of a server that serves whom `clients` accepts.
fn server(
    clients: Arc<dyn ClientCertVerifier>,
    certificate: &[u8],
    key: &[u8],
) -> Result<ServerConfig, TlsError> {
    let chain = certificates("the server's certificate", certificate)?;
    let key = private_key("the server's key", key)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A client's configuration. Without `ca` any server is believed; with `identity`, a PEM certificate
/// chain and key, the client shows who it is.
pub(crate) fn client_config(
    ca: Option<&str>,
    identity: Option<(&str, &str)>,
) -> Result<ClientConfig, TlsError> {
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match ca {
        Some(ca) => builder.with_root_certificates(roots("ca", ca.as_bytes())?),
        None => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider())))
        }
    };
    Ok(match identity {
        Some((chain, key)) => builder.with_client_auth_cert(
            certificates("client_cert", chain.as_bytes())?,
            private_key("client_key", key.as_bytes())?,
        )?,
        None => builder.with_no_client_auth(),
    })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots(what: &'static str, pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(what, pem)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TlsError::Certificate(what)),
    }
}

fn private_key(what: &'static str, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsError::Key(what))
}

/// Believes any certificate, because a kubelet's is signed by itself: an attacker does not mind. The
/// signatures are still checked, so that a broken handshake looks like one.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Accepts one certificate, byte for byte, and no other, whatever its name and authority.
#[derive(Debug)]
struct OnlyClient {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for OnlyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if *end_entity == self.certificate {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_never_shows_any_part_of_the_input() {
        let marker = "MARKER-4711";
        for pem in [
            marker.to_owned(),
            format!("-----BEGIN {marker}"),
            format!("-----BEGIN PRIVATE KEY-----\n{marker}\n-----END PRIVATE KEY-----"),
            format!("-----BEGIN CERTIFICATE-----\n{marker}"),
        ] {
            let ca = client_config(Some(&pem), None).expect_err("no certificate");
            let key = server_config(pem.as_bytes(), pem.as_bytes()).expect_err("no certificate");
            assert!(!format!("{ca} {ca:?} {key} {key:?}").contains(marker));
        }
    }
}
