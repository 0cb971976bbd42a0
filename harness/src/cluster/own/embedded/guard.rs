//! exec-guard without a node to run on: the harness itself does what the Deployment's pod would do, by the same
//! code, with the same certificate and the same rights.

use std::net::{Ipv4Addr, TcpListener};

use http::HeaderValue;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, Config};
use rustls::ServerConfig;
use serde_json::{Value, json};

use super::Embedded;
use super::keys::LOOPBACK;
use super::servers::Served;
use crate::cluster::ClusterError;
use crate::lock::lock;
use crate::pod::guard::{Faults, Guard, serve};
use crate::pod::server_config_for;

/// What a container runs that is exec-guard.
const COMMAND: [&str; 3] = ["brinell", "in-cluster", "guard"];

/// Its Service, as the API server calls it.
const SERVICE: &str = "exec-guard.brinell-exec-guard.svc";

/// Its Service, as webhooks' configurations name it.
pub(super) const SERVED: &str = "brinell-exec-guard/exec-guard";

/// Whether a Deployment is exec-guard's.
pub(super) fn is_guard(object: &Value) -> bool {
    object["kind"] == "Deployment"
        && object["spec"]["template"]["spec"]["containers"][0]["command"] == json!(COMMAND)
}

/// Whether it is scaled down to no pods.
pub(super) fn is_scaled_down(deployment: &Value) -> bool {
    deployment["spec"]["replicas"] == 0
}

/// The arguments of its container.
fn arguments(deployment: &Value) -> impl Iterator<Item = &str> {
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    container["args"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Replaces the name of exec-guard's Service in a text by the address and port at which the harness serves it. The API
/// server picks its credentials for a webhook by these.
pub(super) fn called_here(text: &str, port: u16) -> String {
    text.replace(SERVICE, &format!("{LOOPBACK}:{port}"))
}

/// A guard that is served while the future is polled.
fn served(
    listener: TcpListener,
    tls: ServerConfig,
    guard: Guard,
) -> (Served, impl Future<Output = ()>) {
    Served::new(move |stopped| async move {
        // If it ends before it is stopped, the webhook fails as one that is down does.
        let _ = serve(listener, tls, guard, async { stopped.await.unwrap_or_default() }).await;
    })
}

impl Embedded {
    /// Serves what the Deployment would run, until the cluster ends; what was served before ends now. A Deployment of
    /// no replicas serves nothing.
    pub(super) async fn serve_guard(&self, deployment: &Value) -> Result<(), ClusterError> {
        self.stop_guard().await;
        if is_scaled_down(deployment) {
            return Ok(());
        }
        let namespace = deployment["metadata"]["namespace"].as_str().unwrap_or_default();
        let pod = &deployment["spec"]["template"]["spec"];
        let config = self.admin().await?;
        let secret = pod["volumes"][0]["secret"]["secretName"].as_str().unwrap_or_default();
        let secrets = Api::<Secret>::namespaced(Client::try_from(config.clone())?, namespace);
        let data = secrets.get(secret).await?.data.unwrap_or_default();
        let bytes = |name: &str| data.get(name).map_or(&[][..], |bytes| bytes.0.as_slice());
        let tls = server_config_for(bytes("client.crt"), bytes("tls.crt"), bytes("tls.key"))?;
        let account = pod["serviceAccountName"].as_str().unwrap_or_default();
        let user = format!("system:serviceaccount:{namespace}:{account}");
        let faults = Faults::read(arguments(deployment))?;
        let guard = Guard::new(self.run.clone(), acting_as(config, &user)?, faults);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.ports.guard))
            .map_err(ClusterError::Port)?;
        let (served, serving) = served(listener, tls, guard);
        self.spawn(serving);
        *lock(&self.guard) = Some(served);
        Ok(())
    }

    /// Stops the guard, if one is served.
    pub(super) async fn stop_guard(&self) {
        let served = lock(&self.guard).take();
        if let Some(served) = served {
            served.stop().await;
        }
    }
}

/// A client with the rights of the guard's ServiceAccount and no others.
fn acting_as(mut config: Config, user: &str) -> Result<Client, ClusterError> {
    let user = HeaderValue::from_str(user).map_err(|error| kube::Error::HttpError(error.into()))?;
    config.headers.push((http::HeaderName::from_static("impersonate-user"), user));
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_for_the_guards_service_is_one_for_its_place_here() {
        let users = "- name: exec-guard.brinell-exec-guard.svc\n- name: another.shop.svc\n";
        let here = "- name: 127.0.0.1:4711\n- name: another.shop.svc\n";
        assert_eq!(called_here(users, 4711), here);
    }

    #[test]
    fn the_guard_is_known_by_what_it_runs() {
        let deployment = |command: Value| {
            let containers = json!([{"command": command}]);
            json!({
                "kind": "Deployment",
                "spec": {"template": {"spec": {"containers": containers}}, "replicas": 0},
            })
        };
        assert!(is_guard(&deployment(json!(COMMAND))));
        assert!(!is_guard(&deployment(json!(["probe", "wait"]))));
        assert!(is_scaled_down(&deployment(json!(COMMAND))));
        assert_eq!(arguments(&deployment(json!(COMMAND))).count(), 0);
    }

    #[tokio::test]
    async fn a_stopped_guard_frees_its_port_whoever_is_connected() {
        let certified = rcgen::generate_simple_self_signed([LOOPBACK.to_owned()]).expect("made");
        let (certificate, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
        let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
        let tls = server_config_for(certificate, certificate, key).expect("a configuration");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
        let address = listener.local_addr().expect("an address");
        let nobody = Config::new("http://127.0.0.1:1".parse().expect("a URL"));
        let client = Client::try_from(nobody).expect("a client");
        let guard = Guard::new("k7f3".to_owned(), client, Faults::default());
        let (served, serving) = served(listener, tls, guard);
        tokio::spawn(serving);
        let _connected = tokio::net::TcpStream::connect(address).await.expect("connected");
        served.stop().await;
        TcpListener::bind(address).expect("free again");
    }

    #[test]
    fn its_arguments_are_those_of_its_container() {
        let containers = json!([{"command": COMMAND, "args": ["--delay", "3"]}]);
        let deployment = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        assert_eq!(arguments(&deployment).collect::<Vec<_>>(), ["--delay", "3"]);
    }
}
