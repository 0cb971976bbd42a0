//! Where TLS ends on the way to several API servers. A load balancer that passes TLS on gives each connection to one of
//! them. One that ends it may give each request to another one, and nothing in an answer says which.
//!
//! Only who ends TLS sees a client's certificate. So whether the API server saw ours tells which of the two it is.

use http::StatusCode;
use k8s_openapi::api::authentication::v1::UserInfo;
use kube::Config;
use kube::config::AuthInfo;
use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::cluster::{
    AUDIT_ID, Connections, Pace, Refused, Servers, client, exchange, is_without_id,
};
use crate::text::{base64, hex, random_hex};

/// By what a user is known who was authenticated, since Kubernetes 1.32
/// (`staging/src/k8s.io/apiserver/pkg/authentication/user`).
const CREDENTIAL: &str = "authentication.kubernetes.io/credential-id";

/// What everybody may ask, without any credentials too, where anonymous requests are let in at all.
const ALIVE: &str = "/livez";

/// The API servers of a cluster that has several, or may have, as they are reached by this configuration.
///
/// # Errors
/// When its credentials cannot be used.
pub(super) async fn behind(
    config: &Config,
    pace: &Pace,
    user: &UserInfo,
    refused: &Refused,
) -> Result<Servers, kube::Error> {
    match is_known_by_certificate(&config.auth_info, user) || minds_certificate(config, pace).await
    {
        true => Ok(Servers::OneAConnection(Connections::of(config, pace, refused).await?)),
        false => Ok(Servers::Unknown),
    }
}

/// Whether the API server knows us by the very certificate that we have.
fn is_known_by_certificate(auth: &AuthInfo, user: &UserInfo) -> bool {
    let known = user.extra.as_ref().and_then(|extra| extra.get(CREDENTIAL));
    let (Some(known), Some(certificate)) = (known, certificate(auth)) else { return false };
    let print = format!("X509SHA256={}", hex(digest(&SHA256, &certificate).as_ref()));
    known.contains(&print)
}

/// The certificate that a kubeconfig names or holds.
fn certificate(auth: &AuthInfo) -> Option<CertificateDer<'static>> {
    let pem = match (&auth.client_certificate_data, &auth.client_certificate) {
        (Some(data), _) => crate::text::from_base64(data)?,
        (None, path) => std::fs::read(path.as_ref()?).ok()?,
    };
    CertificateDer::from_pem_slice(&pem).ok()
}

/// Whether an anonymous request that is let in is refused when it comes with a certificate that nobody knows: the API
/// server refuses those that it cannot verify (measured on 1.36.3). It is asked twice, so that two servers of which
/// each answers in its own way are not taken for it, and each answer must bring our Audit-ID back: what ends TLS may
/// refuse a certificate as well.
async fn minds_certificate(config: &Config, pace: &Pace) -> bool {
    let Some(strange) = strange() else { return false };
    for (number, (auth, expected)) in [
        (AuthInfo::default(), StatusCode::OK),
        (strange.clone(), StatusCode::UNAUTHORIZED),
        (AuthInfo::default(), StatusCode::OK),
        (strange, StatusCode::UNAUTHORIZED),
    ]
    .into_iter()
    .enumerate()
    {
        if answered(config, auth, pace, number).await != Some(expected) {
            return false;
        }
    }
    true
}

/// A certificate that was made a moment ago.
fn strange() -> Option<AuthInfo> {
    let made = rcgen::generate_simple_self_signed(["brinell.invalid".to_owned()]).ok()?;
    Some(AuthInfo {
        client_certificate_data: Some(base64(made.cert.pem().as_bytes())),
        client_key_data: Some(base64(made.signing_key.serialize_pem().as_bytes()).into()),
        ..AuthInfo::default()
    })
}

/// How the API server itself answers these credentials; `None` where nothing shows that it did.
async fn answered(
    config: &Config,
    auth_info: AuthInfo,
    pace: &Pace,
    number: usize,
) -> Option<StatusCode> {
    let mut config = config.clone();
    config.auth_info = auth_info;
    let client = client(config, pace).await.ok()?;
    let id = format!("brinell-{}-{number}", random_hex(3));
    let request = http::Request::get(ALIVE).header(AUDIT_ID, &id).body(Vec::new()).ok()?;
    let response = exchange(&client, request).await.ok()?;
    (!is_without_id(&response)).then(|| response.status())
}
